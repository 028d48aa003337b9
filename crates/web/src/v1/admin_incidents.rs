//! `/admin/incident-actions`: what is done against an incident, and taken back.

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use strongroom_api::{money::Page, security as wire};
use strongroom_app::security::incident_actions::{Deed, IncidentAction, IncidentActionKind};
use strongroom_domain::id::IncidentActionKind as Named;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonBody, QueryParams},
    state::AppState,
    v1::{
        check::{Check, path_id},
        page::{PageQuery, page_of},
    },
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(act, list))
        .routes(routes!(lift))
}

/// Do something against an incident. Needs a fresh login or step-up.
///
/// `read_only`: whatever moves money is answered `503 read_only`, on every node from this answer on, until it is
/// lifted. `end_sessions`: everybody but the caller logs in again. `freeze_account` and `revoke_key` do what the
/// operations of their own do. `block_network`: strangers from there are refused; sessions that are valid go on.
#[utoipa::path(post, path = "/api/v1/admin/incident-actions", tag = "operators", request_body = wire::NewIncidentAction,
    responses((status = 201, description = "Done.", body = wire::IncidentAction)))]
async fn act(
    State(state): State<AppState>,
    Auth(cx): Auth,
    JsonBody(body): JsonBody<wire::NewIncidentAction>,
) -> Result<Response, Problem> {
    let deed = deed_of(&body)?;
    let done = state.bank.take_incident_action(&cx, deed, &body.reason).await?;
    Ok((StatusCode::CREATED, Json(to_wire(done))).into_response())
}

fn deed_of(body: &wire::NewIncidentAction) -> Result<Deed, Problem> {
    let mut check = Check::default();
    let kind = IncidentActionKind::parse(&body.action);
    if kind.is_none() {
        check.refuse("/action", "invalid_value", "must be the name of an action");
    }
    let is = |wanted: IncidentActionKind| kind == Some(wanted);
    // What does not belong to the action is a slip: better no deed than another one.
    let fields = [
        (
            "/account_id",
            &body.account_id,
            is(IncidentActionKind::FreezeAccount),
        ),
        ("/api_key_id", &body.api_key_id, is(IncidentActionKind::RevokeKey)),
        ("/network", &body.network, is(IncidentActionKind::BlockNetwork)),
        ("/ends_at", &body.ends_at, is(IncidentActionKind::BlockNetwork)),
    ];
    for (pointer, value, belongs) in fields {
        match (value, belongs) {
            (None, true) => check.refuse(pointer, "required", "is needed for this action"),
            (Some(_), false) if kind.is_some() => {
                check.refuse(pointer, "invalid_value", "does not belong to this action");
            }
            _ => {}
        }
    }
    let deed = match kind {
        Some(IncidentActionKind::ReadOnly) => Some(Deed::ReadOnly),
        Some(IncidentActionKind::EndSessions) => Some(Deed::EndSessions),
        Some(IncidentActionKind::FreezeAccount) => body
            .account_id
            .as_deref()
            .and_then(|id| check.id("/account_id", id))
            .map(Deed::FreezeAccount),
        Some(IncidentActionKind::RevokeKey) => body
            .api_key_id
            .as_deref()
            .and_then(|id| check.id("/api_key_id", id))
            .map(Deed::RevokeKey),
        Some(IncidentActionKind::BlockNetwork) => {
            let network = body
                .network
                .as_deref()
                .and_then(|text| check.network("/network", text));
            let until = body
                .ends_at
                .as_deref()
                .and_then(|text| check.moment("/ends_at", text));
            network
                .zip(until)
                .map(|(network, until)| Deed::BlockNetwork(network, until))
        }
        None => None,
    };
    check.done(deed)
}

/// List what was done against incidents, newest first.
#[utoipa::path(get, path = "/api/v1/admin/incident-actions", tag = "operators", params(PageQuery),
    responses((status = 200, description = "A page of actions.", body = Page<wire::IncidentAction>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Json<Page<wire::IncidentAction>>, Problem> {
    let (limit, before) = query.page()?;
    let more = limit.saturating_add(1);
    let found = state.bank.incident_actions(&cx, before, more).await?;
    Ok(Json(page_of(found, limit, |last| last.id.to_string(), to_wire)))
}

/// Take `read_only` or `block_network` back. Needs a fresh login or step-up.
#[utoipa::path(delete, path = "/api/v1/admin/incident-actions/{id}", tag = "operators",
    params(("id" = String, Path, description = "The action.")),
    responses((status = 204, description = "Lifted.")))]
async fn lift(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = path_id::<Named>(&id)?;
    state.bank.lift_incident_action(&cx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn to_wire(done: IncidentAction) -> wire::IncidentAction {
    wire::IncidentAction {
        id: done.id.to_string(),
        action: done.action.name().to_owned(),
        target: done.target,
        reason: done.reason,
        taken_at: done.taken_at.to_string(),
        taken_by: done.taken_by,
        ends_at: done.ends_at.map(|at| at.to_string()),
        lifted_at: done.lifted_at.map(|at| at.to_string()),
        lifted_by: done.lifted_by,
    }
}
