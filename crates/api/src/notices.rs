//! What customers are told of, on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::money::Money;

/// Something that you are told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "ntc_01jd3q9w2yfz8t6x4r0n5m7k1p", "event": "money_received", "says": "You received 12.50 EUR.",
    "amount": {"amount": 1250, "currency": "EUR"}, "subject_id": "tfr_01jd3q9w2yfz8t6x4r0n5m7k1p",
    "at": "2026-11-20T09:15:00Z", "read_at": null}))]
pub struct Notice {
    /// The id.
    pub id: String,
    /// What happened; names may be added.
    pub event: String,
    /// The same in a sentence.
    pub says: String,
    /// How much, where money moved or was reserved.
    pub amount: Option<Money>,
    /// The transfer, hold, payment or account that it is about.
    pub subject_id: Option<String>,
    /// When it happened.
    pub at: String,
    /// When you took note of it.
    pub read_at: Option<String>,
}

/// A page of notices, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"data": [], "next_cursor": null, "unread": 0}))]
pub struct Notices {
    /// The notices.
    pub data: Vec<Notice>,
    /// Where the next page begins; `null` where there is none.
    pub next_cursor: Option<String>,
    /// How many you have not taken note of, counted up to a thousand.
    pub unread: u32,
}

/// By which ways you are told of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"event": "money_received", "app": true, "mail": false}))]
pub struct NoticeWays {
    /// Which event.
    pub event: String,
    /// In the list of notices.
    pub app: bool,
    /// By mail, at most three of an event in an hour.
    pub mail: bool,
}

/// By which ways you are told. `security` and `limits_changed` are told by all of them, whatever you wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"events": [{"event": "money_received", "app": true, "mail": false}]}))]
pub struct NoticePreferences {
    /// Event by event; what is not named stays as it is.
    pub events: Vec<NoticeWays>,
}
