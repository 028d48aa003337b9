//! `/admin/api-keys`: keys of the bank's own programs.

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;
use strongroom_api::{api_keys as wire, approvals::ApprovalRequested, money::Page};
use strongroom_app::api_keys::{
    KeyOwner,
    technical::{TechnicalKey, is_technical},
};
use strongroom_domain::{id::ApiKeyKind, principal::Role};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonDraft, QueryParams},
    state::AppState,
    v1::{
        admin_approvals::asked,
        api_keys::{parse, to_wire},
        check::path_id,
        page::{PageQuery, page_of},
    },
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(ask, list))
        .routes(routes!(revoke))
}

/// Ask for a key of one of the bank's own programs, such as the card processor. Another administrator decides.
///
/// With the key a technical user is made that holds one role and has no login. Needs a fresh login or step-up. The
/// secrets are in the answer of whoever approves, and nowhere else. Money is moved by signed requests only.
#[utoipa::path(post, path = "/api/v1/admin/api-keys", tag = "operators", request_body = wire::NewTechnicalKey,
    responses((status = 202, description = "Asked for.", body = ApprovalRequested)))]
async fn ask(
    State(state): State<AppState>,
    Auth(cx): Auth,
    draft: JsonDraft<wire::NewTechnicalKey>,
) -> Result<Response, Problem> {
    let (body, role) = draft.done(|body, check| {
        let role = match &body.role {
            Some(name) => Role::parse(name).filter(|role| is_technical(*role)),
            None => Some(Role::Teller),
        };
        if role.is_none() {
            check.refuse(
                "/role",
                "invalid_value",
                "must be support, teller, compliance or auditor",
            );
        }
        role.map(|role| (body, role))
    })?;
    let input = parse(as_own(body), KeyOwner::Technical(role))?;
    let approval = state.bank.ask_for_api_key(&cx, input).await?;
    Ok(asked(approval))
}

/// List the keys of the bank's own programs. What was taken away is not among them.
#[utoipa::path(get, path = "/api/v1/admin/api-keys", tag = "operators", params(PageQuery),
    responses((status = 200, description = "A page of keys, without their secrets.", body = Page<wire::TechnicalKey>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Json<Page<wire::TechnicalKey>>, Problem> {
    let (limit, before) = query.page()?;
    let found = state
        .bank
        .technical_keys(&cx, before, limit.saturating_add(1))
        .await?;
    Ok(Json(page_of(
        found,
        limit,
        |last| last.key.id.to_string(),
        technical,
    )))
}

/// Take a key away, of the bank's own programs or of a customer's. From the answer on it opens nothing.
#[utoipa::path(delete, path = "/api/v1/admin/api-keys/{id}", tag = "operators",
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 204, description = "Taken away.")))]
async fn revoke(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state
        .bank
        .revoke_api_key(&cx, path_id::<ApiKeyKind>(&id)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a key of anybody's has, without the role.
fn as_own(body: wire::NewTechnicalKey) -> wire::CreateApiKey {
    wire::CreateApiKey {
        name: body.name,
        scopes: body.scopes,
        expires_at: body.expires_at,
        allowed_ips: body.allowed_ips,
        caveats: body.caveats,
        public_key: body.public_key,
        signature_schemes: body.signature_schemes,
        certificate_thumbprint: body.certificate_thumbprint,
    }
}

fn technical(found: TechnicalKey) -> wire::TechnicalKey {
    wire::TechnicalKey {
        owner_id: found.owner.to_string(),
        roles: found.roles.iter().map(|role| role.name().to_owned()).collect(),
        key: to_wire(found.key),
    }
}
