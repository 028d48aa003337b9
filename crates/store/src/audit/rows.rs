//! Rows of the log and the books as verification reads them: a row that cannot be read is a finding, not an error.

use sea_orm::QueryResult;
use strongroom_domain::{
    account::Account,
    audit::{Details, Hash, SignedRecord},
    hold::Hold,
    id::{AccountId, TransactionId},
    money::Currency,
    payment::Payment,
    time::Timestamp,
    transaction::{Entry, Transaction},
};
use uuid::Uuid;

use crate::{
    error::StoreError,
    ledger::rows::{AccountRow, HoldRow, PaymentRow, StateRow, TransactionRow},
};

/// A row that another one points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored<T> {
    /// There is none.
    Missing,
    /// It holds values that this program never writes.
    Unreadable,
    /// It is this.
    Is(T),
}

impl<T> Stored<T> {
    fn of(read: Result<T, StoreError>) -> Self {
        read.map_or(Self::Unreadable, Self::Is)
    }

    /// The value, where there is one that can be read.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Missing | Self::Unreadable => None,
        }
    }
}

/// An account as the books hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAccount {
    /// Its id.
    pub id: AccountId,
    /// Its facts and its state.
    pub account: Stored<Account>,
    /// Its number; the bank's own have none.
    pub number: Option<String>,
}

/// One position of the log with everything that hangs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its position, from 0; `None` for a record that is not sealed yet.
    pub leaf: Option<u64>,
    /// The record it is made of.
    pub record_id: i64,
    /// The stored hash; `None` where it cannot be read or there is no leaf yet.
    pub hash: Option<Hash>,
    /// The record.
    pub record: Stored<SignedRecord>,
    /// The transaction of the object's id, where the record is about one.
    pub transaction: Stored<Transaction>,
    /// What is stored in the transaction's range, ascending; a row that cannot be read by its id.
    pub entries: Vec<Result<Entry, i64>>,
}

pub(super) const RECORD_COLUMNS: usize = 15;
macro_rules! record_columns {
    () => {
        "r.id, r.at, r.request, r.principal_kind, r.principal_id, r.session, r.origin, r.action, r.object_kind, r.object_id, \
         r.outcome, r.policy, r.details, r.mac_key, r.mac"
    };
}
macro_rules! transaction_columns {
    () => {
        "t.last_entry, t.id, t.first_entry, t.kind, t.from_account, t.to_account, t.amount, t.currency, t.booked_at, \
         t.value_date, t.memo, t.salt, t.record"
    };
}
macro_rules! entry_columns {
    () => {
        "e.id, e.transaction_entry, e.account_id, e.sequence, e.amount, e.currency, e.balance_after, e.booked_at, e.prev, e.jump"
    };
}
macro_rules! account_columns {
    () => {
        "a.id, a.owner, a.kind, a.currency, s.floor, s.freezes, s.closed, s.balance, s.held, s.entries, s.last_booked_at, s.path, a.number, s.holds, s.hold_due"
    };
}
pub(super) use {account_columns, entry_columns, record_columns, transaction_columns};

fn bytes<const N: usize>(row: &QueryResult, at: usize) -> Result<[u8; N], StoreError> {
    let bytes: Vec<u8> = row.try_get_by_index(at)?;
    bytes.try_into().map_err(|_| StoreError::Corrupt("length"))
}

pub(super) fn uuid(row: &QueryResult, at: usize) -> Result<[u8; 16], StoreError> {
    Ok(row.try_get_by_index::<Uuid>(at)?.into_bytes())
}

pub(super) fn hash(row: &QueryResult, at: usize) -> Result<Hash, StoreError> {
    bytes(row, at)
}

fn small<T: TryFrom<i64>>(row: &QueryResult, at: usize) -> Result<T, StoreError> {
    let number: i64 = row.try_get_by_index(at)?;
    T::try_from(number).map_err(|_| StoreError::Corrupt("number"))
}

pub(super) fn position(row: &QueryResult, at: usize) -> Result<u64, StoreError> {
    small(row, at)
}

/// The record in the columns of `record_columns!` from `at` on.
pub(super) fn record(row: &QueryResult, at: usize) -> Stored<SignedRecord> {
    match row.try_get_by_index::<Option<i64>>(at) {
        Ok(None) => Stored::Missing,
        _ => Stored::of(read_record(row, at)),
    }
}

fn read_record(row: &QueryResult, at: usize) -> Result<SignedRecord, StoreError> {
    Ok(SignedRecord {
        id: row.try_get_by_index(at)?,
        at: row.try_get_by_index(at + 1)?,
        request: uuid(row, at + 2)?,
        principal_kind: small(row, at + 3)?,
        principal_id: uuid(row, at + 4)?,
        session: uuid(row, at + 5)?,
        origin: small(row, at + 6)?,
        action: row.try_get_by_index(at + 7)?,
        object_kind: row.try_get_by_index(at + 8)?,
        object_id: uuid(row, at + 9)?,
        outcome: row.try_get_by_index(at + 10)?,
        policy: small(row, at + 11)?,
        details: Details::from_bytes(row.try_get_by_index(at + 12)?),
        mac_key: row.try_get_by_index(at + 13)?,
        mac: bytes(row, at + 14)?,
    })
}

