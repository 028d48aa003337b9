//! What a key may move at most, and that a signed request is decided once.

use std::sync::Arc;

use super::desk::{ALICE, BOB, Desk, amount, dry, is_done, keyed, refused, stale, transfer};
use crate::{
    id::{AccountId, ApiKeyId, RequestId},
    ledger::{Answer, Budget, BudgetState, Command, KeyBounds, Nonce, Refusal},
    money::Currency,
};

const INTEGRATION: ApiKeyId = ApiKeyId::from_bytes([8; 16]);
const WINDOW_SECS: i64 = 3_600;

fn unbounded() -> KeyBounds {
    KeyBounds {
        integration: INTEGRATION,
        max_amount: None,
        payees: None,
        budget: None,
    }
}

/// May pay nobody.
pub(super) fn nobody() -> KeyBounds {
    KeyBounds {
        payees: Some(Vec::new()),
        ..unbounded()
    }
}

pub(super) fn budget(minor: i64) -> KeyBounds {
    KeyBounds {
        budget: Some(Budget {
            amount: amount(minor),
            currency: Currency::EUR,
            window_secs: WINDOW_SECS,
        }),
        ..unbounded()
    }
}

pub(super) fn within(mut command: Command, bounds: &KeyBounds) -> Command {
    command.bounds = Some(Arc::new(bounds.clone()));
    command
}

/// Two accounts, the first with a thousand in it, and a budget that was never used.
fn bank() -> (Desk, AccountId, AccountId) {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 1_000), bank.account(BOB, 0));
    bank.book.budgets.insert(INTEGRATION, BudgetState::default());
    (bank, from, to)
}

#[test]
fn a_key_moves_its_largest_amount_and_no_unit_more() {
    let (mut bank, from, to) = bank();
    let bounds = KeyBounds {
        max_amount: Some((amount(50), Currency::EUR)),
        ..unbounded()
    };
    let ask = |minor| within(transfer(ALICE, from, to, minor), &bounds);
    assert_eq!(bank.one(&ask(51)), refused(Refusal::LimitExceeded));
    assert_eq!(bank.one(&dry(ask(51))), refused(Refusal::LimitExceeded));
    bank.must(&ask(50));
    // An amount of another currency is no smaller amount of this one.
    let bounds = KeyBounds {
        max_amount: Some((amount(50), Currency::parse("JPY").unwrap())),
        ..unbounded()
    };
    let other = within(transfer(ALICE, from, to, 1), &bounds);
    assert_eq!(bank.one(&other), refused(Refusal::LimitExceeded));
    assert_eq!(bank.balance(to), 50);
}

#[test]
fn a_key_pays_those_that_it_names_and_learns_nothing_about_others() {
    let (mut bank, from, to) = bank();
    let other = bank.account(BOB, 0);
    let bounds = KeyBounds {
        payees: Some(vec![to]),
        ..unbounded()
    };
    bank.must(&within(transfer(ALICE, from, to, 1), &bounds));
    for payee in [Some(other), Some(AccountId::from_bytes([1; 16])), None] {
        let ask = within(transfer(ALICE, from, payee, 1), &bounds);
        assert_eq!(bank.one(&ask), refused(Refusal::PayeeNotAllowed), "{payee:?}");
    }
}

#[test]
fn a_budget_is_spent_to_its_last_unit_also_within_a_batch_and_begins_anew_with_its_window() {
    let (mut bank, from, to) = bank();
    let bounds = budget(100);
    let ask = |minor| within(transfer(ALICE, from, to, minor), &bounds);
    let (changes, answers) = bank.decide(&[ask(60), ask(41), ask(40), ask(1)]);
    assert!(is_done(&answers[0]) && is_done(&answers[2]), "{answers:?}");
    assert_eq!(answers[1], refused(Refusal::LimitExceeded));
    assert_eq!(answers[3], refused(Refusal::LimitExceeded));
    assert_eq!(changes.budgets.len(), 1);
    let opened_at = bank.book.booked_at;
    assert_eq!(
        bank.book.budgets[&INTEGRATION],
        BudgetState {
            opened_at,
            spent: 100
        }
    );
    bank.book.booked_at = opened_at.plus_seconds(WINDOW_SECS - 1);
    assert_eq!(bank.one(&ask(1)), refused(Refusal::LimitExceeded));
    bank.book.booked_at = opened_at.plus_seconds(WINDOW_SECS);
    bank.must(&ask(100));
    assert_eq!(bank.balance(to), 200);
}

