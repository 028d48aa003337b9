//! `/admin/audit`: the log, its signed head, and proofs.

use axum::extract::{Path, State};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use strongroom_api::{audit as wire, money::Page};
use strongroom_app::audit::search::RecordFilter;
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
    views::Json,
};

/// Longest name of an action or an outcome in a filter, in bytes.
const NAME_BYTES_MAX: usize = 64;

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(records))
        .routes(routes!(checkpoint))
        .routes(routes!(proof))
        .routes(routes!(consistency))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
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
    /// `ok`, or the code of a refusal: `insufficient_funds`.
    outcome: Option<String>,
    /// `true` for refusals only, `false` for what was done only.
    refused: Option<bool>,
    /// Not before this moment.
    from: Option<String>,
    /// Before this moment.
    to: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ConsistencyQuery {
    /// Leaves of the earlier log.
    from: u64,
    /// Leaves of the later log; those of the newest signed head when absent.
    to: Option<u64>,
}

/// What records are searched by, as it was sent.
pub(super) struct Wanted<'a> {
    pub(super) action: Option<&'a str>,
    pub(super) object: Option<&'a str>,
    pub(super) principal: Option<&'a str>,
    pub(super) outcome: Option<&'a str>,
    pub(super) refused: Option<bool>,
    pub(super) from: Option<&'a str>,
    pub(super) to: Option<&'a str>,
}

impl Wanted<'_> {
    /// The filter; `place` stands before the names of fields.
    pub(super) fn filter(&self, check: &mut Check, place: char) -> RecordFilter {
        let at = |field: &str| format!("{place}{field}");
        let filter = RecordFilter {
            action: self.action.and_then(|name| action(check, &at("action"), name)),
            object: self.object.and_then(|text| any_id(check, &at("object"), text)),
            principal: self
                .principal
                .and_then(|text| any_id(check, &at("principal"), text)),
            outcome: self.outcome.and_then(|code| outcome(check, &at("outcome"), code)),
            refused: self.refused,
            from: self.from.and_then(|text| check.moment(&at("from"), text)),
            to: self.to.and_then(|text| check.moment(&at("to"), text)),
        };
        if let (Some(from), Some(to)) = (filter.from, filter.to)
            && from >= to
        {
            check.refuse(&at("to"), "out_of_range", "must be later than `from`");
        }
        filter
    }
}

/// Any name that an action could have: also those of years ago are searched for.
fn action(check: &mut Check, pointer: &str, name: &str) -> Option<String> {
    let is_word = |word: &str| {
        let mut bytes = word.bytes();
        !word.is_empty() && bytes.all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let fits = name.len() <= NAME_BYTES_MAX
        && name
            .split_once('.')
            .is_some_and(|(noun, verb)| is_word(noun) && is_word(verb));
    if !fits {
        check.refuse(pointer, "invalid_value", "must be the name of an action");
    }
    fits.then(|| name.to_owned())
}

fn outcome(check: &mut Check, pointer: &str, code: &str) -> Option<String> {
    let fits = (1..=NAME_BYTES_MAX).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if !fits {
        check.refuse(pointer, "invalid_value", "must be `ok` or the code of a refusal");
    }
    fits.then(|| code.to_owned())
}

/// List audit records.
///
/// Newest first, in the order of the log. A page examines a bounded part of the log: with a filter it may hold few
/// records, and a `next_cursor` to go on.
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
    let wanted = Wanted {
        action: query.action.as_deref(),
        object: query.object.as_deref(),
        principal: query.principal.as_deref(),
        outcome: query.outcome.as_deref(),
        refused: query.refused,
        from: query.from.as_deref(),
        to: query.to.as_deref(),
    };
    let filter = wanted.filter(&mut check, '?');
    let limit = check.done(limit)?;
    let page = state.bank.audit_records(&cx, &filter, below, limit).await?;
    Ok(Json(Page {
        data: page
            .records
            .iter()
            .map(|(leaf, record)| audit_record(*leaf, record))
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
        cosigned: state.bank.cosigned_heads(&cx)?,
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

/// Prove that the log continues an earlier one.
///
/// For sizes up to that of the newest signed head. Both roots are shown; compare them with checkpoints that were kept.
#[utoipa::path(get, path = "/api/v1/admin/audit/consistency", tag = "operators", params(ConsistencyQuery),
    responses((status = 200, description = "The proof.", body = wire::ConsistencyProof)))]
async fn consistency(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<ConsistencyQuery>,
) -> Result<Json<wire::ConsistencyProof>, Problem> {
    let proof = state.bank.audit_consistency(&cx, query.from, query.to).await?;
    Ok(Json(wire::ConsistencyProof {
        from_size: proof.from.0,
        from_root: STANDARD.encode(proof.from.1),
        to_size: proof.to.0,
        to_root: STANDARD.encode(proof.to.1),
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

/// A record in the words of the contract.
pub fn audit_record(leaf: u64, record: &SignedRecord) -> wire::AuditRecord {
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
            .and_then(|text| serde_json::from_str(text).ok())
            .or_else(|| {
                let revision = record.details.fraud_rules()?;
                Some(serde_json::json!({"fraud_rules": revision}))
            }),
    }
}
