//! A form that was sent: only from our own pages, and only with the token of this browser's forms.
//!
//! Two defences that fail apart (ASVS 3.5.1): the browser says where the request was made, and the token is a keyed
//! digest of a cookie that no script can read. The cookie changes whenever a session begins, is proved again or ends.

use axum::{
    extract::{FromRef, FromRequest, FromRequestParts, Request},
    http::header,
};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use strongroom_app::ExposeSecret;

use super::{
    render::{Refused, message},
    visitor::{From, Visitor},
};
use crate::{
    BODY_BYTES_MAX,
    extract::{form_fields, form_pairs},
    layers::Record,
    state::AppState,
};

/// The name of the token's field.
const TOKEN: &str = "csrf";
/// The media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

/// A form with its visitor.
#[derive(Debug)]
pub(super) struct Form<T>(pub(super) Visitor, pub(super) T);

impl<S, T> FromRequest<S> for Form<T>
where
    S: Send + Sync,
    AppState: FromRef<S>,
    T: DeserializeOwned,
{
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let record = Record::of(request.extensions()).cloned();
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, state).await?;
        if visitor.from == From::Elsewhere {
            return Err(foreign());
        }
        let media = parts
            .headers
            .get(header::CONTENT_TYPE)
            .map(|value| value.as_bytes());
        if !media.is_some_and(|media| media.starts_with(FORM.as_bytes())) {
            return Err(unreadable());
        }
        let bytes = Bytes::from_request(Request::from_parts(parts, body), state)
            .await
            .map_err(|_| unreadable())?;
        let text = std::str::from_utf8(&bytes).map_err(|_| unreadable())?;
        let mut pairs = form_pairs(text, BODY_BYTES_MAX).map_err(|_| unreadable())?;
        if let Some(record) = &record {
            record.detection().look_at_form(record, &pairs);
        }
        let bank = AppState::from_ref(state).bank;
        let token = pairs.iter().position(|(name, _)| name == TOKEN);
        let token = token.map(|at| pairs.remove(at).1).unwrap_or_default();
        if !bank.is_form_token(visitor.form.0.expose_secret(), &token) {
            return Err(foreign());
        }
        let fields = form_fields(&pairs).map_err(|_| unreadable())?;
        Ok(Self(visitor, fields))
    }
}

fn foreign() -> Refused {
    message(
        http::StatusCode::FORBIDDEN,
        "Please try again",
        "This form was not sent from one of our pages, or it is out of date. Nothing was done. Go back, reload the page \
         and try again.",
    )
    .into()
}

fn unreadable() -> Refused {
    message(
        http::StatusCode::BAD_REQUEST,
        "This cannot be read",
        "The form holds something that it should not, or is too large. Nothing was done.",
    )
    .into()
}
