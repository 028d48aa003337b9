//! Entries of statements and what lies in suspense on PostgreSQL: two statements to read and one to write, and none in
//! batches without. All of them follow the lock of the clearing or the suspense account, so that nodes that read the
//! same statement take turns.

use sea_orm::sqlx::{self, PgConnection, Row};
use strongroom_domain::ledger::{Book, Changes, RailBook, RailNeed};
use uuid::Uuid;

use crate::{error::StoreError, ledger::rows::SuspenseRow};

const READ: &str = "SELECT tag FROM rail_entries WHERE tag = ANY($1)";
const ITEMS: &str = "SELECT id, direction, amount, currency, reason, opened_at, resolution FROM suspense_items \
    WHERE id = ANY($1) ORDER BY id FOR UPDATE";
const WRITE: &str = "WITH read AS (INSERT INTO rail_entries (tag, outcome, payment_id, transaction_id, at) \
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[])), \
    suspended AS (INSERT INTO suspense_items (id, tag, direction, amount, currency, reason, sealed, opened_at) \
    SELECT * FROM unnest($6::uuid[], $7::uuid[], $8::bigint[], $9::bigint[], $10::text[], $11::bigint[], $12::bytea[], \
    $13::bigint[])), \
    resolved AS (UPDATE suspense_items s SET resolution = u.resolution, approval_id = u.approval, resolved_at = $17 \
    FROM unnest($14::uuid[], $15::uuid[], $16::uuid[]) AS u (id, resolution, approval) \
    WHERE s.id = u.id AND s.resolution IS NULL RETURNING 1) \
    SELECT count(*) FROM resolved";

const fn uuid(bytes: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*bytes)
}

/// What the batch's commands may look at, and how many statements that took.
pub(super) async fn find(
    connection: &mut PgConnection,
    need: &RailNeed,
) -> Result<(RailBook, u64), StoreError> {
    let mut book = RailBook::default();
    let mut statements = 0;
    if !need.tags.is_empty() {
        statements += 1;
        let tags: Vec<Uuid> = need.tags.iter().map(uuid).collect();
        let found = sqlx::query(READ).bind(tags).fetch_all(&mut *connection).await?;
        for row in &found {
            book.read.insert(row.try_get::<Uuid, _>(0)?.into_bytes());
        }
    }
    if !need.items.is_empty() {
        statements += 1;
        let ids: Vec<Uuid> = need.items.iter().map(|id| uuid(id.as_bytes())).collect();
        let found = sqlx::query(ITEMS).bind(ids).fetch_all(&mut *connection).await?;
        for row in &found {
            let row = SuspenseRow {
                id: row.try_get::<Uuid, _>(0)?.into_bytes(),
                direction: row.try_get(1)?,
                amount: row.try_get(2)?,
                currency: row.try_get(3)?,
                reason: row.try_get(4)?,
                opened_at: row.try_get(5)?,
                resolution: row.try_get::<Option<Uuid>, _>(6)?.map(Uuid::into_bytes),
            };
            let item = strongroom_domain::rail::SuspenseItem::try_from(row)?;
            book.items.insert(item.id, item);
        }
    }
    Ok((book, statements))
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
    if changes.rail.is_empty() {
        return Ok(0);
    }
    let (read, suspended) = (&changes.rail.read, &changes.rail.suspended);
    let resolved: Vec<_> = changes.rail.resolved.iter().collect();
    let count = sqlx::query(WRITE)
        .bind(each(read, |entry| uuid(&entry.tag)))
        .bind(each(read, |entry| i64::from(entry.outcome.number())))
        .bind(each(read, |entry| entry.payment.map(|id| uuid(id.as_bytes()))))
        .bind(each(read, |entry| {
            entry.transaction.map(|id| uuid(id.as_bytes()))
        }))
        .bind(each(read, |entry| entry.at.micros()))
        .bind(each(suspended, |(item, _, _)| uuid(item.id.as_bytes())))
        .bind(each(suspended, |(_, tag, _)| uuid(tag)))
        .bind(each(suspended, |(item, _, _)| i64::from(item.direction.number())))
        .bind(each(suspended, |(item, _, _)| item.amount.minor()))
        .bind(each(suspended, |(item, _, _)| item.currency.code()))
        .bind(each(suspended, |(item, _, _)| i64::from(item.reason.number())))
        .bind(each(suspended, |(_, _, sealed)| sealed.clone()))
        .bind(each(suspended, |(item, _, _)| item.opened_at.micros()))
        .bind(each(&resolved, |(id, _)| uuid(id.as_bytes())))
        .bind(each(&resolved, |(_, (transaction, _))| {
            uuid(transaction.as_bytes())
        }))
        .bind(each(&resolved, |(_, (_, approval))| uuid(approval.as_bytes())))
        .bind(book.booked_at.micros())
        .fetch_one(connection)
        .await?
        .try_get::<i64, _>(0)?;
    if usize::try_from(count) == Ok(resolved.len()) {
        Ok(1)
    } else {
        Err(StoreError::Corrupt("resolved item not in the books"))
    }
}
