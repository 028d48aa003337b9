//! Transactions of the control plane, and what every change of rights or people leaves in the log.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Instant,
};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult, Statement, TransactionTrait, Value,
};
use strongroom_domain::{
    audit::{CompactRange, SignedRecord, StoredNode},
    id::UserId,
    time::Timestamp,
};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use crate::{
    audit::{Standing, Told, grew},
    epoch::Revoked,
    error::StoreError,
    ledger::LOCK_RIGHTS,
    sqlite::{Head, SqliteEngine, immediate},
};

/// On whose behalf a transaction of the control plane runs. PostgreSQL's row security sees it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One person: only rows of this person.
    Person(UserId),
    /// An operator: rows of everybody, as the application allowed.
    Operator,
    /// The server itself: log-in before it is known who it is, jobs.
    System,
}

impl Scope {
    fn settings(self) -> (&'static str, String) {
        match self {
            Self::Person(id) => ("person", Uuid::from_bytes(*id.as_bytes()).to_string()),
            Self::Operator => ("operator", String::new()),
            Self::System => ("system", String::new()),
        }
    }
}

/// Somebody who waits for a connection, or on SQLite for the right to write; counted and timed until it is dropped.
struct Waiting {
    to: &'static str,
    since: Instant,
}

impl Waiting {
    fn to(to: &'static str) -> Self {
        metrics::gauge!("strongroom_database_waiting", "to" => to).increment(1.0);
        Self {
            to,
            since: Instant::now(),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        metrics::gauge!("strongroom_database_waiting", "to" => self.to).decrement(1.0);
        metrics::histogram!("strongroom_database_wait_duration_seconds", "to" => self.to)
            .record(self.since.elapsed().as_secs_f64());
    }
}

/// A read-only transaction of the control plane.
#[derive(Debug)]
pub struct ReadTx {
    pub(crate) tx: DatabaseTransaction,
}

impl ReadTx {
    /// Takes over a transaction that was begun in a special way.
    pub(crate) async fn of(tx: DatabaseTransaction, scope: Scope) -> Result<Self, StoreError> {
        enter(&tx, scope).await?;
        Ok(Self { tx })
    }

    pub(crate) async fn begin(pool: &sea_orm::DatabaseConnection, scope: Scope) -> Result<Self, StoreError> {
        let waiting = Waiting::to("read");
        let tx = pool.begin().await?;
        drop(waiting);
        enter(&tx, scope).await?;
        Ok(Self { tx })
    }
}

/// A writing transaction of the control plane. Dropping it without [`WriteTx::commit`] changes nothing.
///
/// On SQLite it holds the right to write: keep it short.
#[derive(Debug)]
pub struct WriteTx {
    pub(crate) tx: DatabaseTransaction,
    sqlite: Option<SqliteUnit>,
    rights_locked: bool,
    /// What changed of people and was not told by a record yet.
    told: Mutex<Vec<Told>>,
    follows: Follows,
}

/// What is done once a transaction is committed, and never where it is not.
#[derive(Default)]
struct Follows(Vec<Box<dyn FnOnce() + Send + Sync>>);

impl fmt::Debug for Follows {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} follow", self.0.len())
    }
}

/// What a write unit continues on SQLite, moved into the head when it commits.
#[derive(Debug)]
struct SqliteUnit {
    engine: Arc<SqliteEngine>,
    /// The right to write; gone once the unit was committed.
    head: Option<OwnedMutexGuard<Head>>,
    log: CompactRange,
    next_record: i64,
    last_at: Timestamp,
    epoch: i64,
}

impl SqliteUnit {
    /// Moves the head on, or leaves it to be loaded again by the next writer.
    fn committed(mut self, done: bool) -> Result<(), StoreError> {
        let Some(head) = self.head.as_mut() else {
            return Err(StoreError::CommitUnknown);
        };
        if !done {
            head.loaded = false;
            head.outcomes.distrust();
            return Err(StoreError::CommitUnknown);
        }
        head.log = std::mem::take(&mut self.log);
        grew(&self.engine.growth, &head.log, head.lineage);
        head.next_record = self.next_record;
        head.last_booked_at = self.last_at;
        head.epoch = self.epoch;
        self.engine.epoch.store(self.epoch, Ordering::Release);
        self.head = None;
        Ok(())
    }
}

impl Drop for SqliteUnit {
    /// The right to write goes on only when the transaction has really ended: the driver rolls a dropped one back
    /// later.
    fn drop(&mut self) {
        let Some(head) = self.head.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let engine = self.engine.clone();
            runtime.spawn(async move {
                engine.settle().await;
                drop(head);
            });
        }
    }
}

