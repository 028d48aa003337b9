//! Which keys this database was written with: a check value per key, and new keys, sealed, on their way to every node.

use sea_orm::FromQueryResult;
use strongroom_domain::time::Timestamp;

use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// The check value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCheckRow {
    /// The key's number.
    pub kid: u32,
    /// What it is for.
    pub purpose: String,
    /// Its check value.
    pub value: [u8; 16],
}

/// A rotation that was approved: a new key on its way to every node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRotationRow {
    /// The new key, with its check value.
    pub key: KeyCheckRow,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on new things are made with it.
    pub active_from: Timestamp,
    /// Its material, sealed under another key of the ring; wiped once it has had time to arrive.
    pub sealed: Option<Vec<u8>>,
}

#[derive(Debug, FromQueryResult)]
struct RotationSql {
    kid: i64,
    purpose: String,
    value: Vec<u8>,
    created_at: i64,
    active_from: i64,
    sealed: Option<Vec<u8>>,
}

#[derive(Debug, FromQueryResult)]
struct Row {
    kid: i64,
    purpose: String,
    value: Vec<u8>,
}

impl Store {
    /// All check values.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn key_checks(&self) -> Result<Vec<KeyCheckRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<Row> = rows(
            &read.tx,
            "SELECT kid, purpose, value FROM key_checks ORDER BY kid",
            vec![],
        )
        .await?;
        found
            .into_iter()
            .map(|row| check_of(row.kid, row.purpose, row.value))
            .collect()
    }

    /// Every rotation that was approved, by the number of its key.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn key_rotations(&self) -> Result<Vec<KeyRotationRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<RotationSql> = rows(
            &read.tx,
            "SELECT r.kid, c.purpose, c.value, r.created_at, r.active_from, r.sealed
             FROM key_rotations r JOIN key_checks c ON c.kid = r.kid ORDER BY r.kid",
            vec![],
        )
        .await?;
        found
            .into_iter()
            .map(|row| {
                Ok(KeyRotationRow {
                    key: check_of(row.kid, row.purpose, row.value)?,
                    created_at: Timestamp::from_micros(row.created_at),
                    active_from: Timestamp::from_micros(row.active_from),
                    sealed: row.sealed,
                })
            })
            .collect()
    }

    /// Wipes the material of new keys that were active before a moment: every node has them.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn forget_travelled(&self, before: Timestamp) -> Result<u64, StoreError> {
        let tx = self.write(Scope::System).await?;
        let wiped = tx
            .execute(
                "UPDATE key_rotations SET sealed = NULL WHERE active_from < $1 AND sealed IS NOT NULL",
                vec![before.micros().into()],
            )
            .await?;
        tx.commit().await?;
        Ok(wiped)
    }

    /// Adds check values that are not there yet; a value that is there stays.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn add_key_checks(&self, checks: &[KeyCheckRow]) -> Result<(), StoreError> {
        let tx = self.write(Scope::System).await?;
        for check in checks {
            tx.execute(
                "INSERT INTO key_checks (kid, purpose, value) VALUES ($1, $2, $3) ON CONFLICT (kid) DO NOTHING",
                vec![i64::from(check.kid).into(), check.purpose.clone().into(), check.value.to_vec().into()],
            )
            .await?;
        }
        tx.commit().await
    }
}

impl WriteTx {
    /// Announces a new key to every node. Whoever does has revoked [`crate::Revoked::Keys`] before, and so is alone:
    /// `false`, and nothing is written, where a key of this number or a later one is known already.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn insert_key_rotation(&self, row: &KeyRotationRow) -> Result<bool, StoreError> {
        let kid = i64::from(row.key.kid);
        let later: Vec<Row> = rows(
            &self.tx,
            "SELECT kid, purpose, value FROM key_checks WHERE kid >= $1",
            vec![kid.into()],
        )
        .await?;
        if !later.is_empty() {
            return Ok(false);
        }
        self.execute(
            "INSERT INTO key_checks (kid, purpose, value) VALUES ($1, $2, $3)",
            vec![
                kid.into(),
                row.key.purpose.clone().into(),
                row.key.value.to_vec().into(),
            ],
        )
        .await?;
        self.execute(
            "INSERT INTO key_rotations (kid, created_at, active_from, sealed) VALUES ($1, $2, $3, $4)",
            vec![
                kid.into(),
                row.created_at.micros().into(),
                row.active_from.micros().into(),
                row.sealed.clone().into(),
            ],
        )
        .await?;
        Ok(true)
    }
}

fn check_of(kid: i64, purpose: String, value: Vec<u8>) -> Result<KeyCheckRow, StoreError> {
    Ok(KeyCheckRow {
        kid: u32::try_from(kid).map_err(|_| StoreError::Corrupt("key number"))?,
        purpose,
        value: value
            .try_into()
            .map_err(|_| StoreError::Corrupt("key check value"))?,
    })
}
