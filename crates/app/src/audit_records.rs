//! The audit log as operators read it: pages by position, and proofs.

use std::sync::Arc;

use strongroom_domain::{
    action::Action,
    audit::{Hash, SignedRecord, inclusion_proof, leaf, nodes_for_inclusion, root_from_inclusion},
};
use strongroom_store::audit::Stored;

use crate::{
    audit_log::SignedCheckpoint,
    authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
};

/// Most positions that one page examines: a filter that hits seldom gets short pages and a cursor.
const EXAMINED_MAX: u32 = 1_000;

/// Which records a reader wants; absent fields want all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// What was done or refused.
    pub action: Option<String>,
    /// To what.
    pub object: Option<[u8; 16]>,
    /// By whom.
    pub principal: Option<[u8; 16]>,
    /// `true`: only what was refused; `false`: only what was done.
    pub refused: Option<bool>,
}

impl RecordFilter {
    fn takes(&self, record: &SignedRecord) -> bool {
        self.action.as_ref().is_none_or(|action| *action == record.action)
            && self.object.is_none_or(|object| object == record.object_id)
            && self.principal.is_none_or(|who| who == record.principal_id)
            && self
                .refused
                .is_none_or(|refused| refused == (record.outcome != "ok"))
    }
}

/// A page of the log, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPage {
    /// Position and record.
    pub records: Vec<(u64, SignedRecord)>,
    /// Where the next page begins: below this position. `None` at the log's beginning.
    pub next: Option<u64>,
}

/// Proof that a record is in the log.
#[derive(Debug, Clone)]
pub struct RecordProof {
    /// The record without who acted.
    pub record: Vec<u8>,
    /// Commitment to who acted.
    pub caller: Hash,
    /// Its position.
    pub leaf: u64,
    /// Hashes from the leaf's sibling upwards.
    pub proof: Vec<Hash>,
    /// The signed root.
    pub checkpoint: Arc<SignedCheckpoint>,
}

impl Bank {
    /// Records below a position, newest first. Follows the leaf, which never changes, and not the id.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn audit_records(
        &self,
        cx: &Cx,
        filter: &RecordFilter,
        below: Option<u64>,
        limit: u32,
    ) -> Result<RecordPage, Error> {
        authorize(cx, Action::AuditRead, Resource::Bank)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let snapshot = self.store.log_snapshot().await?;
        let examined = snapshot.newest_records(below, EXAMINED_MAX).await?;
        let is_end = examined.len() < usize::try_from(EXAMINED_MAX).unwrap_or(usize::MAX);
        let mut page = RecordPage {
            records: Vec::new(),
            next: None,
        };
        for (position, stored) in &examined {
            if page.records.len() >= limit {
                return Ok(page);
            }
            page.next = Some(*position).filter(|position| *position > 0);
            match stored {
                Stored::Is(record) if filter.takes(record) => page.records.push((*position, record.clone())),
                Stored::Is(_) => {}
                Stored::Missing | Stored::Unreadable => {
                    return Err(Error::broken("an audit record that cannot be read"));
                }
            }
        }
        if is_end {
            page.next = None;
        }
        Ok(page)
    }

    /// Proof that a record is in the log, under the newest checkpoint.
    ///
    /// # Errors
    /// `forbidden`, `not_found` for a record that is not there or not sealed yet.
    pub async fn audit_proof(&self, cx: &Cx, record: i64) -> Result<RecordProof, Error> {
        authorize(cx, Action::AuditRead, Resource::Bank)?;
        let checkpoint = self.checkpoints.latest().ok_or_else(Error::not_found)?;
        let snapshot = self.store.log_snapshot().await?;
        let place = snapshot
            .leaf_of(record)
            .await?
            .filter(|leaf| *leaf < checkpoint.size)
            .ok_or_else(Error::not_found)?;
        let found = snapshot.leaves(place, 1).await?;
        let record = found.first().and_then(|leaf| leaf.record.value());
        let record = record.ok_or_else(|| Error::broken("an audit record that cannot be read"))?;
        let (public, caller) = leaf::split(record.canonical(), record.mac_key, &record.mac);
        let nodes = snapshot
            .nodes(&nodes_for_inclusion(place, checkpoint.size))
            .await?;
        let proof = inclusion_proof(place, checkpoint.size, &nodes).map_err(Error::internal)?;
        let root = root_from_inclusion(place, checkpoint.size, record.leaf(), &proof);
        if root != Ok(checkpoint.root) {
            return Err(Error::broken("a proof that does not lead to the signed root"));
        }
        Ok(RecordProof {
            record: public,
            caller,
            leaf: place,
            proof,
            checkpoint,
        })
    }
}
