//! Reading the books: what one account or transaction is now, what an account was at a moment, page by page.
//!
//! Account and transaction by id are hot: on SQLite they are read in the request's own task through prepared
//! statements. The walks back through an account's entries are one query text for both engines (see
//! [`strongroom_domain::account::SkipPath`]): from the newest entry in O(log n) steps to any moment or number.

use rusqlite::OptionalExtension;
use sea_orm::{FromQueryResult, Value};
use strongroom_domain::{
    account::Account,
    iban::Iban,
    id::{AccountId, TransactionId, UserId},
    ledger::{Fingerprint, IdempotencyTag, StoredOutcome},
    money::Currency,
    time::Timestamp,
    transaction::Transaction,
};
use uuid::Uuid;

use crate::{
    error::StoreError,
    ledger::rows::{AccountRow, TransactionRow},
    store::{Engines, Store},
    tx::{one, rows},
};

/// An account with what stands beside the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountView {
    /// The account.
    pub account: Account,
    /// Its number; the bank's own have none.
    pub number: Option<String>,
    /// Its name, sealed under the owner's key.
    pub sealed_name: Option<Vec<u8>>,
    /// When it was opened.
    pub opened_at: Timestamp,
}

/// A transaction with what stands beside the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionView {
    /// The transaction.
    pub transaction: Transaction,
    /// Its text: whose key seals it, and the sealed bytes.
    pub memo: Option<(UserId, Vec<u8>)>,
}

/// One line of an account's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLine {
    /// The how-manieth entry of the account.
    pub sequence: u64,
    /// Minor units, positive for a credit.
    pub amount: i64,
    /// The balance after it.
    pub balance_after: i64,
    /// Its transaction.
    pub view: TransactionView,
}

/// Where a page of history starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryStart {
    /// With the newest entry.
    Newest,
    /// With this entry or, if it is not there, the next older one.
    Sequence(u64),
    /// With the newest entry booked at this moment or before.
    At(Timestamp),
}

#[derive(Debug, FromQueryResult)]
struct AccountSql {
    id: Uuid,
    owner: Option<Uuid>,
    kind: String,
    currency: String,
    floor: Option<i64>,
    freezes: i64,
    closed: bool,
    balance: i64,
    held: i64,
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
             s.last_booked_at, s.path, a.number, a.opened_at, n.sealed FROM accounts a \
             JOIN account_states s ON s.account_id = a.id LEFT JOIN account_names n ON n.account_id = a.id ",
            $rest
        )
    };
}
const ACCOUNT_BY_ID: &str = accounts!("WHERE a.id = $1");
const ACCOUNTS_OF: &str = accounts!("WHERE a.owner = $1 AND a.id < $2 ORDER BY a.id DESC LIMIT $3");
const ACCOUNTS_ALL: &str = accounts!("WHERE a.id < $1 ORDER BY a.id DESC LIMIT $2");

