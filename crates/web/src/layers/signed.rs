//! Reads the body of a signed request before anybody looks at the signature: it covers the bytes as they were sent.
//! Whoever signed gets an answer that is signed and bound to the request, whatever it says.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, request::Parts};
use http_body_util::BodyExt;
use strongroom_app::{
    Bank,
    api_keys::signatures::{AnswerParts, RequestParts},
};

use super::Record;
use crate::{BODY_BYTES_MAX, Problem, extract::read_body};

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

/// A request whose signature was proved, kept until its answer is signed.
pub(crate) struct Proved {
    bank: Arc<Bank>,
    method: Method,
    target: Uri,
    headers: HeaderMap,
}

impl Proved {
    /// The request with this head.
    pub(crate) fn new(bank: &Arc<Bank>, parts: &Parts) -> Self {
        Self {
            bank: Arc::clone(bank),
            method: parts.method.clone(),
            target: parts.uri.clone(),
            headers: parts.headers.clone(),
        }
    }

    /// The answer with the fields that sign it.
    pub(crate) async fn sign(&self, answer: Response) -> Response {
        let (mut head, body) = answer.into_parts();
        // Answers of the interface are documents in memory; one that breaks off is no answer.
        let Ok(body) = body.collect().await else {
            return Problem::internal("the body of an answer could not be read").into_response();
        };
        let body = body.to_bytes();
        let fields = {
            let (asked, told) = (fields(&self.headers), fields(&head.headers));
            let request = RequestParts {
                method: self.method.as_str(),
                path: self.target.path(),
                query: self.target.query(),
                headers: &asked,
                body: &[],
            };
            let answer = AnswerParts {
                status: head.status.as_u16(),
                headers: &told,
                body: &body,
            };
            self.bank.sign_answer(&request, &answer)
        };
        for (name, value) in fields {
            if let Ok(value) = HeaderValue::from_str(&value) {
                head.headers.insert(HeaderName::from_static(name), value);
            }
        }
        Response::from_parts(head, Body::from(body))
    }
}

/// Names with their values, in the order of arrival.
pub(crate) fn fields(headers: &HeaderMap) -> Vec<(&str, &[u8])> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}
