//! Accounts on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::money::Money;

/// What a customer's account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// Daily money.
    Checking,
    /// Money put aside.
    Savings,
}

/// Body of `POST /accounts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "checking", "currency": "EUR", "name": "Household"}))]
pub struct OpenAccount {
    /// What for.
    pub kind: AccountKind,
    /// ISO 4217 code; an account has one currency for life.
    pub currency: String,
    /// Your name for it, 1 to 100 characters.
    pub name: String,
}

/// Body of `PATCH /accounts/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Holidays"}))]
pub struct RenameAccount {
    /// Your name for it, 1 to 100 characters.
    pub name: String,
}

/// Body of `POST /admin/accounts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"customer_id": "user_01jd3vw4ezfkx8y0q4sfcmj2t9", "kind": "checking", "currency": "EUR",
    "name": "Household", "overdraft": {"amount": 50000, "currency": "EUR"}}))]
pub struct OpenAccountFor {
    /// Whose account.
    pub customer_id: String,
    /// What for.
    pub kind: AccountKind,
    /// ISO 4217 code.
    pub currency: String,
    /// The customer's name for it, 1 to 100 characters.
    pub name: String,
    /// How far it may go below zero; not at all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdraft: Option<Money>,
}

/// How much is on an account, in minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"posted": 10000, "held": 2500, "available": 7500}))]
pub struct Balance {
    /// Settled entries.
    pub posted: i64,
    /// Reserved by holds.
    pub held: i64,
    /// What may be spent: posted − held + agreed overdraft.
    pub available: i64,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9", "number": "DE02100100100006820101", "kind": "checking",
    "currency": "EUR", "name": "Household", "state": "active", "balance": {"posted": 10000, "held": 0, "available": 10000},
    "opened_at": "2026-11-20T09:30:00.000000Z"}))]
pub struct Account {
    /// Its id.
    pub id: String,
    /// Its number (IBAN); the bank's own accounts have none.
    pub number: Option<String>,
    /// `checking`, `savings`, or the name of one of the bank's own.
    pub kind: String,
    /// Its currency.
    pub currency: String,
    /// The owner's name for it; only who serves the owner sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `active`, `frozen` or `closed`.
    pub state: String,
    /// How much is on it.
    pub balance: Balance,
    /// How far it may go below zero, where that was agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdraft: Option<Money>,
    /// Whose it is; operators see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// When it was opened.
    pub opened_at: String,
}

/// Answer of `GET /accounts/{id}/balance`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"account_id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9", "currency": "EUR", "at": "2026-11-20T09:30:00.000000Z",
    "posted": 10000, "held": 0, "available": 10000}))]
pub struct BalanceAt {
    /// Which account.
    pub account_id: String,
    /// Its currency.
    pub currency: String,
    /// The moment.
    pub at: String,
    /// Settled entries at that moment, minor units.
    pub posted: i64,
    /// Reserved by holds; only for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<i64>,
    /// What may be spent; only for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<i64>,
}

/// Body of `POST /accounts/{id}/freeze`; may be empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"scope": "debits"}))]
pub struct Freeze {
    /// What to stop; everything when absent.
    #[serde(default)]
    pub scope: FreezeScope,
}

/// What a freeze stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FreezeScope {
    /// Money in both directions.
    #[default]
    All,
    /// Money going out only.
    Debits,
}

/// One line of an account's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"transaction_id": "txn_01jd3vw4ezfkx8y0q4sfcmj2t9", "sequence": 42, "kind": "transfer",
    "amount": {"amount": -1250, "currency": "EUR"}, "balance_after": 8750, "from_account_id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9",
    "to_account_id": "acct_01jd3vw5m2e8qtw2j3k4v5x6y7", "description": "Lunch", "value_date": "2026-11-20",
    "booked_at": "2026-11-20T12:01:00.000000Z"}))]
pub struct HistoryLine {
    /// Its transaction.
    pub transaction_id: String,
    /// The how-manieth entry of the account, from 1 without a gap.
    pub sequence: u64,
    /// `transfer`, `deposit` or `withdrawal`.
    pub kind: String,
    /// Positive for money in, negative for money out.
    pub amount: Money,
    /// The posted balance after it, minor units.
    pub balance_after: i64,
    /// The account debited.
    pub from_account_id: String,
    /// The account credited.
    pub to_account_id: String,
    /// The text with it.
    pub description: Option<String>,
    /// The day it counts for.
    pub value_date: String,
    /// When it was booked.
    pub booked_at: String,
}
