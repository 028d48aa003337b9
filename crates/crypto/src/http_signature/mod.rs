//! Signed HTTP messages: RFC 9421 with the digests of RFC 9530, and a plain scheme for clients that can do no better.
//!
//! A signature is worth what it covers. [`read`] takes a request apart and refuses it when anything that decides what
//! it does is not covered: method, target, body, content type, idempotency key, the time it was made and the nonce.
//! What comes out ([`Presented`]) names a key and holds the exact bytes that were signed; whose key it is, which
//! algorithm goes with it and whether the nonce is new is the caller's to say. The parser is strict: one signature, in
//! the one form that a serializer writes (RFC 9651), no parameter that is not known here. Two readings of one message
//! would be two messages.
//!
//! The address of the server is an argument, never taken from the message. Answers to signed requests are signed, too
//! ([`Answer`]).

mod answer;
mod base;
mod plain;

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};

use crate::secret::constant_time_eq;
use crate::signing_secret::SigningSecret;

pub use answer::{ANSWER_TAG, Answer, answer_keys, verify_answer};
pub use base::{answer_base, signature_base, signature_params};
pub use plain::{PLAIN_HEADERS, plain_lines};

/// How far the clock of a client may be off, and how long a request may be on its way, in seconds (RFC 9421 requests).
pub const WINDOW_SECS: i64 = 60;
/// The same for the plain scheme.
pub const PLAIN_WINDOW_SECS: i64 = 300;
/// The `tag` of our requests, as FAPI 2.0 HTTP Signatures has it.
pub const REQUEST_TAG: &str = "fapi-2-request";
/// Longest nonce in characters.
pub const NONCE_CHARS_MAX: usize = 128;
/// Longest `Signature-Input` or `Signature` field that is looked at, in bytes.
pub const FIELD_BYTES_MAX: usize = 4_096;

/// The label of the signatures that are made here.
const LABEL: &str = "sig";

/// Fields that must be covered wherever they are sent.
const COVERED_WHERE_SENT: &[&str] = &[
    "authorization",
    "content-digest",
    "content-type",
    "dpop",
    "idempotency-key",
    "strongroom-version",
    "x-api-key-id",
    "x-confirm-duplicate",
];

/// A request as it arrived.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method as it was sent.
    pub method: &'a str,
    /// What clients call this server: `https`, host in lower case, port where it is not 443.
    pub authority: &'a str,
    /// The path as it was sent.
    pub path: &'a str,
    /// The query as it was sent, without its question mark; `None` where there is no question mark.
    pub query: Option<&'a str>,
    /// Names in lower case with their values, in the order of arrival.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body as it was sent.
    pub body: &'a [u8],
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl Request<'_> {
    /// The value of a field that must not be there twice.
    fn once(&self, name: &str) -> Result<Option<&str>, SignatureError> {
        let mut found = self.headers.iter().filter(|(other, _)| *other == name);
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some((_, value)), None) => std::str::from_utf8(value)
                .map(|value| Some(value.trim_matches([' ', '\t'])))
                .map_err(|_| SignatureError::Malformed),
            (Some(_), Some(_)) => Err(SignatureError::Malformed),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(other, _)| *other == name)
    }

    /// Whether somebody signed it, in whatever scheme.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        ["signature", "signature-input", "x-signature"]
            .iter()
            .any(|name| self.has(name))
    }
}

/// The scheme of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureScheme {
    /// HTTP Message Signatures.
    Rfc9421,
    /// `X-Signature` over fixed lines.
    Plain,
}

/// A signed request, taken apart; nothing of it is proved yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    /// The scheme.
    pub scheme: SignatureScheme,
    /// The name of the key.
    pub key: String,
    /// The algorithm that it names, if it names one.
    pub algorithm: Option<String>,
    /// When it was made, Unix seconds.
    pub created: i64,
    /// What makes it good once.
    pub nonce: String,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// What a signature is verified with.
#[derive(Debug)]
pub enum VerifyingKey<'a> {
    /// The public key of a pair.
    Ed25519(&'a [u8; 32]),
    /// A shared secret: HMAC-SHA256.
    Shared(&'a SigningSecret),
}

impl Presented {
    /// Whether the key made the signature. The algorithm is the key's, whatever the message names.
    #[must_use]
    pub fn is_by(&self, key: &VerifyingKey<'_>) -> bool {
        let (name, proved) = match key {
            VerifyingKey::Ed25519(public) => {
                let public = UnparsedPublicKey::new(&ED25519, public.as_slice());
                ("ed25519", public.verify(&self.signed, &self.signature).is_ok())
            }
            VerifyingKey::Shared(secret) => ("hmac-sha256", secret.verifies(&self.signed, &self.signature)),
        };
        proved && self.algorithm.as_deref().is_none_or(|named| named == name)
    }
}

/// Whether the key made this signature of these bytes.
#[cfg(test)]
pub(crate) fn signed_by_for_tests(signed: &[u8], signature: &[u8], key: &VerifyingKey<'_>) -> bool {
    let presented = Presented {
        scheme: SignatureScheme::Rfc9421,
        key: String::new(),
        algorithm: None,
        created: 0,
        nonce: String::new(),
        signed: signed.to_vec(),
        signature: signature.to_vec(),
    };
    presented.is_by(key)
}

/// Why a signed request is refused. What is wrong with its form may be told: it says nothing about the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not one signature in the form that the standard writes.
    #[error("the signature is not in the form of its scheme")]
    Malformed,
    /// Something that decides what the request does is not covered.
    #[error("the signature does not cover everything that it must")]
    NotCovered,
    /// The body is another than the one that was signed.
    #[error("the digest is not the body's")]
    Digest,
    /// Made too long ago, or in the future.
    #[error("the signature is too old, or made in the future")]
    Expired,
}

