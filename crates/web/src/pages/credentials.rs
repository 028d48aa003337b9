//! `/register`, `/verify-email`, `/forgot-password`, `/reset-password`, `/email-change`.
//!
//! The links of mails hold their token behind `#`, which no browser sends: the page's script puts it into the form, and
//! without the script a person copies it. Only the form's `POST` spends it.

use askama::Template;
use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::Deserialize;
use strongroom_app::{
    Error, Kind, SecretString,
    identity::{email_change::EmailProved, registration::Register},
};

use super::{
    form::Form,
    login::WRONG,
    render::{Answer, message, page, see_other},
    visitor::Visitor,
};
use crate::state::AppState;

/// What is wrong with a field.
pub(super) struct Wrong {
    pub(super) field: String,
    pub(super) text: String,
}

#[derive(Template)]
#[template(path = "register.html")]
struct RegisterPage<'a> {
    csrf: String,
    wrong: Vec<Wrong>,
    email: &'a str,
    full_name: &'a str,
}

#[derive(Template)]
#[template(path = "verify.html")]
struct VerifyPage<'a> {
    csrf: String,
    refused: &'a str,
}

#[derive(Template)]
#[template(path = "email_change.html")]
struct EmailChangePage<'a> {
    csrf: String,
    refused: &'a str,
}

#[derive(Template)]
#[template(path = "forgot.html")]
struct ForgotPage {
    csrf: String,
}

