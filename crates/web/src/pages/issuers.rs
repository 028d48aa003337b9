//! `/issuers`: the issuers elsewhere that are ways into a login: seen, added, taken away.

use askama::Template;
use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::Deserialize;
use strongroom_app::{Error, ExposeSecret, Kind, identity::external::START_SECS};
use strongroom_domain::id::ExternalLoginId;

use super::{
    form::Form,
    login::WRONG,
    passkeys::{Which, day},
    render::{Answer, page, see_other},
    visitor::Visitor,
};
use crate::{
    extract::{Cookie, Keep},
    state::AppState,
    v1::set_cookie,
};

/// An issuer on the page.
struct Added {
    id: String,
    title: String,
    email: String,
    since: String,
}

#[derive(Template)]
#[template(path = "issuers.html")]
struct IssuersPage<'a> {
    csrf: String,
    refused: &'a str,
    issuers: Vec<Added>,
    providers: Vec<(&'a str, &'a str)>,
}

#[derive(Template)]
#[template(path = "issuer_go.html")]
struct GoPage<'a> {
    title: &'a str,
    url: &'a str,
}

/// Which one of those that the bank knows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Provider {
    provider: String,
}

pub(super) async fn show(State(state): State<AppState>, visitor: Visitor) -> Answer {
    issuers_page(&state, &visitor, StatusCode::OK, "").await
}

async fn issuers_page(state: &AppState, visitor: &Visitor, status: StatusCode, refused: &str) -> Answer {
    let cx = visitor.member(&state.bank).await?;
    let found = state.bank.own_external_logins(&cx).await?;
    let issuers = found.into_iter().map(|login| Added {
        id: login.id.to_string(),
        title: title_of(state, &login.provider)
            .unwrap_or(&login.provider)
            .to_owned(),
        email: login.email.unwrap_or_default(),
        since: day(&login.created_at.to_string()),
    });
    let template = IssuersPage {
        csrf: visitor.token(&state.bank),
        refused,
        issuers: issuers.collect(),
        providers: state.bank.login_providers().collect(),
    };
    Ok(page(visitor, status, &template))
}

fn title_of<'a>(state: &'a AppState, provider: &str) -> Option<&'a str> {
    let mut all = state.bank.login_providers();
    all.find(|(name, _)| *name == provider).map(|(_, title)| title)
}

/// A page with a link: what a form is answered with may not lead to another site (`form-action`).
pub(super) async fn add(State(state): State<AppState>, Form(visitor, form): Form<Provider>) -> Answer {
    let cx = visitor.member(&state.bank).await?;
    match state.bank.start_adding_external(&cx, &form.provider).await {
        Ok(sent) => {
            let title = title_of(&state, &form.provider).unwrap_or(&form.provider);
            let mut response = page(
                &visitor,
                StatusCode::OK,
                &GoPage {
                    title,
                    url: &sent.url,
                },
            );
            let keep = Keep::Seconds(START_SECS);
            set_cookie(
                &mut response,
                Cookie::External,
                sent.browser.expose_secret(),
                keep,
            );
            Ok(response)
        }
        Err(error) => again(&state, &visitor, Err(error)).await,
    }
}

pub(super) async fn remove(State(state): State<AppState>, Form(visitor, form): Form<Which>) -> Answer {
    let cx = visitor.member(&state.bank).await?;
    let id = ExternalLoginId::parse(&form.id).map_err(|_| Error::not_found())?;
    let removed = state.bank.remove_external_login(&cx, id).await;
    again(&state, &visitor, removed).await
}

/// The list again, with what was wrong.
async fn again(state: &AppState, visitor: &Visitor, done: Result<(), Error>) -> Answer {
    match done {
        Ok(()) => Ok::<Response, _>(see_other("/issuers")),
        Err(error) if error.kind == Kind::StepUp => Err(error.into()),
        Err(error) if error.code == "last_credential" => {
            let refused = "There would be no way in any more: set a password or add a passkey first.";
            issuers_page(state, visitor, StatusCode::CONFLICT, refused).await
        }
        Err(error) if error.kind == Kind::Conflict => {
            issuers_page(state, visitor, StatusCode::CONFLICT, WRONG).await
        }
        Err(error) => Err(error.into()),
    }
}
