//! Rules about fraud: what is in force, drafts of it, and asking for another set to be in force.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A number of a rule that the bank may set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"name": "out_hour", "is": "at_least", "value": 60, "unit": "count", "min": 1, "max": 1000,
    "default": 60}))]
pub struct FraudParameter {
    /// What is measured and held against it.
    pub name: String,
    /// Whether what is measured has to be `at_least` or `at_most` the number.
    pub is: String,
    /// The number.
    pub value: i64,
    /// `hundredths` of a unit of the currency, `percent`, `permille`, `count`, `minutes` or `days`.
    pub unit: String,
    /// Least.
    pub min: i64,
    /// Most.
    pub max: i64,
    /// What comes with the program.
    pub default: i64,
}

/// A rule as it is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"rule": "velocity_sustained", "version": 1, "mode": "enforce", "verdict": "review",
    "score": 60, "relied_on": false, "conditions": "program = 0 and out_hour >= 60 and out_hour_amount >= 2000000",
    "parameters": [{"name": "out_hour", "is": "at_least", "value": 60, "unit": "count", "min": 1, "max": 1000, "default": 60},
    {"name": "out_hour_amount", "is": "at_least", "value": 2000000, "unit": "hundredths", "min": 1, "max": 1000000000,
    "default": 2000000}]}))]
pub struct FraudRule {
    /// Its name.
    pub rule: String,
    /// Goes up with every change of it; what was found names it beside the rule.
    pub version: u32,
    /// `enforce`: it counts; `shadow`: it is counted and nothing follows; `off`: it is not asked.
    pub mode: String,
    /// What follows: `step_up`, `review` or `refuse`.
    pub verdict: String,
    /// What it adds where several rules are met, 0 to 100: from 100 together on a movement is looked at.
    pub score: u32,
    /// Whether it is always enforced and no milder than a look.
    pub relied_on: bool,
    /// All of what must hold.
    pub conditions: String,
    /// The numbers in it that the bank may set.
    pub parameters: Vec<FraudParameter>,
}

/// The rules in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FraudRules {
    /// Which set, and how it came in force.
    #[serde(flatten)]
    pub summary: FraudRulesSummary,
    /// What is done about what rules find: `enforce`, `shadow` or `off`. A setting of the server.
    pub bank_mode: String,
    /// Every rule; empty where the set cannot be read, and everything is looked at.
    pub rules: Vec<FraudRule>,
}

/// A set of rules, and how it came in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"revision": 3, "digest": "5f2b", "maker_id": "user_01kaggvh4tfs8rm9wpsh5d0a3e",
    "checker_id": "user_01kaggvh4tfs8rm9wpsh5d0a3f", "approval_id": "appr_01jd3vw4ezfkx8y0q4sfcmj2t9", "restores": null,
    "reason": "Many small payments in December.", "in_force_since": "2026-11-20T12:01:00.000000Z"}))]
pub struct FraudRulesSummary {
    /// 0 for the set that comes with the program.
    pub revision: i64,
    /// Digest of the set, as the request and the log name it.
    pub digest: String,
    /// Who asked for it.
    pub maker_id: Option<String>,
    /// Who approved it.
    pub checker_id: Option<String>,
    /// The request that was approved.
    pub approval_id: Option<String>,
    /// The earlier set that was brought back, where it is one.
    pub restores: Option<i64>,
    /// Why.
    pub reason: Option<String>,
    /// Since when, or since when it was.
    pub in_force_since: Option<String>,
}

/// One set of rules, in force or not any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FraudRulesRevision {
    /// Which set, and how it came in force.
    #[serde(flatten)]
    pub summary: FraudRulesSummary,
    /// Every rule; empty where the set cannot be read.
    pub rules: Vec<FraudRule>,
    /// What it changed of the set before it.
    pub changes: Vec<FraudRuleChange>,
}

/// Something about a rule that is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"rule": "velocity", "field": "out_hour", "before": "15", "after": "20", "weaker": true}))]
pub struct FraudRuleChange {
    /// Of which rule.
    pub rule: String,
    /// `mode`, `verdict`, `score`, or the name of a parameter.
    pub field: String,
    /// As it was.
    pub before: String,
    /// As it is, or would be.
    pub after: String,
    /// Whether less is met by it, or what is met has less of a consequence.
    pub weaker: bool,
}

/// A number that is to be another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "out_hour", "value": 20}))]
pub struct SetFraudParameter {
    /// Which.
    pub name: String,
    /// The number, within the bounds of the parameter.
    pub value: i64,
}

/// What is to be another about a rule; what is absent stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rule": "velocity", "mode": "shadow", "parameters": [{"name": "out_hour", "value": 20}]}))]
pub struct SetFraudRule {
    /// Of which rule.
    pub rule: String,
    /// `enforce`, `shadow` or `off`.
    pub mode: Option<String>,
    /// `step_up`, `review` or `refuse`.
    pub verdict: Option<String>,
    /// 0 to 100.
    pub score: Option<i64>,
    /// Numbers.
    #[serde(default)]
    pub parameters: Vec<SetFraudParameter>,
}

/// Body of `POST /admin/fraud/rules/validate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rules": [{"rule": "velocity", "parameters": [{"name": "out_hour", "value": 20}]}]}))]
pub struct FraudRulesDraft {
    /// What is to be another of the rules in force, at most 64.
    pub rules: Vec<SetFraudRule>,
}

