//! What was decided, kept.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::policies::Applicable;

/// A recorded decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "dec_01kaggvh4tfs8rm9wpsh5d0a3e", "at": "2026-11-20T09:15:00Z",
    "request_id": "req_01kaggvh4tfs8rm9wpsh5d0a3e", "principal_kind": "user",
    "principal": "user_01kaggvh4tfs8rm9wpsh5d0a3e", "action": "account.freeze", "decision": "deny",
    "policy_version": 2}))]
pub struct RecordedDecision {
    /// The id.
    pub id: String,
    /// When the request arrived.
    pub at: String,
    /// The request.
    pub request_id: String,
    /// `user`, `api_key`, `job` or `cli`.
    pub principal_kind: String,
    /// Who.
    pub principal: Option<String>,
    /// Whose things it was about, where these were somebody else's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What was asked for.
    pub action: String,
    /// `allow` or `deny`.
    pub decision: String,
    /// Why an operator read it, in the operator's words; erased with the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Number of the set that decided.
    pub policy_version: i64,
}

/// A recorded decision, taken again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecidedAgain {
    /// As it was recorded.
    pub recorded: RecordedDecision,
    /// What the same policies decide about the same facts: `allow` or `deny`.
    pub decision: String,
    /// Whether that is the same.
    pub same: bool,
    /// Whether every fact is still known: where a request came from is erased with the person.
    pub complete: bool,
    /// The policies that decide.
    pub reasons: Vec<String>,
    /// The policies that could apply.
    pub applicable: Vec<Applicable>,
    /// The facts that these ask for.
    #[schema(value_type = Object)]
    pub facts: Value,
}

/// What a draft would change about what was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"examined": 2000, "changed": [{"decision_id": "dec_01kaggvh4tfs8rm9wpsh5d0a3e",
    "before": "allow", "after": "deny"}]}))]
pub struct Difference {
    /// How many recorded decisions were looked at: the newest 2000 at most.
    pub examined: usize,
    /// Those that would come out in another way.
    pub changed: Vec<ChangedDecision>,
}

/// A decision that would come out in another way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"decision_id": "dec_01kaggvh4tfs8rm9wpsh5d0a3e", "before": "allow", "after": "deny"}))]
pub struct ChangedDecision {
    /// Which.
    pub decision_id: String,
    /// What the policies in force decide about it.
    pub before: String,
    /// What they would decide with the draft.
    pub after: String,
}
