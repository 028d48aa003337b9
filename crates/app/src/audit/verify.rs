//! Verification: the log against itself and against checkpoints kept elsewhere, the books against the log.
//!
//! Nothing stored is believed. Every record is checked against its HMAC and its leaf, the leaves against the inner
//! nodes and the root, the root against every checkpoint at hand, every transaction and its entries against the digest
//! in its record; balances, sequences, pointers, freezes and floors are rebuilt from nothing and compared with the
//! accounts, and the tables of authority and rules with the newest records about their rows. Then every table is
//! searched for rows that nothing in the log leads to.
//!
//! The same code runs on a stopped database and on a living bank: it reads short snapshots, one per page, and catches
//! up with what was committed in between before it compares an account or a row. Memory is bounded: pages, and one
//! small value per account and per row of a slice.

mod books;
mod decisions;
mod log;
mod standing;
mod tail;

use strongroom_domain::audit::{
    CompactRange, Hash, NodeStore, check_consistency, consistency_proof, nodes_for_consistency,
    nodes_for_root,
    replay::{Finding, Findings, Problem, Replay, Slice},
    root_of,
};
use strongroom_store::{
    Store,
    audit::{LogSnapshot, Standing, Stray},
};

use crate::{
    audit::{
        log::SignedCheckpoint,
        verify::{log::LogChecks, standing::Standings},
    },
    error::Error,
    keys::LiveRing,
};

/// Leaves read at a time.
const PAGE_LEAVES: u32 = 2_000;
/// Accounts compared at a time.
const PAGE_ACCOUNTS: u32 = 2_000;
/// Keys of a table of authority or rules compared at a time.
const PAGE_STANDING: u32 = 2_000;
/// Policies whose texts are compared at a time: a text has up to 128 KiB.
const PAGE_TEXTS: u32 = 8;
/// Payments read at a time.
const PAGE_PAYMENTS: u32 = 10_000;
/// Rows searched at a time for such that nothing leads to.
const WINDOW_ROWS: u32 = 20_000;
/// Most accounts held in memory, and as many rows of the tables of authority and rules (about 300 bytes each); a larger
/// bank is rebuilt in several passes.
pub const ACCOUNTS_IN_MEMORY_MAX: u64 = 1_000_000;

/// What to verify, and against what.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Begin here: what this checkpoint covers was verified before. The log is proved to continue it.
    pub since: Option<SignedCheckpoint>,
    /// Checkpoints kept outside of the database; the log must continue each.
    pub checkpoints: Vec<SignedCheckpoint>,
    /// Most accounts held in memory at a time, and as many rows of authority and rules; [`ACCOUNTS_IN_MEMORY_MAX`] when
    /// absent.
    pub accounts_in_memory_max: Option<u64>,
}

/// What was verified, and what was found.
#[derive(Debug, Clone)]
pub struct Report {
    /// Number of leaves of the log.
    pub size: u64,
    /// Root of the verified log; the hash of nothing where it has holes.
    pub root: Hash,
    /// Records that were checked.
    pub records: u64,
    /// Transactions that were checked.
    pub transactions: u64,
    /// Entries that were checked.
    pub entries: u64,
    /// Accounts that were compared.
    pub accounts: u64,
    /// Records that no leaf covers yet; they were checked, and nothing proves that none is missing.
    pub unsealed: u64,
    /// Checkpoints that the log continues.
    pub checkpoints: u64,
    /// The first findings.
    pub findings: Vec<Finding>,
    /// How many findings there were.
    pub findings_count: u64,
}

impl Report {
    /// Whether everything fits.
    pub const fn is_clean(&self) -> bool {
        self.findings_count == 0
    }
}

/// Verifies. `progress` is told the number of records checked so far, once per page.
///
/// # Errors
/// When the database does not answer. What does not fit is no error but a finding.
pub async fn verify(
    store: &Store,
    keys: impl Into<LiveRing>,
    options: &VerifyOptions,
    mut progress: impl FnMut(u64) + Send,
) -> Result<Report, Error> {
    let snapshot = store.log_snapshot().await?;
    let mut standing = 0_u64;
    for table in Standing::ALL {
        standing = standing.saturating_add(snapshot.count_standing(*table).await?);
    }
    let slices = snapshot
        .count_accounts()
        .await?
        .max(standing)
        .div_ceil(
            options
                .accounts_in_memory_max
                .unwrap_or(ACCOUNTS_IN_MEMORY_MAX)
                .max(1),
        )
        .max(1);
    drop(snapshot);
    let mut run = Run::new(store, keys.into(), options).await?;
    if let Some(since) = &options.since {
        if run.continues_since(since).await? {
            run.tail(&mut progress).await?;
        }
        return Ok(run.report());
    }
    for index in 0..slices {
        run.pass(Slice { index, count: slices }, &mut progress).await?;
    }
    for stray in Stray::ALL {
        run.strays(stray, 0).await?;
    }
    run.unbound_decisions().await?;
    Ok(run.report())
}

