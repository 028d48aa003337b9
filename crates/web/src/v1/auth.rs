//! `/auth/*`: registration, login, tokens, passwords.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use strongroom_api::auth as wire;
use strongroom_app::{
    ExposeSecret, SecretString,
    identity::{
        harder::ShownPuzzle,
        login::{LoginAnswer, TokenSet},
        registration::Register,
    },
    security::{catalogue::SecurityEventKind, stream::Whence},
};
use strongroom_domain::text::NAME_CHARS_MAX;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Anonymous, Auth, DEVICE_TOKEN, JsonBody, JsonDraft},
    layers::Record,
    state::AppState,
    v1::check::Check,
    views::Json,
};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
/// How long others may keep the public keys, in seconds: shorter than a retired key is kept.
const JWKS_CACHE: &str = "public, max-age=300";

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(verify_email))
        .routes(routes!(login))
        .routes(routes!(login_mfa))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(forgot_password))
        .routes(routes!(reset_password))
        .routes(routes!(change_password))
        .routes(routes!(jwks))
}

pub(crate) fn secret(text: &wire::SecretText) -> SecretString {
    SecretString::from(text.expose().to_owned())
}

pub(crate) fn shown(secret: &SecretString) -> wire::SecretText {
    secret.expose_secret().into()
}

/// What is shown as a proof: a code, or what an authenticator answered.
pub(crate) enum ShownProof {
    Code(SecretString),
    Credential(serde_json::Value),
}

/// The one of two fields that goes with the method.
pub(crate) fn shown_proof(
    is_passkey: bool,
    code: Option<wire::SecretText>,
    credential: Option<serde_json::Value>,
) -> Result<ShownProof, Problem> {
    let (wanted, other) = if is_passkey {
        ("/credential", "/code")
    } else {
        ("/code", "/credential")
    };
    let mut check = Check::default();
    let found = match (is_passkey, code, credential) {
        (true, None, Some(credential)) => Some(ShownProof::Credential(credential)),
        (false, Some(code), None) => Some(ShownProof::Code(secret(&code))),
        (true, _, None) | (false, None, _) => {
            check.refuse(wanted, "required", "is missing");
            None
        }
        _ => {
            check.refuse(other, "not_allowed", "does not go with this `method`");
            None
        }
    };
    check.done(found)
}

/// Register. The answer is the same for an address that is taken; its owner is told by mail.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "auth", security(()), request_body = wire::Register,
    responses((status = 202, description = "A mail is on its way, whatever the address.", body = wire::Registered)))]
async fn register(
    State(state): State<AppState>,
    Anonymous(cx, _): Anonymous,
    draft: JsonDraft<wire::Register>,
) -> Result<Response, Problem> {
    let input = draft.done(|body, check| {
        // Of a body of the right shape the bank tells all, the password's weakness with the rest.
        if check.is_after_errors() {
            check.email("/email", &body.email);
            check.line("/full_name", &body.full_name, NAME_CHARS_MAX, true);
        }
        Some(Register {
            password: secret(&body.password),
            email: body.email,
            full_name: body.full_name,
        })
    })?;
    state.bank.register(&cx, input).await?;
    Ok((StatusCode::ACCEPTED, Json(wire::Registered::VerificationSent)).into_response())
}

/// Confirm an address with the token of the mail and the password of that registration.
#[utoipa::path(post, path = "/api/v1/auth/verify-email", tag = "auth", security(()), request_body = wire::VerifyEmail,
    responses((status = 204, description = "Registered: log in.")))]
async fn verify_email(
    State(state): State<AppState>,
    Anonymous(cx, client): Anonymous,
    JsonBody(body): JsonBody<wire::VerifyEmail>,
) -> Result<StatusCode, Problem> {
    let outcome = state
        .bank
        .verify_email(&cx, secret(&body.token), secret(&body.password))
        .await;
    let what = SecurityEventKind::MailTokenRefused;
    state
        .bank
        .note_failure(what, &Whence::of(&cx, &client), None, &outcome);
    outcome?;
    Ok(StatusCode::NO_CONTENT)
}

