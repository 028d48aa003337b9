//! `/holds/batch`: many holds placed, captured or given back in one request and one commit.

use axum::{Extension, extract::State, response::Response};
use http::{Method, StatusCode};
use strongroom_api::{holds as wire, transfers::BatchMode};
use strongroom_app::{
    Cx,
    money::{
        accounts::Once,
        batches::BATCH_ITEMS_MAX,
        hold_batches::{HoldBatch, HoldItems},
        holds::{CaptureHold, HoldDetails},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    BATCH_BODY_BYTES_MAX, Problem,
    extract::{JsonDraft, MoneyAuth},
    layers::{Record, RequestId, body_limit},
    state::AppState,
    v1::{
        check::Check,
        holds::{parse_into, to_wire},
        idempotency::{IdempotencyKey, answered},
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
    JsonDraft(body, mut check): JsonDraft<wire::PlaceHolds>,
) -> Result<Response, Problem> {
    bounded(&mut check, "/holds", body.holds.len());
    let mut holds = Vec::with_capacity(body.holds.len().min(BATCH_ITEMS_MAX));
    for (number, hold) in body.holds.iter().enumerate().take(BATCH_ITEMS_MAX) {
        check.below(format!("/holds/{number}"));
        holds.extend(parse_into(&mut check, hold));
    }
    let items = HoldItems::Place(check.done(Some(holds))?);
    decide(&state, &cx, &record, items, body.holds.len(), body.mode, key).await
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
    JsonDraft(body, mut check): JsonDraft<wire::CaptureHolds>,
) -> Result<Response, Problem> {
    bounded(&mut check, "/captures", body.captures.len());
    let mut captures = Vec::with_capacity(body.captures.len().min(BATCH_ITEMS_MAX));
    for (number, item) in body.captures.iter().enumerate().take(BATCH_ITEMS_MAX) {
        check.below(format!("/captures/{number}"));
        let hold = check.id("/hold_id", &item.hold_id);
        let amount = match &item.amount {
            Some(amount) => check.amount("/amount", amount).map(Some),
            None => Some(None),
        };
        captures.extend(hold.zip(amount).map(|(hold, amount)| CaptureHold {
            hold,
            amount,
            last: item.last,
            idempotency_key: None,
        }));
    }
    let items = HoldItems::Capture(check.done(Some(captures))?);
    decide(&state, &cx, &record, items, body.captures.len(), body.mode, key).await
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
    JsonDraft(body, mut check): JsonDraft<wire::VoidHolds>,
) -> Result<Response, Problem> {
    bounded(&mut check, "/hold_ids", body.hold_ids.len());
    let mut ids = Vec::with_capacity(body.hold_ids.len().min(BATCH_ITEMS_MAX));
    for (number, id) in body.hold_ids.iter().enumerate().take(BATCH_ITEMS_MAX) {
        ids.extend(check.id(&format!("/hold_ids/{number}"), id));
    }
    let items = HoldItems::Void(check.done(Some(ids))?);
    decide(&state, &cx, &record, items, body.hold_ids.len(), body.mode, key).await
}

fn bounded(check: &mut Check, pointer: &str, items: usize) {
    if items == 0 || items > BATCH_ITEMS_MAX {
        check.refuse(pointer, "out_of_range", "must have 1 to 1000 items");
    }
}

async fn decide(
    state: &AppState,
    cx: &Cx,
    record: &Record,
    items: HoldItems,
    count: usize,
    mode: BatchMode,
    key: Option<String>,
) -> Result<Response, Problem> {
    // Each item counts as a request; the first was counted when this one arrived.
    let more = count.saturating_sub(1);
    record.limits().items(record, &Method::POST, cx, more).await?;
    let input = HoldBatch {
        items,
        atomic: mode == BatchMode::Atomic,
        idempotency_key: key,
    };
    let batch = state.bank.decide_holds(cx, input).await?;
    let id = record.id();
    let results = batch.results.into_iter().map(|result| to_result(result, &id));
    let results = results.collect();
    let once = Once {
        value: (),
        replayed: batch.replayed,
    };
    Ok(answered(StatusCode::OK, &once, wire::HoldBatch { results }))
}

fn to_result(result: Result<HoldDetails, strongroom_app::Error>, id: &RequestId) -> wire::HoldBatchResult {
    match result {
        Ok(details) => {
            let hold = to_wire(&details);
            wire::HoldBatchResult {
                status: hold.state.clone(),
                hold: Some(hold),
                problem: None,
            }
        }
        Err(error) => wire::HoldBatchResult {
            status: "refused".to_owned(),
            hold: None,
            problem: Some(Problem::from(error).document(id)),
        },
    }
}
