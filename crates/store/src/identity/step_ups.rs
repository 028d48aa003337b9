//! Fresh proofs of a factor: what they approved, and how often one failed.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    id::{SessionId, StepUpId, UserId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{id, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// An approval to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewStepUp {
    /// The name of the challenge that it answers.
    pub id: StepUpId,
    /// In which session.
    pub session: SessionId,
    /// Digest of the one request that it approves.
    pub request: [u8; 32],
    /// When.
    pub approved_at: Timestamp,
    /// The end.
    pub expires_at: Timestamp,
}

#[derive(FromQueryResult)]
struct IdSql {
    id: Uuid,
}

#[derive(FromQueryResult)]
struct CountSql {
    number: i64,
}

impl Store {
    /// An approval of this request in this session that is neither spent nor over; the commit looks again.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn step_up(
        &self,
        session: SessionId,
        request: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<StepUpId>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<IdSql> = rows(
            &read.tx,
            "SELECT id FROM step_ups WHERE session = $1 AND request = $2 AND spent_at IS NULL AND expires_at > $3 \
             ORDER BY expires_at LIMIT 1",
            vec![
                uuid(session).into(),
                request.to_vec().into(),
                now.micros().into(),
            ],
        )
        .await?;
        Ok(found.first().map(|row| id(row.id)))
    }

    /// Whether a person has a second factor in use.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn has_factor(&self, person: UserId) -> Result<bool, StoreError> {
        let read = self.read(Scope::Person(person)).await?;
        let found: Vec<CountSql> = rows(
            &read.tx,
            "SELECT (SELECT count(*) FROM totp_factors WHERE person = $1 AND state <> 'pending') + \
             (SELECT count(*) FROM passkeys WHERE person = $1) AS number",
            vec![uuid(person).into()],
        )
        .await?;
        Ok(found.first().is_some_and(|row| row.number > 0))
    }
}

impl WriteTx {
    /// Approves a request; false when the challenge was used before.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_step_up(&self, new: &NewStepUp) -> Result<bool, StoreError> {
        let inserted = self
            .execute(
                "INSERT INTO step_ups (id, session, request, approved_at, expires_at) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (id) DO NOTHING",
                vec![
                    uuid(new.id).into(),
                    uuid(new.session).into(),
                    new.request.to_vec().into(),
                    new.approved_at.micros().into(),
                    new.expires_at.micros().into(),
                ],
            )
            .await?;
        Ok(inserted == 1)
    }

    /// Spends an approval of this request in this session; false when there is none that lasts, or it was spent.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn spend_step_up(
        &self,
        approval: StepUpId,
        session: SessionId,
        request: &[u8; 32],
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let spent = self
            .execute(
                "UPDATE step_ups SET spent_at = $4 \
                 WHERE id = $1 AND session = $2 AND request = $3 AND spent_at IS NULL AND expires_at > $4",
                vec![
                    uuid(approval).into(),
                    uuid(session).into(),
                    request.to_vec().into(),
                    at.micros().into(),
                ],
            )
            .await?;
        Ok(spent == 1)
    }

    /// Counts a wrong proof in a living session; how many there were, `None` when the session has ended.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn count_wrong_step_up(&self, session: SessionId) -> Result<Option<i64>, StoreError> {
        let found: Vec<CountSql> = rows(
            &self.tx,
            "UPDATE sessions SET step_up_failures = step_up_failures + 1 WHERE id = $1 AND ended_at IS NULL \
             RETURNING step_up_failures AS number",
            vec![uuid(session).into()],
        )
        .await?;
        Ok(found.first().map(|row| row.number))
    }
}
