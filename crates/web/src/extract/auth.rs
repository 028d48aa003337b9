//! Who calls.
//!
//! `Authorization: Bearer` with an access token (RFC 6750), `Authorization: DPoP` with one that is bound to a key and a
//! proof of the key (RFC 9449), or `X-API-Key` with the key of an integration: exactly
//! one of them, once. Everything else about it is decided in one place, the application's `authenticate`.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, MatchedPath};
use http::{HeaderName, StatusCode, header, request::Parts};
use strongroom_api::codes;
use strongroom_app::{
    Arrival, Bank, Credential, Cx,
    api_keys::signatures::RequestParts,
    identity::possession::ProofParts,
    security::{catalogue::SecurityEventKind, stream::Whence},
};
use strongroom_domain::{
    id,
    principal::{Origin, Principal},
};

use super::{Cookie, read_cookie};
use crate::{
    Problem,
    layers::{ClientCertificate, Proved, Record, RequestId, SIGNED, Scope, SentBody, fields},
    state::AppState,
    views::Reader,
};

const DPOP: HeaderName = HeaderName::from_static("dpop");
const REASON: HeaderName = HeaderName::from_static("x-access-reason");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The context of an authenticated call. What makes a signed one good once is used up.
#[derive(Clone, Debug)]
pub struct Auth(pub Cx);

/// The context of an authenticated call that moves money: the books use its nonce up with the movement.
#[derive(Clone, Debug)]
pub struct MoneyAuth(pub Cx);

impl<S> FromRequestParts<S> for Auth
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let bank = AppState::from_ref(state).bank;
        let cx = enter(parts, &bank).await?;
        bank.use_nonce(&cx).await?;
        Ok(Self(cx))
    }
}

impl<S> FromRequestParts<S> for MoneyAuth
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        enter(parts, &AppState::from_ref(state).bank).await.map(Self)
    }
}

/// Whoever the credential says, counted against the limits.
async fn enter(parts: &Parts, bank: &Arc<Bank>) -> Result<Cx, Problem> {
    let record = Record::of(&parts.extensions);
    let request = record.map_or_else(RequestId::next, Record::id);
    let request = id::RequestId::from_bytes(request.bytes());
    let cx = match (established(parts, bank, request).await, record) {
        (Err(problem), Some(record)) if problem.status() == StatusCode::UNAUTHORIZED => {
            record.limits().stranger(record, Some(&parts.headers)).await?;
            return Err(problem);
        }
        (outcome, _) => outcome?,
    };
    let cx = with_reason(cx, parts)?;
    if let Some(record) = record {
        record.set_reader(Reader::of(&cx));
        if cx.is_signed() {
            record.set_proved(Proved::new(bank, parts));
        }
        record.limits().principal(record, &parts.method, &cx).await?;
        record.set_principal(match cx.caller.principal {
            Principal::User(id) => id.to_string(),
            Principal::ApiKey { key, .. } => key.to_string(),
            Principal::Anonymous | Principal::Job | Principal::Cli(_) => String::new(),
        });
    }
    if is_desk(parts) {
        strongroom_app::authority::authorize::enter_desk(&cx)?;
    }
    Ok(cx)
}

/// The call with the reason that was sent for it, if one was.
fn with_reason(cx: Cx, parts: &Parts) -> Result<Cx, Problem> {
    let mut reasons = parts.headers.get_all(REASON).iter();
    match (reasons.next(), reasons.next()) {
        (None, _) => Ok(cx),
        (Some(reason), None) => Ok(cx.for_reason(reason.to_str().unwrap_or_default())?),
        (Some(_), Some(_)) => Ok(cx.for_reason("")?),
    }
}

