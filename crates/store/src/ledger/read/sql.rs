//! The questions and their rows, one text for both engines.

use sea_orm::FromQueryResult;
use strongroom_domain::{id::UserId, time::Timestamp};
use uuid::Uuid;

use super::{AccountView, TransactionView};
use crate::{
    error::StoreError,
    ledger::rows::{AccountRow, StateRow, TransactionRow},
};

#[derive(Debug, FromQueryResult)]
pub(super) struct AccountSql {
    id: Uuid,
    owner: Option<Uuid>,
    kind: String,
    currency: String,
    floor: Option<i64>,
    freezes: i64,
    closed: bool,
    balance: i64,
    held: i64,
    holds: i64,
    hold_due: Option<i64>,
    /// Reserved by holds whose time is over and that no batch has released yet.
    lapsed: i64,
    entries: i64,
    last_booked_at: i64,
    path: Vec<u8>,
    number: Option<String>,
    opened_at: i64,
    sealed: Option<Vec<u8>>,
}

/// One query text for every way to select accounts.
macro_rules! accounts {
    ($rest:literal) => {
        concat!(
            "SELECT a.id, a.owner, a.kind, a.currency, s.floor, s.freezes, s.closed, s.balance, s.held, s.entries, \
             s.last_booked_at, s.path, a.number, a.opened_at, n.sealed, s.holds, s.hold_due, \
             CASE WHEN s.hold_due <= $1 THEN (SELECT CAST(coalesce(sum(h.amount - h.captured), 0) AS bigint) FROM holds h \
             WHERE h.account_id = a.id AND h.state = 0 AND h.expires_at <= $1) ELSE 0 END AS lapsed FROM accounts a \
             JOIN account_states s ON s.account_id = a.id LEFT JOIN account_names n ON n.account_id = a.id ",
            $rest
        )
    };
}
pub(super) const ACCOUNT_BY_ID: &str = accounts!("WHERE a.id = $2");
pub(super) const ACCOUNTS_OF: &str =
    accounts!("WHERE a.owner = $2 AND a.id < $3 ORDER BY a.id DESC LIMIT $4");
pub(super) const ACCOUNTS_ALL: &str = accounts!("WHERE a.id < $2 ORDER BY a.id DESC LIMIT $3");

#[derive(Debug, FromQueryResult)]
pub(super) struct TransactionSql {
    id: Uuid,
    first_entry: i64,
    last_entry: i64,
    kind: String,
    from_account: Uuid,
    to_account: Uuid,
    amount: i64,
    currency: String,
    booked_at: i64,
    value_date: i64,
    memo: Option<Vec<u8>>,
    salt: Vec<u8>,
    record: i64,
    person: Option<Uuid>,
    sealed: Option<Vec<u8>>,
}

#[derive(Debug, FromQueryResult)]
pub(super) struct LineSql {
    pub(super) sequence: i64,
    pub(super) line_amount: i64,
    pub(super) balance_after: i64,
    #[sea_orm(nested)]
    pub(super) transaction: TransactionSql,
}

/// The columns of [`TransactionSql`], between a beginning and an end.
macro_rules! transactions {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "t.id, t.first_entry, t.last_entry, t.kind, t.from_account, t.to_account, t.amount, t.currency, t.booked_at, \
             t.value_date, t.memo, t.salt, t.record, m.person, m.sealed",
            $after
        )
    };
}
pub(super) const TRANSACTION_BY_ID: &str = transactions!(
    "SELECT ",
    " FROM transactions t LEFT JOIN memos m ON m.transaction_id = t.id WHERE t.id = $1"
);
/// A page of a history. SQLite keeps the order of a `CROSS JOIN` (<https://www.sqlite.org/optoverview.html>), so it
/// walks the page and looks up the rest, whatever it knows or does not know about the size of the tables.
pub(super) const HISTORY: &str = transactions!(
    "WITH RECURSIVE page (id, prev, line) AS (SELECT id, prev, 1 FROM entries WHERE id = $1 UNION ALL \
     SELECT e.id, e.prev, p.line + 1 FROM page p CROSS JOIN entries e WHERE e.id = p.prev AND p.line < $2) \
     SELECT e.sequence, e.amount AS line_amount, e.balance_after, ",
    " FROM page p CROSS JOIN entries e CROSS JOIN transactions t LEFT JOIN memos m ON m.transaction_id = t.id \
     WHERE e.id = p.id AND t.last_entry = e.transaction_entry ORDER BY e.id DESC"
);

/// From an entry back to the newest one that is not younger than a moment: jump while the jump is still too young,
/// else step.
pub(super) const WALK_TO_TIME: &str = "WITH RECURSIVE walk (id, prev, jump, booked_at, balance_after) AS (\
    SELECT id, prev, jump, booked_at, balance_after FROM entries WHERE id = $1 UNION ALL \
    SELECT n.id, n.prev, n.jump, n.booked_at, n.balance_after FROM walk w LEFT JOIN entries j ON j.id = w.jump \
    JOIN entries n ON n.id = CASE WHEN j.booked_at > $2 THEN j.id ELSE w.prev END WHERE w.booked_at > $2) \
    SELECT id, balance_after FROM walk WHERE booked_at <= $2";
