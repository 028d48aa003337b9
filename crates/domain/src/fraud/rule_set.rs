//! The rules as the bank sets them: what each asks for, within bounds, whether it counts, and what follows.
//!
//! Which rules there are and what they look at comes with the program. A set says the numbers, and is always whole:
//! what is drafted is what differs from another set. Rules on which others rely cannot be turned off or made milder
//! than a look.

use sha2::{Digest as _, Sha256};

use super::{
    Verdict,
    measure::Measure,
    rule::{Condition, Is, Rule, RuleMode, SCORE_MAX, built_in, former},
};

/// Most changes of a draft: more than there are rules is no draft.
pub const DRAFT_RULES_MAX: usize = super::RULES_MAX;
/// Most parameters of a rule in a draft.
pub const DRAFT_PARAMETERS_MAX: usize = super::CONDITIONS_MAX;

/// Rules that are always enforced and worth at least a look: whoever is not known to the rules, and whoever pays
/// somebody new after signs of a takeover.
const RELIED_ON: [&str; 2] = ["unknown_customer", "takeover_new_payee"];

/// In what a number of a rule is given, and within which bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// `hundredths` of a unit of the currency, `percent`, `permille`, `count`, `minutes` or `days`.
    pub unit: &'static str,
    /// Least.
    pub min: i64,
    /// Most.
    pub max: i64,
}

impl Measure {
    /// What a bank may set of it; `None` where a rule only asks whether something is so.
    pub const fn threshold(self) -> Option<Threshold> {
        let (unit, min, max) = match self {
            Self::Unknown
            | Self::NewPayee
            | Self::Returns
            | Self::NewNetwork
            | Self::Floor
            | Self::Program => return None,
            Self::Amount
            | Self::OutHourAmount
            | Self::OutDayAmount
            | Self::OutWeekAmount
            | Self::InHourAmount
            | Self::InDayAmount
            | Self::PayeeInDayAmount => ("hundredths", 1, 1_000_000_000),
            Self::AmountPercent | Self::TopPercent => ("percent", 1, 100_000),
            Self::PassingPercent | Self::RefundPercent => ("percent", 1, 1_000),
            Self::DrainPercent => ("percent", 1, 100),
            Self::HourShare => ("permille", 0, 1_000),
            // What is counted of the past fades, so that more than this is never seen.
            Self::History => ("count", 1, 120),
            Self::NewPayeesDay
            | Self::OutTenMinutes
            | Self::OutHour
            | Self::OutDay
            | Self::InDay
            | Self::NearDay
            | Self::SmallHour
            | Self::RefundsWeek
            | Self::PayeeNewPayersDay => ("count", 1, 1_000),
            Self::NetworkMinutes => ("minutes", 1, 10_080),
            // From 0 on: a rule that is to count from the first day on.
            Self::AgeDays => ("days", 0, 3_650),
            Self::IdleDays | Self::PayeeAgeDays => ("days", 1, 3_650),
        };
        Some(Threshold { unit, min, max })
    }
}

/// A number of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// What it is held against.
    pub measure: Measure,
    /// `at_least` or `at_most`.
    pub is: &'static str,
    /// The number.
    pub value: i64,
    /// Its unit and bounds.
    pub bounds: Threshold,
}

impl Rule {
    /// The numbers of it that a bank may set, in the order of its conditions.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter> {
        self.when.iter().filter_map(Condition::parameter)
    }

    /// Whether it can neither be turned off nor made milder than a look.
    pub fn is_relied_on(&self) -> bool {
        RELIED_ON.contains(&self.id.as_str())
    }
}

impl Condition {
    fn parameter(&self) -> Option<Parameter> {
        let is = match self.is {
            Is::AtLeast => "at_least",
            Is::AtMost => "at_most",
            Is::Exactly => return None,
        };
        Some(Parameter {
            measure: self.measure,
            is,
            value: self.number,
            bounds: self.measure.threshold()?,
        })
    }
}

