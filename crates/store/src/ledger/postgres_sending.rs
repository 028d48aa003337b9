//! Beneficiaries and payments to them on PostgreSQL. Beneficiaries are read in the batch's first round trip; what is
//! taken back is looked up in a statement of its own, and what was done is written by one. Batches without have none of
//! them.

use std::collections::HashMap;

use sea_orm::sqlx::{self, PgConnection, Row, postgres::PgRow};
use strongroom_domain::{
    beneficiary::LastPaid,
    id::PaymentId,
    ledger::{Book, Changes, SendingNeed},
    outgoing::Outgoing,
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    error::StoreError,
    ledger::rows::{BeneficiaryRow, OutgoingRow, outgoing_columns},
};

/// In one order on every node. A file that is being released waits, or is waited for.
const OUTGOING: &str = concat!(
    "SELECT ",
    outgoing_columns!(),
    " FROM outgoing_payments o WHERE o.id = ANY($1) ORDER BY o.id FOR UPDATE"
);

const WRITE: &str = "WITH sent AS (INSERT INTO outgoing_payments (id, beneficiary_id, payer, account_id, to_account, amount, \
    currency, state, debited, paid_at, closed_at) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], \
    $5::uuid[], $6::bigint[], $7::text[], $8::bigint[], $9::boolean[], $10::bigint[], $11::bigint[])), \
    changed AS (UPDATE outgoing_payments o SET state = u.state, debited = u.debited, closed_at = u.closed_at \
    FROM unnest($12::uuid[], $13::bigint[], $14::boolean[], $15::bigint[]) AS u (id, state, debited, closed_at) \
    WHERE o.id = u.id RETURNING 1), \
    paid AS (UPDATE beneficiaries b SET paid = u.paid, last_payment = u.last_payment, last_amount = u.last_amount, \
    last_at = u.last_at, earlier = u.earlier FROM unnest($16::uuid[], $17::bigint[], $18::uuid[], $19::bigint[], $20::bigint[], \
    $21::bytea[]) AS u (id, paid, last_payment, last_amount, last_at, earlier) WHERE b.id = u.id RETURNING 1) \
    SELECT (SELECT count(*) FROM changed) + (SELECT count(*) FROM paid)";

const fn uuid(bytes: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*bytes)
}

pub(super) fn beneficiary_row(row: &PgRow) -> Result<BeneficiaryRow, StoreError> {
    let last: (Option<Uuid>, Option<i64>, Option<i64>) = (row.try_get(7)?, row.try_get(8)?, row.try_get(9)?);
    Ok(BeneficiaryRow {
        id: row.try_get::<Uuid, _>(0)?.into_bytes(),
        owner: row.try_get::<Uuid, _>(1)?.into_bytes(),
        account: row.try_get::<Option<Uuid>, _>(2)?.map(Uuid::into_bytes),
        currency: row.try_get(3)?,
        added_at: row.try_get(4)?,
        removed_at: row.try_get(5)?,
        paid: row.try_get(6)?,
        last: match last {
            (Some(id), Some(amount), Some(at)) => Some((id.into_bytes(), amount, at)),
            _ => None,
        },
        earlier: row.try_get(10)?,
    })
}

fn outgoing_row(row: &PgRow) -> Result<OutgoingRow, StoreError> {
    Ok(OutgoingRow {
        id: row.try_get::<Uuid, _>(0)?.into_bytes(),
        beneficiary: row.try_get::<Uuid, _>(1)?.into_bytes(),
        payer: row.try_get::<Uuid, _>(2)?.into_bytes(),
        account: row.try_get::<Uuid, _>(3)?.into_bytes(),
        to_account: row.try_get::<Option<Uuid>, _>(4)?.map(Uuid::into_bytes),
        amount: row.try_get(5)?,
        currency: row.try_get(6)?,
        state: row.try_get(7)?,
        debited: row.try_get(8)?,
        file: row.try_get::<Option<Uuid>, _>(9)?.map(Uuid::into_bytes),
        paid_at: row.try_get(10)?,
        closed_at: row.try_get(11)?,
    })
}

