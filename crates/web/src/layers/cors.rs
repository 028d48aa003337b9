//! Pages of other origins: closed, except for origins that are named exactly.
//!
//! Tokens travel in a header that a page sets itself, so credentials of the browser (cookies) are never allowed for
//! foreign pages, and `*` and `null` are no origins.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};

/// What a named origin may send.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, dpop, idempotency-key, strongroom-version, x-confirm-duplicate, x-device-token",
);
/// What it may read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "dpop-nonce, idempotent-replayed, location, ratelimit, ratelimit-policy, retry-after, x-device-token, x-request-id",
);
/// How long a browser may keep the answer to a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The origins whose pages may call this server from a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<String>);

impl Origins {
    /// These, as a browser writes them: `https://app.example`, with a port where it is not the scheme's own.
    pub fn new(origins: Vec<String>) -> Self {
        Self(origins)
    }

    /// The origin of a request, if it is named: compared byte by byte.
    pub(super) fn of(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut shown = headers.get_all(header::ORIGIN).iter();
        let (Some(origin), None) = (shown.next(), shown.next()) else {
            return None;
        };
        let known = self.0.iter().any(|known| known.as_bytes() == origin.as_bytes());
        known.then(|| origin.clone())
    }

    /// Answers the question of a browser what a page of that origin may do.
    pub(super) fn preflight<B>(&self, request: &Request<B>) -> Option<Response> {
        let asks = request.method() == Method::OPTIONS
            && request
                .headers()
                .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || self.of(request.headers()).is_none() {
            return None;
        }
        let headers = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
            (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        ];
        Some((StatusCode::NO_CONTENT, headers, Body::empty()).into_response())
    }

    /// Lets the page of a named origin read the answer. Caches must keep answers apart by origin as soon as one is
    /// named.
    pub(super) fn add(&self, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}
