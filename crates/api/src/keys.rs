//! Keys of the ring, as people see them: never what they are.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A key of the ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"kid": 13, "purpose": "access_token", "algorithm": "Ed25519", "state": "active",
    "created_at": "2026-11-20T09:15:00Z", "active_from": "2026-11-20T09:15:05Z", "rotatable": true}))]
pub struct RingKey {
    /// Its number, which is written beside everything that it made.
    pub kid: u32,
    /// What it is for.
    pub purpose: String,
    /// How it is used.
    pub algorithm: String,
    /// `active`: makes new things; `retired`: reads what it made; `announced`: active as soon as every node has it.
    pub state: String,
    /// When it was made.
    pub created_at: String,
    /// From when on new things are made with it; `null` for the first key of its purpose.
    pub active_from: Option<String>,
    /// Whether keys of this purpose are rotated while the bank runs.
    pub rotatable: bool,
}

/// Every key of the ring, by number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RingKeys {
    /// The keys; at most 256.
    pub data: Vec<RingKey>,
}

/// Body of `POST /admin/keys/{purpose}/rotations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "Once a year."}))]
pub struct RotateKey {
    /// Why, for whoever decides: one line of at most 500 characters.
    pub reason: String,
}
