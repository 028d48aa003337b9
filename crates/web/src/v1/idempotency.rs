//! The `Idempotency-Key` header, and how an answer tells that it is a repetition.

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};
use serde::Serialize;
use strongroom_api::codes;
use strongroom_app::money::accounts::Once;

use crate::{Problem, views::Json};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const KEY_CHARS_MAX: usize = 255;

/// The key that a client sent, 1 to 255 printable characters; absent where it sent none.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKey(pub(crate) Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut keys = parts.headers.get_all(KEY).iter();
        let Some(first) = keys.next() else {
            return Ok(Self(None));
        };
        let text = first.to_str().ok().filter(|text| {
            !text.is_empty()
                && text.len() <= KEY_CHARS_MAX
                && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
        });
        match (text, keys.next()) {
            (Some(text), None) => Ok(Self(Some(text.to_owned()))),
            _ => Err(Problem::new(
                &codes::IDEMPOTENCY_KEY_MISSING,
                "`Idempotency-Key` must be sent once, with 1 to 255 printable characters.",
            )),
        }
    }
}

/// `201` with `Location`; a repetition says so and is the same otherwise.
pub(crate) fn created<T, B: Serialize + Send + Sync + 'static>(
    once: &Once<T>,
    location: &str,
    body: B,
) -> Response {
    let mut response = answered(StatusCode::CREATED, once, body);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// An answer that may be a repetition, which says so and is the same otherwise.
pub(crate) fn answered<T, B: Serialize + Send + Sync + 'static>(
    status: StatusCode,
    once: &Once<T>,
    body: B,
) -> Response {
    let mut response = (status, Json(body)).into_response();
    if once.replayed {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
