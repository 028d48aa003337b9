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

/// Body of `PUT /admin/accounts/{id}/allowance`: what the account's owner is allowed at most, in its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"daily": {"amount": 50000, "currency": "EUR"}, "reason": "Looks like a mule."}))]
pub struct AllowLimits {
    /// By one movement; `null` or absent: as much as the bank allows everybody.
    #[serde(default)]
    pub per_transfer: Option<Money>,
    /// In a day of the bank's time zone.
    #[serde(default)]
    pub daily: Option<Money>,
    /// In a calendar month.
    #[serde(default)]
    pub monthly: Option<Money>,
    /// Why, 1 to 500 characters.
    pub reason: String,
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

/// What the bank allows a customer beyond its limits, for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"per_transfer": {"amount": 25_000_000, "currency": "EUR"}, "daily": {"amount": 25_000_000,
    "currency": "EUR"}, "monthly": null, "until": "2026-11-27T09:15:00Z"}))]
pub struct Exception {
    /// By one movement; `null`: as the bank's limits say.
    pub per_transfer: Option<Money>,
    /// In a day.
    pub daily: Option<Money>,
    /// In a calendar month.
    pub monthly: Option<Money>,
    /// Until when it counts.
    pub until: String,
}

/// Body of `PUT /admin/accounts/{id}/limits`: more than the bank's limits, once somebody else agrees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"per_transfer": {"amount": 25_000_000, "currency": "EUR"}, "daily": {"amount": 25_000_000,
    "currency": "EUR"}, "until": "2026-11-27T09:15:00Z", "reason": "Buys a house; seen in person."}))]
pub struct ExceptionRequest {
    /// By one movement; `null` or absent: as the bank's limits say. One of the three is needed.
    #[serde(default)]
    pub per_transfer: Option<Money>,
    /// In a day of the bank's time zone.
    #[serde(default)]
    pub daily: Option<Money>,
    /// In a calendar month.
    #[serde(default)]
    pub monthly: Option<Money>,
    /// Until when it counts, at most a year from now.
    pub until: String,
    /// Why, 1 to 500 characters. The checker sees it.
    pub reason: String,
}

/// A customer's limits in one currency. Money between accounts of one's own does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"currency": "EUR", "per_transfer": {"amount": 100000, "currency": "EUR"},
    "daily": {"amount": 200000, "currency": "EUR"}, "monthly": {"amount": 50000000, "currency": "EUR"},
    "spent_today": {"amount": 1250, "currency": "EUR"}, "spent_this_month": {"amount": 4250, "currency": "EUR"},
    "own": {"per_transfer": {"amount": 100000, "currency": "EUR"}, "daily": {"amount": 200000, "currency": "EUR"},
    "monthly": null}, "allowed": null, "pending": null, "exception": null, "lowered_until": null}))]
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
    /// What operators allow, where they have a word of their own.
    pub allowed: Option<Caps>,
    /// A raise that waits.
    pub pending: Option<PendingLimits>,
    /// What goes beyond the bank's limits, for a time.
    pub exception: Option<Exception>,
    /// Until when the limits are lowered for your protection.
    pub lowered_until: Option<String>,
}

/// What an owner allows one account, within what the customer may pay from all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"currency": "EUR", "per_transfer": {"amount": 5000, "currency": "EUR"},
    "daily": {"amount": 10000, "currency": "EUR"}, "monthly": null, "spent_today": {"amount": 1250, "currency": "EUR"},
    "spent_this_month": {"amount": 4250, "currency": "EUR"}, "pending": null}))]
pub struct AccountLimits {
    /// Three-letter code.
    pub currency: String,
    /// Most that one movement may move; `null`: no limit of this account's own.
    pub per_transfer: Option<Money>,
    /// Most in a day.
    pub daily: Option<Money>,
    /// Most in a calendar month.
    pub monthly: Option<Money>,
    /// Paid to others and reserved today; `null` where there is no limit, without which it is not counted.
    pub spent_today: Option<Money>,
    /// Paid to others and reserved this month.
    pub spent_this_month: Option<Money>,
    /// A raise that waits.
    pub pending: Option<PendingLimits>,
}
