//! Freezing, unfreezing, closing.

use super::desk::{
    ALICE, BOB, Desk, EUR, NOWHERE, TELLER, close, deposit, freeze, is_done, refused, till, transfer,
    unfreeze, withdrawal,
};
use crate::{
    account::{FreezeScope, Side, SystemAccount},
    id::UserId,
    ledger::{Answer, Done, Refusal},
};

const SCOPES: [FreezeScope; 2] = [FreezeScope::Debits, FreezeScope::All];
const SIDES: [(UserId, Side); 2] = [(ALICE, Side::Owner), (TELLER, Side::Bank)];

#[test]
fn a_freeze_is_lifted_only_by_the_side_that_set_it() {
    for (by, _) in SIDES {
        for scope in SCOPES {
            let mut bank = Desk::new();
            let own = bank.account(ALICE, 0);
            let other = if by == TELLER { ALICE } else { TELLER };
            bank.must(&freeze(by, own, scope));
            assert_eq!(bank.one(&unfreeze(other, own)), refused(Refusal::NotFrozenByYou));
            assert_eq!(bank.get(own).state(), "frozen");
            bank.must(&unfreeze(by, own));
            assert_eq!(bank.get(own).state(), "active");
            assert_eq!(bank.one(&unfreeze(by, own)), refused(Refusal::NotFrozenByYou));
        }
    }
}

#[test]
fn the_freezes_of_both_sides_live_side_by_side() {
    let mut bank = Desk::new();
    let (own, other) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    bank.must(&freeze(ALICE, own, FreezeScope::All));
    bank.must(&freeze(TELLER, own, FreezeScope::Debits));
    bank.must(&unfreeze(ALICE, own));
    assert_eq!(
        bank.one(&transfer(ALICE, own, other, 1)),
        refused(Refusal::AccountFrozen)
    );
    bank.must(&deposit(own, 1));
    bank.must(&unfreeze(TELLER, own));
    bank.must(&transfer(ALICE, own, other, 1));
}

#[test]
fn freezing_again_never_loosens() {
    for (by, side) in SIDES {
        for (first, second) in [
            (FreezeScope::Debits, FreezeScope::Debits),
            (FreezeScope::Debits, FreezeScope::All),
            (FreezeScope::All, FreezeScope::Debits),
            (FreezeScope::All, FreezeScope::All),
        ] {
            let mut bank = Desk::new();
            let own = bank.account(ALICE, 0);
            bank.must(&freeze(by, own, first));
            bank.must(&freeze(by, own, second));
            let expected = if first == FreezeScope::All { first } else { second };
            assert_eq!(bank.get(own).freezes.by(side), Some(expected));
        }
    }
}

#[test]
fn the_answer_shows_the_account_after_the_change() {
    let mut bank = Desk::new();
    let own = bank.account(ALICE, 0);
    let answer = bank.one(&freeze(ALICE, own, FreezeScope::Debits));
    let Answer::Done(done) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(*done, Done::Changed(bank.get(own).clone()));
    assert_eq!(bank.get(own).freezes.by(Side::Owner), Some(FreezeScope::Debits));
}

#[test]
fn foreign_accounts_and_the_banks_own_cannot_be_changed() {
    let mut bank = Desk::new();
    let foreign = bank.account(BOB, 0);
    for (by, account) in [
        (ALICE, foreign),
        (ALICE, NOWHERE),
        (ALICE, till(EUR)),
        (TELLER, NOWHERE),
        (TELLER, till(EUR)),
        (TELLER, SystemAccount::Equity.id(EUR)),
    ] {
        for command in [
            freeze(by, account, FreezeScope::All),
            unfreeze(by, account),
            close(by, account),
        ] {
            assert_eq!(bank.one(&command), refused(Refusal::AccountNotFound));
        }
    }
}

#[test]
fn an_empty_account_is_closed_for_good() {
    for (by, _) in SIDES {
        let mut bank = Desk::new();
        let (own, other) = (bank.account(ALICE, 100), bank.account(BOB, 100));
        assert_eq!(bank.one(&close(by, own)), refused(Refusal::AccountNotEmpty));
        bank.must(&withdrawal(own, 100));
        bank.must(&close(by, own));
        assert_eq!(bank.get(own).state(), "closed");
        for (command, refusal) in [
            (transfer(ALICE, own, other, 1), Refusal::AccountClosed),
            (transfer(BOB, other, own, 1), Refusal::PayeeUnavailable),
            (deposit(own, 1), Refusal::AccountClosed),
            (withdrawal(own, 1), Refusal::AccountClosed),
            (freeze(ALICE, own, FreezeScope::All), Refusal::AccountClosed),
            (unfreeze(TELLER, own), Refusal::AccountClosed),
            (close(ALICE, own), Refusal::AccountClosed),
            (close(TELLER, own), Refusal::AccountClosed),
        ] {
            assert_eq!(bank.one(&command), refused(refusal));
        }
        assert_eq!(bank.balance(own), 0);
    }
}

#[test]
fn an_account_with_money_debt_or_a_hold_stays_open() {
    let mut bank = Desk::new();
    let (rich, indebted, held) = (
        bank.account(ALICE, 1),
        bank.with_overdraft(ALICE, EUR, 10),
        bank.account(ALICE, 0),
    );
    bank.must(&transfer(ALICE, indebted, rich, 1));
    bank.edit(held).held = 1;
    for account in [rich, indebted, held] {
        for by in [ALICE, TELLER] {
            assert_eq!(bank.one(&close(by, account)), refused(Refusal::AccountNotEmpty));
        }
    }
}

#[test]
fn closing_does_not_escape_a_freeze_by_the_bank() {
    for scope in SCOPES {
        let mut bank = Desk::new();
        let own = bank.account(ALICE, 0);
        bank.must(&freeze(TELLER, own, scope));
        assert_eq!(bank.one(&close(ALICE, own)), refused(Refusal::AccountFrozen));
        assert!(is_done(&bank.one(&close(TELLER, own))));
    }
    let mut bank = Desk::new();
    let own = bank.account(ALICE, 0);
    bank.must(&freeze(ALICE, own, FreezeScope::All));
    assert!(is_done(&bank.one(&close(ALICE, own))));
}

#[test]
fn a_payment_in_the_same_batch_keeps_the_account_from_being_closed() {
    let mut bank = Desk::new();
    let (own, other) = (bank.account(ALICE, 0), bank.account(BOB, 10));
    let (_, answers) = bank.decide(&[
        transfer(BOB, other, own, 10),
        close(ALICE, own),
        transfer(ALICE, own, other, 10),
        close(ALICE, own),
        transfer(BOB, other, own, 10),
    ]);
    assert_eq!(answers[1], refused(Refusal::AccountNotEmpty));
    assert!(is_done(&answers[3]));
    assert_eq!(answers[4], refused(Refusal::PayeeUnavailable));
}

#[test]
fn a_customers_permit_never_acts_for_the_bank() {
    let mut bank = Desk::new();
    let own = bank.account(ALICE, 0);
    bank.must(&freeze(TELLER, own, FreezeScope::All));
    let mut stolen = unfreeze(TELLER, own);
    stolen.authority = unfreeze(ALICE, own).authority;
    assert_eq!(bank.one(&stolen), refused(Refusal::AccountNotFound));
    bank.must(&unfreeze(TELLER, own));
}