/// What a draft says of one rule; what is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleDraft {
    /// Of which rule.
    pub rule: String,
    /// The name of a [`RuleMode`].
    pub mode: Option<String>,
    /// The name of a [`Verdict`] beyond [`Verdict::Allow`].
    pub verdict: Option<String>,
    /// 0 to [`SCORE_MAX`].
    pub score: Option<i64>,
    /// Numbers by the name of what they are held against.
    pub parameters: Vec<(String, i64)>,
}

/// What is wrong at one place of a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Where, as a JSON pointer into the draft's rules.
    pub pointer: String,
    /// A stable code.
    pub code: &'static str,
    /// For people; never what was sent.
    pub detail: String,
}

/// What is another between two sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleChange {
    /// Of which rule.
    pub rule: String,
    /// `mode`, `verdict`, `score`, or what a number is held against.
    pub field: &'static str,
    /// As it was.
    pub before: String,
    /// As it would be.
    pub after: String,
    /// Whether less is met by it, or what is met has less of a consequence.
    pub weaker: bool,
}

/// Kept rules that this program cannot read: written for another version, or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("rules that cannot be read")]
pub struct UnreadableRules;

/// Every rule of the program, in its order, as the bank has set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSet(Vec<Rule>);

impl Default for RuleSet {
    fn default() -> Self {
        Self(built_in())
    }
}

impl RuleSet {
    /// The rules.
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// This set with what a draft says. A rule that becomes another has the next version.
    ///
    /// # Errors
    /// Everything that is wrong with the draft.
    pub fn with(&self, draft: &[RuleDraft]) -> Result<Self, Vec<Invalid>> {
        let mut wrong = Vec::new();
        if draft.len() > DRAFT_RULES_MAX {
            wrong.push(Invalid {
                pointer: String::new(),
                code: "too_many",
                detail: format!("must be at most {DRAFT_RULES_MAX}"),
            });
            return Err(wrong);
        }
        let mut next = self.clone();
        for (number, said) in draft.iter().enumerate() {
            let mut place = Place {
                at: format!("/{number}"),
                wrong: &mut wrong,
            };
            if draft.iter().take(number).any(|other| other.rule == said.rule) {
                place.refuse("/rule", "duplicate", "is there already");
                continue;
            }
            match next.0.iter_mut().find(|rule| rule.id == said.rule) {
                Some(rule) => change(rule, said, &mut place),
                None => place.refuse("/rule", "not_found", "is no rule of the bank"),
            }
        }
        for (rule, before) in next.0.iter_mut().zip(&self.0) {
            if rule != before {
                rule.version = before.version.saturating_add(1);
            }
        }
        if wrong.is_empty() { Ok(next) } else { Err(wrong) }
    }

    /// This set with everything set as in another one: how an earlier one is brought back.
    #[must_use]
    pub fn set_as(&self, other: &Self) -> Self {
        let set = |rule: &Rule| {
            let wanted = other.0.iter().find(|wanted| wanted.id == rule.id);
            let mut wanted = wanted.unwrap_or(rule).clone();
            wanted.version = rule.version;
            if wanted != *rule {
                wanted.version = rule.version.saturating_add(1);
            }
            wanted
        };
        Self(self.0.iter().map(set).collect())
    }

    /// What is another in the next set.
    pub fn changes_to(&self, next: &Self) -> Vec<RuleChange> {
        let both = self.0.iter().zip(&next.0);
        both.flat_map(|(before, after)| changes(before, after)).collect()
    }

    /// As it is kept: a line per rule, in the program's order.
    pub fn to_text(&self) -> String {
        let line = |rule: &Rule| {
            format!(
                "{}|{}|{}|{}|{}|{}\n",
                rule.id,
                rule.version,
                rule.mode.name(),
                rule.verdict.name(),
                rule.score,
                rule.conditions()
            )
        };
        self.0.iter().map(line).collect()
    }

