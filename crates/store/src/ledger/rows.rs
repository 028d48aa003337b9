//! Between rows and the domain's types: one place for both engines.

use strongroom_domain::{
    account::{Account, AccountKind, Freezes, SkipPath},
    id::{AccountId, UserId},
    money::{Amount, Currency},
    time::{Date, Timestamp},
    transaction::{Transaction, TransactionKind},
};

use crate::error::StoreError;

/// A joined row of `accounts` and `account_states`.
#[derive(Debug, Clone)]
pub(crate) struct AccountRow {
    pub(crate) id: [u8; 16],
    pub(crate) owner: Option<[u8; 16]>,
    pub(crate) kind: String,
    pub(crate) currency: String,
    pub(crate) floor: Option<i64>,
    pub(crate) freezes: i64,
    pub(crate) closed: bool,
    pub(crate) balance: i64,
    pub(crate) held: i64,
    pub(crate) entries: i64,
    pub(crate) last_booked_at: i64,
    pub(crate) path: Vec<u8>,
}

impl TryFrom<AccountRow> for Account {
    type Error = StoreError;

    fn try_from(row: AccountRow) -> Result<Self, StoreError> {
        let entries = u64::try_from(row.entries).map_err(|_| StoreError::Corrupt("account entries"))?;
        Ok(Self {
            id: AccountId::from_bytes(row.id),
            owner: row.owner.map(UserId::from_bytes),
            kind: AccountKind::parse(&row.kind).ok_or(StoreError::Corrupt("account kind"))?,
            currency: Currency::parse(&row.currency).map_err(|_| StoreError::Corrupt("currency"))?,
            floor: row.floor,
            freezes: u8::try_from(row.freezes)
                .ok()
                .and_then(Freezes::from_bits)
                .ok_or(StoreError::Corrupt("account freezes"))?,
            closed: row.closed,
            balance: row.balance,
            held: row.held,
            entries,
            last_booked_at: Timestamp::from_micros(row.last_booked_at),
            path: SkipPath::from_bytes(&row.path, entries).ok_or(StoreError::Corrupt("account path"))?,
        })
    }
}

/// A row of `transactions`.
#[derive(Debug, Clone)]
pub(crate) struct TransactionRow {
    pub(crate) id: [u8; 16],
    pub(crate) first_entry: i64,
    pub(crate) last_entry: i64,
    pub(crate) kind: String,
    pub(crate) from_account: [u8; 16],
    pub(crate) to_account: [u8; 16],
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) booked_at: i64,
    pub(crate) value_date: i64,
    pub(crate) memo: Option<Vec<u8>>,
    pub(crate) salt: Vec<u8>,
    pub(crate) record: i64,
}

impl TryFrom<TransactionRow> for Transaction {
    type Error = StoreError;

    fn try_from(row: TransactionRow) -> Result<Self, StoreError> {
        let days = i32::try_from(row.value_date).map_err(|_| StoreError::Corrupt("value date"))?;
        let memo = row
            .memo
            .map(<[u8; 32]>::try_from)
            .transpose()
            .map_err(|_| StoreError::Corrupt("memo"))?;
        Ok(Self {
            id: strongroom_domain::id::TransactionId::from_bytes(row.id),
            first_entry: row.first_entry,
            last_entry: row.last_entry,
            kind: TransactionKind::parse(&row.kind).ok_or(StoreError::Corrupt("transaction kind"))?,
            from_account: AccountId::from_bytes(row.from_account),
            to_account: AccountId::from_bytes(row.to_account),
            amount: Amount::new(row.amount).map_err(|_| StoreError::Corrupt("amount"))?,
            currency: Currency::parse(&row.currency).map_err(|_| StoreError::Corrupt("currency"))?,
            booked_at: Timestamp::from_micros(row.booked_at),
            value_date: Date::from_days(days),
            memo,
            salt: row.salt.try_into().map_err(|_| StoreError::Corrupt("salt"))?,
            record: row.record,
        })
    }
}
