//! `/accounts`: open, list, read, freeze, close; balances and history.

use axum::{
    extract::{Path, State},
    response::Response,
};
use serde::Deserialize;
use strongroom_api::{
    accounts as wire,
    money::{Money, Page},
};
use strongroom_app::money::accounts::{AccountDetails, OpenAccount};
use strongroom_domain::{
    account::{CustomerKind, FreezeScope},
    id::{AccountId, AccountKind},
    text::NAME_CHARS_MAX,
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonDraft, OptionalJsonBody, QueryParams},
    state::AppState,
    v1::{
        check::{Check, path_id},
        idempotency::{IdempotencyKey, created},
        page::{PageQuery, page_of},
    },
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(open, list))
        .routes(routes!(read, rename))
        .routes(routes!(balance))
        .routes(routes!(freeze))
        .routes(routes!(unfreeze))
        .routes(routes!(close))
}

/// Open an account.
#[utoipa::path(post, path = "/api/v1/accounts", tag = "accounts", request_body = wire::OpenAccount,
    params(("Idempotency-Key" = Option<String>, Header, description = "Your name for this one intent.")),
    responses((status = 201, description = "Opened.", body = wire::Account)))]
async fn open(
    State(state): State<AppState>,
    Auth(cx): Auth,
    IdempotencyKey(key): IdempotencyKey,
    draft: JsonDraft<wire::OpenAccount>,
) -> Result<Response, Problem> {
    let input = draft.done(|body, check| {
        let currency = check.currency("/currency", &body.currency);
        let name = check.line("/name", &body.name, NAME_CHARS_MAX, true);
        currency.zip(name).map(|(currency, name)| OpenAccount {
            customer: None,
            kind: kind_of(body.kind),
            currency,
            name,
            overdraft: 0,
            idempotency_key: key,
        })
    })?;
    let once = state.bank.open_account(&cx, input).await?;
    let account = to_wire(&once.value, false);
    Ok(created(
        &once,
        &format!("/api/v1/accounts/{}", account.id),
        account,
    ))
}

/// List your accounts.
#[utoipa::path(get, path = "/api/v1/accounts", tag = "accounts", params(PageQuery),
    responses((status = 200, description = "A page of accounts.", body = Page<wire::Account>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Json<Page<wire::Account>>, Problem> {
    let (limit, before) = query.page()?;
    let found = state
        .bank
        .own_accounts(&cx, before, limit.saturating_add(1))
        .await?;
    Ok(Json(page_of(
        found,
        limit,
        |last| last.id.to_string(),
        |account| to_wire(&account, false),
    )))
}

/// Read an account.
#[utoipa::path(get, path = "/api/v1/accounts/{id}", tag = "accounts", params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The account.", body = wire::Account)))]
async fn read(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::Account>, Problem> {
    let account = state.bank.account(&cx, account_id(&id)?).await?;
    Ok(Json(to_wire(
        &account,
        cx.caller.principal.owner() != account.owner,
    )))
}

/// Give an account another name.
#[utoipa::path(patch, path = "/api/v1/accounts/{id}", tag = "accounts", request_body = wire::RenameAccount,
    params(("id" = String, Path, description = "The account.")),
    responses((status = 200, description = "As it is now.", body = wire::Account)))]
async fn rename(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    draft: JsonDraft<wire::RenameAccount>,
) -> Result<Json<wire::Account>, Problem> {
    let name = draft.done(|body, check| check.line("/name", &body.name, NAME_CHARS_MAX, true))?;
    let account = state.bank.rename_account(&cx, account_id(&id)?, name).await?;
    Ok(Json(to_wire(&account, false)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct BalanceQuery {
    /// RFC 3339 moment, not in the future; now when absent.
    at: Option<String>,
}

/// Read a balance, now or as it was.
#[utoipa::path(get, path = "/api/v1/accounts/{id}/balance", tag = "accounts",
    params(("id" = String, Path, description = "The account."), BalanceQuery),
    responses((status = 200, description = "The balance.", body = wire::BalanceAt)))]
async fn balance(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    QueryParams(query): QueryParams<BalanceQuery>,
) -> Result<Json<wire::BalanceAt>, Problem> {
    let id = account_id(&id)?;
    let found = match &query.at {
        None => state.bank.balance(&cx, id).await?,
        Some(at) => {
            let mut check = Check::default();
            let moment = check.moment("?at", at);
            let moment = check.done(moment)?;
            state.bank.balance_at(&cx, id, moment).await?
        }
    };
    Ok(Json(wire::BalanceAt {
        account_id: found.account.to_string(),
        currency: found.currency.code().to_owned(),
        at: found.at.to_string(),
        posted: found.posted,
        held: found.now.map(|now| now.held),
        available: found.now.map(|now| now.available),
    }))
}

/// Stop movements on an account. Only the side that froze can lift it.
#[utoipa::path(post, path = "/api/v1/accounts/{id}/freeze", tag = "accounts", request_body = Option<wire::Freeze>,
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
    Ok(Json(to_wire(
        &account,
        cx.caller.principal.owner() != account.owner,
    )))
}

/// Lift your own freeze.
#[utoipa::path(post, path = "/api/v1/accounts/{id}/unfreeze", tag = "accounts",
    params(("id" = String, Path, description = "The account.")),
    responses((status = 200, description = "As it is now.", body = wire::Account)))]
async fn unfreeze(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::Account>, Problem> {
    let account = state.bank.unfreeze_account(&cx, account_id(&id)?).await?;
    Ok(Json(to_wire(
        &account,
        cx.caller.principal.owner() != account.owner,
    )))
}

/// Close an account at zero, for good.
#[utoipa::path(post, path = "/api/v1/accounts/{id}/close", tag = "accounts",
    params(("id" = String, Path, description = "The account.")),
    responses((status = 200, description = "Closed.", body = wire::Account)))]
async fn close(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::Account>, Problem> {
    let account = state.bank.close_account(&cx, account_id(&id)?).await?;
    Ok(Json(to_wire(&account, false)))
}

pub(crate) fn account_id(text: &str) -> Result<AccountId, Problem> {
    path_id::<AccountKind>(text).map_err(|_| strongroom_app::Error::account_not_found().into())
}

pub(crate) const fn scope_of(scope: wire::FreezeScope) -> FreezeScope {
    match scope {
        wire::FreezeScope::All => FreezeScope::All,
        wire::FreezeScope::Debits => FreezeScope::Debits,
    }
}

pub(crate) const fn kind_of(kind: wire::AccountKind) -> CustomerKind {
    match kind {
        wire::AccountKind::Checking => CustomerKind::Checking,
        wire::AccountKind::Savings => CustomerKind::Savings,
    }
}

/// What an owner sees, and what an operator sees beyond it.
pub(crate) fn to_wire(account: &AccountDetails, operator: bool) -> wire::Account {
    let currency = account.currency.code().to_owned();
    wire::Account {
        id: account.id.to_string(),
        number: account.number.clone(),
        kind: account.kind.name().to_owned(),
        name: Some(account.name.clone()),
        state: account.state.to_owned(),
        balance: wire::Balance {
            posted: account.posted,
            held: account.held,
            available: account.available,
        },
        overdraft: (account.overdraft > 0).then(|| Money {
            amount: account.overdraft,
            currency: currency.clone(),
        }),
        currency,
        customer_id: account.owner.filter(|_| operator).map(|owner| owner.to_string()),
        opened_at: account.opened_at.to_string(),
    }
}
