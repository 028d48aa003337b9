//! The lane on PostgreSQL: lock, then read, then write, one statement each, whatever the size of the batch.
//!
//! In READ COMMITTED a statement that waited for a lock still sees its old snapshot of every other table, so what
//! depends on the locks (clock, epoch, keys) is read by a later statement. Accounts are locked in the order of their
//! ids over the whole batch, which is why several nodes cannot deadlock. The advisory locks are shared by batches and
//! taken alone by whoever changes rights or turns the generation of keys: neither can happen in the middle of a batch.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sea_orm::sqlx::{self, Executor, PgConnection, Row, postgres::PgRow};
use strongroom_domain::{
    account::Account,
    iban::Iban,
    id::{AccountId, StepUpId},
    ledger::{Book, Changes, Fingerprint, StepUp, StoredOutcome},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    error::StoreError,
    ledger::{LaneClock, LaneCounters, Need, postgres_write::Columns, rows::AccountRow},
    postgres::PostgresEngine,
};

/// Begins and takes the advisory locks of a batch, shared: [`LOCK_RIGHTS`], and the one of the generation of
/// idempotency keys, which the schema's `idempotency_turn` takes alone.
const BEGIN: &str =
    "BEGIN; SELECT pg_advisory_xact_lock_shared(1397882881), pg_advisory_xact_lock_shared(1397882882)";
/// Advisory lock: shared by batches, alone for a change of rights.
pub(crate) const LOCK_RIGHTS: i64 = 1_397_882_881;

const LOCK: &str = "SELECT a.id, a.owner, a.kind, a.currency, s.floor, s.freezes, s.closed, s.balance, s.held, s.entries, \
    s.last_booked_at, s.path FROM account_states s JOIN accounts a ON a.id = s.account_id \
    WHERE s.account_id = ANY($1) ORDER BY s.account_id FOR UPDATE OF s";

/// One row at least, and one more for each further key that is known.
const READ: &str = "SELECT c.now, c.entry_block, c.record_block, c.epoch, c.generation, c.taken, \
    o.tag, o.fingerprint, o.code, o.resource, o.at FROM (\
      SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now, nextval('entry_blocks') AS entry_block, \
      nextval('record_blocks') AS record_block, (SELECT epoch FROM auth_epoch WHERE id = 1) AS epoch, \
      (SELECT generation FROM idempotency_generation WHERE id = 1) AS generation, \
      ARRAY(SELECT number FROM accounts WHERE number = ANY($2)) AS taken OFFSET 0\
    ) c LEFT JOIN idempotency_outcomes o ON o.tag = ANY($1)";

/// Locks the approvals of a batch, in the order of their ids, and reads them as they are under the lock.
const LOCK_STEP_UPS: &str =
    "SELECT id, request, expires_at, spent_at FROM step_ups WHERE id = ANY($1) ORDER BY id FOR UPDATE";
const SPEND_STEP_UPS: &str = "UPDATE step_ups SET spent_at = $2 WHERE id = ANY($1) AND spent_at IS NULL";

const WRITE: &str = include_str!("write.postgres.sql");

/// The writer of the server engine.
#[derive(Debug)]
pub struct PostgresLane {
    engine: Arc<PostgresEngine>,
    clock: Arc<dyn LaneClock>,
    connection: Option<PgConnection>,
    /// A batch was begun on the connection and not committed.
    begun: bool,
    generation: i64,
    counters: LaneCounters,
}

impl PostgresLane {
    pub(crate) fn new(engine: Arc<PostgresEngine>, clock: Arc<dyn LaneClock>) -> Self {
        Self {
            engine,
            clock,
            connection: None,
            begun: false,
            generation: 0,
            counters: LaneCounters::default(),
        }
    }

    pub(crate) const fn counters(&self) -> LaneCounters {
        self.counters
    }

