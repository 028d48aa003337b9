//! Opening a database to verify it: what is wrong with it must be found, not stand in the way of looking.

use std::sync::Arc;

use crate::{
    error::StoreError,
    postgres::PostgresEngine,
    settings::{DatabaseUrl, StoreSettings},
    sqlite::SqliteEngine,
    store::{Engines, Store, check_migrated},
};

impl Store {
    /// Opens a database for verification only: nothing is migrated, made or continued, and a tree with holes can be
    /// looked at. Only snapshots may be taken of such a store.
    ///
    /// # Errors
    /// [`StoreError::Setup`] when there is no database or it is of another version, [`StoreError::Unavailable`] when it
    /// does not answer.
    pub async fn open_to_verify(settings: &StoreSettings) -> Result<Self, StoreError> {
        let engines = match &settings.database {
            DatabaseUrl::Sqlite(path) => {
                if !path.is_file() {
                    return Err(StoreError::setup("there is no database in this data directory"));
                }
                let engine = SqliteEngine::open(path, settings).await?;
                check_migrated(&engine.readers).await?;
                Engines::Sqlite(Arc::new(engine))
            }
            DatabaseUrl::Postgres(_) => {
                let engine = PostgresEngine::open(settings)?;
                check_migrated(&engine.pool).await?;
                Engines::Postgres(Arc::new(engine))
            }
        };
        Ok(Self { engines })
    }
}
