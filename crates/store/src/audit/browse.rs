//! The log read by people and for them: stretches of it in either direction, and what its blocks may hold.

use std::sync::Arc;

use sea_orm::FromQueryResult;
use strongroom_domain::{
    audit::{Marked, SignedRecord, Summary},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    audit::{
        rows::{self, Stored, record_columns},
        snapshot::LogSnapshot,
    },
    error::StoreError,
    sqlite::SqliteEngine,
    store::{Engines, Store},
    tx::{Scope, WriteTx},
};

macro_rules! stretch {
    ($order:literal) => {
        concat!(
            "SELECT l.leaf, ",
            record_columns!(),
            " FROM audit_leaves l LEFT JOIN audit_records r ON r.id = l.record_id \
             WHERE l.leaf >= $1 AND l.leaf < $2 ORDER BY l.leaf ",
            $order,
            " LIMIT $3"
        )
    };
}

macro_rules! blocks {
    ($order:literal) => {
        concat!(
            "SELECT block, summary FROM audit_blocks WHERE block >= $1 AND block < $2 ORDER BY block ",
            $order,
            " LIMIT $3"
        )
    };
}

/// In which direction a stretch is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the log's end.
    NewestFirst,
    /// From its beginning.
    OldestFirst,
}

/// A block's summary as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRow {
    /// Its position among the blocks, from 0.
    pub block: u64,
    /// The latest time of any record up to its end.
    pub reached_at: Timestamp,
    /// What it may hold.
    pub summary: Summary,
}

/// What a stretch of the log is summarised to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summed {
    /// Records that are there.
    pub records: u64,
    /// The latest time of any of them.
    pub newest: Timestamp,
    /// What they hold.
    pub summary: Summary,
}

impl Summed {
    fn add(&mut self, at: i64, record: &Marked<'_>) {
        self.records = self.records.saturating_add(1);
        self.newest = self.newest.max(Timestamp::from_micros(at));
        self.summary.add(record);
    }
}

#[derive(FromQueryResult)]
struct MarkedSql {
    at: i64,
    principal_id: Uuid,
    object_id: Uuid,
    action: String,
    outcome: String,
}

/// A record that is missing is not among them.
const MARKED: &str = "SELECT r.at, r.principal_id, r.object_id, r.action, r.outcome FROM audit_leaves l \
    JOIN audit_records r ON r.id = l.record_id WHERE l.leaf >= $1 AND l.leaf < $2";

impl Store {
    /// Sums up the positions from `start` to before `end`, which are never written again.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer, or a record cannot be read.
    pub async fn sum_up(&self, (start, end): (u64, u64)) -> Result<Summed, StoreError> {
        let engine = match &self.engines {
            Engines::Sqlite(engine) => Arc::clone(engine),
            Engines::Postgres(_) => {
                let read = self.read(Scope::System).await?;
                let found: Vec<MarkedSql> =
                    crate::tx::rows(&read.tx, MARKED, vec![bound(start), bound(end)]).await?;
                let mut summed = Summed::default();
                for row in found {
                    let record = Marked {
                        principal_id: row.principal_id.as_bytes(),
                        object_id: row.object_id.as_bytes(),
                        action: &row.action,
                        outcome: &row.outcome,
                    };
                    summed.add(row.at, &record);
                }
                return Ok(summed);
            }
        };
        // Row by row through a prepared statement, on a thread that may wait: under load this is half a millisecond
        // some thirty times in a second.
        let reading = tokio::task::spawn_blocking(move || sum_up_on_sqlite(&engine, start, end));
        let read = reading.await;
        read.map_err(|_| StoreError::Unavailable("reading stopped".to_owned()))?
    }
}

