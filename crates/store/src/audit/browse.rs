//! The log read by people and for them: stretches of it in either direction, and what its blocks may hold.

use strongroom_domain::{
    audit::{Marked, SignedRecord, Summary},
    time::Timestamp,
};

use crate::{
    audit::{
        rows::{self, Stored, record_columns},
        snapshot::LogSnapshot,
    },
    error::StoreError,
    tx::WriteTx,
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

    /// What the records of the positions from `start` to before `end` are searched by, in no order; a record that is
    /// missing is not among them.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer, or a record cannot be read.
    pub async fn marked(&self, (start, end): (u64, u64)) -> Result<Vec<Marked>, StoreError> {
        const SQL: &str = "SELECT r.at, r.principal_id, r.object_id, r.action, r.outcome FROM audit_leaves l \
            JOIN audit_records r ON r.id = l.record_id WHERE l.leaf >= $1 AND l.leaf < $2";
        let found = self.query(SQL, vec![bound(start), bound(end)]).await?;
        found
            .iter()
            .map(|row| {
                Ok(Marked {
                    at: row.try_get_by_index(0)?,
                    principal_id: rows::uuid(row, 1)?,
                    object_id: rows::uuid(row, 2)?,
                    action: row.try_get_by_index(3)?,
                    outcome: row.try_get_by_index(4)?,
                })
            })
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
