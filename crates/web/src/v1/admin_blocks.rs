//! `/admin/blocks`: addresses that are refused because of what they did.

use std::net::IpAddr;

use axum::extract::{Path, State};
use http::StatusCode;
use strongroom_api::security as wire;
use strongroom_guard::Block;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Problem, extract::Auth, layers::Record, state::AppState, views::Json};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(lift))
}

/// List the blocked addresses.
///
/// The longest block first, a thousand at most; of all nodes where they share a Redis, else of this node. With
/// `enforced: false` they are what would be blocked here.
#[utoipa::path(get, path = "/api/v1/admin/blocks", tag = "operators",
    responses((status = 200, description = "The running blocks.", body = wire::Blocks)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    record: Record,
) -> Result<Json<wire::Blocks>, Problem> {
    state.bank.may_read_blocks(&cx)?;
    let (blocks, enforced) = record.watch().blocks();
    Ok(Json(wire::Blocks {
        enforced,
        data: blocks.into_iter().map(to_wire).collect(),
    }))
}

/// Lift a block, and forget what led to it.
#[utoipa::path(delete, path = "/api/v1/admin/blocks/{address}", tag = "operators",
    params(("address" = String, Path, description = "The address as it is listed, or any of its network.")),
    responses((status = 204, description = "Lifted.")))]
async fn lift(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(address): Path<String>,
    record: Record,
) -> Result<StatusCode, Problem> {
    state.bank.may_read_blocks(&cx)?;
    let address: IpAddr = address.parse().map_err(|_| Problem::not_found())?;
    if !record.watch().is_blocked(address) {
        return Err(Problem::not_found());
    }
    // What cannot be recorded is not done.
    state.bank.record_block_lifted(&cx, address).await?;
    record.watch().lift(address);
    Ok(StatusCode::NO_CONTENT)
}

fn to_wire(block: Block) -> wire::Block {
    wire::Block {
        address: block.address.to_string(),
        seconds_left: block.left.as_secs(),
        score: block.score.round().clamp(0.0, 1_000.0) as u32,
        signals: block
            .signals
            .iter()
            .map(|signal| signal.name().to_owned())
            .collect(),
        count: block.count,
    }
}
