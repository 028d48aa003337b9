//! Passwords that somebody thinks of, on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::SecretText;

/// Body of `POST /auth/password/strength`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "Password1234!", "email": "alice@example.org", "full_name": "Alice Miller"}))]
pub struct MeasurePassword {
    /// The password.
    pub password: SecretText,
    /// The address that it would belong to: a password should not be made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The name, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
}

/// How good a password would be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"score": 1, "acceptable": false,
    "broken": [{"code": "password_too_guessable", "detail": "This password is too easily guessed. Add another word."}],
    "advice": "Add another word.",
    "classes": {"lower_case": true, "upper_case": true, "digit": true, "special": true}}))]
pub struct PasswordStrength {
    /// 0 (guessed at once) to 4 (not in a lifetime); 3 is needed.
    pub score: u8,
    /// Whether it would be taken.
    pub acceptable: bool,
    /// Every rule that it breaks.
    pub broken: Vec<BrokenRule>,
    /// How to make it better.
    pub advice: Option<String>,
    /// What it is made of: advice, unless the bank asks for it.
    pub classes: PasswordClasses,
}

/// A rule that a password breaks.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BrokenRule {
    /// Stable.
    pub code: String,
    /// For people.
    pub detail: String,
}

/// Which classes of characters a password has.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct PasswordClasses {
    /// A lower-case letter.
    pub lower_case: bool,
    /// An upper-case letter.
    pub upper_case: bool,
    /// A digit.
    pub digit: bool,
    /// Neither letter nor digit nor space.
    pub special: bool,
}

/// A password made here.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"password": "tR7wk-Bx2mQ-hV9dn-Ke4pA"}))]
pub struct GeneratedPassword {
    /// Shown once and kept nowhere.
    pub password: SecretText,
}
