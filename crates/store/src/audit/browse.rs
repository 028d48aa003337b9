//! The log read by people: newest first.

use strongroom_domain::audit::SignedRecord;

use crate::{
    audit::{
        rows::{self, Stored, record_columns},
        snapshot::LogSnapshot,
    },
    error::StoreError,
};

const NEWEST: &str = concat!(
    "SELECT l.leaf, ",
    record_columns!(),
    " FROM audit_leaves l LEFT JOIN audit_records r ON r.id = l.record_id WHERE l.leaf < $1 ORDER BY l.leaf DESC LIMIT $2"
);

impl LogSnapshot {
    /// Up to `limit` records below a position, newest first; from the log's end when there is none.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn newest_records(
        &self,
        below: Option<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, Stored<SignedRecord>)>, StoreError> {
        let below = below.map_or(i64::MAX, |position| i64::try_from(position).unwrap_or(i64::MAX));
        let found = self
            .query(NEWEST, vec![below.into(), i64::from(limit).into()])
            .await?;
        found
            .iter()
            .map(|row| Ok((rows::position(row, 0)?, rows::record(row, 1))))
            .collect()
    }
}