/// What the next audit record must be made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordSlot {
    /// Its id.
    pub id: i64,
    /// The earliest time it may carry, so that the log never goes back in time.
    pub not_before: Timestamp,
}

impl WriteTx {
    pub(crate) async fn begin_sqlite(engine: Arc<SqliteEngine>) -> Result<Self, StoreError> {
        let waiting = Waiting::to("write");
        let mut head = engine.gate.clone().lock_owned().await;
        drop(waiting);
        if !head.loaded {
            head = engine.reload(head).await?;
        }
        let tx = match engine.writer.begin_with_options(immediate()).await {
            Ok(tx) => tx,
            Err(error) => {
                engine.settle().await;
                return Err(error.into());
            }
        };
        let unit = SqliteUnit {
            log: head.log.clone(),
            next_record: head.next_record,
            last_at: head.last_booked_at,
            epoch: head.epoch,
            engine,
            head: Some(head),
        };
        Ok(Self {
            tx,
            sqlite: Some(unit),
            rights_locked: false,
            told: Mutex::default(),
            follows: Follows::default(),
        })
    }

    pub(crate) async fn begin_postgres(
        pool: &sea_orm::DatabaseConnection,
        scope: Scope,
    ) -> Result<Self, StoreError> {
        let waiting = Waiting::to("write");
        let tx = pool.begin().await?;
        drop(waiting);
        enter(&tx, scope).await?;
        Ok(Self {
            tx,
            sqlite: None,
            rights_locked: false,
            told: Mutex::default(),
            follows: Follows::default(),
        })
    }

