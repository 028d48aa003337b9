//! `/me/passkeys` and `/auth/passkey`: passkeys bound, listed, taken away, and shown.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use strongroom_api::{auth::TokenSet, passkeys as wire};
use strongroom_app::identity::passkeys::{PasskeyDetails, PasskeyUse};
use strongroom_domain::id::PasskeyKind;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Anonymous, Auth, JsonBody, JsonDraft},
    state::AppState,
    v1::{
        auth::{secret, tokens},
        check::path_id,
    },
    views::Json,
};

/// What a passkey is called whose owner gave it no name.
const NAME_DEFAULT: &str = "Passkey";

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(start))
        .routes(routes!(bind, list))
        .routes(routes!(remove))
        .routes(routes!(ask))
        .routes(routes!(login))
}

/// Begin to bind a passkey. Needs a login of the last five minutes.
#[utoipa::path(post, path = "/api/v1/me/passkeys/options", tag = "me",
    responses((status = 200, description = "For `navigator.credentials.create()`.", body = wire::PasskeyOptions)))]
async fn start(State(state): State<AppState>, Auth(cx): Auth) -> Result<Json<wire::PasskeyOptions>, Problem> {
    let options = state.bank.start_passkey(&cx).await?;
    Ok(Json(wire::PasskeyOptions(options)))
}

/// Bind the passkey that an authenticator made. All other sessions end.
#[utoipa::path(post, path = "/api/v1/me/passkeys", tag = "me", request_body = wire::BindPasskey,
    responses((status = 201, description = "Bound.", body = wire::Passkey)))]
async fn bind(
    State(state): State<AppState>,
    Auth(cx): Auth,
    JsonBody(body): JsonBody<wire::BindPasskey>,
) -> Result<Response, Problem> {
    let name = body.name.as_deref().unwrap_or(NAME_DEFAULT);
    let bound = state.bank.bind_passkey(&cx, body.credential, name).await?;
    let passkey = to_wire(bound);
    let location = format!("/api/v1/me/passkeys/{}", passkey.id);
    let mut response = (StatusCode::CREATED, Json(passkey)).into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// List your passkeys.
#[utoipa::path(get, path = "/api/v1/me/passkeys", tag = "me",
    responses((status = 200, description = "All of them, at most 20.", body = wire::Passkeys)))]
async fn list(State(state): State<AppState>, Auth(cx): Auth) -> Result<Json<wire::Passkeys>, Problem> {
    let found = state.bank.own_passkeys(&cx).await?;
    Ok(Json(wire::Passkeys {
        data: found.into_iter().map(to_wire).collect(),
    }))
}

/// Take one of your passkeys away. Needs a step-up; all other sessions end.
#[utoipa::path(delete, path = "/api/v1/me/passkeys/{id}", tag = "me", params(("id" = String, Path, description = "Its id.")),
    responses((status = 204, description = "Gone.")))]
async fn remove(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state
        .bank
        .remove_passkey(&cx, path_id::<PasskeyKind>(&id)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask for a passkey.
///
/// With nothing, for a login without a password; with `mfa_token`, for the second half of a login; with an access
/// token, for a step-up, with the `challenge` that it is to approve or, for settings, without.
#[utoipa::path(post, path = "/api/v1/auth/passkey/options", tag = "auth", security((), ("bearer" = []), ("dpop_token" = [], "dpop_proof" = [])),
    request_body = wire::AskForPasskey,
    responses((status = 200, description = "For `navigator.credentials.get()`.", body = wire::PasskeyOptions)))]
async fn ask(
    State(state): State<AppState>,
    Anonymous(anonymous, _): Anonymous,
    auth: Option<Auth>,
    draft: JsonDraft<wire::AskForPasskey>,
) -> Result<Json<wire::PasskeyOptions>, Problem> {
    let wanted = draft.done(|body, check| match (body.mfa_token, body.challenge, auth) {
        (Some(token), None, None) => Some(Ok(PasskeyUse::Second(secret(&token)))),
        (None, challenge, Some(Auth(cx))) => Some(Ok(PasskeyUse::StepUp(Box::new(cx), challenge))),
        (None, None, None) => Some(Ok(PasskeyUse::Login)),
        (None, Some(_), None) => Some(Err(strongroom_app::Error::unauthenticated())),
        (Some(_), _, _) => {
            check.refuse(
                "/mfa_token",
                "ambiguous",
                "does not go with `challenge` or an access token",
            );
            None
        }
    })??;
    let options = state.bank.ask_for_passkey(&anonymous, &wanted).await?;
    Ok(Json(wire::PasskeyOptions(options)))
}

/// Log in with a passkey alone. Whatever is wrong, the refusal is the same.
#[utoipa::path(post, path = "/api/v1/auth/passkey", tag = "auth", security(()), request_body = wire::PasskeyLogin,
    responses((status = 200, description = "A token set.", body = TokenSet)))]
async fn login(
    State(state): State<AppState>,
    Anonymous(cx, client): Anonymous,
    JsonBody(body): JsonBody<wire::PasskeyLogin>,
) -> Result<Response, Problem> {
    let set = state.bank.login_by_passkey(&cx, &client, body.credential).await?;
    Ok(tokens(set))
}

pub(crate) fn to_wire(passkey: PasskeyDetails) -> wire::Passkey {
    wire::Passkey {
        id: passkey.id.to_string(),
        name: passkey.name,
        created_at: passkey.created_at.to_string(),
        last_used_at: passkey.last_used_at.map(|at| at.to_string()),
    }
}