/// Takes a signed request apart, at `now` in Unix seconds. `None` where it is not signed.
///
/// # Errors
/// [`SignatureError`].
pub fn read(request: &Request<'_>, now: i64) -> Result<Option<Presented>, SignatureError> {
    match (
        request.has("signature") || request.has("signature-input"),
        request.has("x-signature"),
    ) {
        (false, false) => Ok(None),
        (true, false) => read_rfc9421(request, now).map(Some),
        (false, true) => plain::read(request, now).map(Some),
        // Two signatures might be two requests.
        (true, true) => Err(SignatureError::Malformed),
    }
}

fn read_rfc9421(request: &Request<'_>, now: i64) -> Result<Presented, SignatureError> {
    let input = request
        .once("signature-input")?
        .ok_or(SignatureError::Malformed)?;
    let signature_text = request.once("signature")?.ok_or(SignatureError::Malformed)?;
    let (input_label, ListEntry::InnerList(covered)) = only_member(input)? else {
        return Err(SignatureError::Malformed);
    };
    let (label, ListEntry::Item(signature)) = only_member(signature_text)? else {
        return Err(SignatureError::Malformed);
    };
    let BareItem::ByteSequence(signature_bytes) = signature.bare_item else {
        return Err(SignatureError::Malformed);
    };
    // The form that a serializer writes, and no other: what a lenient parser drops, another might keep.
    let written = format!("{label}={}", signature_params(&covered));
    let one_form = written == input && signature_field(&label, &signature_bytes) == signature_text;
    if label != input_label || !signature.params.is_empty() || !one_form {
        return Err(SignatureError::Malformed);
    }
    let presented = Presented {
        scheme: SignatureScheme::Rfc9421,
        key: text(&covered, "keyid")?.ok_or(SignatureError::Malformed)?,
        algorithm: text(&covered, "alg")?,
        created: number(&covered, "created")?.ok_or(SignatureError::Malformed)?,
        nonce: text(&covered, "nonce")?.ok_or(SignatureError::Malformed)?,
        signed: signature_base(&covered, request)
            .ok_or(SignatureError::Malformed)?
            .into_bytes(),
        signature: signature_bytes,
    };
    const KNOWN: [&str; 6] = ["created", "expires", "nonce", "alg", "keyid", "tag"];
    let known = covered.params.keys().all(|name| KNOWN.contains(&name.as_str()));
    if !known
        || text(&covered, "tag")?.as_deref() != Some(REQUEST_TAG)
        || !(1..=NONCE_CHARS_MAX).contains(&presented.nonce.len())
    {
        return Err(SignatureError::Malformed);
    }
    check_key_id(request, &presented.key)?;
    check_coverage(request, &covered)?;
    check_digest(request)?;
    let expired = number(&covered, "expires")?.is_some_and(|end| end <= now);
    if expired || now.abs_diff(presented.created) > WINDOW_SECS.unsigned_abs() {
        return Err(SignatureError::Expired);
    }
    Ok(presented)
}

/// A `Signature` field of one signature.
fn signature_field(label: &str, signature: &[u8]) -> String {
    format!("{label}=:{}:", STANDARD.encode(signature))
}

/// The label and value of a dictionary of one.
fn only_member(text: &str) -> Result<(String, ListEntry), SignatureError> {
    if text.len() > FIELD_BYTES_MAX {
        return Err(SignatureError::Malformed);
    }
    let members: Dictionary = Parser::new(text).parse().map_err(|_| SignatureError::Malformed)?;
    let mut members = members.into_iter();
    match (members.next(), members.next()) {
        (Some((label, value)), None) => Ok((label.as_str().to_owned(), value)),
        _ => Err(SignatureError::Malformed),
    }
}

fn text(covered: &InnerList, name: &str) -> Result<Option<String>, SignatureError> {
    match covered.params.get(name) {
        None => Ok(None),
        Some(BareItem::String(value)) => Ok(Some(value.as_str().to_owned())),
        Some(_) => Err(SignatureError::Malformed),
    }
}

