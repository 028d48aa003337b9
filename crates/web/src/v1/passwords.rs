//! `/auth/password/strength` and `/generate`: for who thinks of a password.

use axum::extract::State;
use strongroom_api::passwords as wire;
use strongroom_app::identity::passwords::MeasurePassword;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Anonymous, JsonBody},
    state::AppState,
    v1::auth::{secret, shown},
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(strength))
        .routes(routes!(generate))
}

/// Measure a password. Nothing is kept.
#[utoipa::path(post, path = "/api/v1/auth/password/strength", tag = "auth", security(()),
    request_body = wire::MeasurePassword,
    responses((status = 200, description = "How good it would be.", body = wire::PasswordStrength)))]
async fn strength(
    State(state): State<AppState>,
    Anonymous(..): Anonymous,
    JsonBody(body): JsonBody<wire::MeasurePassword>,
) -> Result<Json<wire::PasswordStrength>, Problem> {
    let input = MeasurePassword {
        password: secret(&body.password),
        words: body.email.into_iter().chain(body.full_name).collect(),
    };
    let strength = state.bank.password_strength(input).await?;
    let broken = strength.violations.iter().map(|violation| wire::BrokenRule {
        code: violation.code().to_owned(),
        detail: violation.detail(),
    });
    Ok(Json(wire::PasswordStrength {
        score: strength.score,
        acceptable: strength.violations.is_empty(),
        broken: broken.collect(),
        advice: strength.advice,
        classes: wire::PasswordClasses {
            lower_case: strength.classes.lower_case,
            upper_case: strength.classes.upper_case,
            digit: strength.classes.digit,
            special: strength.classes.special,
        },
    }))
}

/// Make a password. Nothing is kept.
#[utoipa::path(post, path = "/api/v1/auth/password/generate", tag = "auth", security(()),
    responses((status = 200, description = "A password that the policy likes.", body = wire::GeneratedPassword)))]
async fn generate(State(state): State<AppState>, Anonymous(..): Anonymous) -> Json<wire::GeneratedPassword> {
    Json(wire::GeneratedPassword {
        password: shown(&state.bank.generate_password()),
    })
}
