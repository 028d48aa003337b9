//! Who binds a factor: somebody who is logged in, or somebody whom a recovery code let in that far.

use axum::extract::{FromRef, FromRequestParts};
use http::{header, request::Parts};
use strongroom_app::{SecretString, identity::factors::Binder};

use super::{Anonymous, Auth, auth::bearer};
use crate::{Problem, state::AppState};

/// An access token, or the token of a recovery; which one it is, its shape tells.
#[derive(Debug)]
pub(crate) struct FactorBinder(pub(crate) Binder);

impl<S> FromRequestParts<S> for FactorBinder
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let mut shown = parts.headers.get_all(header::AUTHORIZATION).iter();
        let token = match (shown.next(), shown.next()) {
            (Some(value), None) => value.to_str().ok().and_then(bearer),
            _ => None,
        };
        // An access token has three parts with dots between them; the token of a ticket has no dot.
        let recovered = token
            .filter(|token| !token.contains('.') && !parts.headers.contains_key("x-api-key"))
            .map(SecretString::from);
        Ok(Self(match recovered {
            Some(token) => {
                let Anonymous(cx, _) = Anonymous::from_request_parts(parts, state).await?;
                Binder::Recovered(Box::new(cx), token)
            }
            None => {
                let Auth(cx) = <Auth as FromRequestParts<S>>::from_request_parts(parts, state).await?;
                Binder::Session(Box::new(cx))
            }
        }))
    }
}
