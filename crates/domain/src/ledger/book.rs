//! What a batch knows, and what it changes.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use crate::{
    account::Account,
    audit::{CompactRange, SignedRecord, StoredNode},
    hold::{Hold, HoldState},
    iban::Iban,
    id::{AccountId, ApiKeyId, HoldId, RequestId, StepUpId, TransactionId, UserId},
    ledger::{
        bounds::{BudgetState, Nonce},
        command::{Fingerprint, IdempotencyTag},
        payments::{PaymentBook, PaymentChanges},
        rail::{RailBook, RailChanges},
        reviews::{FraudBook, FraudChanges},
        sending::{SendingBook, SendingChanges},
    },
    limits::{CustomerLimits, LimitRules, LimitsOfAccounts},
    money::Currency,
    time::{Date, Timestamp},
    transaction::{Entry, Transaction},
};

/// What became of an idempotency key, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOutcome {
    /// The key.
    pub tag: IdempotencyTag,
    /// The request it stands for.
    pub fingerprint: Fingerprint,
    /// 0, or [`crate::ledger::Refusal::number`].
    pub code: i16,
    /// The transaction or account that came of it.
    pub resource: Option<[u8; 16]>,
    /// When.
    pub at: Timestamp,
}

/// An approval by a fresh factor, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepUp {
    /// Digest of the one request that it approves.
    pub request: [u8; 32],
    /// Its end.
    pub expires_at: Timestamp,
    /// Whether it was spent before.
    pub spent: bool,
}

/// Everything that the decisions of one batch may look at: loaded after the locks were taken.
#[derive(Debug, Clone)]
pub struct Book {
    /// The accounts that the commands name, where they exist.
    pub accounts: HashMap<AccountId, Account>,
    /// What is known of the commands' idempotency keys.
    pub outcomes: HashMap<IdempotencyTag, StoredOutcome>,
    /// The approvals that the commands claim, where they exist.
    pub step_ups: HashMap<StepUpId, StepUp>,
    /// The holds that the commands name, and every open hold of an account on which one is due.
    pub holds: HashMap<HoldId, Hold>,
    /// What was spent of the budgets of the commands' keys, where they have one.
    pub budgets: HashMap<ApiKeyId, BudgetState>,
    /// The commands' nonces that were used, and by which request.
    pub nonces: HashMap<[u8; 16], RequestId>,
    /// What the limits know of the accounts' owners.
    pub limits: HashMap<(UserId, Currency), CustomerLimits>,
    /// What the limits know of single accounts of those owners, where these have some.
    pub account_limits: HashMap<(UserId, Currency), LimitsOfAccounts>,
    /// What this writer may still let all customers together pay today, where the bank limits that; minor units.
    pub bank_left: HashMap<Currency, i64>,
    /// What the bank allows.
    pub rules: Arc<LimitRules>,
    /// What rules about fraud know.
    pub fraud: FraudBook,
    /// The payments that the commands name, what looks like them, and what was reversed.
    pub payments: PaymentBook,
    /// The beneficiaries that the commands pay, and the payments to them that the commands name.
    pub sending: SendingBook,
    /// Entries of statements that were read, and what is taken from suspense.
    pub rail: RailBook,
    /// Account numbers to be opened that already exist.
    pub taken_numbers: HashSet<Iban>,
    /// The revocation epoch that is in force.
    pub epoch: i64,
    /// When this batch is booked: not before any entry of its accounts.
    pub booked_at: Timestamp,
    /// The day of `booked_at` in the bank's time zone.
    pub today: Date,
    /// Id of the next entry.
    pub next_entry: i64,
    /// Id of the next audit record.
    pub next_record: i64,
    /// The log's right edge, where the batch itself appends leaves (SQLite); `None` where a sealer does (PostgreSQL).
    pub log: Option<CompactRange>,
}

/// An account that the batch opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedAccount {
    /// Its id; the state is in [`Book::accounts`].
    pub id: AccountId,
    /// Its number; the bank's own accounts have none.
    pub number: Option<Iban>,
    /// Sealed name, for customers' accounts.
    pub sealed_name: Option<Vec<u8>>,
    /// When.
    pub at: Timestamp,
}

/// A sealed text that belongs to a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedText {
    /// Which transaction.
    pub transaction: TransactionId,
    /// Whose data key seals it.
    pub person: UserId,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

/// A payment out of a hold, and how it left the hold: what a repetition of the request is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Captured {
    /// The payment.
    pub transaction: TransactionId,
    /// The hold.
    pub hold: HoldId,
    /// Captured of the hold afterwards, minor units.
    pub captured: i64,
    /// How the hold stood afterwards.
    pub state: HoldState,
}

/// Everything that a batch writes, in the order in which it is appended.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// New accounts.
    pub opened: Vec<OpenedAccount>,
    /// Accounts whose row changed; the new state is in [`Book::accounts`].
    pub touched: BTreeSet<AccountId>,
    /// New transactions.
    pub transactions: Vec<Transaction>,
    /// New entries, contiguous by transaction.
    pub entries: Vec<Entry>,
    /// New holds; the state is in [`Book::holds`].
    pub placed: BTreeSet<HoldId>,
    /// Holds that were there and changed.
    pub holds: BTreeSet<HoldId>,
    /// What was paid out of holds.
    pub captures: Vec<Captured>,
    /// What was paid, given back and reversed.
    pub payments: PaymentChanges,
    /// What was paid to beneficiaries and taken back.
    pub sending: SendingChanges,
    /// Entries of statements, and what came to and went from suspense.
    pub rail: RailChanges,
    /// What rules about fraud found, and what was decided about it.
    pub fraud: FraudChanges,
    /// New sealed texts.
    pub memos: Vec<SealedText>,
    /// Approvals that are spent.
    pub step_ups: Vec<StepUpId>,
    /// Budgets of which more was spent; what is in [`Book::budgets`].
    pub budgets: BTreeSet<ApiKeyId>,
    /// Nonces that are used up, and by which request.
    pub nonces: Vec<(Nonce, RequestId)>,
    /// Customers with their first account in a currency; the state is in [`Book::limits`].
    pub customers: BTreeSet<(UserId, Currency)>,
    /// Customers who were there and of whom more was counted or learned, or whose limits changed.
    pub limits: BTreeSet<(UserId, Currency)>,
    /// New outcomes of idempotency keys.
    pub outcomes: Vec<StoredOutcome>,
    /// New audit records.
    pub records: Vec<SignedRecord>,
    /// Their leaves, where the batch appends them itself: (leaf, record id, hash).
    pub leaves: Vec<(u64, i64, crate::audit::Hash)>,
    /// Inner nodes that became full.
    pub nodes: Vec<StoredNode>,
}

impl Changes {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.outcomes.is_empty() && self.nonces.is_empty()
    }
}
