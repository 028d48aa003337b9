//! `/admin/reviews`: transfers that wait for somebody of the bank.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use strongroom_api::{
    money::{Money, Page},
    reviews as wire,
};
use strongroom_app::money::reviews::{ReviewState, ReviewView};
use strongroom_domain::{
    id::{TransferId, TransferKind},
    time::Timestamp,
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonBody, QueryParams},
    state::AppState,
    v1::{
        check::{Check, path_id},
        page::page_of,
    },
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(release))
        .routes(routes!(reject))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ReviewsQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `open` for those that nobody decided, `all` for every one; `open` when absent.
    state: Option<String>,
}

/// List transfers that wait for a look, and what rules found about others, newest first.
#[utoipa::path(get, path = "/api/v1/admin/reviews", tag = "operators", params(ReviewsQuery),
    responses((status = 200, description = "A page of reviews.", body = Page<wire::Review>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<ReviewsQuery>,
) -> Result<Json<Page<wire::Review>>, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let before: Option<TransferId> = query
        .cursor
        .as_deref()
        .and_then(|cursor| check.id("?cursor", cursor));
    let open = check.open(query.state.as_deref());
    let (limit, open) = check.done(limit.zip(open))?;
    let more = limit.saturating_add(1);
    let before = before.map(TransferId::cast);
    let found = state.bank.reviews(&cx, open, before, more).await?;
    Ok(Json(page_of(
        found,
        limit,
        |last| last.id.cast::<TransferKind>().to_string(),
        |review| to_wire(&review, cx.now()),
    )))
}

/// Let a transfer go that waits.
///
/// Needs a fresh login or step-up. Never by either side of it; above the bank's bound by two people, of whom the second
/// moves the money.
#[utoipa::path(post, path = "/api/v1/admin/reviews/{id}/release", tag = "operators", request_body = wire::ReviewDecision,
    params(("id" = String, Path, description = "The transfer.")),
    responses((status = 200, description = "Released, or released by the first of two.", body = wire::Review)))]
async fn release(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<wire::ReviewDecision>,
) -> Result<Json<wire::Review>, Problem> {
    let id = path_id::<TransferKind>(&id)?.cast();
    let review = state.bank.release_review(&cx, id, &body.reason).await?;
    Ok(Json(to_wire(&review, cx.now())))
}

/// Refuse a transfer that waits.
#[utoipa::path(post, path = "/api/v1/admin/reviews/{id}/reject", tag = "operators", request_body = wire::ReviewDecision,
    params(("id" = String, Path, description = "The transfer.")),
    responses((status = 200, description = "Refused; its money is free again.", body = wire::Review)))]
async fn reject(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<wire::ReviewDecision>,
) -> Result<Json<wire::Review>, Problem> {
    let id = path_id::<TransferKind>(&id)?.cast();
    let review = state.bank.reject_review(&cx, id, &body.reason).await?;
    Ok(Json(to_wire(&review, cx.now())))
}

fn to_wire(review: &ReviewView, now: Timestamp) -> wire::Review {
    let over = review.expires_at.is_some_and(|end| end <= now);
    let state = match review.state {
        ReviewState::Open if over => "expired",
        state => state.name(),
    };
    let rules = review.rules.split(',').filter(|rule| !rule.is_empty());
    wire::Review {
        id: review.id.cast::<TransferKind>().to_string(),
        state: state.to_owned(),
        verdict: review.verdict.name().to_owned(),
        score: review.score,
        rules: rules.map(str::to_owned).collect(),
        rules_revision: review.revision,
        customer_id: review.customer.to_string(),
        from_account_id: review.account.to_string(),
        to_account_id: review.to_account.to_string(),
        amount: Money {
            amount: review.amount.minor(),
            currency: review.currency.code().to_owned(),
        },
        created_at: review.at.to_string(),
        expires_at: review.expires_at.map(|end| end.to_string()),
        first_released_by: review.first_by.map(|id| id.to_string()),
        decided_by: review.decided_by.map(|id| id.to_string()),
        decided_at: review.decided_at.map(|at| at.to_string()),
        forgotten_at: review.forgotten_at.map(|at| at.to_string()),
    }
}
