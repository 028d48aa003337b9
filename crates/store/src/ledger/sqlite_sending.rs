//! Beneficiaries and payments to them on SQLite, within the batch's transaction.

use rusqlite::{Connection, OptionalExtension, params};
use strongroom_domain::{
    beneficiary::{Beneficiary, LastPaid},
    ledger::{Book, Changes, SendingBook, SendingNeed},
    outgoing::Outgoing,
    time::Timestamp,
};

use crate::{
    error::StoreError,
    ledger::{
        LaneCounters,
        rows::{BeneficiaryRow, OutgoingRow, outgoing_columns},
    },
};

const BENEFICIARY: &str = "SELECT id, owner, account_id, currency, added_at, removed_at, paid, last_payment, last_amount, \
    last_at, earlier FROM beneficiaries WHERE id = ?1";
const OUTGOING: &str = concat!(
    "SELECT ",
    outgoing_columns!(),
    " FROM outgoing_payments o WHERE o.id = ?1"
);

pub(super) fn find_sending(
    connection: &Connection,
    need: &SendingNeed,
    counters: &mut LaneCounters,
) -> Result<SendingBook, StoreError> {
    let mut book = SendingBook::default();
    for id in &need.beneficiaries {
        counters.statements += 1;
        let row = connection
            .prepare_cached(BENEFICIARY)?
            .query_row([id.as_bytes()], beneficiary)
            .optional()?;
        if let Some(row) = row {
            book.beneficiaries.insert(*id, Beneficiary::try_from(row)?);
        }
    }
    for id in &need.outgoing {
        counters.statements += 1;
        let row = connection
            .prepare_cached(OUTGOING)?
            .query_row([id.as_bytes()], outgoing)
            .optional()?;
        if let Some(row) = row {
            book.outgoing.insert(*id, Outgoing::try_from(row)?);
        }
    }
    Ok(book)
}

fn beneficiary(row: &rusqlite::Row<'_>) -> rusqlite::Result<BeneficiaryRow> {
    let last: (Option<[u8; 16]>, Option<i64>, Option<i64>) = (row.get(7)?, row.get(8)?, row.get(9)?);
    Ok(BeneficiaryRow {
        id: row.get(0)?,
        owner: row.get(1)?,
        account: row.get(2)?,
        currency: row.get(3)?,
        added_at: row.get(4)?,
        removed_at: row.get(5)?,
        paid: row.get(6)?,
        last: match last {
            (Some(id), Some(amount), Some(at)) => Some((id, amount, at)),
            _ => None,
        },
        earlier: row.get(10)?,
    })
}

fn outgoing(row: &rusqlite::Row<'_>) -> rusqlite::Result<OutgoingRow> {
    Ok(OutgoingRow {
        id: row.get(0)?,
        beneficiary: row.get(1)?,
        payer: row.get(2)?,
        account: row.get(3)?,
        to_account: row.get(4)?,
        amount: row.get(5)?,
        currency: row.get(6)?,
        state: row.get(7)?,
        debited: row.get(8)?,
        file: row.get(9)?,
        paid_at: row.get(10)?,
        closed_at: row.get(11)?,
    })
}

pub(super) fn write_sending(
    connection: &Connection,
    book: &Book,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    for id in &changes.sending.beneficiaries {
        let beneficiary = book.sending.beneficiaries.get(id);
        let beneficiary = beneficiary.ok_or(StoreError::Corrupt("paid beneficiary not in the book"))?;
        counters.statements += 1;
        let written = connection
            .prepare_cached(
                "UPDATE beneficiaries SET paid = ?2, last_payment = ?3, last_amount = ?4, last_at = ?5, \
                 earlier = ?6 WHERE id = ?1",
            )?
            .execute(params![
                id.as_bytes(),
                beneficiary.paid,
                beneficiary.last.map(|last| *last.id.as_bytes()),
                beneficiary.last.map(|last| last.amount.minor()),
                beneficiary.last.map(|last| last.at.micros()),
                LastPaid::to_bytes(&beneficiary.earlier),
            ])?;
        if written != 1 {
            return Err(StoreError::Corrupt("paid beneficiary not in the books"));
        }
    }
    let find = |id| {
        let found = book.sending.outgoing.get(id);
        found.ok_or(StoreError::Corrupt("changed payment not in the book"))
    };
    for id in &changes.sending.sent {
        let payment = find(id)?;
        counters.statements += 1;
        connection
            .prepare_cached(
                "INSERT INTO outgoing_payments (id, beneficiary_id, payer, account_id, to_account, amount, currency, \
                 state, debited, paid_at, closed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                payment.id.as_bytes(),
                payment.beneficiary.as_bytes(),
                payment.payer.as_bytes(),
                payment.account.as_bytes(),
                payment.to_account.map(|to| *to.as_bytes()),
                payment.amount.minor(),
                payment.currency.code(),
                payment.state.number(),
                payment.debited,
                payment.paid_at.micros(),
                payment.closed_at.map(Timestamp::micros),
            ])?;
    }
    for id in &changes.sending.changed {
        let payment = find(id)?;
        counters.statements += 1;
        let written = connection
            .prepare_cached(
                "UPDATE outgoing_payments SET state = ?2, debited = ?3, closed_at = ?4 WHERE id = ?1",
            )?
            .execute(params![
                id.as_bytes(),
                payment.state.number(),
                payment.debited,
                payment.closed_at.map(Timestamp::micros),
            ])?;
        if written != 1 {
            return Err(StoreError::Corrupt("changed payment not in the books"));
        }
    }
    Ok(())
}
