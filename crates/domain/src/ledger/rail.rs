//! What the bank's own bank did, as the books are told of it, and what a batch knows and changes of that.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{
    id::{AccountId, ApprovalId, PaymentId, SuspenseItemId, TransactionId, UserId},
    ledger::command::{Command, SealedMemo, Verb},
    money::{Amount, Currency},
    rail::{Direction, EntryOutcome, EntryTag, SuspenseItem},
    time::{Date, Timestamp},
};

/// An entry of a statement. What it names never changes its accounts: they are locked before it is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementEntry {
    /// Id of the transaction, where one is booked, drawn when the entry was read.
    pub id: TransactionId,
    /// What the entry is known by.
    pub tag: EntryTag,
    /// Which way the money went.
    pub direction: Direction,
    /// Whether it takes back an earlier entry, or is a return.
    pub back: bool,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// The payment of ours that it names, with the account that was debited.
    pub payment: Option<(PaymentId, AccountId)>,
    /// The account of ours that it is for.
    pub account: Option<AccountId>,
    /// The day it counts for; the day of booking when absent.
    pub value_date: Option<Date>,
    /// What the sender says, under the key of the account's owner.
    pub memo: Option<SealedMemo>,
    /// What the entry says, sealed by the ring: kept with what nobody could place.
    pub sealed: Vec<u8>,
    /// 128 random bits for the digest of the entries.
    pub salt: [u8; 16],
}

/// Money to take from suspense. What it says of the item comes from the books, where it never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    /// Id of the transaction, drawn when the request arrived.
    pub id: TransactionId,
    /// What is taken from there.
    pub item: SuspenseItemId,
    /// The account that it is for, or that pays for it: a customer's, or the bank's own money.
    pub account: AccountId,
    /// Of which currency it is.
    pub currency: Currency,
    /// The request that somebody else made, with the digest of what it says.
    pub approval: ApprovalId,
    /// Digest of what the request says.
    pub digest: [u8; 32],
    /// Why, sealed by the ring: kept with the closed request.
    pub sealed_reason: Option<Vec<u8>>,
    /// Who asked; `None` where that was no person.
    pub maker: Option<UserId>,
    /// Who decides.
    pub checker: UserId,
    /// 128 random bits for the digest of the entries.
    pub salt: [u8; 16],
}

/// An entry that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadEntry {
    /// What it is known by.
    pub tag: EntryTag,
    /// What became of it.
    pub outcome: EntryOutcome,
    /// The payment that it is about.
    pub payment: Option<PaymentId>,
    /// The transaction that was booked for it.
    pub transaction: Option<TransactionId>,
    /// When.
    pub at: Timestamp,
}

/// What the commands of a batch need of all this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RailNeed {
    /// Entries that are read.
    pub tags: BTreeSet<EntryTag>,
    /// What is taken from suspense.
    pub items: BTreeSet<SuspenseItemId>,
}

impl RailNeed {
    /// Takes in what one command needs.
    pub fn add(&mut self, command: &Command) {
        match &command.verb {
            Verb::Settle(entry) => {
                self.tags.insert(entry.tag);
            }
            Verb::Resolve(asked) => {
                self.items.insert(asked.item);
            }
            _ => {}
        }
    }

    /// Whether there is nothing to look up.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.items.is_empty()
    }
}

/// What the decisions of a batch may look at.
#[derive(Debug, Clone, Default)]
pub struct RailBook {
    /// The entries of the commands that were read before.
    pub read: BTreeSet<EntryTag>,
    /// What the commands take from suspense, where it exists.
    pub items: HashMap<SuspenseItemId, SuspenseItem>,
}

/// What a batch writes.
#[derive(Debug, Clone, Default)]
pub struct RailChanges {
    /// Entries that were read.
    pub read: Vec<ReadEntry>,
    /// What nobody could place, with the sealed words of the entry and what that is known by.
    pub suspended: Vec<(SuspenseItem, EntryTag, Vec<u8>)>,
    /// What was taken from suspense, and by which request.
    pub resolved: BTreeMap<SuspenseItemId, (TransactionId, ApprovalId)>,
}

impl RailChanges {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.read.is_empty() && self.resolved.is_empty()
    }
}