    pub(crate) async fn begin(&mut self, need: &Need) -> Result<Book, StoreError> {
        self.abandon().await;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.engine.connect_ledger().await?,
        };
        // The connection comes back only when all went well: a broken one is dropped with its transaction.
        let book = self.load(&mut connection, need).await?;
        self.connection = Some(connection);
        self.begun = true;
        Ok(book)
    }

    /// Ends a batch that was begun and not committed: its locks, and its view of the rights, must not become the next
    /// one's.
    pub(crate) async fn abandon(&mut self) {
        if !std::mem::take(&mut self.begun) {
            return;
        }
        if let Some(mut connection) = self.connection.take() {
            self.count(1);
            if connection.execute("ROLLBACK").await.is_ok() {
                self.connection = Some(connection);
            }
        }
    }

    async fn load(&mut self, connection: &mut PgConnection, need: &Need) -> Result<Book, StoreError> {
        self.count(2);
        connection.execute(BEGIN).await?;
        let ids: Vec<Uuid> = need
            .accounts
            .iter()
            .map(|id| Uuid::from_bytes(*id.as_bytes()))
            .collect();
        self.count(1);
        let rows = sqlx::query(LOCK).bind(ids).fetch_all(&mut *connection).await?;
        let mut accounts = HashMap::with_capacity(rows.len());
        for row in &rows {
            let account = Account::try_from(account_row(row)?)?;
            accounts.insert(account.id, account);
        }
        let step_ups = self.step_ups(connection, need).await?;
        let tags: Vec<Uuid> = need.tags.iter().map(|tag| Uuid::from_bytes(*tag)).collect();
        let numbers: Vec<&str> = need.numbers.iter().map(Iban::as_str).collect();
        self.count(1);
        let rows = sqlx::query(READ)
            .bind(tags)
            .bind(numbers)
            .fetch_all(&mut *connection)
            .await?;
        Ok(Book {
            step_ups,
            ..self.book(accounts, &rows)?
        })
    }

    /// Few batches have any: no statement for the others.
    async fn step_ups(
        &mut self,
        connection: &mut PgConnection,
        need: &Need,
    ) -> Result<HashMap<StepUpId, StepUp>, StoreError> {
        let mut found = HashMap::new();
        if need.step_ups.is_empty() {
            return Ok(found);
        }
        self.count(1);
        let rows = sqlx::query(LOCK_STEP_UPS)
            .bind(uuids(&need.step_ups))
            .fetch_all(connection)
            .await?;
        for row in rows {
            let request: Vec<u8> = row.try_get(1)?;
            let approval = StepUp {
                request: request
                    .try_into()
                    .map_err(|_| StoreError::Corrupt("an approval's request"))?,
                expires_at: Timestamp::from_micros(row.try_get(2)?),
                spent: row.try_get::<Option<i64>, _>(3)?.is_some(),
            };
            found.insert(
                StepUpId::from_bytes(row.try_get::<Uuid, _>(0)?.into_bytes()),
                approval,
            );
        }
        Ok(found)
    }

    /// Spends approvals: each at most once, also where a decision forgot to look.
    async fn spend_step_ups(
        &mut self,
        connection: &mut PgConnection,
        changes: &Changes,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        if changes.step_ups.is_empty() {
            return Ok(());
        }
        self.count(1);
        let spent = sqlx::query(SPEND_STEP_UPS)
            .bind(uuids(&changes.step_ups))
            .bind(at.micros())
            .execute(connection)
            .await?;
        if usize::try_from(spent.rows_affected()) == Ok(changes.step_ups.len()) {
            Ok(())
        } else {
            Err(StoreError::Retry)
        }
    }

    fn book(&mut self, accounts: HashMap<AccountId, Account>, rows: &[PgRow]) -> Result<Book, StoreError> {
        let first = rows
            .first()
            .ok_or(StoreError::Corrupt("no answer to the batch's read"))?;
        self.generation = first.try_get(4)?;
        let newest = accounts
            .values()
            .map(|account| account.last_booked_at)
            .max()
            .unwrap_or_default();
        let booked_at = Timestamp::from_micros(first.try_get(0)?).max(newest);
        let taken: Vec<String> = first.try_get(5)?;
        let mut outcomes = HashMap::new();
        for row in rows {
            if let Some(outcome) = outcome(row)? {
                outcomes.insert(outcome.tag, outcome);
            }
        }
        Ok(Book {
            accounts,
            outcomes,
            step_ups: HashMap::new(),
            taken_numbers: taken
                .iter()
                .filter_map(|number| Iban::parse(number).ok())
                .collect::<HashSet<_>>(),
            epoch: first.try_get(3)?,
            booked_at,
            today: self.clock.day(booked_at),
            next_entry: first.try_get(1)?,
            next_record: first.try_get(2)?,
            log: None,
        })
    }

    pub(crate) async fn commit(&mut self, changes: &Changes, book: &Book) -> Result<(), StoreError> {
        let Some(mut connection) = self.connection.take() else {
            return Err(StoreError::Corrupt("commit without begin"));
        };
        if !std::mem::take(&mut self.begun) {
            return Err(StoreError::Corrupt("commit without begin"));
        }
        if changes.is_empty() {
            self.count(1);
            connection.execute("ROLLBACK").await?;
        } else {
            let columns = Columns::of(changes, book)?;
            self.count(1);
            columns
                .bind(sqlx::query(WRITE), self.generation)
                .execute(&mut connection)
                .await?;
            self.spend_step_ups(&mut connection, changes, book.booked_at)
                .await?;
            self.count(1);
            if connection.execute("COMMIT").await.is_err() {
                return Err(StoreError::CommitUnknown);
            }
            self.engine.committed.notify_one();
            self.counters.batches += 1;
        }
        self.connection = Some(connection);
        Ok(())
    }

    /// Each call is one round trip; a simple query may carry several statements.
    const fn count(&mut self, statements: u64) {
        self.counters.statements += statements;
        self.counters.round_trips += 1;
    }
}

fn uuids<'a>(ids: impl IntoIterator<Item = &'a StepUpId>) -> Vec<Uuid> {
    ids.into_iter()
        .map(|id| Uuid::from_bytes(*id.as_bytes()))
        .collect()
}

fn account_row(row: &PgRow) -> Result<AccountRow, StoreError> {
    Ok(AccountRow {
        id: row.try_get::<Uuid, _>(0)?.into_bytes(),
        owner: row.try_get::<Option<Uuid>, _>(1)?.map(Uuid::into_bytes),
        kind: row.try_get(2)?,
        currency: row.try_get(3)?,
        floor: row.try_get(4)?,
        freezes: row.try_get(5)?,
        closed: row.try_get(6)?,
        balance: row.try_get(7)?,
        held: row.try_get(8)?,
        entries: row.try_get(9)?,
        last_booked_at: row.try_get(10)?,
        path: row.try_get(11)?,
    })
}

fn outcome(row: &PgRow) -> Result<Option<StoredOutcome>, StoreError> {
    let Some(tag) = row.try_get::<Option<Uuid>, _>(6)? else {
        return Ok(None);
    };
    Ok(Some(StoredOutcome {
        tag: tag.into_bytes(),
        fingerprint: Fingerprint::from_bytes(row.try_get(7)?),
        code: row.try_get(8)?,
        resource: row.try_get::<Option<Uuid>, _>(9)?.map(Uuid::into_bytes),
        at: Timestamp::from_micros(row.try_get(10)?),
    }))
}
