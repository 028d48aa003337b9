//! What was measured: every round's value, the medians in one table, the gates, all of it as JSON.

use std::{fmt::Write as _, path::Path};

use serde_json::{Value, json};

use crate::outcome::Outcome;

/// One figure: a row of a scenario's table and a column in it.
#[derive(Debug)]
struct Figure {
    scenario: &'static str,
    case: String,
    metric: &'static str,
    unit: &'static str,
    rounds: Vec<f64>,
}

/// What a figure is held to.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    name: String,
    /// `None` when it was not measured.
    value: Option<f64>,
    bound: Bound,
    goal: Option<f64>,
}

/// Which side of a gate is good.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Gate {
    fn passes(&self) -> Option<bool> {
        self.value.map(|value| match self.bound {
            Bound::AtLeast(bound) => value >= bound,
            Bound::AtMost(bound) => value <= bound,
        })
    }

    const fn word(&self, passes: Option<bool>) -> &'static str {
        match passes {
            Some(true) => "pass",
            Some(false) => "FAIL",
            None => "not measured",
        }
    }
}

/// Everything that a run has measured so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
    gates: Vec<Gate>,
    notes: Vec<String>,
}

impl Report {
    /// Adds one round's value.
    pub(crate) fn add(
        &mut self,
        scenario: &'static str,
        case: &str,
        metric: &'static str,
        unit: &'static str,
        value: f64,
    ) {
        let found = self
            .figures
            .iter_mut()
            .find(|figure| figure.scenario == scenario && figure.case == case && figure.metric == metric);
        match found {
            Some(figure) => figure.rounds.push(value),
            None => self.figures.push(Figure {
                scenario,
                case: case.to_owned(),
                metric,
                unit,
                rounds: vec![value],
            }),
        }
    }

    /// The median over the rounds.
    pub(crate) fn median(&self, scenario: &str, case: &str, metric: &str) -> Option<f64> {
        self.rounds(scenario, case, metric).map(median)
    }

    /// The best round, where the machine's other work can only make it worse.
    pub(crate) fn least(&self, scenario: &str, case: &str, metric: &str) -> Option<f64> {
        self.rounds(scenario, case, metric)
            .and_then(|rounds| rounds.iter().copied().reduce(f64::min))
    }

    /// The median over the rounds of one figure divided by another of the same round: what both share of the machine's
    /// moods cancels out.
    pub(crate) fn ratio(&self, over: (&str, &str, &str), under: (&str, &str, &str)) -> Option<f64> {
        let over = self.rounds(over.0, over.1, over.2)?;
        let under = self.rounds(under.0, under.1, under.2)?;
        let ratios: Vec<f64> = over
            .iter()
            .zip(under)
            .filter(|(_, under)| **under > 0.0)
            .map(|(over, under)| over / under)
            .collect();
        (!ratios.is_empty()).then(|| median(&ratios))
    }

    fn rounds(&self, scenario: &str, case: &str, metric: &str) -> Option<&[f64]> {
        self.figures
            .iter()
            .find(|figure| figure.scenario == scenario && figure.case == case && figure.metric == metric)
            .map(|figure| figure.rounds.as_slice())
    }

    pub(crate) fn gate(&mut self, name: &str, value: Option<f64>, bound: Bound, goal: Option<f64>) {
        self.gates.push(Gate {
            name: name.to_owned(),
            value,
            bound,
            goal,
        });
    }

    pub(crate) fn note(&mut self, note: String) {
        eprintln!("bench: {note}");
        self.notes.push(note);
    }

    /// Whether a gate that was measured was missed.
    pub(crate) fn missed(&self) -> usize {
        self.gates
            .iter()
            .filter(|gate| gate.passes() == Some(false))
            .count()
    }

