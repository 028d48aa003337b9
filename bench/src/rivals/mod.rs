//! What somebody would write instead: the same transfer, one commit each, on the same machine and the same cluster.

mod pgbench;
mod sqlite;

pub(crate) use pgbench::Pgbench;
pub(crate) use sqlite::RawSqlite;

/// Accounts in a rival's table: as many as the server's customers have in the same rounds.
pub(crate) const ACCOUNTS: usize = 1_024;

/// What a rival managed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Managed {
    /// Transfers per second.
    pub(crate) rate: f64,
    /// Mean milliseconds per transfer, as its sender sees it.
    pub(crate) mean_ms: f64,
    /// CPU microseconds per transfer, database included.
    pub(crate) cpu_us: f64,
}