/// Whoever the credential says, if they may use this listener.
async fn established(parts: &Parts, bank: &Bank, request: id::RequestId) -> Result<Cx, Problem> {
    let headers = fields(&parts.headers);
    let credential = credential(parts, &headers)?;
    if matches!(credential, Credential::Bound(..)) {
        next_proof(parts, bank);
    }
    let kind = match credential {
        Credential::Bearer(_) | Credential::Bound(..) | Credential::Browser(_) => {
            SecurityEventKind::TokenRefused
        }
        Credential::ApiKey(_) | Credential::Signed(_) => SecurityEventKind::ApiKeyRefused,
    };
    let arrival = Arrival {
        request,
        origin: Origin::Api,
        address: Record::of(&parts.extensions).map(Record::client),
        certificate: parts
            .extensions
            .get()
            .map(|ClientCertificate(thumbprint)| *thumbprint),
    };
    let outcome = bank.authenticate(credential, arrival).await;
    let agent = Record::of(&parts.extensions).map_or("", Record::agent);
    if outcome.is_err() {
        let address = Record::of(&parts.extensions).map(|record| record.client().to_string());
        let whence = Whence {
            request: Some(request),
            address: &address.unwrap_or_default(),
            agent,
            token: bank.token_name(credential),
        };
        bank.note_failure(kind, &whence, None, &outcome);
    }
    let cx = outcome?.by_agent(agent);
    let scope = parts.extensions.get::<Scope>().copied().unwrap_or_default();
    let operator = cx.rights.roles.iter().any(|role| role.is_operator());
    if cx.caller.session.is_some() && !scope.lets_in(operator) {
        return Err(Problem::new(
            &codes::TOKEN_INVALID,
            "Authentication is required: the token is not valid on this listener.",
        ));
    }
    Ok(cx)
}

/// Whether the head of a request shows a person's session that is valid, on whatever listener. It uses up nothing.
pub async fn shows_session(bank: &Bank, head: &Parts) -> bool {
    let arrival = Arrival {
        request: id::RequestId::from_bytes(
            Record::of(&head.extensions)
                .map_or_else(RequestId::next, Record::id)
                .bytes(),
        ),
        origin: Origin::Api,
        address: Record::of(&head.extensions).map(Record::client),
        certificate: None,
    };
    let shown = match read_cookie(&head.headers, Cookie::Session) {
        Some(cookie) => Credential::Browser(cookie),
        None => match credential(head, &[]) {
            Ok(shown @ (Credential::Bearer(_) | Credential::Bound(..))) => shown,
            _ => return false,
        },
    };
    bank.authenticate(shown, arrival).await.is_ok()
}

/// Whether the route is one of those where operators work: all of them are closed to everybody else, whatever the
/// handler asks for.
fn is_desk(parts: &Parts) -> bool {
    parts
        .extensions
        .get::<MatchedPath>()
        .is_some_and(|path| path.as_str().starts_with("/api/v1/admin/"))
}

/// The one credential of a request.
fn credential<'a>(parts: &'a Parts, fields: &'a [(&'a str, &'a [u8])]) -> Result<Credential<'a>, Problem> {
    let headers = &parts.headers;
    let mut bearers = headers.get_all(header::AUTHORIZATION).iter();
    let mut keys = headers.get_all(API_KEY).iter();
    let signed = SIGNED.iter().any(|name| headers.contains_key(name));
    match (bearers.next(), bearers.next(), keys.next(), keys.next(), signed) {
        (None, None, None, None, false) => Err(missing()),
        (Some(value), None, None, None, false) => {
            let value = value.to_str().map_err(|_| missing())?;
            match (bearer(value), with_scheme(value, "dpop")) {
                (Some(token), _) => Ok(Credential::Bearer(token)),
                (None, Some(token)) => match proof_parts(parts)? {
                    Some(proof) => Ok(Credential::Bound(token, proof)),
                    None => Err(no_proof()),
                },
                (None, None) => Err(missing()),
            }
        }
        (None, None, Some(value), None, false) => {
            value.to_str().ok().map(Credential::ApiKey).ok_or_else(missing)
        }
        (None, None, None, None, true) => Ok(Credential::Signed(RequestParts {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: fields,
            // Signed requests are read before they come here; what was not read is not the body that was signed.
            body: parts.extensions.get::<SentBody>().map_or(&[][..], |sent| &sent.0),
        })),
        // Two credentials might be two people: nobody guesses which one was meant.
        _ => Err(Problem::new(
            &codes::UNAUTHENTICATED,
            "Authentication is required: send one credential, once.",
        )),
    }
}

