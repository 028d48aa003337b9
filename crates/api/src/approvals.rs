//! What one operator asks for and another decides.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{api_keys::ApiKeyMade, auth::SecretText};

/// Body of `POST /admin/users`: an operator to be made, once another administrator agrees.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "tom@bank.example", "full_name": "Tom Teller", "role": "teller"}))]
pub struct NewOperator {
    /// The address to log in with.
    pub email: String,
    /// The name, 1 to 100 characters.
    pub full_name: String,
    /// `admin`, `teller`, `support`, `compliance` or `auditor`.
    pub role: String,
}

/// Something waits for somebody else's decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"approval_id": "appr_01kaggvh4tfs8rm9wpsh5d0a3e"}))]
pub struct ApprovalRequested {
    /// To be decided at `/admin/approvals`.
    pub approval_id: String,
}

/// A request that somebody else decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "appr_01kaggvh4tfs8rm9wpsh5d0a3e", "action": "user.create", "state": "open",
    "maker_id": "user_01kaggvh4tfs8rm9wpsh5d0a3e", "rule": {"makers": ["admin"], "checkers": ["admin"], "over": null},
    "request": {"email": "tom@bank.example", "full_name": "Tom Teller", "role": "teller"},
    "digest": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "created_at": "2026-11-20T09:15:00Z", "expires_at": "2026-11-27T09:15:00Z",
    "checker_id": null, "decided_at": null, "reason": null}))]
pub struct Approval {
    /// The id.
    pub id: String,
    /// What would be done.
    pub action: String,
    /// `open`, `approved`, `rejected` or `expired`.
    pub state: String,
    /// Who asks; `null` for whoever holds the data directory.
    pub maker_id: Option<String>,
    /// Who asks and who decides, as it was when it was asked for.
    pub rule: ApprovalRule,
    /// What exactly; `null` once it is decided.
    #[schema(value_type = Option<Object>)]
    pub request: Option<serde_json::Value>,
    /// Hexadecimal digits: salted SHA-256 of what exactly. That and nothing else is executed.
    pub digest: String,
    /// When it was asked for.
    pub created_at: String,
    /// Until when it may be decided.
    pub expires_at: String,
    /// Who decided.
    pub checker_id: Option<String>,
    /// When it was decided.
    pub decided_at: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// The rule that a request was asked under. What is set differently since changes nothing about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"makers": ["teller"], "checkers": ["teller", "admin"], "over": 1_000_000}))]
pub struct ApprovalRule {
    /// The roles that ask.
    pub makers: Vec<String>,
    /// The roles that decide.
    pub checkers: Vec<String>,
    /// Above how many whole units of the currency it takes two, where that is what makes it.
    pub over: Option<i64>,
}

/// Body of a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "Confirmed by phone."}))]
pub struct Decision {
    /// Why, 1 to 500 characters.
    pub reason: Option<String>,
    /// The `digest` that was seen; another one is refused.
    pub digest: Option<String>,
}

/// An approved request and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Approved {
    /// The request as it is now.
    #[serde(flatten)]
    pub approval: Approval,
    /// For an operator who is new or lost a factor: what has to be handed over. Shown once, good for 24 hours.
    pub operator: Option<PrintedSecrets>,
    /// For a key of one of the bank's own programs: the key and what its requests are signed with. Shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKeyMade>,
    /// For a reversal: the contra movement; for cash: the movement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_id: Option<String>,
}

/// What an operator logs in with for the first time, or for the first time again.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PrintedSecrets {
    /// The operator.
    pub id: String,
    /// The address.
    pub email: String,
    /// To be replaced at the first login.
    #[schema(value_type = String)]
    pub password: SecretText,
    /// To be replaced at the first login.
    #[schema(value_type = String)]
    pub totp_uri: SecretText,
}

/// Body of `POST /transfers/{id}/reversal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "Booked twice by mistake."}))]
pub struct ReversalRequest {
    /// Why, 1 to 500 characters. The checker sees it.
    pub reason: String,
}
