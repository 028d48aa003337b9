//! `/merchants` and `/admin/merchants`: who is paid by customers.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::Deserialize;
use strongroom_api::{money::Page, payments as wire};
use strongroom_app::money::merchants::{CreateMerchant, MerchantDetails};
use strongroom_domain::{
    id::{AccountId, MerchantId, MerchantKind},
    text::NAME_CHARS_MAX,
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonDraft, QueryParams},
    state::AppState,
    v1::{
        check::{Check, path_id},
        page::page_of,
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

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List merchants, newest first.
#[utoipa::path(get, path = "/api/v1/admin/merchants", tag = "operators", params(ListQuery),
    responses((status = 200, description = "A page of merchants.", body = Page<wire::Merchant>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<Page<wire::Merchant>>, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let before: Option<Option<MerchantId>> = match &query.cursor {
        Some(text) => check.id("?cursor", text).map(Some),
        None => Some(None),
    };
    let (limit, before) = check.done(limit.zip(before))?;
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
