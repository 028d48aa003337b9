//! Access tokens: JWTs after RFC 9068, signed with EdDSA (Ed25519, RFC 8037), and nothing else.
//!
//! A token names a session; whether that session still lives is asked at every request, so nothing in a token is a
//! right. Rules of RFC 8725 (JWT best practices): one algorithm; `typ` is `at+jwt`; issuer and audience are compared;
//! the key is looked up in our ring by `kid` and never taken from the token. A header with any other member (`jku`,
//! `jwk`, `x5u`, `x5c`, `crit`, …) is refused: we never write one.
//!
//! The library is `jsonwebtoken` on AWS-LC; times are compared here because time is an argument in this crate.

use std::sync::Once;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::keyring::{Keyring, Purpose};
use crate::secret::SecretString;

/// Longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 2048;
/// How far ahead of our clock `nbf` may lie, in seconds: nodes' clocks differ by at most half a second.
pub const LEEWAY_SECS: i64 = 2;
/// Longest lifetime that is issued, in seconds.
pub const LIFETIME_SECS_MAX: u32 = 3600;

const TYPE: &str = "at+jwt";
const ALGORITHM: &str = "EdDSA";

/// Why a token was refused. For logs; a client learns at most whether it is expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of ours in form, or too long.
    #[error("not an access token")]
    Malformed,
    /// Another algorithm than EdDSA.
    #[error("another algorithm")]
    Algorithm,
    /// Another type than `at+jwt`.
    #[error("another type of token")]
    Type,
    /// No key of this number signs access tokens.
    #[error("an unknown key")]
    UnknownKid,
    /// The signature is wrong.
    #[error("a wrong signature")]
    Signature,
    /// Issued by somebody else.
    #[error("another issuer")]
    Issuer,
    /// Issued for somebody else.
    #[error("another audience")]
    Audience,
    /// No longer valid.
    #[error("the token has expired")]
    Expired,
    /// Not valid yet.
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// What goes into a token.
#[derive(Clone, Copy, Debug)]
pub struct NewToken<'a> {
    /// Who: the user's id as text (`sub`).
    pub subject: &'a str,
    /// The session's id as text (`sid`).
    pub session: &'a str,
    /// The token's own id as text (`jti`).
    pub token_id: &'a str,
    /// How the user logged in (`amr`, RFC 8176), a few short names.
    pub methods: &'a [&'a str],
    /// Assurance level (`acr`).
    pub assurance: &'a str,
    /// Thumbprint of the key that the token is bound to (`cnf.jkt`, RFC 9449 §6), if any.
    pub bound_to: Option<&'a str>,
    /// Unix microseconds.
    pub now: i64,
    /// Seconds, at most [`LIFETIME_SECS_MAX`].
    pub lifetime_secs: u32,
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// For whom.
    pub aud: String,
    /// The user's id.
    pub sub: String,
    /// The client: always the first-party one (RFC 9068 §2.2 requires the claim).
    pub client_id: String,
    /// The session's id.
    pub sid: String,
    /// The token's id.
    pub jti: String,
    /// Issued at, Unix seconds.
    pub iat: i64,
    /// Not valid before, Unix seconds.
    pub nbf: i64,
    /// Not valid from this second on, Unix seconds.
    pub exp: i64,
    /// How the user logged in.
    pub amr: Vec<String>,
    /// Assurance level.
    pub acr: String,
    /// The key that the token is bound to; without a proof of it the token must be refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cnf: Option<Confirmation>,
}

/// RFC 7800's confirmation claim in the form of RFC 9449.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// SHA-256 thumbprint of the proof's key.
    pub jkt: String,
}

/// The only header that is written or accepted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    alg: String,
    typ: String,
    kid: String,
}

/// Issues and verifies the tokens of one audience (the customers' listener has another than the operators').
#[derive(Clone, Debug)]
pub struct AccessTokens {
    issuer: String,
    audience: String,
    client: String,
    validation: Validation,
}

impl AccessTokens {
    /// Tokens of `issuer` (an https address) for `audience`, obtained by the client `client`.
    #[must_use]
    pub fn new(issuer: &str, audience: &str, client: &str) -> Self {
        install_provider();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
        // Compared below, against the caller's clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let owned = str::to_owned;
        Self {
            issuer: owned(issuer),
            audience: owned(audience),
            client: owned(client),
            validation,
        }
    }

