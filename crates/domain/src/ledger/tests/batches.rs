//! Several commands of one request.

use super::desk::{ALICE, BOB, Desk, Seal, is_done, keyed, refused, stale, transfer};
use crate::{
    id::{AccountId, StepUpId},
    ledger::{Answer, Changes, Command, Order, Refusal, StepUp, StepUpClaim, decide, decide_orders},
};

fn town() -> (Desk, AccountId, AccountId) {
    let mut bank = Desk::new();
    let (alice, bob) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    (bank, alice, bob)
}

fn order(commands: Vec<Command>, all_or_none: bool) -> Order {
    Order {
        commands,
        all_or_none,
        step_up: None,
    }
}

fn run(bank: &mut Desk, order: &Order) -> (Changes, Vec<Answer>) {
    let (changes, mut answers) = decide_orders(&mut bank.book, std::slice::from_ref(order), &Seal);
    (changes, answers.remove(0))
}

#[test]
fn each_on_its_own_a_refusal_is_nobody_elses() {
    let (mut bank, alice, bob) = town();
    let pay = |minor| transfer(ALICE, alice, bob, minor);
    let (changes, answers) = run(&mut bank, &order(vec![pay(60), pay(60), pay(40)], false));
    assert!(is_done(&answers[0]) && is_done(&answers[2]));
    assert_eq!(answers[1], refused(Refusal::InsufficientFunds));
    assert_eq!((bank.balance(alice), bank.balance(bob)), (0, 100));
    assert_eq!((changes.transactions.len(), changes.records.len()), (2, 3));
}

#[test]
fn all_or_none_is_all_or_none() {
    let (mut bank, alice, bob) = town();
    let pay = |minor| transfer(ALICE, alice, bob, minor);
    let before = bank.book.accounts.clone();
    let (changes, answers) = run(&mut bank, &order(vec![pay(60), pay(60), pay(1)], true));
    assert_eq!(
        answers,
        [
            refused(Refusal::BatchRefused),
            refused(Refusal::InsufficientFunds),
            refused(Refusal::BatchRefused)
        ]
    );
    assert_eq!(bank.book.accounts, before);
    assert!(changes.transactions.is_empty() && changes.entries.is_empty() && changes.touched.is_empty());
    assert_eq!(changes.records.len(), 3, "each is on the record");
    let (_, answers) = run(&mut bank, &order(vec![pay(60), pay(40)], true));
    assert!(answers.iter().all(is_done));
    assert_eq!(bank.balance(bob), 100);
}

/// What came in and what goes out again in one order counts in its sequence.
#[test]
fn money_that_an_earlier_item_brings_can_be_spent_by_a_later_one() {
    let (mut bank, alice, bob) = town();
    let chain = vec![transfer(ALICE, alice, bob, 100), transfer(BOB, bob, alice, 100)];
    assert!(run(&mut bank, &order(chain.clone(), true)).1.iter().all(is_done));
    let backwards = chain.into_iter().rev().collect();
    let (_, answers) = run(&mut bank, &order(backwards, true));
    assert_eq!(answers[0], refused(Refusal::InsufficientFunds));
}

#[test]
fn a_batch_is_repeated_as_a_whole() {
    let (mut bank, alice, bob) = town();
    let items = |minor: [i64; 2]| {
        let pay = |key, minor| keyed(transfer(ALICE, alice, bob, minor), key, &[key]);
        vec![pay(1, minor[0]), pay(2, minor[1])]
    };
    let all = order(items([10, 20]), true);
    let (_, first) = run(&mut bank, &all);
    assert!(first.iter().all(is_done));
    let (changes, again) = run(&mut bank, &order(items([10, 20]), true));
    assert!(changes.is_empty());
    assert!(
        again
            .iter()
            .all(|answer| matches!(answer, Answer::Replayed { refusal: None, .. }))
    );
    assert_eq!(bank.balance(bob), 30);

    // Refusals are kept as well: the same batch does not pass later because money came in.
    let (mut bank, alice, bob) = town();
    let items = || {
        let pay = |key, minor| keyed(transfer(ALICE, alice, bob, minor), key, &[key]);
        vec![pay(3, 100), pay(4, 1)]
    };
    let (_, first) = run(&mut bank, &order(items(), true));
    assert_eq!(first[1], refused(Refusal::InsufficientFunds));
    bank.must(&super::desk::deposit(alice, 500));
    let (_, again) = run(&mut bank, &order(items(), true));
    let kept = |refusal| Answer::Replayed {
        refusal: Some(refusal),
        resource: None,
    };
    assert_eq!(
        again,
        [kept(Refusal::BatchRefused), kept(Refusal::InsufficientFunds)]
    );
}

#[test]
fn one_approval_approves_the_whole_batch_once() {
    let (mut bank, alice, bob) = town();
    let id = StepUpId::from_bytes([7; 16]);
    let claim = StepUpClaim {
        request: [9; 32],
        approval: Some(id),
        asked_at: bank.book.booked_at,
        no_factor: false,
    };
    let pay = |minor| transfer(ALICE, alice, bob, minor);
    let asked = Order {
        step_up: Some(claim),
        ..order(vec![pay(10), pay(20)], false)
    };
    assert_eq!(
        run(&mut bank, &asked).1,
        [Answer::StepUpNeeded, Answer::StepUpNeeded]
    );
    let approval = StepUp {
        request: [9; 32],
        expires_at: bank.book.booked_at.plus_seconds(60),
        spent: false,
    };
    bank.book.step_ups.insert(id, approval);
    let (changes, answers) = run(&mut bank, &asked);
    assert!(answers.iter().all(is_done));
    assert_eq!(changes.step_ups, [id]);
    assert_eq!(
        run(&mut bank, &asked).1,
        [Answer::StepUpNeeded, Answer::StepUpNeeded]
    );
    assert_eq!(bank.balance(bob), 30);
}

#[test]
fn rights_that_ended_refuse_nobodys_batch_for_good() {
    let (mut bank, alice, bob) = town();
    let old = stale(transfer(ALICE, alice, bob, 1));
    let (changes, answers) = run(&mut bank, &order(vec![old.clone(), old], true));
    assert_eq!(answers, [Answer::Stale, Answer::Stale]);
    assert!(changes.is_empty());
}

#[test]
fn an_order_of_one_is_the_command() {
    let (bank, alice, bob) = town();
    let command = transfer(ALICE, alice, bob, 10);
    let (mut one, mut other) = (bank.book.clone(), bank.book);
    let (changes, answers) = decide(&mut one, std::slice::from_ref(&command), &Seal);
    let (same, orders) = decide_orders(&mut other, &[Order::from(command)], &Seal);
    assert_eq!(orders, [answers]);
    assert!(super::laws::are_same(&changes, &same));
}
