//! Money and pages on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An amount of money: whole minor units of an ISO 4217 currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": 1250, "currency": "EUR"}))]
pub struct Money {
    /// Minor units: cents for EUR, whole yen for JPY.
    pub amount: i64,
    /// Three-letter code.
    pub currency: String,
}

/// A page of a list, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub data: Vec<T>,
    /// Pass it as `cursor` for the next page; `null` at the end.
    pub next_cursor: Option<String>,
}