    /// The table: a block per scenario, a line per case, a column per metric; then the gates.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let mut scenarios: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !scenarios.contains(&figure.scenario) {
                scenarios.push(figure.scenario);
            }
        }
        for scenario in scenarios {
            self.block(scenario, &mut text);
        }
        if !self.gates.is_empty() {
            text.push_str("\ngates\n");
        }
        for gate in &self.gates {
            let (sign, bound) = match gate.bound {
                Bound::AtLeast(bound) => (">=", bound),
                Bound::AtMost(bound) => ("<=", bound),
            };
            let value = gate.value.map_or_else(|| "-".to_owned(), number);
            let goal = gate
                .goal
                .map(|goal| format!(" (goal {})", number(goal)))
                .unwrap_or_default();
            let word = gate.word(gate.passes());
            // A line into a string cannot fail.
            let _ = writeln!(
                text,
                "  {word:<13}{:<58}{value:>9} {sign} {}{goal}",
                gate.name,
                number(bound)
            );
        }
        for note in &self.notes {
            let _ = writeln!(text, "  note: {note}");
        }
        text
    }

    fn block(&self, scenario: &str, text: &mut String) {
        let of: Vec<&Figure> = self
            .figures
            .iter()
            .filter(|figure| figure.scenario == scenario)
            .collect();
        let (mut cases, mut columns): (Vec<&str>, Vec<(&str, &str)>) = (Vec::new(), Vec::new());
        for figure in &of {
            if !cases.contains(&figure.case.as_str()) {
                cases.push(&figure.case);
            }
            if !columns.contains(&(figure.metric, figure.unit)) {
                columns.push((figure.metric, figure.unit));
            }
        }
        let first = cases
            .iter()
            .map(|case| case.len())
            .chain([scenario.len()])
            .max()
            .unwrap_or_default();
        let _ = write!(text, "\n{scenario:<first$}");
        for (metric, unit) in &columns {
            let _ = write!(text, "  {:>11}", format!("{metric} {unit}"));
        }
        text.push('\n');
        for case in cases {
            let _ = write!(text, "{case:<first$}");
            for (metric, unit) in &columns {
                let value = self
                    .median(scenario, case, metric)
                    .map_or_else(|| "-".to_owned(), number);
                let width = format!("{metric} {unit}").len().max(11);
                let _ = write!(text, "  {value:>width$}");
            }
            text.push('\n');
        }
    }

    /// Everything, also every round.
    pub(crate) fn json(&self, machine: &Value) -> Value {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
                json!({"scenario": figure.scenario, "case": figure.case, "metric": figure.metric,
                    "unit": figure.unit, "median": median(&figure.rounds), "rounds": figure.rounds})
            })
            .collect();
        let gates: Vec<Value> = self
            .gates
            .iter()
            .map(|gate| {
                let (at, bound) = match gate.bound {
                    Bound::AtLeast(bound) => ("at_least", bound),
                    Bound::AtMost(bound) => ("at_most", bound),
                };
                json!({"gate": gate.name, "value": gate.value, at: bound, "goal": gate.goal,
                    "result": gate.word(gate.passes())})
            })
            .collect();
        json!({"machine": machine, "figures": figures, "gates": gates, "notes": self.notes})
    }

    /// Writes the JSON file, with its folder.
    pub(crate) fn write(&self, file: &Path, machine: &Value) -> Outcome<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(
            file,
            serde_json::to_string_pretty(&self.json(machine))?,
        )?)
    }
}

/// The middle value; of an even number the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.as_slice() {
        [] => f64::NAN,
        all if all.len() % 2 == 1 => all[middle],
        all => f64::midpoint(all[middle - 1], all[middle]),
    }
}

/// Three digits that mean something, or whole numbers with their thousands set apart.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 || size == 0.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), ""), |parts| parts);
    let mut grouped = String::new();
    for (position, digit) in whole.chars().enumerate() {
        let left = whole.len() - position;
        if position > 0 && left % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if rest.is_empty() {
        grouped
    } else {
        format!("{grouped}.{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_rounds_is_between_the_two_in_the_middle() {
        assert!((median(&[4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
        assert!((median(&[9.0, 1.0, 3.0]) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn numbers_show_three_digits_and_thousands() {
        assert_eq!(number(1_234_567.8), "1,234,568");
        assert_eq!(number(0.123_4), "0.123");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(-1_234.0), "-1,234");
        assert_eq!(number(f64::NAN), "-");
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let mut report = Report::default();
        for (a, b) in [(10.0, 1.0), (40.0, 4.0), (30.0, 2.0)] {
            report.add("s", "a", "rate", "/s", a);
            report.add("s", "b", "rate", "/s", b);
        }
        let ratio = report.ratio(("s", "a", "rate"), ("s", "b", "rate"));
        assert!((ratio.expect("both were measured") - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_gate_that_was_not_measured_is_not_missed_and_one_out_of_bounds_is() {
        let mut report = Report::default();
        report.gate("absent", None, Bound::AtLeast(1.0), None);
        assert_eq!(report.missed(), 0);
        report.gate("slow", Some(0.9), Bound::AtLeast(1.0), Some(2.0));
        report.gate("fat", Some(61.0), Bound::AtMost(60.0), None);
        report.gate("fine", Some(1.0), Bound::AtLeast(1.0), None);
        assert_eq!(report.missed(), 2);
        assert!(report.table().contains("FAIL"));
    }
}
