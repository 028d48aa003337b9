//! `/log/cosignatures`: somebody elsewhere follows the log.

use axum::extract::State;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use strongroom_api::audit as wire;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Anonymous, JsonBody},
    state::AppState,
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(cosign))
}

/// Give a cosignature of the log, and learn how it went on.
///
/// For the witnesses that `audit.witnesses` names: the cosignature is the credential, good for five minutes. Whether
/// the answer continues what was seen is for the witness to find out: `strongroom witness follow` does.
#[utoipa::path(post, path = "/api/v1/log/cosignatures", tag = "log", security(()), request_body = wire::WitnessedHead,
    responses((status = 200, description = "The newest signed head, and the proof.", body = wire::NextHead)))]
async fn cosign(
    State(state): State<AppState>,
    Anonymous(cx, _): Anonymous,
    JsonBody(body): JsonBody<wire::WitnessedHead>,
) -> Result<Json<wire::NextHead>, Problem> {
    let shown = state.bank.meet_witness(&cx, &body.cosigned).await?;
    Ok(Json(wire::NextHead {
        checkpoint: shown.checkpoint.note.clone(),
        consistency: shown
            .consistency
            .iter()
            .map(|hash| STANDARD.encode(hash))
            .collect(),
    }))
}
