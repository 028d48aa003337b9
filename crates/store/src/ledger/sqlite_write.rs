//! Writing a batch's changes on SQLite: a prepared statement per table, one row at a time, in the order of booking.

use std::collections::HashSet;

use rusqlite::{Connection, params};
use strongroom_domain::{
    account::Account,
    iban::Iban,
    id::AccountId,
    ledger::{Book, Changes},
    time::Timestamp,
};

use crate::{
    error::StoreError,
    ledger::{
        LaneCounters,
        outcomes::OutcomeIndex,
        sqlite_bounds::{write_budgets, write_nonces},
        sqlite_fraud::write_fraud,
        sqlite_limits::write_limits,
        sqlite_payments::write_payments,
        sqlite_rail::write_rail,
        sqlite_sending::write_sending,
    },
};

/// Writes everything but the outcomes' index, within the caller's transaction.
pub(super) fn write(
    connection: &Connection,
    outcomes: &OutcomeIndex,
    book: &Book,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    write_opened(connection, book, changes, counters)?;
    write_states(connection, book, changes, counters)?;
    write_postings(connection, changes, counters)?;
    write_memos(connection, changes, counters)?;
    write_step_ups(connection, book, changes, counters)?;
    write_holds(connection, book, changes, counters)?;
    write_fraud(connection, changes, counters)?;
    write_payments(connection, book, changes, counters)?;
    write_sending(connection, book, changes, counters)?;
    write_rail(connection, book, changes, counters)?;
    write_budgets(connection, book, changes, counters)?;
    write_nonces(connection, changes, counters)?;
    write_limits(connection, book, changes, counters)?;
    write_outcomes(connection, outcomes, changes, counters)?;
    write_records(connection, changes, counters)?;
    write_tree(connection, changes, counters)
}

fn changed<'a>(book: &'a Book, id: &AccountId) -> Result<&'a Account, StoreError> {
    book.accounts
        .get(id)
        .ok_or(StoreError::Corrupt("changed account not in the book"))
}

fn write_opened(
    connection: &Connection,
    book: &Book,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    for opened in &changes.opened {
        let account = changed(book, &opened.id)?;
        counters.statements += 1;
        connection
            .prepare_cached(
                "INSERT INTO accounts (id, owner, kind, currency, number, opened_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                account.id.as_bytes(),
                account.owner.map(|owner| *owner.as_bytes()),
                account.kind.name(),
                account.currency.code(),
                opened.number.as_ref().map(Iban::as_str),
                opened.at.micros(),
            ])?;
        if let Some(sealed) = &opened.sealed_name {
            counters.statements += 1;
            connection
                .prepare_cached("INSERT INTO account_names (account_id, sealed) VALUES (?1, ?2)")?
                .execute(params![account.id.as_bytes(), sealed])?;
        }
    }
    Ok(())
}

