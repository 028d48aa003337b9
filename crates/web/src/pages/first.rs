//! `/login/first`: the first login of an operator, after the printed password and the printed code: an own password,
//! then an own authenticator. What was printed is dead with the first code of it.

use askama::Template;
use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::Deserialize;
use strongroom_app::{Error, ExposeSecret, Kind, SecretString, identity::login::LoginAnswer};

use super::{
    credentials::{Wrong, wrong_fields},
    form::Form,
    login::{WRONG, go_on, keep_half},
    render::{Answer, page, see_other},
    visitor::Visitor,
};
use crate::state::AppState;

#[derive(Template)]
#[template(path = "first_password.html")]
struct PasswordPage {
    csrf: String,
    wrong: Vec<Wrong>,
}

#[derive(Template)]
#[template(path = "first_factor.html")]
struct FactorPage<'a> {
    csrf: String,
    refused: &'a str,
    /// Secret and picture, shown once.
    factor: Option<(&'a str, &'a str)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnPassword {
    new_password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FirstCode {
    code: String,
}

pub(super) async fn show(State(state): State<AppState>, visitor: Visitor) -> Response {
    if visitor.half.is_none() {
        return see_other("/login");
    }
    password_page(&state, &visitor, StatusCode::OK, Vec::new())
}

fn password_page(state: &AppState, visitor: &Visitor, status: StatusCode, wrong: Vec<Wrong>) -> Response {
    let template = PasswordPage {
        csrf: visitor.token(&state.bank),
        wrong,
    };
    page(visitor, status, &template)
}

fn half_of(visitor: &Visitor) -> Result<&SecretString, Error> {
    visitor.half.as_ref().ok_or_else(Error::unauthenticated)
}

pub(super) async fn password(
    State(state): State<AppState>,
    Form(visitor, form): Form<OwnPassword>,
) -> Answer {
    let half = half_of(&visitor)?.expose_secret();
    let new = SecretString::from(form.new_password);
    match state
        .bank
        .set_first_password(&visitor.cx, &visitor.client, half, new)
        .await
    {
        Ok(answer) => go_on(&state, &visitor, answer).await,
        Err(error) if error.kind == Kind::Invalid => {
            let (status, wrong) = (StatusCode::BAD_REQUEST, wrong_fields(&error));
            Ok(password_page(&state, &visitor, status, wrong))
        }
        Err(error) => Err(error.into()),
    }
}

/// The page with the new authenticator's key. It is in this answer and nowhere else.
pub(super) fn factor_page(
    state: &AppState,
    visitor: &Visitor,
    uri: &SecretString,
    picture: &SecretString,
    token: &SecretString,
) -> Response {
    let template = FactorPage {
        csrf: visitor.token(&state.bank),
        refused: "",
        factor: Some((key_of(uri.expose_secret()), picture.expose_secret())),
    };
    let mut response = page(visitor, StatusCode::OK, &template);
    keep_half(&mut response, token);
    response
}

pub(super) async fn code(State(state): State<AppState>, Form(visitor, form): Form<FirstCode>) -> Answer {
    let half = half_of(&visitor)?.expose_secret();
    let code = SecretString::from(form.code);
    let answer = state
        .bank
        .login_by_code(&visitor.cx, &visitor.client, half, code)
        .await;
    match answer {
        Ok(answer @ LoginAnswer::Session(_)) => go_on(&state, &visitor, answer).await,
        Ok(_) => Err(Error::broken("a first code that leads elsewhere").into()),
        Err(error) if error.kind == Kind::Unauthenticated => {
            let template = FactorPage {
                csrf: visitor.token(&state.bank),
                refused: WRONG,
                factor: None,
            };
            Ok(page(&visitor, StatusCode::UNAUTHORIZED, &template))
        }
        Err(error) => Err(error.into()),
    }
}

/// The key inside the address of an authenticator, for people who type it.
fn key_of(uri: &str) -> &str {
    let rest = uri.split_once("secret=").map_or("", |(_, rest)| rest);
    rest.split('&').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::key_of;

    #[test]
    fn the_key_is_read_out_of_its_address() {
        assert_eq!(
            key_of("otpauth://totp/Bank:a?secret=ABC234&issuer=Bank"),
            "ABC234"
        );
        assert_eq!(key_of("otpauth://totp/Bank"), "");
    }
}
