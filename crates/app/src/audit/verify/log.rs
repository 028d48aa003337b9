//! The log itself: records, leaves, inner nodes, roots; and what each record leads to in the books.

use std::collections::{HashMap, HashSet, hash_map::Entry as Slot};

use strongroom_crypto::AuditMac;
use strongroom_domain::{
    audit::{
        CompactRange, Hash, SignedRecord, StoredNode,
        replay::{Findings, Problem, Replay, Slice, check_transaction},
    },
    transaction::Entry,
};
use strongroom_store::audit::{Leaf, LogSnapshot, Stored};

use crate::{
    audit::{
        log::SignedCheckpoint,
        verify::{PAGE_LEAVES, decisions::Batch, standing::Standings},
    },
    error::{Error, Kind},
    keys::LiveRing,
};

/// Most records that are read without a leaf: what is written in the seconds that a sealer may be away.
const UNSEALED_MAX: u32 = 100_000;

/// The checks of the log while it is read once from one end to the other.
pub(super) struct LogChecks {
    keys: LiveRing,
    macs: HashMap<i64, AuditMac>,
    /// The tree as it follows from the leaves read so far.
    range: CompactRange,
    /// Whether a leaf was missing: then roots say nothing any more.
    broken: bool,
    /// Whether this pass checks the log, or only rebuilds accounts.
    checks: bool,
    /// The next position.
    next: u64,
    /// Checkpoints that are still ahead, by size.
    ahead: Vec<SignedCheckpoint>,
    /// Records about decisions that are still to be compared with them.
    batches: Vec<Batch>,
    /// Records that were folded before their leaf was there.
    early: HashSet<i64>,
    /// What they say of the tables of authority and rules.
    pub(super) standing: Standings,
    pub(super) records: u64,
    pub(super) transactions: u64,
    pub(super) entries: u64,
    pub(super) unsealed: u64,
    pub(super) continued: u64,
    /// The lowest ids seen: of records, of transactions' first entries.
    pub(super) lowest: Option<(i64, i64)>,
}

impl LogChecks {
    pub(super) fn new(keys: LiveRing, ahead: Vec<SignedCheckpoint>) -> Self {
        Self {
            keys,
            macs: HashMap::new(),
            range: CompactRange::default(),
            broken: false,
            checks: true,
            next: 0,
            ahead,
            batches: Vec::new(),
            early: HashSet::new(),
            standing: Standings::new(Slice::ALL, true),
            records: 0,
            transactions: 0,
            entries: 0,
            unsealed: 0,
            continued: 0,
            lowest: None,
        }
    }

    /// Starts a pass at the end of `range`.
    pub(super) fn begin(&mut self, checks: bool, range: CompactRange, standing: Standings) {
        self.next = range.size();
        self.standing = standing;
        if checks {
            self.range = range;
        }
        self.checks = checks;
        self.early.clear();
    }