/// The transaction in the columns of `transaction_columns!` from `at` on.
pub(super) fn transaction(row: &QueryResult, at: usize) -> Stored<Transaction> {
    match row.try_get_by_index::<Option<i64>>(at) {
        Ok(None) => Stored::Missing,
        _ => Stored::of(read_transaction(row, at).and_then(Transaction::try_from)),
    }
}

fn read_transaction(row: &QueryResult, at: usize) -> Result<TransactionRow, StoreError> {
    Ok(TransactionRow {
        last_entry: row.try_get_by_index(at)?,
        id: *TransactionId::from_bytes(uuid(row, at + 1)?).as_bytes(),
        first_entry: row.try_get_by_index(at + 2)?,
        kind: row.try_get_by_index(at + 3)?,
        from_account: uuid(row, at + 4)?,
        to_account: uuid(row, at + 5)?,
        amount: row.try_get_by_index(at + 6)?,
        currency: row.try_get_by_index(at + 7)?,
        booked_at: row.try_get_by_index(at + 8)?,
        value_date: row.try_get_by_index(at + 9)?,
        memo: row.try_get_by_index(at + 10)?,
        salt: row.try_get_by_index(at + 11)?,
        record: row.try_get_by_index(at + 12)?,
    })
}

/// The entry in the columns of `entry_columns!`; its id where the rest cannot be read.
pub(super) fn entry(row: &QueryResult) -> Result<Entry, i64> {
    read_entry(row).map_err(|_| row.try_get_by_index(0).unwrap_or_default())
}

fn read_entry(row: &QueryResult) -> Result<Entry, StoreError> {
    let currency: String = row.try_get_by_index(5)?;
    Ok(Entry {
        id: row.try_get_by_index(0)?,
        transaction: row.try_get_by_index(1)?,
        account: AccountId::from_bytes(uuid(row, 2)?),
        sequence: small(row, 3)?,
        amount: row.try_get_by_index(4)?,
        currency: Currency::parse(&currency).map_err(|_| StoreError::Corrupt("currency"))?,
        balance_after: row.try_get_by_index(6)?,
        booked_at: Timestamp::from_micros(row.try_get_by_index(7)?),
        prev: row.try_get_by_index(8)?,
        jump: row.try_get_by_index(9)?,
    })
}

/// The account in the columns of `account_columns!`.
pub(super) fn account(row: &QueryResult) -> Result<StoredAccount, StoreError> {
    let id = AccountId::from_bytes(uuid(row, 0)?);
    let account = match row.try_get_by_index::<Option<i64>>(7) {
        Ok(None) => Stored::Missing,
        _ => Stored::of(read_account(row).and_then(Account::try_from)),
    };
    Ok(StoredAccount {
        id,
        account,
        number: row.try_get_by_index(12)?,
    })
}

fn read_account(row: &QueryResult) -> Result<AccountRow, StoreError> {
    Ok(AccountRow {
        id: uuid(row, 0)?,
        owner: row.try_get_by_index::<Option<Uuid>>(1)?.map(Uuid::into_bytes),
        kind: row.try_get_by_index(2)?,
        currency: row.try_get_by_index(3)?,
        state: StateRow {
            floor: row.try_get_by_index(4)?,
            freezes: row.try_get_by_index(5)?,
            closed: row.try_get_by_index(6)?,
            balance: row.try_get_by_index(7)?,
            held: row.try_get_by_index(8)?,
            holds: row.try_get_by_index(13)?,
            hold_due: row.try_get_by_index(14)?,
            entries: row.try_get_by_index(9)?,
            last_booked_at: row.try_get_by_index(10)?,
            path: row.try_get_by_index(11)?,
        },
    })
}

/// The hold in the columns of `hold_columns!`.
pub(super) fn hold(row: &QueryResult) -> Result<Hold, StoreError> {
    let row = HoldRow {
        id: uuid(row, 0)?,
        account: uuid(row, 1)?,
        to_account: uuid(row, 2)?,
        amount: row.try_get_by_index(3)?,
        currency: row.try_get_by_index(4)?,
        captured: row.try_get_by_index(5)?,
        state: row.try_get_by_index(6)?,
        placed_at: row.try_get_by_index(7)?,
        expires_at: row.try_get_by_index(8)?,
        closed_at: row.try_get_by_index(9)?,
        review: row.try_get_by_index(10)?,
    };
    row.try_into()
}

pub(super) fn payment(row: &QueryResult) -> Result<Payment, StoreError> {
    let row = PaymentRow {
        id: uuid(row, 0)?,
        merchant: uuid(row, 1)?,
        payer: uuid(row, 2)?,
        account: uuid(row, 3)?,
        to_account: uuid(row, 4)?,
        amount: row.try_get_by_index(5)?,
        currency: row.try_get_by_index(6)?,
        refunded: row.try_get_by_index(7)?,
        state: row.try_get_by_index(8)?,
        paid_at: row.try_get_by_index(9)?,
    };
    row.try_into()
}
