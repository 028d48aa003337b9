//! Holds: what is reserved can be spent by nobody else, and moves once.

use super::desk::{
    ALICE, BOB, Desk, EUR, TELLER, capture, close, dry, freeze, hold, is_done, place, refused, transfer,
    unfreeze, void,
};
use crate::{
    account::FreezeScope,
    hold::{Hold, HoldState},
    id::{AccountId, UserId},
    ledger::{Answer, Done, HoldRef, Refusal},
    time::Timestamp,
    transaction::TransactionKind,
};

const EVE: UserId = UserId::from_bytes([0xee; 16]);

fn town() -> (Desk, AccountId, AccountId) {
    let mut bank = Desk::new();
    let (alice, bob) = (bank.account(ALICE, 1_000), bank.account(BOB, 0));
    (bank, alice, bob)
}

fn told(answer: &Answer) -> &Hold {
    match answer {
        Answer::Done(done) => match &**done {
            Done::Held(hold) | Done::Captured(hold) => hold,
            other => panic!("no hold but {other:?}"),
        },
        other => panic!("no hold but {other:?}"),
    }
}

#[test]
fn what_is_held_is_there_and_cannot_be_spent() {
    let (mut bank, alice, bob) = town();
    bank.hold(ALICE, alice, bob, 600);
    assert_eq!(
        (bank.balance(alice), bank.get(alice).spendable()),
        (1_000, Some(400))
    );
    assert_eq!(
        bank.one(&transfer(ALICE, alice, bob, 401)),
        refused(Refusal::InsufficientFunds)
    );
    assert_eq!(
        bank.one(&place(ALICE, hold(alice, bob, 401))),
        refused(Refusal::InsufficientFunds)
    );
    bank.must(&transfer(ALICE, alice, bob, 400));
}

/// Holds that did not count in the available balance let six of a thousand into five thousand.
#[test]
fn six_holds_of_a_thousand_do_not_fit_into_five_thousand() {
    let mut bank = Desk::new();
    let (alice, bob) = (bank.account(ALICE, 5_000), bank.account(BOB, 0));
    let asked: Vec<_> = (0..6).map(|_| place(ALICE, hold(alice, bob, 1_000))).collect();
    let (_, answers) = bank.decide(&asked);
    assert_eq!(answers.iter().filter(|answer| is_done(answer)).count(), 5);
    assert_eq!(answers[5], refused(Refusal::InsufficientFunds));
}

#[test]
fn captures_pay_the_payee_in_parts_and_the_last_one_gives_back_the_rest() {
    let (mut bank, alice, bob) = town();
    let held = bank.hold(ALICE, alice, bob, 600);
    let (changes, answers) = bank.decide(&[capture(BOB, held, Some(200), false)]);
    assert_eq!(changes.transactions[0].kind, TransactionKind::Capture);
    assert_eq!(
        (told(&answers[0]).captured, told(&answers[0]).reserved()),
        (200, 400)
    );
    assert_eq!(
        (bank.balance(alice), bank.get(alice).held, bank.balance(bob)),
        (800, 400, 200)
    );
    let last = bank.one(&capture(ALICE, held, Some(100), true));
    assert_eq!(told(&last).state, HoldState::Captured);
    assert_eq!(
        (bank.balance(alice), bank.get(alice).held, bank.balance(bob)),
        (700, 0, 300)
    );
    assert_eq!((bank.get(alice).holds, bank.get(alice).hold_due), (0, None));
}

/// A voided hold could still be committed and overdrew the account; so could a rejected one.
#[test]
fn of_all_verbs_in_one_batch_the_first_ends_the_hold() {
    let (mut bank, alice, bob) = town();
    let held = bank.hold(ALICE, alice, bob, 1_000);
    let verbs = [
        capture(BOB, held, None, false),
        void(ALICE, held),
        capture(ALICE, held, Some(1), false),
    ];
    for first in 0..3 {
        let mut bank = Desk {
            book: bank.book.clone(),
        };
        let mut batch = verbs.to_vec();
        batch.rotate_left(first);
        if first == 2 {
            // One unit is captured, then the rest; then there is nothing left.
            assert!(is_done(&bank.one(&batch[0])));
            assert!(is_done(&bank.one(&batch[1])));
            assert_eq!(bank.one(&batch[2]), refused(Refusal::HoldNotOpen));
            continue;
        }
        let (_, answers) = bank.decide(&batch);
        assert!(is_done(&answers[0]));
        assert_eq!(
            answers[1..],
            [refused(Refusal::HoldNotOpen), refused(Refusal::HoldNotOpen)]
        );
    }
}

