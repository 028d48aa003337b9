//! The lane on SQLite: one thread, one connection, prepared single-row statements, one flush per batch.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension};
use strongroom_domain::{
    account::Account,
    hold::Hold,
    iban::Iban,
    id::{AccountId, StepUpId},
    ledger::{Book, Changes, FraudBook, StepUp},
    time::Timestamp,
};
use tokio::sync::OwnedMutexGuard;

use crate::{
    audit::grew,
    error::StoreError,
    ledger::{
        LaneClock, LaneCounters, Need, is_due,
        leases::Slices,
        rows::{AccountRow, HoldRow, StateRow, hold_columns},
        sqlite_bounds::{find_budgets, find_nonces},
        sqlite_limits::{find_limits, lease},
        sqlite_payments::find_payments,
        sqlite_rail::find_rail,
        sqlite_sending::find_sending,
        sqlite_write::write,
    },
    sqlite::{Head, SqliteEngine, WAL_PAGES},
};

/// Keys moved into a run by each batch, at most; and by each idle step.
const SEAL_KEYS_PER_BATCH: usize = 2_048;
/// At so many tenths of the pages that start a checkpoint the log is cut back to nothing, waiting for readers: 256 MB.
const TRUNCATE_TENTHS: u64 = 32;

/// The writer of the embedded engine.
#[derive(Debug)]
pub struct SqliteLane {
    engine: Arc<SqliteEngine>,
    clock: Arc<dyn LaneClock>,
    connection: Option<Connection>,
    open: Option<OwnedMutexGuard<Head>>,
    slices: Slices,
    counters: LaneCounters,
}

impl SqliteLane {
    pub(crate) fn new(engine: Arc<SqliteEngine>, clock: Arc<dyn LaneClock>) -> Self {
        Self {
            engine,
            clock,
            connection: None,
            open: None,
            slices: Slices::default(),
            counters: LaneCounters::default(),
        }
    }

    pub(crate) const fn counters(&self) -> LaneCounters {
        self.counters
    }

    pub(crate) async fn begin(&mut self, need: &Need) -> Result<Book, StoreError> {
        self.abandon();
        let head = self.engine.gate.clone().lock_owned().await;
        // Kept from here on, so that a failure is rolled back before the right to write goes to somebody else.
        self.open = Some(head);
        let begun = self.begin_locked(need);
        if begun.is_err() {
            self.abandon();
        }
        begun
    }

    fn begin_locked(&mut self, need: &Need) -> Result<Book, StoreError> {
        let Some(head) = self.open.as_mut() else {
            return Err(StoreError::Corrupt("no right to write"));
        };
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.engine.take_writing()?,
        };
        let connection = self.connection.insert(connection);
        execute(connection, "BEGIN IMMEDIATE", &mut self.counters)?;
        // No account changes without a record: if there are others than ours, another process wrote to the file.
        self.counters.statements += 1;
        if !head.loaded || next_record(connection)? != head.next_record {
            **head = Head::load(connection, &self.engine.keys)?;
            self.engine.epoch.store(head.epoch, Ordering::Release);
        }
        load(
            connection,
            head,
            &self.slices,
            need,
            self.clock.as_ref(),
            &mut self.counters,
        )
    }

    pub(crate) fn commit(&mut self, mut book: Book, changes: &Changes) -> Result<(), StoreError> {
        let (Some(connection), Some(mut head)) = (self.connection.as_mut(), self.open.take()) else {
            return Err(StoreError::Corrupt("commit without begin"));
        };
        if changes.is_empty() {
            let ended = execute(connection, "ROLLBACK", &mut self.counters);
            match ended {
                Ok(()) => self.give_back(),
                Err(_) => self.connection = None,
            }
            return ended;
        }
        // From here on a failure leaves the head in doubt: the next writer loads it again.
        head.loaded = false;
        let slices = std::mem::take(&mut self.slices);
        let written = write_all(connection, &mut head, &book, changes, &mut self.counters);
        if let Err(error) = written {
            head.outcomes.distrust();
            self.connection = None;
            return Err(error);
        }
        if execute(connection, "COMMIT", &mut self.counters).is_err() {
            // Full, failed or busy: what the file holds is known once it was opened again.
            head.outcomes.distrust();
            self.connection = None;
            return Err(StoreError::CommitUnknown);
        }
        self.slices = slices;
        self.slices.keep(&book.bank_left, book.today);
        head.outcomes.committed(&changes.outcomes);
        head.outcomes.sealed();
        head.next_entry = book.next_entry;
        head.next_record = book.next_record;
        head.last_booked_at = book.booked_at;
        if let Some(log) = book.log.take() {
            head.log = log;
        }
        head.known.committed(book, changes);
        grew(&self.engine.growth, &head.log, head.lineage);
        head.loaded = true;
        self.counters.batches += 1;
        self.checkpoint();
        self.give_back();
        drop(head);
        Ok(())
    }

    /// Moves keys into runs while nobody waits, a bounded number per call.
    pub(crate) async fn idle(&mut self) {
        self.abandon();
        let mut head = self.engine.gate.clone().lock_owned().await;
        if !head.loaded || !head.outcomes.wants_sealing() {
            return;
        }
        let Ok(connection) = self.engine.take_writing() else {
            return;
        };
        head.loaded = false;
        let moved = connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(StoreError::from)
            .and_then(|()| head.outcomes.seal_some(&connection, SEAL_KEYS_PER_BATCH))
            .and_then(|_| Ok(connection.execute_batch("COMMIT")?));
        match moved {
            Ok(()) => {
                head.outcomes.sealed();
                head.loaded = true;
                self.engine.keep_writing(connection);
            }
            Err(error) => {
                tracing::warn!(%error, "moving idempotency keys into a run failed; it is tried again");
                head.outcomes.distrust();
            }
        }
    }

    /// The connection goes on before the right to write does.
    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.engine.keep_writing(connection);
        }
    }

    /// In the lane's gap, with the right to write in hand: most pages were copied by the checkpointer beside us
    /// already, and only when the last one is copied does the log start over.
    fn checkpoint(&self) {
        let pages = WAL_PAGES.get();
        self.engine.wal_pages.store(pages, Ordering::Relaxed);
        let mode = if pages >= self.engine.checkpoint_pages * TRUNCATE_TENTHS / 10 {
            "TRUNCATE"
        } else if self.engine.wal_copied.swap(false, Ordering::Relaxed) {
            "PASSIVE"
        } else {
            return;
        };
        if let Some(connection) = &self.connection {
            let run = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
            if let Err(error) = run {
                tracing::warn!(error = %StoreError::from(error), "checkpoint failed; it is tried again");
            }
        }
    }

    /// Ends a batch that was begun and not committed: first its transaction, then the right to write.
    pub(crate) fn abandon(&mut self) {
        let clean = self.connection.as_ref().is_none_or(|connection| {
            connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok()
        });
        if clean {
            self.give_back();
        } else {
            self.connection = None;
        }
        self.open = None;
    }
}