/// Log in. Whatever is wrong, the refusal is the same.
///
/// While logins fail everywhere, unknown devices are answered `428` with a puzzle (`challenge`) and repeat the login
/// with its answer. With a proof of a key in `DPoP` (RFC 9449), here or at the last step of the login, the tokens
/// are bound to that key; shown here, every further step of this login needs a proof of the same key.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", security(()), request_body = wire::Login,
    responses((status = 200, description = "A token set, or what is asked next.", body = wire::LoginAnswer)))]
async fn login(
    State(state): State<AppState>,
    Anonymous(cx, mut client): Anonymous,
    JsonBody(body): JsonBody<wire::Login>,
) -> Result<Response, Problem> {
    client.puzzle = body.puzzle.map(|solved| ShownPuzzle {
        puzzle: solved.challenge,
        answer: solved.answer,
    });
    let answer = state
        .bank
        .login(&cx, &client, &body.email, secret(&body.password))
        .await?;
    Ok(answered(answer))
}

/// Show the second factor.
#[utoipa::path(post, path = "/api/v1/auth/login/mfa", tag = "auth", security(()), request_body = wire::LoginMfa,
    responses((status = 200, description = "A token set, or what is asked next.", body = wire::LoginAnswer)))]
async fn login_mfa(
    State(state): State<AppState>,
    Anonymous(cx, client): Anonymous,
    JsonBody(body): JsonBody<wire::LoginMfa>,
) -> Result<Response, Problem> {
    let token = body.mfa_token.expose();
    let is_passkey = body.method == wire::MfaMethod::Passkey;
    let answer = match (shown_proof(is_passkey, body.code, body.credential)?, body.method) {
        (ShownProof::Credential(credential), _) => {
            state
                .bank
                .login_by_second_passkey(&cx, &client, token, credential)
                .await?
        }
        (ShownProof::Code(code), wire::MfaMethod::RecoveryCode) => {
            state
                .bank
                .login_by_recovery_code(&cx, &client, token, code)
                .await?
        }
        (ShownProof::Code(code), _) => state.bank.login_by_code(&cx, &client, token, code).await?,
    };
    Ok(answered(answer))
}

/// Get the next token set. Each refresh token works once; a lost answer can be asked for again within 30 seconds
/// with the same `X-Device-Token`.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", security(()), request_body = wire::Refresh,
    responses((status = 200, description = "The next token set.", body = wire::TokenSet)))]
async fn refresh(
    State(state): State<AppState>,
    record: Record,
    Anonymous(cx, client): Anonymous,
    JsonBody(body): JsonBody<wire::Refresh>,
) -> Result<Response, Problem> {
    let set = state
        .bank
        .refresh(&cx, &client, secret(&body.refresh_token))
        .await?;
    // Also behind an address that is blocked: the tokens that were shown are used up.
    record.vouch();
    Ok(tokens(set))
}

/// Log out: the session ends at once.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", security(()), request_body = wire::Refresh,
    responses((status = 204, description = "Out, or there was nothing to end.")))]
async fn logout(
    State(state): State<AppState>,
    record: Record,
    Anonymous(cx, client): Anonymous,
    JsonBody(body): JsonBody<wire::Refresh>,
) -> Result<Response, Problem> {
    let ended = state
        .bank
        .logout(&cx, &client, secret(&body.refresh_token))
        .await?;
    if ended {
        record.vouch();
    }
    let clear = [(
        CLEAR_SITE_DATA,
        HeaderValue::from_static("\"cache\", \"storage\""),
    )];
    Ok((StatusCode::NO_CONTENT, clear).into_response())
}

/// Ask for a reset of the password.
#[utoipa::path(post, path = "/api/v1/auth/password/forgot", tag = "auth", security(()), request_body = wire::ForgotPassword,
    responses((status = 202, description = "A mail is on its way if the address is somebody's.", body = wire::ResetRequested)))]
async fn forgot_password(
    State(state): State<AppState>,
    Anonymous(cx, _): Anonymous,
    JsonBody(body): JsonBody<wire::ForgotPassword>,
) -> Result<Response, Problem> {
    state.bank.forget_password(&cx, &body.email).await?;
    Ok((StatusCode::ACCEPTED, Json(wire::ResetRequested::ResetSent)).into_response())
}

/// Set a new password with the token of the mail. All sessions end.
#[utoipa::path(post, path = "/api/v1/auth/password/reset", tag = "auth", security(()), request_body = wire::ResetPassword,
    responses((status = 204, description = "Set: log in.")))]