#[test]
fn only_the_two_sides_and_the_bank_know_a_hold() {
    let (mut bank, alice, bob) = town();
    let held = bank.hold(ALICE, alice, bob, 100);
    let strangers = HoldRef { account: bob, ..held };
    for wrong in [
        capture(EVE, held, None, false),
        void(EVE, held),
        void(ALICE, strangers),
        void(ALICE, HoldRef { to: alice, ..held }),
    ] {
        assert_eq!(bank.one(&wrong), refused(Refusal::HoldNotFound));
    }
    // A permit for one verb is none for the other.
    let mut crossed = void(ALICE, held);
    crossed.authority.action = crate::action::Action::HoldCapture;
    assert_eq!(bank.one(&crossed), refused(Refusal::HoldNotFound));
    bank.must(&void(TELLER, held));
}

#[test]
fn a_frozen_account_pays_no_hold_until_it_is_thawed() {
    let (mut bank, alice, bob) = town();
    let held = bank.hold(ALICE, alice, bob, 100);
    bank.must(&freeze(TELLER, alice, FreezeScope::Debits));
    assert_eq!(
        bank.one(&capture(BOB, held, None, false)),
        refused(Refusal::AccountFrozen)
    );
    bank.must(&unfreeze(TELLER, alice));
    bank.must(&freeze(TELLER, bob, FreezeScope::All));
    assert_eq!(
        bank.one(&capture(ALICE, held, None, false)),
        refused(Refusal::PayeeUnavailable)
    );
    // Giving back needs nobody's leave.
    bank.must(&freeze(TELLER, alice, FreezeScope::All));
    bank.must(&void(BOB, held));
}

#[test]
fn an_account_with_a_hold_is_not_closed() {
    let (mut bank, alice, bob) = town();
    let held = bank.hold(ALICE, alice, bob, 1_000);
    assert_eq!(bank.one(&close(ALICE, alice)), refused(Refusal::AccountNotEmpty));
    bank.must(&capture(BOB, held, None, false));
    bank.must(&close(ALICE, alice));
}

#[test]
fn trying_changes_nothing() {
    let (mut bank, alice, bob) = town();
    let held = bank.hold(ALICE, alice, bob, 100);
    for try_it in [
        place(ALICE, hold(alice, bob, 900)),
        capture(BOB, held, Some(100), false),
        void(BOB, held),
    ] {
        let before = bank.book.clone();
        assert!(is_done(&bank.one(&dry(try_it))));
        assert_eq!(
            (&before.accounts, &before.holds),
            (&bank.book.accounts, &bank.book.holds)
        );
    }
}

#[test]
fn what_is_due_is_released_before_the_first_command_and_written_down() {
    let (mut bank, alice, bob) = town();
    let first = bank.hold(ALICE, alice, bob, 600);
    let later = place(
        ALICE,
        crate::ledger::NewHold {
            expires_at: Timestamp::parse("2026-11-20T11:00:00Z").unwrap(),
            ..hold(alice, bob, 300)
        },
    );
    bank.must(&later);
    bank.at("2026-11-20T09:59:59.999999Z");
    assert_eq!(
        bank.one(&transfer(ALICE, alice, bob, 101)),
        refused(Refusal::InsufficientFunds)
    );
    bank.at("2026-11-20T10:00:00Z");
    let (changes, answers) =
        bank.decide(&[capture(BOB, first, None, false), transfer(ALICE, alice, bob, 700)]);
    assert_eq!(answers[0], refused(Refusal::HoldNotOpen));
    assert!(is_done(&answers[1]));
    assert_eq!(changes.records[0].action, "hold.expire");
    assert_eq!(
        changes.records[0].details.hold_state(),
        bank.book.holds.get(&first.id).cloned()
    );
    assert_eq!(bank.book.holds[&first.id].state, HoldState::Expired);
    let due = Timestamp::parse("2026-11-20T11:00:00Z").unwrap();
    assert_eq!((bank.get(alice).held, bank.get(alice).hold_due), (300, Some(due)));
    // Nothing is written down twice.
    let (changes, _) = bank.decide(&[]);
    assert!(changes.is_empty());
}

#[test]
fn a_hold_that_is_over_before_it_begins_is_none() {
    let (mut bank, alice, bob) = town();
    bank.at("2026-11-20T10:00:00Z");
    assert_eq!(
        bank.one(&place(ALICE, hold(alice, bob, 1))),
        refused(Refusal::HoldNotOpen)
    );
    assert_eq!(bank.get(alice).currency, EUR);
}
