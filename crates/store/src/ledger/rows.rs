//! Between rows and the domain's types: one place for both engines.

use strongroom_domain::{
    account::{Account, AccountKind, Freezes, SkipPath},
    beneficiary::{Beneficiary, LastPaid},
    hold::{Hold, HoldState},
    id::{
        AccountId, BeneficiaryId, HoldId, MerchantId, PaymentId, RailFileId, SuspenseItemId, TransactionId,
        UserId,
    },
    limits::{CustomerLimits, LimitsOfAccounts},
    money::{Amount, Currency},
    outgoing::{Outgoing, OutgoingState},
    payment::{Payment, PaymentState},
    rail::{Direction, SuspenseItem, SuspenseReason},
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
    pub(crate) review: bool,
}

/// The columns of [`HoldRow`], in its order.
macro_rules! hold_columns {
    () => {
        "h.id, h.account_id, h.to_account, h.amount, h.currency, h.captured, h.state, h.placed_at, h.expires_at, h.closed_at, h.review"
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
            review: row.review,
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

/// Limits of single accounts, where a customer has some.
pub(crate) fn account_limits(known: Option<&[u8]>) -> Result<Option<LimitsOfAccounts>, StoreError> {
    known
        .map(|known| LimitsOfAccounts::from_bytes(known).ok_or(StoreError::Corrupt("limits of accounts")))
        .transpose()
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

/// A row of `beneficiaries`.
#[derive(Debug, Clone)]
pub(crate) struct BeneficiaryRow {
    pub(crate) id: [u8; 16],
    pub(crate) owner: [u8; 16],
    pub(crate) account: Option<[u8; 16]>,
    pub(crate) currency: String,
    pub(crate) added_at: i64,
    pub(crate) removed_at: Option<i64>,
    pub(crate) paid: i64,
    pub(crate) last: Option<([u8; 16], i64, i64)>,
    pub(crate) earlier: Vec<u8>,
}

impl TryFrom<BeneficiaryRow> for Beneficiary {
    type Error = StoreError;

    fn try_from(row: BeneficiaryRow) -> Result<Self, StoreError> {
        let last = row.last.map(|(id, amount, at)| {
            Ok::<_, StoreError>(LastPaid {
                id: PaymentId::from_bytes(id),
                amount: Amount::new(amount).map_err(|_| StoreError::Corrupt("amount"))?,
                at: Timestamp::from_micros(at),
            })
        });
        Ok(Self {
            id: BeneficiaryId::from_bytes(row.id),
            owner: UserId::from_bytes(row.owner),
            account: row.account.map(AccountId::from_bytes),
            currency: currency_of(&row.currency)?,
            added_at: Timestamp::from_micros(row.added_at),
            removed: row.removed_at.is_some(),
            paid: row.paid,
            last: last.transpose()?,
            earlier: LastPaid::from_bytes(&row.earlier).ok_or(StoreError::Corrupt("earlier payments"))?,
        })
    }
}

/// A row of `outgoing_payments`.
#[derive(Debug, Clone)]
pub(crate) struct OutgoingRow {
    pub(crate) id: [u8; 16],
    pub(crate) beneficiary: [u8; 16],
    pub(crate) payer: [u8; 16],
    pub(crate) account: [u8; 16],
    pub(crate) to_account: Option<[u8; 16]>,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) state: i64,
    pub(crate) debited: bool,
    pub(crate) file: Option<[u8; 16]>,
    pub(crate) paid_at: i64,
    pub(crate) closed_at: Option<i64>,
}

/// The columns of [`OutgoingRow`], in its order.
macro_rules! outgoing_columns {
    () => {
        "o.id, o.beneficiary_id, o.payer, o.account_id, o.to_account, o.amount, o.currency, o.state, o.debited, o.file_id, \
         o.paid_at, o.closed_at"
    };
}
pub(crate) use outgoing_columns;

impl TryFrom<OutgoingRow> for Outgoing {
    type Error = StoreError;

    fn try_from(row: OutgoingRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: PaymentId::from_bytes(row.id),
            beneficiary: BeneficiaryId::from_bytes(row.beneficiary),
            payer: UserId::from_bytes(row.payer),
            account: AccountId::from_bytes(row.account),
            to_account: row.to_account.map(AccountId::from_bytes),
            amount: Amount::new(row.amount).map_err(|_| StoreError::Corrupt("amount"))?,
            currency: currency_of(&row.currency)?,
            state: u8::try_from(row.state)
                .ok()
                .and_then(OutgoingState::from_number)
                .ok_or(StoreError::Corrupt("state of a payment"))?,
            debited: row.debited,
            file: row.file.map(RailFileId::from_bytes),
            paid_at: Timestamp::from_micros(row.paid_at),
            closed_at: row.closed_at.map(Timestamp::from_micros),
        })
    }
}

/// A row of `suspense_items`, without what the statement says.
#[derive(Debug, Clone)]
pub(crate) struct SuspenseRow {
    pub(crate) id: [u8; 16],
    pub(crate) direction: i64,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) reason: i64,
    pub(crate) opened_at: i64,
    pub(crate) resolution: Option<[u8; 16]>,
}

impl TryFrom<SuspenseRow> for SuspenseItem {
    type Error = StoreError;

    fn try_from(row: SuspenseRow) -> Result<Self, StoreError> {
        let number = |number: i64| u8::try_from(number).ok();
        Ok(Self {
            id: SuspenseItemId::from_bytes(row.id),
            direction: number(row.direction)
                .and_then(Direction::from_number)
                .ok_or(StoreError::Corrupt("a suspense item's direction"))?,
            amount: Amount::new(row.amount).map_err(|_| StoreError::Corrupt("amount"))?,
            currency: currency_of(&row.currency)?,
            reason: number(row.reason)
                .and_then(SuspenseReason::from_number)
                .ok_or(StoreError::Corrupt("a suspense item's reason"))?,
            opened_at: Timestamp::from_micros(row.opened_at),
            resolution: row.resolution.map(TransactionId::from_bytes),
        })
    }
}
