//! `/api-keys`: keys of the caller's own integrations.

use axum::extract::{Path, State};
use base64::{
    Engine as _,
    engine::general_purpose::{GeneralPurpose, STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use http::StatusCode;
use strongroom_api::{
    api_keys as wire,
    money::{Money, Page},
};
use strongroom_app::{
    ExposeSecret,
    api_keys::{
        AddApiKey, ApiKeyAdded, ApiKeyDetails, Caveats, KeyOwner, RotateApiKey, Scheme,
        input::{OVERLAP_SECS, OVERLAP_SECS_MAX, parse_networks},
    },
};
use strongroom_domain::{
    id::ApiKeyKind,
    ledger::Budget,
    money::{Amount, Currency},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonBody, OptionalJsonDraft, QueryParams},
    state::AppState,
    v1::{
        check::{Check, path_id},
        page::{PageQuery, page_of},
    },
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(rotate))
        .routes(routes!(revoke))
}

/// Make a key for a program of yours.
///
/// Needs a factor proved just now (`POST /auth/step-up` without a challenge). The secrets are in this answer and
/// nowhere else. Money is moved by signed requests only.
#[utoipa::path(post, path = "/api/v1/api-keys", tag = "api-keys", request_body = wire::CreateApiKey,
    responses((status = 201, description = "The key, shown this once.", body = wire::ApiKeyMade)))]
async fn create(
    State(state): State<AppState>,
    Auth(cx): Auth,
    JsonBody(body): JsonBody<wire::CreateApiKey>,
) -> Result<(StatusCode, Json<wire::ApiKeyMade>), Problem> {
    let input = parse(body, KeyOwner::User(cx.person()?))?;
    let added = state.bank.add_own_api_key(&cx, input).await?;
    Ok((StatusCode::CREATED, Json(made(&added))))
}

/// A key that is asked for, whosever it will be.
pub(super) fn parse(body: wire::CreateApiKey, owner: KeyOwner) -> Result<AddApiKey, Problem> {
    let networks = parse_networks(body.allowed_ips.as_deref().unwrap_or_default())?;
    let mut check = Check::default();
    let expires_at = match &body.expires_at {
        Some(text) => check.moment("/expires_at", text).map(Some),
        None => Some(None),
    };
    let public_key = bytes(&mut check, &PUBLIC_KEY, body.public_key.as_deref());
    let certificate = bytes(&mut check, &CERTIFICATE, body.certificate_thumbprint.as_deref());
    let schemes = match &body.signature_schemes {
        Some(names) => schemes(&mut check, names),
        None => Some(vec![Scheme::Rfc9421]),
    };
    let caveats = caveats(&mut check, body.caveats.unwrap_or_default());
    let keys = public_key.zip(certificate);
    let input = expires_at.zip(keys).zip(schemes).zip(caveats).map(
        |(((expires_at, (public_key, certificate)), schemes), caveats)| AddApiKey {
            owner,
            name: body.name,
            scopes: body.scopes,
            expires_at,
            networks,
            certificate,
            caveats,
            public_key,
            schemes,
        },
    );
    check.done(input)
}

/// Where 32 bytes are written, and what they must be.
type Bytes32 = (&'static str, &'static str);

const PUBLIC_KEY: Bytes32 = (
    "/public_key",
    "must be the 32 bytes of an Ed25519 public key in base64url",
);
const CERTIFICATE: Bytes32 = (
    "/certificate_thumbprint",
    "must be the 32 bytes of a certificate's SHA-256 in base64url",
);

/// 32 bytes in any of the ways that base64 is written.
fn bytes(check: &mut Check, (pointer, must): &Bytes32, text: Option<&str>) -> Option<Option<[u8; 32]>> {
    const FORMS: [&GeneralPurpose; 3] = [&URL_SAFE_NO_PAD, &URL_SAFE, &STANDARD];
    let Some(text) = text else {
        return Some(None);
    };
    let bytes = FORMS
        .into_iter()
        .find_map(|form| <[u8; 32]>::try_from(form.decode(text).ok()?).ok());
    if bytes.is_none() {
        check.refuse(pointer, "invalid_value", must);
    }
    bytes.map(Some)
}

fn schemes(check: &mut Check, names: &[String]) -> Option<Vec<Scheme>> {
    let mut found = Vec::new();
    for (index, name) in names.iter().enumerate() {
        match Scheme::parse(name).filter(|scheme| !found.contains(scheme)) {
            Some(scheme) => found.push(scheme),
            None => {
                let pointer = format!("/signature_schemes/{index}");
                check.refuse(
                    &pointer,
                    "invalid_value",
                    "must be `rfc9421` or `plain`, named once",
                );
                return None;
            }
        }
    }
    Some(found)
}

