//! `/me/mfa/*`: one's own second factors.

use axum::extract::State;
use http::StatusCode;
use strongroom_api::factors as wire;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, FactorBinder, JsonBody},
    state::AppState,
    v1::auth::{secret, shown},
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(start_totp, remove_totp))
        .routes(routes!(confirm_totp))
        .routes(routes!(recovery_codes))
}

/// Begin to bind an authenticator.
///
/// It counts once its first code has arrived; one that is in use stays in use until then. Needs a login of the last
/// five minutes; the `rebind_token` of a recovery is taken as bearer token, too.
#[utoipa::path(post, path = "/api/v1/me/mfa/totp", tag = "me",
    responses((status = 200, description = "For the authenticator.", body = wire::Totp)))]
async fn start_totp(
    State(state): State<AppState>,
    FactorBinder(binder): FactorBinder,
) -> Result<Json<wire::Totp>, Problem> {
    let new = state.bank.start_totp(&binder).await?;
    Ok(Json(wire::Totp {
        secret: shown(&new.secret),
        otpauth_uri: shown(&new.otpauth_uri),
        qr_svg: shown(&new.qr_svg),
    }))
}

/// Bind the authenticator with its first code. All other sessions end.
#[utoipa::path(post, path = "/api/v1/me/mfa/totp/confirm", tag = "me", request_body = wire::ConfirmTotp,
    responses((status = 200, description = "Bound; codes for the day it is lost, shown once.", body = wire::RecoveryCodes)))]
async fn confirm_totp(
    State(state): State<AppState>,
    FactorBinder(binder): FactorBinder,
    JsonBody(body): JsonBody<wire::ConfirmTotp>,
) -> Result<Json<wire::RecoveryCodes>, Problem> {
    let codes = state.bank.confirm_totp(&binder, secret(&body.code)).await?;
    Ok(Json(wire::RecoveryCodes {
        recovery_codes: codes.iter().map(shown).collect(),
    }))
}

/// Take the authenticator away. Needs a step-up; all other sessions end.
#[utoipa::path(delete, path = "/api/v1/me/mfa/totp", tag = "me",
    responses((status = 204, description = "Gone.")))]
async fn remove_totp(State(state): State<AppState>, Auth(cx): Auth) -> Result<StatusCode, Problem> {
    state.bank.remove_totp(&cx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get a new set of recovery codes; the ones before are worth nothing. Needs a step-up.
#[utoipa::path(post, path = "/api/v1/me/mfa/recovery-codes", tag = "me",
    responses((status = 200, description = "Ten codes, shown once.", body = wire::RecoveryCodes)))]
async fn recovery_codes(
    State(state): State<AppState>,
    Auth(cx): Auth,
) -> Result<Json<wire::RecoveryCodes>, Problem> {
    let codes = state.bank.renew_recovery_codes(&cx).await?;
    Ok(Json(wire::RecoveryCodes {
        recovery_codes: codes.iter().map(shown).collect(),
    }))
}
