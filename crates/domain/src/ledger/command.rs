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
        consent::Consent,
        payments::{NewPayment, NewReversal, Refund},
        rail::{Resolve, StatementEntry},
        reviews::DecideReview,
        sending::{Cancel, NewSending},
    },
    limits::{Caps, Exception},
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
    /// The network that the request came from, where that is known ([`crate::fraud::tag_of`]).
    pub network: Option<u32>,
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
    /// Whoever asks has no factor and needs none: nobody can approve it. What rules would ask a factor for is looked
    /// at instead, or not done where it cannot wait. What needs a factor for its size never says so.
    pub no_factor: bool,
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
    /// Until when the owner's limits are held to the floor in other currencies: it counts in a new one, too.
    pub held_to_floor: Option<Timestamp>,
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
    /// Of which currency that is, where it is said.
    pub currency: Option<Currency>,
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
    /// Whether they are of that account alone, and not of all that the customer has in its currency.
    pub of_account: bool,
}

/// Cash that takes two people: what one asked for and another approves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedCash {
    /// A deposit or a withdrawal.
    pub posting: Posting,
    /// The other's word.
    pub consent: Consent,
}

/// What a customer may pay beyond the bank's rules, in the currency of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewException {
    /// One of the customer's accounts in the currency.
    pub account: AccountId,
    /// What counts from now on; `None` is none any more.
    pub exception: Option<Exception>,
    /// What counted when it was asked for. Where that changed meanwhile nothing is done.
    pub before: Option<Exception>,
    /// The other's word; ending one takes none.
    pub consent: Option<Consent>,
}

/// What operators allow a customer at most, in the currency of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAllowance {
    /// One of the customer's accounts in the currency.
    pub account: AccountId,
    /// What is allowed; what is `None` is as much as everybody may.
    pub caps: Caps,
    /// What was allowed when it was asked for; with another's word nothing is done where that changed meanwhile.
    pub before: Caps,
    /// The other's word, without which nothing more is allowed.
    pub consent: Option<Consent>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Move money.
    Post(Posting),
    /// Move cash that takes two people.
    Cash(ApprovedCash),
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
    /// Let a customer pay more than the rules do, or end that.
    Except(NewException),
    /// Set what a customer is allowed at most.
    Allow(NewAllowance),
    /// Pay a merchant.
    Pay(NewPayment),
    /// Pay a beneficiary.
    Send(NewSending),
    /// Take back a payment to a beneficiary that has not left.
    Cancel(Cancel),
    /// Give back some or all of a payment.
    Refund(Refund),
    /// Take back what an earlier movement moved.
    Reverse(NewReversal),
    /// Decide about a transfer that waits for a look.
    Review(DecideReview),
    /// Book what the bank's own bank says it did.
    Settle(StatementEntry),
    /// Take money from suspense.
    Resolve(Resolve),
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
    /// A command of nothing but its authority: for verbs that take no key of the client's, no approval by a factor and
    /// no nonce, and that no integration asks for, whose key would have bounds.
    pub const fn plain(authority: Authority, request: RequestId, verb: Verb) -> Self {
        Self {
            authority,
            request,
            idempotency: None,
            dry_run: false,
            step_up: None,
            bounds: None,
            nonce: None,
            verb,
        }
    }

    /// The accounts whose rows must be locked to decide this command.
    pub fn accounts(&self) -> Vec<AccountId> {
        match &self.verb {
            Verb::Post(posting) | Verb::Cash(ApprovedCash { posting, .. }) => {
                [Some(posting.from), posting.to].into_iter().flatten().collect()
            }
            Verb::Open(new) => SystemAccount::ALL
                .iter()
                .map(|system| system.id(new.currency))
                .collect(),
            Verb::Change { account, .. } => vec![*account],
            Verb::Hold(new) => [Some(new.account), new.to].into_iter().flatten().collect(),
            Verb::Capture(Capture { hold, .. }) | Verb::Void(hold) => vec![hold.account, hold.to],
            Verb::Limit(new) => vec![new.account],
            Verb::Except(new) => vec![new.account],
            Verb::Allow(new) => vec![new.account],
            Verb::Pay(new) => [Some(new.posting.from), new.posting.to]
                .into_iter()
                .flatten()
                .collect(),
            Verb::Send(new) => [Some(new.posting.from), new.posting.to]
                .into_iter()
                .flatten()
                .collect(),
            Verb::Cancel(asked) => vec![asked.account, asked.clearing],
            Verb::Refund(asked) => vec![asked.payment.account, asked.payment.to],
            Verb::Reverse(new) => vec![new.from, new.to],
            Verb::Review(asked) => vec![asked.account, asked.to],
            Verb::Settle(entry) => {
                let clearing = SystemAccount::Clearing.id(entry.currency);
                let suspense = SystemAccount::Suspense.id(entry.currency);
                let payer = entry.payment.map(|(_, account)| account);
                [Some(clearing), Some(suspense), payer, entry.account]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Verb::Resolve(asked) => {
                vec![SystemAccount::Suspense.id(asked.currency), asked.account]
            }
        }
    }

    /// What the command takes from a customer's account at most, where it pays somebody: minor units.
    pub fn pays(&self) -> Option<(AccountId, i64)> {
        match &self.verb {
            Verb::Post(posting)
            | Verb::Pay(NewPayment { posting, .. })
            | Verb::Send(NewSending { posting, .. }) => Some((posting.from, posting.amount.minor())),
            Verb::Hold(new) => Some((new.account, new.amount.minor())),
            _ => None,
        }
    }

    /// The hold that must be read to decide this command.
    pub fn hold(&self) -> Option<HoldId> {
        match &self.verb {
            Verb::Capture(Capture { hold, .. }) | Verb::Void(hold) => Some(hold.id),
            Verb::Review(asked) => Some(asked.id.cast()),
            Verb::Post(_)
            | Verb::Cash(_)
            | Verb::Open(_)
            | Verb::Change { .. }
            | Verb::Hold(_)
            | Verb::Limit(_)
            | Verb::Except(_)
            | Verb::Allow(_)
            | Verb::Pay(_)
            | Verb::Send(_)
            | Verb::Cancel(_)
            | Verb::Refund(_)
            | Verb::Reverse(_)
            | Verb::Settle(_)
            | Verb::Resolve(_) => None,
        }
    }
}