fn write_states(
    connection: &Connection,
    book: &Book,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    let mut update = connection.prepare_cached(
        "UPDATE account_states SET floor = ?2, freezes = ?3, closed = ?4, balance = ?5, held = ?6, entries = ?7, \
         last_booked_at = ?8, path = ?9, holds = ?10, hold_due = ?11 WHERE account_id = ?1",
    )?;
    let opened: HashSet<AccountId> = changes.opened.iter().map(|new| new.id).collect();
    for id in &changes.touched {
        let account = changed(book, id)?;
        let values = params![
            account.id.as_bytes(),
            account.floor,
            account.freezes.bits(),
            account.closed,
            account.balance,
            account.held,
            whole(account.entries),
            account.last_booked_at.micros(),
            account.path.to_bytes(),
            account.holds,
            account.hold_due.map(Timestamp::micros),
        ];
        counters.statements += 1;
        let written = if opened.contains(id) {
            connection
                .prepare_cached(
                    "INSERT INTO account_states (account_id, floor, freezes, closed, balance, held, entries, \
                     last_booked_at, path, holds, hold_due) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                )?
                .execute(values)?
        } else {
            update.execute(values)?
        };
        if written != 1 {
            return Err(StoreError::Corrupt("changed account not in the books"));
        }
    }
    Ok(())
}

fn write_postings(
    connection: &Connection,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    // A refusal ends the batch in any case: SQLite keeps no copies of pages for taking back one statement alone.
    let mut post = connection.prepare_cached(
        "INSERT OR ROLLBACK INTO transactions (last_entry, id, first_entry, kind, from_account, to_account, amount, currency, \
         booked_at, value_date, memo, salt, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    let mut enter = connection.prepare_cached(
        "INSERT OR ROLLBACK INTO entries (id, transaction_entry, account_id, sequence, amount, currency, balance_after, \
         booked_at, prev, jump) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let mut entries = changes.entries.iter().peekable();
    for transaction in &changes.transactions {
        counters.statements += 1;
        post.execute(params![
            transaction.last_entry,
            transaction.id.as_bytes(),
            transaction.first_entry,
            transaction.kind.name(),
            transaction.from_account.as_bytes(),
            transaction.to_account.as_bytes(),
            transaction.amount.minor(),
            transaction.currency.code(),
            transaction.booked_at.micros(),
            i64::from(transaction.value_date.days()),
            transaction.memo,
            transaction.salt,
            transaction.record,
        ])?;
        while let Some(entry) = entries.next_if(|entry| entry.transaction == transaction.last_entry) {
            counters.statements += 1;
            enter.execute(params![
                entry.id,
                entry.transaction,
                entry.account.as_bytes(),
                whole(entry.sequence),
                entry.amount,
                entry.currency.code(),
                entry.balance_after,
                entry.booked_at.micros(),
                entry.prev,
                entry.jump,
            ])?;
        }
    }
    Ok(())
}

fn write_memos(
    connection: &Connection,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    let mut keep = connection
        .prepare_cached("INSERT INTO memos (transaction_id, person, sealed) VALUES (?1, ?2, ?3)")?;
    for memo in &changes.memos {
        counters.statements += 1;
        keep.execute(params![
            memo.transaction.as_bytes(),
            memo.person.as_bytes(),
            memo.sealed
        ])?;
    }
    Ok(())
}

/// Spends approvals: each at most once, also where a decision forgot to look.
fn write_step_ups(
    connection: &Connection,
    book: &Book,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    for approval in &changes.step_ups {
        counters.statements += 1;
        let spent = connection
            .prepare_cached("UPDATE step_ups SET spent_at = ?2 WHERE id = ?1 AND spent_at IS NULL")?
            .execute(params![approval.as_bytes(), book.booked_at.micros()])?;
        if spent != 1 {
            return Err(StoreError::Retry);
        }
    }
    Ok(())
}

fn write_holds(
    connection: &Connection,
    book: &Book,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    let find = |id| {
        let found = book.holds.get(id);
        found.ok_or(StoreError::Corrupt("changed hold not in the book"))
    };
    for id in &changes.placed {
        let hold = find(id)?;
        counters.statements += 1;
        connection
            .prepare_cached(
                "INSERT INTO holds (id, account_id, to_account, amount, currency, captured, state, placed_at, expires_at, \
                 closed_at, review) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                hold.id.as_bytes(),
                hold.account.as_bytes(),
                hold.to_account.as_bytes(),
                hold.amount.minor(),
                hold.currency.code(),
                hold.captured,
                hold.state.number(),
                hold.placed_at.micros(),
                hold.expires_at.micros(),
                hold.closed_at.map(Timestamp::micros),
                hold.review,
            ])?;
    }
    for id in &changes.holds {
        let hold = find(id)?;
        counters.statements += 1;
        let written = connection
            .prepare_cached("UPDATE holds SET captured = ?2, state = ?3, closed_at = ?4 WHERE id = ?1")?
            .execute(params![
                hold.id.as_bytes(),
                hold.captured,
                hold.state.number(),
                hold.closed_at.map(Timestamp::micros),
            ])?;
        if written != 1 {
            return Err(StoreError::Corrupt("changed hold not in the books"));
        }
    }
    for capture in &changes.captures {
        counters.statements += 1;
        connection
            .prepare_cached(
                "INSERT INTO hold_captures (transaction_id, hold_id, captured, state) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                capture.transaction.as_bytes(),
                capture.hold.as_bytes(),
                capture.captured,
                capture.state.number(),
            ])?;
    }
    Ok(())
}

fn write_outcomes(
    connection: &Connection,
    outcomes: &OutcomeIndex,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    let mut remember = connection.prepare_cached(
        "INSERT INTO idempotency_outcomes (id, tag, fingerprint, code, resource, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (id, outcome) in (outcomes.next_id()..).zip(&changes.outcomes) {
        counters.statements += 1;
        remember.execute(params![
            id,
            outcome.tag,
            outcome.fingerprint.as_bytes(),
            outcome.code,
            outcome.resource,
            outcome.at.micros(),
        ])?;
    }
    Ok(())
}

fn write_records(
    connection: &Connection,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    let mut record_it = connection.prepare_cached(
        "INSERT INTO audit_records (id, at, request, principal_kind, principal_id, session, origin, action, object_kind, \
         object_id, outcome, policy, details, mac_key, mac) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?;
    for record in &changes.records {
        counters.statements += 1;
        record_it.execute(params![
            record.id,
            record.at,
            record.request,
            record.principal_kind,
            record.principal_id,
            record.session,
            record.origin,
            record.action,
            record.object_kind,
            record.object_id,
            record.outcome,
            record.policy,
            record.details.as_bytes(),
            record.mac_key,
            record.mac,
        ])?;
    }
    Ok(())
}

/// Appends records that others than the lane write, with their place in the tree, within the caller's transaction.
pub(crate) fn append_records(connection: &Connection, changes: &Changes) -> Result<(), StoreError> {
    let mut counters = LaneCounters::default();
    write_records(connection, changes, &mut counters)?;
    write_tree(connection, changes, &mut counters)
}

fn write_tree(
    connection: &Connection,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    let mut grow =
        connection.prepare_cached("INSERT INTO audit_leaves (leaf, record_id, hash) VALUES (?1, ?2, ?3)")?;
    for (leaf, record, hash) in &changes.leaves {
        counters.statements += 1;
        grow.execute(params![position(*leaf)?, record, hash])?;
    }
    for node in &changes.nodes {
        counters.statements += 1;
        connection
            .prepare_cached("INSERT INTO audit_nodes (level, position, hash) VALUES (?1, ?2, ?3)")?
            .execute(params![node.level, position(node.index)?, node.hash])?;
    }
    Ok(())
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn position(index: u64) -> Result<i64, StoreError> {
    i64::try_from(index).map_err(|_| StoreError::Corrupt("log too long"))
}
