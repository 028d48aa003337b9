//! `/admin/audit/exports`: records taken away with their proofs, in lines.

use axum::extract::State;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use strongroom_api::audit_export as wire;
use strongroom_app::audit::{
    export::{EXPORT_RECORDS_MAX, ExportCursor, ExportPage},
    search::RecordFilter,
};
use strongroom_domain::audit::Hash;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonDraft},
    state::AppState,
    v1::{
        admin_audit::{Wanted, audit_record},
        check::Check,
    },
    views::Lines,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(export))
}

/// Take audit records away, with what proves them.
///
/// Oldest first, one section of at most 500 records an answer: a line with the signed head, a line per record, a line
/// with the `next_cursor`. Sections put together in a file are verified offline by
/// `strongroom audit verify-export FILE --key VKEY`. The export ends where the log ended when it began, and each
/// section leaves a record in the log.
#[utoipa::path(post, path = "/api/v1/admin/audit/exports", tag = "operators", request_body = wire::NewAuditExport,
    responses((status = 200, description = "A section, in lines.", body = wire::AuditExportLine,
        content_type = "application/x-ndjson")))]
async fn export(
    State(state): State<AppState>,
    Auth(cx): Auth,
    draft: JsonDraft<wire::NewAuditExport>,
) -> Result<Lines<wire::AuditExportLine>, Problem> {
    let (filter, cursor, limit) = draft.done(|body, check| Some(section(check, &body)))?;
    let page = state.bank.export_audit(&cx, &filter, cursor, limit).await?;
    Ok(Lines(lines(
        &page,
        filter != Default::default(),
        cx.now().to_string(),
    )))
}

/// Of which records, from where on, and how many.
fn section(check: &mut Check, body: &wire::NewAuditExport) -> (RecordFilter, Option<ExportCursor>, u32) {
    let wanted = Wanted {
        action: body.action.as_deref(),
        object: body.object.as_deref(),
        principal: body.principal.as_deref(),
        outcome: body.outcome.as_deref(),
        refused: body.refused,
        from: body.from.as_deref(),
        to: body.to.as_deref(),
    };
    let filter = wanted.filter(check, '/');
    let limit = body.limit.unwrap_or(EXPORT_RECORDS_MAX);
    if !(1..=EXPORT_RECORDS_MAX).contains(&limit) {
        check.refuse("/limit", "out_of_range", "must lie between 1 and 500");
    }
    let cursor = body.cursor.as_deref().and_then(|text| {
        let cursor = cursor_of(text);
        if cursor.is_none() {
            check.refuse(
                "/cursor",
                "invalid_value",
                "must be the `next_cursor` of a section",
            );
        }
        cursor
    });
    (filter, cursor, limit)
}

/// `SIZE.NEXT`.
fn cursor_of(text: &str) -> Option<ExportCursor> {
    let (size, next) = text.split_once('.')?;
    Some(ExportCursor {
        size: size.parse().ok()?,
        next: next.parse().ok()?,
    })
}

fn hashes(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(|hash| STANDARD.encode(hash)).collect()
}

fn lines(page: &ExportPage, filtered: bool, exported_at: String) -> Vec<wire::AuditExportLine> {
    let mut lines = Vec::with_capacity(page.records.len() + 2);
    lines.push(wire::AuditExportLine::Head(wire::AuditExportHead {
        format: wire::EXPORT_FORMAT.to_owned(),
        checkpoint: page.checkpoint.note.clone(),
        size: page.size,
        consistency: hashes(&page.consistency),
        filtered,
        exported_at,
    }));
    lines.extend(page.records.iter().map(|exported| {
        wire::AuditExportLine::Record(Box::new(wire::ExportedRecord {
            leaf: exported.leaf,
            record: audit_record(exported.leaf, &exported.record),
            bytes: STANDARD.encode(exported.record.canonical()),
            mac_key: exported.record.mac_key,
            mac: STANDARD.encode(exported.record.mac),
            proof: hashes(&exported.proof),
        }))
    }));
    lines.push(wire::AuditExportLine::End(wire::AuditExportEnd {
        records: u32::try_from(page.records.len()).unwrap_or(u32::MAX),
        next_cursor: page.next.map(|next| format!("{}.{}", next.size, next.next)),
    }));
    lines
}
