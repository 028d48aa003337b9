//! `/passkeys`: the passkeys of whoever is logged in: seen, bound, taken away.

use askama::Template;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use strongroom_app::{Error, Kind};
use strongroom_domain::id::PasskeyId;

use super::{
    form::Form,
    login::{Button, WRONG, credential_of},
    render::{Answer, page, see_other},
    visitor::Visitor,
};
use crate::state::AppState;

/// A passkey on the page.
struct Bound {
    id: String,
    name: String,
    since: String,
}

#[derive(Template)]
#[template(path = "passkeys.html")]
struct PasskeysPage<'a> {
    csrf: String,
    refused: &'a str,
    passkeys: Vec<Bound>,
}

#[derive(Template)]
#[template(path = "passkey_new.html")]
struct NewPage {
    csrf: String,
    options: String,
}

/// What an authenticator made, as the script wrote it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Made {
    credential: String,
    name: String,
}

/// Which one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    pub(super) id: String,
}

pub(super) async fn show(State(state): State<AppState>, visitor: Visitor) -> Answer {
    passkeys_page(&state, &visitor, StatusCode::OK, "").await
}

async fn passkeys_page(state: &AppState, visitor: &Visitor, status: StatusCode, refused: &str) -> Answer {
    let cx = visitor.member(&state.bank).await?;
    let found = state.bank.own_passkeys(&cx).await?;
    let passkeys = found.into_iter().map(|passkey| Bound {
        id: passkey.id.to_string(),
        name: passkey.name,
        since: day(&passkey.created_at.to_string()),
    });
    let template = PasskeysPage {
        csrf: visitor.token(&state.bank),
        refused,
        passkeys: passkeys.collect(),
    };
    Ok(page(visitor, status, &template))
}

/// `2026-11-20`.
const DAY_CHARS: usize = 10;

/// The day of a moment in RFC 3339.
pub(super) fn day(moment: &str) -> String {
    moment.chars().take(DAY_CHARS).collect()
}

pub(super) async fn start(State(state): State<AppState>, Form(visitor, _): Form<Button>) -> Answer {
    let cx = visitor.member(&state.bank).await?;
    let options = state.bank.start_passkey(&cx).await?;
    let template = NewPage {
        csrf: visitor.token(&state.bank),
        options: options.to_string(),
    };
    Ok(page(&visitor, StatusCode::OK, &template))
}

pub(super) async fn bind(State(state): State<AppState>, Form(visitor, form): Form<Made>) -> Answer {
    let cx = visitor.member(&state.bank).await?;
    let bound = match credential_of(&form.credential) {
        Some(credential) => state.bank.bind_passkey(&cx, credential, form.name.trim()).await,
        None => Err(Error::unauthenticated()),
    };
    again(&state, &visitor, bound.map(drop)).await
}

pub(super) async fn remove(State(state): State<AppState>, Form(visitor, form): Form<Which>) -> Answer {
    let cx = visitor.member(&state.bank).await?;
    let id = PasskeyId::parse(&form.id).map_err(|_| Error::not_found())?;
    let removed = state.bank.remove_passkey(&cx, id).await;
    again(&state, &visitor, removed).await
}

/// The list again, with what was wrong.
async fn again(state: &AppState, visitor: &Visitor, done: Result<(), Error>) -> Answer {
    match done {
        Ok(()) => Ok(see_other("/passkeys")),
        Err(error) if error.kind == Kind::StepUp => Err(error.into()),
        Err(error) if matches!(error.kind, Kind::Unauthenticated | Kind::Invalid | Kind::Conflict) => {
            passkeys_page(state, visitor, StatusCode::BAD_REQUEST, WRONG).await
        }
        Err(error) => Err(error.into()),
    }
}
