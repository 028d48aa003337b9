//! From where somebody calls who is not logged in (yet).

use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use http::{HeaderMap, HeaderName, header, request::Parts};
use strongroom_app::{
    Bank, Cx,
    identity::{personal::Client, possession::ShownProof},
};
use strongroom_domain::{id, principal::Origin};

use super::{
    Auth, Cookie,
    auth::{next_proof, proof_parts},
    read_cookie,
};
use crate::{
    Problem,
    layers::{Record, RequestId},
    state::AppState,
};

/// The answer and request header that carries a device mark for clients without cookies.
pub const DEVICE_TOKEN: HeaderName = HeaderName::from_static("x-device-token");

/// The context of a call by nobody in particular, and from where it comes.
#[derive(Debug)]
pub struct Anonymous(pub Cx, pub Client);

impl<S> FromRequestParts<S> for Anonymous
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let record = Record::of(&parts.extensions);
        if let Some(record) = record {
            record.limits().stranger(record, Some(&parts.headers)).await?;
        }
        let request = record.map_or_else(RequestId::next, Record::id);
        let bank = AppState::from_ref(state).bank;
        let cx = Cx::anonymous(
            id::RequestId::from_bytes(request.bytes()),
            bank.clock().now(),
            Origin::Api,
        )
        .by_agent(text(&parts.headers, &header::USER_AGENT).unwrap_or_default());
        let client = Client {
            address: record.map_or_else(String::new, |record| record.client().to_string()),
            user_agent: text(&parts.headers, &header::USER_AGENT)
                .unwrap_or_default()
                .to_owned(),
            device: device_mark(&parts.headers).map(str::to_owned),
            browser: false,
            proof: shown_proof(parts, &bank)?,
            puzzle: None,
        };
        Ok(Self(cx, client))
    }
}

/// The proof of a key by somebody who is to get tokens. One that goes with a token is looked at with the token.
fn shown_proof(parts: &Parts, bank: &Bank) -> Result<Option<ShownProof>, Problem> {
    let Some(proof) = proof_parts(parts)?.filter(|_| !parts.headers.contains_key(header::AUTHORIZATION))
    else {
        return Ok(None);
    };
    next_proof(parts, bank);
    Ok(Some(bank.shown_proof(&proof, None)?))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The device mark that a request shows, whether it is one or not.
pub(crate) fn device_mark(headers: &HeaderMap) -> Option<&str> {
    text(headers, &DEVICE_TOKEN).or_else(|| read_cookie(headers, Cookie::Device))
}

impl<S> OptionalFromRequestParts<S> for Auth
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = Problem;

    /// `None` without any credential; a credential that is not valid is refused all the same.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        let shown =
            parts.headers.contains_key(header::AUTHORIZATION) || parts.headers.contains_key("x-api-key");
        if shown {
            <Self as FromRequestParts<S>>::from_request_parts(parts, state)
                .await
                .map(Some)
        } else {
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_device_mark_is_found_in_its_header_and_in_its_cookie() {
        let mut headers = HeaderMap::new();
        assert_eq!(device_mark(&headers), None);
        headers.insert(
            header::COOKIE,
            HeaderValue::from_static("a=b; __Host-device=srd_1; c=d"),
        );
        assert_eq!(device_mark(&headers), Some("srd_1"));
        headers.insert(DEVICE_TOKEN, HeaderValue::from_static("srd_2"));
        assert_eq!(device_mark(&headers), Some("srd_2"));
    }
}
