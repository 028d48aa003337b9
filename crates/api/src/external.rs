//! Logins by an issuer elsewhere (OpenID Connect) on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of `POST /me/external-logins`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"provider": "google"}))]
pub struct AddExternalLogin {
    /// The issuer's name in the server's configuration.
    pub provider: String,
}

/// Where the browser goes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"authorization_url": "https://accounts.google.com/o/oauth2/v2/auth?client_id=…"}))]
pub struct Departure {
    /// At the issuer. The answer's cookie is what the issuer's answer must come back with.
    pub authorization_url: String,
}

/// A login by an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "xlog_01jd3vw4ezfkx8y0q4sfcmj2t9", "provider": "google",
    "email": "alice@example.com", "created_at": "2026-11-20T11:00:00.000000Z", "last_used_at": null}))]
pub struct ExternalLogin {
    /// The id.
    pub id: String,
    /// The issuer's name in the server's configuration.
    pub provider: String,
    /// The address that the issuer named when it was added; it identifies nobody.
    pub email: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; `null` where it was never used.
    pub last_used_at: Option<String>,
}

/// Somebody's logins by issuers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExternalLogins {
    /// Oldest first.
    pub data: Vec<ExternalLogin>,
}

/// How long the session of a browser goes on, by the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"idle_seconds": 845, "left_seconds": 42000}))]
pub struct SessionClock {
    /// Until it ends where nothing is done.
    pub idle_seconds: i64,
    /// Until it ends whatever is done.
    pub left_seconds: i64,
}
