//! `/admin/security/events`: security events one by one, for whoever pulls them.

use std::net::IpAddr;

use axum::extract::State;
use serde::Deserialize;
use strongroom_api::security as wire;
use strongroom_app::{
    identity::email::Email,
    security::{
        catalogue::{Class, Severity},
        events::SecurityEventKind,
        export::ExportedEvent,
        feed::FeedFilter,
    },
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, QueryParams},
    state::AppState,
    v1::check::Check,
    views::Json,
};

const OUTCOMES: [&str; 3] = ["done", "refused", "noted"];
/// Longest id of a principal in a filter, in bytes.
const PRINCIPAL_BYTES_MAX: usize = 64;

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(follow))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct FeedQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before; the oldest event that is kept when absent.
    cursor: Option<String>,
    /// What happened: a name of `docs/security/events.md`, such as `login_failed`.
    kind: Option<String>,
    /// What it is about: `authentication`, `authorization`, `administration`, `money`, `attack`, `integrity` or
    /// `errors`.
    class: Option<String>,
    /// At least so bad: `info`, `low`, `medium`, `high` or `critical`.
    severity: Option<String>,
    /// `done`, `refused` or `noted`.
    outcome: Option<String>,
    /// The id of who it was.
    principal: Option<String>,
    /// From this address, or its /64 network.
    address: Option<String>,
    /// At the login with this e-mail address, whether or not there is one.
    email: Option<String>,
    /// In this request.
    request_id: Option<String>,
    /// Under this number of an incident.
    incident_id: Option<String>,
    /// Not before this moment.
    from: Option<String>,
    /// Before this moment.
    to: Option<String>,
}

/// Follow security events one by one.
///
/// Oldest first, in the order in which they were written, which is not that of their times: an event that is written
/// late stands behind what was read before. Ask again with `next_cursor`, which is there also at the end, and no event
/// is left out; one that arrives twice has the same `id`. With a filter a page looks at a thousand events at most and
/// may hold few, or none, before the end. Kept for 30 days, and 200,000 at most; `missed` tells whoever came too late.
/// A page that does not reach the end counts as one of the log (`mass_reading`); following does not.
#[utoipa::path(get, path = "/api/v1/admin/security/events", tag = "operators", params(FeedQuery),
    responses((status = 200, description = "A part of the feed.", body = wire::EventFeed)))]
async fn follow(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<FeedQuery>,
) -> Result<Json<wire::EventFeed>, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let after = match query.cursor.as_deref().map(str::parse::<u64>) {
        Some(Err(_)) => {
            check.refuse("?cursor", "invalid_value", "must be the `next_cursor` of a page");
            None
        }
        Some(Ok(place)) => Some(place),
        None => None,
    };
    let filter = filter(&mut check, query);
    let limit = check.done(limit)?;
    let page = state.bank.follow_events(&cx, &filter, after, limit).await?;
    Ok(Json(wire::EventFeed {
        data: page.events.into_iter().map(to_wire).collect(),
        next_cursor: page.upto.to_string(),
        caught_up: page.caught_up,
        missed: page.missed,
    }))
}

/// One of the names that something has.
fn named<T>(
    check: &mut Check,
    pointer: &str,
    name: Option<&str>,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let name = name?;
    let found = read(name);
    if found.is_none() {
        check.refuse(
            pointer,
            "invalid_value",
            "must be one of the names that there are",
        );
    }
    found
}

fn filter(check: &mut Check, query: FeedQuery) -> FeedFilter {
    let outcome = |name: &str| OUTCOMES.contains(&name).then(|| name.to_owned());
    let fits = |text: &str| (1..=PRINCIPAL_BYTES_MAX).contains(&text.len());
    let principal = query.principal.filter(|text| {
        if !fits(text) {
            check.refuse("?principal", "invalid_value", "must be the id of a principal");
        }
        fits(text)
    });
    let email = query.email.filter(|text| {
        let is_one = Email::parse(text).is_some();
        if !is_one {
            check.refuse("?email", "invalid_value", "must be an e-mail address");
        }
        is_one
    });
    let filter = FeedFilter {
        kind: named(check, "?kind", query.kind.as_deref(), SecurityEventKind::parse),
        class: named(check, "?class", query.class.as_deref(), Class::parse),
        severity: named(check, "?severity", query.severity.as_deref(), Severity::parse),
        outcome: named(check, "?outcome", query.outcome.as_deref(), outcome),
        principal,
        address: named(check, "?address", query.address.as_deref(), |text| {
            text.parse::<IpAddr>().ok()
        }),
        email,
        request: query
            .request_id
            .as_deref()
            .and_then(|id| check.id("?request_id", id)),
        incident: query
            .incident_id
            .as_deref()
            .and_then(|id| check.id("?incident_id", id)),
        from: query.from.as_deref().and_then(|text| check.moment("?from", text)),
        to: query.to.as_deref().and_then(|text| check.moment("?to", text)),
    };
    if let (Some(from), Some(to)) = (filter.from, filter.to)
        && from >= to
    {
        check.refuse("?to", "out_of_range", "must be later than `from`");
    }
    filter
}

fn to_wire(event: ExportedEvent) -> wire::FeedEvent {
    wire::FeedEvent {
        class: event.known_kind().map(|kind| kind.class().name().to_owned()),
        severity: event.severity().name().to_owned(),
        at: event.moment(),
        id: event.id,
        kind: event.kind,
        outcome: event.outcome,
        reason: event.reason,
        request_id: event.request_id,
        principal: event.principal,
        session_id: event.session_id,
        incident_id: event.incident_id,
        address: event.address,
        user_agent: event.user_agent,
        subject: event.subject,
        object: event.object,
        policy: event.policy,
        token: event.token,
    }
}
