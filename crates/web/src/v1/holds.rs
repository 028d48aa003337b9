//! `/holds`: money reserved for a payee, then paid or given back.

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;
use serde::Deserialize;
use strongroom_api::{
    holds as wire,
    money::{Money, Page},
};
use strongroom_app::money::holds::{CaptureHold, HoldDetails, PlaceHold};
use strongroom_domain::{
    id::{AccountId, HoldId, HoldKind},
    ledger::Refusal,
    money::Currency,
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonDraft, MoneyAuth, OptionalJsonDraft, QueryParams},
    state::AppState,
    v1::{
        check::{Check, path_id},
        idempotency::{IdempotencyKey, answered, created},
        transfers::payee,
    },
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(place, list))
        .routes(routes!(read))
        .routes(routes!(capture))
        .routes(routes!(void))
}

/// Reserve money for a payee.
///
/// From now on the amount counts as spent. It is paid by capturing the hold, and given back by voiding it or when its
/// time is over, to the moment.
#[utoipa::path(post, path = "/api/v1/holds", tag = "holds", request_body = wire::PlaceHold,
    params(("Idempotency-Key" = String, Header, description = "Your name for this one intent.")),
    responses((status = 201, description = "Reserved.", body = wire::Hold)))]
async fn place(
    State(state): State<AppState>,
    MoneyAuth(cx): MoneyAuth,
    IdempotencyKey(key): IdempotencyKey,
    draft: JsonDraft<wire::PlaceHold>,
) -> Result<Response, Problem> {
    let input = PlaceHold {
        idempotency_key: key,
        ..draft.done(|body, check| parse_into(check, &body))?
    };
    let once = state.bank.place_hold(&cx, input).await?;
    let hold = to_wire(&once.value);
    Ok(created(&once, &format!("/api/v1/holds/{}", hold.id), hold))
}

/// The hold that is asked for, without a key.
pub(super) fn parse_into(check: &mut Check, body: &wire::PlaceHold) -> Option<PlaceHold> {
    let account: Option<AccountId> = check.id("/account_id", &body.account_id);
    let to = payee(
        check,
        body.to_account_id.as_deref(),
        body.to_account_number.as_deref(),
    );
    let amount = check.amount("/amount", &body.amount);
    let expires_at = match &body.expires_at {
        Some(text) => check.moment("/expires_at", text).map(Some),
        None => Some(None),
    };
    let parts = account.zip(to).zip(amount).zip(expires_at);
    parts.map(|(((account, to), (amount, currency)), expires_at)| PlaceHold {
        account,
        to,
        amount,
        currency,
        expires_at,
        idempotency_key: None,
    })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// The account on which money is reserved.
    account_id: String,
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List what is reserved on an account, newest first.
#[utoipa::path(get, path = "/api/v1/holds", tag = "holds", params(ListQuery),
    responses((status = 200, description = "The open holds.", body = Page<wire::Hold>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<Page<wire::Hold>>, Problem> {
    let mut check = Check::default();
    let account: Option<AccountId> = check.id("?account_id", &query.account_id);
    let limit = check.limit(query.limit);
    let before: Option<Option<HoldId>> = match &query.cursor {
        Some(text) => check.id("?cursor", text).map(Some),
        None => Some(None),
    };
    let input = account.zip(limit).zip(before);
    let ((account, limit), before) = check.done(input)?;
    let holds = state.bank.holds(&cx, account, before, limit).await?;
    let full = holds.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next_cursor = holds.last().filter(|_| full).map(|last| last.hold.id.to_string());
    // What is over reserves nothing, also before the books have written so.
    let open = holds.iter().filter(|found| found.hold.remaining(found.at) > 0);
    Ok(Json(Page {
        data: open.map(to_wire).collect(),
        next_cursor,
    }))
}

/// Read a hold that you are a party of.
#[utoipa::path(get, path = "/api/v1/holds/{id}", tag = "holds", params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The hold.", body = wire::Hold)))]
async fn read(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::Hold>, Problem> {
    Ok(Json(to_wire(&state.bank.hold(&cx, hold_id(&id)?).await?)))
}

/// Pay out of a hold.
///
/// Several captures may share a hold; one that is `final`, or takes all that remains, ends it.
#[utoipa::path(post, path = "/api/v1/holds/{id}/capture", tag = "holds", request_body = Option<wire::CaptureHold>,
    params(("id" = String, Path, description = "Its id."),
        ("Idempotency-Key" = String, Header, description = "Your name for this one intent.")),
    responses((status = 200, description = "Paid; the hold as it was left.", body = wire::Hold)))]
async fn capture(
    State(state): State<AppState>,
    MoneyAuth(cx): MoneyAuth,
    Path(id): Path<String>,
    IdempotencyKey(key): IdempotencyKey,
    OptionalJsonDraft(draft): OptionalJsonDraft<wire::CaptureHold>,
) -> Result<Response, Problem> {
    let (amount, last) = draft.done(|body, check| {
        let amount = match &body.amount {
            Some(amount) => check.amount("/amount", amount).map(Some),
            None => Some(None),
        };
        amount.map(|amount| (amount, body.last))
    })?;
    let input = CaptureHold {
        hold: hold_id(&id)?,
        amount,
        last,
        idempotency_key: key,
    };
    let once = state.bank.capture_hold(&cx, input).await?;
    Ok(answered(StatusCode::OK, &once, to_wire(&once.value)))
}

/// Give back what a hold reserves.
#[utoipa::path(post, path = "/api/v1/holds/{id}/void", tag = "holds",
    params(("id" = String, Path, description = "Its id."),
        ("Idempotency-Key" = Option<String>, Header, description = "Your name for this one intent.")),
    responses((status = 200, description = "Given back.", body = wire::Hold)))]
async fn void(
    State(state): State<AppState>,
    MoneyAuth(cx): MoneyAuth,
    Path(id): Path<String>,
    IdempotencyKey(key): IdempotencyKey,
) -> Result<Response, Problem> {
    let once = state.bank.void_hold(&cx, hold_id(&id)?, key.as_deref()).await?;
    Ok(answered(StatusCode::OK, &once, to_wire(&once.value)))
}

fn hold_id(text: &str) -> Result<HoldId, Problem> {
    path_id::<HoldKind>(text).map_err(|_| strongroom_app::Error::from(Refusal::HoldNotFound).into())
}

pub(super) fn to_wire(details: &HoldDetails) -> wire::Hold {
    let hold = &details.hold;
    let money = |amount| in_currency(amount, hold.currency);
    wire::Hold {
        id: hold.id.to_string(),
        state: hold.status(details.at).to_owned(),
        account_id: hold.account.to_string(),
        to_account_id: hold.to_account.to_string(),
        amount: money(hold.amount.minor()),
        captured: money(hold.captured),
        remaining: money(hold.remaining(details.at)),
        created_at: hold.placed_at.to_string(),
        expires_at: hold.expires_at.to_string(),
    }
}

fn in_currency(amount: i64, currency: Currency) -> Money {
    Money {
        amount,
        currency: currency.code().to_owned(),
    }
}