/// One verification.
struct Run<'a> {
    store: &'a Store,
    options: &'a VerifyOptions,
    log: LogChecks,
    findings: Findings,
    accounts: u64,
}

impl<'a> Run<'a> {
    async fn new(store: &'a Store, keys: LiveRing, options: &'a VerifyOptions) -> Result<Self, Error> {
        let mut outside = options.checkpoints.clone();
        outside.sort_by_key(|checkpoint| checkpoint.size);
        outside.dedup();
        Ok(Self {
            store,
            options,
            log: LogChecks::new(keys, outside),
            findings: Findings::default(),
            accounts: 0,
        })
    }

    /// Reads the whole log once, rebuilding a slice of the accounts; the first pass checks the log itself as well.
    async fn pass(&mut self, slice: Slice, progress: &mut (impl FnMut(u64) + Send)) -> Result<(), Error> {
        let mut replay = Replay::new(slice);
        self.log.begin(
            slice.index == 0,
            CompactRange::default(),
            Standings::new(slice, true),
        );
        loop {
            let snapshot = self.store.log_snapshot().await?;
            let more = self.log.page(&snapshot, &mut replay, &mut self.findings).await?;
            progress(self.log.records);
            if !more {
                break;
            }
        }
        self.compare_standing(&mut replay).await?;
        self.compare_accounts(&mut replay).await?;
        if slice.index == 0 {
            let snapshot = self.store.log_snapshot().await?;
            self.log.finish(&snapshot, &mut self.findings).await?;
        }
        replay.finish(&mut self.findings);
        Ok(())
    }

    async fn strays(&mut self, stray: Stray, after: i64) -> Result<(), Error> {
        let problem = match stray {
            Stray::Records => Problem::RecordUnsealed,
            Stray::Transactions => Problem::TransactionUnrecorded,
            Stray::Entries => Problem::EntryStray,
            Stray::Leaves => Problem::LeafAgain,
            Stray::Decisions => Problem::DecisionsUnrecorded,
        };
        let mut next = Some(after);
        while let Some(after) = next {
            let found = self
                .store
                .log_snapshot()
                .await?
                .strays(stray, after, WINDOW_ROWS)
                .await?;
            for row in found.rows {
                let row = match stray {
                    Stray::Leaves => format!("of record {row}"),
                    Stray::Decisions => format!("of audit record {row}"),
                    _ => row.to_string(),
                };
                self.findings.add(stray.table(), row, problem);
            }
            next = found.next;
        }
        Ok(())
    }

    /// Whether the log continues the checkpoint that was verified before; then the tree is taken up there.
    async fn continues_since(&mut self, since: &SignedCheckpoint) -> Result<bool, Error> {
        let snapshot = self.store.log_snapshot().await?;
        let size = snapshot.position().await?.size;
        if size < since.size {
            let row = format!("of {} records", since.size);
            self.findings.add("checkpoint", row, Problem::CheckpointShort);
            return Ok(false);
        }
        let nodes = snapshot.nodes(&nodes_for_root(since.size)).await?;
        if root_of(since.size, &nodes) != Ok(since.root) {
            let row = format!("of {} records", since.size);
            self.findings.add("checkpoint", row, Problem::CheckpointBeside);
            return Ok(false);
        }
        let range = CompactRange::load(since.size, &nodes).map_err(Error::internal)?;
        for older in self.log.older_than(since.size) {
            if !continues(&snapshot, &older, (since.size, &since.root)).await? {
                let row = format!("of {} records", older.size);
                self.findings.add("checkpoint", row, Problem::CheckpointBeside);
            }
        }
        self.log.begin(true, range, Standings::new(Slice::ALL, false));
        Ok(true)
    }

    fn report(self) -> Report {
        Report {
            size: self.log.size(),
            root: self.log.root(),
            records: self.log.records,
            transactions: self.log.transactions,
            entries: self.log.entries,
            accounts: self.accounts,
            unsealed: self.log.unsealed,
            checkpoints: self.log.continued,
            findings: self.findings.kept().to_vec(),
            findings_count: self.findings.count(),
        }
    }
}

/// Whether a tree continues an older checkpoint, by the stored hashes.
async fn continues(
    snapshot: &LogSnapshot,
    older: &SignedCheckpoint,
    (size, root): (u64, &Hash),
) -> Result<bool, Error> {
    let nodes: NodeStore = snapshot.nodes(&nodes_for_consistency(older.size, size)).await?;
    let proved = consistency_proof(older.size, size, &nodes)
        .and_then(|proof| check_consistency((older.size, &older.root), (size, root), &proof));
    Ok(proved.is_ok())
}
