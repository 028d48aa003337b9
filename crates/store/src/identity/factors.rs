//! Second factors.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    id::{Id, UserId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{at, id, uuid};
use crate::{
    audit::Standing,
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// Names a second factor; only inside.
#[derive(Debug, Clone, Copy)]
pub enum FactorKind {}

impl strongroom_domain::id::Kind for FactorKind {
    const PREFIX: &'static str = "totp";
}

/// Identifier of a second factor.
pub type FactorId = Id<FactorKind>;

/// How far a factor is from being its owner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorState {
    /// Made by somebody else and printed: to be replaced.
    Printed,
    /// Made for its owner, not confirmed by a code yet.
    Pending,
    /// In use.
    Active,
}

impl FactorState {
    const fn name(self) -> &'static str {
        match self {
            Self::Printed => "printed",
            Self::Pending => "pending",
            Self::Active => "active",
        }
    }

    fn parse(name: &str) -> Result<Self, StoreError> {
        [Self::Printed, Self::Pending, Self::Active]
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or(StoreError::Corrupt("factor state"))
    }
}

/// A second factor by time-based codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TotpRow {
    /// The id.
    pub id: FactorId,
    /// Whose.
    pub person: UserId,
    /// The secret, sealed under the person's key.
    pub sealed_secret: Vec<u8>,
    /// How far it is.
    pub state: FactorState,
    /// The last step that was accepted.
    pub last_step: u64,
    /// When.
    pub created_at: Timestamp,
    /// The end, for one that is not in use yet.
    pub expires_at: Option<Timestamp>,
    /// When it was put into use.
    pub activated_at: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct TotpSql {
    id: Uuid,
    sealed_secret: Vec<u8>,
    state: String,
    last_step: i64,
    created_at: i64,
    expires_at: Option<i64>,
    activated_at: Option<i64>,
}

impl Store {
    /// A person's factors by time-based codes, at most one of each state.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn totp_factors(&self, person: UserId) -> Result<Vec<TotpRow>, StoreError> {
        let read = self.read(Scope::Person(person)).await?;
        let found: Vec<TotpSql> = rows(
            &read.tx,
            "SELECT id, sealed_secret, state, last_step, created_at, expires_at, activated_at FROM totp_factors \
             WHERE person = $1",
            vec![uuid(person).into()],
        )
        .await?;
        found
            .into_iter()
            .map(|row| {
                Ok(TotpRow {
                    id: id(row.id),
                    person,
                    sealed_secret: row.sealed_secret,
                    state: FactorState::parse(&row.state)?,
                    last_step: u64::try_from(row.last_step).map_err(|_| StoreError::Corrupt("step"))?,
                    created_at: at(row.created_at),
                    expires_at: row.expires_at.map(at),
                    activated_at: row.activated_at.map(at),
                })
            })
            .collect()
    }
}

impl WriteTx {
    /// Adds a factor in place of the person's one of the same state.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn put_totp(&self, new: &TotpRow) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM totp_factors WHERE person = $1 AND state = $2",
            vec![uuid(new.person).into(), new.state.name().into()],
        )
        .await?;
        self.execute(
            "INSERT INTO totp_factors (id, person, sealed_secret, state, last_step, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, 0, $5, $6)",
            vec![
                uuid(new.id).into(),
                uuid(new.person).into(),
                new.sealed_secret.clone().into(),
                new.state.name().into(),
                new.created_at.micros().into(),
                new.expires_at.map(Timestamp::micros).into(),
            ],
        )
        .await?;
        match new.state {
            // It is good for nothing yet.
            FactorState::Pending => Ok(()),
            _ => self.tell_credentials(new.person, Standing::TotpFactors).await,
        }
    }

    /// Spends a step of a factor; false when it or a later one was spent before. Of several at once one wins.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn use_totp_step(&self, factor: FactorId, step: u64) -> Result<bool, StoreError> {
        let step = i64::try_from(step).map_err(|_| StoreError::Corrupt("step"))?;
        let used = self
            .execute(
                "UPDATE totp_factors SET last_step = $2 WHERE id = $1 AND last_step < $2",
                vec![uuid(factor).into(), step.into()],
            )
            .await?;
        Ok(used == 1)
    }

    /// Puts a pending factor into use in place of all others of the person.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn activate_totp(
        &self,
        person: UserId,
        factor: FactorId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.execute(
            "DELETE FROM totp_factors WHERE person = $1 AND id <> $2",
            vec![uuid(person).into(), uuid(factor).into()],
        )
        .await?;
        let activated = self
            .execute(
                "UPDATE totp_factors SET state = 'active', expires_at = NULL, activated_at = $2 \
                 WHERE id = $1 AND state = 'pending'",
                vec![uuid(factor).into(), now.micros().into()],
            )
            .await?;
        self.tell_credentials(person, Standing::TotpFactors).await?;
        Ok(activated == 1)
    }
}
