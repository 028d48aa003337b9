//! Receipts: what a party takes home as proof that a transaction is in the bank's log.

use std::{sync::Arc, time::Duration};

use strongroom_domain::{
    audit::{Receipt, inclusion_proof, leaf, nodes_for_inclusion},
    id::TransactionId,
    transaction::{Entry, entries_digest},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    audit::log::SignedCheckpoint,
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    money::transfers::may_read_transfers,
};

/// How long a receipt that is asked for right after the booking waits for the seal.
const SEAL_WAIT: Duration = Duration::from_secs(2);

/// A receipt with the checkpoint that it leads to.
#[derive(Debug, Clone)]
pub struct IssuedReceipt {
    /// From the facts to the root.
    pub receipt: Receipt,
    /// The signed root.
    pub checkpoint: Arc<SignedCheckpoint>,
}

impl Bank {
    /// The receipt of a transfer, deposit or withdrawal, for those who may read it. It says nothing of who acted and
    /// nothing of any balance.
    ///
    /// # Errors
    /// `not_found` when there is none, or the caller is no party of it; `receipt_pending` while it is not sealed.
    pub async fn receipt(&self, cx: &Cx, id: TransactionId) -> Result<IssuedReceipt, Error> {
        may_read_transfers(cx)?;
        let view = self.store.transaction(id).await?.ok_or_else(Error::not_found)?;
        self.check_party(cx, &view.transaction).await?;
        let deadline = Instant::now() + SEAL_WAIT;
        // Everybody who waits does so for the same next checkpoint.
        let mut published = self.checkpoints.subscribe();
        loop {
            let checkpoint = published.borrow_and_update().clone();
            if let Some(receipt) = self.prove(view.transaction.last_entry, checkpoint).await? {
                return Ok(receipt);
            }
            match timeout_at(deadline, published.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(pending()),
            }
        }
    }

    /// The receipt under a checkpoint; `None` when the checkpoint does not cover the transaction yet.
    async fn prove(
        &self,
        last_entry: i64,
        checkpoint: Option<Arc<SignedCheckpoint>>,
    ) -> Result<Option<IssuedReceipt>, Error> {
        let Some(checkpoint) = checkpoint else {
            return Ok(None);
        };
        let snapshot = self.store.log_snapshot().await?;
        let found = snapshot
            .leaf_of_entry(last_entry)
            .await?
            .ok_or_else(|| Error::broken("a transaction without its audit record"))?;
        let Some(place) = found.leaf.filter(|leaf| *leaf < checkpoint.size) else {
            return Ok(None);
        };
        let nodes = snapshot
            .nodes(&nodes_for_inclusion(place, checkpoint.size))
            .await?;
        let (Some(record), Some(transaction)) = (found.record.value(), found.transaction.value()) else {
            return Err(Error::broken("an audit record that cannot be read"));
        };
        let entries: Vec<Entry> = found.entries.iter().copied().filter_map(Result::ok).collect();
        let (public, caller) = leaf::split(record.canonical(), record.mac_key, &record.mac);
        let receipt = Receipt {
            facts: transaction.shown(),
            entries: entries_digest(&transaction.salt, &entries),
            record: public,
            caller,
            leaf: place,
            proof: inclusion_proof(place, checkpoint.size, &nodes).map_err(Error::internal)?,
        };
        // Never hand out what does not prove: that is an alarm here, not a surprise in court.
        if receipt.root(checkpoint.size).map_err(Error::internal)? != checkpoint.root {
            return Err(Error::broken("a receipt that does not lead to the signed root"));
        }
        Ok(Some(IssuedReceipt { receipt, checkpoint }))
    }
}

fn pending() -> Error {
    let detail = "The transaction is booked; its place in the log is not sealed yet. Ask again in a moment.";
    Error::new(Kind::Unavailable, "receipt_pending", detail).retry_after(Duration::from_secs(1))
}
