//! People: their login identity and their data key. Everything readable is sealed before it comes here.

use strongroom_domain::{
    id::{AccountId, UserId},
    text::hex,
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    audit::{APPROVES_FROM, LOGIN, login_digest},
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
        let (index, sealed) = (
            user.email_index.map(|index| hex(&index)),
            user.sealed_email.as_deref().map(hex),
        );
        self.tell(
            user.id,
            LOGIN,
            Some(login_digest(index.as_deref(), sealed.as_deref())),
        );
        self.tell(user.id, APPROVES_FROM, Some("0".to_owned()));
        Ok(())
    }

    /// Puts another sealed name in the place of an account's.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer, [`StoreError::Corrupt`] when the account has no name to
    /// change.
    pub async fn rename_account(&self, account: AccountId, sealed: &[u8]) -> Result<(), StoreError> {
        let account = Uuid::from_bytes(*account.as_bytes());
        let changed = self
            .execute(
                "UPDATE account_names SET sealed = $2 WHERE account_id = $1",
                vec![account.into(), sealed.to_vec().into()],
            )
            .await?;
        if changed == 1 {
            Ok(())
        } else {
            Err(StoreError::Corrupt("an account without a name"))
        }
    }
}
