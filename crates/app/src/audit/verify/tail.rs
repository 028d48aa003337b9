//! Verification from a checkpoint on, in work proportional to what came after it.
//!
//! The accounts that were touched since begin where they stood at the checkpoint. That is not believed either: the
//! entry in which an account stood there is checked against its transaction, that against its record, and the record is
//! proved to lie under the checkpoint's root. What was not touched since is not looked at; a full verification does
//! that. Of the tables of authority and rules the rows that a later record tells of are compared, in what it tells.

use std::collections::HashSet;

use strongroom_domain::{
    audit::{
        inclusion_proof, nodes_for_inclusion,
        replay::{Problem, Replay, Start, check_transaction},
        root_from_inclusion,
    },
    id::AccountId,
    transaction::Entry,
};
use strongroom_store::audit::{Leaf, LogSnapshot, Stray};

use crate::{
    audit::verify::{PAGE_LEAVES, Run, log::readable},
    error::Error,
};

/// Most entries of one account that are stepped over because they came after the checkpoint, too.
const STEPS_MAX: usize = 8_192;

impl Run<'_> {
    pub(super) async fn tail(&mut self, progress: &mut (impl FnMut(u64) + Send)) -> Result<(), Error> {
        let mut replay = Replay::tail();
        let mut touched: HashSet<AccountId> = HashSet::new();
        loop {
            let snapshot = self.store.log_snapshot().await?;
            let more = self.tail_page(&snapshot, &mut replay, &mut touched).await?;
            progress(self.log.records);
            if !more {
                break;
            }
        }
        let mut touched: Vec<AccountId> = touched.into_iter().collect();
        touched.sort_unstable();
        let snapshot = self.store.log_snapshot().await?;
        let mut late = HashSet::new();
        while self.tail_page(&snapshot, &mut replay, &mut late).await? {}
        self.tail_unsealed(&snapshot, &mut replay, &mut late).await?;
        touched.extend(late);
        touched.sort_unstable();
        touched.dedup();
        for id in touched {
            let stored = snapshot.stored_account(id).await?;
            self.compare(&stored, &mut replay);
        }
        self.compare_standing_touched(&snapshot).await?;
        self.log.finish(&snapshot, &mut self.findings).await?;
        drop(snapshot);
        replay.finish(&mut self.findings);
        if let Some((record, entry)) = self.log.lowest {
            self.strays(Stray::Records, record.saturating_sub(1)).await?;
            self.strays(Stray::Leaves, record.saturating_sub(1)).await?;
            self.strays(Stray::Transactions, entry.saturating_sub(1)).await?;
            self.strays(Stray::Entries, entry.saturating_sub(1)).await?;
        }
        Ok(())
    }

    async fn tail_page(
        &mut self,
        snapshot: &LogSnapshot,
        replay: &mut Replay,
        touched: &mut HashSet<AccountId>,
    ) -> Result<bool, Error> {
        let leaves = snapshot.leaves(self.log.next(), PAGE_LEAVES).await?;
        self.start_accounts(snapshot, &leaves, replay, touched).await?;
        self.log
            .take(snapshot, &leaves, replay, &mut self.findings)
            .await?;
        Ok(leaves.len() >= usize::try_from(PAGE_LEAVES).unwrap_or(usize::MAX))
    }

    async fn tail_unsealed(
        &mut self,
        snapshot: &LogSnapshot,
        replay: &mut Replay,
        touched: &mut HashSet<AccountId>,
    ) -> Result<(), Error> {
        let waiting = snapshot.unsealed(PAGE_LEAVES).await?;
        self.start_accounts(snapshot, &waiting, replay, touched).await?;
        self.log.take_unsealed(snapshot, replay, &mut self.findings).await
    }

    /// Tells the fold where the accounts of these leaves stood at the checkpoint.
    async fn start_accounts(
        &mut self,
        snapshot: &LogSnapshot,
        leaves: &[Leaf],
        replay: &mut Replay,
        touched: &mut HashSet<AccountId>,
    ) -> Result<(), Error> {
        for leaf in leaves {
            if let Some(record) = leaf.record.value()
                && record.object_kind == "account"
                && record.outcome == "ok"
            {
                touched.insert(AccountId::from_bytes(record.object_id));
            }
            for entry in leaf.entries.iter().flatten() {
                touched.insert(entry.account);
                if replay.wants_start(entry) {
                    let start = self.start_of(snapshot, entry).await?;
                    replay.begin(entry.account, start);
                }
            }
        }
        Ok(())
    }

    /// Where the account of an entry stood at the checkpoint, proved.
    async fn start_of(&mut self, snapshot: &LogSnapshot, entry: &Entry) -> Result<Start, Error> {
        let nothing = Start {
            balance: 0,
            entries: 0,
            booked_at: entry.booked_at,
            path: None,
        };
        let Some(since) = &self.options.since else {
            return Ok(nothing);
        };
        let mut before = entry.prev;
        for _ in 0..STEPS_MAX {
            let Some(id) = before else {
                // The first entry of the account came after the checkpoint, too.
                return Ok(Start {
                    booked_at: Default::default(),
                    path: Some(Default::default()),
                    ..nothing
                });
            };
            let Some(leaf) = snapshot.leaf_of_entry(id).await? else {
                self.findings.add("entries", id, Problem::EntryMissing);
                return Ok(nothing);
            };
            let found = leaf
                .entries
                .iter()
                .flatten()
                .find(|found| found.id == id)
                .copied();
            let Some(found) = found.filter(|found| found.account == entry.account) else {
                self.findings.add("entries", id, Problem::EntryChanged);
                return Ok(nothing);
            };
            let Some(place) = leaf.leaf.filter(|place| *place < since.size) else {
                before = found.prev;
                continue;
            };
            let (size, root) = (since.size, since.root);
            let nodes = snapshot.nodes(&nodes_for_inclusion(place, size)).await?;
            let proof = inclusion_proof(place, size, &nodes);
            let record = leaf.record.value();
            let proved = record.zip(proof.ok()).is_some_and(|(record, proof)| {
                root_from_inclusion(place, size, record.leaf(), &proof) == Ok(root)
            });
            if let (Some(record), Some(transaction)) = (record, leaf.transaction.value()) {
                let entries = readable(&leaf, &mut self.findings);
                check_transaction(record, transaction, &entries, &mut self.findings);
            }
            if !proved {
                self.findings
                    .add("audit_records", leaf.record_id, Problem::RecordChanged);
            }
            return Ok(Start {
                balance: found.balance_after,
                entries: found.sequence,
                booked_at: found.booked_at,
                path: snapshot.path_at(&found).await?,
            });
        }
        Ok(nothing)
    }
}
