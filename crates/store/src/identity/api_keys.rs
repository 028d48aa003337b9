//! Keys of integrations.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    id::{ApiKeyId, UserId},
    principal::Role,
    time::Timestamp,
};
use uuid::Uuid;

use super::{UserState, at, hash32, id, roles_of, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// A key to be stored.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The id, part of the key's text.
    pub id: ApiKeyId,
    /// Whose integration.
    pub owner: UserId,
    /// The name, sealed under the owner's key.
    pub sealed_name: Vec<u8>,
    /// What it may do at most, names separated by spaces.
    pub scopes: String,
    /// Keyed hash of the key.
    pub hash: [u8; 32],
    /// The ring's key that made the hash.
    pub hash_key: u32,
    /// When.
    pub created_at: Timestamp,
    /// The end, if there is one.
    pub expires_at: Option<Timestamp>,
}

/// A key with what decides whether it still counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// The id.
    pub id: ApiKeyId,
    /// Whose integration.
    pub owner: UserId,
    /// Whether the owner may act.
    pub user: UserState,
    /// The owner's roles.
    pub roles: Vec<Role>,
    /// What it may do at most.
    pub scopes: Vec<String>,
    /// Keyed hash of the key.
    pub hash: [u8; 32],
    /// The ring's key that made the hash.
    pub hash_key: u32,
    /// The end, if there is one.
    pub expires_at: Option<Timestamp>,
    /// Whether it was taken away.
    pub revoked: bool,
}

#[derive(FromQueryResult)]
struct KeySql {
    owner: Uuid,
    state: String,
    scopes: String,
    hash: Vec<u8>,
    hash_key: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl Store {
    /// A key by its id, whether or not it still counts.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn api_key(&self, key: ApiKeyId) -> Result<Option<ApiKeyRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<KeySql> = rows(
            &read.tx,
            "SELECT k.owner, u.state, k.scopes, k.hash, k.hash_key, k.expires_at, k.revoked_at \
             FROM api_keys k JOIN users u ON u.id = k.owner WHERE k.id = $1",
            vec![uuid(key).into()],
        )
        .await?;
        let Some(row) = found.into_iter().next() else {
            return Ok(None);
        };
        let owner = id(row.owner);
        Ok(Some(ApiKeyRow {
            id: key,
            owner,
            user: UserState::parse(&row.state)?,
            roles: roles_of(&read.tx, owner).await?,
            scopes: row.scopes.split(' ').map(str::to_owned).collect(),
            hash: hash32(&row.hash)?,
            hash_key: u32::try_from(row.hash_key).map_err(|_| StoreError::Corrupt("key number"))?,
            expires_at: row.expires_at.map(at),
            revoked: row.revoked_at.is_some(),
        }))
    }
}

impl WriteTx {
    /// Adds a key.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_api_key(&self, new: &NewApiKey) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO api_keys (id, owner, sealed_name, scopes, hash, hash_key, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            vec![
                uuid(new.id).into(),
                uuid(new.owner).into(),
                new.sealed_name.clone().into(),
                new.scopes.clone().into(),
                new.hash.to_vec().into(),
                i64::from(new.hash_key).into(),
                new.created_at.micros().into(),
                new.expires_at.map(Timestamp::micros).into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Takes a key away; false when it was gone. The caller revokes it in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn end_api_key(&self, key: ApiKeyId, now: Timestamp) -> Result<bool, StoreError> {
        let ended = self
            .execute(
                "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
                vec![uuid(key).into(), now.micros().into()],
            )
            .await?;
        Ok(ended == 1)
    }
}
