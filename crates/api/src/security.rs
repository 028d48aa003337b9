//! Failures of people who proved to be nobody, as operators see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Failures that were counted together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "sev_01kaggvh4tfs8rm9wpsh5d0a3e", "kind": "login_failed", "count": 17,
    "first_at": "2026-11-20T09:15:00Z", "last_at": "2026-11-20T09:18:41Z", "address": "203.0.113.9",
    "subject": "5f2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d"}))]
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
}