    /// The next position to be read.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    pub(super) const fn size(&self) -> u64 {
        self.range.size()
    }

    pub(super) fn root(&self) -> Hash {
        if self.broken {
            CompactRange::default().root()
        } else {
            self.range.root()
        }
    }

    /// Takes the checkpoints out that lie below a size.
    pub(super) fn older_than(&mut self, size: u64) -> Vec<SignedCheckpoint> {
        let split = self.ahead.partition_point(|checkpoint| checkpoint.size < size);
        self.ahead.drain(..split).collect()
    }

    /// What the first pass found the later ones do not say again.
    fn add(&self, findings: &mut Findings, table: &'static str, row: String, problem: Problem) {
        if self.checks {
            findings.add(table, row, problem);
        }
    }

    /// Reads and checks one page; whether there may be more.
    pub(super) async fn page(
        &mut self,
        snapshot: &LogSnapshot,
        replay: &mut Replay,
        findings: &mut Findings,
    ) -> Result<bool, Error> {
        let leaves = snapshot.leaves(self.next, PAGE_LEAVES).await?;
        self.take(snapshot, &leaves, replay, findings).await?;
        Ok(leaves.len() >= usize::try_from(PAGE_LEAVES).unwrap_or(usize::MAX))
    }

    /// Checks a page that was read.
    pub(super) async fn take(
        &mut self,
        snapshot: &LogSnapshot,
        leaves: &[Leaf],
        replay: &mut Replay,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let mut nodes = Vec::new();
        for leaf in leaves {
            if self.checks {
                self.place(leaf, &mut nodes, findings);
            }
            if let Some(position) = leaf.leaf {
                self.next = position.saturating_add(1);
            }
            if self.early.remove(&leaf.record_id) {
                continue;
            }
            self.contents(leaf, replay, findings);
        }
        if self.checks {
            check_nodes(snapshot, &nodes, findings).await?;
        }
        self.compare_batches(snapshot, findings).await
    }

    /// What was committed in this snapshot and has no leaf yet: folded once, checked again when its leaf is there.
    pub(super) async fn take_unsealed(
        &mut self,
        snapshot: &LogSnapshot,
        replay: &mut Replay,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let waiting = snapshot.unsealed(UNSEALED_MAX).await?;
        self.unsealed = u64::try_from(waiting.len()).unwrap_or_default();
        if self.unsealed >= u64::from(UNSEALED_MAX) {
            // Accounts are ahead of what is read here; to compare them would find faults where there are none.
            return Err(Error::new(
                Kind::Unavailable,
                "unavailable",
                "The audit log is far behind the books: see why no node seals it, and verify then.",
            ));
        }
        for leaf in &waiting {
            if self.early.insert(leaf.record_id) {
                self.contents(leaf, replay, findings);
            }
        }
        self.compare_batches(snapshot, findings).await
    }

    async fn compare_batches(
        &mut self,
        snapshot: &LogSnapshot,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        for batch in std::mem::take(&mut self.batches) {
            batch.compare(snapshot, findings).await?;
        }
        Ok(())
    }

    /// The leaf's place in the tree and the checkpoints that end here.
    fn place(&mut self, leaf: &Leaf, nodes: &mut Vec<StoredNode>, findings: &mut Findings) {
        let Some(position) = leaf.leaf else {
            findings.add(
                "audit_leaves",
                format!("of record {}", leaf.record_id),
                Problem::Unreadable,
            );
            return;
        };
        if position > self.next {
            let last = position.saturating_sub(1);
            let row = if self.next == last {
                last.to_string()
            } else {
                format!("{}..{last}", self.next)
            };
            findings.add("audit_leaves", row, Problem::LeafMissing);
            self.broken = true;
        }
        let Some(hash) = leaf.hash else {
            findings.add("audit_leaves", position, Problem::Unreadable);
            self.broken = true;
            return;
        };
        if !self.broken {
            self.end_of_checkpoints(findings);
            self.range.append(hash, |node| nodes.push(node));
        }
    }

    /// Compares every checkpoint of the tree's present size.
    fn end_of_checkpoints(&mut self, findings: &mut Findings) {
        let size = self.range.size();
        while self.ahead.first().is_some_and(|next| next.size <= size) {
            let checkpoint = self.ahead.remove(0);
            if checkpoint.size == size && checkpoint.root == self.range.root() {
                self.continued = self.continued.saturating_add(1);
            } else {
                let row = format!("of {} records", checkpoint.size);
                findings.add("checkpoint", row, Problem::CheckpointBeside);
            }
        }
    }

    /// The record, and what it is about.
    fn contents(&mut self, leaf: &Leaf, replay: &mut Replay, findings: &mut Findings) {
        let record = match &leaf.record {
            Stored::Is(record) => record,
            Stored::Missing => {
                let row = format!("{} of leaf {}", leaf.record_id, leaf.leaf.unwrap_or_default());
                return self.add(findings, "audit_records", row, Problem::RecordMissing);
            }
            Stored::Unreadable => {
                let row = leaf.record_id.to_string();
                return self.add(findings, "audit_records", row, Problem::Unreadable);
            }
        };
        if self.checks {
            self.records = self.records.saturating_add(1);
            self.signature(leaf, record, findings);
            self.batches.extend(Batch::of(record));
        }
        replay.record(record);
        self.standing.record(record);
        if record.details.transaction_digest().is_some() {
            self.transaction(leaf, record, replay, findings);
        }
    }

    pub(super) fn signature(&mut self, leaf: &Leaf, record: &SignedRecord, findings: &mut Findings) {
        let canonical = record.canonical();
        match self.mac(record.mac_key) {
            Some(mac) if mac.verify(&canonical, &record.mac) => {}
            Some(_) => findings.add("audit_records", record.id, Problem::MacWrong),
            None => findings.add("audit_records", record.id, Problem::MacKeyUnknown),
        }
        let changed = leaf.hash.is_some_and(|hash| record.leaf_of(canonical) != hash);
        if changed || record.id != leaf.record_id {
            findings.add("audit_records", record.id, Problem::RecordChanged);
        }
    }

    /// The audit key of this number. One that is not there is asked for again: it may have come in force meanwhile.
    fn mac(&mut self, number: i64) -> Option<&AuditMac> {
        match self.macs.entry(number) {
            Slot::Occupied(known) => Some(known.into_mut()),
            Slot::Vacant(slot) => {
                let kid = u32::try_from(number).ok()?;
                Some(slot.insert(self.keys.now().audit_mac_by_kid(kid)?))
            }
        }
    }

    fn transaction(
        &mut self,
        leaf: &Leaf,
        record: &SignedRecord,
        replay: &mut Replay,
        findings: &mut Findings,
    ) {
        let transaction = match &leaf.transaction {
            Stored::Is(transaction) => transaction,
            Stored::Missing => {
                let row = format!("of audit record {}", record.id);
                return self.add(findings, "transactions", row, Problem::TransactionMissing);
            }
            Stored::Unreadable => {
                let row = format!("of audit record {}", record.id);
                return self.add(findings, "transactions", row, Problem::Unreadable);
            }
        };
        let mut unreadable = Findings::default();
        let entries = readable(
            leaf,
            if self.checks {
                &mut *findings
            } else {
                &mut unreadable
            },
        );
        if self.checks {
            check_transaction(record, transaction, &entries, findings);
            self.transactions = self.transactions.saturating_add(1);
            let count = u64::try_from(entries.len()).unwrap_or_default();
            self.entries = self.entries.saturating_add(count);
            let (low, first) = self.lowest.unwrap_or((i64::MAX, i64::MAX));
            self.lowest = Some((low.min(record.id), first.min(transaction.first_entry)));
        }
        replay.entries(&entries, findings);
    }

    /// What can be told at the end of the log only.
    pub(super) async fn finish(
        &mut self,
        snapshot: &LogSnapshot,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        if !self.broken {
            self.end_of_checkpoints(findings);
        }
        for checkpoint in self.ahead.drain(..) {
            let row = format!("of {} records", checkpoint.size);
            let problem = if self.broken && checkpoint.size <= self.next {
                Problem::CheckpointBeside
            } else {
                Problem::CheckpointShort
            };
            findings.add("checkpoint", row, problem);
        }
        let position = snapshot.position().await?;
        if position.noted.is_some_and(|noted| noted != position.size) {
            findings.add("audit_head", 1, Problem::HeadWrong);
        }
        for (level, count) in snapshot.node_counts().await? {
            let full = position
                .size
                .checked_shr(level.saturating_mul(8))
                .unwrap_or_default();
            if count > full {
                let row = format!("{level}/{}", count.saturating_sub(1));
                findings.add("audit_nodes", row, Problem::NodeStray);
            }
        }
        Ok(())
    }
}

