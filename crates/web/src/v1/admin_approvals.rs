//! `/admin/approvals`: what one operator asks for and another decides.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use strongroom_api::{approvals as wire, money::Page};
use strongroom_app::{
    ExposeSecret,
    authority::approvals::{Approval, ApprovalState, Decision},
    identity::operators::{AddOperator, OperatorAdded},
};
use strongroom_domain::id::{ApprovalId, ApprovalKind, TransferId};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonBody, JsonDraft, OptionalJsonBody, QueryParams},
    state::AppState,
    v1::{
        api_keys::made,
        check::{Check, path_id},
        page::page_of,
        receipts::transaction_id,
    },
    views::Json,
};

/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(ask_for_operator))
        .routes(routes!(list))
        .routes(routes!(approve))
        .routes(routes!(reject))
        .routes(routes!(ask_for_reversal))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ApprovalsQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only those that are `open`, `approved`, `rejected` or `expired`.
    state: Option<String>,
}

/// The answer to who asked for what another person decides.
pub(super) fn asked(approval: ApprovalId) -> Response {
    let asked = wire::ApprovalRequested {
        approval_id: approval.to_string(),
    };
    (StatusCode::ACCEPTED, Json(asked)).into_response()
}

/// Ask for an operator. Another administrator decides; needs a fresh login or step-up.
#[utoipa::path(post, path = "/api/v1/admin/users", tag = "operators", request_body = wire::NewOperator,
    responses((status = 202, description = "Asked for.", body = wire::ApprovalRequested)))]
async fn ask_for_operator(
    State(state): State<AppState>,
    Auth(cx): Auth,
    draft: JsonDraft<wire::NewOperator>,
) -> Result<Response, Problem> {
    let input = draft.done(|body, check| {
        let role = check.operators_role("/role", &body.role);
        role.map(|role| AddOperator {
            email: body.email,
            full_name: body.full_name,
            role,
            break_glass: false,
        })
    })?;
    let approval = state.bank.ask_for_operator(&cx, input).await?;
    Ok(asked(approval))
}

/// Ask for a movement to be taken back. Another operator decides.
///
/// What was moved comes back by a contra movement of its own, once: of a payment, what refunds have left of it. A
/// freeze does not stop it; nobody is brought below what the account may stand at.
#[utoipa::path(post, path = "/api/v1/transfers/{id}/reversal", tag = "operators", request_body = wire::ReversalRequest,
    params(("id" = String, Path, description = "A transaction, transfer, deposit, withdrawal or payment.")),
    responses((status = 202, description = "Asked for.", body = wire::ApprovalRequested)))]
async fn ask_for_reversal(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<wire::ReversalRequest>,
) -> Result<Response, Problem> {
    let id = transaction_id(&id)?;
    let approval = state.bank.ask_for_reversal(&cx, id, &body.reason).await?;
    Ok(asked(approval))
}

/// List requests, newest first. Tellers see those about cash.
#[utoipa::path(get, path = "/api/v1/admin/approvals", tag = "operators", params(ApprovalsQuery),
    responses((status = 200, description = "A page of requests.", body = Page<wire::Approval>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<ApprovalsQuery>,
) -> Result<Json<Page<wire::Approval>>, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let before: Option<ApprovalId> = query
        .cursor
        .as_deref()
        .and_then(|cursor| check.id("?cursor", cursor));
    let wanted = query.state.as_deref().and_then(|name| {
        let found = ApprovalState::parse(name);
        if found.is_none() {
            check.refuse("?state", "invalid_value", "must be the name of a state");
        }
        found
    });
    let limit = check.done(limit)?;
    let more = limit.saturating_add(1);
    let found = state.bank.approvals(&cx, wanted, before, more).await?;
    Ok(Json(page_of(found, limit, |last| last.id.to_string(), to_wire)))
}

/// Do what somebody else asked for.
///
/// Needs a fresh login or step-up. Never by whoever asked, by a key, or by an operator of less than a day; by the roles
/// of the request's rule alone. The secrets of an operator who is new or lost a factor, and a key of one of the bank's
/// own programs, are in the answer, once.
#[utoipa::path(post, path = "/api/v1/admin/approvals/{id}/approve", tag = "operators",
    request_body = Option<wire::Decision>,
    params(("id" = String, Path, description = "The request.")),
    responses((status = 200, description = "Done.", body = wire::Approved)))]
async fn approve(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    OptionalJsonBody(body): OptionalJsonBody<wire::Decision>,
) -> Result<Json<wire::Approved>, Problem> {
    let id = path_id::<ApprovalKind>(&id)?;
    let approved = state
        .bank
        .approve_request(&cx, id, decision(body.unwrap_or_default())?)
        .await?;
    let operator = approved.operator.and_then(|operator| match operator {
        OperatorAdded::Ready {
            id,
            email,
            password,
            totp_uri,
        } => Some(wire::PrintedSecrets {
            id: id.to_string(),
            email,
            password: password.expose_secret().into(),
            totp_uri: totp_uri.expose_secret().into(),
        }),
        OperatorAdded::Requested { .. } => None,
    });
    Ok(Json(wire::Approved {
        approval: to_wire(approved.approval),
        operator,
        api_key: approved.api_key.as_ref().map(made),
        transfer_id: approved.booked.map(|id| {
            let id: TransferId = id.cast();
            id.to_string()
        }),
    }))
}

/// Refuse what somebody else asked for.
#[utoipa::path(post, path = "/api/v1/admin/approvals/{id}/reject", tag = "operators",
    request_body = Option<wire::Decision>,
    params(("id" = String, Path, description = "The request.")),
    responses((status = 200, description = "Refused.", body = wire::Approval)))]
async fn reject(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    OptionalJsonBody(body): OptionalJsonBody<wire::Decision>,
) -> Result<Json<wire::Approval>, Problem> {
    let id = path_id::<ApprovalKind>(&id)?;
    let rejected = state
        .bank
        .reject_request(&cx, id, decision(body.unwrap_or_default())?)
        .await?;
    Ok(Json(to_wire(rejected)))
}

fn decision(body: wire::Decision) -> Result<Decision, Problem> {
    let mut check = Check::default();
    let digest = body.digest.as_deref().and_then(|text| {
        let digest = digest_of(text);
        if digest.is_none() {
            check.refuse("/digest", "invalid_value", "must be 64 hexadecimal digits");
        }
        digest
    });
    check.done(Some(Decision {
        reason: body.reason,
        digest,
    }))
}

/// Reads lower-case hexadecimal digits.
fn digest_of(text: &str) -> Option<[u8; DIGEST_BYTES]> {
    let digits: Option<Vec<u8>> = text
        .bytes()
        .map(|byte| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        })
        .collect();
    let bytes: Vec<u8> = digits?
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect();
    bytes.try_into().ok().filter(|_| text.len() == 2 * DIGEST_BYTES)
}

fn to_wire(approval: Approval) -> wire::Approval {
    wire::Approval {
        id: approval.id.to_string(),
        action: approval.action,
        state: approval.state.name().to_owned(),
        maker_id: approval.maker.map(|maker| maker.to_string()),
        rule: wire::ApprovalRule {
            makers: approval.rule.makers,
            checkers: approval.rule.checkers,
            over: approval.rule.over,
        },
        request: approval.request,
        digest: strongroom_domain::text::hex(&approval.digest),
        created_at: approval.created_at.to_string(),
        expires_at: approval.expires_at.to_string(),
        checker_id: approval.checker.map(|checker| checker.to_string()),
        decided_at: approval.decided_at.map(|at| at.to_string()),
        reason: approval.reason,
    }
}
