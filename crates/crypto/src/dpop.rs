//! Proofs of possession after RFC 9449 (DPoP): whoever shows a token that is bound to a key also shows that it holds
//! the key, for this very request and now.
//!
//! ES256 and EdDSA (Ed25519) and nothing else. Every step of section 4.3 is here but one: whether a proof came before
//! is the store's to say ([`Proof::id`]). The nonce in a proof is one that this server made lately: it is made from the
//! time under a key of the ring, so every node knows it and none keeps it. The address of the server is an argument,
//! never taken from the request.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::keyring::{Keyring, Purpose};
use crate::mac::hmac_of;
use crate::secret::constant_time_eq;

/// Longest proof that is looked at, in bytes.
pub const PROOF_BYTES_MAX: usize = 2_048;
/// How far the clock of a client may be off, and how long a proof may be on its way, in seconds.
pub const PROOF_WINDOW_SECS: i64 = 60;
/// How long a nonce of ours is good, in seconds.
pub const NONCE_SECS: i64 = 300;
/// Longest `jti` in characters.
pub const ID_CHARS_MAX: usize = 128;
/// What proofs may be signed with, as `WWW-Authenticate` lists it.
pub const ALGORITHMS: &str = "ES256 EdDSA";

const TYPE: &str = "dpop+jwt";
const TIME_LEN: usize = 8;
const MAC_LEN: usize = 16;

/// What a proof must be about.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// What clients call this server: host in lower case, port where it is not 443.
    pub authority: &'a str,
    /// The path as it was sent.
    pub path: &'a str,
    /// The access token that the request shows, where it shows one.
    pub token: Option<&'a str>,
}

impl std::fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// A proof that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The thumbprint of the key (RFC 7638, SHA-256).
    pub holder: [u8; 32],
    /// What makes it good once.
    pub id: String,
    /// When it was made, Unix seconds.
    pub issued_at: i64,
}

/// Why a proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not a proof in form: too long, another type or algorithm, a key of another kind, a claim that is missing.
    #[error("not a proof of possession")]
    Malformed,
    /// The signature is not the key's.
    #[error("a wrong signature")]
    Signature,
    /// Made for another request.
    #[error("made for another request")]
    OtherRequest,
    /// Made for another token, or for none.
    #[error("made for another token")]
    OtherToken,
    /// Made too long ago, or in the future.
    #[error("too old, or made in the future")]
    Expired,
    /// Without a nonce of ours, or with an old one.
    #[error("without a nonce of now")]
    Nonce,
}

/// The only header that is accepted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
    jwk: Jwk,
}

/// A public key. Members that change nothing about it are passed over; a private one (`d`) is none of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    y: Option<String>,
    #[serde(rename = "alg")]
    _alg: Option<IgnoredAny>,
    #[serde(rename = "use")]
    _use: Option<IgnoredAny>,
    #[serde(rename = "kid")]
    _kid: Option<IgnoredAny>,
    #[serde(rename = "ext")]
    _ext: Option<IgnoredAny>,
    #[serde(rename = "key_ops")]
    _key_ops: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: i64,
    ath: Option<String>,
    nonce: Option<String>,
}

/// A key as it is verified with.
struct HolderKey {
    algorithm: &'static dyn VerificationAlgorithm,
    bytes: Vec<u8>,
    thumbprint: [u8; 32],
}

impl Keyring {
    /// Verifies a proof at `now` (Unix seconds).
    ///
    /// # Errors
    /// [`ProofError`]; [`ProofError::Nonce`] only for a proof that is right but for its nonce.
    pub fn verify_proof(&self, text: &str, asked: &Asked<'_>, now: i64) -> Result<Proof, ProofError> {
        let (key, claims) = opened(text)?;
        if claims.jti.is_empty() || claims.jti.len() > ID_CHARS_MAX {
            return Err(ProofError::Malformed);
        }
        if claims.htm != asked.method || !is_target(&claims.htu, asked) {
            return Err(ProofError::OtherRequest);
        }
        let wanted = asked
            .token
            .map(|token| URL_SAFE_NO_PAD.encode(sha256(token.as_bytes())));
        if claims.ath != wanted {
            return Err(ProofError::OtherToken);
        }
        if now.abs_diff(claims.iat) > PROOF_WINDOW_SECS.unsigned_abs() {
            return Err(ProofError::Expired);
        }
        if !claims.nonce.is_some_and(|nonce| self.is_proof_nonce(&nonce, now)) {
            return Err(ProofError::Nonce);
        }
        Ok(Proof {
            holder: key.thumbprint,
            id: claims.jti,
            issued_at: claims.iat,
        })
    }

