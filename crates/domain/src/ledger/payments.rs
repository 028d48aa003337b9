//! Payments, refunds and reversals as the books are asked for them, and what a batch knows and changes of them.

use std::collections::{BTreeSet, HashMap};

use crate::{
    id::{AccountId, ApprovalId, MerchantId, PaymentId, TransactionId, UserId},
    ledger::command::{Command, Posting, SealedMemo, Verb},
    money::{Amount, Currency},
    payment::{Payment, PaymentState},
    time::Timestamp,
    transaction::TransactionKind,
};

/// Who paid whom how much: payments that are alike have it in common.
pub type Alike = (UserId, AccountId, i64);

/// A payment to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPayment {
    /// The movement: its id is the payment's, its kind [`TransactionKind::Payment`], its payee the merchant's
    /// settlement account.
    pub posting: Posting,
    /// Who is paid.
    pub merchant: MerchantId,
    /// Whose account is debited.
    pub payer: UserId,
    /// The earlier payment that looks like this one and that the caller knows of.
    pub confirmed: Option<PaymentId>,
}

impl NewPayment {
    /// What payments that look like this one have in common; `None` where there is no payee.
    pub fn alike(&self) -> Option<Alike> {
        let to = self.posting.to?;
        Some((self.payer, to, self.posting.amount.minor()))
    }
}

/// Which payment is meant, with its two accounts, which never change: they are locked before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaymentRef {
    /// The payment.
    pub id: PaymentId,
    /// The account that paid.
    pub account: AccountId,
    /// The account that was paid.
    pub to: AccountId,
}

/// Something to give back of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Id of the transaction, drawn when the request arrived.
    pub id: TransactionId,
    /// Of which payment.
    pub payment: PaymentRef,
    /// How much of it; all that is left when absent.
    pub amount: Option<Amount>,
    /// Free text.
    pub memo: Option<SealedMemo>,
    /// 128 random bits for the digest of the entries.
    pub salt: [u8; 16],
}

/// A movement to take back. What it says of the original comes from the books, where nothing of it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReversal {
    /// Id of the contra transaction, drawn when the request arrived.
    pub id: TransactionId,
    /// What is taken back.
    pub of: TransactionId,
    /// Why that moved money.
    pub kind: TransactionKind,
    /// The account that it credited: debited now.
    pub from: AccountId,
    /// The account that it debited: credited now.
    pub to: AccountId,
    /// How much it moved.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// The request that somebody else made, with the digest of what it says.
    pub approval: ApprovalId,
    /// Digest of what the request says.
    pub digest: [u8; 32],
    /// Why, sealed by the ring: kept with the closed request.
    pub sealed_reason: Option<Vec<u8>>,
    /// Who decides.
    pub checker: UserId,
    /// 128 random bits for the digest of the entries.
    pub salt: [u8; 16],
}

impl NewReversal {
    /// The payment that is taken back, where it was one.
    pub fn payment(&self) -> Option<PaymentId> {
        (self.kind == TransactionKind::Payment).then(|| PaymentId::from_bytes(*self.of.as_bytes()))
    }
}

/// A reversal that is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reversal {
    /// What was taken back.
    pub of: TransactionId,
    /// The contra transaction.
    pub id: TransactionId,
    /// The request that it was done by.
    pub approval: ApprovalId,
}

/// A request that waits for a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenApproval {
    /// Digest of what it says.
    pub digest: [u8; 32],
    /// Its end.
    pub expires_at: Timestamp,
}

/// A request that is closed by being carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The request.
    pub approval: ApprovalId,
    /// Digest of what it says.
    pub digest: [u8; 32],
    /// Who decided.
    pub checker: UserId,
    /// Why, sealed by the ring.
    pub sealed_reason: Option<Vec<u8>>,
}

/// An earlier payment that a new one would look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// The payment.
    pub id: PaymentId,
    /// When it was booked.
    pub paid_at: Timestamp,
}

/// A refund, and how it left the payment: what a repetition of the request is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refunded {
    /// The refund's transaction.
    pub transaction: TransactionId,
    /// The payment.
    pub payment: PaymentId,
    /// How much was given back.
    pub amount: Amount,
    /// Refunded of the payment afterwards, minor units.
    pub refunded: i64,
    /// When.
    pub at: Timestamp,
}

/// What the commands of a batch need of all this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PaymentNeed {
    /// Payments that are given back or reversed.
    pub payments: BTreeSet<PaymentId>,
    /// What new payments have in common with earlier ones.
    pub alike: BTreeSet<Alike>,
    /// Transactions that are to be reversed.
    pub reversals: BTreeSet<TransactionId>,
    /// Requests that are carried out.
    pub approvals: BTreeSet<ApprovalId>,
}

impl PaymentNeed {
    /// Takes in what one command needs.
    pub fn add(&mut self, command: &Command) {
        match &command.verb {
            Verb::Pay(new) => self.alike.extend(new.alike()),
            Verb::Refund(asked) => {
                self.payments.insert(asked.payment.id);
            }
            Verb::Reverse(new) => {
                self.payments.extend(new.payment());
                self.reversals.insert(new.of);
                self.approvals.insert(new.approval);
            }
            Verb::Cash(new) => {
                self.approvals.insert(new.consent.approval);
            }
            Verb::Except(new) => self
                .approvals
                .extend(new.consent.as_ref().map(|consent| consent.approval)),
            Verb::Allow(new) => self
                .approvals
                .extend(new.consent.as_ref().map(|consent| consent.approval)),
            Verb::Resolve(asked) => {
                self.approvals.insert(asked.approval);
            }
            _ => {}
        }
    }
}

/// What the decisions of a batch may look at.
#[derive(Debug, Clone, Default)]
pub struct PaymentBook {
    /// The payments that the commands name, where they exist.
    pub payments: HashMap<PaymentId, Payment>,
    /// The newest payment of which something is left, for each that the commands' new payments would look like.
    pub alike: HashMap<Alike, Earlier>,
    /// What was reversed of what the commands would reverse.
    pub reversals: BTreeSet<TransactionId>,
    /// The requests that the commands carry out, where they are open.
    pub approvals: HashMap<ApprovalId, OpenApproval>,
}

/// What a batch writes.
#[derive(Debug, Clone, Default)]
pub struct PaymentChanges {
    /// New payments; the state is in [`PaymentBook::payments`].
    pub paid: BTreeSet<PaymentId>,
    /// Payments that were there and changed.
    pub changed: BTreeSet<PaymentId>,
    /// What was given back.
    pub refunds: Vec<Refunded>,
    /// What was reversed.
    pub reversals: Vec<Reversal>,
    /// Requests that were carried out.
    pub decided: Vec<Decided>,
}

impl PaymentChanges {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.paid.is_empty()
            && self.changed.is_empty()
            && self.reversals.is_empty()
            && self.decided.is_empty()
    }
}

impl Payment {
    /// A payment that was just booked.
    pub(super) fn new(new: &NewPayment, to: AccountId, at: Timestamp) -> Self {
        Self {
            id: new.posting.id.cast(),
            merchant: new.merchant,
            payer: new.payer,
            account: new.posting.from,
            to_account: to,
            amount: new.posting.amount,
            currency: new.posting.currency,
            refunded: 0,
            state: PaymentState::Paid,
            paid_at: at,
        }
    }
}
