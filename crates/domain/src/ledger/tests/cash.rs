//! Deposits and withdrawals over the counter.

use super::desk::{
    ALICE, BOB, Desk, EUR, NOWHERE, TELLER, close, deposit, freeze, is_done, post, refused, till, usd,
    withdrawal,
};
use crate::{
    account::{FreezeScope, SystemAccount},
    ledger::Refusal,
    transaction::TransactionKind,
};

#[test]
fn cash_goes_through_the_till() {
    let mut bank = Desk::new();
    let own = bank.account(ALICE, 0);
    bank.must(&deposit(own, 1_000));
    assert_eq!((bank.balance(own), bank.balance(till(EUR))), (1_000, -1_000));
    bank.must(&withdrawal(own, 400));
    assert_eq!((bank.balance(own), bank.balance(till(EUR))), (600, -600));
}

#[test]
fn the_last_unit_may_be_withdrawn_and_one_more_is_refused() {
    let mut bank = Desk::new();
    let own = bank.account(ALICE, 1_000);
    assert_eq!(
        bank.one(&withdrawal(own, 1_001)),
        refused(Refusal::InsufficientFunds)
    );
    bank.must(&withdrawal(own, 1_000));
    let overdraft = bank.with_overdraft(ALICE, EUR, 50);
    bank.must(&withdrawal(overdraft, 50));
    assert_eq!(
        bank.one(&withdrawal(overdraft, 1)),
        refused(Refusal::InsufficientFunds)
    );
}

#[test]
fn each_currency_has_its_own_till() {
    let mut bank = Desk::new();
    let (euros, dollars) = (bank.account(ALICE, 0), bank.account_in(ALICE, usd(), 0));
    let cash_in = |from, to, currency| post(TELLER, TransactionKind::Deposit, from, Some(to), 5, currency);
    bank.must(&cash_in(till(usd()), dollars, usd()));
    assert_eq!(
        bank.one(&cash_in(till(usd()), euros, usd())),
        refused(Refusal::CurrencyMismatch)
    );
    assert_eq!(
        bank.one(&cash_in(till(usd()), euros, EUR)),
        refused(Refusal::PayeeUnavailable)
    );
    assert_eq!((bank.balance(till(EUR)), bank.balance(till(usd()))), (0, -5));
}

#[test]
fn cash_comes_from_and_goes_to_nothing_but_a_till() {
    let mut bank = Desk::new();
    let (own, other) = (bank.account(ALICE, 1_000), bank.account(BOB, 1_000));
    let others = SystemAccount::ALL
        .into_iter()
        .filter(|system| *system != SystemAccount::Cash)
        .map(|system| system.id(EUR));
    for no_till in others.chain([other]) {
        let cash_in = post(TELLER, TransactionKind::Deposit, no_till, own, 10, EUR);
        let cash_out = post(TELLER, TransactionKind::Withdrawal, own, no_till, 10, EUR);
        assert_eq!(bank.one(&cash_in), refused(Refusal::PayeeUnavailable));
        assert_eq!(bank.one(&cash_out), refused(Refusal::PayeeUnavailable));
    }
    assert_eq!((bank.balance(own), bank.balance(other)), (1_000, 1_000));
}

#[test]
fn cash_for_no_account_or_the_banks_own_finds_none() {
    let mut bank = Desk::new();
    bank.account(ALICE, 0);
    for nobody in [None, Some(NOWHERE), Some(SystemAccount::Suspense.id(EUR))] {
        assert_eq!(bank.one(&deposit(nobody, 10)), refused(Refusal::AccountNotFound));
    }
    assert_eq!(
        bank.one(&withdrawal(NOWHERE, 10)),
        refused(Refusal::AccountNotFound)
    );
    let from_nothing = post(TELLER, TransactionKind::Deposit, NOWHERE, NOWHERE, 10, EUR);
    assert_eq!(bank.one(&from_nothing), refused(Refusal::AccountNotFound));
}

#[test]
fn a_till_that_is_missing_stops_cash() {
    let mut bank = Desk::new();
    let own = bank.account(ALICE, 100);
    let cash_in = post(TELLER, TransactionKind::Deposit, NOWHERE, own, 10, EUR);
    let cash_out = post(TELLER, TransactionKind::Withdrawal, own, None, 10, EUR);
    assert_eq!(bank.one(&cash_in), refused(Refusal::AccountNotFound));
    assert_eq!(bank.one(&cash_out), refused(Refusal::PayeeUnavailable));
}

