//! Failures of people who proved to be nobody, as operators see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Failures that were counted together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "sev_01kaggvh4tfs8rm9wpsh5d0a3e", "kind": "login_failed", "count": 17,
    "first_at": "2026-11-20T09:15:00Z", "last_at": "2026-11-20T09:18:41Z", "address": "203.0.113.9",
    "subject": "5f2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d", "incident": null}))]
pub struct SecurityEvent {
    /// The id.
    pub id: String,
    /// What failed.
    pub kind: String,
    /// How often.
    pub count: u64,
    /// First.
    pub first_at: String,
    /// Last.
    pub last_at: String,
    /// The address or /64 network; `null` where it is not known or there were too many.
    pub address: Option<String>,
    /// Hexadecimal digits: keyed digest of the login that was tried; `null` likewise.
    pub subject: Option<String>,
    /// What was recognised, where the event is one request.
    pub incident: Option<Incident>,
}

/// A request that looked like an attack. Nothing that was in it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"request_id": "req_01kaggvh4tfs8rm9wpsh5d0a3e", "route": "/api/v1/accounts",
    "principal": null, "attack": "sql", "score": 14, "rules": ["sql_tokens", "sql_union", "sql_select_list"],
    "refused": true}))]
pub struct Incident {
    /// The number of the request.
    pub request_id: String,
    /// The template of its route; `null` where it met none.
    pub route: Option<String>,
    /// The id of who asked; `null` for nobody in particular.
    pub principal: Option<String>,
    /// `sql`, `script`, `traversal`, `command` or `inclusion`.
    pub attack: String,
    /// Its points; from 5 on a request looks like an attack.
    pub score: u32,
    /// The rules that met.
    pub rules: Vec<String>,
    /// Whether the request was refused for it.
    pub refused: bool,
}

/// Addresses that are blocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Blocks {
    /// Whether they are refused; else it is a simulation.
    pub enforced: bool,
    /// The blocks.
    pub data: Vec<Block>,
}

/// An address that is refused for a while because of what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"address": "203.0.113.9", "seconds_left": 843, "score": 85,
    "signals": ["rate", "scanning", "no_agent", "refusals"], "count": 1}))]
pub struct Block {
    /// The address or /64 network.
    pub address: String,
    /// How long it still holds.
    pub seconds_left: u64,
    /// The points that it began with.
    pub score: u32,
    /// What made them: `rate`, `repetition`, `scanning`, `no_agent`, `refusals`, `wrong_guess`, `detection`,
    /// `honeypot`.
    pub signals: Vec<String>,
    /// The how manieth block of this address it is; each is twice as long as the one before.
    pub count: u32,
}