fn sum_up_on_sqlite(engine: &SqliteEngine, start: u64, end: u64) -> Result<Summed, StoreError> {
    let place = |leaf| i64::try_from(leaf).map_err(|_| StoreError::Corrupt("log too long"));
    let connection = engine.hot()?;
    let mut records = connection.prepare_cached(MARKED)?;
    let mut records = records.query([place(start)?, place(end)?])?;
    let mut summed = Summed::default();
    while let Some(row) = records.next()? {
        let (principal_id, object_id) = (row.get(1)?, row.get(2)?);
        let text = |place| {
            let text = row.get_ref(place).map(|value| value.as_str().ok());
            text?.ok_or(StoreError::Corrupt("a record's words"))
        };
        let record = Marked {
            principal_id: &principal_id,
            object_id: &object_id,
            action: text(3)?,
            outcome: text(4)?,
        };
        summed.add(row.get(0)?, &record);
    }
    Ok(summed)
}

/// How far the log is summarised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summarised {
    /// So many blocks from the beginning.
    pub blocks: u64,
    /// The latest time of any record in them.
    pub reached_at: Timestamp,
}

fn bound(position: u64) -> sea_orm::Value {
    i64::try_from(position).unwrap_or(i64::MAX).into()
}

impl LogSnapshot {
    /// Up to `limit` records of the positions from `start` to before `end`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn stretch(
        &self,
        (start, end): (u64, u64),
        direction: Direction,
        limit: u32,
    ) -> Result<Vec<(u64, Stored<SignedRecord>)>, StoreError> {
        let sql = match direction {
            Direction::NewestFirst => stretch!("DESC"),
            Direction::OldestFirst => stretch!("ASC"),
        };
        let values = vec![bound(start), bound(end), i64::from(limit).into()];
        let found = self.query(sql, values).await?;
        found
            .iter()
            .map(|row| Ok((rows::position(row, 0)?, rows::record(row, 1))))
            .collect()
    }

    /// Up to `limit` summaries of the blocks from `start` to before `end`; `None` for one that cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn summaries(
        &self,
        (start, end): (u64, u64),
        direction: Direction,
        limit: u32,
    ) -> Result<Vec<(u64, Option<Summary>)>, StoreError> {
        let sql = match direction {
            Direction::NewestFirst => blocks!("DESC"),
            Direction::OldestFirst => blocks!("ASC"),
        };
        let values = vec![bound(start), bound(end), i64::from(limit).into()];
        let found = self.query(sql, values).await?;
        found
            .iter()
            .map(|row| {
                let summary: Vec<u8> = row.try_get_by_index(1)?;
                Ok((rows::position(row, 0)?, Summary::from_bytes(summary)))
            })
            .collect()
    }

    /// How far the log is summarised.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn summarised(&self) -> Result<Summarised, StoreError> {
        let sql = "SELECT block + 1, reached_at FROM audit_blocks ORDER BY block DESC LIMIT 1";
        let found = self.query(sql, vec![]).await?;
        found.first().map_or(
            Ok(Summarised {
                blocks: 0,
                reached_at: Timestamp::default(),
            }),
            |row| {
                Ok(Summarised {
                    blocks: rows::position(row, 0)?,
                    reached_at: Timestamp::from_micros(row.try_get_by_index(1)?),
                })
            },
        )
    }

    /// The last summarised block by whose end no record had reached a moment: in it and in all before it all are older.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn block_that_stayed_before(&self, at: Timestamp) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT block FROM audit_blocks WHERE reached_at < $1 ORDER BY reached_at DESC, block DESC LIMIT 1";
        let found = self.query(sql, vec![at.micros().into()]).await?;
        found.first().map(|row| rows::position(row, 0)).transpose()
    }

    /// The first summarised block by whose end some record had reached a moment.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn block_that_reached(&self, at: Timestamp) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT block FROM audit_blocks WHERE reached_at >= $1 ORDER BY reached_at, block LIMIT 1";
        let found = self.query(sql, vec![at.micros().into()]).await?;
        found.first().map(|row| rows::position(row, 0)).transpose()
    }
}

impl WriteTx {
    /// Adds summaries of blocks; one that another node has added meanwhile stays as it is.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn add_blocks(&self, blocks: &[BlockRow]) -> Result<(), StoreError> {
        for row in blocks {
            self.execute(
                "INSERT INTO audit_blocks (block, reached_at, summary) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                vec![
                    bound(row.block),
                    row.reached_at.micros().into(),
                    row.summary.as_bytes().to_vec().into(),
                ],
            )
            .await?;
        }
        Ok(())
    }
}
