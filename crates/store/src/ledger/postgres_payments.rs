//! Payments, refunds and reversals on PostgreSQL: one statement for each sort of thing and batch, and none where the
//! batch has none. They follow the locks of the accounts, in statements of their own.

use sea_orm::sqlx::{self, PgConnection, Row};
use strongroom_domain::{
    id::{AccountId, ApprovalId, PaymentId, TransactionId, UserId},
    ledger::{Book, Changes, Earlier, OpenApproval, PaymentBook, PaymentNeed},
    payment::Payment,
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    error::StoreError,
    ledger::rows::{PaymentRow, payment_columns},
};

const PAYMENTS: &str = concat!(
    "SELECT ",
    payment_columns!(),
    " FROM payments p WHERE p.id = ANY($1)"
);
const ALIKE: &str = "SELECT n.payer, n.to_account, n.amount, p.id, p.paid_at \
    FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS n (payer, to_account, amount) CROSS JOIN LATERAL \
    (SELECT id, paid_at FROM payments WHERE payer = n.payer AND to_account = n.to_account AND amount = n.amount \
    AND state = 0 AND refunded < amount ORDER BY paid_at DESC LIMIT 1) p";
const REVERSALS: &str = "SELECT transaction_id FROM reversals WHERE transaction_id = ANY($1)";
/// In one order on every node.
const APPROVALS: &str = "SELECT id, digest, expires_at FROM approvals WHERE id = ANY($1) AND state = 'open' ORDER BY id FOR UPDATE";

const WRITE: &str = "WITH paid AS (INSERT INTO payments (id, merchant_id, payer, account_id, to_account, amount, currency, \
    refunded, state, paid_at) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], \
    $6::bigint[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[])), \
    changed AS (UPDATE payments p SET refunded = u.refunded, state = u.state \
    FROM unnest($11::uuid[], $12::bigint[], $13::bigint[]) AS u (id, refunded, state) WHERE p.id = u.id RETURNING 1) \
    SELECT count(*) FROM changed";
/// After the payments, which they refer to.
const WRITE_REFUNDS: &str = "INSERT INTO refunds (transaction_id, payment_id, amount, refunded, at) \
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])";
const WRITE_REVERSALS: &str = "WITH reversed AS (INSERT INTO reversals (transaction_id, reversal_id, approval_id) \
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[])), \
    decided AS (UPDATE approvals a SET state = 'approved', checker = d.checker, decided_at = $8, \
    sealed_reason = d.reason, sealed = ''::bytea FROM unnest($4::uuid[], $5::bytea[], $6::uuid[], $7::bytea[]) \
    AS d (id, digest, checker, reason) WHERE a.id = d.id AND a.digest = d.digest AND a.state = 'open' RETURNING 1) \
    SELECT count(*) FROM decided";

const fn uuid(bytes: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*bytes)
}

/// What the batch's commands may look at, and how many statements that took.
pub(super) async fn find(
    connection: &mut PgConnection,
    need: &PaymentNeed,
) -> Result<(PaymentBook, u64), StoreError> {
    let mut book = PaymentBook::default();
    let mut statements = 0;
    if !need.payments.is_empty() {
        statements += 1;
        let ids: Vec<Uuid> = need.payments.iter().map(|id| uuid(id.as_bytes())).collect();
        for row in sqlx::query(PAYMENTS)
            .bind(ids)
            .fetch_all(&mut *connection)
            .await?
        {
            let payment = Payment::try_from(payment_row(&row)?)?;
            book.payments.insert(payment.id, payment);
        }
    }
    if !need.alike.is_empty() {
        statements += 1;
        find_alike(connection, need, &mut book).await?;
    }
    if !need.reversals.is_empty() {
        statements += 1;
        let ids: Vec<Uuid> = need.reversals.iter().map(|id| uuid(id.as_bytes())).collect();
        for row in sqlx::query(REVERSALS)
            .bind(ids)
            .fetch_all(&mut *connection)
            .await?
        {
            let id = row.try_get::<Uuid, _>(0)?.into_bytes();
            book.reversals.insert(TransactionId::from_bytes(id));
        }
    }
    if !need.approvals.is_empty() {
        statements += 1;
        let ids: Vec<Uuid> = need.approvals.iter().map(|id| uuid(id.as_bytes())).collect();
        for row in sqlx::query(APPROVALS)
            .bind(ids)
            .fetch_all(&mut *connection)
            .await?
        {
            let digest: Vec<u8> = row.try_get(1)?;
            let open = OpenApproval {
                digest: digest
                    .try_into()
                    .map_err(|_| StoreError::Corrupt("a request's digest"))?,
                expires_at: Timestamp::from_micros(row.try_get(2)?),
            };
            let id = row.try_get::<Uuid, _>(0)?.into_bytes();
            book.approvals.insert(ApprovalId::from_bytes(id), open);
        }
    }
    Ok((book, statements))
}

async fn find_alike(
    connection: &mut PgConnection,
    need: &PaymentNeed,
    book: &mut PaymentBook,
) -> Result<(), StoreError> {
    let payers: Vec<Uuid> = need.alike.iter().map(|alike| uuid(alike.0.as_bytes())).collect();
    let payees: Vec<Uuid> = need.alike.iter().map(|alike| uuid(alike.1.as_bytes())).collect();
    let amounts: Vec<i64> = need.alike.iter().map(|alike| alike.2).collect();
    let found = sqlx::query(ALIKE)
        .bind(payers)
        .bind(payees)
        .bind(amounts)
        .fetch_all(connection)
        .await?;
    for row in found {
        let alike = (
            UserId::from_bytes(row.try_get::<Uuid, _>(0)?.into_bytes()),
            AccountId::from_bytes(row.try_get::<Uuid, _>(1)?.into_bytes()),
            row.try_get(2)?,
        );
        let earlier = Earlier {
            id: PaymentId::from_bytes(row.try_get::<Uuid, _>(3)?.into_bytes()),
            paid_at: Timestamp::from_micros(row.try_get(4)?),
        };
        book.alike.insert(alike, earlier);
    }
    Ok(())
}

