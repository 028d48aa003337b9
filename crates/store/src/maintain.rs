//! Work that keeps the store the same size: idempotency keys expire when they are older than seven days.
//!
//! One step per call, small enough to stand between two batches; a background job calls until there is no more to do.

use std::sync::Arc;

use sea_orm::sqlx::{Connection, Row, query};
use strongroom_domain::time::Timestamp;

use crate::{
    error::StoreError,
    postgres::PostgresEngine,
    sqlite::{Head, SqliteEngine},
    store::{Engines, Store},
};

/// How long an idempotency key is kept at least: seven days, in seconds.
pub const KEYS_KEPT_SECONDS: i64 = 7 * 86_400;
/// SQLite: most rows that one step deletes.
const STEP_ROWS_MAX: usize = 500;

/// What a step of maintenance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maintained {
    /// Something; there may be more.
    Some,
    /// There was nothing to do.
    Nothing,
}

impl Store {
    /// Does one bounded step of what is due. `now` says which keys are old enough on SQLite; PostgreSQL goes by its
    /// own clock.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer; [`StoreError::Retry`] when something was in the way. The step
    /// is done again by the next call.
    pub async fn maintain(&self, now: Timestamp) -> Result<Maintained, StoreError> {
        let more = match &self.engines {
            Engines::Sqlite(engine) => {
                let before = now.plus_seconds(-KEYS_KEPT_SECONDS);
                expire_on_sqlite(engine.clone(), before).await?
            }
            Engines::Postgres(engine) => expire_on_postgres(engine).await?,
        };
        Ok(if more {
            Maintained::Some
        } else {
            Maintained::Nothing
        })
    }
}

async fn expire_on_sqlite(engine: Arc<SqliteEngine>, before: Timestamp) -> Result<bool, StoreError> {
    let mut head = engine.gate.clone().lock_owned().await;
    if !head.loaded {
        head = engine.reload(head).await?;
    }
    // With the right to write, on a thread that may wait for the disk.
    let step = tokio::task::spawn_blocking(move || {
        let done = expire_step(&engine, &mut head, before);
        if done.is_err() {
            head.loaded = false;
            head.outcomes.distrust();
        }
        done
    });
    step.await
        .map_err(|_| StoreError::Unavailable("maintenance stopped".to_owned()))?
}

fn expire_step(engine: &SqliteEngine, head: &mut Head, before: Timestamp) -> Result<bool, StoreError> {
    let mut connection = engine.take_writing()?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let more = head.outcomes.expire(&transaction, before, STEP_ROWS_MAX)?;
    transaction.commit()?;
    engine.keep_writing(connection);
    Ok(more)
}

/// Three steps, each in a transaction of its own by a function of the schema's owner: the next generation's table is
/// made ahead, the generation is turned while no batch runs, the oldest goes when all of its keys are old enough.
async fn expire_on_postgres(engine: &PostgresEngine) -> Result<bool, StoreError> {
    let mut connection = engine.connect_ledger().await?;
    let mut more = false;
    for step in [
        "SELECT idempotency_attach_next()",
        "SELECT idempotency_turn()",
        "SELECT idempotency_drop_oldest()",
    ] {
        let row = query(step).fetch_one(&mut connection).await?;
        more |= row.try_get::<bool, _>(0)?;
    }
    connection.close().await?;
    Ok(more)
}
