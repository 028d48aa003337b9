//! The lane on PostgreSQL: lock, then read, then write, one statement each, whatever the size of the batch, in three
//! round trips: locks and reads, writes, commit.
//!
//! In READ COMMITTED a statement that waited for a lock still sees its old snapshot of every other table, so what
//! depends on the locks (clock, epoch, keys) is read by a later statement. Accounts are locked in the order of their
//! ids over the whole batch, which is why several nodes cannot deadlock. The advisory locks are shared by batches and
//! taken alone by whoever changes rights or turns the generation of keys: neither can happen in the middle of a batch.

use std::{collections::HashMap, sync::Arc};

use sea_orm::sqlx::{self, Executor, PgConnection, Row};
use strongroom_domain::{
    id::StepUpId,
    ledger::{Book, Changes, FraudBook, SendingBook},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    error::StoreError,
    ledger::{
        LaneClock, LaneCounters, Need, is_due,
        leases::{Ask, LEASE_POSTGRES, Slices},
        postgres_bounds, postgres_fraud,
        postgres_load::{Few, Loaded, open_holds, prepare, question},
        postgres_payments, postgres_rail, postgres_sending,
        postgres_write::{Columns, HoldColumns},
    },
    postgres::PostgresEngine,
};

const SPEND_STEP_UPS: &str = "UPDATE step_ups SET spent_at = $2 WHERE id = ANY($1) AND spent_at IS NULL";

const WRITE_HOLDS: &str = "WITH placed AS (INSERT INTO holds (id, account_id, to_account, amount, currency, captured, \
    state, placed_at, expires_at, closed_at, review) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], \
    $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::boolean[])), \
    changed AS (UPDATE holds h SET captured = u.captured, state = u.state, closed_at = u.closed_at \
    FROM unnest($12::uuid[], $13::bigint[], $14::bigint[], $15::bigint[]) AS u(id, captured, state, closed_at) \
    WHERE h.id = u.id RETURNING 1), \
    captured AS (INSERT INTO hold_captures (transaction_id, hold_id, captured, state) \
    SELECT * FROM unnest($16::uuid[], $17::uuid[], $18::bigint[], $19::bigint[])) \
    SELECT count(*) FROM changed";
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
    slices: Slices,
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
            slices: Slices::default(),
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
            None => {
                let mut connection = self.engine.connect_ledger().await?;
                prepare(&mut connection).await?;
                connection
            }
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

    /// One round trip: the statements follow one another on the server.
    async fn load(&mut self, connection: &mut PgConnection, need: &Need) -> Result<Book, StoreError> {
        let (question, statements) = question(need);
        self.count(statements);
        let mut loaded = Loaded::ask(connection, question, Few::of(need)).await?;
        self.generation = loaded.generation;
        let newest = loaded
            .accounts
            .values()
            .map(|account| account.last_booked_at)
            .max();
        let booked_at = loaded.now.max(newest.unwrap_or_default());
        let due: Vec<_> = loaded
            .accounts
            .values()
            .filter(|account| is_due(account, booked_at))
            .map(|account| account.id)
            .collect();
        if !due.is_empty() {
            self.count(1);
            let open = open_holds(connection, &due).await?;
            loaded.holds.extend(open.into_iter().map(|hold| (hold.id, hold)));
        }
        let (payments, statements) = postgres_payments::find(connection, &need.payments).await?;
        (0..statements).for_each(|_| self.count(1));
        let (outgoing, statements) = postgres_sending::find(connection, &need.sending).await?;
        (0..statements).for_each(|_| self.count(1));
        let (rail, statements) = postgres_rail::find(connection, &need.rail).await?;
        (0..statements).for_each(|_| self.count(1));
        let (rules, today) = (self.clock.limits(), self.clock.day(booked_at));
        let mut granted = HashMap::new();
        for ask in self.slices.asks(&rules, &need.pays, &loaded.accounts, today) {
            self.count(1);
            granted.insert(ask.currency, lease(connection, &ask).await?);
        }
        Ok(Book {
            bank_left: self.slices.of_batch(&rules, &loaded.accounts, &granted, today),
            accounts: loaded.accounts,
            outcomes: loaded.outcomes,
            taken_numbers: loaded.taken_numbers,
            step_ups: loaded.step_ups,
            holds: loaded.holds,
            budgets: loaded.budgets,
            nonces: loaded.nonces,
            limits: loaded.limits,
            account_limits: loaded.account_limits,
            rules,
            fraud: FraudBook::new(self.clock.fraud(), self.clock.hour(booked_at), loaded.features),
            payments,
            sending: SendingBook {
                beneficiaries: loaded.beneficiaries,
                outgoing,
            },
            rail,
            epoch: loaded.epoch,
            booked_at,
            today,
            next_entry: loaded.entry_block,
            next_record: loaded.record_block,
            log: None,
        })
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

    /// Everything about holds in one statement, which batches without holds do without.
    async fn write_holds(
        &mut self,
        connection: &mut PgConnection,
        changes: &Changes,
        book: &Book,
    ) -> Result<(), StoreError> {
        if changes.placed.is_empty() && changes.holds.is_empty() {
            return Ok(());
        }
        self.count(1);
        let columns = HoldColumns::of(changes, book)?;
        let changed = columns
            .bind(sqlx::query(WRITE_HOLDS))
            .fetch_one(connection)
            .await?
            .try_get::<i64, _>(0)?;
        if usize::try_from(changed) == Ok(changes.holds.len()) {
            Ok(())
        } else {
            Err(StoreError::Corrupt("changed hold not in the books"))
        }
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
            // Whatever fails from here on, what was left counts as spent.
            let slices = std::mem::take(&mut self.slices);
            let columns = Columns::of(changes, book)?;
            self.count(1);
            columns
                .bind(sqlx::query(WRITE), self.generation)
                .execute(&mut connection)
                .await?;
            self.spend_step_ups(&mut connection, changes, book.booked_at)
                .await?;
            self.write_holds(&mut connection, changes, book).await?;
            let paid = postgres_payments::write(&mut connection, changes, book).await?;
            let sent = postgres_sending::write(&mut connection, changes, book).await?;
            let told = postgres_rail::write(&mut connection, changes, book).await?;
            let looked_at = postgres_fraud::write(&mut connection, changes).await?;
            let bounds = postgres_bounds::write(&mut connection, changes, book).await?;
            let extra = paid + sent + told + looked_at + bounds;
            (0..extra).for_each(|_| self.count(1));
            self.count(1);
            if connection.execute("COMMIT").await.is_err() {
                return Err(StoreError::CommitUnknown);
            }
            self.slices = slices;
            self.slices.keep(&book.bank_left, book.today);
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

/// Takes more of what the bank lets all customers pay on a day. The row is locked until the batch is committed, which
/// is once per slice.
async fn lease(connection: &mut PgConnection, ask: &Ask) -> Result<i64, StoreError> {
    let granted = sqlx::query(LEASE_POSTGRES)
        .bind(ask.currency.code())
        .bind(i64::from(ask.day.days()))
        .bind(ask.amount)
        .bind(ask.limit)
        .fetch_one(connection)
        .await?
        .try_get(0)?;
    Ok(granted)
}

fn uuids<'a>(ids: impl IntoIterator<Item = &'a StepUpId>) -> Vec<Uuid> {
    ids.into_iter()
        .map(|id| Uuid::from_bytes(*id.as_bytes()))
        .collect()
}
