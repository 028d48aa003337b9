//! Transfers between customers.

use super::desk::{
    ALICE, BOB, Desk, EUR, NOWHERE, TELLER, deposit, freeze, is_done, post, posted, refused, till, transfer,
    usd,
};
use crate::{
    account::{FreezeScope, SystemAccount},
    id::AccountId,
    ledger::{Command, Refusal, Verb},
    money::{AMOUNT_MAX, Currency},
    time::{Date, Timestamp},
    transaction::TransactionKind,
};

#[test]
fn a_transfer_moves_exactly_its_amount() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 1_000), bank.account(BOB, 0));
    let (changes, answers) = bank.decide(&[transfer(ALICE, from, to, 250)]);
    let transaction = posted(&answers[0]);
    assert_eq!((bank.balance(from), bank.balance(to)), (750, 250));
    assert_eq!((transaction.from_account, transaction.to_account), (from, to));
    assert_eq!(transaction.amount.minor(), 250);
    let lines: Vec<_> = changes
        .entries
        .iter()
        .map(|entry| (entry.account, entry.amount, entry.balance_after, entry.sequence))
        .collect();
    assert_eq!(lines, [(from, -250, 750, 2), (to, 250, 250, 1)]);
}

#[test]
fn the_last_unit_may_go_and_one_more_is_refused() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 1_000), bank.account(BOB, 0));
    assert_eq!(
        bank.one(&transfer(ALICE, from, to, 1_001)),
        refused(Refusal::InsufficientFunds)
    );
    bank.must(&transfer(ALICE, from, to, 1_000));
    assert_eq!(bank.balance(from), 0);
    assert_eq!(
        bank.one(&transfer(ALICE, from, to, 1)),
        refused(Refusal::InsufficientFunds)
    );
}

#[test]
fn an_overdraft_is_used_up_to_its_last_unit() {
    let mut bank = Desk::new();
    let (from, to) = (bank.with_overdraft(ALICE, EUR, 500), bank.account(BOB, 0));
    bank.must(&deposit(from, 100));
    assert_eq!(
        bank.one(&transfer(ALICE, from, to, 601)),
        refused(Refusal::InsufficientFunds)
    );
    bank.must(&transfer(ALICE, from, to, 600));
    assert_eq!((bank.balance(from), bank.balance(to)), (-500, 600));
    bank.must(&deposit(from, 1));
    bank.must(&transfer(ALICE, from, to, 1));
    assert_eq!(
        bank.one(&transfer(ALICE, from, to, 1)),
        refused(Refusal::InsufficientFunds)
    );
}

#[test]
fn held_money_is_not_spent() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 1_000), bank.account(BOB, 0));
    bank.edit(from).held = 400;
    assert_eq!(
        bank.one(&transfer(ALICE, from, to, 601)),
        refused(Refusal::InsufficientFunds)
    );
    bank.must(&transfer(ALICE, from, to, 600));
    assert_eq!((bank.balance(from), bank.get(from).held), (400, 400));
}

#[test]
fn an_account_below_its_floor_can_receive_but_not_spend() {
    let mut bank = Desk::new();
    let (low, other) = (bank.account(ALICE, 0), bank.account(BOB, 1_000));
    // An overdraft that was taken away while it was used.
    bank.edit(low).balance = -300;
    bank.edit(till(EUR)).balance += 300;
    assert_eq!(
        bank.one(&transfer(ALICE, low, other, 1)),
        refused(Refusal::InsufficientFunds)
    );
    bank.must(&transfer(BOB, other, low, 100));
    assert_eq!(bank.balance(low), -200);
    bank.must(&transfer(BOB, other, low, 201));
    bank.must(&transfer(ALICE, low, other, 1));
}

#[test]
fn another_persons_account_and_no_account_look_the_same() {
    let mut bank = Desk::new();
    let (own, foreign) = (bank.account(ALICE, 1_000), bank.account(BOB, 1_000));
    for from in [foreign, NOWHERE, till(EUR), SystemAccount::Equity.id(EUR)] {
        for to in [Some(own), Some(foreign), Some(NOWHERE), None] {
            assert_eq!(
                bank.one(&transfer(ALICE, from, to, 10)),
                refused(Refusal::AccountNotFound),
                "{from} to {to:?}"
            );
        }
    }
}

#[test]
fn a_teller_moves_money_of_any_customer_but_not_the_banks_own() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 1_000), bank.account(BOB, 0));
    bank.must(&transfer(TELLER, from, to, 10));
    for system in SystemAccount::ALL {
        let own = system.id(EUR);
        assert_eq!(
            bank.one(&transfer(TELLER, own, to, 10)),
            refused(Refusal::AccountNotFound)
        );
        assert_eq!(
            bank.one(&transfer(TELLER, from, own, 10)),
            refused(Refusal::PayeeUnavailable)
        );
    }
}

