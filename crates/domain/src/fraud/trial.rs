//! A draft of the rules that runs beside the set in force: what would follow from it, of which nothing does.

use super::{Judgement, Rule, RuleMode, RuleSet, SCORE_REVIEW, Verdict};
use crate::fraud::measure::Scene;

/// What the rules that count come to, whether or not the bank enforces them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What they ask for.
    pub verdict: Verdict,
    /// Sum of their scores.
    pub score: u32,
    /// Which ones were met: `id/version`, separated by commas.
    pub rules: String,
}

impl Default for Outcome {
    fn default() -> Self {
        Self {
            verdict: Verdict::Allow,
            score: 0,
            rules: String::new(),
        }
    }
}

impl Outcome {
    fn meet(&mut self, rule: &Rule) {
        self.verdict = self.verdict.max(rule.verdict);
        self.score = self.score.saturating_add(rule.score);
        if !self.rules.is_empty() {
            self.rules.push(',');
        }
        self.rules.push_str(&rule.id);
        self.rules.push('/');
        self.rules.push_str(&rule.version.to_string());
    }

    fn settled(mut self) -> Self {
        if self.score >= SCORE_REVIEW {
            self.verdict = self.verdict.max(Verdict::Review);
        }
        self
    }
}

/// One movement under both sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Number of the trial.
    pub trial: i64,
    /// What the set in force comes to.
    pub in_force: Outcome,
    /// What the draft would come to.
    pub draft: Outcome,
}

impl Compared {
    /// Whether another thing would follow.
    pub fn differs(&self) -> bool {
        self.in_force.verdict != self.draft.verdict
    }
}

/// A draft that runs beside the set in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    number: i64,
    pairs: Vec<Pair>,
}

/// A rule as it is in force and as it is drafted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair {
    now: Rule,
    then: Rule,
    /// Whether the draft meets it where the set in force does.
    same: bool,
}

impl Trial {
    /// A draft beside what is in force. Both are sets of this program, so their rules stand in the same order.
    pub fn of(number: i64, now: &RuleSet, draft: &RuleSet) -> Self {
        let both = now.rules().iter().zip(draft.rules());
        let pair = |(now, then): (&Rule, &Rule)| Pair {
            now: now.clone(),
            then: then.clone(),
            same: now.mode != RuleMode::Off && now.when == then.when,
        };
        Self {
            number,
            pairs: both.map(pair).collect(),
        }
    }

    /// Its number.
    pub const fn number(&self) -> i64 {
        self.number
    }

    /// Holds a movement that was judged by the set in force against the draft as well. Only rules with other numbers
    /// are asked anew.
    pub fn compare(&self, judged: &Judgement, scene: &Scene<'_>) -> Compared {
        let met = |rule: &Rule| {
            let mut names = judged.reasons.iter().chain(&judged.would);
            names.any(|(id, _)| *id == rule.id)
        };
        let (mut in_force, mut draft) = (Outcome::default(), Outcome::default());
        for pair in &self.pairs {
            let before = met(&pair.now);
            if before && pair.now.mode == RuleMode::Enforce {
                in_force.meet(&pair.now);
            }
            let counts = pair.then.mode == RuleMode::Enforce;
            if counts && (if pair.same { before } else { pair.then.meets(scene) }) {
                draft.meet(&pair.then);
            }
        }
        Compared {
            trial: self.number,
            in_force: in_force.settled(),
            draft: draft.settled(),
        }
    }
}
