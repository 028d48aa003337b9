//! What attackers try and what people of the bank are told of, as operators see it.

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

/// A request that looked like an attack, or after which somebody had read about too many people. Nothing that was in
/// it is kept.
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
    /// `sql`, `script`, `traversal`, `command` or `inclusion`; `reads` for an operator who read much.
    pub attack: String,
    /// Its points; from 5 on a request looks like an attack. For `reads` how many people it was about.
    pub score: u32,
    /// The rules that met.
    pub rules: Vec<String>,
    /// Whether the request was refused for it.
    pub refused: bool,
}

/// A part of the feed of security events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventFeed {
    /// The events, in the order in which they were written. One that was written late may be older than those before.
    pub data: Vec<FeedEvent>,
    /// Where the next page begins, also where there is nothing yet: keep it, and ask with it again.
    pub next_cursor: String,
    /// Whether there is nothing behind this page yet.
    pub caught_up: bool,
    /// How many events between the cursor and this page are kept no longer: whoever asked has lost them.
    pub missed: u64,
}

/// A security event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "sev_01kaggvh4tfs8rm9wpsh5d0a3e", "kind": "login_failed", "class": "authentication",
    "severity": "low", "at": "2026-11-20T09:15:00Z", "outcome": "refused", "reason": "invalid_credentials",
    "request_id": "req_01kaggvh4tfs8rm9wpsh5d0a3e", "principal": null, "session_id": null, "incident_id": null,
    "address": "203.0.113.9", "user_agent": "curl/8.14.1", "subject": "5f2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d",
    "object": null, "policy": null, "token": null}))]
pub struct FeedEvent {
    /// Its number, the same wherever the event goes.
    pub id: String,
    /// What happened; `docs/security/events.md` has all kinds.
    pub kind: String,
    /// What it is about; `null` where this version does not know the kind.
    pub class: Option<String>,
    /// `info`, `low`, `medium`, `high` or `critical`.
    pub severity: String,
    /// When.
    pub at: String,
    /// `done`, `refused` or `noted`.
    pub outcome: String,
    /// A code, or what kind of it.
    pub reason: Option<String>,
    /// The number of the request.
    pub request_id: Option<String>,
    /// The id of who it was; `null` for nobody in particular.
    pub principal: Option<String>,
    /// The session.
    pub session_id: Option<String>,
    /// The number of the incident, where it has one.
    pub incident_id: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// What the client calls itself: its own words, cut.
    pub user_agent: Option<String>,
    /// Hexadecimal digits: keyed digest of the login that was tried.
    pub subject: Option<String>,
    /// The id of what it was done to.
    pub object: Option<String>,
    /// Of `access_denied`: the set of policies that refused, by number, and those of it that forbade, by name.
    pub policy: Option<String>,
    /// Hexadecimal digits: keyed digest of the id (`jti`) of the token that was shown.
    pub token: Option<String>,
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

/// Something that people of the bank are told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "alrt_01kaggvh4tfs8rm9wpsh5d0a3e", "rule": "failed_logins", "severity": "medium",
    "says": "Many logins failed within a few minutes.", "count": 20, "first_at": "2026-11-20T09:15:00Z",
    "last_at": "2026-11-20T09:18:41Z", "request_id": "req_01kaggvh4tfs8rm9wpsh5d0a3e",
    "told_at": "2026-11-20T09:18:42Z", "acknowledged_at": null, "acknowledged_by": null}))]
pub struct Alert {
    /// The id.
    pub id: String,
    /// The rule that made it; `docs/security/events.md` has all of them.
    pub rule: String,
    /// `medium`, `high` or `critical`.
    pub severity: String,
    /// What it says.
    pub says: String,
    /// How many events made it.
    pub count: u64,
    /// The first of them.
    pub first_at: String,
    /// The last.
    pub last_at: String,
    /// The request of the last; `null` where there was none.
    pub request_id: Option<String>,
    /// When the webhook had taken it; `null` before.
    pub told_at: Option<String>,
    /// When somebody took note of it; `null` before.
    pub acknowledged_at: Option<String>,
    /// Who did.
    pub acknowledged_by: Option<String>,
}

/// Something to be done against an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"action": "block_network", "reason": "Guesses passwords of many customers.",
    "network": "203.0.113.0/24", "ends_at": "2026-11-21T09:15:00Z"}))]
pub struct NewIncidentAction {
    /// `read_only`, `end_sessions`, `freeze_account`, `revoke_key` or `block_network`.
    pub action: String,
    /// Why, in a line; kept sealed.
    pub reason: String,
    /// The account, for `freeze_account`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// The key, for `revoke_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_id: Option<String>,
    /// An address or network in CIDR form, for `block_network`: not wider than a /8, of IPv6 a /32, and not your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// When the block of a network ends by itself, within thirty days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
}

/// Something that was done against an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "incact_01kaggvh4tfs8rm9wpsh5d0a3e", "action": "read_only", "target": null,
    "reason": "Balances do not verify.", "taken_at": "2026-11-20T09:15:00Z",
    "taken_by": "user_01kaggvh4tfs8rm9wpsh5d0a3e", "ends_at": null, "lifted_at": null, "lifted_by": null}))]
pub struct IncidentAction {
    /// The id.
    pub id: String,
    /// What was done.
    pub action: String,
    /// The account, key or network; `null` where it is about the bank.
    pub target: Option<String>,
    /// Why.
    pub reason: String,
    /// When.
    pub taken_at: String,
    /// By whom: a user, or `cli:` and a number for somebody on the host.
    pub taken_by: String,
    /// When it ends by itself.
    pub ends_at: Option<String>,
    /// When it was taken back.
    pub lifted_at: Option<String>,
    /// By whom.
    pub lifted_by: Option<String>,
}
