//! What the log says that somebody may have to be told of, what lies behind it in the books, and notices of it.
//!
//! Under load this is read and written for every movement: on SQLite through prepared statements, row by row, and not
//! by the dozen through a driver's thread. The texts of the statements are the same on both engines, but
//! for the owners of accounts, which are remembered here and joined there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};
use strongroom_domain::{audit::Details, hold::Hold, id::UserId, time::Timestamp};
use uuid::Uuid;

use super::{
    at, id,
    notices::{ADD, MOVE_CURSOR, NoticeRow, NumberSql},
    portions::{places, portions},
};
use crate::{
    error::StoreError,
    sqlite::SqliteEngine,
    store::{Engines, Store},
    tx::{Scope, rows},
};

/// A position of the log that somebody may have to be told of. Owners are absent for the bank's own accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noticed {
    /// When.
    pub at: Timestamp,
    /// What was done.
    pub action: String,
    /// To what sort of thing.
    pub object_kind: String,
    /// To which.
    pub object: [u8; 16],
    /// The transaction's kind, where there is one.
    pub kind: Option<String>,
    /// Minor units of the transaction, hold or payment.
    pub amount: Option<i64>,
    /// Its currency.
    pub currency: Option<String>,
    /// The owner of the account debited, reserved on or spoken of.
    pub from: Option<UserId>,
    /// The owner of the account credited.
    pub to: Option<UserId>,
    /// What the record says of the money reserved, where it is about a transfer that waits for a look.
    pub waits: Option<Hold>,
}

/// Up to where people were told, the next position that is not looked at, and what lies between.
type Following = (i64, i64, Vec<Noticed>);

#[derive(FromQueryResult)]
struct NoticedSql {
    at: i64,
    action: String,
    object_kind: String,
    object_id: Uuid,
    details: Option<Vec<u8>>,
}

/// What lies behind a record: whose money, how much of it, and whose it becomes.
#[derive(FromQueryResult)]
struct BehindSql {
    id: Uuid,
    kind: Option<String>,
    amount: Option<i64>,
    currency: Option<String>,
    from_owner: Option<Uuid>,
    to_owner: Option<Uuid>,
}

const CURSOR: &str = "SELECT next_leaf AS number FROM notice_cursor WHERE id = 1";

/// Positions have no gaps, and what follows one that is there is later.
const END: &str =
    "SELECT coalesce(max(leaf) + 1, $1) AS number FROM audit_leaves WHERE leaf >= $1 AND leaf < $2";

/// What was refused is nobody's news.
const NOTICED: &str = "SELECT r.at, r.action, r.object_kind, r.object_id, \
    CASE WHEN r.object_kind = 'review' THEN r.details END AS details \
    FROM audit_leaves l JOIN audit_records r ON r.id = l.record_id \
    WHERE l.leaf >= $1 AND l.leaf < $2 AND r.outcome = 'ok' \
    AND r.object_kind IN ('transaction', 'account', 'hold', 'review', 'payment') ORDER BY l.leaf";

const TRANSACTIONS: &[&str] = &["transaction"];

/// The transaction as in [`BEHIND`], with the accounts in place of their owners: those are remembered.
const TRANSACTION: &str =
    "SELECT id, kind, amount, currency, from_account, to_account FROM transactions WHERE id = ?1";

const OWNER: &str = "SELECT owner FROM accounts WHERE id = ?1";

/// Accounts whose owners are remembered, at most: some five megabytes.
const OWNERS_MAX: usize = 65_536;

/// Owners of accounts, on SQLite; no account ever gets another one.
#[derive(Debug, Default)]
pub(crate) struct Owners(Mutex<HashMap<Uuid, Option<Uuid>>>);

/// What is read of the books for each kind of object, by keys alone: joined in one statement with the log, a planner
/// reads all accounts for each portion. That the bank was debited for a payment that came back before is nobody's news.
const BEHIND: [(&[&str], &str); 4] = [
    (
        TRANSACTIONS,
        "SELECT t.id, t.kind, t.amount, t.currency, f.owner AS from_owner, o.owner AS to_owner FROM transactions t \
         LEFT JOIN accounts f ON f.id = t.from_account LEFT JOIN accounts o ON o.id = t.to_account WHERE t.id IN ",
    ),
    (
        &["account"],
        "SELECT id, NULL AS kind, NULL AS amount, NULL AS currency, owner AS from_owner, NULL AS to_owner \
         FROM accounts WHERE id IN ",
    ),
    (
        &["hold", "review"],
        "SELECT h.id, NULL AS kind, h.amount, h.currency, a.owner AS from_owner, NULL AS to_owner FROM holds h \
         LEFT JOIN accounts a ON a.id = h.account_id WHERE h.id IN ",
    ),
    (
        &["payment"],
        "SELECT id, NULL AS kind, amount, currency, payer AS from_owner, NULL AS to_owner \
         FROM outgoing_payments WHERE state = 1 AND id IN ",
    ),
];

