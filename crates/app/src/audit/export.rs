//! Records taken away, each with its proof, so that whoever has the file and the log's key needs no server to believe
//! it.
//!
//! An export goes through the log from its beginning, a bounded page at a time. Its end is fixed when it begins: the
//! newest signed head of that moment, which every later page continues, and proves it.

use std::sync::Arc;

use strongroom_domain::{
    action::Action,
    audit::{
        Details, Hash, NodeRange, NodeStore, Object, SignedRecord, inclusion_proof, nodes_for_inclusion,
        root_from_inclusion,
    },
};
use strongroom_store::{
    Scope,
    audit::{Direction, LogSnapshot},
};

use crate::{
    audit::{
        log::SignedCheckpoint,
        record::Entry,
        records::continued,
        search::{Part, RecordFilter, search},
    },
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
};

/// Most records of one page.
pub const EXPORT_RECORDS_MAX: u32 = 500;

/// Where an export goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportCursor {
    /// Where it ends: the size of the head that it began with.
    pub size: u64,
    /// The next position.
    pub next: u64,
}

/// A record with its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedRecord {
    /// Its position.
    pub leaf: u64,
    /// The record, with who acted and the HMAC that hides it from others.
    pub record: SignedRecord,
    /// Hashes from the leaf's sibling upwards.
    pub proof: Vec<Hash>,
}

/// A page of an export.
#[derive(Debug, Clone)]
pub struct ExportPage {
    /// The signed head that everything on the page leads to.
    pub checkpoint: Arc<SignedCheckpoint>,
    /// Size of the head that the export began with.
    pub size: u64,
    /// Proof that the page's head continues that one.
    pub consistency: Vec<Hash>,
    /// The records, oldest first.
    pub records: Vec<ExportedRecord>,
    /// Where it goes on; `None` at its end.
    pub next: Option<ExportCursor>,
}

impl Bank {
    /// A page of an export. It leaves a record of its own, before anything is handed out.
    ///
    /// # Errors
    /// `forbidden`; `not_found` while nothing is sealed; `validation_failed` for a cursor of another log.
    pub async fn export_audit(
        &self,
        cx: &Cx,
        filter: &RecordFilter,
        cursor: Option<ExportCursor>,
        limit: u32,
    ) -> Result<ExportPage, Error> {
        let permit = authorize(cx, Action::AuditExport, Resource::Bank)?;
        let checkpoint = self.checkpoints.latest().ok_or_else(Error::not_found)?;
        let begun = cursor.unwrap_or(ExportCursor {
            size: checkpoint.size,
            next: 0,
        });
        if begun.size > checkpoint.size || begun.next > begun.size {
            let detail = "must be the `next_cursor` of a page of this log";
            return Err(Error::field("/cursor", "invalid_value", detail));
        }
        let snapshot = self.store.log_snapshot().await?;
        let (_, consistency) = continued(&snapshot, begun.size, &checkpoint).await?;
        let part = Part {
            start: begun.next,
            end: begun.size,
        };
        let limit = limit.min(EXPORT_RECORDS_MAX);
        let found = search(&snapshot, filter, part, Direction::OldestFirst, limit).await?;
        let records = with_proofs(&snapshot, found.records, &checkpoint).await?;
        drop(snapshot);
        let page = ExportPage {
            size: begun.size,
            consistency,
            next: found.next.map(|next| ExportCursor {
                size: begun.size,
                next,
            }),
            records,
            checkpoint,
        };
        let entry = Entry {
            object: Object::Bank,
            outcome: "ok",
            details: Details::json(&told(&page, filter)),
        };
        let mut tx = self.store.write(Scope::Operator).await?;
        self.recorder.append(&mut tx, cx, &permit, entry).await?;
        tx.commit().await?;
        Ok(page)
    }
}

/// What the log keeps of a page, keys sorted: which positions were handed out, and whether all between them.
fn told(page: &ExportPage, filter: &RecordFilter) -> String {
    let position = |record: Option<&ExportedRecord>| {
        record.map_or_else(|| "null".to_owned(), |record| record.leaf.to_string())
    };
    format!(
        r#"{{"filtered":{},"first":{},"last":{},"records":{},"size":{}}}"#,
        !filter.is_whole(),
        position(page.records.first()),
        position(page.records.last()),
        page.records.len(),
        page.size
    )
}

/// Loads every node that some proof needs once, and proves each record.
async fn with_proofs(
    snapshot: &LogSnapshot,
    records: Vec<(u64, SignedRecord)>,
    checkpoint: &SignedCheckpoint,
) -> Result<Vec<ExportedRecord>, Error> {
    let mut ranges: Vec<NodeRange> = Vec::new();
    for (leaf, _) in &records {
        for range in nodes_for_inclusion(*leaf, checkpoint.size) {
            // Records ascend, and so do the tiles: a tile that is there is among the last ones.
            if !ranges.iter().rev().any(|known| *known == range) {
                ranges.push(range);
            }
        }
    }
    let nodes: NodeStore = snapshot.nodes(&ranges).await?;
    records
        .into_iter()
        .map(|(leaf, record)| {
            let proof = inclusion_proof(leaf, checkpoint.size, &nodes).map_err(Error::internal)?;
            let root = root_from_inclusion(leaf, checkpoint.size, record.leaf(), &proof);
            if root == Ok(checkpoint.root) {
                Ok(ExportedRecord { leaf, record, proof })
            } else {
                Err(Error::broken("a record that does not lead to the signed root"))
            }
        })
        .collect()
}
