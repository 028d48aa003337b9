//! The sealer: on PostgreSQL one elected node gives the committed records their place in the log.
//!
//! A record carries the number of the transaction that wrote it. Once that number lies below the oldest transaction
//! still running, no older record can appear any more: the order (transaction, id) is final there, and a transaction
//! that commits late comes late into the log and leaves no hole. Leaves and inner nodes are appended by one statement
//! that also moves the sealer's position on, under the term that this sealer took: one that was replaced appends
//! nothing.

use std::{convert::Infallible, sync::Arc, time::Duration};

use sea_orm::sqlx::{self, Executor, PgConnection, Row, postgres::PgRow};
use strongroom_domain::audit::{CompactRange, Details, NodeStore, SignedRecord, StoredNode, nodes_for_root};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    audit::{LogHead, grew, new_lineage},
    error::StoreError,
    postgres::PostgresEngine,
};

/// Advisory lock of the session that seals.
const LOCK_SEALER: i64 = 1_397_882_883;
/// Most records sealed by one statement.
const STEP_RECORDS_MAX: i64 = 2_000;
/// Between two steps, so that many commits share one.
const STEP_PAUSE: Duration = Duration::from_millis(100);
/// How often the sealer looks for what other nodes committed. What this node commits wakes it.
const IDLE_PAUSE: Duration = Duration::from_millis(400);
/// How often a node that is not elected looks at the log and tries again.
const STANDBY_PAUSE: Duration = Duration::from_millis(500);
/// After a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A session whose host is gone gives the lock up after about ten seconds.
const SESSION: &str = "SET tcp_keepalives_idle = 4; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; \
    SET tcp_user_timeout = 10000";

const TAKE: &str = "SELECT r.id, r.at, r.request, r.principal_kind, r.principal_id, r.session, r.origin, r.action, r.object_kind, \
    r.object_id, r.outcome, r.policy, r.details, r.mac_key, r.mac, r.xid::text, \
    r.xid < pg_snapshot_xmin(pg_current_snapshot()) AS final FROM audit_records r \
    WHERE (r.xid, r.id) > ($1::text::xid8, $2) ORDER BY r.xid, r.id LIMIT $3";

const APPEND: &str = "WITH seat AS (UPDATE audit_head SET size = $1, last_xid = $2::text::xid8, last_record = $3 \
      WHERE id = 1 AND term = $4 AND size = $5 RETURNING 1), \
    nodes AS (INSERT INTO audit_nodes (level, position, hash) SELECT u.* FROM unnest($6::bigint[], $7::bigint[], $8::bytea[]) u \
      WHERE EXISTS (SELECT 1 FROM seat)) \
    INSERT INTO audit_leaves (leaf, record_id, hash) SELECT u.* FROM unnest($9::bigint[], $10::bigint[], $11::bytea[]) u \
      WHERE EXISTS (SELECT 1 FROM seat)";

/// Seals the log while this node is elected, and follows it while another is.
#[derive(Debug)]
pub struct Sealer {
    engine: Arc<PostgresEngine>,
}

/// What the elected sealer continues.
struct Seat {
    term: i64,
    range: CompactRange,
    lineage: u64,
    last_xid: String,
    last_record: i64,
}

/// What a step did.
struct Step {
    sealed: usize,
    /// Records are there that are not final yet, or more than one step takes.
    rest: bool,
}

impl Sealer {
    pub(super) const fn new(engine: Arc<PostgresEngine>) -> Self {
        Self { engine }
    }

    /// Works until it is dropped. Whatever fails is tried again, on a new connection.
    pub async fn run(self) -> Infallible {
        loop {
            let Err(error) = self.serve().await;
            tracing::warn!(%error, "sealing the audit log failed; it is tried again");
            metrics::counter!("strongroom_sealer_failures_total").increment(1);
            sleep(RETRY_PAUSE).await;
        }
    }

    async fn serve(&self) -> Result<Infallible, StoreError> {
        let mut connection = self.engine.connect_ledger().await?;
        connection.execute(SESSION).await?;
        while !elect(&mut connection).await? {
            self.follow(&mut connection).await?;
            sleep(STANDBY_PAUSE).await;
        }
        let mut seat = Seat::take(&mut connection).await?;
        tracing::info!(
            term = seat.term,
            size = seat.range.size(),
            "this node seals the audit log"
        );
        grew(&self.engine.growth, &seat.range, seat.lineage);
        loop {
            let step = seat.step(&mut connection).await?;
            if step.sealed > 0 {
                metrics::counter!("strongroom_sealer_leaves_total")
                    .increment(u64::try_from(step.sealed).unwrap_or_default());
                grew(&self.engine.growth, &seat.range, seat.lineage);
            }
            if step.sealed > 0 || step.rest {
                sleep(STEP_PAUSE).await;
            } else {
                tokio::select! {
                    () = self.engine.committed.notified() => {}
                    () = sleep(IDLE_PAUSE) => {}
                }
            }
        }
    }

    /// Tells this node of what another sealed.
    async fn follow(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let row = connection
            .fetch_one("SELECT size FROM audit_head WHERE id = 1")
            .await?;
        let size = leaves(row.try_get(0)?)?;
        if self.engine.growth.borrow().range.size() != size {
            let range = load_range(connection, size).await?;
            grew(&self.engine.growth, &range, new_lineage());
        }
        Ok(())
    }
}

/// The end of the log as the database has it now, for a node that starts.
pub(crate) async fn load_head(connection: &mut PgConnection) -> Result<LogHead, StoreError> {
    let row = connection
        .fetch_one("SELECT size FROM audit_head WHERE id = 1")
        .await?;
    Ok(LogHead {
        range: load_range(connection, leaves(row.try_get(0)?)?).await?,
        lineage: new_lineage(),
    })
}

