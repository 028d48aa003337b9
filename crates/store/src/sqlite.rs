//! The embedded engine: who may write when, and how its connections are set up.
//!
//! One right to write, held by [`Gate`]: the ledger lane takes it for each batch, the control plane for each of its
//! write units, first come, first served. With the right comes the [`Head`]: the few facts that every writer continues.

use std::{
    cell::Cell,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use sea_orm::{
    DatabaseConnection, SqliteTransactionMode, SqlxSqliteConnector, TransactionOptions, TransactionTrait,
    sqlx,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use strongroom_domain::{
    audit::{CompactRange, NodeStore, nodes_for_root},
    time::Timestamp,
};

use tokio::sync::{OwnedMutexGuard, watch};

use crate::{
    audit::{LogHead, grew, new_lineage},
    error::StoreError,
    identity::Owners,
    ledger::{
        Known,
        outcomes::{OutcomeIndex, RUN_KEYS, SharedKeys},
    },
    settings::StoreSettings,
    tx::one,
};

/// The version that both libraries carry; older ones have a fault in resetting the write-ahead log.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// How long a connection waits for another that the gate should have kept away.
const BUSY_MILLIS: u64 = 5_000;
/// Fewest connections for reads that are called in the request's own task, or by the background for a millisecond.
/// There is one at least for each thread that runs tasks, and none is held across a wait.
const HOT_READERS_MIN: usize = 4;
const HOT_READERS_MAX: usize = 32;
const STATEMENTS_CACHED_MAX: usize = 128;
/// Pages in the write-ahead log that start a checkpoint: 80 MB.
const CHECKPOINT_PAGES: u32 = 20_000;
/// Page cache of the connection that writes, in KiB.
const LANE_CACHE_KIB: i64 = 16 * 1024;
/// Page cache of each hot reader, in KiB.
const READER_CACHE_KIB: i64 = 2 * 1024;

thread_local! {
    /// Pages in the write-ahead log after this thread's last commit, as SQLite's commit hook tells it.
    pub(crate) static WAL_PAGES: Cell<u64> = const { Cell::new(0) };
}

/// What every writer continues: loaded at start, moved on by each commit, loaded again after a failed one.
#[derive(Debug)]
pub(crate) struct Head {
    /// Whether the rest can be trusted.
    pub(crate) loaded: bool,
    pub(crate) log: CompactRange,
    /// Which loading the tree's edge goes back to.
    pub(crate) lineage: u64,
    pub(crate) next_entry: i64,
    pub(crate) next_record: i64,
    pub(crate) last_booked_at: Timestamp,
    pub(crate) epoch: i64,
    pub(crate) outcomes: OutcomeIndex,
    /// What is committed of accounts.
    pub(crate) known: Known,
}

pub(crate) type Gate = Arc<tokio::sync::Mutex<Head>>;

/// The embedded engine.
#[derive(Debug)]
pub(crate) struct SqliteEngine {
    pub(crate) path: PathBuf,
    pages_max: Option<u32>,
    /// Pages in the write-ahead log that start a checkpoint.
    pub(crate) checkpoint_pages: u64,
    pub(crate) gate: Gate,
    pub(crate) writer: DatabaseConnection,
    pub(crate) readers: DatabaseConnection,
    hot: Vec<Mutex<Option<Connection>>>,
    /// Where whoever has the right to write writes through prepared statements. One for all of them: a connection
    /// forgets the pages that it holds once another has written.
    writing: Mutex<Option<Connection>>,
    next_hot: AtomicUsize,
    /// Idempotency keys as last committed, for reads without the gate.
    pub(crate) keys: SharedKeys,
    /// Who is told of what happens to which account.
    pub(crate) owners: Owners,
    /// The epoch as last committed, for reads without the gate.
    pub(crate) epoch: AtomicI64,
    /// The committed end of the log.
    pub(crate) growth: watch::Sender<LogHead>,
    /// Pages in the write-ahead log after the lane's last commit.
    pub(crate) wal_pages: AtomicU64,
    /// The checkpointer has copied what it could: the lane may finish.
    pub(crate) wal_copied: AtomicBool,
}

impl SqliteEngine {
    pub(crate) async fn open(path: &Path, settings: &StoreSettings) -> Result<Self, StoreError> {
        if rusqlite::version_number() < SQLITE_VERSION_MIN {
            return Err(StoreError::setup(format!(
                "SQLite {} is too old",
                rusqlite::version()
            )));
        }
        create_private(path)?;
        let checkpoint_pages = settings.checkpoint_pages.unwrap_or(CHECKPOINT_PAGES).max(1);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .acquire_timeout(Duration::from_millis(BUSY_MILLIS))
            .connect_with(options(path, settings.pages_max, checkpoint_pages))
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(settings.connections_max.clamp(1, 4))
            .test_before_acquire(false)
            .acquire_timeout(Duration::from_millis(BUSY_MILLIS))
            .connect_lazy_with(
                options(path, None, checkpoint_pages)
                    .read_only(true)
                    .create_if_missing(false),
            );
        let keys = SharedKeys::default();
        Ok(Self {
            path: path.to_owned(),
            pages_max: settings.pages_max,
            checkpoint_pages: u64::from(checkpoint_pages),
            gate: Arc::new(tokio::sync::Mutex::new(Head::unloaded(keys.clone()))),
            keys,
            writer: SqlxSqliteConnector::from_sqlx_sqlite_pool(writer),
            readers: SqlxSqliteConnector::from_sqlx_sqlite_pool(readers),
            hot: Vec::new(),
            writing: Mutex::default(),
            next_hot: AtomicUsize::new(0),
            owners: Owners::default(),
            epoch: AtomicI64::new(0),
            growth: watch::Sender::default(),
            wal_pages: AtomicU64::new(0),
            wal_copied: AtomicBool::new(false),
        })
    }

    /// What needs the schema: the hot readers and the head.
    pub(crate) async fn start(&mut self) -> Result<(), StoreError> {
        let threads = std::thread::available_parallelism().map_or(HOT_READERS_MIN, usize::from);
        // One is there at once; each holds the schema, half a megabyte, and is opened when the others are in use.
        self.hot.push(Mutex::new(Some(self.connect_reader()?)));
        let most = threads.clamp(HOT_READERS_MIN, HOT_READERS_MAX);
        self.hot.resize_with(most, Mutex::default);
        // The control plane's connection is another library's: what it was told is read back from it.
        for (pragma, wanted) in [
            ("PRAGMA synchronous", "2"),
            ("PRAGMA journal_mode", "wal"),
            ("PRAGMA foreign_keys", "1"),
        ] {
            let row = one(&self.writer, pragma, vec![])
                .await?
                .ok_or(StoreError::Corrupt("no pragma"))?;
            let is = match row.try_get_by_index::<String>(0) {
                Ok(text) => text,
                Err(_) => row.try_get_by_index::<i64>(0)?.to_string(),
            };
            if is != wanted {
                return Err(StoreError::setup(format!("SQLite runs with {pragma} = {is}")));
            }
        }
        let connection = self.connect_lane()?;
        let mut head = self.gate.clone().lock_owned().await;
        *head = Head::load(&connection, &self.keys)?;
        self.epoch.store(head.epoch, Ordering::Release);
        grew(&self.growth, &head.log, head.lineage);
        Ok(())
    }

    /// Reads the head again after a commit of unknown outcome, on a thread that may wait for the disk.
    pub(crate) async fn reload(
        self: &Arc<Self>,
        mut head: OwnedMutexGuard<Head>,
    ) -> Result<OwnedMutexGuard<Head>, StoreError> {
        let engine = self.clone();
        let loading = tokio::task::spawn_blocking(move || {
            *head = Head::load(&engine.connect_lane()?, &engine.keys)?;
            engine.epoch.store(head.epoch, Ordering::Release);
            grew(&engine.growth, &head.log, head.lineage);
            Ok(head)
        });
        loading
            .await
            .map_err(|_| StoreError::Unavailable("loading stopped".to_owned()))?
    }

    /// Waits until the control plane's connection has ended its last transaction. SQLite ends some by itself (disk
    /// full), which the driver does not notice: then the connection is replaced.
    pub(crate) async fn settle(&self) {
        if let Ok(tx) = self.writer.begin_with_options(immediate()).await
            && tx.rollback().await.is_ok()
        {
            return;
        }
        if let Ok(connection) = self.writer.get_sqlite_connection_pool().acquire().await
            && let Err(error) = connection.close().await
        {
            tracing::warn!(error = %StoreError::from(error), "a connection did not close");
        }
    }

    /// A connection that writes, set up to lose nothing that was acknowledged.
    pub(crate) fn connect_lane(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        setup(&connection, LANE_CACHE_KIB)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;",
        )?;
        if let Some(pages) = self.pages_max {
            connection.pragma_update(None, "max_page_count", pages)?;
        }
        let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        let journal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        if synchronous != 2 || journal != "wal" {
            return Err(StoreError::setup(format!(
                "SQLite runs with journal {journal}, synchronous {synchronous}"
            )));
        }
        connection.wal_hook(Some(|_, pages| {
            WAL_PAGES.set(u64::try_from(pages).unwrap_or_default());
            Ok(())
        }));
        Ok(connection)
    }

    fn connect_reader(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        setup(&connection, READER_CACHE_KIB)?;
        Ok(connection)
    }

    /// The connection that writes, for who has the right to write. Whoever fails with it does not give it back.
    pub(crate) fn take_writing(&self) -> Result<Connection, StoreError> {
        let mut kept = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take().map_or_else(|| self.connect_lane(), Ok)
    }

    /// Gives it back, before the right to write.
    pub(crate) fn keep_writing(&self, connection: Connection) {
        let mut kept = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(connection);
    }

    /// One of the readers for a few microseconds' work in the caller's own task.
    pub(crate) fn hot(&self) -> Result<HotReader<'_>, StoreError> {
        let mut closed = None;
        for place in &self.hot {
            let reader = match place.try_lock() {
                Ok(reader) => reader,
                // A panic while reading leaves a read connection as it was.
                Err(TryLockError::Poisoned(reader)) => reader.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            if reader.is_some() {
                return Ok(HotReader(reader));
            }
            closed = Some(reader);
            break;
        }
        let Some(mut reader) = closed else {
            let place = self.next_hot.fetch_add(1, Ordering::Relaxed) % self.hot.len().max(1);
            return self.waited_for(place);
        };
        match self.connect_reader() {
            Ok(opened) => {
                *reader = Some(opened);
                Ok(HotReader(reader))
            }
            // The first one is there always.
            Err(error) => {
                drop(reader);
                tracing::warn!(%error, "one more reader could not be opened");
                self.waited_for(0)
            }
        }
    }

    fn waited_for(&self, place: usize) -> Result<HotReader<'_>, StoreError> {
        let mut reader = self.hot[place].lock().unwrap_or_else(PoisonError::into_inner);
        if reader.is_none() {
            *reader = Some(self.connect_reader()?);
        }
        Ok(HotReader(reader))
    }
}

