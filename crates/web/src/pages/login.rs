//! `/login`: with a password, a passkey, or by an issuer elsewhere.

use askama::Template;
use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::Deserialize;
use strongroom_app::{
    Error, ExposeSecret, Kind, SecretString,
    identity::{
        harder::ShownPuzzle,
        login::{LoginAnswer, TICKET_SECS, TokenSet},
        passkeys::PasskeyUse,
    },
};

use super::{
    first,
    form::Form,
    render::{Answer, noted, page, see_other, told},
    visitor::Visitor,
};
use crate::{
    extract::{Cookie, Keep, QueryParams},
    state::AppState,
    v1::{enter, set_cookie},
};

/// What the heading of a refused attempt says, whatever was wrong.
pub(super) const WRONG: &str =
    "That did not work. Check what you entered, or wait a little if you tried often.";

/// What is said while logins fail everywhere.
const PUZZLE: &str = "Many logins fail at the moment, so your browser does a little work first. Enter your password again, \
    or use a passkey.";

/// Codes that the page has sentences for.
#[derive(Default, Deserialize)]
pub(super) struct Told {
    #[serde(default)]
    refused: String,
    #[serde(default)]
    notice: String,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    csrf: String,
    refused: &'a str,
    notice: &'a str,
    email: &'a str,
    /// What the script has to solve first.
    puzzle: &'a str,
    providers: Vec<(&'a str, &'a str)>,
}

#[derive(Template)]
#[template(path = "passkey.html")]
pub(super) struct PasskeyPage {
    pub(super) csrf: String,
    pub(super) action: &'static str,
    pub(super) back: &'static str,
    pub(super) options: String,
}

/// A login form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Password {
    email: String,
    password: String,
    #[serde(default)]
    puzzle: String,
    #[serde(default)]
    answer: String,
}

/// A form with nothing but a button.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Button {}

/// What an authenticator answered, as the script wrote it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    pub(super) credential: String,
}

pub(super) async fn show(
    State(state): State<AppState>,
    visitor: Visitor,
    QueryParams(query): QueryParams<Told>,
) -> Response {
    let (refused, notice) = (told(&query.refused), noted(&query.notice));
    login_page(&state, &visitor, StatusCode::OK, refused, notice, "")
}

fn login_page(
    state: &AppState,
    visitor: &Visitor,
    status: StatusCode,
    refused: &str,
    notice: &str,
    email: &str,
) -> Response {
    shown(state, visitor, status, (refused, notice), email, "")
}

fn shown(
    state: &AppState,
    visitor: &Visitor,
    status: StatusCode,
    (refused, notice): (&str, &str),
    email: &str,
    puzzle: &str,
) -> Response {
    let template = LoginPage {
        csrf: visitor.token(&state.bank),
        refused,
        notice,
        email,
        puzzle,
        providers: state.bank.login_providers().collect(),
    };
    page(visitor, status, &template)
}

pub(super) async fn password(State(state): State<AppState>, Form(visitor, form): Form<Password>) -> Answer {
    let password = SecretString::from(form.password);
    let mut client = visitor.client.clone();
    client.puzzle = (!form.puzzle.is_empty()).then_some(ShownPuzzle {
        puzzle: form.puzzle,
        answer: form.answer,
    });
    let answer = state
        .bank
        .login(&visitor.cx, &client, &form.email, password)
        .await;
    match answer {
        Ok(answer) => go_on(&state, &visitor, answer).await,
        Err(error) if error.kind == Kind::Unauthenticated => {
            let status = StatusCode::UNAUTHORIZED;
            Ok(login_page(&state, &visitor, status, WRONG, "", &form.email))
        }
        Err(error) if error.kind == Kind::Puzzle => {
            let status = StatusCode::PRECONDITION_REQUIRED;
            let puzzle = error.challenge.as_deref().unwrap_or_default();
            Ok(shown(&state, &visitor, status, (PUZZLE, ""), &form.email, puzzle))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn ask_passkey(State(state): State<AppState>, Form(visitor, _): Form<Button>) -> Answer {
    let options = state
        .bank
        .ask_for_passkey(&visitor.cx, &PasskeyUse::Login)
        .await?;
    let template = PasskeyPage {
        csrf: visitor.token(&state.bank),
        action: "/login/passkey/answer",
        back: "/login",
        options: options.to_string(),
    };
    Ok(page(&visitor, StatusCode::OK, &template))
}

pub(super) async fn passkey(State(state): State<AppState>, Form(visitor, form): Form<Shown>) -> Answer {
    let credential = credential_of(&form.credential);
    let answer = match credential {
        Some(credential) => {
            state
                .bank
                .login_by_passkey(&visitor.cx, &visitor.client, credential)
                .await
        }
        None => Err(Error::unauthenticated()),
    };
    match answer {
        Ok(set) => go_on(&state, &visitor, LoginAnswer::Session(Box::new(set))).await,
        Err(error) if error.kind == Kind::Unauthenticated => {
            let status = StatusCode::UNAUTHORIZED;
            Ok(login_page(&state, &visitor, status, WRONG, "", ""))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn credential_of(text: &str) -> Option<serde_json::Value> {
    serde_json::from_str(text).ok()
}

/// From the answer of a login to the next page.
pub(super) async fn go_on(state: &AppState, visitor: &Visitor, answer: LoginAnswer) -> Answer {
    match answer {
        LoginAnswer::Session(set) => enter_by(state, visitor, &set, "/").await,
        LoginAnswer::MfaRequired { mfa_token, .. } => Ok(half(&mfa_token, "/login/second")),
        LoginAnswer::RebindRequired { rebind_token } => Ok(half(&rebind_token, "/login/rebind")),
        LoginAnswer::PasswordChangeRequired { change_token } => Ok(half(&change_token, "/login/first")),
        LoginAnswer::TotpRequired {
            otpauth_uri,
            qr_svg,
            mfa_token,
        } => Ok(first::factor_page(
            state,
            visitor,
            &otpauth_uri,
            &qr_svg,
            &mfa_token,
        )),
    }
}

/// The first half of a login was right.
fn half(token: &SecretString, to: &'static str) -> Response {
    let mut response = see_other(to);
    keep_half(&mut response, token);
    response
}

/// The browser keeps what continues its login.
pub(super) fn keep_half(response: &mut Response, token: &SecretString) {
    let keep = Keep::Seconds(TICKET_SECS);
    set_cookie(response, Cookie::Login, token.expose_secret(), keep);
}

/// A session begins in this browser, under a new cookie; one that was there before ends.
pub(super) async fn enter_by(
    state: &AppState,
    visitor: &Visitor,
    set: &TokenSet,
    to: &'static str,
) -> Answer {
    if let Some(before) = &visitor.session {
        state.bank.logout_browser(&visitor.cx, before).await?;
    }
    let mut response = see_other(to);
    enter(&mut response, set);
    set_cookie(&mut response, Cookie::Login, "", Keep::Not);
    renew_forms(state, &mut response);
    Ok(response)
}

/// The tokens of forms that were shown before count no more.
pub(super) fn renew_forms(state: &AppState, response: &mut Response) {
    let fresh = state.bank.new_form_cookie();
    set_cookie(response, Cookie::Form, fresh.expose_secret(), Keep::Window);
}