    /// Reads what [`Self::to_text`] wrote. A rule that came with a later version of the program is as it came.
    ///
    /// # Errors
    /// [`UnreadableRules`] for a rule that there is not, that looks at something else or is out of bounds. What a rule
    /// looked at in an earlier version of the program is read: whether it counts and what follows is as it was set.
    pub fn from_text(text: &str) -> Result<Self, UnreadableRules> {
        let mut set = Self::default();
        for line in text.lines() {
            let read = read_line(line).ok_or(UnreadableRules)?;
            let known = set.0.iter_mut().find(|rule| rule.id == read.id);
            let known = known.ok_or(UnreadableRules)?;
            let read = of_now(known, read);
            if !is_of_one_form(known, &read) || !is_within_bounds(&read) {
                return Err(UnreadableRules);
            }
            *known = read;
        }
        Ok(set)
    }

    /// SHA-256 of [`Self::to_text`].
    pub fn digest(&self) -> [u8; 32] {
        digest_of(&self.to_text())
    }

    /// As [`Self::digest`], of the text of a set, whether or not this program can read it.
    pub fn digest_of(text: &str) -> [u8; 32] {
        digest_of(text)
    }

    /// Reads what was kept with its digest.
    ///
    /// # Errors
    /// As [`Self::from_text`], and where the text is another one than that of the digest.
    pub fn from_kept(text: &str, digest: &[u8; 32]) -> Result<Self, UnreadableRules> {
        if digest_of(text) == *digest {
            Self::from_text(text)
        } else {
            Err(UnreadableRules)
        }
    }
}

fn digest_of(text: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"strongroom/fraud-rules/v1\n")
        .chain_update(text)
        .finalize()
        .into()
}

fn read_line(line: &str) -> Option<Rule> {
    let mut parts = line.split('|');
    let (id, version, mode) = (parts.next()?, parts.next()?, parts.next()?);
    let (verdict, score, when) = (parts.next()?, parts.next()?, parts.next()?);
    let read = Rule::new(
        id,
        version.parse().ok()?,
        when,
        Verdict::parse(verdict)?,
        score.parse().ok()?,
        RuleMode::parse(mode)?,
    );
    read.ok().filter(|_| parts.next().is_none())
}

/// A rule of an earlier form with the conditions of now, under the next version.
fn of_now(known: &Rule, read: Rule) -> Rule {
    let of_old = former(&known.id).any(|when| {
        let old = Rule {
            when,
            ..known.clone()
        };
        is_of_one_form(&old, &read)
    });
    if !of_old {
        return read;
    }
    Rule {
        when: known.when.clone(),
        version: read.version.saturating_add(1),
        ..read
    }
}

/// Whether they differ in what a bank may set alone.
fn is_of_one_form(rule: &Rule, other: &Rule) -> bool {
    let alike = |(one, other): (&Condition, &Condition)| {
        let fixed = one.parameter().is_none();
        (one.measure, one.is) == (other.measure, other.is) && (!fixed || one.number == other.number)
    };
    rule.when.len() == other.when.len() && rule.when.iter().zip(&other.when).all(alike)
}

fn is_within_bounds(rule: &Rule) -> bool {
    let relied_on = rule.mode == RuleMode::Enforce && rule.verdict >= Verdict::Review;
    rule.verdict != Verdict::Allow
        && (relied_on || !rule.is_relied_on())
        && rule
            .parameters()
            .all(|parameter| (parameter.bounds.min..=parameter.bounds.max).contains(&parameter.value))
}

/// Where in a draft something is looked at.
struct Place<'a> {
    at: String,
    wrong: &'a mut Vec<Invalid>,
}

impl Place<'_> {
    fn refuse(&mut self, below: &str, code: &'static str, detail: &str) {
        self.wrong.push(Invalid {
            pointer: format!("{}{below}", self.at),
            code,
            detail: detail.to_owned(),
        });
    }
}

