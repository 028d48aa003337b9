//! Holds on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{money::Money, transfers::BatchMode};

/// Body of `POST /holds`. Name the payee by exactly one of `to_account_id` and `to_account_number`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"account_id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9", "to_account_id": "acct_01jd3vw5m2e8qtw2j3k4v5x6y7",
    "amount": {"amount": 5000, "currency": "EUR"}}))]
pub struct PlaceHold {
    /// The account on which money is reserved: one of yours.
    pub account_id: String,
    /// The account that will be paid, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_account_id: Option<String>,
    /// The account that will be paid, by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_account_number: Option<String>,
    /// How much: 1 to 10¹⁵ minor units, in the currency of the account.
    pub amount: Money,
    /// From this RFC 3339 moment on it reserves nothing: at most 31 days ahead; 7 days when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// Body of `POST /holds/{id}/capture`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": {"amount": 3000, "currency": "EUR"}, "final": true}))]
pub struct CaptureHold {
    /// How much of what remains; all of it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Give back what remains afterwards; `false` when absent.
    #[serde(default, rename = "final")]
    pub last: bool,
}

/// Body of `POST /holds/batch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"mode": "independent", "holds": [{"account_id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9",
    "to_account_id": "acct_01jd3vw5m2e8qtw2j3k4v5x6y7", "amount": {"amount": 5000, "currency": "EUR"}}]}))]
pub struct PlaceHolds {
    /// Whether one refusal refuses all.
    pub mode: BatchMode,
    /// 1 to 1,000 holds, placed in this order in one commit.
    pub holds: Vec<PlaceHold>,
}

/// Body of `POST /holds/batch/capture`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"mode": "independent", "captures": [{"hold_id": "hold_01jd3vw4ezfkx8y0q4sfcmj2t9",
    "amount": {"amount": 3000, "currency": "EUR"}, "final": true}]}))]
pub struct CaptureHolds {
    /// Whether one refusal refuses all.
    pub mode: BatchMode,
    /// 1 to 1,000 captures, paid in this order in one commit; several may be of one hold.
    pub captures: Vec<CaptureOf>,
}

/// One capture of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"hold_id": "hold_01jd3vw4ezfkx8y0q4sfcmj2t9", "amount": {"amount": 3000, "currency": "EUR"},
    "final": true}))]
pub struct CaptureOf {
    /// Out of which hold.
    pub hold_id: String,
    /// How much of what remains; all of it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Give back what remains afterwards; `false` when absent.
    #[serde(default, rename = "final")]
    pub last: bool,
}

/// Body of `POST /holds/batch/void`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"mode": "independent", "hold_ids": ["hold_01jd3vw4ezfkx8y0q4sfcmj2t9"]}))]
pub struct VoidHolds {
    /// Whether one refusal refuses all.
    pub mode: BatchMode,
    /// 1 to 1,000 holds, given back in this order in one commit.
    pub hold_ids: Vec<String>,
}

/// What became of many holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldBatch {
    /// An answer for each item, in their order.
    pub results: Vec<HoldBatchResult>,
}

/// What became of one of many holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"status": "refused", "problem": {"type": "urn:strongroom:error:hold_not_open",
    "code": "hold_not_open", "title": "The hold is no longer open", "status": 409,
    "detail": "The hold is captured, voided or expired.", "request_id": "req_01jd3vw4ezfkx8y0q4sfcmj2t9"}}))]
pub struct HoldBatchResult {
    /// The `state` in which it left the hold, or `refused`.
    pub status: String,
    /// The hold as it was left, where it was not refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Why it was refused: the document that it would have got alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<crate::Problem>,
}

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "hold_01jd3vw4ezfkx8y0q4sfcmj2t9", "state": "partially_captured",
    "account_id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9", "to_account_id": "acct_01jd3vw5m2e8qtw2j3k4v5x6y7",
    "amount": {"amount": 5000, "currency": "EUR"}, "captured": {"amount": 3000, "currency": "EUR"},
    "remaining": {"amount": 2000, "currency": "EUR"}, "created_at": "2026-11-20T12:01:00.000000Z",
    "expires_at": "2026-11-27T12:01:00.000000Z"}))]
pub struct Hold {
    /// Its id.
    pub id: String,
    /// `held`, `partially_captured`, `captured`, `voided` or `expired`.
    pub state: String,
    /// The account on which money is reserved.
    pub account_id: String,
    /// Who gets what is captured.
    pub to_account_id: String,
    /// Reserved at first.
    pub amount: Money,
    /// Paid out of it so far.
    pub captured: Money,
    /// What it still reserves.
    pub remaining: Money,
    /// When it was placed.
    pub created_at: String,
    /// From this moment on it reserves nothing.
    pub expires_at: String,
}
