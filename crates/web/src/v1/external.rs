//! `/auth/oidc`, `/me/external-logins`: logins by an issuer elsewhere; `/auth/session`: the session of a browser.
//!
//! The answers to a browser that comes back are redirects within this host, never to an address from the request, and
//! hold no token: sessions and half logins are in cookies.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use strongroom_api::external as wire;
use strongroom_app::{
    Error, ExposeSecret, Kind,
    identity::{
        external::{Arrived, ExternalLoginDetails, Returned, START_SECS, Sent},
        login::{LoginAnswer, TICKET_SECS, TokenSet},
    },
};
use strongroom_domain::id::ExternalLoginKind;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Anonymous, Auth, Cookie, JsonBody, Keep, QueryParams, read_cookie},
    state::AppState,
    v1::check::path_id,
    views::Json,
};

/// How long a browser keeps the mark of its owner's device, in seconds.
const DEVICE_SECS: i64 = 400 * 24 * 60 * 60;
/// Where somebody is who is logged in.
const HOME: &str = "/";
/// Where the second factor is asked for.
const SECOND: &str = "/login/second";

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(start))
        .routes(routes!(callback))
        .routes(routes!(add, list))
        .routes(routes!(remove))
        .routes(routes!(session))
}

/// What an issuer sends along. It may send more (RFC 6749, section 4.1.2), which is nobody's business here.
#[derive(Deserialize)]
struct CallbackQuery {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// Go to an issuer, to log in.
#[utoipa::path(get, path = "/api/v1/auth/oidc/{provider}/start", tag = "auth", security(()),
    params(("provider" = String, Path, description = "The issuer's name in the server's configuration.")),
    responses((status = 303, description = "To the issuer, with a cookie that the way back needs.")))]
async fn start(
    State(state): State<AppState>,
    Anonymous(cx, _): Anonymous,
    Path(provider): Path<String>,
) -> Result<Response, Problem> {
    let sent = state.bank.start_external(&cx, &provider).await?;
    let mut response = see_other(&sent.url)?;
    remember(&mut response, &sent);
    Ok(response)
}

/// Come back from an issuer. A session is in a cookie, `/login/second` asks for the second factor, and whatever does
/// not count leads to `/login?refused=CODE`.
#[utoipa::path(get, path = "/api/v1/auth/oidc/{provider}/callback", tag = "auth", security(()),
    params(("provider" = String, Path, description = "The issuer's name in the server's configuration."),
        ("state" = Option<String>, Query, description = "As it was sent."),
        ("code" = Option<String>, Query, description = "What is redeemed at the issuer."),
        ("iss" = Option<String>, Query, description = "The issuer (RFC 9207)."),
        ("error" = Option<String>, Query, description = "Why there is no code.")),
    responses((status = 303, description = "In, on to the second factor, or back to the login.")))]
async fn callback(
    State(state): State<AppState>,
    Anonymous(cx, mut client): Anonymous,
    Path(provider): Path<String>,
    headers: HeaderMap,
    QueryParams(query): QueryParams<CallbackQuery>,
) -> Result<Response, Problem> {
    client.browser = true;
    let returned = Returned {
        state: query.state,
        code: query.code,
        iss: query.iss,
        error: query.error,
        browser: read_cookie(&headers, Cookie::External).map(str::to_owned),
    };
    let arrived = state
        .bank
        .finish_external(&cx, &client, &provider, returned)
        .await;
    let mut response = match arrived {
        Ok(Arrived::Login(LoginAnswer::Session(set))) => {
            let mut response = see_other(HOME)?;
            enter(&mut response, &set);
            response
        }
        Ok(Arrived::Login(LoginAnswer::MfaRequired { mfa_token, .. })) => {
            let mut response = see_other(SECOND)?;
            let keep = Keep::Seconds(TICKET_SECS);
            set_cookie(&mut response, Cookie::Login, mfa_token.expose_secret(), keep);
            response
        }
        Ok(Arrived::Login(_)) => {
            return Err(Error::broken("a login by an issuer that leads elsewhere").into());
        }
        Ok(Arrived::Added) => see_other(HOME)?,
        Err(error) if matches!(error.kind, Kind::Internal | Kind::NotFound) => return Err(error.into()),
        Err(error) => see_other(&format!("/login?refused={}", error.code))?,
    };
    set_cookie(&mut response, Cookie::External, "", Keep::Not);
    Ok(response)
}