async fn reset_password(
    State(state): State<AppState>,
    Anonymous(cx, client): Anonymous,
    JsonBody(body): JsonBody<wire::ResetPassword>,
) -> Result<StatusCode, Problem> {
    let outcome = state
        .bank
        .reset_password(&cx, body.token.expose(), secret(&body.new_password))
        .await;
    let what = SecurityEventKind::MailTokenRefused;
    state
        .bank
        .note_failure(what, &Whence::of(&cx, &client), None, &outcome);
    outcome?;
    Ok(StatusCode::NO_CONTENT)
}

/// Change the password: with the present one, by whoever is logged in (204, all other sessions end), or with the
/// `change_token` of a first login (200, what comes next).
///
/// Whoever has a second factor proved it in the last five minutes (`/auth/step-up` without a challenge).
#[utoipa::path(post, path = "/api/v1/auth/password/change", tag = "auth", security((), ("bearer" = []), ("dpop_token" = [], "dpop_proof" = [])),
    request_body = wire::ChangePassword,
    responses((status = 204, description = "Changed."), (status = 200, description = "Changed; the login goes on.", body = wire::LoginStep)))]
async fn change_password(
    State(state): State<AppState>,
    Anonymous(anonymous, client): Anonymous,
    auth: Option<Auth>,
    JsonBody(body): JsonBody<wire::ChangePassword>,
) -> Result<Response, Problem> {
    let new = secret(&body.new_password);
    match (body.current_password, body.change_token) {
        (Some(current), None) => {
            let Some(Auth(cx)) = auth else {
                return Err(strongroom_app::Error::unauthenticated().into());
            };
            state.bank.change_password(&cx, secret(&current), new).await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        (None, Some(token)) => {
            let answer = state
                .bank
                .set_first_password(&anonymous, &client, token.expose(), new)
                .await?;
            Ok(answered(answer))
        }
        (current, _) => {
            let (pointer, code, detail) = match current {
                Some(_) => (
                    "/change_token",
                    "ambiguous",
                    "does not go with `current_password`",
                ),
                None => ("/current_password", "required", "is missing"),
            };
            let mut check = Check::default();
            check.refuse(pointer, code, detail);
            check.done(None)
        }
    }
}

/// The public keys that access tokens are signed with (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "auth", security(()),
    responses((status = 200, description = "A JWK set.", body = Object, content_type = "application/jwk-set+json")))]
async fn jwks(State(state): State<AppState>) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/jwk-set+json"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static(JWKS_CACHE)),
    ];
    (headers, state.bank.jwks().to_string()).into_response()
}

fn answered(answer: LoginAnswer) -> Response {
    let step = match answer {
        LoginAnswer::Session(set) => return tokens(*set),
        LoginAnswer::MfaRequired { mfa_token, methods } => wire::LoginStep::MfaRequired {
            mfa_token: shown(&mfa_token),
            methods: methods.into_iter().map(str::to_owned).collect(),
        },
        LoginAnswer::RebindRequired { rebind_token } => wire::LoginStep::RebindRequired {
            rebind_token: shown(&rebind_token),
        },
        LoginAnswer::PasswordChangeRequired { change_token } => wire::LoginStep::PasswordChangeRequired {
            change_token: shown(&change_token),
        },
        LoginAnswer::TotpRequired {
            otpauth_uri,
            qr_svg,
            mfa_token,
        } => wire::LoginStep::TotpRequired {
            otpauth_uri: shown(&otpauth_uri),
            qr_svg: shown(&qr_svg),
            mfa_token: shown(&mfa_token),
        },
    };
    Json(step).into_response()
}

/// A token set, and the device mark where the client is to keep a new one.
pub(crate) fn tokens(set: TokenSet) -> Response {
    let body = wire::TokenSet {
        access_token: shown(&set.access_token),
        token_type: match set.bound {
            true => wire::TokenType::Dpop,
            false => wire::TokenType::Bearer,
        },
        expires_in: set.expires_in,
        refresh_token: shown(&set.refresh_token),
        session_id: set.session.to_string(),
    };
    let mut response = Json(body).into_response();
    let mark = set
        .device
        .and_then(|mark| HeaderValue::from_str(mark.expose_secret()).ok());
    if let Some(mut mark) = mark {
        mark.set_sensitive(true);
        response.headers_mut().insert(DEVICE_TOKEN, mark);
    }
    response
}
