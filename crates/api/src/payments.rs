//! Merchants, payments and refunds on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::money::Money;

/// Body of `POST /admin/merchants`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"account_id": "acct_01jd3vw5m2e8qtw2j3k4v5x6y7", "name": "Corner Bakery"}))]
pub struct CreateMerchant {
    /// The customer's account that will be paid. A merchant and its account belong together for good.
    pub account_id: String,
    /// The name under which the merchant trades, 1 to 100 characters. Payers see it.
    pub name: String,
}

/// A merchant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "mrch_01jd3vw4ezfkx8y0q4sfcmj2t9", "name": "Corner Bakery", "currency": "EUR",
    "created_at": "2026-11-20T12:01:00.000000Z"}))]
pub struct Merchant {
    /// The id.
    pub id: String,
    /// The name under which the merchant trades; empty once its owner was erased.
    pub name: String,
    /// The currency in which the merchant is paid.
    pub currency: String,
    /// The account that is paid; operators alone see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Since when.
    pub created_at: String,
}

/// Body of `POST /payments`: to a merchant or to a beneficiary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from_account_id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9",
    "merchant_id": "mrch_01jd3vw4ezfkx8y0q4sfcmj2t9", "amount": {"amount": 450, "currency": "EUR"},
    "reference": "order 17"}))]
pub struct CreatePayment {
    /// The account debited: one of yours.
    pub from_account_id: String,
    /// The merchant who is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant_id: Option<String>,
    /// The beneficiary who is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beneficiary_id: Option<String>,
    /// How much: 1 to 10¹⁵ minor units, in the currency of both accounts.
    pub amount: Money,
    /// What it is for, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// Body of `POST /payments/{id}/refund`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": {"amount": 150, "currency": "EUR"}}))]
pub struct RefundPayment {
    /// How much of what is left; all of it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
}

/// A payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "pay_01jd3vw4ezfkx8y0q4sfcmj2t9", "state": "partially_refunded",
    "from_account_id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9", "merchant_id": "mrch_01jd3vw4ezfkx8y0q4sfcmj2t9",
    "transfer_id": "tfr_01jd3vw4ezfkx8y0q4sfcmj2t9", "amount": {"amount": 450, "currency": "EUR"},
    "refunded": {"amount": 150, "currency": "EUR"}, "remaining": {"amount": 300, "currency": "EUR"},
    "reference": "order 17", "created_at": "2026-11-20T12:01:00.000000Z"}))]
pub struct Payment {
    /// Its id.
    pub id: String,
    /// To a merchant `paid`, `partially_refunded`, `refunded` or `reversed`; to a beneficiary `pending`, `settled`,
    /// `returned` or `cancelled`.
    pub state: String,
    /// The account debited.
    pub from_account_id: String,
    /// The merchant who was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant_id: Option<String>,
    /// The beneficiary who was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beneficiary_id: Option<String>,
    /// The beneficiary's name, for the payer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beneficiary_name: Option<String>,
    /// The movement in the books: history, receipt and reversal know it by this id.
    pub transfer_id: String,
    /// How much was paid.
    pub amount: Money,
    /// Given back by the merchant so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunded: Option<Money>,
    /// What a merchant may still give back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<Money>,
    /// The movement by which it came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_by: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When it was booked.
    pub created_at: String,
}

/// A refund.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "rfnd_01jd3vw4ezfkx8y0q4sfcmj2t9", "payment_id": "pay_01jd3vw4ezfkx8y0q4sfcmj2t9",
    "payment_state": "partially_refunded", "amount": {"amount": 150, "currency": "EUR"},
    "refunded": {"amount": 150, "currency": "EUR"}, "remaining": {"amount": 300, "currency": "EUR"},
    "created_at": "2026-11-20T12:02:00.000000Z"}))]
pub struct Refund {
    /// Its id.
    pub id: String,
    /// The payment.
    pub payment_id: String,
    /// How the payment stood afterwards.
    pub payment_state: String,
    /// How much was given back now.
    pub amount: Money,
    /// How much in total.
    pub refunded: Money,
    /// What may still be given back.
    pub remaining: Money,
    /// When it was booked.
    pub created_at: String,
}
