//! What is asked of the books.

use std::sync::Arc;

use crate::{
    account::{CustomerKind, FreezeScope, Side, SystemAccount},
    action::Action,
    hold::Take,
    iban::Iban,
    id::{AccountId, HoldId, RequestId, StepUpId, TransactionId, UserId},
    ledger::{
        bounds::{KeyBounds, Nonce},
        payments::{NewPayment, NewReversal, Refund},
    },
    limits::Caps,
    money::{Amount, Currency},
    principal::Caller,
    time::{Date, Timestamp},
    transaction::TransactionKind,
};

/// 128-bit keyed tag of (owner, idempotency key).
pub type IdempotencyTag = [u8; 16];

/// Digests of a request's fields, in an order that the verb fixes: equal requests have equal fingerprints, and a
/// difference can be named by its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(Vec<u8>);

impl Fingerprint {
    /// Bytes per field digest.
    pub const FIELD_BYTES: usize = 8;

    /// Takes stored bytes back, or the concatenated digests of a new request.
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The stored bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Position of the first field that differs; the last position + 1 when only the number of fields differs.
    pub fn first_difference(&self, other: &Self) -> Option<usize> {
        let mine = self.0.chunks(Self::FIELD_BYTES);
        let theirs = other.0.chunks(Self::FIELD_BYTES);
        let common = mine.len().min(theirs.len());
        match mine.zip(theirs).position(|(a, b)| a != b) {
            None if self.0.len() != other.0.len() => Some(common),
            found => found,
        }
    }
}

/// The client's name for one intent, and what the intent was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Keyed tag of (owner, key).
    pub tag: IdempotencyTag,
    /// Digests of the request.
    pub fingerprint: Fingerprint,
}

/// Whose accounts a permit covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owned {
    /// Only this person's.
    By(UserId),
    /// Any customer's.
    ByAnyone,
}

/// The decision that allowed a command, as the commit checks it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority {
    /// Who acts.
    pub caller: Caller,
    /// What was allowed.
    pub action: Action,
    /// On whose accounts.
    pub scope: Owned,
    /// Version of the policy that allowed it.
    pub policy: i32,
    /// Rights are valid only for this revocation epoch.
    pub epoch: i64,
}

/// What a command needs that a fresh factor must approve first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepUpClaim {
    /// Digest of this request in this session: what the factor approved is this and nothing else.
    pub request: [u8; 32],
    /// The approval that was found for it; `None` where there is none yet.
    pub approval: Option<StepUpId>,
    /// When the request arrived: the approval must have lasted until then, however long the lane was busy.
    pub asked_at: Timestamp,
}

/// Free text under its owner's key, with the commitment that the books keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedMemo {
    /// Salted commitment; the salt is sealed with the text.
    pub commitment: [u8; 32],
    /// Whose data key seals it.
    pub person: UserId,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

/// A movement of money between two accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// Id of the transaction, drawn when the request arrived.
    pub id: TransactionId,
    /// Why money moves.
    pub kind: TransactionKind,
    /// The account debited.
    pub from: AccountId,
    /// The account credited; `None` when the caller named one that does not exist.
    pub to: Option<AccountId>,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// The day it counts for; the day of booking when absent.
    pub value_date: Option<Date>,
    /// Free text.
    pub memo: Option<SealedMemo>,
    /// 128 random bits for the digest of the entries.
    pub salt: [u8; 16],
}

/// A customer account to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Its id.
    pub id: AccountId,
    /// Whose it will be.
    pub owner: UserId,
    /// What for.
    pub kind: CustomerKind,
    /// Its only currency.
    pub currency: Currency,
    /// Agreed overdraft in minor units, 0 or more.
    pub overdraft: i64,
    /// Its number, drawn at random.
    pub number: Iban,
    /// The customer's name for it, sealed under the customer's key.
    pub sealed_name: Vec<u8>,
}

/// A change of an account's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountChange {
    /// Stop movements.
    Freeze(FreezeScope),
    /// Let them go on.
    Unfreeze,
    /// Close for good.
    Close,
}

