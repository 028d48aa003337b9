//! Between rows and the domain's types: one place for both engines.

use strongroom_domain::{
    account::{Account, AccountKind, Freezes, SkipPath},
    hold::{Hold, HoldState},
    id::{AccountId, HoldId, MerchantId, PaymentId, UserId},
    limits::CustomerLimits,
    money::{Amount, Currency},
    payment::{Payment, PaymentState},
    time::{Date, Timestamp},
    transaction::{Transaction, TransactionKind},
};

use crate::error::StoreError;

/// A row of `account_states`.
#[derive(Debug, Clone)]
pub(crate) struct StateRow {
    pub(crate) floor: Option<i64>,
    pub(crate) freezes: i64,
    pub(crate) closed: bool,
    pub(crate) balance: i64,
    pub(crate) held: i64,
    pub(crate) holds: i64,
    pub(crate) hold_due: Option<i64>,
    pub(crate) entries: i64,
    pub(crate) last_booked_at: i64,
    pub(crate) path: Vec<u8>,
}

impl StateRow {
    /// The state of the account with these facts.
    pub(crate) fn account(
        self,
        id: AccountId,
        owner: Option<UserId>,
        kind: AccountKind,
        currency: Currency,
    ) -> Result<Account, StoreError> {
        let entries = u64::try_from(self.entries).map_err(|_| StoreError::Corrupt("account entries"))?;
        Ok(Account {
            id,
            owner,
            kind,
            currency,
            floor: self.floor,
            freezes: u8::try_from(self.freezes)
                .ok()
                .and_then(Freezes::from_bits)
                .ok_or(StoreError::Corrupt("account freezes"))?,
            closed: self.closed,
            balance: self.balance,
            held: self.held,
            holds: u32::try_from(self.holds).map_err(|_| StoreError::Corrupt("open holds"))?,
            hold_due: self.hold_due.map(Timestamp::from_micros),
            entries,
            last_booked_at: Timestamp::from_micros(self.last_booked_at),
            path: SkipPath::from_bytes(&self.path, entries).ok_or(StoreError::Corrupt("account path"))?,
        })
    }
}

/// A joined row of `accounts` and `account_states`.
#[derive(Debug, Clone)]
pub(crate) struct AccountRow {
    pub(crate) id: [u8; 16],
    pub(crate) owner: Option<[u8; 16]>,
    pub(crate) kind: String,
    pub(crate) currency: String,
    pub(crate) state: StateRow,
}

impl TryFrom<AccountRow> for Account {
    type Error = StoreError;

    fn try_from(row: AccountRow) -> Result<Self, StoreError> {
        row.state.account(
            AccountId::from_bytes(row.id),
            row.owner.map(UserId::from_bytes),
            AccountKind::parse(&row.kind).ok_or(StoreError::Corrupt("account kind"))?,
            Currency::parse(&row.currency).map_err(|_| StoreError::Corrupt("currency"))?,
        )
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

/// A row of `holds`.
#[derive(Debug, Clone)]
pub(crate) struct HoldRow {
    pub(crate) id: [u8; 16],
    pub(crate) account: [u8; 16],
    pub(crate) to_account: [u8; 16],
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) captured: i64,
    pub(crate) state: i64,
    pub(crate) placed_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) closed_at: Option<i64>,
}

/// The columns of [`HoldRow`], in its order.
macro_rules! hold_columns {
    () => {
        "h.id, h.account_id, h.to_account, h.amount, h.currency, h.captured, h.state, h.placed_at, h.expires_at, h.closed_at"
    };
}
pub(crate) use hold_columns;

impl TryFrom<HoldRow> for Hold {
    type Error = StoreError;

    fn try_from(row: HoldRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: HoldId::from_bytes(row.id),
            account: AccountId::from_bytes(row.account),
            to_account: AccountId::from_bytes(row.to_account),
            amount: Amount::new(row.amount).map_err(|_| StoreError::Corrupt("amount"))?,
            currency: Currency::parse(&row.currency).map_err(|_| StoreError::Corrupt("currency"))?,
            captured: row.captured,
            state: hold_state(row.state)?,
            placed_at: Timestamp::from_micros(row.placed_at),
            expires_at: Timestamp::from_micros(row.expires_at),
            closed_at: row.closed_at.map(Timestamp::from_micros),
        })
    }
}

pub(crate) fn hold_state(number: i64) -> Result<HoldState, StoreError> {
    u8::try_from(number)
        .ok()
        .and_then(HoldState::from_number)
        .ok_or(StoreError::Corrupt("hold state"))
}

pub(crate) fn currency_of(code: &str) -> Result<Currency, StoreError> {
    Currency::parse(code).map_err(|_| StoreError::Corrupt("currency"))
}

pub(crate) fn customer_limits(state: &[u8]) -> Result<CustomerLimits, StoreError> {
    CustomerLimits::from_bytes(state).ok_or(StoreError::Corrupt("a customer's limits"))
}

/// A row of `payments`.
#[derive(Debug, Clone)]
pub(crate) struct PaymentRow {
    pub(crate) id: [u8; 16],
    pub(crate) merchant: [u8; 16],
    pub(crate) payer: [u8; 16],
    pub(crate) account: [u8; 16],
    pub(crate) to_account: [u8; 16],
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) refunded: i64,
    pub(crate) state: i64,
    pub(crate) paid_at: i64,
}

/// The columns of [`PaymentRow`], in its order.
macro_rules! payment_columns {
    () => {
        "p.id, p.merchant_id, p.payer, p.account_id, p.to_account, p.amount, p.currency, p.refunded, p.state, p.paid_at"
    };
}
pub(crate) use payment_columns;

impl TryFrom<PaymentRow> for Payment {
    type Error = StoreError;

    fn try_from(row: PaymentRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: PaymentId::from_bytes(row.id),
            merchant: MerchantId::from_bytes(row.merchant),
            payer: UserId::from_bytes(row.payer),
            account: AccountId::from_bytes(row.account),
            to_account: AccountId::from_bytes(row.to_account),
            amount: Amount::new(row.amount).map_err(|_| StoreError::Corrupt("amount"))?,
            currency: Currency::parse(&row.currency).map_err(|_| StoreError::Corrupt("currency"))?,
            refunded: row.refunded,
            state: u8::try_from(row.state)
                .ok()
                .and_then(PaymentState::from_number)
                .ok_or(StoreError::Corrupt("payment state"))?,
            paid_at: Timestamp::from_micros(row.paid_at),
        })
    }
}
