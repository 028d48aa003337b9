//! One moment of the log and the books, read in pages.
//!
//! A snapshot is one short transaction: whoever verifies a living bank opens a new one for every page and lets the fold
//! catch up, so that no reader holds back the engine's own cleaning for long.

use sea_orm::{AccessMode, ConnectionTrait, IsolationLevel, QueryResult, Statement, TransactionTrait, Value};
use strongroom_domain::{
    audit::{Hash, NodeRange, NodeStore},
    hold::Hold,
    id::{AccountId, PaymentId},
    payment::Payment,
    transaction::Transaction,
};
use uuid::Uuid;

use crate::{
    audit::rows::{
        self, Leaf, RECORD_COLUMNS, Stored, StoredAccount, account_columns, entry_columns, record_columns,
        transaction_columns,
    },
    error::StoreError,
    ledger::rows::{hold_columns, payment_columns},
    store::{Engine, Store},
    tx::{ReadTx, Scope},
};

/// Most entries of one transaction that are read with it; a range that claims more is cut there and found wrong.
const ENTRIES_MAX: i64 = 1_024;
/// Ids between two ranges of entries that are read over rather than asked for apart.
const GAP_MAX: i64 = 256;

/// Where the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    /// Number of leaves, from the leaves themselves.
    pub size: u64,
    /// Number of leaves as the sealer noted it; equal to `size` in a sound log. None on SQLite.
    pub noted: Option<u64>,
}

/// One moment.
#[derive(Debug)]
pub struct LogSnapshot {
    pub(crate) read: ReadTx,
    pub(super) engine: Engine,
}

impl Store {
    /// Opens a snapshot. Keep it for one page.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no connection is to be had in time.
    pub async fn log_snapshot(&self) -> Result<LogSnapshot, StoreError> {
        let engine = self.engine();
        let read = match engine {
            // A deferred transaction of SQLite is a snapshot by itself.
            Engine::Sqlite => self.read(Scope::System).await?,
            Engine::Postgres => {
                let tx = self
                    .pool()
                    .begin_with_config(Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly))
                    .await?;
                ReadTx::of(tx, Scope::System).await?
            }
        };
        Ok(LogSnapshot { read, engine })
    }
}

const LEAVES: &str = concat!(
    "SELECT l.leaf, l.record_id, l.hash, ",
    record_columns!(),
    ", ",
    transaction_columns!(),
    " FROM audit_leaves l LEFT JOIN audit_records r ON r.id = l.record_id \
     LEFT JOIN transactions t ON t.id = r.object_id AND r.object_kind = 'transaction' \
     WHERE l.leaf >= $1 ORDER BY l.leaf LIMIT $2"
);
const UNSEALED: &str = concat!(
    "SELECT NULL::bigint, r.id, NULL::bytea, ",
    record_columns!(),
    ", ",
    transaction_columns!(),
    " FROM audit_records r LEFT JOIN transactions t ON t.id = r.object_id AND r.object_kind = 'transaction' \
     WHERE (r.xid, r.id) > (SELECT last_xid, last_record FROM audit_head WHERE id = 1) ORDER BY r.xid, r.id LIMIT $1"
);
const ENTRIES: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM entries e WHERE e.id >= $1 AND e.id <= $2 ORDER BY e.id"
);
const ACCOUNTS: &str = concat!(
    "SELECT ",
    account_columns!(),
    " FROM accounts a LEFT JOIN account_states s ON s.account_id = a.id WHERE a.id > $1 ORDER BY a.id LIMIT $2"
);
const ACCOUNT: &str = concat!(
    "SELECT ",
    account_columns!(),
    " FROM accounts a LEFT JOIN account_states s ON s.account_id = a.id WHERE a.id = $1"
);

const OPEN_HOLDS: &str = concat!(
    "SELECT ",
    hold_columns!(),
    " FROM holds h WHERE h.account_id > $1 AND h.account_id <= $2 AND h.state = 0 ORDER BY h.account_id"
);

const PAYMENTS: &str = concat!(
    "SELECT ",
    payment_columns!(),
    " FROM payments p WHERE p.to_account = $1 AND p.id > $2 ORDER BY p.id LIMIT $3"
);
/// Of accounts in a range of ids, those that were ever paid as a merchant's.
const PAID: &str = "SELECT a.id FROM accounts a WHERE a.id > $1 AND a.id <= $2 \
    AND EXISTS (SELECT 1 FROM payments p WHERE p.to_account = a.id) ORDER BY a.id";

