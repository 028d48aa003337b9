//! `/devices`: the devices that somebody is known by: seen, named, forgotten.

use askama::Template;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use strongroom_app::{Error, Kind};
use strongroom_domain::id::DeviceId;

use super::{
    form::Form,
    passkeys::{Which, day},
    render::{Answer, page, see_other},
    visitor::Visitor,
};
use crate::state::AppState;

/// A device on the page.
struct Known {
    id: String,
    name: String,
    current: bool,
    since: String,
    last: String,
}

#[derive(Template)]
#[template(path = "devices.html")]
struct DevicesPage<'a> {
    csrf: String,
    refused: &'a str,
    devices: Vec<Known>,
}

/// Which one, and what it is called.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    id: String,
    name: String,
}

pub(super) async fn show(State(state): State<AppState>, visitor: Visitor) -> Answer {
    devices_page(&state, &visitor, StatusCode::OK, "").await
}

async fn devices_page(state: &AppState, visitor: &Visitor, status: StatusCode, refused: &str) -> Answer {
    let cx = visitor.member(&state.bank).await?;
    let found = state.bank.own_devices(&cx).await?;
    let devices = found.into_iter().map(|device| Known {
        id: device.id.to_string(),
        name: device.name,
        current: device.current,
        since: day(&device.created_at.to_string()),
        last: device
            .last_login_at
            .map_or_else(|| "not known".to_owned(), |at| day(&at.to_string())),
    });
    let template = DevicesPage {
        csrf: visitor.token(&state.bank),
        refused,
        devices: devices.collect(),
    };
    Ok(page(visitor, status, &template))
}

pub(super) async fn name(State(state): State<AppState>, Form(visitor, form): Form<Named>) -> Answer {
    let cx = visitor.member(&state.bank).await?;
    let id = DeviceId::parse(&form.id).map_err(|_| Error::not_found())?;
    match state.bank.name_device(&cx, id, form.name.trim()).await {
        Ok(_) => Ok(see_other("/devices")),
        Err(error) if error.kind == Kind::Invalid => {
            let refused = "A name has 1 to 60 characters, on one line.";
            devices_page(&state, &visitor, StatusCode::BAD_REQUEST, refused).await
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn forget(State(state): State<AppState>, Form(visitor, form): Form<Which>) -> Answer {
    let cx = visitor.member(&state.bank).await?;
    let id = DeviceId::parse(&form.id).map_err(|_| Error::not_found())?;
    state.bank.forget_device(&cx, id).await?;
    // Where it was this one, that leads to the login.
    Ok(see_other("/devices"))
}
