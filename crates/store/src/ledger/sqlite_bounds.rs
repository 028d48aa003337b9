//! Budgets of integrations and nonces of signed requests on SQLite, within the batch's transaction.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};
use strongroom_domain::{
    id::{ApiKeyId, RequestId},
    ledger::{Book, BudgetState, Changes},
    time::Timestamp,
};

use crate::{
    error::StoreError,
    ledger::{LaneCounters, Need},
};

pub(super) fn find_budgets(
    connection: &Connection,
    need: &Need,
    counters: &mut LaneCounters,
) -> Result<HashMap<ApiKeyId, BudgetState>, StoreError> {
    let mut found = HashMap::new();
    for id in &need.budgets {
        counters.statements += 1;
        let state = connection
            .prepare_cached("SELECT opened_at, spent FROM key_budgets WHERE integration = ?1")?
            .query_row([id.as_bytes()], |row| {
                Ok(BudgetState {
                    opened_at: Timestamp::from_micros(row.get(0)?),
                    spent: row.get(1)?,
                })
            })
            .optional()?;
        found.extend(state.map(|state| (*id, state)));
    }
    Ok(found)
}

pub(super) fn find_nonces(
    connection: &Connection,
    need: &Need,
    counters: &mut LaneCounters,
) -> Result<HashMap<[u8; 16], RequestId>, StoreError> {
    let mut found = HashMap::new();
    for nonce in &need.nonces {
        counters.statements += 1;
        let request: Option<[u8; 16]> = connection
            .prepare_cached(
                "SELECT request FROM replays WHERE period IN (?1 - 1, ?1, ?1 + 1) AND digest = ?2",
            )?
            .query_row(params![nonce.period, nonce.digest], |row| row.get(0))
            .optional()?;
        found.extend(request.map(|request| (nonce.digest, RequestId::from_bytes(request))));
    }
    Ok(found)
}

pub(super) fn write_budgets(
    connection: &Connection,
    book: &Book,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    for id in &changes.budgets {
        let state = book
            .budgets
            .get(id)
            .ok_or(StoreError::Corrupt("spent budget not in the book"))?;
        counters.statements += 1;
        let written = connection
            .prepare_cached("UPDATE key_budgets SET opened_at = ?2, spent = ?3 WHERE integration = ?1")?
            .execute(params![id.as_bytes(), state.opened_at.micros(), state.spent])?;
        if written != 1 {
            return Err(StoreError::Corrupt("spent budget not in the books"));
        }
    }
    Ok(())
}

/// A nonce is one request's: the table refuses a second row.
pub(super) fn write_nonces(
    connection: &Connection,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    for (nonce, request) in &changes.nonces {
        counters.statements += 1;
        connection
            .prepare_cached("INSERT INTO replays (period, digest, request) VALUES (?1, ?2, ?3)")?
            .execute(params![nonce.period, nonce.digest, request.as_bytes()])?;
    }
    Ok(())
}