/// Add an issuer to your login. Needs a step-up; the browser that gets this answer goes to the issuer with it, and all
/// other sessions end when it comes back.
#[utoipa::path(post, path = "/api/v1/me/external-logins", tag = "me", request_body = wire::AddExternalLogin,
    responses((status = 200, description = "Where to go, with a cookie that the way back needs.", body = wire::Departure)))]
async fn add(
    State(state): State<AppState>,
    Auth(cx): Auth,
    JsonBody(body): JsonBody<wire::AddExternalLogin>,
) -> Result<Response, Problem> {
    let sent = state.bank.start_adding_external(&cx, &body.provider).await?;
    let mut response = Json(wire::Departure {
        authorization_url: sent.url.clone(),
    })
    .into_response();
    remember(&mut response, &sent);
    Ok(response)
}

/// List the issuers that are ways into your login.
#[utoipa::path(get, path = "/api/v1/me/external-logins", tag = "me",
    responses((status = 200, description = "All of them, at most 10.", body = wire::ExternalLogins)))]
async fn list(State(state): State<AppState>, Auth(cx): Auth) -> Result<Json<wire::ExternalLogins>, Problem> {
    let found = state.bank.own_external_logins(&cx).await?;
    Ok(Json(wire::ExternalLogins {
        data: found.into_iter().map(to_wire).collect(),
    }))
}

/// Take an issuer away from your login. Needs a step-up; all other sessions end.
#[utoipa::path(delete, path = "/api/v1/me/external-logins/{id}", tag = "me",
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 204, description = "Gone.")))]
async fn remove(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state
        .bank
        .remove_external_login(&cx, path_id::<ExternalLoginKind>(&id)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How long the session of this browser goes on. To ask is no use of it.
#[utoipa::path(get, path = "/api/v1/auth/session", tag = "auth", security(()),
    responses((status = 200, description = "By the server's clock.", body = wire::SessionClock)))]
async fn session(
    State(state): State<AppState>,
    Anonymous(cx, _): Anonymous,
    headers: HeaderMap,
) -> Result<Json<wire::SessionClock>, Problem> {
    let cookie = read_cookie(&headers, Cookie::Session).ok_or_else(Error::unauthenticated)?;
    let clock = state.bank.session_clock(&cx, cookie).await?;
    Ok(Json(wire::SessionClock {
        idle_seconds: clock.idle_secs,
        left_seconds: clock.left_secs,
    }))
}

/// What a browser keeps of a session: its cookie, and perhaps the mark of the device.
pub(crate) fn enter(response: &mut Response, set: &TokenSet) {
    if let Some(cookie) = &set.cookie {
        set_cookie(response, Cookie::Session, cookie.expose_secret(), Keep::Window);
    }
    if let Some(mark) = &set.device {
        let keep = Keep::Seconds(DEVICE_SECS);
        set_cookie(response, Cookie::Device, mark.expose_secret(), keep);
    }
}

fn remember(response: &mut Response, sent: &Sent) {
    let keep = Keep::Seconds(START_SECS);
    set_cookie(response, Cookie::External, sent.browser.expose_secret(), keep);
}

/// Sets a cookie beside others.
pub(crate) fn set_cookie(response: &mut Response, cookie: Cookie, value: &str, keep: Keep) {
    if let Some(value) = cookie.set(value, keep) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// 303: never 307, which would send a form with a password on.
pub(crate) fn see_other(to: &str) -> Result<Response, Problem> {
    let to = HeaderValue::from_str(to).map_err(Error::internal)?;
    let headers: [(HeaderName, HeaderValue); 1] = [(header::LOCATION, to)];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

pub(crate) fn to_wire(login: ExternalLoginDetails) -> wire::ExternalLogin {
    wire::ExternalLogin {
        id: login.id.to_string(),
        provider: login.provider,
        email: login.email,
        created_at: login.created_at.to_string(),
        last_used_at: login.last_used_at.map(|at| at.to_string()),
    }
}
