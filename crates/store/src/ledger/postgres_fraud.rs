//! What rules about fraud found and what was decided about it, on PostgreSQL: one statement, which batches without
//! either do without.

use sea_orm::sqlx::{self, PgConnection, Row};
use strongroom_domain::{ledger::Changes, time::Timestamp};
use uuid::Uuid;

use crate::error::StoreError;

const WRITE: &str = "WITH filed AS (INSERT INTO reviews (id, customer, account_id, to_account, amount, currency, \
    verdict, score, rules, at, expires_at, memo, value_date, state, revision) SELECT * FROM unnest($1::uuid[], $2::uuid[], \
    $3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[], $9::text[], $10::bigint[], \
    $11::bigint[], $12::bytea[], $13::bigint[], $14::bigint[], $20::bigint[]) ON CONFLICT DO NOTHING), \
    decided AS (UPDATE reviews r SET state = u.state, decided_by = u.by, decided_at = u.at, \
    sealed_reason = u.reason FROM unnest($15::uuid[], $16::bigint[], $17::uuid[], $18::bigint[], $19::bytea[]) \
    AS u(id, state, by, at, reason) WHERE r.id = u.id AND r.verdict = 2 RETURNING 1) \
    SELECT count(*) FROM decided";

/// Writes it, and tells with how many statements. A review that is filed and decided in one batch is written by two.
pub(super) async fn write(connection: &mut PgConnection, changes: &Changes) -> Result<u64, StoreError> {
    let fraud = &changes.fraud;
    if fraud.filed.is_empty() && fraud.decided.is_empty() {
        return Ok(0);
    }
    let both = fraud
        .decided
        .iter()
        .any(|decided| fraud.filed.iter().any(|filed| filed.id == decided.id));
    if both {
        send(connection, changes, true, false).await?;
        send(connection, changes, false, true).await?;
        return Ok(2);
    }
    send(connection, changes, true, true).await?;
    Ok(1)
}

async fn send(
    connection: &mut PgConnection,
    changes: &Changes,
    filed: bool,
    decided: bool,
) -> Result<(), StoreError> {
    let uuid = |bytes: &[u8; 16]| Uuid::from_bytes(*bytes);
    let filed = if filed {
        changes.fraud.filed.as_slice()
    } else {
        &[]
    };
    let decided = if decided {
        changes.fraud.decided.as_slice()
    } else {
        &[]
    };
    let row = sqlx::query(WRITE)
        .bind(filed.iter().map(|r| uuid(r.id.as_bytes())).collect::<Vec<_>>())
        .bind(
            filed
                .iter()
                .map(|r| uuid(r.customer.as_bytes()))
                .collect::<Vec<_>>(),
        )
        .bind(
            filed
                .iter()
                .map(|r| uuid(r.account.as_bytes()))
                .collect::<Vec<_>>(),
        )
        .bind(
            filed
                .iter()
                .map(|r| uuid(r.to_account.as_bytes()))
                .collect::<Vec<_>>(),
        )
        .bind(filed.iter().map(|r| r.amount.minor()).collect::<Vec<_>>())
        .bind(filed.iter().map(|r| r.currency.code()).collect::<Vec<_>>())
        .bind(filed.iter().map(|r| r.verdict.number()).collect::<Vec<_>>())
        .bind(filed.iter().map(|r| i64::from(r.score)).collect::<Vec<_>>())
        .bind(filed.iter().map(|r| r.rules.as_str()).collect::<Vec<_>>())
        .bind(filed.iter().map(|r| r.at.micros()).collect::<Vec<_>>())
        .bind(
            filed
                .iter()
                .map(|r| r.expires_at.map(Timestamp::micros))
                .collect::<Vec<_>>(),
        )
        .bind(
            filed
                .iter()
                .map(|r| r.memo.map(|memo| memo.to_vec()))
                .collect::<Vec<_>>(),
        )
        .bind(
            filed
                .iter()
                .map(|r| r.value_date.map(|date| i64::from(date.days())))
                .collect::<Vec<_>>(),
        )
        .bind(filed.iter().map(|r| r.state().number()).collect::<Vec<_>>())
        .bind(decided.iter().map(|r| uuid(r.id.as_bytes())).collect::<Vec<_>>())
        .bind(decided.iter().map(|r| r.state.number()).collect::<Vec<_>>())
        .bind(decided.iter().map(|r| uuid(r.by.as_bytes())).collect::<Vec<_>>())
        .bind(decided.iter().map(|r| r.at.micros()).collect::<Vec<_>>())
        .bind(
            decided
                .iter()
                .map(|r| r.sealed_reason.as_deref())
                .collect::<Vec<_>>(),
        )
        .bind(filed.iter().map(|r| r.revision).collect::<Vec<_>>())
        .fetch_one(connection)
        .await?;
    if usize::try_from(row.try_get::<i64, _>(0)?) == Ok(decided.len()) {
        Ok(())
    } else {
        Err(StoreError::Corrupt("decided review not in the books"))
    }
}
