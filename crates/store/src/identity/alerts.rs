//! Alerts: what people are told of, once for each rule, thing and span of time, on however many nodes it is noticed.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    id::{AlertId, RequestId, UserId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{at, id, mails::index16, uuid};
use crate::{
    error::StoreError,
    identity::SWEEP_ROWS_MAX,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRow {
    /// The id.
    pub id: AlertId,
    /// The rule that made it.
    pub rule: String,
    /// What it is about; zeros for nothing in particular.
    pub about: [u8; 16],
    /// Begin of the span of time in which it is said once.
    pub window_at: Timestamp,
    /// How many events made it.
    pub number: u64,
    /// The first of them.
    pub first_at: Timestamp,
    /// The last.
    pub last_at: Timestamp,
    /// The request of the last.
    pub request: Option<RequestId>,
    /// When it had been told.
    pub told_at: Option<Timestamp>,
    /// Tries to tell it.
    pub attempts: u32,
    /// When somebody took note of it.
    pub acknowledged_at: Option<Timestamp>,
    /// Who.
    pub acknowledged_by: Option<UserId>,
}

#[derive(FromQueryResult)]
struct AlertSql {
    id: Uuid,
    rule: String,
    about: Vec<u8>,
    window_at: i64,
    number: i64,
    first_at: i64,
    last_at: i64,
    request: Option<Uuid>,
    told_at: Option<i64>,
    attempts: i64,
    acknowledged_at: Option<i64>,
    acknowledged_by: Option<Uuid>,
}

const COLUMNS: &str = "id, rule, about, window_at, number, first_at, last_at, request, told_at, attempts, \
     acknowledged_at, acknowledged_by";

impl TryFrom<AlertSql> for AlertRow {
    type Error = StoreError;

    fn try_from(row: AlertSql) -> Result<Self, StoreError> {
        Ok(Self {
            id: id(row.id),
            rule: row.rule,
            about: index16(&row.about)?,
            window_at: at(row.window_at),
            number: u64::try_from(row.number).map_err(|_| StoreError::Corrupt("a number of events"))?,
            first_at: at(row.first_at),
            last_at: at(row.last_at),
            request: row.request.map(id),
            told_at: row.told_at.map(at),
            attempts: u32::try_from(row.attempts).map_err(|_| StoreError::Corrupt("a number of tries"))?,
            acknowledged_at: row.acknowledged_at.map(at),
            acknowledged_by: row.acknowledged_by.map(id),
        })
    }
}

impl Store {
    /// Alerts below an id, newest first; those alone that nobody took note of, if so wanted.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn alerts(
        &self,
        open: bool,
        before: Option<AlertId>,
        limit: u32,
    ) -> Result<Vec<AlertRow>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let found: Vec<AlertSql> = rows(
            &read.tx,
            &format!(
                "SELECT {COLUMNS} FROM alerts WHERE id < $1 AND ($2 = 0 OR acknowledged_at IS NULL) \
                 ORDER BY id DESC LIMIT $3"
            ),
            vec![
                before.map_or(Uuid::max(), uuid).into(),
                i64::from(open).into(),
                i64::from(limit).into(),
            ],
        )
        .await?;
        found.into_iter().map(TryInto::try_into).collect()
    }

    /// One alert.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn alert(&self, alert: AlertId) -> Result<Option<AlertRow>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let found: Vec<AlertSql> = rows(
            &read.tx,
            &format!("SELECT {COLUMNS} FROM alerts WHERE id = $1"),
            vec![uuid(alert).into()],
        )
        .await?;
        found.into_iter().next().map(TryInto::try_into).transpose()
    }

    /// Alerts that are to be told now, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn untold_alerts(&self, now: Timestamp, limit: u32) -> Result<Vec<AlertRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<AlertSql> = rows(
            &read.tx,
            &format!(
                "SELECT {COLUMNS} FROM alerts WHERE told_at IS NULL AND next_try_at <= $1 \
                 ORDER BY next_try_at LIMIT $2"
            ),
            vec![now.micros().into(), i64::from(limit).into()],
        )
        .await?;
        found.into_iter().map(TryInto::try_into).collect()
    }
}

impl WriteTx {
    /// Adds an alert; `false` where the same was said in the same span of time.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn add_alert(&self, row: &AlertRow) -> Result<bool, StoreError> {
        let added = self
            .execute(
                "INSERT INTO alerts (id, rule, about, window_at, number, first_at, last_at, request, next_try_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7) ON CONFLICT (rule, about, window_at) DO NOTHING",
                vec![
                    uuid(row.id).into(),
                    row.rule.clone().into(),
                    row.about.to_vec().into(),
                    row.window_at.micros().into(),
                    i64::try_from(row.number).unwrap_or(i64::MAX).into(),
                    row.first_at.micros().into(),
                    row.last_at.micros().into(),
                    row.request.map(uuid).into(),
                ],
            )
            .await?;
        Ok(added == 1)
    }

    /// Takes one try to tell an alert; `false` where another node has it.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn claim_alert(
        &self,
        alert: AlertId,
        attempts: u32,
        next: Timestamp,
    ) -> Result<bool, StoreError> {
        let claimed = self
            .execute(
                "UPDATE alerts SET attempts = attempts + 1, next_try_at = $3 \
                 WHERE id = $1 AND attempts = $2 AND told_at IS NULL",
                vec![
                    uuid(alert).into(),
                    i64::from(attempts).into(),
                    next.micros().into(),
                ],
            )
            .await?;
        Ok(claimed == 1)
    }

    /// The alert had been told.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn told_alert(&self, alert: AlertId, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE alerts SET told_at = $2 WHERE id = $1 AND told_at IS NULL",
            vec![uuid(alert).into(), now.micros().into()],
        )
        .await
        .map(drop)
    }

    /// Somebody takes note of an alert; `false` where somebody did, or there is none.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn acknowledge_alert(
        &self,
        alert: AlertId,
        by: UserId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let taken = self
            .execute(
                "UPDATE alerts SET acknowledged_at = $2, acknowledged_by = $3 \
                 WHERE id = $1 AND acknowledged_at IS NULL",
                vec![uuid(alert).into(), now.micros().into(), uuid(by).into()],
            )
            .await?;
        Ok(taken == 1)
    }

    /// Forgets one portion of what is older than this; how many.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn forget_alerts(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.execute(
            "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE last_at < $1 ORDER BY id LIMIT $2)",
            vec![before.micros().into(), SWEEP_ROWS_MAX.into()],
        )
        .await
    }
}
