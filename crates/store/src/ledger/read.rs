//! Reading the books: what one account or transaction is now, what an account was at a moment, page by page.
//!
//! Account and transaction by id are hot: on SQLite they are read in the request's own task through prepared
//! statements. The walks back through an account's entries are one query text for both engines (see
//! [`strongroom_domain::account::SkipPath`]): from the newest entry in O(log n) steps to any moment or number.

mod holds;
mod limits;
mod payments;
mod rail;
mod reviews;
mod sending;
mod sql;

pub use payments::{MerchantView, ReversalsAbout};
pub use rail::{RailFile, RailSums, ReadStatement, SuspenseView};
pub use reviews::{ReviewView, WaitingTransfer};
use rusqlite::OptionalExtension;
use sea_orm::{FromQueryResult, Value};
pub use sending::BeneficiaryView;
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

use self::sql::{
    ACCOUNT_BY_ID, ACCOUNTS_ALL, ACCOUNTS_OF, AccountSql, HISTORY, LineSql, TRANSACTION_BY_ID,
    TransactionSql, WALK_TO_SEQUENCE, WALK_TO_TIME, sqlite_account, sqlite_transaction, uuid,
};
use crate::{
    error::StoreError,
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

impl Store {
    /// One account by id, with what is reserved on it at this moment.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn account(&self, id: AccountId, at: Timestamp) -> Result<Option<AccountView>, StoreError> {
        let row = match &self.engines {
            Engines::Sqlite(engine) => {
                let connection = engine.hot()?;
                let mut statement = connection.prepare_cached(ACCOUNT_BY_ID)?;
                statement
                    .query_row(rusqlite::params![at.micros(), id.as_bytes()], sqlite_account)
                    .optional()?
            }
            Engines::Postgres(engine) => rows(
                &engine.books,
                ACCOUNT_BY_ID,
                vec![at.micros().into(), uuid(id.as_bytes()).into()],
            )
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
                let connection = engine.hot()?;
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
        at: Timestamp,
    ) -> Result<Vec<AccountView>, StoreError> {
        let at = Value::from(at.micros());
        let before = before.map_or([0xff; 16], |id| *id.as_bytes());
        let (before, limit) = (Value::from(uuid(&before)), Value::from(i64::from(limit)));
        let found: Vec<AccountSql> = match owner {
            Some(owner) => {
                rows(
                    self.books(),
                    ACCOUNTS_OF,
                    vec![at, uuid(owner.as_bytes()).into(), before, limit],
                )
                .await?
            }
            None => rows(self.books(), ACCOUNTS_ALL, vec![at, before, limit]).await?,
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
                let connection = engine.hot()?;
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
                engine.keys.find(&*engine.hot()?, tag, &mut 0)
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
