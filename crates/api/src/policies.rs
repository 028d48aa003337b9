//! Policies of the bank's own: drafts, what they would decide, and asking for them to be in force.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Who would ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "user", "roles": ["teller"]}))]
pub struct Asker {
    /// `user`, `api_key`, `job` or `cli`.
    pub kind: String,
    /// Names of roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Of a key.
    pub scopes: Option<Vec<String>>,
}

/// What it would be about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"owner": "anothers"}))]
pub struct Thing {
    /// `own`, `anothers`, or `bank` for what is nobody's.
    pub owner: String,
}

/// Under which circumstances; what is absent is absent from the decision, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"assurance": 2, "at": "2026-11-20T09:15:00Z"}))]
pub struct Circumstances {
    /// Factors proved: 0, 1 or 2.
    pub assurance: i64,
    /// Whether it was said why this has to be.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reason: bool,
    /// `api`, `web`, `cli` or `job`; `api` when absent.
    pub origin: Option<String>,
    /// When; now when absent.
    pub at: Option<String>,
    /// Where the operator works.
    pub department: Option<String>,
    /// Which department the thing belongs to.
    pub resource_department: Option<String>,
    /// Where the request would come from.
    pub address: Option<String>,
    /// How much would move, in minor units.
    pub amount: Option<i64>,
    /// Of which currency.
    pub currency: Option<String>,
    /// The state of the account.
    pub account_state: Option<String>,
}

/// A request that nobody makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"principal": {"kind": "user", "roles": ["teller"]}, "action": "account.freeze",
    "resource": {"owner": "anothers"}, "context": {"assurance": 2}}))]
pub struct Question {
    /// Who would ask.
    pub principal: Asker,
    /// The name of the action.
    pub action: String,
    /// What it would be about.
    pub resource: Thing,
    /// Under which circumstances.
    #[serde(default)]
    pub context: Circumstances,
}

/// A question with the answer that it must have before the policy may be in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "tellers freeze", "question": {"principal": {"kind": "user", "roles": ["teller"]},
    "action": "account.freeze", "resource": {"owner": "anothers"}, "context": {"assurance": 2}}, "allowed": true}))]
pub struct Case {
    /// What the case shows, 1 to 64 bytes.
    pub name: String,
    /// What is asked.
    pub question: Question,
    /// Whether it must be allowed.
    pub allowed: bool,
}

/// Body of `POST /admin/policies`: a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "office-hours", "text": "forbid (principal in Role::\"teller\", action, resource) \
    unless { context.minute >= 480 && context.minute < 1080 };", "tests": []}))]
pub struct NewPolicy {
    /// What it is called: 1 to 64 lower-case letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// Cedar, at most 131072 bytes.
    pub text: String,
    /// At most 200.
    #[serde(default)]
    pub tests: Vec<Case>,
}

/// Body of `PUT /admin/policies/{id}`: a further text, which is a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"text": "forbid (principal in Role::\"teller\", action, resource) \
    unless { context.minute >= 420 && context.minute < 1080 };"}))]
pub struct NewRevision {
    /// Cedar, at most 131072 bytes.
    pub text: String,
    /// At most 200.
    #[serde(default)]
    pub tests: Vec<Case>,
}

/// A policy as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "pol_01kaggvh4tfs8rm9wpsh5d0a3e", "name": "office-hours", "state": "active",
    "active_revision": 1, "newest_revision": 2, "created_at": "2026-11-20T09:15:00Z"}))]
pub struct PolicySummary {
    /// The id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// `active`, or `draft` where none of its texts is in force.
    pub state: String,
    /// The text in force.
    pub active_revision: Option<i64>,
    /// The newest text.
    pub newest_revision: i64,
    /// When it was first written.
    pub created_at: String,
}

/// One text of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"number": 1, "text": "permit (principal in Role::\"support\", action == \
    Action::\"block.read\", resource) when { context.assurance >= 2 };", "tests": [],
    "digest": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "maker_id": "user_01kaggvh4tfs8rm9wpsh5d0a3e", "created_at": "2026-11-20T09:15:00Z"}))]
pub struct Revision {
    /// 1 for the first.
    pub number: i64,
    /// Cedar.
    pub text: String,
    /// What has to come out as written.
    pub tests: Vec<Case>,
    /// Hexadecimal digits: SHA-256 of text and test cases. A request for approval names it.
    pub digest: String,
    /// Who wrote it; `null` for whoever holds the data directory.
    pub maker_id: Option<String>,
    /// When.
    pub created_at: String,
}

/// A policy with its newest 50 texts, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    /// The policy.
    #[serde(flatten)]
    pub policy: PolicySummary,
    /// Its texts.
    pub revisions: Vec<Revision>,
}

/// Body of `POST /admin/policies/{id}/activate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"revision": 1}))]
pub struct Activation {
    /// The newest text when absent; an earlier one goes back to it.
    pub revision: Option<i64>,
}

/// Whether a draft could be in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"valid": false, "errors": ["not a policy: unexpected end of input"], "tests": []}))]
pub struct Validation {
    /// Nothing is wrong, and every test case comes out as written.
    pub valid: bool,
    /// What is wrong, for its author.
    pub errors: Vec<String>,
    /// The test cases.
    pub tests: Vec<CaseOutcome>,
}

/// How a test case comes out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"name": "tellers freeze", "passed": true}))]
pub struct CaseOutcome {
    /// Which one.
    pub name: String,
    /// Whether as written.
    pub passed: bool,
}

/// Body of `POST /admin/policies/simulate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"principal": {"kind": "user", "roles": ["teller"]}, "action": "account.freeze",
    "resource": {"owner": "anothers"}, "context": {"assurance": 2}}))]
pub struct Simulation {
    /// Who would ask.
    pub principal: Asker,
    /// The name of the action.
    pub action: String,
    /// What it would be about.
    pub resource: Thing,
    /// Under which circumstances.
    #[serde(default)]
    pub context: Circumstances,
    /// A draft that is taken as if it was in force.
    pub draft: Option<NewPolicy>,
}

/// What would be decided, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"allowed": true, "reasons": ["teller.counter"], "failed": false, "policy_version": 1,
    "applicable": [{"name": "teller.counter", "effect": "permit"}], "facts": {"assurance": 2}}))]
pub struct Simulated {
    /// The decision.
    pub allowed: bool,
    /// The policies that decided: the forbids that matched, or else the permits.
    pub reasons: Vec<String>,
    /// Whether a policy could not be evaluated, which decides no.
    pub failed: bool,
    /// Version of the set that was asked.
    pub policy_version: i32,
    /// The policies that could apply to this principal and action.
    pub applicable: Vec<Applicable>,
    /// The facts that these ask for; an absent one is not there.
    #[schema(value_type = Object)]
    pub facts: Value,
}

/// A policy that could apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"name": "teller.counter", "effect": "permit"}))]
pub struct Applicable {
    /// Its name: that of the author's policy in front of its own.
    pub name: String,
    /// `permit` or `forbid`.
    pub effect: String,
}
