//! `/limits`: what a customer pays at most.

use axum::{Json, extract::State};
use serde::Deserialize;
use strongroom_api::{limits as wire, money::Money};
use strongroom_app::customer_limits::LimitsDetails;
use strongroom_domain::{
    limits::Caps,
    money::{AMOUNT_MAX, Currency},
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonBody, QueryParams},
    state::AppState,
    v1::check::Check,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read, change))
}

#[derive(Debug, Deserialize, IntoParams)]
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
    JsonBody(body): JsonBody<wire::SetLimits>,
) -> Result<Json<wire::Limits>, Problem> {
    let mut check = Check::default();
    let named = [&body.per_transfer, &body.daily, &body.monthly]
        .into_iter()
        .flatten();
    let code = body
        .currency
        .as_deref()
        .or_else(|| named.map(|money| money.currency.as_str()).next());
    let currency = match code {
        Some(code) => check.currency("/currency", code),
        None => {
            check.refuse("/currency", "required", "name the currency, or an amount in it");
            None
        }
    };
    let mut cap = |pointer: &str, money: &Option<Money>| match money {
        Some(money) => limit(&mut check, pointer, money, currency).map(Some),
        None => Some(None),
    };
    let per_transfer = cap("/per_transfer", &body.per_transfer);
    let daily = cap("/daily", &body.daily);
    let monthly = cap("/monthly", &body.monthly);
    let input = currency.zip(per_transfer).zip(daily).zip(monthly);
    let (((currency, per_transfer), daily), monthly) = check.done(input)?;
    let caps = Caps {
        per_transfer,
        daily,
        monthly,
    };
    Ok(Json(to_wire(&state.bank.set_limits(&cx, currency, caps).await?)))
}

/// A limit may be nothing at all, which stops everything.
fn limit(check: &mut Check, pointer: &str, money: &Money, currency: Option<Currency>) -> Option<i64> {
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

fn to_wire(limits: &LimitsDetails) -> wire::Limits {
    let money = |amount: i64| Money {
        amount,
        currency: limits.currency.code().to_owned(),
    };
    let caps = |caps: Caps| wire::Caps {
        per_transfer: caps.per_transfer.map(money),
        daily: caps.daily.map(money),
        monthly: caps.monthly.map(money),
    };
    let now = caps(limits.caps);
    wire::Limits {
        currency: limits.currency.code().to_owned(),
        per_transfer: now.per_transfer,
        daily: now.daily,
        monthly: now.monthly,
        spent_today: money(limits.spent.day),
        spent_this_month: money(limits.spent.month),
        own: caps(limits.own),
        pending: limits.raise.map(|raise| {
            let caps = caps(raise.caps);
            wire::PendingLimits {
                per_transfer: caps.per_transfer,
                daily: caps.daily,
                monthly: caps.monthly,
                effective_at: raise.at.to_string(),
            }
        }),
        lowered_until: limits.floor_until.map(|until| until.to_string()),
    }
}
