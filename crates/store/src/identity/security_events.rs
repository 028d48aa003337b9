//! What people who proved to be nobody tried: counts, bounded in number and in age.

use sea_orm::FromQueryResult;
use strongroom_domain::{id::SecurityEventId, time::Timestamp};
use uuid::Uuid;

use super::{at, id, mails::index16, uuid};
use crate::{
    error::StoreError,
    identity::SWEEP_ROWS_MAX,
    store::Store,
    tx::{Scope, WriteTx, one, rows},
};

/// Place that is not known, or one of too many.
const NOWHERE: [u8; 16] = [0; 16];

/// Failures that were counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityEventRow {
    /// The id.
    pub id: SecurityEventId,
    /// Begin of the span of time that they are counted for.
    pub window_at: Timestamp,
    /// What failed.
    pub kind: String,
    /// Keyed digest of the network that they came from.
    pub source: Option<[u8; 16]>,
    /// Keyed digest of the login that was tried.
    pub subject: Option<[u8; 16]>,
    /// The network, sealed by the ring at the row's id.
    pub sealed_source: Option<Vec<u8>>,
    /// How many.
    pub number: u64,
    /// The first.
    pub first_at: Timestamp,
    /// The last.
    pub last_at: Timestamp,
    /// What was recognised in a request, as JSON; such a row has no subject and counts one.
    pub details: Option<String>,
}

/// Which ones a reader wants; absent fields want all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurityEventFilter {
    /// What failed.
    pub kind: Option<&'static str>,
    /// From where.
    pub source: Option<[u8; 16]>,
    /// At which login.
    pub subject: Option<[u8; 16]>,
    /// This one alone.
    pub id: Option<SecurityEventId>,
}

#[derive(FromQueryResult)]
struct EventSql {
    id: Uuid,
    window_at: i64,
    kind: String,
    source: Vec<u8>,
    subject: Vec<u8>,
    sealed_source: Option<Vec<u8>>,
    number: i64,
    first_at: i64,
    last_at: i64,
    details: Option<String>,
}

fn place(bytes: &[u8]) -> Result<Option<[u8; 16]>, StoreError> {
    Ok(Some(index16(bytes)?).filter(|place| *place != NOWHERE))
}

impl TryFrom<EventSql> for SecurityEventRow {
    type Error = StoreError;

    fn try_from(row: EventSql) -> Result<Self, StoreError> {
        Ok(Self {
            id: id(row.id),
            window_at: at(row.window_at),
            kind: row.kind,
            source: place(&row.source)?,
            // An incident has its own number there, so that it is counted with no other.
            subject: place(&row.subject)?.filter(|_| row.details.is_none()),
            sealed_source: row.sealed_source,
            number: u64::try_from(row.number).map_err(|_| StoreError::Corrupt("a number of failures"))?,
            first_at: at(row.first_at),
            last_at: at(row.last_at),
            details: row.details,
        })
    }
}

impl Store {
    /// Counts below an id, newest first. The table is small: a filter may walk all of it.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn security_events(
        &self,
        filter: &SecurityEventFilter,
        before: Option<SecurityEventId>,
        limit: u32,
    ) -> Result<Vec<SecurityEventRow>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let before = before.map_or(Uuid::max(), uuid);
        let found: Vec<EventSql> = rows(
            &read.tx,
            "SELECT id, window_at, kind, source, subject, sealed_source, number, first_at, last_at, details \
             FROM security_events WHERE id < $1 AND ($2 = '' OR kind = $2) AND ($3 = $5 OR source = $3) \
             AND ($4 = $5 OR subject = $4) AND ($6 = $7 OR id = $6) ORDER BY id DESC LIMIT $8",
            vec![
                before.into(),
                filter.kind.unwrap_or_default().into(),
                filter.source.unwrap_or(NOWHERE).to_vec().into(),
                filter.subject.unwrap_or(NOWHERE).to_vec().into(),
                NOWHERE.to_vec().into(),
                filter.id.map_or(Uuid::nil(), uuid).into(),
                Uuid::nil().into(),
                i64::from(limit).into(),
            ],
        )
        .await?;
        found.into_iter().map(TryInto::try_into).collect()
    }

    /// The newest count that is one too many where only so many are kept.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn security_event_beyond(&self, kept: u32) -> Result<Option<SecurityEventId>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found = one(
            &read.tx,
            "SELECT id FROM security_events ORDER BY id DESC LIMIT 1 OFFSET $1",
            vec![i64::from(kept).into()],
        )
        .await?;
        let found: Option<Uuid> = found.map(|row| row.try_get_by_index(0)).transpose()?;
        Ok(found.map(id))
    }
}

impl WriteTx {
    /// Adds failures to what was counted of the same kind, place and login in the same span of time.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn add_security_event(&self, row: &SecurityEventRow) -> Result<(), StoreError> {
        let number = i64::try_from(row.number).unwrap_or(i64::MAX);
        self.execute(
            "INSERT INTO security_events \
             (id, window_at, kind, source, subject, sealed_source, number, first_at, last_at, details) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT (window_at, kind, source, subject) DO UPDATE SET \
             number = security_events.number + excluded.number, \
             last_at = CASE WHEN excluded.last_at > security_events.last_at \
             THEN excluded.last_at ELSE security_events.last_at END",
            vec![
                uuid(row.id).into(),
                row.window_at.micros().into(),
                row.kind.clone().into(),
                row.source.unwrap_or(NOWHERE).to_vec().into(),
                row.details
                    .as_ref()
                    .map(|_| *row.id.as_bytes())
                    .or(row.subject)
                    .unwrap_or(NOWHERE)
                    .to_vec()
                    .into(),
                row.sealed_source.clone().into(),
                number.into(),
                row.first_at.micros().into(),
                row.last_at.micros().into(),
                row.details.clone().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Forgets one portion of what is as old as this one or older; how many rows.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn forget_security_events(&self, upto: SecurityEventId) -> Result<u64, StoreError> {
        self.execute(
            "DELETE FROM security_events WHERE id IN \
             (SELECT id FROM security_events WHERE id <= $1 ORDER BY id LIMIT $2)",
            vec![uuid(upto).into(), SWEEP_ROWS_MAX.into()],
        )
        .await
    }
}
