//! Budgets of integrations and nonces of signed requests on PostgreSQL: one statement each for the whole batch, and
//! none where the batch has none.

use sea_orm::sqlx::{self, PgConnection};
use strongroom_domain::ledger::{Book, Changes};
use uuid::Uuid;

use crate::error::StoreError;

const SPEND: &str = "UPDATE key_budgets b SET opened_at = n.opened_at, spent = n.spent \
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS n (integration, opened_at, spent) \
    WHERE b.integration = n.integration";

/// In one order on every node. Another node's row of the same nonce is waited for, and then in the way.
const USE_UP: &str = "INSERT INTO replays (period, digest, request) \
    SELECT period, digest, request FROM unnest($1::bigint[], $2::uuid[], $3::uuid[]) AS n (period, digest, request) \
    ORDER BY period, digest ON CONFLICT (period, digest) DO NOTHING";

/// Writes both, and says how many statements that took.
pub(super) async fn write(
    connection: &mut PgConnection,
    changes: &Changes,
    book: &Book,
) -> Result<u64, StoreError> {
    let mut statements = 0;
    if !changes.budgets.is_empty() {
        statements += 1;
        spend(connection, changes, book).await?;
    }
    if !changes.nonces.is_empty() {
        statements += 1;
        use_up(connection, changes).await?;
    }
    Ok(statements)
}

async fn spend(connection: &mut PgConnection, changes: &Changes, book: &Book) -> Result<(), StoreError> {
    let states = changes.budgets.iter().map(|id| {
        let state = book
            .budgets
            .get(id)
            .ok_or(StoreError::Corrupt("spent budget not in the book"))?;
        Ok((
            Uuid::from_bytes(*id.as_bytes()),
            (state.opened_at.micros(), state.spent),
        ))
    });
    let (ids, states): (Vec<_>, Vec<_>) = states
        .collect::<Result<Vec<_>, StoreError>>()?
        .into_iter()
        .unzip();
    let (opened, spent): (Vec<_>, Vec<_>) = states.into_iter().unzip();
    let count = ids.len();
    let written = sqlx::query(SPEND)
        .bind(ids)
        .bind(opened)
        .bind(spent)
        .execute(connection)
        .await?;
    if usize::try_from(written.rows_affected()) == Ok(count) {
        Ok(())
    } else {
        Err(StoreError::Corrupt("spent budget not in the books"))
    }
}

async fn use_up(connection: &mut PgConnection, changes: &Changes) -> Result<(), StoreError> {
    let uuid = |bytes: &[u8; 16]| Uuid::from_bytes(*bytes);
    let nonces = &changes.nonces;
    let periods: Vec<i64> = nonces.iter().map(|(nonce, _)| nonce.period).collect();
    let digests: Vec<Uuid> = nonces.iter().map(|(nonce, _)| uuid(&nonce.digest)).collect();
    let requests: Vec<Uuid> = nonces
        .iter()
        .map(|(_, request)| uuid(request.as_bytes()))
        .collect();
    let written = sqlx::query(USE_UP)
        .bind(periods)
        .bind(digests)
        .bind(requests)
        .execute(connection)
        .await?;
    // Another node was faster with one of them: the next look sees it.
    if usize::try_from(written.rows_affected()) == Ok(nonces.len()) {
        Ok(())
    } else {
        Err(StoreError::Retry)
    }
}