fn next_record(connection: &Connection) -> Result<i64, StoreError> {
    let mut newest = connection.prepare_cached("SELECT coalesce(max(id), 0) + 1 FROM audit_records")?;
    Ok(newest.query_row([], |row| row.get(0))?)
}

fn execute(connection: &Connection, sql: &str, counters: &mut LaneCounters) -> Result<(), StoreError> {
    counters.statements += 1;
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

fn load(
    connection: &Connection,
    head: &mut Head,
    slices: &Slices,
    need: &Need,
    clock: &dyn LaneClock,
    counters: &mut LaneCounters,
) -> Result<Book, StoreError> {
    let mut accounts = HashMap::with_capacity(need.accounts.len());
    let mut booked_at = clock.now().max(head.last_booked_at);
    for id in &need.accounts {
        let account = match head.known.account(id) {
            Some(account) => Some(account.clone()),
            None => {
                counters.statements += 1;
                let found = find_account(connection, *id)?;
                if let Some(account) = &found {
                    head.known.found(account);
                }
                found
            }
        };
        if let Some(account) = account {
            booked_at = booked_at.max(account.last_booked_at);
            accounts.insert(*id, account);
        }
    }
    let mut outcomes = HashMap::with_capacity(need.tags.len());
    for tag in &need.tags {
        if let Some(outcome) = head.outcomes.find(connection, tag, &mut counters.statements)? {
            outcomes.insert(*tag, outcome);
        }
    }
    let mut step_ups = std::collections::HashMap::new();
    for id in &need.step_ups {
        counters.statements += 1;
        if let Some(approval) = find_step_up(connection, *id)? {
            step_ups.insert(*id, approval);
        }
    }
    let mut holds = HashMap::new();
    for id in &need.holds {
        counters.statements += 1;
        for hold in find_holds(connection, HOLD_BY_ID, id.as_bytes())? {
            holds.insert(hold.id, hold);
        }
    }
    for account in accounts.values().filter(|account| is_due(account, booked_at)) {
        counters.statements += 1;
        for hold in find_holds(connection, OPEN_HOLDS_OF, account.id.as_bytes())? {
            holds.insert(hold.id, hold);
        }
    }
    let budgets = find_budgets(connection, need, counters)?;
    let nonces = find_nonces(connection, need, counters)?;
    let known = find_limits(connection, need, &accounts, counters)?;
    let payments = find_payments(connection, &need.payments, counters)?;
    let sending = find_sending(connection, &need.sending, counters)?;
    let rail = find_rail(connection, &need.rail, counters)?;
    let mut taken_numbers = std::collections::HashSet::new();
    for number in &need.numbers {
        counters.statements += 1;
        if number_exists(connection, number)? {
            taken_numbers.insert(number.clone());
        }
    }
    let (rules, today) = (clock.limits(), clock.day(booked_at));
    let mut granted = HashMap::new();
    for ask in slices.asks(&rules, &need.pays, &accounts, today) {
        granted.insert(ask.currency, lease(connection, &ask, counters)?);
    }
    Ok(Book {
        bank_left: slices.of_batch(&rules, &accounts, &granted, today),
        accounts,
        outcomes,
        step_ups,
        holds,
        budgets,
        nonces,
        limits: known.limits,
        account_limits: known.accounts,
        rules,
        fraud: FraudBook::new(clock.fraud(), clock.hour(booked_at), known.features),
        payments,
        sending,
        rail,
        taken_numbers,
        epoch: head.epoch,
        booked_at,
        today,
        next_entry: head.next_entry,
        next_record: head.next_record,
        log: Some(head.log.clone()),
    })
}

/// The columns of [`AccountRow`], in its order.
const FIND_ACCOUNT: &str = "SELECT a.id, a.owner, a.kind, a.currency, s.floor, s.freezes, s.closed, s.balance, s.held, \
     s.entries, s.last_booked_at, s.path, s.holds, s.hold_due FROM account_states s JOIN accounts a ON a.id = s.account_id WHERE s.account_id = ?1";

pub(crate) fn find_account(connection: &Connection, id: AccountId) -> Result<Option<Account>, StoreError> {
    let mut statement = connection.prepare_cached(FIND_ACCOUNT)?;
    let row = statement
        .query_row([id.as_bytes()], |row| {
            Ok(AccountRow {
                id: row.get(0)?,
                owner: row.get(1)?,
                kind: row.get(2)?,
                currency: row.get(3)?,
                state: StateRow {
                    floor: row.get(4)?,
                    freezes: row.get(5)?,
                    closed: row.get(6)?,
                    balance: row.get(7)?,
                    held: row.get(8)?,
                    entries: row.get(9)?,
                    last_booked_at: row.get(10)?,
                    path: row.get(11)?,
                    holds: row.get(12)?,
                    hold_due: row.get(13)?,
                },
            })
        })
        .optional()?;
    row.map(Account::try_from).transpose()
}

const HOLD_BY_ID: &str = concat!("SELECT ", hold_columns!(), " FROM holds h WHERE h.id = ?1");
const OPEN_HOLDS_OF: &str = concat!(
    "SELECT ",
    hold_columns!(),
    " FROM holds h WHERE h.account_id = ?1 AND h.state = 0"
);

fn find_holds(connection: &Connection, sql: &str, id: &[u8; 16]) -> Result<Vec<Hold>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map([id], sqlite_hold)?;
    found.map(|row| Hold::try_from(row?)).collect()
}