    /// A signed token by the active key.
    ///
    /// # Panics
    /// When the lifetime exceeds [`LIFETIME_SECS_MAX`]: configuration is checked at start.
    #[must_use]
    pub fn issue(&self, ring: &Keyring, new: NewToken<'_>) -> SecretString {
        assert!(
            new.lifetime_secs <= LIFETIME_SECS_MAX,
            "a lifetime of {} s",
            new.lifetime_secs
        );
        let key = ring.active_key(Purpose::AccessToken);
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.kid.to_string());
        let issued = new.now.div_euclid(1_000_000);
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: new.subject.to_owned(),
            client_id: self.client.clone(),
            sid: new.session.to_owned(),
            jti: new.token_id.to_owned(),
            iat: issued,
            nbf: issued,
            exp: issued + i64::from(new.lifetime_secs),
            amr: new.methods.iter().map(|&method| method.to_owned()).collect(),
            acr: new.assurance.to_owned(),
            cnf: new.bound_to.map(|jkt| Confirmation { jkt: jkt.to_owned() }),
        };
        let text = jsonwebtoken::encode(&header, &claims, &key.signing().encoding)
            .expect("text and numbers serialise, and the key is ours");
        SecretString::from(text)
    }

    /// Verifies a token at `now` (Unix microseconds).
    ///
    /// # Errors
    /// [`TokenError`]. Expiry is told only of tokens that we signed.
    pub fn verify(&self, ring: &Keyring, token: &str, now: i64) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let kid = checked_kid(token)?;
        let key = ring
            .key(kid, Purpose::AccessToken)
            .ok_or(TokenError::UnknownKid)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.signing().decoding, &self.validation)
            .map_err(|error| reason(error.kind()))?
            .claims;
        // In microseconds of 128 bits, so that no claim can overflow.
        let now = i128::from(now);
        if now >= i128::from(claims.exp) * 1_000_000 {
            return Err(TokenError::Expired);
        }
        if i128::from(claims.nbf) * 1_000_000 > now + i128::from(LEEWAY_SECS) * 1_000_000 {
            return Err(TokenError::NotYetValid);
        }
        Ok(claims)
    }
}

/// Longest id of a token that is read before the token is believed, in characters.
const CLAIMED_ID_CHARS_MAX: usize = 128;

/// The id (`jti`) that a token says of itself, whoever wrote it. It proves nothing: it tells refusals of one token
/// apart from those of others.
#[must_use]
pub fn claimed_id(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        jti: String,
    }
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let named: Named = serde_json::from_slice(&claims).ok()?;
    let is_short = (1..=CLAIMED_ID_CHARS_MAX).contains(&named.jti.chars().count());
    is_short.then_some(named.jti)
}

/// The kid of a token whose header is exactly one that we would write.
fn checked_kid(token: &str) -> Result<u32, TokenError> {
    let (header, _) = token.split_once('.').ok_or(TokenError::Malformed)?;
    let header = URL_SAFE_NO_PAD
        .decode(header)
        .map_err(|_| TokenError::Malformed)?;
    let header: StrictHeader = serde_json::from_slice(&header).map_err(|_| TokenError::Malformed)?;
    if header.alg != ALGORITHM {
        return Err(TokenError::Algorithm);
    }
    if header.typ != TYPE {
        return Err(TokenError::Type);
    }
    let kid: u32 = header.kid.parse().map_err(|_| TokenError::UnknownKid)?;
    // "+7" and "007" are numbers to the parser, but no names of keys.
    if kid.to_string() == header.kid {
        Ok(kid)
    } else {
        Err(TokenError::UnknownKid)
    }
}

fn reason(kind: &jsonwebtoken::errors::ErrorKind) -> TokenError {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::InvalidAudience => TokenError::Audience,
        ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
        _ => TokenError::Malformed,
    }
}

/// Makes AWS-LC the JWT library's provider; without exactly one it would panic at first use.
pub(crate) fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that one is installed already, which only this function does.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    });
}

/// The JWKS document (RFC 7517, RFC 8037): public keys of active and retired access-token keys, and those of signed
/// answers. What a retired key signed verifies until the key is destroyed.
#[must_use]
pub fn jwks(ring: &Keyring) -> serde_json::Value {
    let mut keys: Vec<_> = ring
        .public_keys(Purpose::AccessToken)
        .into_iter()
        .map(|(kid, public)| {
            serde_json::json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": ALGORITHM,
                "kid": kid.to_string(), "x": URL_SAFE_NO_PAD.encode(public),
            })
        })
        .collect();
    keys.extend(crate::http_signature::answer_keys(ring));
    serde_json::json!({ "keys": keys })
}

/// A token's name in caches and logs: SHA-256 of its text.
#[must_use]
pub fn fingerprint(token: &str) -> [u8; 32] {
    sha256(token.as_bytes())
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes)
        .as_ref()
        .try_into()
        .expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
