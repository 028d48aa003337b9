//! Entries of statements and what lies in suspense on SQLite, within the batch's transaction.

use rusqlite::{Connection, OptionalExtension, params};
use strongroom_domain::ledger::{Book, Changes, RailBook, RailNeed};

use crate::{
    error::StoreError,
    ledger::{LaneCounters, rows::SuspenseRow},
};

pub(super) fn find_rail(
    connection: &Connection,
    need: &RailNeed,
    counters: &mut LaneCounters,
) -> Result<RailBook, StoreError> {
    let mut book = RailBook::default();
    for tag in &need.tags {
        counters.statements += 1;
        let mut found = connection.prepare_cached("SELECT 1 FROM rail_entries WHERE tag = ?1")?;
        if found.exists([tag])? {
            book.read.insert(*tag);
        }
    }
    for id in &need.items {
        counters.statements += 1;
        let row = connection
            .prepare_cached(
                "SELECT id, direction, amount, currency, reason, opened_at, resolution FROM suspense_items WHERE id = ?1",
            )?
            .query_row([id.as_bytes()], |row| {
                Ok(SuspenseRow {
                    id: row.get(0)?,
                    direction: row.get(1)?,
                    amount: row.get(2)?,
                    currency: row.get(3)?,
                    reason: row.get(4)?,
                    opened_at: row.get(5)?,
                    resolution: row.get(6)?,
                })
            })
            .optional()?;
        if let Some(row) = row {
            book.items.insert(*id, row.try_into()?);
        }
    }
    Ok(book)
}

pub(super) fn write_rail(
    connection: &Connection,
    book: &Book,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    for entry in &changes.rail.read {
        counters.statements += 1;
        connection
            .prepare_cached(
                "INSERT INTO rail_entries (tag, outcome, payment_id, transaction_id, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                entry.tag,
                entry.outcome.number(),
                entry.payment.map(|id| *id.as_bytes()),
                entry.transaction.map(|id| *id.as_bytes()),
                entry.at.micros(),
            ])?;
    }
    for (item, tag, sealed) in &changes.rail.suspended {
        counters.statements += 1;
        connection
            .prepare_cached(
                "INSERT INTO suspense_items (id, tag, direction, amount, currency, reason, sealed, opened_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                item.id.as_bytes(),
                tag,
                item.direction.number(),
                item.amount.minor(),
                item.currency.code(),
                item.reason.number(),
                sealed,
                item.opened_at.micros(),
            ])?;
    }
    for (id, (transaction, approval)) in &changes.rail.resolved {
        counters.statements += 1;
        let written = connection
            .prepare_cached(
                "UPDATE suspense_items SET resolution = ?2, approval_id = ?3, resolved_at = ?4 \
                 WHERE id = ?1 AND resolution IS NULL",
            )?
            .execute(params![
                id.as_bytes(),
                transaction.as_bytes(),
                approval.as_bytes(),
                book.booked_at.micros(),
            ])?;
        if written != 1 {
            return Err(StoreError::Corrupt("resolved item not in the books"));
        }
    }
    Ok(())
}