    /// A nonce for proofs that are made from `now` on (Unix seconds), for [`NONCE_SECS`].
    #[must_use]
    pub fn proof_nonce(&self, now: i64) -> String {
        let time = now.to_be_bytes();
        let mac = hmac_of(self.active_key(Purpose::Proof).mac(), &[&time]);
        URL_SAFE_NO_PAD.encode([&time[..], &mac[..MAC_LEN]].concat())
    }

    fn is_proof_nonce(&self, text: &str, now: i64) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) else {
            return false;
        };
        let Some((time, mac)) = bytes.split_first_chunk::<TIME_LEN>() else {
            return false;
        };
        let age = now.checked_sub(i64::from_be_bytes(*time));
        // A node whose clock is ahead a little made it a moment from now.
        let fresh = age.is_some_and(|age| (-PROOF_WINDOW_SECS..=NONCE_SECS).contains(&age));
        // Every key is asked, so that a rotation refuses nobody.
        fresh
            && self
                .keys(Purpose::Proof)
                .any(|key| constant_time_eq(&hmac_of(key.mac(), &[time])[..MAC_LEN], mac))
    }
}

/// The key and the claims of a proof that the key signed.
fn opened(text: &str) -> Result<(HolderKey, Claims), ProofError> {
    if text.len() > PROOF_BYTES_MAX {
        return Err(ProofError::Malformed);
    }
    let mut parts = text.split('.');
    let (Some(header), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(ProofError::Malformed);
    };
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| ProofError::Malformed);
    let head: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| ProofError::Malformed)?;
    if head.typ != TYPE {
        return Err(ProofError::Malformed);
    }
    let key = holder_key(&head.alg, &head.jwk).ok_or(ProofError::Malformed)?;
    let signed = &text[..header.len() + 1 + claims.len()];
    UnparsedPublicKey::new(key.algorithm, &key.bytes)
        .verify(signed.as_bytes(), &decoded(signature)?)
        .map_err(|_| ProofError::Signature)?;
    let claims = serde_json::from_slice(&decoded(claims)?).map_err(|_| ProofError::Malformed)?;
    Ok((key, claims))
}

/// The key of a proof, if algorithm and kind of key belong together.
fn holder_key(algorithm: &str, jwk: &Jwk) -> Option<HolderKey> {
    let coordinate = |text: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        // In the one way to write it: the thumbprint is of the text.
        (bytes.len() == 32 && URL_SAFE_NO_PAD.encode(&bytes) == text).then_some(bytes)
    };
    let x = coordinate(&jwk.x)?;
    match (algorithm, jwk.kty.as_str(), jwk.crv.as_str(), &jwk.y) {
        ("EdDSA", "OKP", "Ed25519", None) => Some(HolderKey {
            algorithm: &ED25519,
            bytes: x,
            // RFC 8037, appendix A.3: the required members in the order of their names.
            thumbprint: sha256(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, jwk.x).as_bytes()),
        }),
        ("ES256", "EC", "P-256", Some(y)) => Some(HolderKey {
            algorithm: &ECDSA_P256_SHA256_FIXED,
            bytes: [&[4][..], &x, &coordinate(y)?].concat(),
            thumbprint: sha256(
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{y}"}}"#, jwk.x).as_bytes(),
            ),
        }),
        _ => None,
    }
}

/// Whether an `htu` is the request's address without query and fragment.
fn is_target(htu: &str, asked: &Asked<'_>) -> bool {
    let address = htu.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = address.split_once("://") else {
        return false;
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    scheme.eq_ignore_ascii_case("https")
        && authority.eq_ignore_ascii_case(asked.authority)
        && path == asked.path
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

/// A thumbprint as tokens hold it.
#[must_use]
pub fn thumbprint_text(holder: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(holder)
}

/// The thumbprint that a token holds.
#[must_use]
pub fn thumbprint_of(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
#[path = "dpop_tests.rs"]
mod tests;
