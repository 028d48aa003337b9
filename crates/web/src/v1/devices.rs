//! `/me/devices`: the devices that somebody is known by.

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use strongroom_api::me as wire;
use strongroom_app::identity::devices::DeviceDetails;
use strongroom_domain::id::DeviceKind;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonBody},
    state::AppState,
    v1::check::path_id,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(name, forget))
}

/// List the devices that you are known by. Whoever tries your password elsewhere does not lock you out on them.
#[utoipa::path(get, path = "/api/v1/me/devices", tag = "me",
    responses((status = 200, description = "All of them, at most 10.", body = wire::Devices)))]
async fn list(State(state): State<AppState>, Auth(cx): Auth) -> Result<Json<wire::Devices>, Problem> {
    let found = state.bank.own_devices(&cx).await?;
    Ok(Json(wire::Devices {
        data: found.into_iter().map(to_wire).collect(),
    }))
}

/// Call one of your devices by a name. Needs a step-up.
#[utoipa::path(patch, path = "/api/v1/me/devices/{id}", tag = "me", request_body = wire::NameDevice,
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The device, as it is called now.", body = wire::Device)))]
async fn name(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<wire::NameDevice>,
) -> Result<Json<wire::Device>, Problem> {
    let id = path_id::<DeviceKind>(&id)?;
    Ok(Json(to_wire(state.bank.name_device(&cx, id, &body.name).await?)))
}

/// Forget one of your devices. The sessions that began on it end; the next login on it is one on a new device.
#[utoipa::path(delete, path = "/api/v1/me/devices/{id}", tag = "me",
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 204, description = "Forgotten.")))]
async fn forget(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state.bank.forget_device(&cx, path_id::<DeviceKind>(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn to_wire(device: DeviceDetails) -> wire::Device {
    wire::Device {
        id: device.id.to_string(),
        name: device.name,
        named: device.named,
        current: device.current,
        created_at: device.created_at.to_string(),
        last_login_at: device.last_login_at.map(|at| at.to_string()),
    }
}