fn change(rule: &mut Rule, said: &RuleDraft, place: &mut Place<'_>) {
    let relied_on = rule.is_relied_on();
    if let Some(name) = &said.mode {
        match RuleMode::parse(name) {
            Some(RuleMode::Off | RuleMode::Shadow) if relied_on => {
                place.refuse(
                    "/mode",
                    "rule_relied_on",
                    "must be enforce: others rely on this rule",
                );
            }
            Some(mode) => rule.mode = mode,
            None => place.refuse("/mode", "invalid_value", "must be enforce, shadow or off"),
        }
    }
    if let Some(name) = &said.verdict {
        match Verdict::parse(name) {
            Some(Verdict::StepUp) if relied_on => {
                let detail = "must be review or refuse: others rely on this rule";
                place.refuse("/verdict", "rule_relied_on", detail);
            }
            Some(verdict) if verdict != Verdict::Allow => rule.verdict = verdict,
            _ => place.refuse("/verdict", "invalid_value", "must be step_up, review or refuse"),
        }
    }
    if let Some(score) = said.score {
        match u32::try_from(score) {
            Ok(score) if score <= SCORE_MAX => rule.score = score,
            _ => {
                let detail = format!("must lie between 0 and {SCORE_MAX}");
                place.refuse("/score", "out_of_range", &detail);
            }
        }
    }
    if said.parameters.len() > DRAFT_PARAMETERS_MAX {
        let detail = format!("must be at most {DRAFT_PARAMETERS_MAX}");
        place.refuse("/parameters", "too_many", &detail);
        return;
    }
    for (number, (name, value)) in said.parameters.iter().enumerate() {
        let at = format!("/parameters/{number}");
        let before = said.parameters.iter().take(number);
        if before.into_iter().any(|(other, _)| other == name) {
            place.refuse(&format!("{at}/name"), "duplicate", "is there already");
            continue;
        }
        set_parameter(rule, name, *value, &at, place);
    }
}

fn set_parameter(rule: &mut Rule, name: &str, value: i64, at: &str, place: &mut Place<'_>) {
    let mut settable = rule.when.iter_mut().filter_map(|condition| {
        let parameter = condition.parameter()?;
        Some((condition, parameter))
    });
    let found = settable.find(|(_, parameter)| parameter.measure.name() == name);
    let Some((condition, parameter)) = found else {
        place.refuse(&format!("{at}/name"), "not_found", "is no parameter of this rule");
        return;
    };
    let Threshold { unit, min, max } = parameter.bounds;
    if (min..=max).contains(&value) {
        condition.number = value;
    } else {
        let detail = format!("must lie between {min} and {max} ({unit})");
        place.refuse(&format!("{at}/value"), "out_of_range", &detail);
    }
}

fn changes(before: &Rule, after: &Rule) -> Vec<RuleChange> {
    let mut found = Vec::new();
    let mut note = |field, before_text: String, after_text: String, weaker| {
        if before_text != after_text {
            found.push(RuleChange {
                rule: before.id.clone(),
                field,
                before: before_text,
                after: after_text,
                weaker,
            });
        }
    };
    note(
        "mode",
        before.mode.name().to_owned(),
        after.mode.name().to_owned(),
        after.mode < before.mode,
    );
    note(
        "verdict",
        before.verdict.name().to_owned(),
        after.verdict.name().to_owned(),
        after.verdict < before.verdict,
    );
    note(
        "score",
        before.score.to_string(),
        after.score.to_string(),
        after.score < before.score,
    );
    for (one, other) in before.parameters().zip(after.parameters()) {
        let weaker = if one.is == "at_least" {
            other.value > one.value
        } else {
            other.value < one.value
        };
        note(
            one.measure.name(),
            one.value.to_string(),
            other.value.to_string(),
            weaker,
        );
    }
    found
}

#[cfg(test)]
mod tests;
