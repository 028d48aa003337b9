//! `/admin/alerts`: what people of the bank are told of, and who took note.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use strongroom_api::{money::Page, security as wire};
use strongroom_app::security::{alerts::Alert, catalogue::AlertRule};
use strongroom_domain::id::{AlertId, AlertKind};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, QueryParams},
    state::AppState,
    v1::{
        check::{Check, path_id},
        page::page_of,
    },
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(acknowledge))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AlertsQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `true`: those alone that nobody took note of.
    open: Option<bool>,
}

/// List alerts, newest first.
///
/// The same is said once in a span of time, on however many nodes it is noticed. Kept for 400 days.
#[utoipa::path(get, path = "/api/v1/admin/alerts", tag = "operators", params(AlertsQuery),
    responses((status = 200, description = "A page of alerts.", body = Page<wire::Alert>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<AlertsQuery>,
) -> Result<Json<Page<wire::Alert>>, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let before: Option<AlertId> = query
        .cursor
        .as_deref()
        .and_then(|cursor| check.id("?cursor", cursor));
    let limit = check.done(limit)?;
    let open = query.open.unwrap_or_default();
    let more = limit.saturating_add(1);
    let found = state.bank.alerts(&cx, open, before, more).await?;
    Ok(Json(page_of(
        found,
        limit,
        |last| last.row.id.to_string(),
        to_wire,
    )))
}

/// Take note of an alert. Doing so again changes nothing.
#[utoipa::path(post, path = "/api/v1/admin/alerts/{id}/acknowledge", tag = "operators",
    params(("id" = String, Path, description = "The alert.")),
    responses((status = 200, description = "The alert, with who took note first.", body = wire::Alert)))]
async fn acknowledge(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::Alert>, Problem> {
    let id = path_id::<AlertKind>(&id)?;
    Ok(Json(to_wire(state.bank.acknowledge_alert(&cx, id).await?)))
}

fn to_wire(alert: Alert) -> wire::Alert {
    let Alert { row, rule } = alert;
    wire::Alert {
        id: row.id.to_string(),
        severity: rule.map_or("high", |rule| rule.severity().name()).to_owned(),
        says: rule
            .map_or("An alert of another version.", AlertRule::says)
            .to_owned(),
        rule: row.rule,
        count: row.number,
        first_at: row.first_at.to_string(),
        last_at: row.last_at.to_string(),
        request_id: row.request.map(|id| id.to_string()),
        told_at: row.told_at.map(|at| at.to_string()),
        acknowledged_at: row.acknowledged_at.map(|at| at.to_string()),
        acknowledged_by: row.acknowledged_by.map(|id| id.to_string()),
    }
}