#[test]
fn a_refusal_and_a_dry_run_spend_nothing_and_an_unknown_budget_is_used_up() {
    let (mut bank, from, to) = bank();
    let poor = bank.account(ALICE, 1);
    let bounds = budget(100);
    let too_poor = within(transfer(ALICE, poor, to, 100), &bounds);
    assert_eq!(bank.one(&too_poor), refused(Refusal::InsufficientFunds));
    assert!(is_done(
        &bank.one(&dry(within(transfer(ALICE, from, to, 100), &bounds)))
    ));
    let again = keyed(within(transfer(ALICE, from, to, 100), &bounds), 1, &[1]);
    bank.must(&again);
    assert!(matches!(bank.one(&again), Answer::Replayed { refusal: None, .. }));
    bank.book.budgets.clear();
    let unknown = within(transfer(ALICE, from, to, 1), &bounds);
    assert_eq!(bank.one(&unknown), refused(Refusal::LimitExceeded));
}

fn signed(mut command: Command, nonce: u8, request: u8) -> Command {
    command.nonce = Some(Nonce::new([nonce; 16], crate::time::Timestamp::default()));
    command.request = RequestId::from_bytes([request; 16]);
    command
}

#[test]
fn a_signed_request_is_decided_once_whatever_became_of_it() {
    let (mut bank, from, to) = bank();
    let ask = |minor, nonce, request| signed(transfer(ALICE, from, to, minor), nonce, request);
    let (changes, answers) = bank.decide(&[ask(1, 1, 1), ask(1, 1, 2), ask(2_000, 2, 3), ask(1, 2, 4)]);
    assert!(is_done(&answers[0]));
    assert_eq!(answers[1], Answer::NonceUsed);
    assert_eq!(answers[2], refused(Refusal::InsufficientFunds));
    assert_eq!(answers[3], Answer::NonceUsed, "a refusal uses it up, too");
    assert_eq!(changes.nonces.len(), 2);
    assert_eq!(bank.one(&ask(1, 1, 5)), Answer::NonceUsed);
    bank.must(&ask(1, 3, 5));
    assert_eq!(bank.balance(to), 2);
}

#[test]
fn a_repetition_under_its_key_uses_up_a_nonce_of_its_own() {
    let (mut bank, from, to) = bank();
    let ask = |nonce, request| signed(keyed(transfer(ALICE, from, to, 1), 1, &[1]), nonce, request);
    bank.must(&ask(1, 1));
    let (changes, answers) = bank.decide(&[ask(2, 2), ask(2, 3)]);
    assert!(
        matches!(answers[0], Answer::Replayed { refusal: None, .. }),
        "{answers:?}"
    );
    assert_eq!(answers[1], Answer::NonceUsed);
    assert!(!changes.is_empty(), "the nonce is to be written");
}

#[test]
fn the_same_request_comes_again_with_its_nonce_after_a_change_of_rights_or_an_unknown_commit() {
    let (mut bank, from, to) = bank();
    let ask = signed(keyed(transfer(ALICE, from, to, 1), 1, &[1]), 1, 1);
    let (changes, answers) = bank.decide(&[stale(ask.clone())]);
    assert_eq!(answers, [Answer::Stale]);
    assert!(changes.is_empty());
    bank.must(&ask);
    // The commit's answer got lost: the lane finds its own nonce and the outcome under the key.
    assert!(matches!(bank.one(&ask), Answer::Replayed { refusal: None, .. }));
}
