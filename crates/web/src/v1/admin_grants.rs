//! `/admin/roles` and `/admin/users/{id}/grants`: who works for the bank as what.

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;
use strongroom_api::{approvals::ApprovalRequested, grants as wire};
use strongroom_app::authority::grants::{GiveRole, GrantRow};
use strongroom_domain::id::{GrantKind, UserKind};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonDraft},
    state::AppState,
    v1::{admin_approvals::asked, check::path_id},
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(roles))
        .routes(routes!(list, give))
        .routes(routes!(take))
}

/// List the roles, and what each may do under the policies in force.
#[utoipa::path(get, path = "/api/v1/admin/roles", tag = "operators",
    responses((status = 200, description = "The roles.", body = wire::Roles)))]
async fn roles(State(state): State<AppState>, Auth(cx): Auth) -> Result<Json<wire::Roles>, Problem> {
    let found = state.bank.roles_in_force(&cx)?;
    Ok(Json(wire::Roles {
        data: found
            .into_iter()
            .map(|(role, actions)| wire::Role {
                name: role.name().to_owned(),
                operator: role.is_operator(),
                actions: actions
                    .into_iter()
                    .map(|action| action.name().to_owned())
                    .collect(),
            })
            .collect(),
    }))
}

/// List the roles of a user, with their ends.
#[utoipa::path(get, path = "/api/v1/admin/users/{id}/grants", tag = "operators",
    params(("id" = String, Path, description = "The user.")),
    responses((status = 200, description = "The roles.", body = wire::Grants)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::Grants>, Problem> {
    let id = path_id::<UserKind>(&id)?;
    let found = state.bank.grants(&cx, id).await?;
    Ok(Json(wire::Grants {
        data: found.into_iter().map(to_wire).collect(),
    }))
}

/// Ask for a role to be given to an operator, for good or for a time, everywhere or for one department.
///
/// Another administrator decides; needs a fresh login or step-up. Never for oneself, and never beyond the end of one's
/// own role. A role that is held already gets another end and department. A role for one department counts about
/// customers who belong there, and about nobody else's things.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/grants", tag = "operators", request_body = wire::NewGrant,
    params(("id" = String, Path, description = "The user.")),
    responses((status = 202, description = "Asked for.", body = ApprovalRequested)))]
async fn give(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    draft: JsonDraft<wire::NewGrant>,
) -> Result<Response, Problem> {
    let (role, expires_at, department) = draft.done(|body, check| {
        let role = check.operators_role("/role", &body.role);
        let expires_at = body
            .expires_at
            .as_deref()
            .and_then(|text| check.moment("/expires_at", text));
        let department = body
            .department
            .as_deref()
            .and_then(|name| check.department("/department", name));
        role.map(|role| (role, expires_at, department))
    })?;
    let wanted = GiveRole {
        role,
        user: path_id::<UserKind>(&id)?,
        expires_at,
        department,
    };
    let approval = state.bank.ask_for_grant(&cx, wanted).await?;
    Ok(asked(approval))
}

/// Take a role away. It counts from the next request on.
///
/// Never one's own, and never that of the last who administrates for good.
#[utoipa::path(delete, path = "/api/v1/admin/users/{id}/grants/{grant}", tag = "operators",
    params(("id" = String, Path, description = "The user."), ("grant" = String, Path, description = "The grant.")),
    responses((status = 204, description = "Taken.")))]
async fn take(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path((id, grant)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (user, grant) = (path_id::<UserKind>(&id)?, path_id::<GrantKind>(&grant)?);
    state.bank.take_grant(&cx, user, grant).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn to_wire(grant: GrantRow) -> wire::Grant {
    wire::Grant {
        id: grant.id.to_string(),
        role: grant.role.name().to_owned(),
        granted_at: grant.granted_at.to_string(),
        expires_at: grant.expires_at.map(|end| end.to_string()),
        department: grant.department.map(|department| department.to_string()),
        granted_by: grant.granted_by.map(|by| by.to_string()),
    }
}
