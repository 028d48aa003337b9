//! `/admin/rail` and `/admin/suspense`: payments on their way to other banks, and what nobody could place.

use axum::{
    extract::{Path, State},
    response::Response,
};
use serde::Deserialize;
use strongroom_api::{
    approvals::ApprovalRequested,
    money::{Money, Page},
    rails as wire,
};
use strongroom_app::money::rails::{
    files::{RailFile, name_of},
    reconciliation::Reconciliation,
    suspense::SuspenseDetails,
};
use strongroom_domain::{
    id::{AccountId, SuspenseItemId, SuspenseItemKind, TransferKind},
    money::Currency,
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonDraft, QueryParams},
    state::AppState,
    v1::{
        admin_approvals::asked,
        check::{Check, path_id},
        page::{PageQuery, page_of},
    },
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(files))
        .routes(routes!(ask_for_release))
        .routes(routes!(reconciliation))
        .routes(routes!(suspense))
        .routes(routes!(resolve))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct SuspenseQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `open` for those that nobody has resolved, `all` for every one; `open` when absent.
    state: Option<String>,
}

fn money(minor: i64, currency: Currency) -> Money {
    Money {
        amount: minor,
        currency: currency.code().to_owned(),
    }
}

/// List released files of payments to other banks, newest first.
#[utoipa::path(get, path = "/api/v1/admin/rail/files", tag = "operators", params(PageQuery),
    responses((status = 200, description = "A page of files.", body = Page<wire::RailFile>)))]
async fn files(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Json<Page<wire::RailFile>>, Problem> {
    let (limit, before) = query.page()?;
    let found = state
        .bank
        .rail_files(&cx, before, limit.saturating_add(1))
        .await?;
    Ok(Json(page_of(
        found,
        limit,
        |last| last.id.to_string(),
        |item| file_to_wire(&item),
    )))
}

/// Ask that payments to other banks leave. Another operator decides.
///
/// The oldest 500 that wait go into one file. Until the request is approved their payers may still take them back.
#[utoipa::path(post, path = "/api/v1/admin/rail/files", tag = "operators",
    responses((status = 202, description = "Asked for.", body = ApprovalRequested)))]
async fn ask_for_release(State(state): State<AppState>, Auth(cx): Auth) -> Result<Response, Problem> {
    Ok(asked(state.bank.ask_for_release(&cx).await?))
}

/// Compare the books with the statements of the bank's own bank.
#[utoipa::path(get, path = "/api/v1/admin/rail/reconciliation", tag = "operators",
    responses((status = 200, description = "How they stand.", body = wire::Reconciliation)))]
async fn reconciliation(
    State(state): State<AppState>,
    Auth(cx): Auth,
) -> Result<Json<wire::Reconciliation>, Problem> {
    Ok(Json(reconciliation_to_wire(
        state.bank.reconciliation(&cx).await?,
    )))
}

/// List what statements say and nobody could place, newest first.
#[utoipa::path(get, path = "/api/v1/admin/suspense", tag = "operators", params(SuspenseQuery),
    responses((status = 200, description = "A page of items.", body = Page<wire::SuspenseItem>)))]
async fn suspense(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<SuspenseQuery>,
) -> Result<Json<Page<wire::SuspenseItem>>, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let before: Option<SuspenseItemId> = query
        .cursor
        .as_deref()
        .and_then(|cursor| check.id("?cursor", cursor));
    let open = check.open(query.state.as_deref());
    let (limit, open) = check.done(limit.zip(open))?;
    let more = limit.saturating_add(1);
    let found = state.bank.suspense_items(&cx, open, before, more).await?;
    Ok(Json(page_of(
        found,
        limit,
        |last| last.view.item.id.to_string(),
        |item| item_to_wire(&item),
    )))
}

/// Ask that an item be booked to a customer's account, or to the bank's own money. Another operator decides.
///
/// What came is credited, what went is debited. Never to an account of one of the two.
#[utoipa::path(post, path = "/api/v1/admin/suspense/{id}/resolve", tag = "operators",
    request_body = wire::ResolveSuspense, params(("id" = String, Path, description = "The item.")),
    responses((status = 202, description = "Asked for.", body = ApprovalRequested)))]
async fn resolve(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    draft: JsonDraft<wire::ResolveSuspense>,
) -> Result<Response, Problem> {
    let (account, reason) = draft.done(|body, check| {
        let account: Option<AccountId> = body
            .account_id
            .as_deref()
            .and_then(|account| check.id("/account_id", account));
        Some((account, body.reason))
    })?;
    let id = path_id::<SuspenseItemKind>(&id)?;
    let approval = state.bank.ask_to_resolve(&cx, id, account, &reason).await?;
    Ok(asked(approval))
}

fn file_to_wire(file: &RailFile) -> wire::RailFile {
    wire::RailFile {
        id: file.id.to_string(),
        name: name_of(file.id),
        approval_id: file.approval.to_string(),
        payments: file.payments,
        total: money(file.total, file.currency),
        digest: strongroom_domain::text::hex(&file.digest),
        released_at: file.released_at.to_string(),
        delivered_at: file.delivered_at.map(|at| at.to_string()),
    }
}

fn item_to_wire(details: &SuspenseDetails) -> wire::SuspenseItem {
    let item = &details.view.item;
    let state = if item.resolution.is_some() {
        "resolved"
    } else {
        "open"
    };
    wire::SuspenseItem {
        id: item.id.to_string(),
        state: state.to_owned(),
        direction: item.direction.name().to_owned(),
        amount: money(item.amount.minor(), item.currency),
        reason: item.reason.name().to_owned(),
        reference: details.reference.clone(),
        end_to_end_id: details.end_to_end.clone(),
        account_number: details.account.clone(),
        name: details.name.clone(),
        remittance: details.remittance.clone(),
        created_at: item.opened_at.to_string(),
        resolved_by: item.resolution.map(|id| id.cast::<TransferKind>().to_string()),
        approval_id: details.view.approval.map(|id| id.to_string()),
        resolved_at: details.view.resolved_at.map(|at| at.to_string()),
    }
}

fn reconciliation_to_wire(found: Reconciliation) -> wire::Reconciliation {
    let newest = found.newest;
    wire::Reconciliation {
        currency: found.currency.code().to_owned(),
        expected: found.expected,
        closing: newest.as_ref().and_then(|newest| newest.closing),
        message: newest.map(|newest| newest.message),
        clearing: found.sums.clearing,
        suspense: found.sums.suspense,
        open_items: found.sums.open_items,
        under_way: found.sums.under_way,
        under_way_total: found.sums.under_way_total,
        differences: found
            .differences
            .into_iter()
            .map(|difference| wire::RailDifference {
                kind: difference.kind.to_owned(),
                message: difference.message,
                expected: difference.expected,
                found: difference.found,
            })
            .collect(),
    }
}
