//! Fraud: what is unusual about a movement, and what follows from it.
//!
//! Of each customer and currency there is one row of fixed size ([`Features`]): how much one pays as a rule, at which
//! hours, to whom, how fast, how much comes in and goes out again. A movement together with that row is measured
//! ([`Scene`]), and rules, which are data ([`Rule`]), say what follows: nothing, a fresh factor, a look by somebody of
//! the bank, or no. All of it is arithmetic over whole numbers, so every node decides alike.
//!
//! A row that is missing or cannot be read is no reason to let money go: the movement is looked at.

mod features;
mod measure;
mod recent;
mod rule;
mod rule_set;
mod sketch;
mod trial;
mod window;

use std::{str::FromStr, sync::Arc};

pub use features::{Features, Flow};
pub use measure::{Measure, Scene};
pub use recent::tag_of;
pub use rule::{
    CONDITIONS_CHARS_MAX, CONDITIONS_MAX, Condition, RULE_ID_CHARS_MAX, Rule, RuleError, RuleMode, SCORE_MAX,
    built_in,
};
pub use rule_set::{
    DRAFT_PARAMETERS_MAX, DRAFT_RULES_MAX, Invalid, Parameter, RuleChange, RuleDraft, RuleSet, Threshold,
    UnreadableRules,
};
pub use trial::{Compared, Outcome, Trial};

/// Scores of rules that together are worth a look, whatever each alone asks for.
pub const SCORE_REVIEW: u32 = 100;
/// Most rules at once: bounds what a movement costs.
pub const RULES_MAX: usize = 64;

/// What follows, from the mildest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Nothing.
    Allow,
    /// A fresh factor has to approve it.
    StepUp,
    /// Somebody of the bank looks at it first.
    Review,
    /// It is not done.
    Refuse,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Self; 4] = [Self::Allow, Self::StepUp, Self::Review, Self::Refuse];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::StepUp => "step_up",
            Self::Review => "review",
            Self::Refuse => "refuse",
        }
    }

    /// Reads a stable name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }

    /// The stored number.
    pub const fn number(self) -> i64 {
        match self {
            Self::Allow => 0,
            Self::StepUp => 1,
            Self::Review => 2,
            Self::Refuse => 3,
        }
    }

    /// Reads the stored number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.number() == number)
    }
}

/// What the bank does about fraud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FraudMode {
    /// Verdicts count.
    Enforce,
    /// Verdicts are counted, and nothing follows.
    Shadow,
    /// Nothing is measured.
    #[default]
    Off,
}

/// Neither `enforce`, `shadow` nor `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be enforce, shadow or off")]
pub struct FraudModeError;

impl FraudMode {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

impl FromStr for FraudMode {
    type Err = FraudModeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Enforce, Self::Shadow, Self::Off]
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or(FraudModeError)
    }
}

/// The rules in force.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FraudRules {
    /// What is done about them.
    pub mode: FraudMode,
    /// Number of the set that they are, 0 for the one that comes with the program.
    pub revision: i64,
    /// The rules, at most [`RULES_MAX`].
    pub rules: Vec<Rule>,
    /// A draft that runs beside them, of which nothing follows.
    pub trial: Option<Arc<Trial>>,
}

impl FraudRules {
    /// The rules that come with the bank.
    pub fn built_in(mode: FraudMode) -> Self {
        Self::of(mode, 0, &RuleSet::default())
    }

    /// The rules that the bank has set.
    pub fn of(mode: FraudMode, revision: i64, set: &RuleSet) -> Self {
        Self {
            mode,
            revision,
            rules: set.rules().to_vec(),
            trial: None,
        }
    }

    /// These, with a draft beside them.
    #[must_use]
    pub fn beside(self, trial: Option<Trial>) -> Self {
        Self {
            trial: trial.map(Arc::new),
            ..self
        }
    }

    /// What is in force where the bank's rules cannot be read: everything is looked at.
    pub fn unreadable(mode: FraudMode, revision: i64) -> Self {
        let all = Rule::new(
            "unreadable_rules",
            1,
            "amount >= 0",
            Verdict::Review,
            100,
            RuleMode::Enforce,
        );
        Self {
            mode,
            revision,
            rules: all.into_iter().collect(),
            trial: None,
        }
    }

    /// What follows from what was measured.
    pub fn judge(&self, scene: &Scene<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        if self.mode == FraudMode::Off {
            return judgement;
        }
        let asked = |rule: &&Rule| rule.mode != RuleMode::Off && rule.meets(scene);
        for rule in self.rules.iter().take(RULES_MAX).filter(asked) {
            let named = (rule.id.clone(), rule.version);
            if rule.mode == RuleMode::Enforce && self.mode == FraudMode::Enforce {
                judgement.verdict = judgement.verdict.max(rule.verdict);
                judgement.score = judgement.score.saturating_add(rule.score);
                judgement.reasons.push(named);
            } else {
                judgement.shadow = judgement.shadow.max(rule.verdict);
                judgement.would.push(named);
            }
        }
        if judgement.score >= SCORE_REVIEW {
            judgement.verdict = judgement.verdict.max(Verdict::Review);
        }
        if let Some(trial) = &self.trial {
            judgement.trial = Some(Box::new(trial.compare(&judgement, scene)));
        }
        judgement
    }
}

/// A rule by id and version.
pub type RuleName = (String, u32);

/// What was decided about a movement, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What follows.
    pub verdict: Verdict,
    /// Sum of the scores of the rules that count.
    pub score: u32,
    /// The rules that count and were met.
    pub reasons: Vec<RuleName>,
    /// What would have followed from the rules that only watch.
    pub shadow: Verdict,
    /// Those of them that were met.
    pub would: Vec<RuleName>,
    /// What a draft that runs beside them would have asked for.
    pub trial: Option<Box<Compared>>,
}

impl Default for Judgement {
    fn default() -> Self {
        Self {
            verdict: Verdict::Allow,
            score: 0,
            reasons: Vec::new(),
            shadow: Verdict::Allow,
            would: Vec::new(),
            trial: None,
        }
    }
}

#[cfg(test)]
mod tests;