impl Noticed {
    fn of(row: NoticedSql, behind: Option<&BehindSql>) -> Self {
        Self {
            at: at(row.at),
            action: row.action,
            object_kind: row.object_kind,
            object: row.object_id.into_bytes(),
            kind: behind.and_then(|behind| behind.kind.clone()),
            amount: behind.and_then(|behind| behind.amount),
            currency: behind.and_then(|behind| behind.currency.clone()),
            from: behind.and_then(|behind| behind.from_owner).map(id),
            to: behind.and_then(|behind| behind.to_owner).map(id),
            waits: row
                .details
                .and_then(|details| Details::from_bytes(details).hold_state()),
        }
    }
}

impl Store {
    /// Up to which position of the log people were told, the next position that is not looked at, and what lies
    /// between, at most so many positions.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn to_be_noticed(&self, limit: i64) -> Result<Following, StoreError> {
        if let Engines::Sqlite(engine) = &self.engines {
            let engine = Arc::clone(engine);
            // A portion takes a millisecond: too long for a task that others wait behind.
            let reading = tokio::task::spawn_blocking(move || follow_on_sqlite(&engine, limit));
            let read = reading.await;
            return read.map_err(|_| StoreError::Unavailable("reading stopped".to_owned()))?;
        }
        let read = self.read(Scope::System).await?;
        let number = async |sql: &str, values| {
            let found: Vec<NumberSql> = rows(&read.tx, sql, values).await?;
            let first = found.first().ok_or(StoreError::Corrupt("no place in the log"))?;
            Ok::<i64, StoreError>(first.number)
        };
        let start = number(CURSOR, vec![]).await?;
        let end = number(END, vec![start.into(), start.saturating_add(limit).into()]).await?;
        if end <= start {
            return Ok((start, start, Vec::new()));
        }
        let found: Vec<NoticedSql> = rows(&read.tx, NOTICED, vec![start.into(), end.into()]).await?;
        let mut behind_of = HashMap::new();
        for (number, (kinds, sql)) in BEHIND.iter().enumerate() {
            let mut keys: Vec<Uuid> = found
                .iter()
                .filter(|row| kinds.contains(&row.object_kind.as_str()))
                .map(|row| row.object_id)
                .collect();
            keys.sort_unstable();
            keys.dedup();
            for portion in portions(&keys) {
                let sql = format!(
                    "{sql}{}",
                    places(read.tx.get_database_backend(), 1, portion.len())
                );
                let values = portion.iter().map(|key| (*key).into()).collect();
                let rows: Vec<BehindSql> = rows(&read.tx, &sql, values).await?;
                behind_of.extend(rows.into_iter().map(|row| ((number, row.id), row)));
            }
        }
        let noticed = found.into_iter().map(|row| {
            let is_of = |(kinds, _): &(&[&str], &str)| kinds.contains(&row.object_kind.as_str());
            let behind = BEHIND.iter().position(is_of);
            let behind = behind.and_then(|number| behind_of.get(&(number, row.object_id)));
            Noticed::of(row, behind)
        });
        Ok((start, end, noticed.collect()))
    }
}

impl Store {
    /// Writes notices and moves on how far the log was followed, in one commit; `false` where another node did. What is
    /// mailed besides takes a unit of the control plane: [`crate::WriteTx::add_notices`].
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn list_notices(
        &self,
        (start, end): (i64, i64),
        notices: Vec<NoticeRow>,
    ) -> Result<bool, StoreError> {
        let engine = match &self.engines {
            Engines::Sqlite(engine) => Arc::clone(engine),
            Engines::Postgres(_) => {
                let tx = self.write(Scope::System).await?;
                let moved = tx.move_notice_cursor(start, end).await?;
                if moved {
                    tx.add_notices(&notices).await?;
                    tx.commit().await?;
                }
                return Ok(moved);
            }
        };
        let right_to_write = engine.gate.clone().lock_owned().await;
        let writing = tokio::task::spawn_blocking(move || {
            let listed = list_on_sqlite(&engine, (start, end), &notices);
            drop(right_to_write);
            listed
        });
        let listed = writing.await;
        listed.map_err(|_| StoreError::Unavailable("writing stopped".to_owned()))?
    }
}

