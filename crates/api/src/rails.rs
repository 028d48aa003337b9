//! Payments on their way to other banks, what these say, and what nobody could place, as operators see it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::money::Money;

/// A file of payments that was released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "rfile_01jd3vw4ezfkx8y0q4sfcmj2t9", "name": "rfile_01jd3vw4ezfkx8y0q4sfcmj2t9.pain001.xml",
    "approval_id": "appr_01kaggvh4tfs8rm9wpsh5d0a3e", "payments": 12, "total": {"amount": 125000, "currency": "EUR"},
    "digest": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "released_at": "2026-11-20T12:01:00.000000Z", "delivered_at": null}))]
pub struct RailFile {
    /// The id, which is the name of the message, too.
    pub id: String,
    /// The name of the file.
    pub name: String,
    /// The request that it was released by.
    pub approval_id: String,
    /// How many payments.
    pub payments: u64,
    /// Their sum.
    pub total: Money,
    /// Hexadecimal digits: SHA-256 of its bytes.
    pub digest: String,
    /// When it was released.
    pub released_at: String,
    /// When it lay where it is fetched.
    pub delivered_at: Option<String>,
}

/// Money that nobody could place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "susp_01jd3vw4ezfkx8y0q4sfcmj2t9", "state": "open", "direction": "credit",
    "amount": {"amount": 12500, "currency": "EUR"}, "reason": "unknown_account", "reference": "2026112000017",
    "end_to_end_id": "NOTPROVIDED", "account_number": "DE89100000000000000017", "name": "C. Example",
    "remittance": "invoice 17", "created_at": "2026-11-20T12:01:00.000000Z", "resolved_by": null, "approval_id": null,
    "resolved_at": null}))]
pub struct SuspenseItem {
    /// The id.
    pub id: String,
    /// `open` or `resolved`.
    pub state: String,
    /// `credit` for what came to the bank, `debit` for what went.
    pub direction: String,
    /// How much.
    pub amount: Money,
    /// `unknown_reference`, `wrong_amount`, `unexpected`, `unknown_account` or `account_unavailable`.
    pub reason: String,
    /// The other bank's name of the entry.
    pub reference: String,
    /// The payment that the entry names, as it was written there.
    pub end_to_end_id: Option<String>,
    /// The number that it is for.
    pub account_number: Option<String>,
    /// Who sends.
    pub name: Option<String>,
    /// What the sender says.
    pub remittance: Option<String>,
    /// Since when it lies there.
    pub created_at: String,
    /// The movement that took it from there.
    pub resolved_by: Option<String>,
    /// The request that this was done by.
    pub approval_id: Option<String>,
    /// When.
    pub resolved_at: Option<String>,
}

/// Body of `POST /admin/suspense/{id}/resolve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"account_id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9", "reason": "Wrong digit; the sender confirmed."}))]
pub struct ResolveSuspense {
    /// The customer's account that what came is for, or that pays what went; the bank's own money where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Why, 1 to 500 characters.
    pub reason: String,
}

/// What does not fit between the books and the statements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"kind": "gap", "message": "STMT-2026-11-20", "expected": 150000, "found": 140000}))]
pub struct RailDifference {
    /// `difference`: the books do not say what the newest statement says; `gap`: a statement does not begin where the
    /// one before it ended; `entries`: a statement's entries do not lead from its first balance to its last.
    pub kind: String,
    /// The message of the statement.
    pub message: String,
    /// What it should say, in minor units.
    pub expected: i64,
    /// What it says, in minor units.
    pub found: i64,
}

/// How the books stand against the statements of the bank's own bank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"currency": "EUR", "expected": 150000, "message": "STMT-2026-11-20", "closing": 150000,
    "clearing": -62000, "suspense": 12500, "open_items": 1, "under_way": 3, "under_way_total": 88000, "differences": []}))]
pub struct Reconciliation {
    /// The currency; all amounts are in its minor units.
    pub currency: String,
    /// What the bank's own bank should say by the books; `null` before the first statement.
    pub expected: Option<i64>,
    /// The message of the newest statement.
    pub message: Option<String>,
    /// What it says.
    pub closing: Option<i64>,
    /// The clearing account, positive for a credit.
    pub clearing: i64,
    /// The suspense account.
    pub suspense: i64,
    /// How many items lie in suspense.
    pub open_items: u64,
    /// How many payments were booked here, but not there yet.
    pub under_way: u64,
    /// Their sum.
    pub under_way_total: i64,
    /// What does not fit.
    pub differences: Vec<RailDifference>,
}
