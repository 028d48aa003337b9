//! Transfers that wait for a look, as operators see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::money::Money;

/// Body of `POST /admin/reviews/{id}/release` and `…/reject`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "Called the customer: meant."}))]
pub struct ReviewDecision {
    /// Why, 1 to 500 characters; kept sealed.
    pub reason: String,
}

/// What rules found about a movement, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "tfr_01jd3vw4ezfkx8y0q4sfcmj2t9", "state": "pending_review", "verdict": "review",
    "score": 70, "rules": ["new_payee_high_amount/1"], "rules_revision": 0,
    "customer_id": "user_01kaggvh4tfs8rm9wpsh5d0a3e", "from_account_id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9",
    "to_account_id": "acct_01jd3vw5m2e8qtw2j3k4v5x6y7", "amount": {"amount": 500000, "currency": "EUR"},
    "created_at": "2026-11-20T12:01:00.000000Z", "expires_at": "2026-11-23T12:01:00.000000Z", "first_released_by": null,
    "decided_by": null, "decided_at": null, "forgotten_at": null}))]
pub struct Review {
    /// The id of the transfer.
    pub id: String,
    /// `pending_review`, `released`, `rejected`, `cancelled` by who sent it, `expired`, or `noted` where nothing waits.
    pub state: String,
    /// What followed: `step_up`, `review` or `refuse`.
    pub verdict: String,
    /// Sum of the scores of the rules that were met.
    pub score: u32,
    /// The rules that were met, with their versions.
    pub rules: Vec<String>,
    /// Number of the set of rules that it was held against (`/admin/fraud/rules/revisions`).
    pub rules_revision: i64,
    /// Who sent it.
    pub customer_id: String,
    /// The account debited.
    pub from_account_id: String,
    /// The account credited.
    pub to_account_id: String,
    /// How much.
    pub amount: Money,
    /// When it was sent.
    pub created_at: String,
    /// When its money is free again; `null` where nothing waits.
    pub expires_at: Option<String>,
    /// Who released it first, where it takes two.
    pub first_released_by: Option<String>,
    /// Who decided.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<String>,
    /// When the bank forgot which rules were met, because that is not kept for ever.
    pub forgotten_at: Option<String>,
}
