//! Second factors on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::SecretText;

/// What an authenticator needs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
    "otpauth_uri": "otpauth://totp/Strongroom:alice%40example.org?secret=GEZD…", "qr_svg": "<svg …"}))]
pub struct Totp {
    /// The secret, base 32, for typing.
    pub secret: SecretText,
    /// The same with names, for an app.
    pub otpauth_uri: SecretText,
    /// The same as a picture, SVG.
    pub qr_svg: SecretText,
}

/// Body of `POST /me/mfa/totp/confirm`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"code": "123456"}))]
pub struct ConfirmTotp {
    /// The first code of the new authenticator.
    pub code: SecretText,
}

/// Codes for the day a factor is lost; each works once, and lets a new factor be bound.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"recovery_codes": ["7q0v-9f3k-2m8d-x1tc-4hnb-w6ze"]}))]
pub struct RecoveryCodes {
    /// Ten of them. They are not shown again.
    pub recovery_codes: Vec<SecretText>,
}
