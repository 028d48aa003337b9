//! Transactions and their entries: immutable once booked, and bound by a digest into the audit log.

use sha2::{Digest, Sha256};

use crate::{
    id::{AccountId, TransactionId},
    money::{Amount, Currency},
    time::{Date, Timestamp},
};

/// Why money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionKind {
    /// From one customer account to another.
    Transfer,
    /// Cash over the counter, in.
    Deposit,
    /// Cash over the counter, out.
    Withdrawal,
    /// Out of a hold to the payee that it was reserved for.
    Capture,
    /// From a customer to a merchant.
    Payment,
    /// From a merchant back to who paid.
    Refund,
    /// What the bank takes back of an earlier movement.
    Reversal,
}

impl TransactionKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Transfer,
        Self::Deposit,
        Self::Withdrawal,
        Self::Capture,
        Self::Payment,
        Self::Refund,
        Self::Reversal,
    ];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Deposit => "deposit",
            Self::Withdrawal => "withdrawal",
            Self::Capture => "capture",
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::Reversal => "reversal",
        }
    }

    /// Reads the stable name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A booked journal record. Its facts never change; who wrote what beside it is sealed elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its id.
    pub id: TransactionId,
    /// Id of its first entry; the entries' ids are contiguous.
    pub first_entry: i64,
    /// Id of its last entry.
    pub last_entry: i64,
    /// Why money moved.
    pub kind: TransactionKind,
    /// The account debited.
    pub from_account: AccountId,
    /// The account credited.
    pub to_account: AccountId,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// When it became effective in the books.
    pub booked_at: Timestamp,
    /// The day it counts for.
    pub value_date: Date,
    /// Salted commitment to the free text, which is sealed under a person's key.
    pub memo: Option<[u8; 32]>,
    /// 128 random bits that keep the digest of the entries from being guessed by somebody who holds a receipt.
    pub salt: [u8; 16],
    /// Id of its audit record.
    pub record: i64,
}

/// One line of a transaction. `amount` is positive on the credit side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Position in the journal, ascending in the order of booking.
    pub id: i64,
    /// Id of the last entry of the same transaction.
    pub transaction: i64,
    /// Whose line it is.
    pub account: AccountId,
    /// The how-manieth entry of that account, from 1.
    pub sequence: u64,
    /// Minor units, positive for a credit, negative for a debit.
    pub amount: i64,
    /// The currency, the account's own.
    pub currency: Currency,
    /// The account's balance after this line.
    pub balance_after: i64,
    /// When it was booked.
    pub booked_at: Timestamp,
    /// The account's previous entry.
    pub prev: Option<i64>,
    /// An entry further back (see [`crate::account::SkipPath`]).
    pub jump: Option<i64>,
}

/// Digest of a transaction's entries under its salt: what `audit verify` recomputes from the books.
pub fn entries_digest(salt: &[u8; 16], entries: &[Entry]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"strongroom/entries/v1");
    hash.update(salt);
    for entry in entries {
        hash.update(entry.id.to_be_bytes());
        hash.update(entry.account.as_bytes());
        hash.update(entry.sequence.to_be_bytes());
        hash.update(entry.amount.to_be_bytes());
        hash.update(entry.currency.code_bytes());
        hash.update(entry.balance_after.to_be_bytes());
        hash.update(entry.booked_at.micros().to_be_bytes());
        hash.update(entry.prev.unwrap_or(0).to_be_bytes());
        hash.update(entry.jump.unwrap_or(0).to_be_bytes());
    }
    hash.finalize().into()
}

/// What a receipt shows of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its id.
    pub id: TransactionId,
    /// Why money moved.
    pub kind: TransactionKind,
    /// The account debited.
    pub from_account: AccountId,
    /// The account credited.
    pub to_account: AccountId,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// When it became effective in the books.
    pub booked_at: Timestamp,
    /// The day it counts for.
    pub value_date: Date,
    /// Salted commitment to the free text.
    pub memo: Option<[u8; 32]>,
}

impl Facts {
    /// The canonical bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&length_prefixed(self.kind.name()));
        out.extend_from_slice(self.from_account.as_bytes());
        out.extend_from_slice(self.to_account.as_bytes());
        out.extend_from_slice(&self.amount.minor().to_be_bytes());
        out.extend_from_slice(&self.currency.code_bytes());
        out.extend_from_slice(&self.booked_at.micros().to_be_bytes());
        out.extend_from_slice(&self.value_date.days().to_be_bytes());
        out.extend_from_slice(&self.memo.unwrap_or([0; 32]));
        out
    }

    /// Digest that goes into the audit record: the facts in the open, the entries behind their salted digest.
    pub fn digest(&self, entries_digest: &[u8; 32]) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"strongroom/transaction/v1")
            .chain_update(self.bytes())
            .chain_update(entries_digest)
            .finalize()
            .into()
    }
}

impl Transaction {
    /// What a receipt shows.
    pub const fn shown(&self) -> Facts {
        Facts {
            id: self.id,
            kind: self.kind,
            from_account: self.from_account,
            to_account: self.to_account,
            amount: self.amount,
            currency: self.currency,
            booked_at: self.booked_at,
            value_date: self.value_date,
            memo: self.memo,
        }
    }

    /// The canonical bytes of the facts that a receipt shows.
    pub fn facts(&self) -> Vec<u8> {
        self.shown().bytes()
    }

    /// Digest that goes into the audit record.
    pub fn digest(&self, entries_digest: &[u8; 32]) -> [u8; 32] {
        self.shown().digest(entries_digest)
    }
}

fn length_prefixed(text: &str) -> Vec<u8> {
    let mut out = vec![u8::try_from(text.len()).unwrap_or(u8::MAX)];
    out.extend_from_slice(text.as_bytes());
    out
}
