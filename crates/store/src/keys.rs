//! Which keys this database was written with: a check value per key, nothing of the keys.

use sea_orm::FromQueryResult;

use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, rows},
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
            .map(|row| {
                Ok(KeyCheckRow {
                    kid: u32::try_from(row.kid).map_err(|_| StoreError::Corrupt("key number"))?,
                    purpose: row.purpose,
                    value: row
                        .value
                        .try_into()
                        .map_err(|_| StoreError::Corrupt("key check value"))?,
                })
            })
            .collect()
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
