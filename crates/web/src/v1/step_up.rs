//! `/auth/step-up`: a factor proved again.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use strongroom_api::{auth::TokenSet, step_up as wire};
use strongroom_app::identity::step_up::{ShownFactor, SteppedUp};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Anonymous, Auth, JsonBody},
    state::AppState,
    v1::auth::{ShownProof, shown_proof, tokens},
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(step_up))
}

/// Prove a factor again.
///
/// Without `challenge`, for settings: the answer is a token set whose session replaces the present one and may change
/// settings for five minutes. With the `challenge` of a request that was answered `step_up_required`: exactly that
/// request is approved, once, for five minutes; repeat it. The fifth wrong proof ends the session.
#[utoipa::path(post, path = "/api/v1/auth/step-up", tag = "auth", request_body = wire::StepUp,
    responses((status = 204, description = "The request of the challenge is approved: repeat it."),
        (status = 200, description = "Settings may be changed with these tokens.", body = TokenSet)))]
async fn step_up(
    State(state): State<AppState>,
    Anonymous(_, client): Anonymous,
    Auth(cx): Auth,
    JsonBody(body): JsonBody<wire::StepUp>,
) -> Result<Response, Problem> {
    let is_passkey = body.method == wire::StepUpMethod::Passkey;
    let shown = match (shown_proof(is_passkey, body.code, body.credential)?, body.method) {
        (ShownProof::Credential(credential), _) => ShownFactor::Passkey(credential),
        (ShownProof::Code(code), wire::StepUpMethod::Password) => ShownFactor::Password(code),
        (ShownProof::Code(code), _) => ShownFactor::Totp(code),
    };
    let done = state
        .bank
        .step_up(&cx, &client, shown, body.challenge.as_deref())
        .await?;
    Ok(match done {
        SteppedUp::Settings(set) => tokens(*set),
        SteppedUp::Approved => StatusCode::NO_CONTENT.into_response(),
    })
}
