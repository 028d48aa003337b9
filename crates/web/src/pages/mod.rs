//! Pages for people: registered, logged in, logged out, without a framework and mostly without a script.
//!
//! A page calls the same use cases as the JSON API, in-process. The browser holds cookies that no script can read
//! ([`Cookie`]), never a token of the API. Everything from outside is encoded where it is written (askama), the content
//! security policy allows own files only, and nothing is cached. What a form does needs the form's token and comes from
//! our own pages ([`form`]).

mod credentials;
mod devices;
mod first;
mod form;
mod issuers;
mod login;
mod passkeys;
mod render;
mod second;
mod session;
mod visitor;

use axum::{
    Router,
    routing::{get, post},
};
use http::{HeaderValue, header};

use crate::state::AppState;

const STYLE: &str = include_str!("../../assets/pages.css");
const SCRIPT: &str = include_str!("../../assets/pages.js");

/// Every page, with its full path. Pages are for people: the contract says nothing about them.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/", get(session::home))
        .route("/login", get(login::show).post(login::password))
        .route("/login/passkey", post(login::ask_passkey))
        .route("/login/passkey/answer", post(login::passkey))
        .route("/login/second", get(second::show).post(second::code))
        .route("/login/second/passkey", post(second::ask_passkey))
        .route("/login/second/passkey/answer", post(second::passkey))
        .route("/login/rebind", get(second::show_rebind).post(second::rebind))
        .route("/login/rebind/confirm", post(second::confirm_rebind))
        .route("/login/first", get(first::show).post(first::password))
        .route("/login/first/code", post(first::code))
        .route("/passkeys", get(passkeys::show).post(passkeys::bind))
        .route("/passkeys/new", post(passkeys::start))
        .route("/passkeys/remove", post(passkeys::remove))
        .route("/devices", get(devices::show))
        .route("/devices/name", post(devices::name))
        .route("/devices/forget", post(devices::forget))
        .route("/issuers", get(issuers::show))
        .route("/issuers/add", post(issuers::add))
        .route("/issuers/remove", post(issuers::remove))
        .route(
            "/register",
            get(credentials::show_register).post(credentials::register),
        )
        .route(
            "/verify-email",
            get(credentials::show_verify).post(credentials::verify),
        )
        .route(
            "/email-change",
            get(credentials::show_email_change).post(credentials::email_change),
        )
        .route(
            "/forgot-password",
            get(credentials::show_forgot).post(credentials::forgot),
        )
        .route(
            "/reset-password",
            get(credentials::show_reset).post(credentials::reset),
        )
        .route("/step-up", get(session::show_step_up).post(session::step_up))
        .route("/step-up/passkey", post(session::ask_passkey))
        .route("/step-up/passkey/answer", post(session::passkey))
        .route("/session/stay", post(session::stay))
        .route("/logout", post(session::logout))
        .route(
            "/assets/pages.css",
            get(|| asset(STYLE, "text/css; charset=utf-8")),
        )
        .route(
            "/assets/pages.js",
            get(|| asset(SCRIPT, "text/javascript; charset=utf-8")),
        )
}

async fn asset(text: &'static str, media: &'static str) -> impl axum::response::IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, text)
}
