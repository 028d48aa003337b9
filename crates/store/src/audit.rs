//! The audit log as it is stored: reading it for proofs and verification, sealing it, and telling when it grew.
//!
//! On SQLite every commit appends its own leaves. On PostgreSQL records carry the number of the transaction that wrote
//! them, and one elected node appends leaves for what is final ([`Sealer`]). Either way [`Store::log_growth`] tells of
//! every new end of the tree that is committed. Signing is not done here: this crate holds no key.

mod browse;
mod open;
mod rows;
mod sealer;
mod since;
mod snapshot;
mod standing;
mod strays;

use std::sync::atomic::{AtomicU64, Ordering};

pub use browse::{BlockRow, Direction, Summarised, Summed};
pub use rows::{Leaf, Stored, StoredAccount};
pub use sealer::Sealer;
pub(crate) use sealer::load_head;
pub use snapshot::{LogPosition, LogSnapshot};
pub use standing::{
    API_KEY_FIXED, APPROVES_FROM, LOGIN, Standing, StandingPage, StandingRow, Told, api_key_facts,
    key_of_number, login_digest, number_of, payee_digest,
};
pub use strays::{Stray, Strays};
use strongroom_domain::audit::CompactRange;
use tokio::sync::watch;

use crate::{
    error::StoreError,
    store::{Engines, Store},
};

/// The committed end of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogHead {
    /// The tree's right edge.
    pub range: CompactRange,
    /// Two heads of one lineage: the later one was made from the earlier one by appending, in memory. Another lineage
    /// was loaded from the database, and what it continues has to be proved.
    pub lineage: u64,
}

/// A lineage that no other head has.
pub(crate) fn new_lineage() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Tells of a new end of the log, if it is one.
pub(crate) fn grew(growth: &watch::Sender<LogHead>, range: &CompactRange, lineage: u64) {
    growth.send_if_modified(|head| {
        let is_new = head.lineage != lineage || head.range.size() != range.size();
        if is_new {
            *head = LogHead {
                range: range.clone(),
                lineage,
            };
        }
        is_new
    });
}

impl Store {
    /// The committed end of the log, and every later one.
    pub fn log_growth(&self) -> watch::Receiver<LogHead> {
        match &self.engines {
            Engines::Sqlite(engine) => engine.growth.subscribe(),
            Engines::Postgres(engine) => engine.growth.subscribe(),
        }
    }

    /// The committed end of the log as the database has it now, which another node may have moved meanwhile.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn log_head(&self) -> Result<LogHead, StoreError> {
        match &self.engines {
            Engines::Sqlite(engine) => Ok(engine.growth.borrow().clone()),
            Engines::Postgres(engine) => load_head(&mut engine.connect_ledger().await?).await,
        }
    }

    /// What seals the log on this engine; none where every commit does it. Every node runs one, and one of them works.
    pub fn sealer(&self) -> Option<Sealer> {
        match &self.engines {
            Engines::Sqlite(_) => None,
            Engines::Postgres(engine) => Some(Sealer::new(engine.clone())),
        }
    }
}
