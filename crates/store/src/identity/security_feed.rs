//! Security events one by one, in the order of their commits, bounded in number and in age.

use sea_orm::FromQueryResult;
use strongroom_domain::{id::SecurityEventId, time::Timestamp};
use uuid::Uuid;

use super::{SWEEP_ROWS_MAX, id, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, one, rows},
};

/// An event on its way into the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFeedEvent {
    /// Its number: one that is there already is not there twice.
    pub id: SecurityEventId,
    /// The event, sealed for its number.
    pub sealed: Vec<u8>,
    /// Whether somebody has to act on it: then a flood of others does not push it out.
    pub serious: bool,
}

/// How many events the feed keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedKept {
    /// So many places back everything is kept.
    pub newest: u32,
    /// Behind them the newest serious ones, so many of them, those within the newest places included.
    pub serious: u32,
}

/// An event of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRow {
    /// Its place; what is missing between two places was there and is kept no longer.
    pub position: u64,
    /// Its number.
    pub id: SecurityEventId,
    /// The event, sealed for its number.
    pub sealed: Vec<u8>,
}

/// A part of the feed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedRows {
    /// The newest place when it was read. Nothing is committed at or below it any more.
    pub newest: u64,
    /// What stands behind the place that was asked for, oldest first.
    pub rows: Vec<FeedRow>,
}

#[derive(FromQueryResult)]
struct FeedSql {
    position: i64,
    id: Uuid,
    sealed: Vec<u8>,
}

fn place(position: i64) -> Result<u64, StoreError> {
    u64::try_from(position).map_err(|_| StoreError::Corrupt("a place in the feed"))
}

impl Store {
    /// At most so many events behind a place, oldest first. It reads no more rows than it gives.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn security_feed(&self, after: u64, limit: u32) -> Result<FeedRows, StoreError> {
        let read = self.read(Scope::Operator).await?;
        // First the newest place: what is read after it is whole up to there.
        let head = one(
            &read.tx,
            "SELECT newest FROM security_feed_head WHERE id = 1",
            vec![],
        )
        .await?
        .ok_or(StoreError::Corrupt("the feed has no head"))?;
        let newest: i64 = head.try_get_by_index(0)?;
        let found: Vec<FeedSql> = rows(
            &read.tx,
            "SELECT position, id, sealed FROM security_feed WHERE position > $1 AND position <= $2 \
             ORDER BY position LIMIT $3",
            vec![
                i64::try_from(after).unwrap_or(i64::MAX).into(),
                newest.into(),
                i64::from(limit).into(),
            ],
        )
        .await?;
        let rows = found.into_iter().map(|row| {
            Ok(FeedRow {
                position: place(row.position)?,
                id: id(row.id),
                sealed: row.sealed,
            })
        });
        Ok(FeedRows {
            newest: place(newest)?,
            rows: rows.collect::<Result<_, StoreError>>()?,
        })
    }
}

impl WriteTx {
    /// Appends events, and forgets the oldest where more than `kept` would be there. Nobody else appends until the
    /// commit. What it costs to forget grows with what is forgotten, not with what is kept, but for the serious ones,
    /// which are counted where one is appended.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn append_security_feed(
        &self,
        events: &[NewFeedEvent],
        kept: FeedKept,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let head = self
            .one(
                "UPDATE security_feed_head SET newest = newest WHERE id = 1 RETURNING newest",
                vec![],
            )
            .await?;
        let mut newest: i64 = head.try_get_by_index(0)?;
        for event in events {
            let added = self
                .execute(
                    "INSERT INTO security_feed (position, id, written_at, sealed, serious) \
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING",
                    vec![
                        (newest + 1).into(),
                        uuid(event.id).into(),
                        now.micros().into(),
                        event.sealed.clone().into(),
                        i16::from(event.serious).into(),
                    ],
                )
                .await?;
            newest += i64::from(added > 0);
        }
        self.execute(
            "UPDATE security_feed_head SET newest = $1 WHERE id = 1",
            vec![newest.into()],
        )
        .await?;
        self.execute(
            "DELETE FROM security_feed WHERE serious = 0 AND position <= $1",
            vec![(newest - i64::from(kept.newest)).into()],
        )
        .await?;
        if events.iter().any(|event| event.serious) {
            self.execute(
                "DELETE FROM security_feed WHERE serious = 1 AND position <= $1 AND position <= \
                 (SELECT position FROM security_feed WHERE serious = 1 ORDER BY position DESC LIMIT 1 OFFSET $2)",
                vec![
                    (newest - i64::from(kept.newest)).into(),
                    i64::from(kept.serious).into(),
                ],
            )
            .await?;
        }
        Ok(())
    }

    /// Forgets one portion of what was written before a moment; how many rows.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn forget_security_feed(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.execute(
            "DELETE FROM security_feed WHERE position IN \
             (SELECT position FROM security_feed ORDER BY position LIMIT $1) AND written_at < $2",
            vec![SWEEP_ROWS_MAX.into(), before.micros().into()],
        )
        .await
    }
}
