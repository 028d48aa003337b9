//! `/me/email`, `DELETE /me`, `/auth/email/*`: another address, and leaving.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use strongroom_api::me as wire;
use strongroom_app::{
    identity::email_change::EmailProved,
    security::{catalogue::SecurityEventKind, stream::Whence},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Anonymous, Auth, JsonBody},
    state::AppState,
    v1::auth::secret,
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(close))
        .routes(routes!(ask, drop_wish))
        .routes(routes!(confirm))
        .routes(routes!(stop))
}

/// Close your login for good. Needs a step-up and no open account; sessions and keys end, and what is known of you is
/// erased, except for what the books must keep.
#[utoipa::path(delete, path = "/api/v1/me", tag = "me",
    responses((status = 204, description = "Closed and erased.")))]
async fn close(State(state): State<AppState>, Auth(cx): Auth) -> Result<StatusCode, Problem> {
    state.bank.close_login(&cx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask for another address. Needs a step-up. The new address gets a token to confirm it, the present one a token to
/// agree or to stop; without its word the change waits for a day.
#[utoipa::path(post, path = "/api/v1/me/email", tag = "me", request_body = wire::NewEmail,
    responses((status = 202, description = "Mails are on their way, whatever the address.", body = wire::EmailAsked)))]
async fn ask(
    State(state): State<AppState>,
    Auth(cx): Auth,
    JsonBody(body): JsonBody<wire::NewEmail>,
) -> Result<Response, Problem> {
    state.bank.ask_email_change(&cx, &body.new_email).await?;
    Ok((StatusCode::ACCEPTED, Json(wire::EmailAsked::ConfirmationSent)).into_response())
}

/// Stop your change of address.
#[utoipa::path(delete, path = "/api/v1/me/email", tag = "me",
    responses((status = 204, description = "Stopped.")))]
async fn drop_wish(State(state): State<AppState>, Auth(cx): Auth) -> Result<StatusCode, Problem> {
    state.bank.drop_email_wish(&cx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Confirm a change of address with the token that went to one of the two.
#[utoipa::path(post, path = "/api/v1/auth/email/confirm", tag = "auth", security(()), request_body = wire::EmailToken,
    responses((status = 200, description = "Changed, or waiting for the other address.", body = wire::EmailProved)))]
async fn confirm(
    State(state): State<AppState>,
    Anonymous(cx, client): Anonymous,
    JsonBody(body): JsonBody<wire::EmailToken>,
) -> Result<Json<wire::EmailProved>, Problem> {
    let outcome = state.bank.prove_email(&cx, secret(&body.token)).await;
    let what = SecurityEventKind::MailTokenRefused;
    state
        .bank
        .note_failure(what, &Whence::of(&cx, &client), None, &outcome);
    Ok(Json(match outcome? {
        EmailProved::Changed => wire::EmailProved::Changed,
        EmailProved::Waiting { effective_at } => wire::EmailProved::Waiting {
            effective_at: effective_at.map(|at| at.to_string()),
        },
    }))
}

/// Stop a change of address with the token that went to the present one.
#[utoipa::path(post, path = "/api/v1/auth/email/stop", tag = "auth", security(()), request_body = wire::EmailToken,
    responses((status = 204, description = "Stopped.")))]
async fn stop(
    State(state): State<AppState>,
    Anonymous(cx, client): Anonymous,
    JsonBody(body): JsonBody<wire::EmailToken>,
) -> Result<StatusCode, Problem> {
    let outcome = state.bank.stop_email_change(&cx, secret(&body.token)).await;
    let what = SecurityEventKind::MailTokenRefused;
    state
        .bank
        .note_failure(what, &Whence::of(&cx, &client), None, &outcome);
    outcome?;
    Ok(StatusCode::NO_CONTENT)
}
