//! What rules about fraud and trials of drafts have in common on the wire.

use strongroom_api::fraud_rules as wire;
use strongroom_app::money::fraud_rules::{RuleChange, RuleDraft};

/// The number of a set or a trial in the path. What is no number is that of none: whoever may not look is told so
/// first.
pub(super) fn number_of(text: &str) -> i64 {
    text.parse().unwrap_or(-1)
}

/// What is to be another of a set.
pub(super) fn drafts(rules: Vec<wire::SetFraudRule>) -> Vec<RuleDraft> {
    let draft = |rule: wire::SetFraudRule| RuleDraft {
        rule: rule.rule,
        mode: rule.mode,
        verdict: rule.verdict,
        score: rule.score,
        parameters: rule
            .parameters
            .into_iter()
            .map(|parameter| (parameter.name, parameter.value))
            .collect(),
    };
    rules.into_iter().map(draft).collect()
}

/// What a draft changes.
pub(super) fn change(change: RuleChange) -> wire::FraudRuleChange {
    wire::FraudRuleChange {
        rule: change.rule,
        field: change.field.to_owned(),
        before: change.before,
        after: change.after,
        weaker: change.weaker,
    }
}