async fn elect(connection: &mut PgConnection) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT pg_try_advisory_lock($1)")
        .bind(LOCK_SEALER)
        .fetch_one(connection)
        .await?;
    Ok(row.try_get(0)?)
}

impl Seat {
    /// Begins a new term: whoever sealed before appends nothing any more.
    async fn take(connection: &mut PgConnection) -> Result<Self, StoreError> {
        let row = connection
            .fetch_one(
                "UPDATE audit_head SET term = term + 1 WHERE id = 1 RETURNING term, size, last_xid::text, last_record",
            )
            .await?;
        Ok(Self {
            term: row.try_get(0)?,
            range: load_range(connection, leaves(row.try_get(1)?)?).await?,
            lineage: new_lineage(),
            last_xid: row.try_get(2)?,
            last_record: row.try_get(3)?,
        })
    }

    async fn step(&mut self, connection: &mut PgConnection) -> Result<Step, StoreError> {
        let found = sqlx::query(TAKE)
            .bind(&self.last_xid)
            .bind(self.last_record)
            .bind(STEP_RECORDS_MAX)
            .fetch_all(&mut *connection)
            .await?;
        let mut range = self.range.clone();
        let mut nodes: Vec<StoredNode> = Vec::new();
        let (mut positions, mut records, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
        let mut last_xid = self.last_xid.clone();
        for row in &found {
            if !row.try_get::<bool, _>("final")? {
                break;
            }
            let record = record(row)?;
            let hash = record.leaf();
            positions.push(index(range.size())?);
            records.push(record.id);
            hashes.push(hash.to_vec());
            last_xid = row.try_get(15)?;
            range.append(hash, |node| nodes.push(node));
        }
        let sealed = records.len();
        let step = Step {
            sealed,
            rest: sealed < found.len()
                || found.len() >= usize::try_from(STEP_RECORDS_MAX).unwrap_or_default(),
        };
        let Some(last_record) = records.last().copied() else {
            return Ok(step);
        };
        let (mut levels, mut places, mut roots) = (Vec::new(), Vec::new(), Vec::new());
        for node in nodes {
            levels.push(i64::from(node.level));
            places.push(index(node.index)?);
            roots.push(node.hash.to_vec());
        }
        let appended = sqlx::query(APPEND)
            .bind(index(range.size())?)
            .bind(&last_xid)
            .bind(last_record)
            .bind(self.term)
            .bind(index(self.range.size())?)
            .bind(levels)
            .bind(places)
            .bind(roots)
            .bind(positions)
            .bind(records)
            .bind(hashes)
            .execute(connection)
            .await?;
        if usize::try_from(appended.rows_affected()) != Ok(sealed) {
            return Err(StoreError::Constraint("sealer's term".to_owned()));
        }
        (self.range, self.last_xid, self.last_record) = (range, last_xid, last_record);
        Ok(step)
    }
}

fn leaves(size: i64) -> Result<u64, StoreError> {
    u64::try_from(size).map_err(|_| StoreError::Corrupt("size of the log"))
}

fn index(position: u64) -> Result<i64, StoreError> {
    i64::try_from(position).map_err(|_| StoreError::Corrupt("log too long"))
}

async fn load_range(connection: &mut PgConnection, size: u64) -> Result<CompactRange, StoreError> {
    let mut nodes = NodeStore::default();
    for range in nodes_for_root(size) {
        let (start, end) = (
            index(range.start)?,
            index(range.start.saturating_add(range.count))?,
        );
        let sql = if range.level == 0 {
            "SELECT leaf, hash FROM audit_leaves WHERE leaf >= $1 AND leaf < $2 AND $3 = 0"
        } else {
            "SELECT position, hash FROM audit_nodes WHERE position >= $1 AND position < $2 AND level = $3"
        };
        let found = sqlx::query(sql)
            .bind(start)
            .bind(end)
            .bind(i64::from(range.level))
            .fetch_all(&mut *connection)
            .await?;
        for row in found {
            let hash: Vec<u8> = row.try_get(1)?;
            let hash = hash.try_into().map_err(|_| StoreError::Corrupt("hash"))?;
            nodes.insert(range.level, leaves(row.try_get(0)?)?, hash);
        }
    }
    CompactRange::load(size, &nodes).map_err(|_| StoreError::Corrupt("the tree has holes"))
}

fn record(row: &PgRow) -> Result<SignedRecord, StoreError> {
    fn small<T: TryFrom<i64>>(row: &PgRow, at: usize) -> Result<T, StoreError> {
        T::try_from(row.try_get::<i64, _>(at)?).map_err(|_| StoreError::Corrupt("audit record"))
    }
    let uuid = |at: usize| row.try_get::<Uuid, _>(at).map(Uuid::into_bytes);
    let mac: Vec<u8> = row.try_get(14)?;
    Ok(SignedRecord {
        id: row.try_get(0)?,
        at: row.try_get(1)?,
        request: uuid(2)?,
        principal_kind: small(row, 3)?,
        principal_id: uuid(4)?,
        session: uuid(5)?,
        origin: small(row, 6)?,
        action: row.try_get(7)?,
        object_kind: row.try_get(8)?,
        object_id: uuid(9)?,
        outcome: row.try_get(10)?,
        policy: small(row, 11)?,
        details: Details::from_bytes(row.try_get(12)?),
        mac_key: row.try_get(13)?,
        mac: mac.try_into().map_err(|_| StoreError::Corrupt("audit record"))?,
    })
}
