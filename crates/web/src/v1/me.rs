//! `/me`: the caller, and the caller's sessions.

use axum::extract::{Path, State};
use http::StatusCode;
use strongroom_api::{me as wire, money::Page};
use strongroom_app::identity::{
    sessions::SessionDetails,
    users::{UserDetails, UserState},
};
use strongroom_domain::{id::SessionKind, principal::Assurance};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonBody, QueryParams},
    state::AppState,
    v1::{
        check::path_id,
        page::{PageQuery, page_of},
    },
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(read, change))
        .routes(routes!(sessions, end_sessions))
        .routes(routes!(end_session))
}

/// Who you are.
#[utoipa::path(get, path = "/api/v1/me", tag = "me",
    responses((status = 200, description = "You.", body = wire::User)))]
async fn read(State(state): State<AppState>, Auth(cx): Auth) -> Result<Json<wire::User>, Problem> {
    Ok(Json(user(state.bank.me(&cx).await?)))
}

/// Change your name.
#[utoipa::path(patch, path = "/api/v1/me", tag = "me", request_body = wire::ChangeMe,
    responses((status = 200, description = "You, as you are now.", body = wire::User)))]
async fn change(
    State(state): State<AppState>,
    Auth(cx): Auth,
    JsonBody(body): JsonBody<wire::ChangeMe>,
) -> Result<Json<wire::User>, Problem> {
    Ok(Json(user(state.bank.rename_me(&cx, &body.full_name).await?)))
}

/// List your sessions.
#[utoipa::path(get, path = "/api/v1/me/sessions", tag = "me", params(PageQuery),
    responses((status = 200, description = "A page of sessions.", body = Page<wire::Session>)))]
async fn sessions(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Json<Page<wire::Session>>, Problem> {
    let (limit, before) = query.page()?;
    let found = state
        .bank
        .own_sessions(&cx, before, limit.saturating_add(1))
        .await?;
    Ok(Json(page_of(found, limit, |last| last.id.to_string(), session)))
}

/// End one of your sessions. It counts from the answer on.
#[utoipa::path(delete, path = "/api/v1/me/sessions/{id}", tag = "me", params(("id" = String, Path, description = "Its id.")),
    responses((status = 204, description = "Ended.")))]
async fn end_session(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state
        .bank
        .end_own_session(&cx, path_id::<SessionKind>(&id)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End all of your sessions, this one included.
#[utoipa::path(delete, path = "/api/v1/me/sessions", tag = "me",
    responses((status = 204, description = "Ended.")))]
async fn end_sessions(State(state): State<AppState>, Auth(cx): Auth) -> Result<StatusCode, Problem> {
    state.bank.end_own_sessions(&cx).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) fn user(details: UserDetails) -> wire::User {
    let profile = details.profile;
    wire::User {
        id: profile.id.to_string(),
        email: profile.email,
        full_name: Some(profile.full_name),
        state: match profile.state {
            UserState::Active => wire::UserState::Active,
            UserState::Locked => wire::UserState::Locked,
            UserState::Disabled => wire::UserState::Disabled,
            UserState::Closed => wire::UserState::Closed,
        },
        roles: details.roles.iter().map(|role| role.name().to_owned()).collect(),
        department: details.department.map(|department| department.to_string()),
        mfa: wire::Factors {
            totp: details.totp,
            passkeys: details.passkeys,
        },
        created_at: profile.created_at.to_string(),
    }
}

pub(crate) fn session(details: SessionDetails) -> wire::Session {
    wire::Session {
        id: details.id.to_string(),
        current: details.current,
        assurance: match details.assurance {
            Assurance::Aal2 => "aal2".to_owned(),
            Assurance::Aal1 | Assurance::None => "aal1".to_owned(),
        },
        created_at: details.created_at.to_string(),
        last_seen_at: details.last_seen_at.to_string(),
        expires_at: details.expires_at.to_string(),
        address: details.client.address,
        user_agent: details.client.user_agent,
        device_name: details.device_name,
        device_id: details.device.map(|device| device.to_string()),
    }
}