#[test]
fn the_same_account_on_both_sides_is_refused() {
    let mut bank = Desk::new();
    let own = bank.account(ALICE, 1_000);
    assert_eq!(
        bank.one(&transfer(ALICE, own, own, 10)),
        refused(Refusal::SameAccount)
    );
    assert_eq!(bank.balance(own), 1_000);
}

#[test]
fn two_accounts_of_one_person_may_pay_each_other() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 1_000), bank.account(ALICE, 0));
    bank.must(&transfer(ALICE, from, to, 10));
    assert_eq!((bank.balance(from), bank.balance(to)), (990, 10));
}

#[test]
fn currencies_never_mix() {
    let mut bank = Desk::new();
    let (euros, dollars) = (bank.account(ALICE, 1_000), bank.account_in(ALICE, usd(), 1_000));
    let other = bank.account_in(BOB, usd(), 0);
    let in_dollars = |from, to| post(ALICE, TransactionKind::Transfer, from, Some(to), 10, usd());
    assert_eq!(
        bank.one(&in_dollars(euros, other)),
        refused(Refusal::CurrencyMismatch)
    );
    assert_eq!(
        bank.one(&transfer(ALICE, dollars, other, 10)),
        refused(Refusal::CurrencyMismatch)
    );
    assert_eq!(
        bank.one(&transfer(ALICE, euros, other, 10)),
        refused(Refusal::PayeeUnavailable)
    );
    bank.must(&in_dollars(dollars, other));
    assert_eq!(
        (bank.balance(euros), bank.balance(dollars), bank.balance(other)),
        (1_000, 990, 10)
    );
}

/// A fault of the payer, how to cause it, and what the books say.
type Fault = (Refusal, fn(&mut Desk, AccountId, &mut Command));

fn posting(command: &mut Command) -> &mut crate::ledger::Posting {
    match &mut command.verb {
        Verb::Post(posting) => posting,
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_two_faults_the_one_nearer_to_the_caller_is_told() {
    let faults: [Fault; 7] = [
        (Refusal::AccountNotFound, |_, _, command| {
            command.authority.scope = crate::ledger::Owned::By(BOB);
        }),
        (Refusal::SameAccount, |_, from, command| {
            posting(command).to = Some(from);
        }),
        (Refusal::AccountClosed, |bank, from, _| {
            bank.edit(from).closed = true;
        }),
        (Refusal::AccountFrozen, |bank, from, _| {
            let account = bank.edit(from);
            account.freezes = account
                .freezes
                .with(crate::account::Side::Bank, Some(FreezeScope::Debits));
        }),
        (Refusal::CurrencyMismatch, |_, _, command| {
            posting(command).currency = Currency::parse("CZK").unwrap();
        }),
        (Refusal::InsufficientFunds, |_, _, command| {
            posting(command).amount = super::desk::amount(1_001);
        }),
        (Refusal::PayeeUnavailable, |_, _, command| {
            let posting = posting(command);
            if posting.to != Some(posting.from) {
                posting.to = None;
            }
        }),
    ];
    for (first, (refusal, cause)) in faults.iter().enumerate() {
        for (_, also) in &faults[first..] {
            let mut bank = Desk::new();
            let (from, to) = (bank.account(ALICE, 1_000), bank.account(BOB, 0));
            let mut command = transfer(ALICE, from, to, 10);
            cause(&mut bank, from, &mut command);
            also(&mut bank, from, &mut command);
            assert_eq!(bank.one(&command), refused(*refusal));
        }
    }
}

#[test]
fn a_hot_account_takes_a_whole_batch_in_order() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 1_000), bank.account(BOB, 0));
    let commands: Vec<_> = (0..1_005).map(|_| transfer(ALICE, from, to, 1)).collect();
    let (changes, answers) = bank.decide(&commands);
    assert!(answers[..1_000].iter().all(is_done));
    assert!(
        answers[1_000..]
            .iter()
            .all(|answer| *answer == refused(Refusal::InsufficientFunds))
    );
    assert_eq!((bank.balance(from), bank.balance(to)), (0, 1_000));
    assert_eq!((bank.get(from).entries, bank.get(to).entries), (1_001, 1_000));
    assert_eq!(changes.transactions.len(), 1_000);
    assert_eq!(changes.touched.len(), 2);
}

