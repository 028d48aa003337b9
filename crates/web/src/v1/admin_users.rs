//! `/admin/users`: logins as operators see them, stop them and let them in again.

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;
use serde::Deserialize;
use strongroom_api::{approvals::ApprovalRequested, me as wire, money::Page};
use strongroom_app::{Cx, identity::users::LoginChange};
use strongroom_domain::id::{UserId, UserKind};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonBody, JsonDraft, QueryParams},
    state::AppState,
    v1::{
        admin_approvals::asked,
        check::{Check, path_id},
        me::{session, user},
        page::{PageQuery, page_of},
    },
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(lock))
        .routes(routes!(unlock))
        .routes(routes!(disable))
        .routes(routes!(enable))
        .routes(routes!(reset_mfa))
        .routes(routes!(sessions, end_sessions))
        .routes(routes!(place))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct UsersQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only the one with this address.
    email: Option<String>,
}

/// List users, or find one by address.
#[utoipa::path(get, path = "/api/v1/admin/users", tag = "operators", params(UsersQuery),
    responses((status = 200, description = "A page of users.", body = Page<wire::User>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<UsersQuery>,
) -> Result<Json<Page<wire::User>>, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let before: Option<Option<UserId>> = match &query.cursor {
        Some(cursor) => check.id("?cursor", cursor).map(Some),
        None => Some(None),
    };
    let (limit, before) = check.done(limit.zip(before))?;
    let found = state
        .bank
        .users(&cx, query.email.as_deref(), before, limit.saturating_add(1))
        .await?;
    Ok(Json(page_of(
        found,
        limit,
        |last| last.profile.id.to_string(),
        user,
    )))
}

/// Read one user.
#[utoipa::path(get, path = "/api/v1/admin/users/{id}", tag = "operators",
    params(("id" = String, Path, description = "The user.")),
    responses((status = 200, description = "The user.", body = wire::User)))]
async fn read(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::User>, Problem> {
    let id: UserId = path_id::<UserKind>(&id)?;
    Ok(Json(user(state.bank.user_of(&cx, id).await?)))
}

/// Stop a login for now. Its sessions end before the answer.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/lock", tag = "operators", request_body = wire::Reason,
    params(("id" = String, Path, description = "The user.")),
    responses((status = 200, description = "As it is now.", body = wire::User)))]
async fn lock(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<wire::Reason>,
) -> Result<Json<wire::User>, Problem> {
    change(&state, &cx, &id, LoginChange::Lock, &body).await
}

/// Let a locked login in again; waiting after wrong tries ends, too.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/unlock", tag = "operators", request_body = wire::Reason,
    params(("id" = String, Path, description = "The user.")),
    responses((status = 200, description = "As it is now.", body = wire::User)))]
async fn unlock(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<wire::Reason>,
) -> Result<Json<wire::User>, Problem> {
    change(&state, &cx, &id, LoginChange::Unlock, &body).await
}

/// Stop a login until an administrator enables it. Its sessions end before the answer.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/disable", tag = "operators", request_body = wire::Reason,
    params(("id" = String, Path, description = "The user.")),
    responses((status = 200, description = "As it is now.", body = wire::User)))]
async fn disable(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<wire::Reason>,
) -> Result<Json<wire::User>, Problem> {
    change(&state, &cx, &id, LoginChange::Disable, &body).await
}

/// Let a disabled login in again.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/enable", tag = "operators", request_body = wire::Reason,
    params(("id" = String, Path, description = "The user.")),
    responses((status = 200, description = "As it is now.", body = wire::User)))]
async fn enable(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<wire::Reason>,
) -> Result<Json<wire::User>, Problem> {
    change(&state, &cx, &id, LoginChange::Enable, &body).await
}

/// Say to which department a customer or an operator belongs, or that it is none.
///
/// It counts from the next request on: about customers for roles that count in one department, about either for
/// policies. Never about oneself; needs a fresh login or step-up.
#[utoipa::path(put, path = "/api/v1/admin/users/{id}/department", tag = "operators", request_body = wire::Place,
    params(("id" = String, Path, description = "The user.")),
    responses((status = 200, description = "As it is now.", body = wire::User)))]
async fn place(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    draft: JsonDraft<wire::Place>,
) -> Result<Json<wire::User>, Problem> {
    let department = draft.done(|body, check| match &body.department {
        Some(name) => check.department("/department", name).map(Some),
        None => Some(None),
    })?;
    let id: UserId = path_id::<UserKind>(&id)?;
    let details = state.bank.place_user(&cx, id, department).await?;
    Ok(Json(user(details)))
}

/// List the living sessions of somebody, newest first.
#[utoipa::path(get, path = "/api/v1/admin/users/{id}/sessions", tag = "operators",
    params(("id" = String, Path, description = "The user."), PageQuery),
    responses((status = 200, description = "A page of sessions.", body = Page<wire::Session>)))]
async fn sessions(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Json<Page<wire::Session>>, Problem> {
    let id: UserId = path_id::<UserKind>(&id)?;
    let (limit, before) = query.page()?;
    let more = limit.saturating_add(1);
    let found = state.bank.sessions_of(&cx, id, before, more).await?;
    Ok(Json(page_of(found, limit, |last| last.id.to_string(), session)))
}

/// End all sessions of somebody. The login is not stopped.
#[utoipa::path(delete, path = "/api/v1/admin/users/{id}/sessions", tag = "operators",
    params(("id" = String, Path, description = "The user.")),
    responses((status = 204, description = "Ended, or there were none.")))]
async fn end_sessions(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: UserId = path_id::<UserKind>(&id)?;
    state.bank.end_sessions_of(&cx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask for all second factors of somebody who lost them to be taken away. Another administrator decides; an operator
/// then begins anew with printed secrets, which the decision answers with.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/reset-mfa", tag = "operators", request_body = wire::Reason,
    params(("id" = String, Path, description = "The user.")),
    responses((status = 202, description = "Somebody else decides.", body = ApprovalRequested)))]
async fn reset_mfa(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<wire::Reason>,
) -> Result<Response, Problem> {
    let id: UserId = path_id::<UserKind>(&id)?;
    let approval = state.bank.ask_for_factor_reset(&cx, id, &body.reason).await?;
    Ok(asked(approval))
}

async fn change(
    state: &AppState,
    cx: &Cx,
    id: &str,
    change: LoginChange,
    body: &wire::Reason,
) -> Result<Json<wire::User>, Problem> {
    let id: UserId = path_id::<UserKind>(id)?;
    let details = state.bank.change_login(cx, id, change, &body.reason).await?;
    Ok(Json(user(details)))
}
