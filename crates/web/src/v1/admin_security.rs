//! `/admin/security-events`: what people who proved to be nobody tried.

use std::net::IpAddr;

use axum::extract::State;
use serde::Deserialize;
use strongroom_api::{money::Page, security as wire};
use strongroom_app::{
    identity::email::Email,
    security::events::{SecurityEvent, SecurityEventKind, SecurityEventQuery},
};
use strongroom_domain::id::SecurityEventId;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, QueryParams},
    state::AppState,
    v1::{check::Check, page::page_of},
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// What happened: a name of `docs/security/events.md`, such as `login_failed`.
    kind: Option<String>,
    /// From this address, or its /64 network.
    address: Option<String>,
    /// At the login with this e-mail address, whether or not there is one.
    email: Option<String>,
    /// This one alone: the `incident_id` of a refusal.
    incident_id: Option<String>,
}

/// List what failed, counted.
///
/// Newest first. Failures of the same kind, from the same network and at the same login within five minutes are one
/// event with a count; where there are too many to tell apart, `subject` or `address` is `null`. The address is kept
/// sealed, the login only as a keyed digest. A request that looked like an attack is an event of its own with an
/// `incident`, unless there are too many. Kept for 90 days.
#[utoipa::path(get, path = "/api/v1/admin/security-events", tag = "operators", params(EventsQuery),
    responses((status = 200, description = "A page of events.", body = Page<wire::SecurityEvent>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<EventsQuery>,
) -> Result<Json<Page<wire::SecurityEvent>>, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let before = query
        .cursor
        .as_deref()
        .and_then(|cursor| check.id("?cursor", cursor));
    let kind = query.kind.as_deref().and_then(|name| {
        let kind = SecurityEventKind::parse(name);
        if kind.is_none() {
            check.refuse("?kind", "invalid_value", "must be the name of a kind");
        }
        kind
    });
    if query
        .address
        .as_deref()
        .is_some_and(|text| text.parse::<IpAddr>().is_err())
    {
        check.refuse("?address", "invalid_value", "must be an IP address");
    }
    if query
        .email
        .as_deref()
        .is_some_and(|text| Email::parse(text).is_none())
    {
        check.refuse("?email", "invalid_value", "must be an e-mail address");
    }
    let id = query
        .incident_id
        .as_deref()
        .and_then(|id| check.id("?incident_id", id));
    let limit = check.done(limit)?;
    let wanted = SecurityEventQuery {
        kind,
        address: query.address,
        email: query.email,
        id,
    };
    let before: Option<SecurityEventId> = before;
    let more = limit.saturating_add(1);
    let found = state.bank.security_events(&cx, &wanted, before, more).await?;
    Ok(Json(page_of(found, limit, |last| last.id.to_string(), to_wire)))
}

fn to_wire(event: SecurityEvent) -> wire::SecurityEvent {
    wire::SecurityEvent {
        id: event.id.to_string(),
        kind: event.kind,
        count: event.count,
        first_at: event.first_at.to_string(),
        last_at: event.last_at.to_string(),
        address: event.address,
        subject: event
            .subject
            .map(|digest| digest.iter().map(|byte| format!("{byte:02x}")).collect()),
        incident: event.incident.map(|incident| wire::Incident {
            request_id: incident.request_id,
            route: incident.route,
            principal: incident.principal,
            attack: incident.attack,
            score: incident.score,
            rules: incident.rules,
            refused: incident.refused,
        }),
    }
}
