//! What the store must be told to open.

use std::path::PathBuf;

/// Which database.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The embedded engine, in this file.
    Sqlite(PathBuf),
    /// A PostgreSQL server, by URL.
    Postgres(String),
}

impl std::fmt::Debug for DatabaseUrl {
    /// A URL may carry a password: it is never printed.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => out.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => out.write_str("Postgres([redacted])"),
        }
    }
}

/// How to open the store.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The database that serves requests.
    pub database: DatabaseUrl,
    /// PostgreSQL: login that owns the schema, for migrations only; the serving login when absent.
    pub migrate: Option<DatabaseUrl>,
    /// PostgreSQL: login of the ledger lane; the serving login, in the lane's role, when absent.
    pub ledger: Option<DatabaseUrl>,
    /// Migrate at start. Without it a pending migration is an error.
    pub migrate_at_start: bool,
    /// PostgreSQL: refuse serving logins that could change the schema or see past row security.
    pub needs_weak_login: bool,
    /// PostgreSQL: most connections for the control plane. SQLite: most read connections.
    pub connections_max: u32,
    /// SQLite: most pages the file may grow to; the engine's own bound when absent.
    pub pages_max: Option<u32>,
    /// SQLite: pages in the write-ahead log that start a checkpoint; 20,000 (80 MB) when absent. At 3.2 times the
    /// number the log is cut back to nothing, waiting for readers.
    pub checkpoint_pages: Option<u32>,
}

impl StoreSettings {
    /// Defaults for a database.
    pub const fn new(database: DatabaseUrl) -> Self {
        Self {
            database,
            migrate: None,
            ledger: None,
            migrate_at_start: true,
            needs_weak_login: false,
            connections_max: 8,
            pages_max: None,
            checkpoint_pages: None,
        }
    }
}
