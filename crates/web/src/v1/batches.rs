//! `/transfers/batch`: many transfers in one request and one commit.

use axum::{Extension, extract::State, response::Response};
use strongroom_api::transfers as wire;
use strongroom_app::money::{batches::CreateBatch, transfers::TransferDetails};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    BATCH_BODY_BYTES_MAX, Problem,
    extract::{JsonDraft, MoneyAuth},
    layers::{Record, body_limit},
    state::AppState,
    v1::{
        idempotency::IdempotencyKey,
        orders::{REFUSED, answered_each, count_items, read_items},
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
    draft: JsonDraft<wire::CreateBatch>,
) -> Result<Response, Problem> {
    let input = draft.done(|body, check| {
        Some(CreateBatch {
            transfers: read_items(check, "/transfers", &body.transfers, parse_into),
            atomic: body.mode == wire::BatchMode::Atomic,
            idempotency_key: key,
        })
    })?;
    count_items(&cx, &record, input.transfers.len()).await?;
    let batch = state.bank.create_batch(&cx, input).await?;
    Ok(answered_each(&record, batch, to_result, |results| wire::Batch {
        results,
    }))
}

fn to_result(result: Result<TransferDetails, strongroom_api::Problem>) -> wire::BatchResult {
    match result {
        Ok(details) => wire::BatchResult {
            status: details.state.name().to_owned(),
            transfer: Some(to_wire(&details, false)),
            problem: None,
        },
        Err(problem) => wire::BatchResult {
            status: REFUSED.to_owned(),
            transfer: None,
            problem: Some(problem),
        },
    }
}
