//! The plain scheme: HMAC-SHA256 over fixed lines, for keys that were made for it.

use aws_lc_rs::digest::{SHA256, digest};

use super::{NONCE_CHARS_MAX, PLAIN_WINDOW_SECS, Presented, Request, SignatureError, SignatureScheme};

/// Its fields: which key, when, the nonce, the signature in hexadecimal.
pub const PLAIN_HEADERS: [&str; 4] = ["x-api-key-id", "x-timestamp", "x-nonce", "x-signature"];

/// What is signed: method, authority, path, raw query, content type, idempotency key, key id, timestamp, nonce and the
/// body's SHA-256 in hexadecimal, joined by line feeds. What is not sent is an empty line.
///
/// # Errors
/// [`SignatureError::Malformed`] where a field is there twice or holds what no line can.
pub fn plain_lines(
    request: &Request<'_>,
    key: &str,
    timestamp: &str,
    nonce: &str,
) -> Result<String, SignatureError> {
    let lines = [
        request.method,
        request.authority,
        request.path,
        request.query.unwrap_or_default(),
        request.once("content-type")?.unwrap_or_default(),
        request.once("idempotency-key")?.unwrap_or_default(),
        key,
        timestamp,
        nonce,
        &hex::encode(digest(&SHA256, request.body)),
    ];
    if lines.iter().any(|line| line.contains(['\n', '\r'])) {
        return Err(SignatureError::Malformed);
    }
    Ok(lines.join("\n"))
}

pub(super) fn read(request: &Request<'_>, now: i64) -> Result<Presented, SignatureError> {
    let [key, timestamp, nonce, signature] = PLAIN_HEADERS.map(|name| request.once(name));
    let required = |value: Result<Option<_>, _>| value?.ok_or(SignatureError::Malformed);
    let (key, timestamp, nonce) = (required(key)?, required(timestamp)?, required(nonce)?);
    let created = seconds(timestamp).ok_or(SignatureError::Malformed)?;
    let printable = |b: u8| (0x21..=0x7e).contains(&b);
    if !(1..=NONCE_CHARS_MAX).contains(&nonce.len()) || !nonce.bytes().all(printable) {
        return Err(SignatureError::Malformed);
    }
    let text = required(signature)?;
    let signature = hex::decode(text).map_err(|_| SignatureError::Malformed)?;
    // In the one way to write it.
    if hex::encode(&signature) != text {
        return Err(SignatureError::Malformed);
    }
    // Fields that decide what a request does and have no line.
    if [
        "authorization",
        "dpop",
        "strongroom-version",
        "x-confirm-duplicate",
    ]
    .iter()
    .any(|name| request.has(name))
    {
        return Err(SignatureError::NotCovered);
    }
    super::check_digest(request)?;
    let signed = plain_lines(request, key, timestamp, nonce)?.into_bytes();
    if now.abs_diff(created) > PLAIN_WINDOW_SECS.unsigned_abs() {
        return Err(SignatureError::Expired);
    }
    Ok(Presented {
        scheme: SignatureScheme::Plain,
        key: key.to_owned(),
        algorithm: None,
        created,
        nonce: nonce.to_owned(),
        signed,
        signature,
    })
}

/// Whole seconds in the one way to write them.
fn seconds(text: &str) -> Option<i64> {
    let value: i64 = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}
