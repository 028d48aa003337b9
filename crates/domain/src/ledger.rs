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
mod order;
mod payments;
mod refusal;
mod spending;

#[cfg(test)]
mod tests;

pub use apply::{Answer, Done, Signer, decide, decide_orders};
pub use book::{Book, Captured, Changes, OpenedAccount, SealedText, StepUp, StoredOutcome};
pub use bounds::{
    BUDGET_WINDOW_SECS_MAX, BUDGET_WINDOW_SECS_MIN, Budget, BudgetState, KEY_PAYEES_MAX, KeyBounds, Nonce,
};
pub use command::{
    AccountChange, Authority, Capture, Command, Fingerprint, HoldRef, Idempotency, IdempotencyTag,
    NewAccount, NewHold, NewLimits, Owned, Posting, SealedMemo, StepUpClaim, Verb,
};
pub use order::Order;
pub use payments::{
    Alike, Decided, Earlier, NewPayment, NewReversal, OpenApproval, PaymentBook, PaymentChanges, PaymentNeed,
    PaymentRef, Refund, Refunded, Reversal,
};
pub use refusal::Refusal;
