//! People and their sessions on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether a login counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    /// May log in.
    Active,
    /// Stopped for now.
    Locked,
    /// Stopped until an administrator decides otherwise.
    Disabled,
    /// Gone.
    Closed,
}

/// Second factors in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Factors {
    /// Time-based codes.
    pub totp: bool,
    /// How many passkeys there are.
    pub passkeys: u64,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "user_01jd3vw4ezfkx8y0q4sfcmj2t9", "email": "alice@example.org", "full_name": "Alice Miller",
    "state": "active", "roles": ["customer"], "department": null, "mfa": {"totp": false, "passkeys": 0}, "created_at": "2026-11-20T11:00:00.000000Z"}))]
pub struct User {
    /// The id.
    pub id: String,
    /// The address; none for a technical user. Auditors see none.
    pub email: Option<String>,
    /// The name. Auditors see none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// Whether the login counts.
    pub state: UserState,
    /// Roles in force.
    pub roles: Vec<String>,
    /// Where the person works or belongs.
    #[serde(default)]
    pub department: Option<String>,
    /// Second factors in use.
    pub mfa: Factors,
    /// RFC 3339.
    pub created_at: String,
}

/// Body of `PUT /admin/users/{id}/department`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"department": "north"}))]
pub struct Place {
    /// 1 to 24 lower-case letters, digits and hyphens; `null`: to none.
    pub department: Option<String>,
}

/// Body of `PATCH /me`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"full_name": "Alice Miller"}))]
pub struct ChangeMe {
    /// The name, 1 to 100 characters.
    pub full_name: String,
}

/// Body of `POST /me/email`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"new_email": "alice@example.net"}))]
pub struct NewEmail {
    /// The address that is wanted.
    pub new_email: String,
}

/// What everybody who wants another address is told, whether or not it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum EmailAsked {
    /// Mails are on their way to both addresses.
    ConfirmationSent,
}

/// Body of `POST /auth/email/confirm` and `/auth/email/stop`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "kP0c…"}))]
pub struct EmailToken {
    /// The token of the mail.
    pub token: crate::auth::SecretText,
}

/// What a proof of an address led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "status")]
#[schema(example = json!({"status": "waiting", "effective_at": "2026-11-21T11:00:00.000000Z"}))]
pub enum EmailProved {
    /// The login has the new address; all sessions have ended.
    Changed,
    /// The other address has not said anything yet.
    Waiting {
        /// From when on it need not, RFC 3339; none while the new address is not confirmed.
        effective_at: Option<String>,
    },
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "sess_01jd3vw4ezfkx8y0q4sfcmj2t9", "current": true, "assurance": "aal1",
    "created_at": "2026-11-20T11:00:00.000000Z", "last_seen_at": "2026-11-20T11:05:00.000000Z",
    "expires_at": "2026-11-20T23:00:00.000000Z", "address": "203.0.113.7", "user_agent": "curl/8.5",
    "device_name": "curl", "device_id": "dev_01jd3vw4ezfkx8y0q4sfcmj2t9"}))]
pub struct Session {
    /// The id.
    pub id: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// `aal1` for one factor, `aal2` for two.
    pub assurance: String,
    /// RFC 3339.
    pub created_at: String,
    /// To about a minute.
    pub last_seen_at: String,
    /// The latest end.
    pub expires_at: String,
    /// From where it was begun.
    pub address: String,
    /// With what it was begun, in the words of the client.
    pub user_agent: String,
    /// What you call the device, or what it seems to be (`Firefox on Linux`).
    pub device_name: String,
    /// The device, where you are known by it: see `/me/devices`.
    pub device_id: Option<String>,
}

/// A device that somebody is known by, because a login was completed on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "dev_01jd3vw4ezfkx8y0q4sfcmj2t9", "name": "Firefox on Linux", "named": false, "current": true,
    "created_at": "2026-11-20T11:00:00.000000Z", "last_login_at": "2026-11-20T11:00:00.000000Z"}))]
pub struct Device {
    /// The id.
    pub id: String,
    /// What you call it, or what it seems to be.
    pub name: String,
    /// Whether you gave it that name.
    pub named: bool,
    /// Whether it is the one that asks.
    pub current: bool,
    /// When it became known. RFC 3339.
    pub created_at: String,
    /// When somebody last logged in on it; `null` where that was before it was kept.
    pub last_login_at: Option<String>,
}

/// All devices that somebody is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"data": [{"id": "dev_01jd3vw4ezfkx8y0q4sfcmj2t9", "name": "Firefox on Linux", "named": false,
    "current": true, "created_at": "2026-11-20T11:00:00.000000Z", "last_login_at": "2026-11-20T11:00:00.000000Z"}]}))]
pub struct Devices {
    /// Newest first, at most 10.
    pub data: Vec<Device>,
}

/// Body of `PATCH /me/devices/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Kitchen tablet"}))]
pub struct NameDevice {
    /// 1 to 60 characters, one line.
    pub name: String,
}

/// Body of the operators' verbs on logins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "The customer reported a stolen phone."}))]
pub struct Reason {
    /// Why, 1 to 500 characters.
    pub reason: String,
}
