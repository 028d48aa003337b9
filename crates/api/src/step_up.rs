//! Proving a factor again, on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::SecretText;

/// What is shown as a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepUpMethod {
    /// The password: for settings only, and only where there is no second factor.
    Password,
    /// A time-based code.
    Totp,
    /// A passkey, after `/auth/passkey/options`.
    Passkey,
}

/// Body of `POST /auth/step-up`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"method": "totp", "code": "123456", "challenge": "AQAAAAF…"}))]
pub struct StepUp {
    /// Which proof.
    pub method: StepUpMethod,
    /// The code, or the password; absent for a passkey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<SecretText>,
    /// What the authenticator answered, as `toJSON()` gives it; for a passkey only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub credential: Option<serde_json::Value>,
    /// The challenge of the request that was answered `step_up_required`; absent for settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
}