#[derive(Template)]
#[template(path = "reset.html")]
struct ResetPage<'a> {
    csrf: String,
    refused: &'a str,
    wrong: Vec<Wrong>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewLogin {
    email: String,
    full_name: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proof {
    token: String,
    password: String,
}

/// Which button was pressed.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Agreed {
    Confirm,
    Stop,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EmailAnswer {
    token: String,
    answer: Agreed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forgotten {
    email: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    token: String,
    new_password: String,
}

/// The refused fields of a form, by the names that its page gives them.
pub(super) fn wrong_fields(error: &Error) -> Vec<Wrong> {
    let name = |pointer: &str| match pointer {
        "/email" => "E-mail address",
        "/full_name" => "Full name",
        _ => "Password",
    };
    error
        .fields
        .iter()
        .map(|field| Wrong {
            field: name(&field.pointer).to_owned(),
            text: field.detail.clone(),
        })
        .collect()
}

pub(super) async fn show_register(State(state): State<AppState>, visitor: Visitor) -> Response {
    register_page(&state, &visitor, StatusCode::OK, Vec::new(), "", "")
}

fn register_page(
    state: &AppState,
    visitor: &Visitor,
    status: StatusCode,
    wrong: Vec<Wrong>,
    email: &str,
    full_name: &str,
) -> Response {
    let template = RegisterPage {
        csrf: visitor.token(&state.bank),
        wrong,
        email,
        full_name,
    };
    page(visitor, status, &template)
}

pub(super) async fn register(State(state): State<AppState>, Form(visitor, form): Form<NewLogin>) -> Answer {
    let input = Register {
        email: form.email.clone(),
        password: SecretString::from(form.password),
        full_name: form.full_name.clone(),
    };
    match state.bank.register(&visitor.cx, input).await {
        Ok(()) => Ok(message(
            StatusCode::OK,
            "Look into your mail",
            "We have sent you a mail. Open its link to confirm your address; then you can log in.",
        )),
        Err(error) if error.kind == Kind::Invalid => {
            let (status, wrong) = (StatusCode::BAD_REQUEST, wrong_fields(&error));
            let (email, name) = (&form.email, &form.full_name);
            Ok(register_page(&state, &visitor, status, wrong, email, name))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn show_verify(State(state): State<AppState>, visitor: Visitor) -> Response {
    verify_page(&state, &visitor, StatusCode::OK, "")
}

fn verify_page(state: &AppState, visitor: &Visitor, status: StatusCode, refused: &str) -> Response {
    let template = VerifyPage {
        csrf: visitor.token(&state.bank),
        refused,
    };
    page(visitor, status, &template)
}

pub(super) async fn verify(State(state): State<AppState>, Form(visitor, form): Form<Proof>) -> Answer {
    let token = SecretString::from(form.token.trim());
    let password = SecretString::from(form.password);
    match state.bank.verify_email(&visitor.cx, token, password).await {
        Ok(_) => Ok(see_other("/login?notice=verified")),
        Err(error) if error.kind == Kind::Unauthenticated => {
            Ok(verify_page(&state, &visitor, StatusCode::UNAUTHORIZED, WRONG))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn show_email_change(State(state): State<AppState>, visitor: Visitor) -> Response {
    email_change_page(&state, &visitor, StatusCode::OK, "")
}

fn email_change_page(state: &AppState, visitor: &Visitor, status: StatusCode, refused: &str) -> Response {
    let template = EmailChangePage {
        csrf: visitor.token(&state.bank),
        refused,
    };
    page(visitor, status, &template)
}

pub(super) async fn email_change(
    State(state): State<AppState>,
    Form(visitor, form): Form<EmailAnswer>,
) -> Answer {
    let token = SecretString::from(form.token.trim());
    let answered = match form.answer {
        Agreed::Confirm => state.bank.prove_email(&visitor.cx, token).await.map(Some),
        Agreed::Stop => state
            .bank
            .stop_email_change(&visitor.cx, token)
            .await
            .map(|()| None),
    };
    let (title, text) = match answered {
        Ok(Some(EmailProved::Changed)) => (
            "The address is changed",
            "All sessions have ended. Log in with the new address.",
        ),
        Ok(Some(EmailProved::Waiting {
            effective_at: Some(_),
        })) => (
            "The address is confirmed",
            "The change is done as soon as the present address agrees, at the latest in a day.",
        ),
        Ok(Some(EmailProved::Waiting { effective_at: None })) => (
            "Thank you",
            "The change is done as soon as the new address is confirmed.",
        ),
        Ok(None) => (
            "The change is stopped",
            "If you did not ask for it, change your password now and tell us.",
        ),
        Err(error) if error.kind == Kind::Unauthenticated => {
            return Ok(email_change_page(
                &state,
                &visitor,
                StatusCode::UNAUTHORIZED,
                WRONG,
            ));
        }
        Err(error) => return Err(error.into()),
    };
    Ok(message(StatusCode::OK, title, text))
}

pub(super) async fn show_forgot(State(state): State<AppState>, visitor: Visitor) -> Response {
    let template = ForgotPage {
        csrf: visitor.token(&state.bank),
    };
    page(&visitor, StatusCode::OK, &template)
}

pub(super) async fn forgot(State(state): State<AppState>, Form(visitor, form): Form<Forgotten>) -> Answer {
    state.bank.forget_password(&visitor.cx, &form.email).await?;
    Ok(message(
        StatusCode::OK,
        "Look into your mail",
        "If there is a login with this address, a mail is on its way. Its link is good for half an hour.",
    ))
}

pub(super) async fn show_reset(State(state): State<AppState>, visitor: Visitor) -> Response {
    reset_page(&state, &visitor, StatusCode::OK, "", Vec::new())
}

fn reset_page(
    state: &AppState,
    visitor: &Visitor,
    status: StatusCode,
    refused: &str,
    wrong: Vec<Wrong>,
) -> Response {
    let template = ResetPage {
        csrf: visitor.token(&state.bank),
        refused,
        wrong,
    };
    page(visitor, status, &template)
}

pub(super) async fn reset(State(state): State<AppState>, Form(visitor, form): Form<NewPassword>) -> Answer {
    let new = SecretString::from(form.new_password);
    let set = state
        .bank
        .reset_password(&visitor.cx, form.token.trim(), new)
        .await;
    match set {
        Ok(()) => Ok(see_other("/login?notice=password_set")),
        Err(error) if error.kind == Kind::Invalid => {
            let (status, wrong) = (StatusCode::BAD_REQUEST, wrong_fields(&error));
            Ok(reset_page(&state, &visitor, status, "", wrong))
        }
        Err(error) if error.kind == Kind::Unauthenticated => Ok(reset_page(
            &state,
            &visitor,
            StatusCode::UNAUTHORIZED,
            WRONG,
            Vec::new(),
        )),
        Err(error) => Err(error.into()),
    }
}
