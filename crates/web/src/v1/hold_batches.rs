//! `/holds/batch`: many holds placed, captured or given back in one request and one commit.

use axum::{Extension, extract::State, response::Response};
use strongroom_api::{holds as wire, transfers::BatchMode};
use strongroom_app::{
    Cx,
    money::{
        hold_batches::{HoldBatch, HoldItems},
        holds::{CaptureHold, HoldDetails},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    BATCH_BODY_BYTES_MAX, Problem,
    extract::{JsonDraft, MoneyAuth},
    layers::{Record, body_limit},
    state::AppState,
    v1::{
        check::Check,
        holds::{parse_into, to_wire},
        idempotency::IdempotencyKey,
        orders::{REFUSED, answered_each, count_items, read_items},
    },
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(place))
        .routes(routes!(capture))
        .routes(routes!(void))
        .layer(body_limit(BATCH_BODY_BYTES_MAX))
}

/// Reserve money for many payees at once.
///
/// All are decided in their order and reserved in one commit; `atomic` reserves all or none. What is wrong with one of
/// them is in its result. The idempotency key stands for the whole: a repetition gets the same results.
#[utoipa::path(post, path = "/api/v1/holds/batch", tag = "holds", request_body = wire::PlaceHolds,
    params(("Idempotency-Key" = String, Header, description = "Your name for this one intent.")),
    responses((status = 200, description = "Decided: a result for each hold.", body = wire::HoldBatch)))]
async fn place(
    State(state): State<AppState>,
    MoneyAuth(cx): MoneyAuth,
    Extension(record): Extension<Record>,
    IdempotencyKey(key): IdempotencyKey,
    draft: JsonDraft<wire::PlaceHolds>,
) -> Result<Response, Problem> {
    let input = draft.done(|body, check| {
        let holds = read_items(check, "/holds", &body.holds, parse_into);
        Some(asked(HoldItems::Place(holds), body.mode, key))
    })?;
    decide(&state, &cx, &record, input).await
}

/// Pay out of many holds at once.
///
/// As `POST /api/v1/holds/batch`; of holds of your own, on either side.
#[utoipa::path(post, path = "/api/v1/holds/batch/capture", tag = "holds", request_body = wire::CaptureHolds,
    params(("Idempotency-Key" = String, Header, description = "Your name for this one intent.")),
    responses((status = 200, description = "Decided: a result for each capture.", body = wire::HoldBatch)))]
async fn capture(
    State(state): State<AppState>,
    MoneyAuth(cx): MoneyAuth,
    Extension(record): Extension<Record>,
    IdempotencyKey(key): IdempotencyKey,
    draft: JsonDraft<wire::CaptureHolds>,
) -> Result<Response, Problem> {
    let input = draft.done(|body, check| {
        let captures = read_items(check, "/captures", &body.captures, parse_capture);
        Some(asked(HoldItems::Capture(captures), body.mode, key))
    })?;
    decide(&state, &cx, &record, input).await
}

fn parse_capture(check: &mut Check, body: &wire::CaptureOf) -> Option<CaptureHold> {
    let hold = check.id("/hold_id", &body.hold_id);
    let amount = match &body.amount {
        Some(amount) => check.amount("/amount", amount).map(Some),
        None => Some(None),
    };
    hold.zip(amount).map(|(hold, amount)| CaptureHold {
        hold,
        amount,
        last: body.last,
        idempotency_key: None,
    })
}

/// Give back what many holds reserve, at once.
///
/// As `POST /api/v1/holds/batch`; of holds of your own, on either side.
#[utoipa::path(post, path = "/api/v1/holds/batch/void", tag = "holds", request_body = wire::VoidHolds,
    params(("Idempotency-Key" = String, Header, description = "Your name for this one intent.")),
    responses((status = 200, description = "Decided: a result for each hold.", body = wire::HoldBatch)))]
async fn void(
    State(state): State<AppState>,
    MoneyAuth(cx): MoneyAuth,
    Extension(record): Extension<Record>,
    IdempotencyKey(key): IdempotencyKey,
    draft: JsonDraft<wire::VoidHolds>,
) -> Result<Response, Problem> {
    let input = draft.done(|body, check| {
        let ids = read_items(check, "/hold_ids", &body.hold_ids, |check, id| check.id("", id));
        Some(asked(HoldItems::Void(ids), body.mode, key))
    })?;
    decide(&state, &cx, &record, input).await
}

fn asked(items: HoldItems, mode: BatchMode, key: Option<String>) -> HoldBatch {
    HoldBatch {
        items,
        atomic: mode == BatchMode::Atomic,
        idempotency_key: key,
    }
}

async fn decide(state: &AppState, cx: &Cx, record: &Record, input: HoldBatch) -> Result<Response, Problem> {
    count_items(cx, record, input.items.count()).await?;
    let batch = state.bank.decide_holds(cx, input).await?;
    Ok(answered_each(record, batch, to_result, |results| {
        wire::HoldBatch { results }
    }))
}

fn to_result(result: Result<HoldDetails, strongroom_api::Problem>) -> wire::HoldBatchResult {
    match result {
        Ok(details) => {
            let hold = to_wire(&details);
            wire::HoldBatchResult {
                status: hold.state.clone(),
                hold: Some(hold),
                problem: None,
            }
        }
        Err(problem) => wire::HoldBatchResult {
            status: REFUSED.to_owned(),
            hold: None,
            problem: Some(problem),
        },
    }
}
