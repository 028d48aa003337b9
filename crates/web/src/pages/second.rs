//! `/login/second`: the second half of a login; `/login/rebind`: a new factor for somebody who used a recovery code.

use askama::Template;
use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::Deserialize;
use strongroom_app::{
    Error, ExposeSecret, Kind, SecretString,
    identity::{factors::Binder, login::LoginAnswer, passkeys::PasskeyUse},
};

use super::{
    form::Form,
    login::{Button, PasskeyPage, Shown, WRONG, credential_of, go_on},
    render::{Answer, page, see_other},
    visitor::Visitor,
};
use crate::{
    extract::{Cookie, Keep},
    state::AppState,
    v1::set_cookie,
};

#[derive(Template)]
#[template(path = "second.html")]
struct SecondPage<'a> {
    csrf: String,
    refused: &'a str,
    totp: bool,
    passkey: bool,
    recovery: bool,
}

#[derive(Template)]
#[template(path = "rebind.html")]
struct RebindPage<'a> {
    csrf: String,
    refused: &'a str,
    /// Secret and picture, once they were asked for.
    factor: Option<(String, String)>,
    waiting: bool,
}

#[derive(Template)]
#[template(path = "codes.html")]
struct CodesPage {
    codes: Vec<String>,
}

/// A code of a second factor.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Code {
    method: Method,
    code: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    Totp,
    RecoveryCode,
}

/// The first code of a new authenticator.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FirstCode {
    code: String,
}

pub(super) async fn show(State(state): State<AppState>, visitor: Visitor) -> Answer {
    second_page(&state, &visitor, StatusCode::OK, "").await
}

async fn second_page(state: &AppState, visitor: &Visitor, status: StatusCode, refused: &str) -> Answer {
    let methods = match &visitor.half {
        Some(token) => state.bank.methods_of_login(&visitor.cx, token).await,
        None => Err(Error::unauthenticated()),
    };
    let methods = match methods {
        Ok(methods) => methods,
        Err(error) if error.kind == Kind::Unauthenticated => return Ok(see_other("/login")),
        Err(error) => return Err(error.into()),
    };
    let template = SecondPage {
        csrf: visitor.token(&state.bank),
        refused,
        totp: methods.contains(&"totp"),
        passkey: methods.contains(&"passkey"),
        recovery: methods.contains(&"recovery_code"),
    };
    Ok(page(visitor, status, &template))
}

fn half_of(visitor: &Visitor) -> Result<&SecretString, Error> {
    visitor.half.as_ref().ok_or_else(Error::unauthenticated)
}

/// The next page, or this one again.
async fn answered(state: &AppState, visitor: &Visitor, answer: Result<LoginAnswer, Error>) -> Answer {
    match answer {
        Ok(answer) => go_on(state, visitor, answer).await,
        Err(error) if error.kind == Kind::Unauthenticated => {
            second_page(state, visitor, StatusCode::UNAUTHORIZED, WRONG).await
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn code(State(state): State<AppState>, Form(visitor, form): Form<Code>) -> Answer {
    let (bank, code) = (&state.bank, SecretString::from(form.code));
    let half = half_of(&visitor)?.expose_secret();
    let answer = match form.method {
        Method::Totp => bank.login_by_code(&visitor.cx, &visitor.client, half, code).await,
        Method::RecoveryCode => {
            bank.login_by_recovery_code(&visitor.cx, &visitor.client, half, code)
                .await
        }
    };
    answered(&state, &visitor, answer).await
}

pub(super) async fn ask_passkey(State(state): State<AppState>, Form(visitor, _): Form<Button>) -> Answer {
    let wanted = PasskeyUse::Second(half_of(&visitor)?.clone());
    let options = state.bank.ask_for_passkey(&visitor.cx, &wanted).await?;
    let template = PasskeyPage {
        csrf: visitor.token(&state.bank),
        action: "/login/second/passkey/answer",
        back: "/login/second",
        options: options.to_string(),
    };
    Ok(page(&visitor, StatusCode::OK, &template))
}

pub(super) async fn passkey(State(state): State<AppState>, Form(visitor, form): Form<Shown>) -> Answer {
    let half = half_of(&visitor)?.expose_secret();
    let answer = match credential_of(&form.credential) {
        Some(credential) => {
            state
                .bank
                .login_by_second_passkey(&visitor.cx, &visitor.client, half, credential)
                .await
        }
        None => Err(Error::unauthenticated()),
    };
    answered(&state, &visitor, answer).await
}

pub(super) async fn show_rebind(State(state): State<AppState>, visitor: Visitor) -> Response {
    rebind_page(&state, &visitor, StatusCode::OK, None, "", false)
}

fn rebind_page(
    state: &AppState,
    visitor: &Visitor,
    status: StatusCode,
    factor: Option<(String, String)>,
    refused: &str,
    waiting: bool,
) -> Response {
    let template = RebindPage {
        csrf: visitor.token(&state.bank),
        refused,
        factor,
        waiting,
    };
    page(visitor, status, &template)
}

fn binder_of(visitor: &Visitor) -> Result<Binder, Error> {
    let token = half_of(visitor)?.clone();
    Ok(Binder::Recovered(Box::new(visitor.cx.clone()), token))
}

pub(super) async fn rebind(State(state): State<AppState>, Form(visitor, _): Form<Button>) -> Answer {
    let made = state.bank.start_totp(&binder_of(&visitor)?).await?;
    let shown = (
        made.secret.expose_secret().to_owned(),
        made.qr_svg.expose_secret().to_owned(),
    );
    Ok(rebind_page(
        &state,
        &visitor,
        StatusCode::OK,
        Some(shown),
        "",
        true,
    ))
}

pub(super) async fn confirm_rebind(
    State(state): State<AppState>,
    Form(visitor, form): Form<FirstCode>,
) -> Answer {
    let bound = state
        .bank
        .confirm_totp(&binder_of(&visitor)?, SecretString::from(form.code))
        .await;
    match bound {
        Ok(codes) => {
            let template = CodesPage {
                codes: codes.iter().map(|code| code.expose_secret().to_owned()).collect(),
            };
            let mut response = page(&visitor, StatusCode::OK, &template);
            set_cookie(&mut response, Cookie::Login, "", Keep::Not);
            Ok(response)
        }
        Err(error) if error.kind == Kind::Unauthenticated => {
            let status = StatusCode::UNAUTHORIZED;
            Ok(rebind_page(&state, &visitor, status, None, WRONG, true))
        }
        Err(error) => Err(error.into()),
    }
}