#[test]
fn money_that_arrives_in_a_batch_can_be_spent_later_in_it() {
    let mut bank = Desk::new();
    let (a, b, c) = (
        bank.account(ALICE, 100),
        bank.account(BOB, 0),
        bank.account(ALICE, 0),
    );
    let (_, answers) = bank.decide(&[
        transfer(BOB, b, c, 100),
        transfer(ALICE, a, b, 100),
        transfer(BOB, b, c, 100),
        transfer(ALICE, a, b, 1),
    ]);
    assert_eq!(answers[0], refused(Refusal::InsufficientFunds));
    assert!(is_done(&answers[1]) && is_done(&answers[2]));
    assert_eq!(answers[3], refused(Refusal::InsufficientFunds));
    assert_eq!((bank.balance(a), bank.balance(b), bank.balance(c)), (0, 0, 100));
}

#[test]
fn a_freeze_stops_what_comes_after_it_in_the_same_batch() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    let (_, answers) = bank.decide(&[
        transfer(ALICE, from, to, 10),
        freeze(TELLER, from, FreezeScope::All),
        transfer(ALICE, from, to, 10),
        transfer(BOB, to, from, 10),
    ]);
    assert!(is_done(&answers[0]) && is_done(&answers[1]));
    assert_eq!(answers[2], refused(Refusal::AccountFrozen));
    assert_eq!(answers[3], refused(Refusal::PayeeUnavailable));
}

#[test]
fn the_ends_of_the_number_range_are_refused_not_crossed() {
    let mut bank = Desk::new();
    let (from, to) = (bank.with_overdraft(ALICE, EUR, i64::MAX), bank.account(BOB, 0));
    bank.edit(from).balance = -i64::MAX + 5;
    bank.edit(to).balance = i64::MAX - 5;
    bank.must(&transfer(ALICE, from, to, 5));
    assert_eq!((bank.balance(from), bank.balance(to)), (-i64::MAX, i64::MAX));
    assert_eq!(
        bank.one(&transfer(ALICE, from, to, 1)),
        refused(Refusal::InsufficientFunds)
    );
    assert_eq!(
        bank.one(&transfer(ALICE, from, to, AMOUNT_MAX)),
        refused(Refusal::BalanceOverflow)
    );
    assert_eq!(bank.one(&deposit(to, 1)), refused(Refusal::BalanceOverflow));
    // The till's other end: cash that would bring it below what a number holds.
    let other = bank.account(ALICE, 0);
    bank.edit(till(EUR)).balance = i64::MIN;
    assert_eq!(bank.one(&deposit(other, 1)), refused(Refusal::PayeeUnavailable));
}

#[test]
fn an_account_that_lost_its_floor_in_numbers_still_cannot_be_overdrawn() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 0), bank.account(BOB, 0));
    for (balance, held, floor, allowed) in [
        (i64::MIN, 0, i64::MIN, None),
        (i64::MIN, i64::MAX, -i64::MAX, None),
        (0, i64::MAX, -1, None),
        (i64::MAX, 0, -i64::MAX, Some(AMOUNT_MAX)),
        (-i64::MAX, 0, i64::MIN, Some(1)),
    ] {
        let account = bank.edit(from);
        (account.balance, account.held, account.floor) = (balance, held, Some(floor));
        let ask = |minor| {
            let mut book = bank.book.clone();
            let commands = [transfer(ALICE, from, to, minor)];
            let (_, answers) = crate::ledger::decide(&mut book, &commands, &super::desk::Seal);
            is_done(&answers[0])
        };
        match allowed {
            None => assert!(!ask(1) && !ask(AMOUNT_MAX), "{balance} {held} {floor}"),
            Some(most) => {
                assert!(ask(most), "{balance} {held} {floor}");
                assert!(most == AMOUNT_MAX || !ask(most + 1), "{balance} {held} {floor}");
            }
        }
    }
}

#[test]
fn a_transaction_carries_its_dates() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    bank.book.booked_at = Timestamp::parse("2026-11-21T23:59:59.999999Z").unwrap();
    bank.book.today = Date::parse("2026-11-22").unwrap();
    let mut dated = transfer(ALICE, from, to, 1);
    let given = Date::parse("2026-11-30").unwrap();
    posting(&mut dated).value_date = Some(given);
    let (changes, answers) = bank.decide(&[transfer(ALICE, from, to, 1), dated]);
    assert_eq!(posted(&answers[0]).value_date, bank.book.today);
    assert_eq!(posted(&answers[1]).value_date, given);
    assert_eq!(changes.transactions[0].booked_at, bank.book.booked_at);
    assert_eq!(bank.get(from).last_booked_at, bank.book.booked_at);
}

#[test]
#[should_panic(expected = "time never goes back in an account")]
fn a_batch_that_is_booked_before_its_accounts_last_entry_does_not_go_on() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    bank.book.booked_at = Timestamp::from_micros(bank.book.booked_at.micros() - 1);
    bank.one(&transfer(ALICE, from, to, 1));
}
