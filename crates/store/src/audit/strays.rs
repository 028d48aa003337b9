//! Rows that nothing in the log leads to.

use strongroom_domain::time::Timestamp;

use crate::{audit::snapshot::LogSnapshot, error::StoreError, store::Engine};

/// Which table is searched for rows without a bond to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// Audit records without a leaf, that are not waiting for one.
    Records,
    /// Transactions whose audit record is missing or about something else.
    Transactions,
    /// Entries that lie in no transaction.
    Entries,
    /// Records with more than one leaf, by the record's id.
    Leaves,
    /// Decisions that are bound to a record which tells of none, by the record's id.
    Decisions,
}

impl Stray {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Records,
        Self::Transactions,
        Self::Entries,
        Self::Leaves,
        Self::Decisions,
    ];

    /// The table.
    pub const fn table(self) -> &'static str {
        match self {
            Self::Records => "audit_records",
            Self::Transactions => "transactions",
            Self::Entries => "entries",
            Self::Leaves => "audit_leaves",
            Self::Decisions => "decisions",
        }
    }

    /// The window's rows without a bond, by key.
    const fn sql(self, engine: Engine) -> &'static str {
        match (self, engine) {
            (Self::Records, Engine::Sqlite) => {
                "SELECT r.id FROM audit_records r LEFT JOIN audit_leaves l ON l.record_id = r.id \
                 WHERE r.id > $1 AND r.id <= $2 AND l.leaf IS NULL ORDER BY r.id"
            }
            // What is behind the sealer's position is still waiting.
            (Self::Records, Engine::Postgres) => {
                "SELECT r.id FROM audit_records r LEFT JOIN audit_leaves l ON l.record_id = r.id \
                 WHERE r.id > $1 AND r.id <= $2 AND l.leaf IS NULL \
                 AND (r.xid, r.id) <= (SELECT last_xid, last_record FROM audit_head WHERE id = 1) ORDER BY r.id"
            }
            (Self::Transactions, _) => {
                "SELECT t.last_entry FROM transactions t LEFT JOIN audit_records r ON r.id = t.record AND r.object_id = t.id \
                 WHERE t.last_entry > $1 AND t.last_entry <= $2 AND r.id IS NULL ORDER BY t.last_entry"
            }
            (Self::Leaves, _) => {
                "SELECT record_id FROM audit_leaves WHERE record_id > $1 AND record_id <= $2 GROUP BY record_id \
                 HAVING count(*) > 1 ORDER BY record_id"
            }
            (Self::Decisions, _) => {
                "SELECT DISTINCT d.record FROM decisions d LEFT JOIN audit_records r ON r.id = d.record AND r.action = 'decision.record' \
                 WHERE d.record > $1 AND d.record <= $2 AND r.id IS NULL ORDER BY d.record"
            }
            (Self::Entries, _) => {
                "SELECT e.id FROM entries e LEFT JOIN transactions t ON t.last_entry = e.transaction_entry AND t.first_entry <= e.id \
                 AND e.id <= t.last_entry WHERE e.id > $1 AND e.id <= $2 AND t.last_entry IS NULL ORDER BY e.id"
            }
        }
    }

    /// The last key of a window of a number of rows.
    const fn window(self) -> &'static str {
        match self {
            Self::Records => {
                "SELECT max(id), count(*) FROM (SELECT id FROM audit_records WHERE id > $1 ORDER BY id LIMIT $2) w"
            }
            Self::Transactions => {
                "SELECT max(last_entry), count(*) FROM (SELECT last_entry FROM transactions WHERE last_entry > $1 \
                 ORDER BY last_entry LIMIT $2) w"
            }
            Self::Leaves => {
                "SELECT max(record_id), count(*) FROM (SELECT record_id FROM audit_leaves WHERE record_id > $1 \
                 ORDER BY record_id LIMIT $2) w"
            }
            Self::Decisions => {
                "SELECT max(record), count(*) FROM (SELECT record FROM decisions WHERE record > $1 ORDER BY record LIMIT $2) w"
            }
            Self::Entries => {
                "SELECT max(id), count(*) FROM (SELECT id FROM entries WHERE id > $1 ORDER BY id LIMIT $2) w"
            }
        }
    }
}

/// What a window showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strays {
    /// Keys of the rows without a bond.
    pub rows: Vec<i64>,
    /// Where the next window begins; `None` at the end.
    pub next: Option<i64>,
}

impl LogSnapshot {
    /// Searches `limit` rows after the key `after`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn strays(&self, stray: Stray, after: i64, limit: u32) -> Result<Strays, StoreError> {
        let window = self
            .query(stray.window(), vec![after.into(), i64::from(limit).into()])
            .await?;
        let row = window.first().ok_or(StoreError::Corrupt("no answer"))?;
        let (last, count): (Option<i64>, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let Some(last) = last else {
            return Ok(Strays {
                rows: Vec::new(),
                next: None,
            });
        };
        let found = self
            .query(stray.sql(self.engine), vec![after.into(), last.into()])
            .await?;
        let rows = found
            .iter()
            .map(|row| row.try_get_by_index(0))
            .collect::<Result<_, _>>()?;
        Ok(Strays {
            rows,
            next: (count >= i64::from(limit)).then_some(last),
        })
    }

    /// How many accounts there are.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn count_accounts(&self) -> Result<u64, StoreError> {
        let found = self.query("SELECT count(*) FROM accounts", vec![]).await?;
        let row = found.first().ok_or(StoreError::Corrupt("no answer"))?;
        Ok(u64::try_from(row.try_get_by_index::<i64>(0)?).unwrap_or_default())
    }

    /// What time it is: by the database, and not before its newest sealed record.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn clock(&self) -> Result<Timestamp, StoreError> {
        let sql = match self.engine {
            // The day of 1 January 1970 by the count of astronomers.
            Engine::Sqlite => "SELECT CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)",
            Engine::Postgres => "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
        };
        let found = self.query(sql, vec![]).await?;
        let row = found.first().ok_or(StoreError::Corrupt("no answer"))?;
        let now = Timestamp::from_micros(row.try_get_by_index(0)?);
        Ok(self
            .newest_record_at()
            .await?
            .map_or(now, |newest| newest.max(now)))
    }

    /// When the newest sealed record was written.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn newest_record_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT r.at FROM audit_leaves l JOIN audit_records r ON r.id = l.record_id ORDER BY l.leaf DESC LIMIT 1";
        let found = self.query(sql, vec![]).await?;
        let at = found.first().map(|row| row.try_get_by_index(0)).transpose()?;
        Ok(at.map(Timestamp::from_micros))
    }
}
