//! Passkeys on the wire. Options and answers are those of the browser (WebAuthn level 3,
//! `parseCreationOptionsFromJSON`, `toJSON`).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::SecretText;

/// `{"publicKey": …}`: what is given to the browser, binary values in base64url.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(value_type = Object)]
pub struct PasskeyOptions(pub Value);

/// Body of `POST /me/passkeys`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BindPasskey {
    /// What the authenticator answered, as `toJSON()` gives it.
    #[schema(value_type = Object)]
    pub credential: Value,
    /// A name for it, 1 to 60 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A passkey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "pkey_01jd3vw4ezfkx8y0q4sfcmj2t9", "name": "Phone",
    "created_at": "2026-11-20T11:00:00.000000Z", "last_used_at": null}))]
pub struct Passkey {
    /// The id.
    pub id: String,
    /// The owner's name for it.
    pub name: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; `null` where it was never used.
    pub last_used_at: Option<String>,
}

/// Somebody's passkeys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Passkeys {
    /// Oldest first.
    pub data: Vec<Passkey>,
}

/// Body of `POST /auth/passkey/options`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"mfa_token": "Zx81…"}))]
pub struct AskForPasskey {
    /// The token of a login that wants a second factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_token: Option<SecretText>,
    /// The challenge of a request that was answered `step_up_required`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
}

/// Body of `POST /auth/passkey`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyLogin {
    /// What the authenticator answered, as `toJSON()` gives it.
    #[schema(value_type = Object)]
    pub credential: Value,
}
