//! `/limits`: what a customer pays at most.

use axum::extract::{Path, State};
use serde::Deserialize;
use strongroom_api::{limits as wire, money::Money};
use strongroom_app::money::{account_limits::AccountLimitsDetails, customer_limits::LimitsDetails};
use strongroom_domain::{
    limits::{Caps, Raise},
    money::{AMOUNT_MAX, Currency},
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonDraft, QueryParams},
    state::AppState,
    v1::{accounts::account_id, check::Check},
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(read, change))
        .routes(routes!(read_account, change_account))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ReadQuery {
    /// The currency; needed where you have accounts in several.
    currency: Option<String>,
}

/// Read your limits, and what is used of them.
#[utoipa::path(get, path = "/api/v1/limits", tag = "limits", params(ReadQuery),
    responses((status = 200, description = "What counts now.", body = wire::Limits)))]
async fn read(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<ReadQuery>,
) -> Result<Json<wire::Limits>, Problem> {
    let mut check = Check::default();
    let currency = match &query.currency {
        Some(code) => check.currency("?currency", code).map(Some),
        None => Some(None),
    };
    let currency = check.done(currency)?;
    Ok(Json(to_wire(&state.bank.limits(&cx, currency).await?)))
}

/// Set your limits.
///
/// What is lower counts at once. What is higher needs a fresh factor and counts a day later. The bank's own limits
/// hold whatever you set.
#[utoipa::path(put, path = "/api/v1/limits", tag = "limits", request_body = wire::SetLimits,
    responses((status = 200, description = "Set.", body = wire::Limits)))]
async fn change(
    State(state): State<AppState>,
    Auth(cx): Auth,
    draft: JsonDraft<wire::SetLimits>,
) -> Result<Json<wire::Limits>, Problem> {
    let (currency, caps) = draft.done(|body, check| {
        let named = [&body.per_transfer, &body.daily, &body.monthly].map(Option::as_ref);
        let currency = match code_of(body.currency.as_deref(), named) {
            Some((pointer, code)) => check.currency(pointer, code),
            None => {
                check.refuse("/currency", "required", "name the currency, or an amount in it");
                None
            }
        };
        let caps = caps(check, named, currency);
        currency.zip(caps)
    })?;
    Ok(Json(to_wire(&state.bank.set_limits(&cx, currency, caps).await?)))
}

/// Read the limits of one of your accounts.
#[utoipa::path(get, path = "/api/v1/accounts/{id}/limits", tag = "limits",
    params(("id" = String, Path, description = "The account.")),
    responses((status = 200, description = "What counts now.", body = wire::AccountLimits)))]
async fn read_account(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::AccountLimits>, Problem> {
    let limits = state.bank.account_limits(&cx, account_id(&id)?).await?;
    Ok(Json(account_to_wire(&limits)))
}

/// Set the limits of one of your accounts, within those for all of them.
///
/// What is lower counts at once. What is higher needs a fresh factor and counts a day later.
#[utoipa::path(put, path = "/api/v1/accounts/{id}/limits", tag = "limits", request_body = wire::SetLimits,
    params(("id" = String, Path, description = "The account.")),
    responses((status = 200, description = "Set.", body = wire::AccountLimits)))]
async fn change_account(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    draft: JsonDraft<wire::SetLimits>,
) -> Result<Json<wire::AccountLimits>, Problem> {
    let (currency, caps) = draft.done(|body, check| {
        let named = [&body.per_transfer, &body.daily, &body.monthly].map(Option::as_ref);
        let currency = match code_of(body.currency.as_deref(), named) {
            Some((pointer, code)) => check.currency(pointer, code).map(Some),
            None => Some(None),
        };
        let caps = caps(check, named, currency.flatten());
        currency.zip(caps)
    })?;
    let account = account_id(&id)?;
    let limits = state.bank.limit_account(&cx, account, currency, caps).await?;
    Ok(Json(account_to_wire(&limits)))
}

