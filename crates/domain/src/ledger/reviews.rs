//! What the books know of fraud within a batch, and what they write of it.

use std::{collections::HashMap, sync::Arc};

use crate::{
    fraud::{Compared, Features, FraudRules, RuleName, Verdict},
    id::{AccountId, TransactionId, UserId},
    money::{Amount, Currency},
    time::{Date, Timestamp},
};

/// How long a transfer waits for a look before its money is free again, in seconds: 3 days.
pub const REVIEW_SECS: i64 = 3 * 86_400;

/// What rules know within a batch.
#[derive(Debug, Clone, Default)]
pub struct FraudBook {
    /// The rules in force.
    pub rules: Arc<FraudRules>,
    /// Hour of the day in the bank's time zone, 0 to 23.
    pub hour: u8,
    /// What is known of the accounts' owners; a row that cannot be read is not there.
    pub rows: HashMap<(UserId, Currency), Features>,
    /// Whether the command that is decided is one of many, which cannot be asked for a factor one by one, and whether
    /// one approved them all.
    pub(crate) many: Option<bool>,
}

impl FraudBook {
    /// What a batch begins with.
    pub const fn new(rules: Arc<FraudRules>, hour: u8, rows: HashMap<(UserId, Currency), Features>) -> Self {
        Self {
            rules,
            hour,
            rows,
            many: None,
        }
    }
}

/// How a review stands in the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewState {
    /// It waits, as long as its hold does.
    Open,
    /// The money went.
    Released,
    /// Somebody of the bank said no.
    Rejected,
    /// Who sent it took it back.
    Cancelled,
    /// Nothing waits: the transfer was refused, or a fresh factor asked for.
    Noted,
}

impl ReviewState {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Open,
        Self::Released,
        Self::Rejected,
        Self::Cancelled,
        Self::Noted,
    ];

    /// The stored number.
    pub const fn number(self) -> i64 {
        match self {
            Self::Open => 0,
            Self::Released => 1,
            Self::Rejected => 2,
            Self::Cancelled => 3,
            Self::Noted => 4,
        }
    }

    /// Reads the stored number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "pending_review",
            Self::Released => "released",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Noted => "noted",
        }
    }
}

/// What rules found, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Of which transfer: its id, and that of the hold that reserves its money.
    pub id: TransactionId,
    /// Who sent it.
    pub customer: UserId,
    /// The account debited.
    pub account: AccountId,
    /// The account credited.
    pub to_account: AccountId,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// What followed.
    pub verdict: Verdict,
    /// Sum of the scores of the rules that were met.
    pub score: u32,
    /// The rules that were met, `id/version`, separated by commas.
    pub rules: String,
    /// Number of the set of rules that it was held against.
    pub revision: i64,
    /// When.
    pub at: Timestamp,
    /// When its money is free again, where it waits.
    pub expires_at: Option<Timestamp>,
    /// Commitment to its text, where it waits and has one.
    pub memo: Option<[u8; 32]>,
    /// The day it counts for, where it named one.
    pub value_date: Option<Date>,
}

/// What is decided about a transfer that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewVerb {
    /// The money goes.
    Release,
    /// It stays.
    Reject,
    /// Who sent it takes it back.
    Cancel,
}

impl ReviewVerb {
    /// What it leaves.
    pub const fn state(self) -> ReviewState {
        match self {
            Self::Release => ReviewState::Released,
            Self::Reject => ReviewState::Rejected,
            Self::Cancel => ReviewState::Cancelled,
        }
    }
}

/// A decision about a transfer that waits. What it says of the review never changes; the accounts are locked before
/// the hold is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecideReview {
    /// Of which transfer.
    pub id: TransactionId,
    /// The account debited.
    pub account: AccountId,
    /// The account credited.
    pub to: AccountId,
    /// What.
    pub verb: ReviewVerb,
    /// Who decides.
    pub by: UserId,
    /// Who released it first, where it takes two.
    pub first: Option<UserId>,
    /// Commitment to the transfer's text.
    pub memo: Option<[u8; 32]>,
    /// The day it counts for; the day of booking when absent.
    pub value_date: Option<Date>,
    /// 128 random bits for the digest of the entries.
    pub salt: [u8; 16],
    /// Why, sealed; a customer who cancels says nothing.
    pub sealed_reason: Option<Vec<u8>>,
}

/// A decision as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidedReview {
    /// Of which transfer.
    pub id: TransactionId,
    /// How it stands now.
    pub state: ReviewState,
    /// Who decided.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// Why, sealed.
    pub sealed_reason: Option<Vec<u8>>,
}

/// A movement that a draft was held against, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Which one: a payment, a transfer or a hold.
    pub id: TransactionId,
    /// When.
    pub at: Timestamp,
    /// Under both sets.
    pub compared: Compared,
}

/// What a batch writes about fraud.
#[derive(Debug, Clone, Default)]
pub struct FraudChanges {
    /// What rules found.
    pub filed: Vec<Review>,
    /// What was decided about what waited.
    pub decided: Vec<DecidedReview>,
    /// The rules that were met, and whether they counted: told to whoever watches, written nowhere.
    pub met: Vec<(RuleName, bool)>,
    /// What a draft that runs beside the rules would have asked for: written by a job, after the commit.
    pub tried: Vec<Tried>,
    /// Whether the command that is decided was held against rules: its record names their revision.
    pub(crate) judged: bool,
}