/// Body of `POST /admin/fraud/rules/proposals`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"base_revision": 3, "reason": "Many small payments in December.",
    "rules": [{"rule": "velocity", "parameters": [{"name": "out_hour", "value": 20}]}]}))]
pub struct FraudRulesProposal {
    /// The set that you looked at; refused where another one is in force by now.
    pub base_revision: Option<i64>,
    /// Why, for whoever decides: one line of at most 500 characters.
    pub reason: String,
    /// What is to be another of the rules in force, at most 64.
    pub rules: Vec<SetFraudRule>,
    /// Why it should come in force although it did not run beside the rules in force for long enough, for whoever
    /// decides: one line of at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untried_reason: Option<String>,
}

/// Body of `POST /admin/fraud/rules/trials`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"base_revision": 3, "reason": "Would fewer salaries wait?",
    "rules": [{"rule": "velocity", "parameters": [{"name": "out_hour", "value": 20}]}]}))]
pub struct StartFraudTrial {
    /// The set that you looked at; refused where another one is in force by now.
    pub base_revision: Option<i64>,
    /// Why: one line of at most 500 characters.
    pub reason: String,
    /// What is another in the draft than in the rules in force, at most 64.
    pub rules: Vec<SetFraudRule>,
}

/// A draft of the rules that runs or ran beside the set in force, of which nothing follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"trial": 4, "base_revision": 3, "digest": "5f2b", "state": "running",
    "maker_id": "user_01kaggvh4tfs8rm9wpsh5d0a3e", "reason": "Would fewer salaries wait?",
    "started_at": "2026-11-20T12:01:00.000000Z", "ended_at": null, "tried_from": "2026-11-21T12:01:00.000000Z",
    "tried": false, "judged": 830, "differing": 12, "kept": 12}))]
pub struct FraudTrial {
    /// Its number, 1 for the first.
    pub trial: i64,
    /// Number of the set in force beside which it runs; it ends with it.
    pub base_revision: i64,
    /// Digest of the set that the draft would make.
    pub digest: String,
    /// `running` or `ended`.
    pub state: String,
    /// Who began it.
    pub maker_id: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub started_at: String,
    /// Until when; null while it runs.
    pub ended_at: Option<String>,
    /// From when on it has run for long enough, as far as time goes.
    pub tried_from: String,
    /// Whether it has run for long enough, in time and in payments, to be asked for without a reason why not.
    pub tried: bool,
    /// Payments, transfers and holds that both sets were asked about.
    pub judged: i64,
    /// Those of them of which something else would have followed.
    pub differing: i64,
    /// How many of these can be read one by one, 10,000 at most.
    pub kept: i64,
}

/// What a draft would have done otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FraudTrialReport {
    /// The trial.
    #[serde(flatten)]
    pub trial: FraudTrial,
    /// What the draft changes of the set that it ran beside.
    pub changes: Vec<FraudRuleChange>,
    /// How often what was asked for by both.
    pub verdicts: Vec<FraudTrialVerdict>,
    /// How often each rule that was met was met.
    pub rules: Vec<FraudTrialRule>,
}

/// How often the set in force asked for one thing and the draft for another, or the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"in_force": "review", "draft": "allow", "times": 12}))]
pub struct FraudTrialVerdict {
    /// `allow`, `step_up`, `review` or `refuse`.
    pub in_force: String,
    /// As well.
    pub draft: String,
    /// How often.
    pub times: i64,
}

/// How often a rule was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"rule": "velocity", "in_force": 14, "draft": 2}))]
pub struct FraudTrialRule {
    /// Its name.
    pub rule: String,
    /// As it is in force.
    pub in_force: i64,
    /// As it is drafted.
    pub draft: i64,
}

/// A payment, transfer or hold of which something else would have followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"transaction_id": "txn_01jd3vw4ezfkx8y0q4sfcmj2t9", "at": "2026-11-20T12:01:00.000000Z",
    "in_force": "review", "draft": "allow", "in_force_rules": ["drain/1"], "draft_rules": []}))]
pub struct FraudTrialDifference {
    /// Its id, as that of a transaction; of a hold the same bytes.
    pub transaction_id: String,
    /// When.
    pub at: String,
    /// What the set in force asked for.
    pub in_force: String,
    /// What the draft would have asked for.
    pub draft: String,
    /// The rules that it met in force, with their versions.
    pub in_force_rules: Vec<String>,
    /// The rules that it would have met in the draft.
    pub draft_rules: Vec<String>,
}

/// Body of `POST /admin/fraud/rules/revisions/{revision}/restore`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "Too many honest payments waited."}))]
pub struct RestoreFraudRules {
    /// Why, for whoever decides: one line of at most 500 characters.
    pub reason: String,
}

/// What a draft would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"base_revision": 3, "digest": "5f2b", "changes": [{"rule": "velocity", "field": "out_hour",
    "before": "15", "after": "20", "weaker": true}]}))]
pub struct FraudRulesDifference {
    /// Number of the set in force, which it would change.
    pub base_revision: i64,
    /// Digest of the set that it would make.
    pub digest: String,
    /// Against what is in force.
    pub changes: Vec<FraudRuleChange>,
}