impl LogSnapshot {
    pub(super) async fn query(&self, sql: &str, values: Vec<Value>) -> Result<Vec<QueryResult>, StoreError> {
        let tx = &self.read.tx;
        let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
        Ok(tx.query_all_raw(statement).await?)
    }

    /// Where the log ends.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn position(&self) -> Result<LogPosition, StoreError> {
        let sql = match self.engine {
            Engine::Sqlite => "SELECT coalesce(max(leaf) + 1, 0), NULL FROM audit_leaves",
            Engine::Postgres => {
                "SELECT coalesce(max(leaf) + 1, 0), (SELECT size FROM audit_head WHERE id = 1) FROM audit_leaves"
            }
        };
        let found = self.query(sql, vec![]).await?;
        let row = found.first().ok_or(StoreError::Corrupt("no answer"))?;
        let noted: Option<i64> = match self.engine {
            Engine::Sqlite => None,
            Engine::Postgres => row.try_get_by_index(1)?,
        };
        Ok(LogPosition {
            size: rows::position(row, 0)?,
            noted: noted.map(|size| u64::try_from(size).unwrap_or(u64::MAX)),
        })
    }

    /// Up to `limit` leaves from position `from` on, with their records, transactions and entries.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn leaves(&self, from: u64, limit: u32) -> Result<Vec<Leaf>, StoreError> {
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        let found = self
            .query(LEAVES, vec![from.into(), i64::from(limit).into()])
            .await?;
        self.with_entries(found).await
    }

    /// Records that no leaf covers yet, in the order in which they will be sealed. Empty on SQLite.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn unsealed(&self, limit: u32) -> Result<Vec<Leaf>, StoreError> {
        match self.engine {
            Engine::Sqlite => Ok(Vec::new()),
            Engine::Postgres => {
                let found = self.query(UNSEALED, vec![i64::from(limit).into()]).await?;
                self.with_entries(found).await
            }
        }
    }

    pub(super) async fn with_entries(&self, found: Vec<QueryResult>) -> Result<Vec<Leaf>, StoreError> {
        let mut leaves = Vec::with_capacity(found.len());
        for row in &found {
            leaves.push(Leaf {
                leaf: rows::position(row, 0).ok(),
                record_id: row.try_get_by_index(1)?,
                hash: rows::hash(row, 2).ok(),
                record: rows::record(row, 3),
                transaction: rows::transaction(row, 3 + RECORD_COLUMNS),
                entries: Vec::new(),
            });
        }
        let mut wanted: Vec<(i64, i64, usize)> = leaves
            .iter()
            .enumerate()
            .filter_map(|(index, leaf)| {
                let (first, last) = range_of(leaf.transaction.value()?);
                Some((first, last, index))
            })
            .collect();
        wanted.sort_unstable();
        for run in wanted.chunk_by(|before, next| next.0 - before.1 <= GAP_MAX) {
            let (first, last) = (
                run[0].0,
                run.iter().map(|range| range.1).max().unwrap_or_default(),
            );
            let mut entries = self.entries(first, last).await?.into_iter().peekable();
            for (first, last, index) in run {
                // Ranges ascend; only tampered ones overlap, and then the later one misses its rows and is found wrong.
                while entries.next_if(|entry| id_of(entry) < *first).is_some() {}
                while let Some(entry) = entries.next_if(|entry| id_of(entry) <= *last) {
                    leaves[*index].entries.push(entry);
                }
            }
        }
        Ok(leaves)
    }

    /// The entries of a range of ids, ascending.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub(super) async fn entries(
        &self,
        first: i64,
        last: i64,
    ) -> Result<Vec<Result<strongroom_domain::transaction::Entry, i64>>, StoreError> {
        let found = self.query(ENTRIES, vec![first.into(), last.into()]).await?;
        Ok(found.iter().map(rows::entry).collect())
    }

    /// Stored hashes of the tree; what is not stored is absent.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn nodes(&self, ranges: &[NodeRange]) -> Result<NodeStore, StoreError> {
        let mut nodes = NodeStore::default();
        for range in ranges {
            let end = range.start.saturating_add(range.count);
            for (position, hash) in self.nodes_between(range.level, range.start, end).await? {
                if let Some(hash) = hash {
                    nodes.insert(range.level, position, hash);
                }
            }
        }
        Ok(nodes)
    }

    /// Stored hashes of a level from position `start` to before `end`; level 0 are the leaves. `None` for one that
    /// cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn nodes_between(
        &self,
        level: u32,
        start: u64,
        end: u64,
    ) -> Result<Vec<(u64, Option<Hash>)>, StoreError> {
        let bound = |position| Value::from(i64::try_from(position).unwrap_or(i64::MAX));
        let (start, end) = (bound(start), bound(end));
        let found = if level == 0 {
            let sql = "SELECT leaf, hash FROM audit_leaves WHERE leaf >= $1 AND leaf < $2 ORDER BY leaf";
            self.query(sql, vec![start, end]).await?
        } else {
            let sql = "SELECT position, hash FROM audit_nodes WHERE position >= $1 AND position < $2 AND level = $3 \
                       ORDER BY position";
            self.query(sql, vec![start, end, i64::from(level).into()]).await?
        };
        found
            .iter()
            .map(|row| Ok((rows::position(row, 0)?, rows::hash(row, 1).ok())))
            .collect()
    }

    /// Number of stored inner nodes by level.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn node_counts(&self) -> Result<Vec<(u32, u64)>, StoreError> {
        let sql = "SELECT level, max(position) + 1 FROM audit_nodes GROUP BY level ORDER BY level";
        let found = self.query(sql, vec![]).await?;
        found
            .iter()
            .map(|row| {
                let level: i64 = row.try_get_by_index(0)?;
                Ok((u32::try_from(level).unwrap_or(u32::MAX), rows::position(row, 1)?))
            })
            .collect()
    }

    /// Accounts after an id, ascending.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn accounts_after(
        &self,
        after: AccountId,
        limit: u32,
    ) -> Result<Vec<StoredAccount>, StoreError> {
        let after = Uuid::from_bytes(*after.as_bytes());
        let found = self
            .query(ACCOUNTS, vec![after.into(), i64::from(limit).into()])
            .await?;
        found.iter().map(rows::account).collect()
    }

    /// The open holds on accounts after `after` up to and with `last`, by account. A row that cannot be read is
    /// missing.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn open_holds(&self, after: AccountId, last: AccountId) -> Result<Vec<Hold>, StoreError> {
        let bound = |id: AccountId| Value::from(Uuid::from_bytes(*id.as_bytes()));
        let found = self.query(OPEN_HOLDS, vec![bound(after), bound(last)]).await?;
        Ok(found.iter().filter_map(|row| rows::hold(row).ok()).collect())
    }

    /// The accounts after `after` up to and with `last` that payments were made to, ascending.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn paid_accounts(
        &self,
        after: AccountId,
        last: AccountId,
    ) -> Result<Vec<AccountId>, StoreError> {
        let bound = |id: AccountId| Value::from(Uuid::from_bytes(*id.as_bytes()));
        let found = self.query(PAID, vec![bound(after), bound(last)]).await?;
        found
            .iter()
            .map(|row| rows::uuid(row, 0).map(AccountId::from_bytes))
            .collect()
    }

    /// Payments to an account after an id, ascending. A row that cannot be read is missing.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn payments_to(
        &self,
        account: AccountId,
        after: PaymentId,
        limit: u32,
    ) -> Result<Vec<Payment>, StoreError> {
        let id = |bytes: &[u8; 16]| Value::from(Uuid::from_bytes(*bytes));
        let values = vec![
            id(account.as_bytes()),
            id(after.as_bytes()),
            i64::from(limit).into(),
        ];
        let found = self.query(PAYMENTS, values).await?;
        Ok(found.iter().filter_map(|row| rows::payment(row).ok()).collect())
    }

    /// One account.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn stored_account(&self, account: AccountId) -> Result<StoredAccount, StoreError> {
        let id = Uuid::from_bytes(*account.as_bytes());
        let found = self.query(ACCOUNT, vec![id.into()]).await?;
        match found.first() {
            Some(row) => rows::account(row),
            None => Ok(StoredAccount {
                id: account,
                account: Stored::Missing,
                number: None,
            }),
        }
    }

    /// The position of a record in the log; `None` while it is not sealed.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn leaf_of(&self, record: i64) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT leaf FROM audit_leaves WHERE record_id = $1";
        let found = self.query(sql, vec![record.into()]).await?;
        found.first().map(|row| rows::position(row, 0)).transpose()
    }
}

/// The ids that a transaction claims, bounded.
fn range_of(transaction: &Transaction) -> (i64, i64) {
    let bound = transaction.first_entry.saturating_add(ENTRIES_MAX);
    (transaction.first_entry, transaction.last_entry.min(bound))
}

fn id_of(entry: &Result<strongroom_domain::transaction::Entry, i64>) -> i64 {
    match entry {
        Ok(entry) => entry.id,
        Err(id) => *id,
    }
}
