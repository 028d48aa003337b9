//! `/admin/accounts/{id}/limits`: what a customer may pay, and more than that for a time.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use strongroom_api::{approvals::ApprovalRequested, limits as wire};
use strongroom_app::money::{
    allowances::{AllowAtMost, Allowed},
    exceptions::AskForException,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonDraft},
    state::AppState,
    v1::{
        accounts::account_id,
        admin_approvals::asked,
        limits::{caps, to_wire},
    },
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(read, ask, end))
        .routes(routes!(allow))
}

/// Read a customer's limits in the currency of an account.
#[utoipa::path(get, path = "/api/v1/admin/accounts/{id}/limits", tag = "operators",
    params(("id" = String, Path, description = "The account.")),
    responses((status = 200, description = "What counts now.", body = wire::Limits)))]
async fn read(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::Limits>, Problem> {
    let limits = state.bank.limits_of(&cx, account_id(&id)?).await?;
    Ok(Json(to_wire(&limits)))
}

/// Ask for more than the bank's limits, for one customer and a time. An administrator decides, not whoever asks.
///
/// Needs a fresh login or step-up. What the customer allows oneself holds besides, and so do limits that are lowered
/// for the customer's protection. What counts until then is replaced.
#[utoipa::path(put, path = "/api/v1/admin/accounts/{id}/limits", tag = "operators",
    request_body = wire::ExceptionRequest, params(("id" = String, Path, description = "The account.")),
    responses((status = 202, description = "Asked for.", body = ApprovalRequested)))]
async fn ask(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    draft: JsonDraft<wire::ExceptionRequest>,
) -> Result<Response, Problem> {
    let (((currency, caps), until), reason) = draft.done(|body, check| {
        let named = [&body.per_transfer, &body.daily, &body.monthly].map(Option::as_ref);
        let first = named.into_iter().flatten().next();
        let code = first.map(|money| money.currency.as_str());
        let currency = match code {
            Some(code) => check.currency("/currency", code),
            None => {
                check.refuse("", "required", "name one limit at least");
                None
            }
        };
        let caps = caps(check, named, currency);
        let until = check.moment("/until", &body.until);
        currency.zip(caps).zip(until).zip(Some(body.reason))
    })?;
    let wanted = AskForException {
        account: account_id(&id)?,
        currency,
        caps,
        until,
        reason,
    };
    let approval = state.bank.ask_for_exception(&cx, wanted).await?;
    Ok(asked(approval))
}

/// End what goes beyond the bank's limits, at once.
#[utoipa::path(delete, path = "/api/v1/admin/accounts/{id}/limits", tag = "operators",
    params(("id" = String, Path, description = "The account.")),
    responses((status = 204, description = "Ended, or there was nothing.")))]
async fn end(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state.bank.end_exception(&cx, account_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Set what a customer is allowed at most, in the currency of an account.
///
/// Less counts at once. What lets the customer pay more again another operator approves. Nobody is allowed more than
/// the bank's limits and exceptions, and nobody has a say about oneself.
#[utoipa::path(put, path = "/api/v1/admin/accounts/{id}/allowance", tag = "operators",
    request_body = wire::AllowLimits, params(("id" = String, Path, description = "The account.")),
    responses((status = 200, description = "Set.", body = wire::Limits),
        (status = 202, description = "Asked for.", body = ApprovalRequested)))]
async fn allow(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    draft: JsonDraft<wire::AllowLimits>,
) -> Result<Response, Problem> {
    let ((currency, caps), reason) = draft.done(|body, check| {
        let named = [&body.per_transfer, &body.daily, &body.monthly].map(Option::as_ref);
        let first = named.into_iter().flatten().next();
        let currency = match first {
            Some(money) => check.currency("/currency", &money.currency).map(Some),
            None => Some(None),
        };
        let caps = caps(check, named, currency.flatten());
        currency.zip(caps).zip(Some(body.reason))
    })?;
    let wanted = AllowAtMost {
        account: account_id(&id)?,
        currency,
        caps,
        reason,
    };
    Ok(match state.bank.allow_at_most(&cx, wanted).await? {
        Allowed::Set(limits) => Json(to_wire(&limits)).into_response(),
        Allowed::Asked(approval) => asked(approval),
    })
}