pub(crate) fn sqlite_hold(row: &rusqlite::Row<'_>) -> rusqlite::Result<HoldRow> {
    Ok(HoldRow {
        id: row.get(0)?,
        account: row.get(1)?,
        to_account: row.get(2)?,
        amount: row.get(3)?,
        currency: row.get(4)?,
        captured: row.get(5)?,
        state: row.get(6)?,
        placed_at: row.get(7)?,
        expires_at: row.get(8)?,
        closed_at: row.get(9)?,
        review: row.get(10)?,
    })
}

fn find_step_up(connection: &Connection, id: StepUpId) -> Result<Option<StepUp>, StoreError> {
    let row = connection
        .prepare_cached("SELECT request, expires_at, spent_at FROM step_ups WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| {
            Ok(StepUp {
                request: row.get(0)?,
                expires_at: Timestamp::from_micros(row.get(1)?),
                spent: row.get::<_, Option<i64>>(2)?.is_some(),
            })
        })
        .optional()?;
    Ok(row)
}

fn number_exists(connection: &Connection, number: &Iban) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM accounts WHERE number = ?1")?
        .exists([number.as_str()])?)
}

fn write_all(
    connection: &Connection,
    head: &mut Head,
    book: &Book,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    write(connection, &head.outcomes, book, changes, counters)?;
    if head.outcomes.wants_sealing() {
        let keys = (changes.outcomes.len() * 2).clamp(64, SEAL_KEYS_PER_BATCH);
        counters.keys_sealed += u64::try_from(head.outcomes.seal_some(connection, keys)?).unwrap_or_default();
    }
    Ok(())
}

/// Copies pages out of the write-ahead log beside the lane, on a connection of its own, so that the lane's own step is
/// short.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn spawn_checkpointer(engine: &Arc<SqliteEngine>) -> std::io::Result<()> {
    const LOOK_MILLIS: u64 = 100;
    let engine = Arc::downgrade(engine);
    std::thread::Builder::new()
        .name("sqlite-checkpoint".to_owned())
        .spawn(move || {
            let mut connection: Option<Connection> = None;
            while let Some(engine) = engine.upgrade() {
                let pages = engine.wal_pages.load(Ordering::Relaxed);
                #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
                metrics::gauge!("strongroom_sqlite_wal_pages").set(pages as f64);
                if pages > engine.checkpoint_pages {
                    connection = connection.or_else(|| engine.connect_lane().ok());
                    let copied = connection.as_ref().is_some_and(|open| {
                        open.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
                            .is_ok()
                    });
                    if copied {
                        engine.wal_copied.store(true, Ordering::Relaxed);
                    } else {
                        connection = None;
                    }
                }
                drop(engine);
                std::thread::park_timeout(Duration::from_millis(LOOK_MILLIS));
            }
        })?;
    Ok(())
}
