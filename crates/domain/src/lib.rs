//! The rules of money and access: pure functions over plain values, no I/O, no clock, no luck.
//!
//! What lives here can be run in property tests, fuzzers and simulations at memory speed. Time and
//! identifiers come in as arguments; keys never come in at all.
//!
//! * [`id`], [`money`], [`time`], [`text`], [`iban`]: values that cannot be wrong once they exist
//! * [`principal`]: who acts, with which assurance
//! * [`account`], [`transaction`], [`hold`], [`payment`]: the nouns of the books
//! * [`fraud`]: what is unusual about a movement, and what follows from it
//! * [`ledger`]: the one decision about money, [`ledger::decide`]
//! * [`audit`]: the record of every decision, its canonical bytes and the tree over them

#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "tests run with overflow checks, and a panic is their way to say no"
    )
)]

pub mod account;
pub mod action;
pub mod audit;
pub mod beneficiary;
pub mod card;
pub mod department;
pub mod fraud;
pub mod hold;
pub mod iban;
pub mod id;
pub mod ledger;
pub mod limits;
pub mod money;
pub mod notice;
pub mod outgoing;
pub mod payment;
pub mod principal;
pub mod rail;
pub mod text;
pub mod time;
pub mod transaction;
