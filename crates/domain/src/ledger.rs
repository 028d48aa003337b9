//! The one decision about money.
//!
//! A batch is a [`Book`] (what the store loaded under its locks), a list of [`Command`]s and the [`Changes`] that
//! they cause. [`decide`] takes the commands one after another: each either changes the book, or is refused and
//! changes nothing, so a refusal cannot spoil its neighbours. A single command is a batch of one. Everything that could
//! race with money (balances, freezes, closing, idempotency keys, revoked rights) is decided here, on rows that the
//! store holds locked.

mod apply;
mod book;
mod bounds;
mod command;
mod consent;
mod order;
mod payments;
mod rail;
mod refusal;
mod reviews;
mod scrutiny;
mod sending;
mod spending;

#[cfg(test)]
mod tests;

pub use apply::{Answer, Done, Signer, decide, decide_orders};
pub use book::{Book, Captured, Changes, OpenedAccount, SealedText, StepUp, StoredOutcome};
pub use bounds::{
    BUDGET_WINDOW_SECS_MAX, BUDGET_WINDOW_SECS_MIN, Budget, BudgetState, KEY_PAYEES_MAX, KeyBounds, Nonce,
};
pub use command::{
    AccountChange, ApprovedCash, Authority, Capture, Command, Fingerprint, HoldRef, Idempotency,
    IdempotencyTag, NewAccount, NewAllowance, NewException, NewHold, NewLimits, Owned, Posting, SealedMemo,
    StepUpClaim, Verb,
};
pub use consent::Consent;
pub use order::Order;
pub use payments::{
    Alike, Decided, Earlier, NewPayment, NewReversal, OpenApproval, PaymentBook, PaymentChanges, PaymentNeed,
    PaymentRef, Refund, Refunded, Reversal,
};
pub use rail::{RailBook, RailChanges, RailNeed, ReadEntry, Resolve, StatementEntry};
pub use refusal::Refusal;
pub use reviews::{
    DecideReview, DecidedReview, FraudBook, FraudChanges, REVIEW_SECS, Review, ReviewState, ReviewVerb, Tried,
};
pub use sending::{Cancel, NewSending, SendingBook, SendingChanges, SendingNeed};