/// A reader in use.
pub(crate) struct HotReader<'a>(MutexGuard<'a, Option<Connection>>);

impl Deref for HotReader<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0
            .as_ref()
            .expect("a reader is opened before it is given out")
    }
}

fn setup(connection: &Connection, cache_kib: i64) -> Result<(), StoreError> {
    connection.busy_timeout(Duration::from_millis(BUSY_MILLIS))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "recursive_triggers", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    Ok(())
}

fn options(path: &Path, pages_max: Option<u32>, checkpoint_pages: u32) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_millis(BUSY_MILLIS))
        .pragma("recursive_triggers", "ON")
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .pragma("temp_store", "MEMORY")
        // The lane's connection checkpoints by itself; a quiet bank with control-plane writes only does here.
        .pragma("wal_autocheckpoint", checkpoint_pages.to_string());
    let options = match pages_max {
        Some(pages) => options.pragma("max_page_count", pages.to_string()),
        None => options,
    };
    sqlx::ConnectOptions::disable_statement_logging(options)
}

/// The file is made for its owner alone before SQLite first opens it; its companions inherit the mode.
fn create_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::setup(format!(
            "cannot make the database file: {}",
            error.kind()
        ))),
    }
}

/// A transaction that writes says so at once: it never has to turn from a reader into a writer.
pub(crate) fn immediate() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    }
}