    /// Reserves the place of the next audit record.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn next_record(&mut self) -> Result<RecordSlot, StoreError> {
        if let Some(unit) = &self.sqlite {
            return Ok(RecordSlot {
                id: unit.next_record,
                not_before: unit.last_at,
            });
        }
        let row = self.one("SELECT nextval('record_blocks')", vec![]).await?;
        Ok(RecordSlot {
            id: row.try_get_by_index(0)?,
            not_before: Timestamp::default(),
        })
    }

    /// Appends an audit record, with its leaf where this engine appends leaves in the commit.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer; then the change must not be committed.
    pub async fn append_record(&mut self, record: &SignedRecord) -> Result<(), StoreError> {
        self.execute(INSERT_RECORD, record_values(record)).await?;
        let Some(unit) = &mut self.sqlite else {
            return Ok(());
        };
        let mut nodes: Vec<StoredNode> = Vec::new();
        let (leaf, hash) = (unit.log.size(), record.leaf());
        unit.log.append(hash, |node| nodes.push(node));
        unit.next_record = record.id + 1;
        unit.last_at = unit.last_at.max(Timestamp::from_micros(record.at));
        let leaf = i64::try_from(leaf).map_err(|_| StoreError::Corrupt("log too long"))?;
        self.execute(
            "INSERT INTO audit_leaves (leaf, record_id, hash) VALUES ($1, $2, $3)",
            vec![leaf.into(), record.id.into(), hash.to_vec().into()],
        )
        .await?;
        for node in nodes {
            let position = i64::try_from(node.index).map_err(|_| StoreError::Corrupt("log too long"))?;
            self.execute(
                "INSERT INTO audit_nodes (level, position, hash) VALUES ($1, $2, $3)",
                vec![
                    i64::from(node.level).into(),
                    position.into(),
                    node.hash.to_vec().into(),
                ],
            )
            .await?;
        }
        Ok(())
    }

    /// Takes the rights lock alone, once. Batches take it first of all, and so does whoever locks rows that they lock.
    pub(crate) async fn lock_rights(&mut self) -> Result<(), StoreError> {
        if self.sqlite.is_none() && !self.rights_locked {
            self.execute("SELECT pg_advisory_xact_lock($1)", vec![LOCK_RIGHTS.into()])
                .await?;
            self.rights_locked = true;
        }
        Ok(())
    }

    /// Moves the revocation epoch on and says what was revoked. Takes the rights lock alone: from the commit on, no
    /// batch decided under the old epoch can commit.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn revoke(&mut self, what: Revoked) -> Result<i64, StoreError> {
        let (kind, id) = what.parts();
        self.lock_rights().await?;
        let row = self
            .one(
                "UPDATE auth_epoch SET epoch = epoch + 1 WHERE id = 1 RETURNING epoch",
                vec![],
            )
            .await?;
        let epoch: i64 = row.try_get_by_index(0)?;
        self.execute(
            "INSERT INTO revocations (epoch, kind, id) VALUES ($1, $2, $3)",
            vec![epoch.into(), kind.into(), Uuid::from_bytes(id).into()],
        )
        .await?;
        if let Some(unit) = &mut self.sqlite {
            unit.epoch = epoch;
        }
        Ok(epoch)
    }

    /// Notes what changed of a person, for the next record.
    pub(crate) fn tell(&self, person: UserId, name: &'static str, value: Option<String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|known| (known.person, known.name) != (person, name));
        told.push(Told { person, name, value });
    }

    /// What changed of people since the last record: the next one tells it.
    pub fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(self.told.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does this once the transaction is committed, in the order of the calls, also where whoever waits for the commit
    /// goes away. It is not done where the transaction is abandoned, refused, or its outcome not known. It runs in the
    /// task that commits: it must be short and must not wait.
    pub fn after_commit(&mut self, follows: impl FnOnce() + Send + Sync + 'static) {
        self.follows.0.push(Box::new(follows));
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// [`StoreError::CommitUnknown`] when it cannot be told whether it is; [`StoreError::Corrupt`], and nothing is
    /// changed, where a credential changed that no record tells of.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        let untold = self.take_told();
        let is_credential = |told: &Told| {
            Standing::CREDENTIALS
                .iter()
                .any(|table| table.table() == told.name)
        };
        if untold.iter().any(is_credential) {
            return Err(StoreError::Corrupt("a credential that changed without a record"));
        }
        let Self {
            tx, sqlite, follows, ..
        } = self;
        // In a task of its own: a caller who goes away does not leave half of this behind.
        let committing = tokio::spawn(async move {
            let done = tx.commit().await;
            match sqlite {
                Some(unit) => unit.committed(done.is_ok())?,
                None => done.map_err(|_| StoreError::CommitUnknown)?,
            }
            follows.0.into_iter().for_each(|follow| follow());
            Ok(())
        });
        committing.await.map_err(|_| StoreError::CommitUnknown)?
    }

    pub(crate) async fn execute(&self, sql: &str, values: Vec<Value>) -> Result<u64, StoreError> {
        execute(&self.tx, sql, values).await
    }

    pub(crate) async fn one(
        &self,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<sea_orm::QueryResult, StoreError> {
        one(&self.tx, sql, values)
            .await?
            .ok_or(StoreError::Corrupt("a row that must be there is missing"))
    }
}

const INSERT_RECORD: &str = "INSERT INTO audit_records (id, at, request, principal_kind, principal_id, session, origin, action, \
    object_kind, object_id, outcome, policy, details, mac_key, mac) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";

fn record_values(record: &SignedRecord) -> Vec<Value> {
    let uuid = |bytes: &[u8; 16]| Value::from(Uuid::from_bytes(*bytes));
    vec![
        record.id.into(),
        record.at.into(),
        uuid(&record.request),
        i64::from(record.principal_kind).into(),
        uuid(&record.principal_id),
        uuid(&record.session),
        i64::from(record.origin).into(),
        record.action.clone().into(),
        record.object_kind.clone().into(),
        uuid(&record.object_id),
        record.outcome.clone().into(),
        i64::from(record.policy).into(),
        record.details.as_bytes().to_vec().into(),
        record.mac_key.into(),
        record.mac.to_vec().into(),
    ]
}

/// Tells PostgreSQL's row security on whose behalf this transaction runs; forgotten at its end.
async fn enter(tx: &DatabaseTransaction, scope: Scope) -> Result<(), StoreError> {
    if tx.get_database_backend() == DbBackend::Postgres {
        let (kind, person) = scope.settings();
        execute(
            tx,
            "SELECT set_config('strongroom.scope', $1, true), set_config('strongroom.person', $2, true)",
            vec![kind.into(), person.into()],
        )
        .await?;
    }
    Ok(())
}

pub(crate) async fn execute(
    on: &impl ConnectionTrait,
    sql: &str,
    values: Vec<Value>,
) -> Result<u64, StoreError> {
    let statement = Statement::from_sql_and_values(on.get_database_backend(), sql, values);
    Ok(on.execute_raw(statement).await?.rows_affected())
}

pub(crate) async fn one(
    on: &impl ConnectionTrait,
    sql: &str,
    values: Vec<Value>,
) -> Result<Option<sea_orm::QueryResult>, StoreError> {
    let statement = Statement::from_sql_and_values(on.get_database_backend(), sql, values);
    Ok(on.query_one_raw(statement).await?)
}

/// Rows of a query, each read into a struct by the names of its columns.
pub(crate) async fn rows<R: FromQueryResult>(
    on: &impl ConnectionTrait,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<R>, StoreError> {
    let statement = Statement::from_sql_and_values(on.get_database_backend(), sql, values);
    Ok(R::find_by_statement(statement).all(on).await?)
}
