//! Reads the body of a signed request before anybody looks at the signature: it covers the bytes as they were sent.

use axum::{
    body::Body,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::HeaderName;

use super::Record;
use crate::{BODY_BYTES_MAX, extract::read_body};

/// Fields by which a request says that it is signed.
pub(crate) const SIGNED: [HeaderName; 4] = [
    HeaderName::from_static("signature"),
    HeaderName::from_static("signature-input"),
    HeaderName::from_static("x-signature"),
    HeaderName::from_static("x-api-key-id"),
];

/// The body of a signed request, as it was sent.
#[derive(Clone)]
pub(crate) struct SentBody(pub(crate) Bytes);

/// Keeps the body of a signed request for whoever checks the signature; costs other requests a look at their fields.
pub(crate) async fn keep_body(request: Request, next: Next) -> Response {
    if !SIGNED.iter().any(|name| request.headers().contains_key(name)) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let bytes_max = Record::of(&parts.extensions).map_or(BODY_BYTES_MAX, Record::body_bytes_max);
    let bytes = match read_body(body, bytes_max).await {
        Ok(bytes) => bytes,
        Err(problem) => return problem.into_response(),
    };
    parts.extensions.insert(SentBody(bytes.clone()));
    next.run(Request::from_parts(parts, Body::from(bytes))).await
}
