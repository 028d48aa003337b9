//! Rules as data: conditions over measures, and what follows.

use std::{fmt, str::FromStr};

use super::{
    Verdict,
    measure::{Measure, Scene},
};

/// Most characters of a rule's conditions.
pub const CONDITIONS_CHARS_MAX: usize = 500;
/// Most conditions of a rule.
pub const CONDITIONS_MAX: usize = 12;
/// Most characters of a rule's id.
pub const RULE_ID_CHARS_MAX: usize = 40;
/// Highest score of a rule.
pub const SCORE_MAX: u32 = 100;

/// Whether a rule counts, from the mildest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuleMode {
    /// It is not asked.
    Off,
    /// It only watches.
    Shadow,
    /// It counts.
    Enforce,
}

impl RuleMode {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Shadow => "shadow",
            Self::Enforce => "enforce",
        }
    }

    /// Reads a stable name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Off, Self::Shadow, Self::Enforce]
            .into_iter()
            .find(|mode| mode.name() == name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    AtLeast,
    AtMost,
    Exactly,
}

/// A measure held against a number: `new_payee = 1`, `amount >= 50000`, `hour_share <= 10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    pub(super) measure: Measure,
    pub(super) is: Is,
    pub(super) number: i64,
}

/// What is wrong with a rule's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The id is empty, too long, or not of lower-case letters, digits and underscores.
    #[error("must be 1 to 40 lower-case letters, digits or underscores")]
    Id,
    /// There is no such measure.
    #[error("unknown measure")]
    Measure,
    /// Neither `>=`, `<=` nor `=`, or no whole number behind it.
    #[error("must be conditions like `amount >= 50000` joined by `and`")]
    Form,
    /// Too many conditions, or none.
    #[error("must have 1 to 12 conditions")]
    Number,
    /// A score above [`SCORE_MAX`].
    #[error("must be 0 to 100")]
    Score,
}

impl FromStr for Condition {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let mut words = text.split_whitespace();
        let (Some(measure), Some(is), Some(number), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(RuleError::Form);
        };
        Ok(Self {
            measure: Measure::parse(measure).ok_or(RuleError::Measure)?,
            is: match is {
                ">=" => Is::AtLeast,
                "<=" => Is::AtMost,
                "=" => Is::Exactly,
                _ => return Err(RuleError::Form),
            },
            number: number.parse().map_err(|_| RuleError::Form)?,
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = match self.is {
            Is::AtLeast => ">=",
            Is::AtMost => "<=",
            Is::Exactly => "=",
        };
        write!(formatter, "{} {is} {}", self.measure.name(), self.number)
    }
}

impl Condition {
    fn meets(&self, scene: &Scene<'_>) -> bool {
        let measured = self.measure.of(scene);
        match self.is {
            Is::AtLeast => measured >= self.number,
            Is::AtMost => measured <= self.number,
            Is::Exactly => measured == self.number,
        }
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its stable name.
    pub id: String,
    /// Goes up with every change.
    pub version: u32,
    /// What must all hold.
    pub when: Vec<Condition>,
    /// What follows.
    pub verdict: Verdict,
    /// What it adds to the score, 0 to [`SCORE_MAX`].
    pub score: u32,
    /// Whether it counts.
    pub mode: RuleMode,
}

impl Rule {
    /// Reads a rule's parts.
    ///
    /// # Errors
    /// [`RuleError`] for the first part that is wrong.
    pub fn new(
        id: &str,
        version: u32,
        when: &str,
        verdict: Verdict,
        score: u32,
        mode: RuleMode,
    ) -> Result<Self, RuleError> {
        let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if id.is_empty() || id.len() > RULE_ID_CHARS_MAX || !id.bytes().all(named) {
            return Err(RuleError::Id);
        }
        if score > SCORE_MAX {
            return Err(RuleError::Score);
        }
        if when.len() > CONDITIONS_CHARS_MAX {
            return Err(RuleError::Number);
        }
        let when: Vec<Condition> = when.split(" and ").map(str::parse).collect::<Result<_, _>>()?;
        if when.is_empty() || when.len() > CONDITIONS_MAX {
            return Err(RuleError::Number);
        }
        Ok(Self {
            id: id.to_owned(),
            version,
            when,
            verdict,
            score,
            mode,
        })
    }

    /// Whether all its conditions hold.
    pub fn meets(&self, scene: &Scene<'_>) -> bool {
        self.when.iter().all(|condition| condition.meets(scene))
    }

