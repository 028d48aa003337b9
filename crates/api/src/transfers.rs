//! Transfers, deposits and withdrawals on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::money::Money;

/// Body of `POST /transfers`. Name the payee by exactly one of `to_account_id` and `to_account_number`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from_account_id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9", "to_account_number": "DE02100100100006820101",
    "amount": {"amount": 1250, "currency": "EUR"}, "description": "Lunch"}))]
pub struct CreateTransfer {
    /// The account debited: one of yours.
    pub from_account_id: String,
    /// The account credited, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_account_id: Option<String>,
    /// The account credited, by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_account_number: Option<String>,
    /// How much: 1 to 10¹⁵ minor units, in the currency of the account debited.
    pub amount: Money,
    /// Free text, up to 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "tfr_01jd3vw4ezfkx8y0q4sfcmj2t9", "state": "posted",
    "from_account_id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9", "to_account_id": "acct_01jd3vw5m2e8qtw2j3k4v5x6y7",
    "amount": {"amount": 1250, "currency": "EUR"}, "description": "Lunch", "created_at": "2026-11-20T12:01:00.000000Z"}))]
pub struct Transfer {
    /// Its id; `GET /receipts/{id}` proves it.
    pub id: String,
    /// `posted`: it is in the books. `pending_review`: its money is reserved until the bank has looked at it; then it
    /// is `posted`, `rejected`, `expired`, or `cancelled` by you.
    pub state: String,
    /// The account debited.
    pub from_account_id: String,
    /// The account credited.
    pub to_account_id: String,
    /// How much.
    pub amount: Money,
    /// Free text.
    pub description: Option<String>,
    /// When it was booked.
    pub created_at: String,
    /// Present and true when this was a dry run: nothing was booked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// The contra movement that took this one back; only where one transfer is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reversed_by: Option<String>,
    /// The movement that this one takes back; only where one transfer is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverses: Option<String>,
}

/// How the transfers of a batch hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchMode {
    /// All are booked or none is.
    Atomic,
    /// Each is decided on its own.
    Independent,
}

/// Body of `POST /transfers/batch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"mode": "atomic", "transfers": [{"from_account_id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9",
    "to_account_number": "DE02100100100006820101", "amount": {"amount": 1250, "currency": "EUR"}}]}))]
pub struct CreateBatch {
    /// Whether one refusal refuses all.
    pub mode: BatchMode,
    /// 1 to 1,000 transfers, booked in this order in one commit.
    pub transfers: Vec<CreateTransfer>,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Batch {
    /// An answer for each transfer, in their order.
    pub results: Vec<BatchResult>,
}

/// What became of one transfer of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"status": "refused", "problem": {"type": "urn:strongroom:error:insufficient_funds",
    "code": "insufficient_funds", "title": "The available balance does not suffice", "status": 422,
    "detail": "The available balance is not enough.", "request_id": "req_01jd3vw4ezfkx8y0q4sfcmj2t9"}}))]
pub struct BatchResult {
    /// `posted`; `pending_review` where its money is reserved until somebody of the bank looked at it; `refused`. In a
    /// repetition what became of it since: `rejected`, `cancelled` or `expired`.
    pub status: String,
    /// The transfer, where it was not refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    /// Why it was refused: the document that it would have got alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<crate::Problem>,
}

/// Body of `POST /deposits` and `POST /withdrawals`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"account_id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9", "amount": {"amount": 5000, "currency": "EUR"},
    "reference": "Slip 1042", "value_date": "2026-11-20"}))]
pub struct MoveCash {
    /// The customer's account.
    pub account_id: String,
    /// How much: 1 to 10¹⁵ minor units.
    pub amount: Money,
    /// What the slip says, up to 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The day it counts for, `YYYY-MM-DD`; the day of booking when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_date: Option<String>,
}

/// A deposit or withdrawal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "dep_01jd3vw4ezfkx8y0q4sfcmj2t9", "state": "posted", "account_id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9",
    "amount": {"amount": 5000, "currency": "EUR"}, "reference": "Slip 1042", "value_date": "2026-11-20",
    "created_at": "2026-11-20T12:01:00.000000Z"}))]
pub struct CashMovement {
    /// Its id; `GET /receipts/{id}` proves it.
    pub id: String,
    /// `posted`: it is in the books.
    pub state: String,
    /// The customer's account.
    pub account_id: String,
    /// How much.
    pub amount: Money,
    /// What the slip says.
    pub reference: Option<String>,
    /// The day it counts for.
    pub value_date: String,
    /// When it was booked.
    pub created_at: String,
}