fn payment_row(row: &sqlx::postgres::PgRow) -> Result<PaymentRow, StoreError> {
    Ok(PaymentRow {
        id: row.try_get::<Uuid, _>(0)?.into_bytes(),
        merchant: row.try_get::<Uuid, _>(1)?.into_bytes(),
        payer: row.try_get::<Uuid, _>(2)?.into_bytes(),
        account: row.try_get::<Uuid, _>(3)?.into_bytes(),
        to_account: row.try_get::<Uuid, _>(4)?.into_bytes(),
        amount: row.try_get(5)?,
        currency: row.try_get(6)?,
        refunded: row.try_get(7)?,
        state: row.try_get(8)?,
        paid_at: row.try_get(9)?,
    })
}

/// Writes what the batch did, and says how many statements that took.
pub(super) async fn write(
    connection: &mut PgConnection,
    changes: &Changes,
    book: &Book,
) -> Result<u64, StoreError> {
    let done = &changes.payments;
    let mut statements = 0;
    if !(done.paid.is_empty() && done.changed.is_empty()) {
        statements += 1;
        write_payments(connection, changes, book).await?;
    }
    if !done.refunds.is_empty() {
        statements += 1;
        let refunds = &done.refunds;
        let id = |bytes: &[u8; 16]| uuid(bytes);
        sqlx::query(WRITE_REFUNDS)
            .bind(each(refunds, |refund| id(refund.transaction.as_bytes())))
            .bind(each(refunds, |refund| id(refund.payment.as_bytes())))
            .bind(each(refunds, |refund| refund.amount.minor()))
            .bind(each(refunds, |refund| refund.refunded))
            .bind(each(refunds, |refund| refund.at.micros()))
            .execute(&mut *connection)
            .await?;
    }
    if !(done.reversals.is_empty() && done.decided.is_empty()) {
        statements += 1;
        write_reversals(connection, changes, book).await?;
    }
    Ok(statements)
}

fn each<T, C>(rows: &[T], column: impl Fn(&T) -> C) -> Vec<C> {
    rows.iter().map(column).collect()
}

async fn write_payments(
    connection: &mut PgConnection,
    changes: &Changes,
    book: &Book,
) -> Result<(), StoreError> {
    let find = |id: &PaymentId| {
        let found = book.payments.payments.get(id);
        found.ok_or(StoreError::Corrupt("changed payment not in the book"))
    };
    let done = &changes.payments;
    let paid: Vec<&Payment> = done.paid.iter().map(find).collect::<Result<_, _>>()?;
    let changed: Vec<&Payment> = done.changed.iter().map(find).collect::<Result<_, _>>()?;
    let count = sqlx::query(WRITE)
        .bind(each(&paid, |payment| uuid(payment.id.as_bytes())))
        .bind(each(&paid, |payment| uuid(payment.merchant.as_bytes())))
        .bind(each(&paid, |payment| uuid(payment.payer.as_bytes())))
        .bind(each(&paid, |payment| uuid(payment.account.as_bytes())))
        .bind(each(&paid, |payment| uuid(payment.to_account.as_bytes())))
        .bind(each(&paid, |payment| payment.amount.minor()))
        .bind(each(&paid, |payment| payment.currency.code()))
        .bind(each(&paid, |payment| payment.refunded))
        .bind(each(&paid, |payment| i64::from(payment.state.number())))
        .bind(each(&paid, |payment| payment.paid_at.micros()))
        .bind(each(&changed, |payment| uuid(payment.id.as_bytes())))
        .bind(each(&changed, |payment| payment.refunded))
        .bind(each(&changed, |payment| i64::from(payment.state.number())))
        .fetch_one(connection)
        .await?
        .try_get::<i64, _>(0)?;
    if usize::try_from(count) == Ok(changed.len()) {
        Ok(())
    } else {
        Err(StoreError::Corrupt("changed payment not in the books"))
    }
}

async fn write_reversals(
    connection: &mut PgConnection,
    changes: &Changes,
    book: &Book,
) -> Result<(), StoreError> {
    let (reversals, decided) = (&changes.payments.reversals, &changes.payments.decided);
    let closed = sqlx::query(WRITE_REVERSALS)
        .bind(each(reversals, |reversal| uuid(reversal.of.as_bytes())))
        .bind(each(reversals, |reversal| uuid(reversal.id.as_bytes())))
        .bind(each(reversals, |reversal| uuid(reversal.approval.as_bytes())))
        .bind(each(decided, |decided| uuid(decided.approval.as_bytes())))
        .bind(each(decided, |decided| decided.digest.to_vec()))
        .bind(each(decided, |decided| uuid(decided.checker.as_bytes())))
        .bind(each(decided, |decided| decided.sealed_reason.clone()))
        .bind(book.booked_at.micros())
        .fetch_one(connection)
        .await?
        .try_get::<i64, _>(0)?;
    if usize::try_from(closed) == Ok(decided.len()) {
        Ok(())
    } else {
        Err(StoreError::Retry)
    }
}
