//! `/admin/audit`: the log, its signed head, and proofs.

use axum::{
    Json,
    extract::{Path, State},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use strongroom_api::{audit as wire, money::Page};
use strongroom_app::audit_records::RecordFilter;
use strongroom_domain::{
    audit::SignedRecord,
    id::{
        AccountId, ApiKeyId, DepositId, RequestId, SessionId, TransactionId, TransferId, UserId, WithdrawalId,
    },
    time::Timestamp,
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, QueryParams},
    state::AppState,
    v1::check::Check,
};

/// Longest name of an action in a filter, in bytes.
const ACTION_BYTES_MAX: usize = 64;

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(records))
        .routes(routes!(checkpoint))
        .routes(routes!(proof))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct RecordsQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// What was done or refused: `transfer.create`.
    action: Option<String>,
    /// To what: the id of an account, transaction, transfer, deposit, withdrawal or user.
    object: Option<String>,
    /// By whom: the id of a user or an API key.
    principal: Option<String>,
    /// `true` for refusals only, `false` for what was done only.
    refused: Option<bool>,
}

/// List audit records.
///
/// Newest first, in the order of the log. A page examines a bounded number of records: with a filter it may hold few,
/// and a
/// `next_cursor` to go on.
#[utoipa::path(get, path = "/api/v1/admin/audit/records", tag = "operators", params(RecordsQuery),
    responses((status = 200, description = "A page of records.", body = Page<wire::AuditRecord>)))]
async fn records(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<RecordsQuery>,
) -> Result<Json<Page<wire::AuditRecord>>, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let below = match query.cursor.as_deref().map(str::parse::<u64>) {
        Some(Err(_)) => {
            check.refuse("?cursor", "invalid_value", "must be the `next_cursor` of a page");
            None
        }
        Some(Ok(position)) => Some(position),
        None => None,
    };
    let action = query.action.filter(|action| {
        let fits = action.len() <= ACTION_BYTES_MAX;
        if !fits {
            check.refuse("?action", "invalid_value", "must be the name of an action");
        }
        fits
    });
    let filter = RecordFilter {
        action,
        object: query
            .object
            .as_deref()
            .and_then(|text| any_id(&mut check, "?object", text)),
        principal: query
            .principal
            .as_deref()
            .and_then(|text| any_id(&mut check, "?principal", text)),
        refused: query.refused,
    };
    let limit = check.done(limit)?;
    let page = state.bank.audit_records(&cx, &filter, below, limit).await?;
    Ok(Json(Page {
        data: page
            .records
            .iter()
            .map(|(leaf, record)| to_wire(*leaf, record))
            .collect(),
        next_cursor: page.next.map(|position| position.to_string()),
    }))
}

/// Get the newest signed head of the log.
///
/// Keep it where the bank's operators cannot write: `strongroom audit verify --checkpoint FILE` shows later that the
/// log still continues it.
#[utoipa::path(get, path = "/api/v1/admin/audit/checkpoint", tag = "operators",
    responses((status = 200, description = "The head and the log's keys.", body = wire::LogCheckpoint)))]
async fn checkpoint(
    State(state): State<AppState>,
    Auth(cx): Auth,
) -> Result<Json<wire::LogCheckpoint>, Problem> {
    let latest = state.bank.audit_checkpoint(&cx)?;
    Ok(Json(wire::LogCheckpoint {
        size: latest.as_ref().map_or(0, |latest| latest.size),
        checkpoint: latest.map(|latest| latest.note.clone()),
        keys: state.bank.log_keys(),
    }))
}

/// Prove that a record is in the log.
#[utoipa::path(get, path = "/api/v1/admin/audit/proof/{id}", tag = "operators",
    params(("id" = i64, Path, description = "The record's id.")),
    responses((status = 200, description = "The proof, under the newest signed head.", body = wire::RecordProof)))]
async fn proof(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::RecordProof>, Problem> {
    let id: i64 = id.parse().map_err(|_| Problem::not_found())?;
    let proof = state.bank.audit_proof(&cx, id).await?;
    Ok(Json(wire::RecordProof {
        record_id: id,
        record: STANDARD.encode(&proof.record),
        caller: STANDARD.encode(proof.caller),
        leaf: proof.leaf,
        proof: proof.proof.iter().map(|hash| STANDARD.encode(hash)).collect(),
        checkpoint: proof.checkpoint.note.clone(),
    }))
}

/// The bytes of an id of any kind that the log names.
pub(super) fn any_id(check: &mut Check, pointer: &str, text: &str) -> Option<[u8; 16]> {
    macro_rules! first_of {
        ($($kind:ident),*) => { $(if let Ok(id) = $kind::parse(text) { return Some(*id.as_bytes()); })* };
    }
    first_of!(
        AccountId,
        TransactionId,
        TransferId,
        DepositId,
        WithdrawalId,
        UserId,
        ApiKeyId,
        SessionId
    );
    check.refuse(pointer, "invalid_value", "must be an id");
    None
}

fn to_wire(leaf: u64, record: &SignedRecord) -> wire::AuditRecord {
    let nobody = [0; 16];
    let (principal_kind, principal) = match record.principal_kind {
        1 => ("user", Some(UserId::from_bytes(record.principal_id).to_string())),
        2 => (
            "api_key",
            Some(ApiKeyId::from_bytes(record.principal_id).to_string()),
        ),
        3 => ("job", None),
        4 => ("cli", Some(u128::from_be_bytes(record.principal_id).to_string())),
        _ => ("anonymous", None),
    };
    let origin = match record.origin {
        1 => "api",
        2 => "web",
        3 => "cli",
        _ => "job",
    };
    let object = match record.object_kind.as_str() {
        "bank" => None,
        "account" => Some(AccountId::from_bytes(record.object_id).to_string()),
        "transaction" => Some(TransactionId::from_bytes(record.object_id).to_string()),
        "user" => Some(UserId::from_bytes(record.object_id).to_string()),
        _ => Some(
            record
                .object_id
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        ),
    };
    wire::AuditRecord {
        id: record.id,
        leaf,
        at: Timestamp::from_micros(record.at).to_string(),
        request_id: RequestId::from_bytes(record.request).to_string(),
        principal_kind: principal_kind.to_owned(),
        principal,
        session_id: (record.session != nobody).then(|| SessionId::from_bytes(record.session).to_string()),
        origin: origin.to_owned(),
        action: record.action.clone(),
        object_kind: record.object_kind.clone(),
        object,
        outcome: record.outcome.clone(),
        policy: record.policy,
        details: record
            .details
            .json_text()
            .and_then(|text| serde_json::from_str(text).ok()),
    }
}
