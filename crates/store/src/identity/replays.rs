//! Nonces that were used. One table for every scheme of signing and for proofs of possession; those that come with a
//! movement of money are used up by the books, in its own commit.

use sea_orm::FromQueryResult;
use strongroom_domain::{id::RequestId, ledger::Nonce, time::Timestamp};
use uuid::Uuid;

use super::uuid;
use crate::{
    error::StoreError,
    tx::{WriteTx, rows},
};

#[derive(FromQueryResult)]
struct PeriodSql {
    period: Option<i64>,
}

#[derive(FromQueryResult)]
struct RequestSql {
    request: Uuid,
}

impl WriteTx {
    /// Uses a nonce up; false when another request did before.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn use_nonce(&self, nonce: &Nonce, request: RequestId) -> Result<bool, StoreError> {
        let digest = Uuid::from_bytes(nonce.digest);
        self.execute(
            "INSERT INTO replays (period, digest, request) VALUES ($1, $2, $3) ON CONFLICT (period, digest) DO NOTHING",
            vec![nonce.period.into(), digest.into(), uuid(request).into()],
        )
        .await?;
        // What was there, in this period or beside it: a statement of its own sees what it had to wait for.
        let found: Vec<RequestSql> = rows(
            &self.tx,
            "SELECT request FROM replays WHERE period IN ($1 - 1, $1, $1 + 1) AND digest = $2",
            vec![nonce.period.into(), digest.into()],
        )
        .await?;
        Ok(!found.is_empty() && found.iter().all(|row| row.request == uuid(request)))
    }

    /// Forgets the oldest period of nonces whose requests can come no more; how many there were.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn forget_nonces(&self, now: Timestamp) -> Result<u64, StoreError> {
        let kept_from = Nonce::new([0; 16], now).period - 2;
        let oldest: Vec<PeriodSql> =
            rows(&self.tx, "SELECT min(period) AS period FROM replays", vec![]).await?;
        let Some(oldest) = oldest.first().and_then(|row| row.period) else {
            return Ok(0);
        };
        if oldest >= kept_from {
            return Ok(0);
        }
        self.execute("DELETE FROM replays WHERE period = $1", vec![oldest.into()])
            .await
    }
}
