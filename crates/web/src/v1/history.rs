//! `/accounts/{id}/transactions`: what happened on an account.

use axum::extract::{Path, State};
use serde::Deserialize;
use strongroom_api::{
    accounts as wire,
    money::{Money, Page},
};
use strongroom_app::money::history::{HistoryFilter, HistoryItem};
use strongroom_domain::{text::NAME_CHARS_MAX, transaction::TransactionKind};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, QueryParams},
    state::AppState,
    v1::{accounts::account_id, check::Check},
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Booked at this RFC 3339 moment or later.
    from: Option<String>,
    /// Booked before this RFC 3339 moment.
    to: Option<String>,
    /// At least this many minor units, in or out.
    min_amount: Option<i64>,
    /// At most this many minor units, in or out.
    max_amount: Option<i64>,
    /// `transfer`, `deposit`, `withdrawal`, `capture`, `payment`, `refund` or `reversal`.
    kind: Option<String>,
    /// The text contains this, whatever the case.
    q: Option<String>,
}

type Parsed = (HistoryFilter, Option<u64>, u32);

fn parse(query: &HistoryQuery) -> Result<Parsed, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let mut filter = HistoryFilter {
        min_amount: query.min_amount,
        max_amount: query.max_amount,
        ..Default::default()
    };
    filter.from = query.from.as_deref().and_then(|text| check.moment("?from", text));
    filter.to = query.to.as_deref().and_then(|text| check.moment("?to", text));
    if let Some(kind) = &query.kind {
        filter.kind = TransactionKind::parse(kind);
        if filter.kind.is_none() {
            let names = TransactionKind::ALL.map(|kind| format!("`{}`", kind.name()));
            check.refuse(
                "?kind",
                "invalid_value",
                &format!("must be one of {}", names.join(", ")),
            );
        }
    }
    for (name, amount) in [
        ("?min_amount", query.min_amount),
        ("?max_amount", query.max_amount),
    ] {
        if amount.is_some_and(|amount| amount < 0) {
            check.refuse(name, "out_of_range", "must be 0 or more");
        }
    }
    if let (Some(from), Some(to)) = (filter.from, filter.to)
        && from > to
    {
        check.refuse("?from", "out_of_range", "must not lie after `to`");
        check.refuse("?to", "out_of_range", "must not lie before `from`");
    }
    if let (Some(min), Some(max)) = (query.min_amount, query.max_amount)
        && min > max
    {
        check.refuse("?min_amount", "out_of_range", "must not be above `max_amount`");
        check.refuse("?max_amount", "out_of_range", "must not be below `min_amount`");
    }
    filter.text = query
        .q
        .as_deref()
        .and_then(|text| check.line("?q", text, NAME_CHARS_MAX, true));
    let mut before = None;
    if let Some(cursor) = &query.cursor {
        before = cursor
            .strip_prefix("seq_")
            .and_then(|digits| digits.parse::<u64>().ok())
            .filter(|seq| *seq > 0);
        if before.is_none() {
            check.refuse("?cursor", "invalid_value", "must be the `next_cursor` of a page");
        }
    }
    check.done(limit.map(|limit| (filter, before, limit)))
}

/// Read an account's history, newest first, stable while new entries arrive.
///
/// A filtered page looks at a bounded number of entries: it may hold fewer lines than asked for and still have a
/// `next_cursor`.
#[utoipa::path(get, path = "/api/v1/accounts/{id}/transactions", tag = "accounts",
    params(("id" = String, Path, description = "The account."), HistoryQuery),
    responses((status = 200, description = "A page of entries.", body = Page<wire::HistoryLine>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    QueryParams(query): QueryParams<HistoryQuery>,
) -> Result<Json<Page<wire::HistoryLine>>, Problem> {
    let (filter, before, limit) = parse(&query)?;
    let page = state
        .bank
        .history(&cx, account_id(&id)?, &filter, before, limit)
        .await?;
    Ok(Json(Page {
        data: page.items.iter().map(to_wire).collect(),
        next_cursor: page.next.map(|sequence| format!("seq_{sequence}")),
    }))
}

pub(crate) fn to_wire(item: &HistoryItem) -> wire::HistoryLine {
    let transaction = &item.transaction;
    wire::HistoryLine {
        transaction_id: transaction.id.to_string(),
        sequence: item.sequence,
        kind: transaction.kind.name().to_owned(),
        amount: Money {
            amount: item.amount,
            currency: transaction.currency.code().to_owned(),
        },
        balance_after: item.balance_after,
        from_account_id: transaction.from_account.to_string(),
        to_account_id: transaction.to_account.to_string(),
        description: item.description.clone(),
        value_date: transaction.value_date.to_string(),
        booked_at: transaction.booked_at.to_string(),
    }
}
