//! Registration, login, tokens and passwords on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// Text that must not be seen: wiped on drop, never printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(from = "String", into = "String")]
#[schema(value_type = String, format = Password)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The text. Named so that a reviewer finds every use by searching for `expose`.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<SecretText> for String {
    fn from(secret: SecretText) -> Self {
        secret.expose().to_owned()
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

/// Body of `POST /auth/register`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "alice@example.org", "password": "correct horse battery staple", "full_name": "Alice Miller"}))]
pub struct Register {
    /// The address; a mail with a token goes there.
    pub email: String,
    /// 12 to 128 characters, not easily guessed.
    pub password: SecretText,
    /// The name, 1 to 100 characters.
    pub full_name: String,
}

/// What every attempt to register is told, whether or not the address is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum Registered {
    /// A mail is on its way.
    VerificationSent,
}

/// Body of `POST /auth/verify-email`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "kP0c…", "password": "correct horse battery staple"}))]
pub struct VerifyEmail {
    /// The token of the mail.
    pub token: SecretText,
    /// The password of that registration.
    pub password: SecretText,
}

/// Body of `POST /auth/login`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "alice@example.org", "password": "correct horse battery staple"}))]
pub struct Login {
    /// The address.
    pub email: String,
    /// The password.
    pub password: SecretText,
    /// After `puzzle_required`: the puzzle and its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub puzzle: Option<SolvedPuzzle>,
}

/// A puzzle that was solved.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"challenge": "ARIABk…", "answer": "183044"}))]
pub struct SolvedPuzzle {
    /// The `challenge` of `puzzle_required`.
    pub challenge: String,
    /// 1 to 20 characters, so that SHA-256 of `challenge:answer` begins with as many zero bits as the second byte of
    /// the decoded challenge says.
    pub answer: String,
}

/// What a complete login gets.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"access_token": "eyJ0eXAiOiJhdCtqd3QiLC…", "token_type": "Bearer", "expires_in": 900,
    "refresh_token": "srr_AAAABmk…", "session_id": "sess_01jd3vw4ezfkx8y0q4sfcmj2t9"}))]
pub struct TokenSet {
    /// Send it as `Authorization: Bearer`.
    pub access_token: SecretText,
    /// Always `Bearer`.
    pub token_type: TokenType,
    /// Seconds until the access token is worth nothing.
    pub expires_in: u32,
    /// Gets the next token set, once.
    pub refresh_token: SecretText,
    /// The session.
    pub session_id: String,
}

/// How an access token is sent (RFC 6750).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum TokenType {
    /// In the `Authorization` header, as it is.
    Bearer,
    /// In the `Authorization` header with this scheme, and with a proof of its key in `DPoP` (RFC 9449).
    #[serde(rename = "DPoP")]
    Dpop,
}

/// What a login asks next.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum LoginStep {
    /// A second factor.
    MfaRequired {
        /// Send it to `/auth/login/mfa`; good for five minutes.
        mfa_token: SecretText,
        /// What would do.
        methods: Vec<String>,
    },
    /// A new second factor, after a recovery code.
    RebindRequired {
        /// Send it as bearer token to `/me/mfa/totp` and `/me/mfa/totp/confirm`; good for five minutes.
        rebind_token: SecretText,
    },
    /// An own password in place of the printed one.
    PasswordChangeRequired {
        /// Send it to `/auth/password/change`; good for five minutes.
        change_token: SecretText,
    },
    /// An own authenticator in place of the printed one.
    TotpRequired {
        /// For the authenticator.
        otpauth_uri: SecretText,
        /// The same as a picture, SVG.
        qr_svg: SecretText,
        /// Send it with a code of the new device to `/auth/login/mfa`; good for five minutes.
        mfa_token: SecretText,
    },
}

/// The answer to a step of a login: a token set, or what comes next.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum LoginAnswer {
    /// In.
    Tokens(TokenSet),
    /// Not yet.
    Step(LoginStep),
}

/// Which second factor is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MfaMethod {
    /// A time-based code.
    Totp,
    /// A recovery code: it lets a new factor be bound, and nothing else.
    RecoveryCode,
    /// A passkey, after `/auth/passkey/options`.
    Passkey,
}

/// Body of `POST /auth/login/mfa`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"mfa_token": "Zx81…", "method": "totp", "code": "123456"}))]
pub struct LoginMfa {
    /// What the step before answered.
    pub mfa_token: SecretText,
    /// Which factor.
    pub method: MfaMethod,
    /// Its code; absent for a passkey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<SecretText>,
    /// What the authenticator answered, as `toJSON()` gives it; for a passkey only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub credential: Option<serde_json::Value>,
}

/// Body of `POST /auth/refresh` and `POST /auth/logout`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"refresh_token": "srr_AAAABmk…"}))]
pub struct Refresh {
    /// The token of the last token set.
    pub refresh_token: SecretText,
}

/// Body of `POST /auth/password/forgot`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "alice@example.org"}))]
pub struct ForgotPassword {
    /// The address.
    pub email: String,
}

/// What every wish for a reset is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum ResetRequested {
    /// If the address is somebody's, a mail is on its way.
    ResetSent,
}

/// Body of `POST /auth/password/reset`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "kP0c…", "new_password": "correct horse battery staple"}))]
pub struct ResetPassword {
    /// The token of the mail.
    pub token: SecretText,
    /// The new password.
    pub new_password: SecretText,
}

/// Body of `POST /auth/password/change`: with the present password by whoever is logged in, or with the token of a
/// first login.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"current_password": "correct horse battery staple", "new_password": "four other words entirely"}))]
pub struct ChangePassword {
    /// The present password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_password: Option<SecretText>,
    /// The token that a first login answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_token: Option<SecretText>,
    /// The new password.
    pub new_password: SecretText,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let body = Login {
            email: "alice@example.org".to_owned(),
            password: "canary-4711".into(),
            puzzle: None,
        };
        assert!(!format!("{body:?}").contains("canary"));
    }

    #[test]
    fn a_step_and_a_token_set_are_told_apart() {
        let step = r#"{"status":"mfa_required","mfa_token":"x","methods":["totp"]}"#;
        let answer: LoginAnswer = serde_json::from_str(step).unwrap();
        assert!(matches!(answer, LoginAnswer::Step(LoginStep::MfaRequired { .. })));
        assert_eq!(serde_json::to_string(&answer).unwrap(), step);
        let tokens = r#"{"access_token":"a","token_type":"Bearer","expires_in":900,"refresh_token":"r","session_id":"s"}"#;
        let answer: LoginAnswer = serde_json::from_str(tokens).unwrap();
        assert!(matches!(answer, LoginAnswer::Tokens(_)));
        assert_eq!(serde_json::to_string(&answer).unwrap(), tokens);
    }
}
