//! What customers may pay at most, on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::money::Money;

/// Most that is paid to others; `null` is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"per_transfer": {"amount": 100000, "currency": "EUR"},
    "daily": {"amount": 200000, "currency": "EUR"}, "monthly": null}))]
pub struct Caps {
    /// By one movement.
    #[serde(default)]
    pub per_transfer: Option<Money>,
    /// In a day of the bank's time zone.
    #[serde(default)]
    pub daily: Option<Money>,
    /// In a calendar month.
    #[serde(default)]
    pub monthly: Option<Money>,
}

/// Body of `PUT /limits`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"per_transfer": {"amount": 100000, "currency": "EUR"},
    "daily": {"amount": 200000, "currency": "EUR"}, "monthly": null}))]
pub struct SetLimits {
    /// By one movement; `null` or absent: as much as the bank allows.
    #[serde(default)]
    pub per_transfer: Option<Money>,
    /// In a day of the bank's time zone.
    #[serde(default)]
    pub daily: Option<Money>,
    /// In a calendar month.
    #[serde(default)]
    pub monthly: Option<Money>,
    /// The currency, where no amount tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// Limits that wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingLimits {
    /// By one movement.
    pub per_transfer: Option<Money>,
    /// In a day.
    pub daily: Option<Money>,
    /// In a calendar month.
    pub monthly: Option<Money>,
    /// From when on they count.
    pub effective_at: String,
}

/// A customer's limits in one currency. Money between accounts of one's own does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"currency": "EUR", "per_transfer": {"amount": 100000, "currency": "EUR"},
    "daily": {"amount": 200000, "currency": "EUR"}, "monthly": {"amount": 50000000, "currency": "EUR"},
    "spent_today": {"amount": 1250, "currency": "EUR"}, "spent_this_month": {"amount": 4250, "currency": "EUR"},
    "own": {"per_transfer": {"amount": 100000, "currency": "EUR"}, "daily": {"amount": 200000, "currency": "EUR"},
    "monthly": null}, "pending": null, "lowered_until": null}))]
pub struct Limits {
    /// Three-letter code.
    pub currency: String,
    /// Most that one movement may move now.
    pub per_transfer: Option<Money>,
    /// Most in a day.
    pub daily: Option<Money>,
    /// Most in a calendar month.
    pub monthly: Option<Money>,
    /// Paid to others and reserved today.
    pub spent_today: Money,
    /// Paid to others and reserved this month.
    pub spent_this_month: Money,
    /// What you allow yourself.
    pub own: Caps,
    /// A raise that waits.
    pub pending: Option<PendingLimits>,
    /// Until when the limits are lowered for your protection.
    pub lowered_until: Option<String>,
}