/// In which currency limits are: where that is said, or that of the first of them. With its pointer.
fn code_of<'a>(
    said: Option<&'a str>,
    [per_transfer, daily, monthly]: [Option<&'a Money>; 3],
) -> Option<(&'static str, &'a str)> {
    let of = |pointer, money: Option<&'a Money>| money.map(|money| (pointer, money.currency.as_str()));
    said.map(|code| ("/currency", code))
        .or_else(|| of("/per_transfer/currency", per_transfer))
        .or_else(|| of("/daily/currency", daily))
        .or_else(|| of("/monthly/currency", monthly))
}

/// Limits per movement, day and month; absent ones bound nothing. Every wrong one is named.
pub(crate) fn caps(
    check: &mut Check,
    [per_transfer, daily, monthly]: [Option<&Money>; 3],
    currency: Option<Currency>,
) -> Option<Caps> {
    let mut cap = |pointer: &str, money: Option<&Money>| match money {
        Some(money) => limit(check, pointer, money, currency).map(Some),
        None => Some(None),
    };
    let per_transfer = cap("/per_transfer", per_transfer);
    let daily = cap("/daily", daily);
    let monthly = cap("/monthly", monthly);
    Some(Caps {
        per_transfer: per_transfer?,
        daily: daily?,
        monthly: monthly?,
    })
}

/// A limit may be nothing at all, which stops everything.
pub(crate) fn limit(
    check: &mut Check,
    pointer: &str,
    money: &Money,
    currency: Option<Currency>,
) -> Option<i64> {
    if !(0..=AMOUNT_MAX).contains(&money.amount) {
        let detail = format!("must lie between 0 and {AMOUNT_MAX} minor units");
        check.refuse(&format!("{pointer}/amount"), "out_of_range", &detail);
        return None;
    }
    if currency.is_some_and(|currency| currency.code() != money.currency) {
        check.refuse(
            &format!("{pointer}/currency"),
            "currency_mismatch",
            "must be one currency for all",
        );
        return None;
    }
    Some(money.amount)
}

fn money(amount: i64, currency: Currency) -> Money {
    Money {
        amount,
        currency: currency.code().to_owned(),
    }
}

fn caps_to_wire(caps: Caps, currency: Currency) -> wire::Caps {
    let money = |amount| money(amount, currency);
    wire::Caps {
        per_transfer: caps.per_transfer.map(money),
        daily: caps.daily.map(money),
        monthly: caps.monthly.map(money),
    }
}

fn raise_to_wire(raise: Raise, currency: Currency) -> wire::PendingLimits {
    let caps = caps_to_wire(raise.caps, currency);
    wire::PendingLimits {
        per_transfer: caps.per_transfer,
        daily: caps.daily,
        monthly: caps.monthly,
        effective_at: raise.at.to_string(),
    }
}

fn account_to_wire(limits: &AccountLimitsDetails) -> wire::AccountLimits {
    let currency = limits.currency;
    let own = caps_to_wire(limits.own, currency);
    wire::AccountLimits {
        currency: currency.code().to_owned(),
        per_transfer: own.per_transfer,
        daily: own.daily,
        monthly: own.monthly,
        spent_today: limits.spent.map(|spent| money(spent.day, currency)),
        spent_this_month: limits.spent.map(|spent| money(spent.month, currency)),
        pending: limits.raise.map(|raise| raise_to_wire(raise, currency)),
    }
}

pub(crate) fn to_wire(limits: &LimitsDetails) -> wire::Limits {
    let money = |amount| money(amount, limits.currency);
    let caps = |caps: Caps| caps_to_wire(caps, limits.currency);
    let now = caps(limits.caps);
    wire::Limits {
        currency: limits.currency.code().to_owned(),
        per_transfer: now.per_transfer,
        daily: now.daily,
        monthly: now.monthly,
        spent_today: money(limits.spent.day),
        spent_this_month: money(limits.spent.month),
        own: caps(limits.own),
        allowed: (limits.allowed != Caps::NONE).then(|| caps(limits.allowed)),
        pending: limits.raise.map(|raise| raise_to_wire(raise, limits.currency)),
        exception: limits.exception.map(|exception| {
            let caps = caps(exception.caps);
            wire::Exception {
                per_transfer: caps.per_transfer,
                daily: caps.daily,
                monthly: caps.monthly,
                until: exception.until.to_string(),
            }
        }),
        lowered_until: limits.floor_until.map(|until| until.to_string()),
    }
}