fn caveats(check: &mut Check, wire: wire::Caveats) -> Option<Caveats> {
    let max_amount = match &wire.max_amount {
        Some(money) => check.amount("/caveats/max_amount", money).map(Some),
        None => Some(None),
    };
    let payees = match &wire.allowed_beneficiaries {
        Some(ids) => ids
            .iter()
            .enumerate()
            .map(|(index, id)| check.id(&format!("/caveats/allowed_beneficiaries/{index}"), id))
            .collect::<Option<Vec<_>>>()
            .map(Some),
        None => Some(None),
    };
    let budget = match &wire.budget {
        Some(budget) => check
            .amount("/caveats/budget/amount", &budget.amount)
            .map(|(amount, currency)| {
                Some(Budget {
                    amount,
                    currency,
                    window_secs: budget.window_secs,
                })
            }),
        None => Some(None),
    };
    let found = max_amount.zip(payees).zip(budget);
    found.map(|((max_amount, payees), budget)| Caveats {
        max_amount,
        payees,
        budget,
    })
}

/// List your keys. What was taken away is not among them.
#[utoipa::path(get, path = "/api/v1/api-keys", tag = "api-keys", params(PageQuery),
    responses((status = 200, description = "A page of keys, without their secrets.", body = Page<wire::ApiKey>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Json<Page<wire::ApiKey>>, Problem> {
    let (limit, before) = query.page()?;
    let found = state
        .bank
        .own_api_keys(&cx, before, limit.saturating_add(1))
        .await?;
    Ok(Json(page_of(found, limit, |last| last.id.to_string(), to_wire)))
}

/// Replace a key by a new one with the same bounds. The old one counts for a while longer.
///
/// Needs a factor proved just now. Both keys are of one integration: they share its budget and its idempotency keys.
#[utoipa::path(post, path = "/api/v1/api-keys/{id}/rotate", tag = "api-keys", request_body = wire::RotateApiKey,
    params(("id" = String, Path, description = "The id of the old key.")),
    responses((status = 201, description = "The new key, shown this once.", body = wire::ApiKeyMade)))]
async fn rotate(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    OptionalJsonDraft(draft): OptionalJsonDraft<wire::RotateApiKey>,
) -> Result<(StatusCode, Json<wire::ApiKeyMade>), Problem> {
    let input = draft.done(|body, check| {
        let public_key = bytes(check, &PUBLIC_KEY, body.public_key.as_deref());
        let certificate = bytes(check, &CERTIFICATE, body.certificate_thumbprint.as_deref());
        let overlap_secs = body.overlap_secs.unwrap_or(OVERLAP_SECS);
        if !(0..=OVERLAP_SECS_MAX).contains(&overlap_secs) {
            check.refuse("/overlap_secs", "out_of_range", "must lie between 0 and 604800");
        }
        let keys = public_key.zip(certificate);
        keys.map(|(public_key, certificate)| RotateApiKey {
            overlap_secs,
            public_key,
            certificate,
        })
    })?;
    let added = state
        .bank
        .rotate_api_key(&cx, path_id::<ApiKeyKind>(&id)?, input)
        .await?;
    Ok((StatusCode::CREATED, Json(made(&added))))
}

/// Take a key away. From the answer on it opens nothing.
#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", tag = "api-keys", params(("id" = String, Path, description = "Its id.")),
    responses((status = 204, description = "Taken away.")))]
async fn revoke(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state
        .bank
        .revoke_own_api_key(&cx, path_id::<ApiKeyKind>(&id)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn made(added: &ApiKeyAdded) -> wire::ApiKeyMade {
    wire::ApiKeyMade {
        id: added.id.to_string(),
        key: added.key.expose_secret().to_owned(),
        signing_secret: added
            .signing_secret
            .as_ref()
            .map(|secret| secret.expose_secret().to_owned()),
    }
}

fn money((amount, currency): (Amount, Currency)) -> Money {
    Money {
        amount: amount.minor(),
        currency: currency.code().to_owned(),
    }
}

pub(crate) fn to_wire(key: ApiKeyDetails) -> wire::ApiKey {
    let bounds = key.bounds;
    wire::ApiKey {
        id: key.id.to_string(),
        name: key.name,
        scopes: key.scopes,
        created_at: key.created_at.to_string(),
        expires_at: key.expires_at.map(|at| at.to_string()),
        last_used_at: key.last_used_at.map(|at| at.to_string()),
        allowed_ips: key.networks.map(|networks| networks.texts()),
        caveats: wire::Caveats {
            max_amount: bounds.max_amount.map(money),
            allowed_beneficiaries: bounds
                .payees
                .map(|payees| payees.iter().map(ToString::to_string).collect()),
            budget: bounds.budget.map(|budget| wire::Budget {
                amount: money((budget.amount, budget.currency)),
                window_secs: budget.window_secs,
            }),
        },
        public_key: key.public_key.map(|bytes| URL_SAFE_NO_PAD.encode(bytes)),
        signature_schemes: key
            .schemes
            .iter()
            .map(|scheme| scheme.name().to_owned())
            .collect(),
        certificate_thumbprint: key.certificate.map(|bytes| URL_SAFE_NO_PAD.encode(bytes)),
        replaced_by: key.replaced_by.map(|id| id.to_string()),
    }
}
