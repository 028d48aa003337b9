//! The audit log as operators read it: pages by position, and proofs.

use std::sync::Arc;

use strongroom_domain::{
    action::Action,
    audit::{
        Hash, check_consistency, consistency_proof, inclusion_proof, leaf, nodes_for_consistency,
        nodes_for_inclusion, root_from_inclusion, root_of,
    },
};
use strongroom_store::audit::{Direction, LogSnapshot};

use crate::{
    audit::{
        log::SignedCheckpoint,
        search::{Found, Part, RecordFilter, search},
    },
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
};

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

/// Proof that the log of one size continues that of another.
#[derive(Debug, Clone)]
pub struct ConsistencyProof {
    /// Size and root of the earlier log.
    pub from: (u64, Hash),
    /// Size and root of the later one.
    pub to: (u64, Hash),
    /// Hashes (RFC 9162, section 2.1.4).
    pub proof: Vec<Hash>,
    /// The newest signed head, which continues both.
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
    ) -> Result<Found, Error> {
        authorize(cx, Action::AuditRead, Resource::Bank)?;
        authorize(cx, Action::AuditBrowse, Resource::Bank)?;
        let snapshot = self.store.log_snapshot().await?;
        let size = snapshot.position().await?.size;
        let part = Part {
            start: 0,
            end: below.unwrap_or(size).min(size),
        };
        search(&snapshot, filter, part, Direction::NewestFirst, limit).await
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

    /// Proof that the log of `to` leaves, or of the newest checkpoint, continues the log of `from` leaves.
    ///
    /// # Errors
    /// `forbidden`; `not_found` while nothing is sealed; `validation_failed` for sizes that no signed head has.
    pub async fn audit_consistency(
        &self,
        cx: &Cx,
        from: u64,
        to: Option<u64>,
    ) -> Result<ConsistencyProof, Error> {
        authorize(cx, Action::AuditRead, Resource::Bank)?;
        let checkpoint = self.checkpoints.latest().ok_or_else(Error::not_found)?;
        let to = to.unwrap_or(checkpoint.size);
        if to > checkpoint.size {
            let detail = "must not lie above the newest checkpoint's size";
            return Err(Error::field("?to", "out_of_range", detail));
        }
        if from > to {
            return Err(Error::field("?from", "out_of_range", "must not lie above `to`"));
        }
        let snapshot = self.store.log_snapshot().await?;
        // Both lead to the signed root: what is shown is what was signed.
        let (from_root, _) = continued(&snapshot, from, &checkpoint).await?;
        let (to_root, _) = continued(&snapshot, to, &checkpoint).await?;
        let nodes = snapshot.nodes(&nodes_for_consistency(from, to)).await?;
        let proof = consistency_proof(from, to, &nodes).map_err(Error::internal)?;
        check_consistency((from, &from_root), (to, &to_root), &proof).map_err(Error::internal)?;
        Ok(ConsistencyProof {
            from: (from, from_root),
            to: (to, to_root),
            proof,
            checkpoint,
        })
    }
}

/// The root of the first `size` leaves, and the proof that a signed head continues them.
pub(crate) async fn continued(
    snapshot: &LogSnapshot,
    size: u64,
    checkpoint: &SignedCheckpoint,
) -> Result<(Hash, Vec<Hash>), Error> {
    let nodes = snapshot
        .nodes(&nodes_for_consistency(size, checkpoint.size))
        .await?;
    let root = root_of(size, &nodes).map_err(Error::internal)?;
    let proof = consistency_proof(size, checkpoint.size, &nodes).map_err(Error::internal)?;
    check_consistency((size, &root), (checkpoint.size, &checkpoint.root), &proof)
        .map_err(|_| Error::broken("a log that does not lead to the signed root"))?;
    Ok((root, proof))
}
