//! `/merchants` and `/admin/merchants`: who is paid by customers.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use strongroom_api::{money::Page, payments as wire};
use strongroom_app::money::merchants::{CreateMerchant, MerchantDetails};
use strongroom_domain::{
    id::{AccountId, MerchantKind},
    text::NAME_CHARS_MAX,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonDraft, QueryParams},
    state::AppState,
    v1::{
        check::path_id,
        page::{PageQuery, page_of},
    },
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(read))
}

/// Make a customer a merchant who is paid on an account of the customer's.
#[utoipa::path(post, path = "/api/v1/admin/merchants", tag = "operators", request_body = wire::CreateMerchant,
    responses((status = 201, description = "Made.", body = wire::Merchant)))]
async fn create(
    State(state): State<AppState>,
    Auth(cx): Auth,
    draft: JsonDraft<wire::CreateMerchant>,
) -> Result<Response, Problem> {
    let input = draft.done(|body, check| {
        let account: Option<AccountId> = check.id("/account_id", &body.account_id);
        let name = check.line("/name", &body.name, NAME_CHARS_MAX, true);
        account
            .zip(name)
            .map(|(account, name)| CreateMerchant { account, name })
    })?;
    let merchant = state.bank.create_merchant(&cx, input).await?;
    let location = format!("/api/v1/merchants/{}", merchant.id);
    let headers = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, headers, Json(to_wire(&merchant, true))).into_response())
}

/// List merchants, newest first.
#[utoipa::path(get, path = "/api/v1/admin/merchants", tag = "operators", params(PageQuery),
    responses((status = 200, description = "A page of merchants.", body = Page<wire::Merchant>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Json<Page<wire::Merchant>>, Problem> {
    let (limit, before) = query.page()?;
    let more = limit.saturating_add(1);
    let found = state.bank.merchants(&cx, before, more).await?;
    Ok(Json(page_of(
        found,
        limit,
        |last| last.id.to_string(),
        |merchant| to_wire(&merchant, true),
    )))
}

/// Read who a merchant is.
#[utoipa::path(get, path = "/api/v1/merchants/{id}", tag = "payments",
    params(("id" = String, Path, description = "The merchant.")),
    responses((status = 200, description = "The merchant.", body = wire::Merchant)))]
async fn read(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::Merchant>, Problem> {
    let id = path_id::<MerchantKind>(&id)?;
    let merchant = state.bank.merchant(&cx, id).await?;
    Ok(Json(to_wire(&merchant, false)))
}

fn to_wire(merchant: &MerchantDetails, desk: bool) -> wire::Merchant {
    wire::Merchant {
        id: merchant.id.to_string(),
        name: merchant.name.clone(),
        currency: merchant.currency.code().to_owned(),
        account_id: desk.then(|| merchant.account.to_string()),
        created_at: merchant.created_at.to_string(),
    }
}