#[test]
fn a_permit_for_own_accounts_reaches_no_other_account_in_cash_either() {
    let mut bank = Desk::new();
    let (own, foreign) = (bank.account(ALICE, 100), bank.account(BOB, 100));
    let of_alice = |kind, from, to| post(ALICE, kind, from, Some(to), 10, EUR);
    let (cash_in, cash_out) = (TransactionKind::Deposit, TransactionKind::Withdrawal);
    assert_eq!(
        bank.one(&of_alice(cash_in, till(EUR), foreign)),
        refused(Refusal::AccountNotFound)
    );
    assert_eq!(
        bank.one(&of_alice(cash_out, foreign, till(EUR))),
        refused(Refusal::AccountNotFound)
    );
    assert!(is_done(&bank.one(&of_alice(cash_out, own, till(EUR)))));
}

#[test]
fn the_same_account_is_no_till_for_itself() {
    let mut bank = Desk::new();
    let own = bank.account(ALICE, 100);
    for kind in [TransactionKind::Deposit, TransactionKind::Withdrawal] {
        let command = post(TELLER, kind, own, own, 10, EUR);
        assert_eq!(bank.one(&command), refused(Refusal::SameAccount));
    }
}

#[test]
fn states_stop_cash_at_the_counter_as_the_customers_own() {
    for (by, scope, cash_in, cash_out) in [
        (TELLER, FreezeScope::Debits, None, Some(Refusal::AccountFrozen)),
        (ALICE, FreezeScope::Debits, None, Some(Refusal::AccountFrozen)),
        (
            TELLER,
            FreezeScope::All,
            Some(Refusal::AccountFrozen),
            Some(Refusal::AccountFrozen),
        ),
        (
            ALICE,
            FreezeScope::All,
            Some(Refusal::AccountFrozen),
            Some(Refusal::AccountFrozen),
        ),
    ] {
        let mut bank = Desk::new();
        let own = bank.account(ALICE, 100);
        bank.must(&freeze(by, own, scope));
        for (command, expected) in [(deposit(own, 10), cash_in), (withdrawal(own, 10), cash_out)] {
            let answer = bank.one(&command);
            match expected {
                Some(refusal) => assert_eq!(answer, refused(refusal)),
                None => assert!(is_done(&answer), "{answer:?}"),
            }
        }
    }
    let mut bank = Desk::new();
    let own = bank.account(ALICE, 0);
    bank.must(&close(ALICE, own));
    assert_eq!(bank.one(&deposit(own, 10)), refused(Refusal::AccountClosed));
    assert_eq!(bank.one(&withdrawal(own, 10)), refused(Refusal::AccountClosed));
}

#[test]
fn a_till_that_is_frozen_or_closed_stops_cash_without_saying_why() {
    let mut bank = Desk::new();
    let own = bank.account(ALICE, 100);
    let edits: [fn(&mut crate::account::Account); 2] = [
        |till| {
            till.freezes = till
                .freezes
                .with(crate::account::Side::Bank, Some(FreezeScope::All));
        },
        |till| till.closed = true,
    ];
    for edit in edits {
        edit(bank.edit(till(EUR)));
        assert_eq!(bank.one(&deposit(own, 10)), refused(Refusal::PayeeUnavailable));
        assert_eq!(bank.one(&withdrawal(own, 10)), refused(Refusal::PayeeUnavailable));
        assert_eq!(
            bank.one(&withdrawal(own, 101)),
            refused(Refusal::InsufficientFunds)
        );
        bank.edit(till(EUR)).freezes = crate::account::Freezes::NONE;
    }
}

#[test]
fn a_permit_for_one_kind_of_movement_moves_nothing_of_another() {
    let mut bank = Desk::new();
    let (own, other) = (bank.account(ALICE, 1_000), bank.account(BOB, 0));
    let transfer = post(ALICE, TransactionKind::Transfer, own, other, 10, EUR);
    bank.must(&transfer);
    // The customer's permit for transfers, put on a posting that would take cash out of the till.
    let mut stolen = post(TELLER, TransactionKind::Deposit, till(EUR), own, 10, EUR);
    stolen.authority = transfer.authority;
    assert_eq!(bank.one(&stolen), refused(Refusal::AccountNotFound));
    assert_eq!((bank.balance(own), bank.balance(other)), (990, 10));
}