/// The payments that the batch's commands name, and how many statements that took.
pub(super) async fn find(
    connection: &mut PgConnection,
    need: &SendingNeed,
) -> Result<(HashMap<PaymentId, Outgoing>, u64), StoreError> {
    if need.outgoing.is_empty() {
        return Ok((HashMap::new(), 0));
    }
    let ids: Vec<Uuid> = need.outgoing.iter().map(|id| uuid(id.as_bytes())).collect();
    let found = sqlx::query(OUTGOING).bind(ids).fetch_all(connection).await?;
    let mut payments = HashMap::with_capacity(found.len());
    for row in &found {
        let payment = Outgoing::try_from(outgoing_row(row)?)?;
        payments.insert(payment.id, payment);
    }
    Ok((payments, 1))
}

fn each<T, C>(rows: &[T], column: impl Fn(&T) -> C) -> Vec<C> {
    rows.iter().map(column).collect()
}

/// Writes what the batch did, and says how many statements that took.
pub(super) async fn write(
    connection: &mut PgConnection,
    changes: &Changes,
    book: &Book,
) -> Result<u64, StoreError> {
    let done = &changes.sending;
    if done.is_empty() {
        return Ok(0);
    }
    let find = |id: &PaymentId| {
        let found = book.sending.outgoing.get(id);
        found.ok_or(StoreError::Corrupt("changed payment not in the book"))
    };
    let sent: Vec<&Outgoing> = done.sent.iter().map(find).collect::<Result<_, _>>()?;
    let changed: Vec<&Outgoing> = done.changed.iter().map(find).collect::<Result<_, _>>()?;
    let paid = done.beneficiaries.iter().map(|id| {
        let found = book.sending.beneficiaries.get(id);
        found.ok_or(StoreError::Corrupt("paid beneficiary not in the book"))
    });
    let paid: Vec<_> = paid.collect::<Result<_, _>>()?;
    let count = sqlx::query(WRITE)
        .bind(each(&sent, |payment| uuid(payment.id.as_bytes())))
        .bind(each(&sent, |payment| uuid(payment.beneficiary.as_bytes())))
        .bind(each(&sent, |payment| uuid(payment.payer.as_bytes())))
        .bind(each(&sent, |payment| uuid(payment.account.as_bytes())))
        .bind(each(&sent, |payment| {
            payment.to_account.map(|to| uuid(to.as_bytes()))
        }))
        .bind(each(&sent, |payment| payment.amount.minor()))
        .bind(each(&sent, |payment| payment.currency.code()))
        .bind(each(&sent, |payment| i64::from(payment.state.number())))
        .bind(each(&sent, |payment| payment.debited))
        .bind(each(&sent, |payment| payment.paid_at.micros()))
        .bind(each(&sent, |payment| payment.closed_at.map(Timestamp::micros)))
        .bind(each(&changed, |payment| uuid(payment.id.as_bytes())))
        .bind(each(&changed, |payment| i64::from(payment.state.number())))
        .bind(each(&changed, |payment| payment.debited))
        .bind(each(&changed, |payment| payment.closed_at.map(Timestamp::micros)))
        .bind(each(&paid, |payee| uuid(payee.id.as_bytes())))
        .bind(each(&paid, |payee| payee.paid))
        .bind(each(&paid, |payee| {
            payee.last.map(|last| uuid(last.id.as_bytes()))
        }))
        .bind(each(&paid, |payee| payee.last.map(|last| last.amount.minor())))
        .bind(each(&paid, |payee| payee.last.map(|last| last.at.micros())))
        .bind(each(&paid, |payee| LastPaid::to_bytes(&payee.earlier)))
        .fetch_one(connection)
        .await?
        .try_get::<i64, _>(0)?;
    if usize::try_from(count) == Ok(changed.len() + paid.len()) {
        Ok(())
    } else {
        Err(StoreError::Corrupt("changed payment not in the books"))
    }?;
    Ok(1)
}
