//! `/me/notices`: what a customer is told of, and by which ways.

use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;
use strongroom_api::{money::Money, notices as wire};
use strongroom_app::notices::{Notice, Wish};
use strongroom_domain::{
    id::{AccountId, HoldId, NoticeId, NoticeKind, PaymentId, TransferId},
    notice::{NoticeEvent, Ways},
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonDraft, QueryParams},
    state::AppState,
    v1::{
        check::{Check, path_id},
        page::page_of,
    },
    views::Json,
};

/// Events that one body names at most.
const EVENTS_MAX: usize = 32;

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(take_note))
        .routes(routes!(preferences, prefer))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct NoticesQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `true`: those alone that you have not taken note of.
    unread: Option<bool>,
}

/// List what you were told of, newest first.
///
/// Each thing is told once, some seconds after it happened. Kept for 400 days.
#[utoipa::path(get, path = "/api/v1/me/notices", tag = "me", params(NoticesQuery),
    responses((status = 200, description = "A page of notices.", body = wire::Notices)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<NoticesQuery>,
) -> Result<Json<wire::Notices>, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let before: Option<NoticeId> = query
        .cursor
        .as_deref()
        .and_then(|cursor| check.id("?cursor", cursor));
    let limit = check.done(limit)?;
    let unread = query.unread.unwrap_or_default();
    let more = limit.saturating_add(1);
    let (found, unread) = state.bank.notices(&cx, unread, before, more).await?;
    let page = page_of(found, limit, |last| last.row.id.to_string(), to_wire);
    Ok(Json(wire::Notices {
        data: page.data,
        next_cursor: page.next_cursor,
        unread,
    }))
}

/// Take note of something. Doing so again changes nothing.
#[utoipa::path(post, path = "/api/v1/me/notices/{id}/read", tag = "me",
    params(("id" = String, Path, description = "The notice.")),
    responses((status = 204, description = "Taken note of.")))]
async fn take_note(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = path_id::<NoticeKind>(&id)?;
    state.bank.take_note(&cx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Read by which ways you are told of what.
#[utoipa::path(get, path = "/api/v1/me/notice-preferences", tag = "me",
    responses((status = 200, description = "Every event.", body = wire::NoticePreferences)))]
async fn preferences(
    State(state): State<AppState>,
    Auth(cx): Auth,
) -> Result<Json<wire::NoticePreferences>, Problem> {
    Ok(Json(preferences_to_wire(&state.bank.notice_wishes(&cx).await?)))
}

/// Set by which ways you are told. What is about your login and your limits is always told by all of them.
#[utoipa::path(put, path = "/api/v1/me/notice-preferences", tag = "me", request_body = wire::NoticePreferences,
    responses((status = 200, description = "Every event.", body = wire::NoticePreferences)))]
async fn prefer(
    State(state): State<AppState>,
    Auth(cx): Auth,
    draft: JsonDraft<wire::NoticePreferences>,
) -> Result<Json<wire::NoticePreferences>, Problem> {
    let wanted = draft.done(|body, check| Some(wishes(check, &body)))?;
    Ok(Json(preferences_to_wire(
        &state.bank.wish_notices(&cx, wanted).await?,
    )))
}

fn wishes(check: &mut Check, body: &wire::NoticePreferences) -> Vec<Wish> {
    if body.events.len() > EVENTS_MAX {
        check.refuse("/events", "too_many", "there are fewer events than that");
    }
    let mut wanted: Vec<Wish> = Vec::new();
    for (at, ways) in body.events.iter().take(EVENTS_MAX).enumerate() {
        let pointer = format!("/events/{at}/event");
        match NoticeEvent::parse(&ways.event) {
            Some(event) if wanted.iter().any(|wish| wish.event == event) => {
                check.refuse(&pointer, "invalid_value", "is named before");
            }
            Some(event) => wanted.push(Wish {
                event,
                ways: Ways {
                    app: ways.app,
                    mail: ways.mail,
                },
            }),
            None => check.refuse(&pointer, "invalid_value", "is no event that you are told of"),
        }
    }
    wanted
}

pub(super) fn preferences_to_wire(wishes: &[Wish]) -> wire::NoticePreferences {
    let events = wishes.iter().map(|wish| wire::NoticeWays {
        event: wish.event.name().to_owned(),
        app: wish.ways.app,
        mail: wish.ways.mail,
    });
    wire::NoticePreferences {
        events: events.collect(),
    }
}

pub(super) fn to_wire(notice: Notice) -> wire::Notice {
    let Notice { row, event, says } = notice;
    let subject = |bytes: [u8; 16]| {
        Some(match event? {
            NoticeEvent::MoneyReceived
            | NoticeEvent::MoneySent
            | NoticeEvent::PaymentReturned
            | NoticeEvent::ReviewStarted
            | NoticeEvent::ReviewReleased
            | NoticeEvent::ReviewRejected
            | NoticeEvent::ReviewExpired => TransferId::from_bytes(bytes).to_string(),
            NoticeEvent::PaymentSettled => PaymentId::from_bytes(bytes).to_string(),
            NoticeEvent::HoldPlaced => HoldId::from_bytes(bytes).to_string(),
            NoticeEvent::LimitsChanged => AccountId::from_bytes(bytes).to_string(),
            NoticeEvent::Security => return None,
        })
    };
    wire::Notice {
        subject_id: row.subject.and_then(subject),
        id: row.id.to_string(),
        event: row.event,
        says,
        amount: row.money.map(|(amount, currency)| Money { amount, currency }),
        at: row.at.to_string(),
        read_at: row.read_at.map(|at| at.to_string()),
    }
}
