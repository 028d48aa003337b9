//! Registrations that wait for their address to be proved.

use sea_orm::FromQueryResult;
use strongroom_domain::{id::RegistrationId, time::Timestamp};
use uuid::Uuid;

use super::{at, id, mails::index16, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// One attempt to register an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationRow {
    /// The id.
    pub id: RegistrationId,
    /// Blind index of the folded address.
    pub email_index: [u8; 16],
    /// Address and name, sealed by the ring: there is no person yet.
    pub sealed: Vec<u8>,
    /// The hash of this attempt's own password.
    pub password_hash: String,
    /// Wrong passwords shown for its token.
    pub failures: u32,
    /// When.
    pub created_at: Timestamp,
    /// The end.
    pub expires_at: Timestamp,
}

#[derive(FromQueryResult)]
struct RegistrationSql {
    id: Uuid,
    email_index: Vec<u8>,
    sealed: Vec<u8>,
    password_hash: String,
    failures: i64,
    created_at: i64,
    expires_at: i64,
}

impl TryFrom<RegistrationSql> for RegistrationRow {
    type Error = StoreError;

    fn try_from(row: RegistrationSql) -> Result<Self, StoreError> {
        Ok(Self {
            id: id(row.id),
            email_index: index16(&row.email_index)?,
            sealed: row.sealed,
            password_hash: row.password_hash,
            failures: u32::try_from(row.failures).map_err(|_| StoreError::Corrupt("failures"))?,
            created_at: at(row.created_at),
            expires_at: at(row.expires_at),
        })
    }
}

/// One query text for every way to select registrations.
macro_rules! registrations {
    ($rest:literal) => {
        concat!(
            "SELECT id, email_index, sealed, password_hash, failures, created_at, expires_at FROM registrations ",
            $rest
        )
    };
}

impl Store {
    /// Registrations that have no token and no mail yet, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn waiting_registrations(&self, limit: u32) -> Result<Vec<RegistrationRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<RegistrationSql> = rows(
            &read.tx,
            registrations!("WHERE token_hash IS NULL ORDER BY created_at LIMIT $1"),
            vec![i64::from(limit).into()],
        )
        .await?;
        found.into_iter().map(RegistrationRow::try_from).collect()
    }

    /// A registration by the hash of its token.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn registration(&self, token_hash: &[u8; 32]) -> Result<Option<RegistrationRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<RegistrationSql> = rows(
            &read.tx,
            registrations!("WHERE token_hash = $1"),
            vec![token_hash.to_vec().into()],
        )
        .await?;
        found
            .into_iter()
            .next()
            .map(RegistrationRow::try_from)
            .transpose()
    }
}

impl WriteTx {
    /// Adds a registration without a token.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_registration(&self, new: &RegistrationRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO registrations (id, email_index, sealed, password_hash, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
            vec![
                uuid(new.id).into(),
                new.email_index.to_vec().into(),
                new.sealed.clone().into(),
                new.password_hash.clone().into(),
                new.created_at.micros().into(),
                new.expires_at.micros().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Gives a registration its token; false when somebody else did.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn arm_registration(
        &self,
        registration: RegistrationId,
        token_hash: &[u8; 32],
    ) -> Result<bool, StoreError> {
        let armed = self
            .execute(
                "UPDATE registrations SET token_hash = $2 WHERE id = $1 AND token_hash IS NULL",
                vec![uuid(registration).into(), token_hash.to_vec().into()],
            )
            .await?;
        Ok(armed == 1)
    }

    /// Takes a registration away; false when it was gone. Of several at once one wins.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn delete_registration(&self, registration: RegistrationId) -> Result<bool, StoreError> {
        let gone = self
            .execute(
                "DELETE FROM registrations WHERE id = $1",
                vec![uuid(registration).into()],
            )
            .await?;
        Ok(gone == 1)
    }

    /// Takes all registrations of an address away.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn delete_registrations(&self, email_index: &[u8; 16]) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM registrations WHERE email_index = $1",
            vec![email_index.to_vec().into()],
        )
        .await?;
        Ok(())
    }

    /// Counts a try at a registration's password before it is made; false when there were too many or it is gone.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn try_registration(
        &self,
        registration: RegistrationId,
        tries_max: u32,
    ) -> Result<bool, StoreError> {
        let counted = self
            .execute(
                "UPDATE registrations SET failures = failures + 1 WHERE id = $1 AND failures < $2",
                vec![uuid(registration).into(), i64::from(tries_max).into()],
            )
            .await?;
        Ok(counted == 1)
    }
}