impl Head {
    fn unloaded(keys: SharedKeys) -> Self {
        Self {
            loaded: false,
            log: CompactRange::default(),
            lineage: 0,
            next_entry: 0,
            next_record: 0,
            last_booked_at: Timestamp::default(),
            epoch: 0,
            outcomes: OutcomeIndex::unloaded(keys),
            known: Known::default(),
        }
    }

    /// Reads a bounded number of rows, however long the books are.
    pub(crate) fn load(connection: &Connection, keys: &SharedKeys) -> Result<Self, StoreError> {
        let one = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let size = one("SELECT coalesce(max(leaf) + 1, 0) FROM audit_leaves")?;
        let size = u64::try_from(size).map_err(|_| StoreError::Corrupt("negative leaf"))?;
        Ok(Self {
            loaded: true,
            log: CompactRange::load(size, &load_nodes(connection, size)?)
                .map_err(|_| StoreError::Corrupt("the tree has holes"))?,
            lineage: new_lineage(),
            next_entry: one("SELECT coalesce(max(id), 0) + 1 FROM entries")?,
            next_record: one("SELECT coalesce(max(id), 0) + 1 FROM audit_records")?,
            last_booked_at: Timestamp::from_micros(one(
                "SELECT coalesce(max(at), 0) FROM (SELECT at FROM audit_records ORDER BY id DESC LIMIT 1)",
            )?),
            epoch: one("SELECT epoch FROM auth_epoch WHERE id = 1")?,
            outcomes: OutcomeIndex::load(connection, keys.clone(), RUN_KEYS)?,
            known: Known::default(),
        })
    }
}

fn load_nodes(connection: &Connection, size: u64) -> Result<NodeStore, StoreError> {
    let mut nodes = NodeStore::default();
    let to_i64 = |n: u64| i64::try_from(n).map_err(|_| StoreError::Corrupt("log too long"));
    for range in nodes_for_root(size) {
        let (start, end) = (
            to_i64(range.start)?,
            to_i64(range.start.saturating_add(range.count))?,
        );
        let mut insert = |position: i64, hash: [u8; 32]| {
            nodes.insert(range.level, u64::try_from(position).unwrap_or_default(), hash);
        };
        if range.level == 0 {
            let mut statement =
                connection.prepare("SELECT leaf, hash FROM audit_leaves WHERE leaf >= ?1 AND leaf < ?2")?;
            let mut rows = statement.query((start, end))?;
            while let Some(row) = rows.next()? {
                insert(row.get(0)?, row.get(1)?);
            }
        } else {
            let mut statement = connection.prepare(
                "SELECT position, hash FROM audit_nodes WHERE level = ?1 AND position >= ?2 AND position < ?3",
            )?;
            let mut rows = statement.query((range.level, start, end))?;
            while let Some(row) = rows.next()? {
                insert(row.get(0)?, row.get(1)?);
            }
        }
    }
    Ok(nodes)
}
