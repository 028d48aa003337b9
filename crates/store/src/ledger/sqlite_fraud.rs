//! What rules about fraud found and what was decided about it, on SQLite, within the batch's transaction.

use rusqlite::{Connection, params};
use strongroom_domain::{ledger::Changes, time::Timestamp};

use crate::{error::StoreError, ledger::LaneCounters};

pub(super) fn write_fraud(
    connection: &Connection,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    for review in &changes.fraud.filed {
        counters.statements += 1;
        connection
            .prepare_cached(
                "INSERT INTO reviews (id, customer, account_id, to_account, amount, currency, verdict, score, rules, at, \
                 expires_at, memo, value_date, state, revision) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) \
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                review.id.as_bytes(),
                review.customer.as_bytes(),
                review.account.as_bytes(),
                review.to_account.as_bytes(),
                review.amount.minor(),
                review.currency.code(),
                review.verdict.number(),
                review.score,
                review.rules,
                review.at.micros(),
                review.expires_at.map(Timestamp::micros),
                review.memo,
                review.value_date.map(|date| i64::from(date.days())),
                review.state().number(),
                review.revision,
            ])?;
    }
    for decided in &changes.fraud.decided {
        counters.statements += 1;
        let written = connection
            .prepare_cached(
                "UPDATE reviews SET state = ?2, decided_by = ?3, decided_at = ?4, sealed_reason = ?5 \
                 WHERE id = ?1 AND verdict = 2",
            )?
            .execute(params![
                decided.id.as_bytes(),
                decided.state.number(),
                decided.by.as_bytes(),
                decided.at.micros(),
                decided.sealed_reason,
            ])?;
        if written != 1 {
            return Err(StoreError::Corrupt("decided review not in the books"));
        }
    }
    Ok(())
}