pub(super) const WALK_TO_SEQUENCE: &str = "WITH RECURSIVE walk (id, prev, jump, sequence, balance_after) AS (\
    SELECT id, prev, jump, sequence, balance_after FROM entries WHERE id = $1 UNION ALL \
    SELECT n.id, n.prev, n.jump, n.sequence, n.balance_after FROM walk w LEFT JOIN entries j ON j.id = w.jump \
    JOIN entries n ON n.id = CASE WHEN j.sequence >= $2 THEN j.id ELSE w.prev END WHERE w.sequence > $2) \
    SELECT id, balance_after FROM walk WHERE sequence <= $2";

pub(super) const fn uuid(bytes: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*bytes)
}

impl TryFrom<AccountSql> for AccountView {
    type Error = StoreError;

    fn try_from(row: AccountSql) -> Result<Self, StoreError> {
        let account = AccountRow {
            id: row.id.into_bytes(),
            owner: row.owner.map(Uuid::into_bytes),
            kind: row.kind,
            currency: row.currency,
            state: StateRow {
                floor: row.floor,
                freezes: row.freezes,
                closed: row.closed,
                balance: row.balance,
                held: row.held.saturating_sub(row.lapsed),
                holds: row.holds,
                hold_due: row.hold_due,
                entries: row.entries,
                last_booked_at: row.last_booked_at,
                path: row.path,
            },
        };
        Ok(Self {
            account: account.try_into()?,
            number: row.number,
            sealed_name: row.sealed,
            opened_at: Timestamp::from_micros(row.opened_at),
        })
    }
}

impl TryFrom<TransactionSql> for TransactionView {
    type Error = StoreError;

    fn try_from(row: TransactionSql) -> Result<Self, StoreError> {
        let transaction = TransactionRow {
            id: row.id.into_bytes(),
            first_entry: row.first_entry,
            last_entry: row.last_entry,
            kind: row.kind,
            from_account: row.from_account.into_bytes(),
            to_account: row.to_account.into_bytes(),
            amount: row.amount,
            currency: row.currency,
            booked_at: row.booked_at,
            value_date: row.value_date,
            memo: row.memo,
            salt: row.salt,
            record: row.record,
        };
        let memo = row
            .person
            .zip(row.sealed)
            .map(|(person, sealed)| (UserId::from_bytes(person.into_bytes()), sealed));
        Ok(Self {
            transaction: transaction.try_into()?,
            memo,
        })
    }
}

pub(super) fn sqlite_account(row: &rusqlite::Row<'_>) -> rusqlite::Result<AccountSql> {
    Ok(AccountSql {
        id: uuid(&row.get(0)?),
        owner: row.get::<_, Option<[u8; 16]>>(1)?.as_ref().map(uuid),
        kind: row.get(2)?,
        currency: row.get(3)?,
        floor: row.get(4)?,
        freezes: row.get(5)?,
        closed: row.get(6)?,
        balance: row.get(7)?,
        held: row.get(8)?,
        entries: row.get(9)?,
        last_booked_at: row.get(10)?,
        path: row.get(11)?,
        number: row.get(12)?,
        opened_at: row.get(13)?,
        sealed: row.get(14)?,
        holds: row.get(15)?,
        hold_due: row.get(16)?,
        lapsed: row.get(17)?,
    })
}

pub(super) fn sqlite_transaction(row: &rusqlite::Row<'_>) -> rusqlite::Result<TransactionSql> {
    Ok(TransactionSql {
        id: uuid(&row.get(0)?),
        first_entry: row.get(1)?,
        last_entry: row.get(2)?,
        kind: row.get(3)?,
        from_account: uuid(&row.get(4)?),
        to_account: uuid(&row.get(5)?),
        amount: row.get(6)?,
        currency: row.get(7)?,
        booked_at: row.get(8)?,
        value_date: row.get(9)?,
        memo: row.get(10)?,
        salt: row.get(11)?,
        record: row.get(12)?,
        person: row.get::<_, Option<[u8; 16]>>(13)?.as_ref().map(uuid),
        sealed: row.get(14)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is asked of one account or one page goes by a key; only what a walk has gathered is read from end to
    /// end.
    #[test]
    fn no_question_about_one_account_reads_a_table_from_end_to_end_on_sqlite() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        for step in [
            include_str!("../../migrations/sql/0001_people.sqlite.sql"),
            include_str!("../../migrations/sql/0002_ledger.sqlite.sql"),
            include_str!("../../migrations/sql/0011_holds.sqlite.sql"),
        ] {
            connection.execute_batch(step).unwrap();
        }
        for question in [
            ACCOUNT_BY_ID,
            ACCOUNTS_OF,
            ACCOUNTS_ALL,
            TRANSACTION_BY_ID,
            HISTORY,
            WALK_TO_TIME,
            WALK_TO_SEQUENCE,
        ] {
            let mut plan = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {question}"))
                .unwrap();
            let nothing = vec![rusqlite::types::Null; plan.parameter_count()];
            let steps: Vec<String> = plan
                .query_map(rusqlite::params_from_iter(nothing), |row| row.get(3))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            let scans: Vec<_> = steps.iter().filter(|step| step.starts_with("SCAN")).collect();
            let gathered = ["SCAN p", "SCAN w", "SCAN walk"];
            assert!(
                scans.iter().all(|scan| gathered.contains(&scan.as_str())),
                "{question}\n{steps:#?}"
            );
            assert!(steps.iter().any(|step| step.starts_with("SEARCH")));
        }
    }
}