fn number(covered: &InnerList, name: &str) -> Result<Option<i64>, SignatureError> {
    match covered.params.get(name) {
        None => Ok(None),
        Some(BareItem::Integer(value)) => Ok(Some(i64::from(*value))),
        Some(_) => Err(SignatureError::Malformed),
    }
}

/// A key is named once, or twice in the same way.
fn check_key_id(request: &Request<'_>, key: &str) -> Result<(), SignatureError> {
    match request.once("x-api-key-id")? {
        Some(named) if named != key => Err(SignatureError::Malformed),
        _ => Ok(()),
    }
}

fn check_coverage(request: &Request<'_>, covered: &InnerList) -> Result<(), SignatureError> {
    let names: Vec<&str> = covered
        .items
        .iter()
        .map(|item| match &item.bare_item {
            // A parameter makes another component of it.
            BareItem::String(name) if item.params.is_empty() => name.as_str(),
            _ => "",
        })
        .collect();
    let has = |name: &str| names.contains(&name);
    let target = has("@target-uri") || (has("@authority") && has("@path") && has("@query"));
    let fields = COVERED_WHERE_SENT
        .iter()
        .all(|name| has(name) || !request.has(name));
    let body = request.body.is_empty() || has("content-digest");
    if has("@method") && target && fields && body {
        Ok(())
    } else {
        Err(SignatureError::NotCovered)
    }
}

/// Every digest that is named and known is the body's, and one of them is (RFC 9530).
fn check_digest(request: &Request<'_>) -> Result<(), SignatureError> {
    let Some(field) = request.once("content-digest")? else {
        // Coverage has refused a body without one.
        return Ok(());
    };
    if field.len() > FIELD_BYTES_MAX {
        return Err(SignatureError::Malformed);
    }
    let digests: Dictionary = Parser::new(field)
        .parse()
        .map_err(|_| SignatureError::Malformed)?;
    let mut proved = false;
    for (name, value) in &digests {
        let algorithm = match name.as_str() {
            "sha-256" => &SHA256,
            "sha-512" => &SHA512,
            _ => continue,
        };
        let ListEntry::Item(item) = value else {
            return Err(SignatureError::Malformed);
        };
        let BareItem::ByteSequence(bytes) = &item.bare_item else {
            return Err(SignatureError::Malformed);
        };
        if !constant_time_eq(digest(algorithm, request.body).as_ref(), bytes) {
            return Err(SignatureError::Digest);
        }
        proved = true;
    }
    if proved {
        Ok(())
    } else {
        Err(SignatureError::Digest)
    }
}

/// The `Content-Digest` of a body: its SHA-256.
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    let hash = STANDARD.encode(digest(&SHA256, body));
    format!("sha-256=:{hash}:")
}

/// What a client signs with.
pub enum SigningKey {
    /// A key pair.
    Ed25519(Ed25519KeyPair),
    /// A shared secret.
    Shared(SigningSecret),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey([redacted])")
    }
}

impl SigningKey {
    /// Signs a request of the key with this id as a client does, and gives the fields to send besides: those of
    /// `request`, which must hold `content-digest` where there is a body, are all covered.
    ///
    /// # Panics
    /// When the request has no address or the texts hold what fields cannot.
    #[must_use]
    pub fn sign(
        &self,
        request: &Request<'_>,
        key: &str,
        created: i64,
        nonce: &str,
    ) -> [(&'static str, String); 2] {
        let fields = COVERED_WHERE_SENT.iter().filter(|name| request.has(name));
        let names: Vec<String> = ["@method", "@target-uri"]
            .iter()
            .chain(fields)
            .map(|name| format!("\"{name}\""))
            .collect();
        let algorithm = match self {
            Self::Ed25519(_) => "ed25519",
            Self::Shared(_) => "hmac-sha256",
        };
        let params = format!(
            "({});created={created};nonce=\"{nonce}\";alg=\"{algorithm}\";keyid=\"{key}\";tag=\"{REQUEST_TAG}\"",
            names.join(" ")
        );
        let base = signature_base(&covered_by(&params), request).expect("the request has what it names");
        let signature = match self {
            Self::Ed25519(pair) => pair.sign(base.as_bytes()).as_ref().to_vec(),
            Self::Shared(secret) => secret.sign(base.as_bytes()).to_vec(),
        };
        [
            ("signature-input", format!("{LABEL}={params}")),
            ("signature", signature_field(LABEL, &signature)),
        ]
    }
}

/// The list that these parameters were written of by us.
fn covered_by(params: &str) -> InnerList {
    match only_member(&format!("{LABEL}={params}")) {
        Ok((_, ListEntry::InnerList(covered))) => covered,
        _ => unreachable!("names, numbers and printable texts are a list"),
    }
}

#[cfg(test)]
mod rfc_vectors;
#[cfg(test)]
mod tests;
