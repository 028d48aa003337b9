//! `/transfers/batch`: many transfers in one request and one commit.

use axum::{Extension, extract::State, response::Response};
use http::{Method, StatusCode};
use strongroom_api::transfers as wire;
use strongroom_app::money::{
    accounts::Once,
    batches::{BATCH_ITEMS_MAX, CreateBatch},
    transfers::TransferDetails,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    BATCH_BODY_BYTES_MAX, Problem,
    extract::{JsonDraft, MoneyAuth},
    layers::{Record, RequestId, body_limit},
    state::AppState,
    v1::{
        idempotency::{IdempotencyKey, answered},
        transfers::{parse_into, to_wire},
    },
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .layer(body_limit(BATCH_BODY_BYTES_MAX))
}

/// Move money by many transfers at once.
///
/// All are decided in their order and booked in one commit; `atomic` books all or none. What is wrong with one of them
/// is in its result. The idempotency key stands for the whole: a repetition gets the same results.
#[utoipa::path(post, path = "/api/v1/transfers/batch", tag = "transfers", request_body = wire::CreateBatch,
    params(("Idempotency-Key" = String, Header, description = "Your name for this one intent.")),
    responses((status = 200, description = "Decided: a result for each transfer.", body = wire::Batch)))]
async fn create(
    State(state): State<AppState>,
    MoneyAuth(cx): MoneyAuth,
    Extension(record): Extension<Record>,
    IdempotencyKey(key): IdempotencyKey,
    JsonDraft(body, mut check): JsonDraft<wire::CreateBatch>,
) -> Result<Response, Problem> {
    if body.transfers.is_empty() || body.transfers.len() > BATCH_ITEMS_MAX {
        check.refuse("/transfers", "out_of_range", "must have 1 to 1000 items");
    }
    let mut transfers = Vec::with_capacity(body.transfers.len().min(BATCH_ITEMS_MAX));
    for (number, transfer) in body.transfers.iter().enumerate().take(BATCH_ITEMS_MAX) {
        check.below(format!("/transfers/{number}"));
        transfers.extend(parse_into(&mut check, transfer));
    }
    let input = CreateBatch {
        transfers: check.done(Some(transfers))?,
        atomic: body.mode == wire::BatchMode::Atomic,
        idempotency_key: key,
    };
    let more = input.transfers.len().saturating_sub(1);
    record.limits().items(&record, &Method::POST, &cx, more).await?;
    let batch = state.bank.create_batch(&cx, input).await?;
    let id = record.id();
    let results = batch.results.into_iter().map(|result| to_result(result, &id));
    let results = results.collect();
    let once = Once {
        value: (),
        replayed: batch.replayed,
    };
    Ok(answered(StatusCode::OK, &once, wire::Batch { results }))
}

fn to_result(result: Result<TransferDetails, strongroom_app::Error>, id: &RequestId) -> wire::BatchResult {
    match result {
        Ok(details) => wire::BatchResult {
            status: details.state.name().to_owned(),
            transfer: Some(to_wire(&details, false)),
            problem: None,
        },
        Err(error) => wire::BatchResult {
            status: "refused".to_owned(),
            transfer: None,
            problem: Some(Problem::from(error).document(id)),
        },
    }
}
