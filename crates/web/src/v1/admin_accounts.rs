//! `/admin/accounts`: accounts as operators see and open them.

use axum::{
    extract::{Path, State},
    response::Response,
};
use serde::Deserialize;
use strongroom_api::{accounts as wire, money::Page};
use strongroom_app::money::accounts::OpenAccount;
use strongroom_domain::{
    id::{AccountId, UserId},
    text::NAME_CHARS_MAX,
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonDraft, OptionalJsonBody, QueryParams},
    state::AppState,
    v1::{
        accounts::{account_id, kind_of, scope_of, to_wire},
        check::Check,
        idempotency::{IdempotencyKey, created},
        page::page_of,
    },
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(open, list))
        .routes(routes!(freeze))
        .routes(routes!(unfreeze))
}

/// Open an account for a customer.
#[utoipa::path(post, path = "/api/v1/admin/accounts", tag = "operators", request_body = wire::OpenAccountFor,
    params(("Idempotency-Key" = Option<String>, Header, description = "Your name for this one intent.")),
    responses((status = 201, description = "Opened.", body = wire::Account)))]
async fn open(
    State(state): State<AppState>,
    Auth(cx): Auth,
    IdempotencyKey(key): IdempotencyKey,
    draft: JsonDraft<wire::OpenAccountFor>,
) -> Result<Response, Problem> {
    let input = draft.done(|body, check| parse(check, body, key))?;
    let once = state.bank.open_account(&cx, input).await?;
    let account = to_wire(&once.value, true);
    Ok(created(
        &once,
        &format!("/api/v1/accounts/{}", account.id),
        account,
    ))
}

fn parse(check: &mut Check, body: wire::OpenAccountFor, key: Option<String>) -> Option<OpenAccount> {
    let customer: Option<UserId> = check.id("/customer_id", &body.customer_id);
    let currency = check.currency("/currency", &body.currency);
    let name = check.line("/name", &body.name, NAME_CHARS_MAX, true);
    let overdraft = match &body.overdraft {
        Some(money) => {
            let agreed = check.amount("/overdraft", money);
            if agreed.is_some() && money.currency != body.currency {
                check.refuse(
                    "/overdraft/currency",
                    "invalid_value",
                    "must be the currency of the account",
                );
            }
            agreed.map(|(amount, _)| amount.minor())
        }
        None => Some(0),
    };
    customer
        .zip(currency)
        .zip(name)
        .zip(overdraft)
        .map(|(((customer, currency), name), overdraft)| OpenAccount {
            customer: Some(customer),
            kind: kind_of(body.kind),
            currency,
            name,
            overdraft,
            idempotency_key: key,
        })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only this customer's.
    customer_id: Option<String>,
}

/// List everybody's accounts.
#[utoipa::path(get, path = "/api/v1/admin/accounts", tag = "operators", params(ListQuery),
    responses((status = 200, description = "A page of accounts.", body = Page<wire::Account>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<Page<wire::Account>>, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let customer: Option<UserId> = query
        .customer_id
        .as_deref()
        .and_then(|text| check.id("?customer_id", text));
    let before: Option<AccountId> = query.cursor.as_deref().and_then(|text| check.id("?cursor", text));
    let limit = check.done(limit)?;
    let found = state
        .bank
        .accounts(&cx, customer, before, limit.saturating_add(1))
        .await?;
    Ok(Json(page_of(
        found,
        limit,
        |last| last.id.to_string(),
        |account| to_wire(&account, true),
    )))
}

/// Freeze an account on behalf of the bank.
#[utoipa::path(post, path = "/api/v1/admin/accounts/{id}/freeze", tag = "operators", request_body = Option<wire::Freeze>,
    params(("id" = String, Path, description = "The account.")),
    responses((status = 200, description = "Frozen.", body = wire::Account)))]
async fn freeze(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    OptionalJsonBody(body): OptionalJsonBody<wire::Freeze>,
) -> Result<Json<wire::Account>, Problem> {
    let scope = scope_of(body.unwrap_or_default().scope);
    let account = state.bank.freeze_account(&cx, account_id(&id)?, scope).await?;
    Ok(Json(to_wire(&account, true)))
}

/// Lift the bank's freeze.
#[utoipa::path(post, path = "/api/v1/admin/accounts/{id}/unfreeze", tag = "operators",
    params(("id" = String, Path, description = "The account.")),
    responses((status = 200, description = "As it is now.", body = wire::Account)))]
async fn unfreeze(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::Account>, Problem> {
    let account = state.bank.unfreeze_account(&cx, account_id(&id)?).await?;
    Ok(Json(to_wire(&account, true)))
}