/// The token of `Bearer <token>`; the scheme in any case (RFC 9110, section 11.1).
pub(super) fn bearer(value: &str) -> Option<&str> {
    with_scheme(value, "bearer")
}

fn with_scheme<'a>(value: &'a str, wanted: &str) -> Option<&'a str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case(wanted) && !token.is_empty()).then_some(token)
}

/// The one proof of possession of a request, if it has one.
pub(super) fn proof_parts(parts: &Parts) -> Result<Option<ProofParts<'_>>, Problem> {
    let mut proofs = parts.headers.get_all(DPOP).iter();
    let proof = match (proofs.next(), proofs.next()) {
        (None, _) => return Ok(None),
        (Some(proof), None) => proof.to_str().map_err(|_| no_proof())?,
        (Some(_), Some(_)) => return Err(no_proof()),
    };
    Ok(Some(ProofParts {
        proof,
        method: parts.method.as_str(),
        path: parts.uri.path(),
        operators: parts.extensions.get::<Scope>() == Some(&Scope::Operators),
    }))
}

/// Whoever sends proofs is told the nonce of the next one.
pub(super) fn next_proof(parts: &Parts, bank: &Bank) {
    let nonce = http::HeaderValue::from_str(&bank.proof_nonce());
    if let (Some(record), Ok(nonce)) = (Record::of(&parts.extensions), nonce) {
        record.set_proof_nonce(nonce);
    }
}

fn no_proof() -> Problem {
    Problem::new(
        &codes::INVALID_DPOP_PROOF,
        "Authentication is required: send one proof of the key in `DPoP`.",
    )
}

fn missing() -> Problem {
    Problem::new(
        &codes::UNAUTHENTICATED,
        "Authentication is required: send an access token or an API key.",
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parts(pairs: &[(&'static str, &'static str)]) -> Parts {
        let request = pairs
            .iter()
            .fold(http::Request::builder(), |request, (name, value)| {
                request.header(HeaderName::from_static(name), HeaderValue::from_static(value))
            });
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn one_credential_is_read_whatever_the_case_of_its_scheme() {
        for scheme in ["Bearer x.y.z", "bearer x.y.z", "BEARER  x.y.z"] {
            let found = parts(&[("authorization", scheme)]);
            assert!(
                matches!(credential(&found, &[]), Ok(Credential::Bearer("x.y.z"))),
                "{scheme}"
            );
        }
        let found = parts(&[("x-api-key", "sr_test_1")]);
        assert!(matches!(
            credential(&found, &[]),
            Ok(Credential::ApiKey("sr_test_1"))
        ));
    }

    #[test]
    fn none_another_scheme_or_two_credentials_are_no_credential() {
        for wrong in [
            &[][..],
            &[("authorization", "Basic eDp5")],
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer ")],
            &[("authorization", "x.y.z")],
            &[("authorization", "Bearer x"), ("authorization", "Bearer y")],
            &[("authorization", "Bearer x"), ("x-api-key", "y")],
            &[("x-api-key", "x"), ("x-api-key", "y")],
            &[("x-api-key", "x"), ("x-signature", "y")],
            &[("authorization", "Bearer x"), ("signature", "y")],
            &[("x-api-key", "x"), ("x-api-key-id", "y")],
        ] {
            let refused = credential(&parts(wrong), &[])
                .err()
                .map(|problem| problem.status());
            assert_eq!(refused, Some(http::StatusCode::UNAUTHORIZED), "{wrong:?}");
        }
    }
}