#[derive(Debug, FromQueryResult)]
struct TransactionSql {
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
struct LineSql {
    sequence: i64,
    line_amount: i64,
    balance_after: i64,
    #[sea_orm(nested)]
    transaction: TransactionSql,
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
const TRANSACTION_BY_ID: &str = transactions!(
    "SELECT ",
    " FROM transactions t LEFT JOIN memos m ON m.transaction_id = t.id WHERE t.id = $1"
);
const HISTORY: &str = transactions!(
    "WITH RECURSIVE page (id, prev, line) AS (SELECT id, prev, 1 FROM entries WHERE id = $1 UNION ALL \
     SELECT e.id, e.prev, p.line + 1 FROM page p JOIN entries e ON e.id = p.prev WHERE p.line < $2) \
     SELECT e.sequence, e.amount AS line_amount, e.balance_after, ",
    " FROM page p JOIN entries e ON e.id = p.id JOIN transactions t ON t.last_entry = e.transaction_entry \
     LEFT JOIN memos m ON m.transaction_id = t.id ORDER BY e.id DESC"
);

/// From an entry back to the newest one that is not younger than a moment: jump while the jump is still too young, else
/// step.
const WALK_TO_TIME: &str = "WITH RECURSIVE walk (id, prev, jump, booked_at, balance_after) AS (\
    SELECT id, prev, jump, booked_at, balance_after FROM entries WHERE id = $1 UNION ALL \
    SELECT n.id, n.prev, n.jump, n.booked_at, n.balance_after FROM walk w LEFT JOIN entries j ON j.id = w.jump \
    JOIN entries n ON n.id = CASE WHEN j.booked_at > $2 THEN j.id ELSE w.prev END WHERE w.booked_at > $2) \
    SELECT id, balance_after FROM walk WHERE booked_at <= $2";
const WALK_TO_SEQUENCE: &str = "WITH RECURSIVE walk (id, prev, jump, sequence, balance_after) AS (\
    SELECT id, prev, jump, sequence, balance_after FROM entries WHERE id = $1 UNION ALL \
    SELECT n.id, n.prev, n.jump, n.sequence, n.balance_after FROM walk w LEFT JOIN entries j ON j.id = w.jump \
    JOIN entries n ON n.id = CASE WHEN j.sequence >= $2 THEN j.id ELSE w.prev END WHERE w.sequence > $2) \
    SELECT id, balance_after FROM walk WHERE sequence <= $2";

const fn uuid(bytes: &[u8; 16]) -> Uuid {
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
            floor: row.floor,
            freezes: row.freezes,
            closed: row.closed,
            balance: row.balance,
            held: row.held,
            entries: row.entries,
            last_booked_at: row.last_booked_at,
            path: row.path,
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

impl Store {
    /// One account by id.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn account(&self, id: AccountId) -> Result<Option<AccountView>, StoreError> {
        let row = match &self.engines {
            Engines::Sqlite(engine) => {
                let connection = engine.hot();
                let mut statement = connection.prepare_cached(ACCOUNT_BY_ID)?;
                statement.query_row([id.as_bytes()], sqlite_account).optional()?
            }
            Engines::Postgres(engine) => rows(&engine.books, ACCOUNT_BY_ID, vec![uuid(id.as_bytes()).into()])
                .await?
                .into_iter()
                .next(),
        };
        row.map(AccountView::try_from).transpose()
    }

    /// The account behind a number, and its owner.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn account_by_number(
        &self,
        number: &Iban,
    ) -> Result<Option<(AccountId, Option<UserId>)>, StoreError> {
        const SQL: &str = "SELECT id, owner FROM accounts WHERE number = $1";
        let found: Option<([u8; 16], Option<[u8; 16]>)> = match &self.engines {
            Engines::Sqlite(engine) => {
                let connection = engine.hot();
                let mut statement = connection.prepare_cached(SQL)?;
                statement
                    .query_row([number.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()?
            }
            Engines::Postgres(engine) => match one(&engine.books, SQL, vec![number.as_str().into()]).await? {
                Some(row) => {
                    let id: Uuid = row.try_get_by_index(0)?;
                    let owner: Option<Uuid> = row.try_get_by_index(1)?;
                    Some((id.into_bytes(), owner.map(Uuid::into_bytes)))
                }
                None => None,
            },
        };
        Ok(found.map(|(id, owner)| (AccountId::from_bytes(id), owner.map(UserId::from_bytes))))
    }

    /// Accounts, newest first, of one owner or of everybody, older than `before`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn accounts(
        &self,
        owner: Option<UserId>,
        before: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<AccountView>, StoreError> {
        let before = before.map_or([0xff; 16], |id| *id.as_bytes());
        let (before, limit) = (Value::from(uuid(&before)), Value::from(i64::from(limit)));
        let found: Vec<AccountSql> = match owner {
            Some(owner) => {
                rows(
                    self.books(),
                    ACCOUNTS_OF,
                    vec![uuid(owner.as_bytes()).into(), before, limit],
                )
                .await?
            }
            None => rows(self.books(), ACCOUNTS_ALL, vec![before, limit]).await?,
        };
        found.into_iter().map(AccountView::try_from).collect()
    }

    /// One transaction by id.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn transaction(&self, id: TransactionId) -> Result<Option<TransactionView>, StoreError> {
        let row: Option<TransactionSql> = match &self.engines {
            Engines::Sqlite(engine) => {
                let connection = engine.hot();
                let mut statement = connection.prepare_cached(TRANSACTION_BY_ID)?;
                statement
                    .query_row([id.as_bytes()], sqlite_transaction)
                    .optional()?
            }
            Engines::Postgres(engine) => {
                rows(&engine.books, TRANSACTION_BY_ID, vec![uuid(id.as_bytes()).into()])
                    .await?
                    .into_iter()
                    .next()
            }
        };
        row.map(TransactionView::try_from).transpose()
    }

    /// An account's balance after the last entry booked at `at` or before; `None` when it had none yet.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn balance_at(&self, account: &Account, at: Timestamp) -> Result<Option<i64>, StoreError> {
        let Some(head) = account.path.head() else {
            return Ok(None);
        };
        if account.last_booked_at <= at {
            return Ok(Some(account.balance));
        }
        let row = one(self.books(), WALK_TO_TIME, vec![head.into(), at.micros().into()]).await?;
        Ok(row.map(|row| row.try_get_by_index(1)).transpose()?)
    }