/// The entries that can be read; the others are findings.
pub(super) fn readable(leaf: &Leaf, findings: &mut Findings) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(leaf.entries.len());
    for entry in &leaf.entries {
        match entry {
            Ok(entry) => entries.push(*entry),
            Err(id) => findings.add("entries", id, Problem::Unreadable),
        }
    }
    entries
}

/// Compares the inner nodes that a page completed with the stored ones.
async fn check_nodes(
    snapshot: &LogSnapshot,
    nodes: &[StoredNode],
    findings: &mut Findings,
) -> Result<(), Error> {
    let mut levels: Vec<u32> = nodes.iter().map(|node| node.level).collect();
    levels.sort_unstable();
    levels.dedup();
    for level in levels {
        let of_level = || nodes.iter().filter(move |node| node.level == level);
        let first = of_level().map(|node| node.index).min().unwrap_or_default();
        let end = of_level()
            .map(|node| node.index)
            .max()
            .map_or(0, |last| last.saturating_add(1));
        let stored: HashMap<u64, Option<Hash>> = snapshot
            .nodes_between(level, first, end)
            .await?
            .into_iter()
            .collect();
        for node in of_level() {
            let row = format!("{level}/{}", node.index);
            match stored.get(&node.index) {
                Some(Some(hash)) if *hash == node.hash => {}
                Some(_) => findings.add("audit_nodes", row, Problem::NodeWrong),
                None => findings.add("audit_nodes", row, Problem::NodeMissing),
            }
        }
    }
    Ok(())
}
