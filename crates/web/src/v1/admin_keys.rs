//! `/admin/keys`: the keys of the ring, and new ones by two people.

use axum::{
    extract::{Path, State},
    response::Response,
};
use strongroom_api::{approvals::ApprovalRequested, keys as wire};
use strongroom_app::{
    Purpose,
    keys::rotation::{KeyLine, not_rotated},
};
use strongroom_domain::time::Timestamp;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonBody},
    state::AppState,
    v1::admin_approvals::asked,
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(rotate))
}

/// List the keys of the ring: what they are for and in which state, never what they are.
#[utoipa::path(get, path = "/api/v1/admin/keys", tag = "operators",
    responses((status = 200, description = "The keys.", body = wire::RingKeys)))]
async fn list(State(state): State<AppState>, Auth(cx): Auth) -> Result<Json<wire::RingKeys>, Problem> {
    let found = state.bank.ring_keys(&cx).await?;
    Ok(Json(wire::RingKeys {
        data: found.into_iter().map(to_wire).collect(),
    }))
}

/// Ask for a new key for a purpose.
///
/// Another administrator decides; needs a fresh login or step-up. Once it is approved every node takes the key over,
/// and new things are made with it; what the old one made stays good. Keys of some purposes are not rotated while the
/// bank runs (`key_not_rotatable`).
#[utoipa::path(post, path = "/api/v1/admin/keys/{purpose}/rotations", tag = "operators",
    request_body = wire::RotateKey,
    params(("purpose" = String, Path, description = "What the key is for.")),
    responses((status = 202, description = "Asked for.", body = ApprovalRequested)))]
async fn rotate(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(purpose): Path<String>,
    JsonBody(body): JsonBody<wire::RotateKey>,
) -> Result<Response, Problem> {
    let purpose = Purpose::from_name(&purpose);
    let approval = state
        .bank
        .ask_for_key_rotation(&cx, purpose, &body.reason)
        .await?;
    Ok(asked(approval))
}

fn to_wire(line: KeyLine) -> wire::RingKey {
    let info = line.info;
    wire::RingKey {
        kid: info.kid,
        purpose: info.purpose.name().to_owned(),
        algorithm: info.purpose.algorithm().to_owned(),
        state: info.state.name().to_owned(),
        created_at: Timestamp::from_micros(info.created_at).to_string(),
        active_from: line.active_from.map(|from| from.to_string()),
        rotatable: not_rotated(info.purpose).is_none(),
    }
}