/// The caller has the right to write. A connection that failed is not used again.
fn list_on_sqlite(
    engine: &SqliteEngine,
    (start, end): (i64, i64),
    notices: &[NoticeRow],
) -> Result<bool, StoreError> {
    let connection = engine.take_writing()?;
    let unit = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
    let moved = unit.prepare_cached(MOVE_CURSOR)?.execute([end, start])? == 1;
    if moved {
        let mut add = unit.prepare_cached(&format!("{ADD}{}", places(DbBackend::Sqlite, 1, 8)))?;
        for row in notices {
            let (amount, currency) = row
                .money
                .as_ref()
                .map(|(amount, currency)| (*amount, currency))
                .unzip();
            add.execute(rusqlite::params![
                row.id.as_bytes(),
                row.person.as_bytes(),
                row.event,
                row.about,
                row.subject,
                amount,
                currency,
                row.at.micros(),
            ])?;
        }
        drop(add);
        unit.commit()?;
    } else {
        unit.rollback()?;
    }
    engine.keep_writing(connection);
    Ok(moved)
}

fn follow_on_sqlite(engine: &SqliteEngine, limit: i64) -> Result<Following, StoreError> {
    let connection = engine.hot()?;
    // One moment for all of it.
    let moment = connection.unchecked_transaction()?;
    let start: i64 = moment.prepare_cached(CURSOR)?.query_row([], |row| row.get(0))?;
    let within = [start, start.saturating_add(limit)];
    let end: i64 = moment.prepare_cached(END)?.query_row(within, |row| row.get(0))?;
    if end <= start {
        return Ok((start, start, Vec::new()));
    }
    let mut transaction = moment.prepare_cached(TRANSACTION)?;
    let mut behind = Vec::with_capacity(BEHIND.len());
    for (kinds, sql) in BEHIND.iter().filter(|(kinds, _)| *kinds != TRANSACTIONS) {
        behind.push((kinds, moment.prepare_cached(&format!("{sql}(?1)"))?));
    }
    let mut owners = engine.owners.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut positions = moment.prepare_cached(NOTICED)?;
    let mut positions = positions.query([start, end])?;
    let mut noticed = Vec::new();
    while let Some(position) = positions.next()? {
        let row = NoticedSql {
            at: position.get(0)?,
            action: position.get(1)?,
            object_kind: position.get(2)?,
            object_id: Uuid::from_bytes(position.get(3)?),
            details: position.get(4)?,
        };
        let is_of = |kinds: &[&str]| kinds.contains(&row.object_kind.as_str());
        let key = [row.object_id.as_bytes()];
        let found = if is_of(TRANSACTIONS) {
            let mut found = transaction.query_row(key, BehindSql::of_sqlite).optional()?;
            if let Some(found) = &mut found {
                found.from_owner = owner_of(&moment, &mut owners, found.from_owner)?;
                found.to_owner = owner_of(&moment, &mut owners, found.to_owner)?;
            }
            found
        } else if let Some((_, statement)) = behind.iter_mut().find(|(kinds, _)| is_of(kinds)) {
            statement.query_row(key, BehindSql::of_sqlite).optional()?
        } else {
            None
        };
        noticed.push(Noticed::of(row, found.as_ref()));
    }
    Ok((start, end, noticed))
}

/// Whose account this is; `None` for the bank's own.
fn owner_of(
    moment: &Connection,
    owners: &mut HashMap<Uuid, Option<Uuid>>,
    account: Option<Uuid>,
) -> Result<Option<Uuid>, StoreError> {
    let Some(account) = account else { return Ok(None) };
    if let Some(owner) = owners.get(&account) {
        return Ok(*owner);
    }
    let owner: Option<[u8; 16]> = moment
        .prepare_cached(OWNER)?
        .query_row([account.as_bytes()], |row| row.get(0))
        .optional()?
        .flatten();
    let owner = owner.map(Uuid::from_bytes);
    if owners.len() >= OWNERS_MAX {
        owners.clear();
    }
    owners.insert(account, owner);
    Ok(owner)
}

impl BehindSql {
    fn of_sqlite(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let owner =
            |place| Ok::<_, rusqlite::Error>(row.get::<_, Option<[u8; 16]>>(place)?.map(Uuid::from_bytes));
        Ok(Self {
            id: Uuid::from_bytes(row.get(0)?),
            kind: row.get(1)?,
            amount: row.get(2)?,
            currency: row.get(3)?,
            from_owner: owner(4)?,
            to_owner: owner(5)?,
        })
    }
}