/// Money to reserve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHold {
    /// Its id, drawn when the request arrived.
    pub id: HoldId,
    /// On which account.
    pub account: AccountId,
    /// For whom; `None` when the caller named one that does not exist.
    pub to: Option<AccountId>,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Which hold is meant, with its two accounts, which never change: they are locked before the hold is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldRef {
    /// The hold.
    pub id: HoldId,
    /// On which account.
    pub account: AccountId,
    /// For whom.
    pub to: AccountId,
}

/// A payment out of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// Id of the transaction, drawn when the request arrived.
    pub id: TransactionId,
    /// Out of which hold.
    pub hold: HoldRef,
    /// How much of it.
    pub take: Take,
    /// 128 random bits for the digest of the entries.
    pub salt: [u8; 16],
}

/// What a customer allows oneself, in the currency of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLimits {
    /// One of the customer's accounts in the currency.
    pub account: AccountId,
    /// The limits; what is `None` is no limit of one's own.
    pub caps: Caps,
    /// Whether a fresh factor was shown, without which nothing is raised.
    pub may_raise: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Move money.
    Post(Posting),
    /// Open an account.
    Open(NewAccount),
    /// Change an account's state.
    Change {
        /// Which account.
        account: AccountId,
        /// On whose behalf.
        side: Side,
        /// To what.
        change: AccountChange,
    },
    /// Reserve money.
    Hold(NewHold),
    /// Pay out of a hold.
    Capture(Capture),
    /// Give a hold back.
    Void(HoldRef),
    /// Set what a customer allows oneself.
    Limit(NewLimits),
    /// Pay a merchant.
    Pay(NewPayment),
    /// Give back some or all of a payment.
    Refund(Refund),
    /// Take back what an earlier movement moved.
    Reverse(NewReversal),
}

/// One command to the books. The application makes them from permits only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Why it is allowed.
    pub authority: Authority,
    /// The request it came with.
    pub request: RequestId,
    /// The client's key, where the verb takes one.
    pub idempotency: Option<Idempotency>,
    /// Decide, but change nothing.
    pub dry_run: bool,
    /// The approval by a fresh factor, where one is needed; spent with the deed, in the same commit.
    pub step_up: Option<StepUpClaim>,
    /// What the key moves at most, where an integration asks.
    pub bounds: Option<Arc<KeyBounds>>,
    /// What makes the request good once, where it was signed; used up in the same commit.
    pub nonce: Option<Nonce>,
    /// What is to be done.
    pub verb: Verb,
}

impl Command {
    /// The accounts whose rows must be locked to decide this command.
    pub fn accounts(&self) -> Vec<AccountId> {
        match &self.verb {
            Verb::Post(posting) => [Some(posting.from), posting.to].into_iter().flatten().collect(),
            Verb::Open(new) => SystemAccount::ALL
                .iter()
                .map(|system| system.id(new.currency))
                .collect(),
            Verb::Change { account, .. } => vec![*account],
            Verb::Hold(new) => [Some(new.account), new.to].into_iter().flatten().collect(),
            Verb::Capture(Capture { hold, .. }) | Verb::Void(hold) => vec![hold.account, hold.to],
            Verb::Limit(new) => vec![new.account],
            Verb::Pay(new) => [Some(new.posting.from), new.posting.to]
                .into_iter()
                .flatten()
                .collect(),
            Verb::Refund(asked) => vec![asked.payment.account, asked.payment.to],
            Verb::Reverse(new) => vec![new.from, new.to],
        }
    }

    /// The hold that must be read to decide this command.
    pub const fn hold(&self) -> Option<HoldId> {
        match &self.verb {
            Verb::Capture(Capture { hold, .. }) | Verb::Void(hold) => Some(hold.id),
            Verb::Post(_)
            | Verb::Open(_)
            | Verb::Change { .. }
            | Verb::Hold(_)
            | Verb::Limit(_)
            | Verb::Pay(_)
            | Verb::Refund(_)
            | Verb::Reverse(_) => None,
        }
    }
}
