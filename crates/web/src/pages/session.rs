//! `/`: somebody who is logged in; `/step-up`, `/session/stay`, `/logout`.

use askama::Template;
use axum::extract::State;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use strongroom_app::{
    Cx, Error, ExposeSecret, Kind, SecretString,
    identity::{
        passkeys::PasskeyUse,
        step_up::{ShownFactor, SteppedUp},
    },
};

use super::{
    form::Form,
    login::{Button, PasskeyPage, Shown, WRONG, credential_of, enter_by, renew_forms},
    render::{Answer, page, see_other},
    visitor::{From, Visitor},
};
use crate::{
    extract::{Cookie, Keep},
    state::AppState,
    v1::set_cookie,
};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    csrf: String,
    full_name: String,
    idle_seconds: i64,
    left_seconds: i64,
}

#[derive(Template)]
#[template(path = "arrive.html")]
struct ArrivePage;

#[derive(Template)]
#[template(path = "step_up.html")]
struct StepUpPage<'a> {
    csrf: String,
    refused: &'a str,
    passkey: bool,
}

/// A factor shown again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fresh {
    method: Method,
    code: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    Totp,
    Password,
}

pub(super) async fn home(State(state): State<AppState>, visitor: Visitor) -> Answer {
    let Some(cookie) = &visitor.session else {
        // Who comes from another site has left the cookie there (SameSite=Strict): come again from here.
        return Ok(if visitor.from == From::Elsewhere {
            page(&visitor, StatusCode::OK, &ArrivePage)
        } else {
            see_other("/login")
        });
    };
    let cx = visitor.member(&state.bank).await?;
    let me = state.bank.me(&cx).await?;
    let clock = state
        .bank
        .session_clock(&visitor.cx, cookie.expose_secret())
        .await?;
    let template = HomePage {
        csrf: visitor.token(&state.bank),
        full_name: me.profile.full_name,
        idle_seconds: clock.idle_secs,
        left_seconds: clock.left_secs,
    };
    Ok(page(&visitor, StatusCode::OK, &template))
}

pub(super) async fn show_step_up(State(state): State<AppState>, visitor: Visitor) -> Answer {
    step_up_page(&state, &visitor, StatusCode::OK, "").await
}

async fn step_up_page(state: &AppState, visitor: &Visitor, status: StatusCode, refused: &str) -> Answer {
    let cx = visitor.member(&state.bank).await?;
    let template = StepUpPage {
        csrf: visitor.token(&state.bank),
        refused,
        passkey: state.bank.me(&cx).await?.passkeys > 0,
    };
    Ok(page(visitor, status, &template))
}

pub(super) async fn step_up(State(state): State<AppState>, Form(visitor, form): Form<Fresh>) -> Answer {
    let cx = visitor.member(&state.bank).await?;
    let code = SecretString::from(form.code);
    let shown = match form.method {
        Method::Totp => ShownFactor::Totp(code),
        Method::Password => ShownFactor::Password(code),
    };
    stepped_up(&state, &visitor, &cx, shown).await
}

pub(super) async fn ask_passkey(State(state): State<AppState>, Form(visitor, _): Form<Button>) -> Answer {
    let cx = visitor.member(&state.bank).await?;
    let wanted = PasskeyUse::StepUp(Box::new(cx), None);
    let options = state.bank.ask_for_passkey(&visitor.cx, &wanted).await?;
    let template = PasskeyPage {
        csrf: visitor.token(&state.bank),
        action: "/step-up/passkey/answer",
        back: "/step-up",
        options: options.to_string(),
    };
    Ok(page(&visitor, StatusCode::OK, &template))
}

pub(super) async fn passkey(State(state): State<AppState>, Form(visitor, form): Form<Shown>) -> Answer {
    let cx = visitor.member(&state.bank).await?;
    match credential_of(&form.credential) {
        Some(credential) => stepped_up(&state, &visitor, &cx, ShownFactor::Passkey(credential)).await,
        None => step_up_page(&state, &visitor, StatusCode::UNAUTHORIZED, WRONG).await,
    }
}

async fn stepped_up(state: &AppState, visitor: &Visitor, cx: &Cx, shown: ShownFactor) -> Answer {
    match state.bank.step_up(cx, &visitor.client, shown, None).await {
        Ok(SteppedUp::Settings(set)) => enter_by(state, visitor, &set, "/").await,
        Ok(SteppedUp::Approved) => Err(Error::broken("a step-up without a challenge approved one").into()),
        Err(error) if matches!(error.kind, Kind::Unauthenticated | Kind::Invalid) => {
            // The fifth wrong one ended the session, and leads to the login.
            step_up_page(state, visitor, StatusCode::UNAUTHORIZED, WRONG).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The person is still there.
pub(super) async fn stay(State(state): State<AppState>, Form(visitor, _): Form<Button>) -> Answer {
    visitor.member(&state.bank).await?;
    Ok(see_other("/"))
}

pub(super) async fn logout(State(state): State<AppState>, Form(visitor, _): Form<Button>) -> Answer {
    if let Some(cookie) = &visitor.session {
        state.bank.logout_browser(&visitor.cx, cookie).await?;
    }
    let mut response = see_other("/login?notice=logged_out");
    set_cookie(&mut response, Cookie::Session, "", Keep::Not);
    set_cookie(&mut response, Cookie::Login, "", Keep::Not);
    renew_forms(&state, &mut response);
    // The mark of the device stays: it keeps the owner's tries apart from a stranger's.
    let clear = HeaderValue::from_static("\"cache\", \"storage\"");
    response.headers_mut().insert(CLEAR_SITE_DATA, clear);
    Ok(response)
}
