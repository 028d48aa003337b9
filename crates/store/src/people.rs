//! People: their login identity and their data key. Everything readable is sealed before it comes here.

use strongroom_domain::{id::UserId, time::Timestamp};
use uuid::Uuid;

use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, one},
};

/// A person to be added.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The id.
    pub id: UserId,
    /// Blind index of the folded address; `None` for a technical user without one.
    pub email_index: Option<[u8; 16]>,
    /// The address, sealed under the person's data key.
    pub sealed_email: Option<Vec<u8>>,
    /// The name, sealed under the person's data key.
    pub sealed_name: Option<Vec<u8>>,
    /// The person's data key, wrapped by the keyring.
    pub wrapped_key: Vec<u8>,
    /// When.
    pub created_at: Timestamp,
}

impl Store {
    /// A person's wrapped data key; `None` once it was destroyed.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn data_key(&self, person: UserId) -> Result<Option<Vec<u8>>, StoreError> {
        let read = self.read(Scope::System).await?;
        let person = Uuid::from_bytes(*person.as_bytes());
        let row = one(
            &read.tx,
            "SELECT wrapped FROM data_keys WHERE person = $1",
            vec![person.into()],
        )
        .await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
    }
}

impl WriteTx {
    /// Adds a person with the data key.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when the address is taken.
    pub async fn insert_user(&self, user: &NewUser) -> Result<(), StoreError> {
        let id = Uuid::from_bytes(*user.id.as_bytes());
        self.execute(
            "INSERT INTO users (id, email_index, sealed_email, sealed_name, state, created_at) \
             VALUES ($1, $2, $3, $4, 'active', $5)",
            vec![
                id.into(),
                user.email_index.map(|index| index.to_vec()).into(),
                user.sealed_email.clone().into(),
                user.sealed_name.clone().into(),
                user.created_at.micros().into(),
            ],
        )
        .await?;
        self.execute(
            "INSERT INTO data_keys (person, wrapped) VALUES ($1, $2)",
            vec![id.into(), user.wrapped_key.clone().into()],
        )
        .await?;
        Ok(())
    }
}
