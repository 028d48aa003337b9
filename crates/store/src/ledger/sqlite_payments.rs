//! Payments, refunds and reversals on SQLite, within the batch's transaction.

use rusqlite::{Connection, OptionalExtension, params};
use strongroom_domain::{
    id::PaymentId,
    ledger::{Book, Changes, Earlier, OpenApproval, PaymentBook, PaymentNeed},
    payment::Payment,
    time::Timestamp,
};

use crate::{
    error::StoreError,
    ledger::{
        LaneCounters,
        rows::{PaymentRow, payment_columns},
    },
};

const PAYMENT: &str = concat!("SELECT ", payment_columns!(), " FROM payments p WHERE p.id = ?1");
const ALIKE: &str = "SELECT id, paid_at FROM payments WHERE payer = ?1 AND to_account = ?2 AND amount = ?3 \
    AND state = 0 AND refunded < amount ORDER BY paid_at DESC LIMIT 1";

pub(super) fn find_payments(
    connection: &Connection,
    need: &PaymentNeed,
    counters: &mut LaneCounters,
) -> Result<PaymentBook, StoreError> {
    let mut book = PaymentBook::default();
    for id in &need.payments {
        counters.statements += 1;
        let row = connection
            .prepare_cached(PAYMENT)?
            .query_row([id.as_bytes()], sqlite_payment)
            .optional()?;
        if let Some(row) = row {
            book.payments.insert(*id, Payment::try_from(row)?);
        }
    }
    for (payer, to, amount) in &need.alike {
        counters.statements += 1;
        let earlier = connection
            .prepare_cached(ALIKE)?
            .query_row(params![payer.as_bytes(), to.as_bytes(), amount], |row| {
                Ok(Earlier {
                    id: PaymentId::from_bytes(row.get(0)?),
                    paid_at: Timestamp::from_micros(row.get(1)?),
                })
            })
            .optional()?;
        book.alike
            .extend(earlier.map(|earlier| ((*payer, *to, *amount), earlier)));
    }
    for id in &need.reversals {
        counters.statements += 1;
        let mut found = connection.prepare_cached("SELECT 1 FROM reversals WHERE transaction_id = ?1")?;
        if found.exists([id.as_bytes()])? {
            book.reversals.insert(*id);
        }
    }
    for id in &need.approvals {
        counters.statements += 1;
        let open = connection
            .prepare_cached("SELECT digest, expires_at FROM approvals WHERE id = ?1 AND state = 'open'")?
            .query_row([id.as_bytes()], |row| {
                Ok(OpenApproval {
                    digest: row.get(0)?,
                    expires_at: Timestamp::from_micros(row.get(1)?),
                })
            })
            .optional()?;
        book.approvals.extend(open.map(|open| (*id, open)));
    }
    Ok(book)
}

fn sqlite_payment(row: &rusqlite::Row<'_>) -> rusqlite::Result<PaymentRow> {
    Ok(PaymentRow {
        id: row.get(0)?,
        merchant: row.get(1)?,
        payer: row.get(2)?,
        account: row.get(3)?,
        to_account: row.get(4)?,
        amount: row.get(5)?,
        currency: row.get(6)?,
        refunded: row.get(7)?,
        state: row.get(8)?,
        paid_at: row.get(9)?,
    })
}

pub(super) fn write_payments(
    connection: &Connection,
    book: &Book,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    let find = |id: &PaymentId| {
        let found = book.payments.payments.get(id);
        found.ok_or(StoreError::Corrupt("changed payment not in the book"))
    };
    for id in &changes.payments.paid {
        let payment = find(id)?;
        counters.statements += 1;
        connection
            .prepare_cached(
                "INSERT INTO payments (id, merchant_id, payer, account_id, to_account, amount, currency, refunded, \
                 state, paid_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                payment.id.as_bytes(),
                payment.merchant.as_bytes(),
                payment.payer.as_bytes(),
                payment.account.as_bytes(),
                payment.to_account.as_bytes(),
                payment.amount.minor(),
                payment.currency.code(),
                payment.refunded,
                payment.state.number(),
                payment.paid_at.micros(),
            ])?;
    }
    for id in &changes.payments.changed {
        let payment = find(id)?;
        counters.statements += 1;
        let written = connection
            .prepare_cached("UPDATE payments SET refunded = ?2, state = ?3 WHERE id = ?1")?
            .execute(params![id.as_bytes(), payment.refunded, payment.state.number()])?;
        if written != 1 {
            return Err(StoreError::Corrupt("changed payment not in the books"));
        }
    }
    for refund in &changes.payments.refunds {
        counters.statements += 1;
        connection
            .prepare_cached(
                "INSERT INTO refunds (transaction_id, payment_id, amount, refunded, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                refund.transaction.as_bytes(),
                refund.payment.as_bytes(),
                refund.amount.minor(),
                refund.refunded,
                refund.at.micros(),
            ])?;
    }
    for reversal in &changes.payments.reversals {
        counters.statements += 1;
        connection
            .prepare_cached(
                "INSERT INTO reversals (transaction_id, reversal_id, approval_id) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![
                reversal.of.as_bytes(),
                reversal.id.as_bytes(),
                reversal.approval.as_bytes()
            ])?;
    }
    for decided in &changes.payments.decided {
        counters.statements += 1;
        let closed = connection
            .prepare_cached(
                "UPDATE approvals SET state = 'approved', checker = ?3, decided_at = ?4, sealed_reason = ?5, sealed = x'' \
                 WHERE id = ?1 AND digest = ?2 AND state = 'open'",
            )?
            .execute(params![
                decided.approval.as_bytes(),
                decided.digest,
                decided.checker.as_bytes(),
                book.booked_at.micros(),
                decided.sealed_reason,
            ])?;
        if closed != 1 {
            return Err(StoreError::Retry);
        }
    }
    Ok(())
}