    /// Its conditions as text, as [`Rule::new`] reads them.
    pub fn conditions(&self) -> String {
        let all: Vec<String> = self.when.iter().map(ToString::to_string).collect();
        all.join(" and ")
    }
}

/// Conditions that came with the bank once, by the rule's id: what a bank set of them is read, and their numbers are
/// those of the rule of now.
const FORMER: &[(&str, &str)] = &[
    (
        "velocity",
        "program = 0 and out_10_minutes >= 15 and out_hour >= 15",
    ),
    ("velocity_sustained", "program = 0 and out_hour >= 60"),
    ("card_testing", "small_hour >= 10"),
    ("card_testing_flood", "small_hour >= 30"),
    (
        "kiting",
        "returns = 1 and in_day >= 4 and out_day >= 4 and in_day_amount >= 200000 and passing_percent >= 90",
    ),
    ("refund_abuse", "refunds_week >= 5 and refund_percent >= 60"),
];

/// The conditions that a rule had once.
pub(super) fn former(id: &str) -> impl Iterator<Item = Vec<Condition>> {
    let of_it = FORMER.iter().filter(move |(known, _)| *known == id);
    of_it.filter_map(|(_, when)| when.split(" and ").map(str::parse).collect::<Result<_, _>>().ok())
}

/// The rules that come with the bank: id, conditions, what follows, score.
const BUILT_IN: &[(&str, &str, Verdict, u32)] = &[
    ("unknown_customer", "unknown = 1", Verdict::Review, 100),
    (
        "velocity",
        "program = 0 and out_10_minutes >= 15 and out_hour >= 15 and new_payees_day >= 10 and out_hour_amount >= 250000",
        Verdict::StepUp,
        50,
    ),
    (
        "velocity_amount",
        "program = 0 and out_10_minutes >= 15 and out_hour_amount >= 1500000",
        Verdict::StepUp,
        50,
    ),
    (
        "velocity_sustained",
        "program = 0 and out_hour >= 60 and out_hour_amount >= 2000000",
        Verdict::Review,
        60,
    ),
    (
        "unusual_amount",
        "history >= 8 and amount >= 20000 and amount_percent >= 2000 and top_percent >= 300",
        Verdict::StepUp,
        50,
    ),
    (
        "new_payee_high_amount",
        "new_payee = 1 and history >= 8 and amount >= 50000 and amount_percent >= 1500 and top_percent >= 200",
        Verdict::Review,
        70,
    ),
    (
        "structuring",
        "near_day >= 3 and out_day_amount >= 2400000",
        Verdict::Review,
        70,
    ),
    (
        "odd_hour",
        "history >= 20 and hour_share <= 10 and amount >= 20000 and amount_percent >= 400",
        Verdict::StepUp,
        40,
    ),
    (
        "impossible_travel",
        "new_network = 1 and network_minutes <= 120 and amount >= 20000 and new_payee = 1",
        Verdict::StepUp,
        60,
    ),
    (
        "dormant_account",
        "idle_days >= 180 and amount >= 50000 and new_payee = 1",
        Verdict::Review,
        60,
    ),
    (
        "drain",
        "new_payee = 1 and history >= 8 and drain_percent >= 90 and amount >= 50000 and amount_percent >= 500",
        Verdict::Review,
        60,
    ),
    (
        "drain_in_parts",
        "new_payees_day >= 4 and out_hour >= 4 and history >= 8 and amount >= 20000 and amount_percent >= 300",
        Verdict::Review,
        60,
    ),
    (
        "mule_in_and_out",
        "new_payee = 1 and age_days <= 90 and in_day_amount >= 500000 and passing_percent >= 80",
        Verdict::Review,
        70,
    ),
    (
        "payee_scam",
        "new_payee = 1 and payee_new_payers_day >= 12 and payee_age_days <= 30 and amount >= 10000",
        Verdict::Review,
        60,
    ),
    (
        "card_testing",
        "small_hour >= 10 and age_days >= 1 and amount_percent <= 10",
        Verdict::StepUp,
        50,
    ),
    (
        "card_testing_flood",
        "small_hour >= 30 and age_days >= 1 and amount_percent <= 10",
        Verdict::Refuse,
        100,
    ),
    (
        "kiting",
        "returns = 1 and in_day >= 4 and out_day >= 4 and in_day_amount >= 200000 and passing_percent >= 90 and age_days >= 1",
        Verdict::Review,
        70,
    ),
    (
        "refund_abuse",
        "refunds_week >= 5 and refund_percent >= 60 and age_days >= 1",
        Verdict::StepUp,
        50,
    ),
    (
        "takeover_new_payee",
        "floor = 1 and new_payee = 1",
        Verdict::Review,
        80,
    ),
];

/// The rules that come with the bank.
pub fn built_in() -> Vec<Rule> {
    let read = |(id, when, verdict, score): &(&str, &str, Verdict, u32)| {
        Rule::new(id, 1, when, *verdict, *score, RuleMode::Enforce).ok()
    };
    // A rule that cannot be read would be missing in silence: a test holds that none is.
    BUILT_IN.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_the_bank_is_read_and_written_alike() {
        let rules = built_in();
        assert_eq!(rules.len(), BUILT_IN.len());
        for (rule, (id, when, ..)) in rules.iter().zip(BUILT_IN) {
            assert_eq!((rule.id.as_str(), rule.conditions().as_str()), (*id, *when));
        }
        for (id, _) in FORMER {
            assert!(rules.iter().any(|rule| rule.id == *id));
            assert_eq!(former(id).count(), 1);
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        let read = |id: &str, when: &str, score| {
            Rule::new(id, 1, when, Verdict::Review, score, RuleMode::Enforce).err()
        };
        assert_eq!(read("a", "amount >= 1", 100), None);
        assert_eq!(read("", "amount >= 1", 1), Some(RuleError::Id));
        assert_eq!(read("A b", "amount >= 1", 1), Some(RuleError::Id));
        assert_eq!(read("a", "wealth >= 1", 1), Some(RuleError::Measure));
        for text in [
            "",
            "amount",
            "amount > 1",
            "amount >= 1.5",
            "amount >= 1 or amount >= 2",
        ] {
            assert_eq!(read("a", text, 1), Some(RuleError::Form), "{text}");
        }
        assert_eq!(read("a", "amount >= 1", 101), Some(RuleError::Score));
        let many = vec!["amount >= 1"; CONDITIONS_MAX + 1].join(" and ");
        assert_eq!(read("a", &many, 1), Some(RuleError::Number));
    }
}
