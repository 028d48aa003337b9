//! Beneficiaries on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::money::Money;

/// Body of `POST /beneficiaries`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Carla Landlord", "account_number": "FR1420041010050500013M02606", "currency": "EUR"}))]
pub struct AddBeneficiary {
    /// Who is paid, 1 to 100 characters: the name goes along with payments.
    pub name: String,
    /// The account's number (IBAN), here or at another bank.
    pub account_number: String,
    /// In which currency it is paid.
    pub currency: String,
}

/// A beneficiary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "bnf_01jd3vw4ezfkx8y0q4sfcmj2t9", "name": "Carla Landlord",
    "account_number": "FR1420041010050500013M02606", "currency": "EUR", "bank": "other",
    "new_until": "2026-11-27T12:01:00.000000Z", "available": {"amount": 10000, "currency": "EUR"},
    "created_at": "2026-11-20T12:01:00.000000Z"}))]
pub struct Beneficiary {
    /// The id.
    pub id: String,
    /// Who is paid.
    pub name: String,
    /// The account's number.
    pub account_number: String,
    /// In which currency it is paid.
    pub currency: String,
    /// `this`: there at once; `other`: the money leaves the bank.
    pub bank: String,
    /// Until when it is new and paid little.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_until: Option<String>,
    /// What may be paid now, while it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<Money>,
    /// Since when.
    pub created_at: String,
}

/// Body of `POST /beneficiaries/name-check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Bob Example", "account_number": "DE89370400440532013000"}))]
pub struct CheckName {
    /// The name that the payer knows.
    pub name: String,
    /// The account's number (IBAN).
    pub account_number: String,
}

/// What a comparison of names came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"result": "close_match"}))]
pub struct NameChecked {
    /// `match`, `close_match`, `no_match` (also where there is no such account), or `not_possible` for other banks.
    pub result: String,
}