    /// Up to `lines` lines of an account's history, newest first. Examines a number of entries that does not depend on
    /// how many there are: `lines` and a logarithmic walk to the start.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn history(
        &self,
        account: &Account,
        start: HistoryStart,
        lines: u32,
    ) -> Result<Vec<HistoryLine>, StoreError> {
        let Some(head) = account.path.head() else {
            return Ok(Vec::new());
        };
        let walk = match start {
            HistoryStart::Newest => None,
            HistoryStart::Sequence(sequence) => {
                Some((WALK_TO_SEQUENCE, i64::try_from(sequence).unwrap_or(i64::MAX)))
            }
            HistoryStart::At(at) => Some((WALK_TO_TIME, at.micros())),
        };
        let first: i64 = match walk {
            None => head,
            Some((sql, bound)) => match one(self.books(), sql, vec![head.into(), bound.into()]).await? {
                Some(row) => row.try_get_by_index(0)?,
                None => return Ok(Vec::new()),
            },
        };
        let found: Vec<LineSql> =
            rows(self.books(), HISTORY, vec![first.into(), i64::from(lines).into()]).await?;
        found
            .into_iter()
            .map(|line| {
                Ok(HistoryLine {
                    sequence: u64::try_from(line.sequence).map_err(|_| StoreError::Corrupt("sequence"))?,
                    amount: line.line_amount,
                    balance_after: line.balance_after,
                    view: line.transaction.try_into()?,
                })
            })
            .collect()
    }

    /// What became of an idempotency key. Only asked when a request would otherwise be refused, and by those who ask
    /// for it: on the way of a good request the commit looks the key up itself.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn outcome(&self, tag: &IdempotencyTag) -> Result<Option<StoredOutcome>, StoreError> {
        match &self.engines {
            Engines::Sqlite(engine) => {
                if engine.keys.is_stale() {
                    let head = engine.gate.clone().lock_owned().await;
                    if !head.loaded {
                        engine.reload(head).await?;
                    }
                }
                engine.keys.find(&engine.hot(), tag, &mut 0)
            }
            Engines::Postgres(engine) => {
                let sql = "SELECT fingerprint, code, resource, at FROM idempotency_outcomes WHERE tag = $1";
                let Some(row) = one(&engine.books, sql, vec![uuid(tag).into()]).await? else {
                    return Ok(None);
                };
                let resource: Option<Uuid> = row.try_get_by_index(2)?;
                Ok(Some(StoredOutcome {
                    tag: *tag,
                    fingerprint: Fingerprint::from_bytes(row.try_get_by_index(0)?),
                    code: row.try_get_by_index(1)?,
                    resource: resource.map(Uuid::into_bytes),
                    at: Timestamp::from_micros(row.try_get_by_index(3)?),
                }))
            }
        }
    }

    /// Debits, credits and number of accounts per kind and currency: the trial balance, from the accounts' own
    /// balances.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn trial_balance(&self) -> Result<Vec<TrialBalanceLine>, StoreError> {
        #[derive(FromQueryResult)]
        struct Line {
            kind: String,
            currency: String,
            accounts: i64,
            debit: i64,
            credit: i64,
        }
        let sql = "SELECT a.kind, a.currency, count(*) AS accounts, \
            CAST(sum(CASE WHEN s.balance < 0 THEN -s.balance ELSE 0 END) AS bigint) AS debit, \
            CAST(sum(CASE WHEN s.balance > 0 THEN s.balance ELSE 0 END) AS bigint) AS credit \
            FROM accounts a JOIN account_states s ON s.account_id = a.id GROUP BY a.kind, a.currency ORDER BY a.currency, a.kind";
        let found: Vec<Line> = rows(self.books(), sql, vec![]).await?;
        found
            .into_iter()
            .map(|line| {
                Ok(TrialBalanceLine {
                    kind: strongroom_domain::account::AccountKind::parse(&line.kind)
                        .ok_or(StoreError::Corrupt("account kind"))?,
                    currency: Currency::parse(&line.currency).map_err(|_| StoreError::Corrupt("currency"))?,
                    accounts: line.accounts,
                    debit: line.debit,
                    credit: line.credit,
                })
            })
            .collect()
    }
}

/// One line of the trial balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrialBalanceLine {
    /// Which kind of account.
    pub kind: strongroom_domain::account::AccountKind,
    /// In which currency.
    pub currency: Currency,
    /// How many accounts.
    pub accounts: i64,
    /// Sum of the accounts that stand in debit, minor units.
    pub debit: i64,
    /// Sum of the accounts that stand in credit, minor units.
    pub credit: i64,
}

fn sqlite_account(row: &rusqlite::Row<'_>) -> rusqlite::Result<AccountSql> {
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
    })
}

fn sqlite_transaction(row: &rusqlite::Row<'_>) -> rusqlite::Result<TransactionSql> {
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
