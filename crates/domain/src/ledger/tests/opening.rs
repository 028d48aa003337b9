//! Opening accounts.

use super::desk::{
    ALICE, BOB, Desk, EUR, TELLER, deposit, dry, freeze, is_done, new_account, open, refused, transfer, usd,
};
use crate::{
    account::{AccountKind, CustomerKind, FreezeScope, Freezes, SystemAccount},
    ledger::{NewAccount, Refusal},
};

#[test]
fn a_new_account_is_empty_active_and_its_owners() {
    let mut bank = Desk::new();
    let new = NewAccount {
        kind: CustomerKind::Savings,
        ..new_account(ALICE, EUR, 0)
    };
    let (changes, answers) = bank.decide(&[open(ALICE, new.clone())]);
    assert!(is_done(&answers[0]));
    let account = bank.get(new.id);
    assert_eq!(account.owner, Some(ALICE));
    assert_eq!(account.kind, AccountKind::Customer(CustomerKind::Savings));
    assert_eq!((account.balance, account.held, account.entries), (0, 0, 0));
    assert_eq!((account.floor, account.freezes), (Some(0), Freezes::NONE));
    assert_eq!(account.state(), "active");
    let row = changes.opened.last().unwrap();
    assert_eq!((row.id, row.at), (new.id, bank.book.booked_at));
    assert_eq!(row.number.as_ref(), Some(&new.number));
    assert_eq!(row.sealed_name.as_ref(), Some(&new.sealed_name));
}

#[test]
fn the_first_account_in_a_currency_brings_the_chart_and_the_second_does_not() {
    let mut bank = Desk::new();
    for currency in [EUR, usd()] {
        let (changes, _) = bank.decide(&[open(ALICE, new_account(ALICE, currency, 0))]);
        let ids: Vec<_> = changes.opened.iter().map(|opened| opened.id).collect();
        let chart: Vec<_> = SystemAccount::ALL
            .iter()
            .map(|system| system.id(currency))
            .collect();
        assert_eq!(&ids[..chart.len()], chart);
        assert_eq!(ids.len(), chart.len() + 1);
        for system in SystemAccount::ALL {
            let account = bank.get(system.id(currency));
            assert_eq!(account.kind, AccountKind::System(system));
            assert_eq!((account.owner, account.floor), (None, None));
            assert_eq!(account.currency, currency);
        }
        let (changes, _) = bank.decide(&[open(BOB, new_account(BOB, currency, 0))]);
        assert_eq!(changes.opened.len(), 1);
    }
}

#[test]
fn a_taken_number_or_id_is_refused_also_within_a_batch() {
    let mut bank = Desk::new();
    let first = new_account(ALICE, EUR, 0);
    let same_number = NewAccount {
        number: first.number.clone(),
        ..new_account(BOB, EUR, 0)
    };
    let same_id = NewAccount {
        id: first.id,
        ..new_account(BOB, EUR, 0)
    };
    let (_, answers) = bank.decide(&[
        open(ALICE, first.clone()),
        open(BOB, same_number.clone()),
        open(BOB, same_id),
    ]);
    assert!(is_done(&answers[0]));
    assert_eq!(answers[1], refused(Refusal::NumberTaken));
    assert_eq!(answers[2], refused(Refusal::NumberTaken));
    assert!(!bank.book.accounts.contains_key(&same_number.id));
    assert_eq!(bank.get(first.id).owner, Some(ALICE));
}

#[test]
fn a_customer_opens_only_for_oneself_and_a_teller_for_anyone() {
    let mut bank = Desk::new();
    assert_eq!(
        bank.one(&open(ALICE, new_account(BOB, EUR, 0))),
        refused(Refusal::AccountNotFound)
    );
    assert!(bank.book.accounts.is_empty());
    bank.must(&open(TELLER, new_account(BOB, EUR, 0)));
}

#[test]
fn an_overdraft_becomes_the_floor_and_a_negative_one_is_none() {
    let mut bank = Desk::new();
    for (overdraft, floor) in [
        (0, 0),
        (1, -1),
        (50_000, -50_000),
        (i64::MAX, -i64::MAX),
        (-1, 0),
        (-50_000, 0),
        (i64::MIN, 0),
    ] {
        let id = bank.with_overdraft(ALICE, EUR, overdraft);
        assert_eq!(bank.get(id).floor, Some(floor), "{overdraft}");
    }
}

#[test]
fn an_account_works_in_the_batch_that_opens_it() {
    let mut bank = Desk::new();
    let (a, b) = (new_account(ALICE, EUR, 0), new_account(BOB, EUR, 0));
    let (from, to) = (a.id, b.id);
    let (changes, answers) = bank.decide(&[
        deposit(from, 100),
        open(ALICE, a),
        open(BOB, b),
        deposit(from, 100),
        transfer(ALICE, from, to, 40),
        freeze(BOB, to, FreezeScope::All),
    ]);
    assert_eq!(answers[0], refused(Refusal::AccountNotFound));
    assert!(answers[1..].iter().all(is_done));
    assert_eq!((bank.balance(from), bank.balance(to)), (60, 40));
    assert!(changes.touched.contains(&from) && changes.touched.contains(&to));
}

#[test]
fn trying_to_open_opens_nothing() {
    let mut bank = Desk::new();
    let new = new_account(ALICE, EUR, 0);
    let (changes, answers) = bank.decide(&[dry(open(ALICE, new.clone()))]);
    assert!(is_done(&answers[0]) && changes.is_empty());
    assert!(bank.book.accounts.is_empty() && bank.book.taken_numbers.is_empty());
    bank.must(&open(ALICE, new));
}
