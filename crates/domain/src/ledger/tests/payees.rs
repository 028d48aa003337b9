//! What may be learned about somebody else's account by paying into it: nothing.

use super::desk::{ALICE, BOB, Desk, EUR, NOWHERE, TELLER, close, freeze, refused, till, transfer, usd};
use crate::{
    account::{FreezeScope, SystemAccount},
    id::AccountId,
    ledger::Refusal,
};

/// Everything that can be wrong with a payee, and an account that has it.
fn unavailable_payees(bank: &mut Desk) -> Vec<(&'static str, Option<AccountId>)> {
    let (closed, frozen_by_bank, frozen_by_owner) =
        (bank.account(BOB, 0), bank.account(BOB, 0), bank.account(BOB, 0));
    bank.must(&close(BOB, closed));
    bank.must(&freeze(TELLER, frozen_by_bank, FreezeScope::All));
    bank.must(&freeze(BOB, frozen_by_owner, FreezeScope::All));
    let full = bank.account(BOB, 0);
    bank.edit(full).balance = i64::MAX;
    bank.edit(SystemAccount::Equity.id(EUR)).balance = -i64::MAX;
    let dollars = bank.account_in(BOB, usd(), 0);
    vec![
        ("missing by name", None),
        ("missing by id", Some(NOWHERE)),
        ("closed", Some(closed)),
        ("frozen by the bank", Some(frozen_by_bank)),
        ("frozen by its owner", Some(frozen_by_owner)),
        ("in another currency", Some(dollars)),
        ("full", Some(full)),
        ("the bank's own", Some(till(EUR))),
    ]
}

#[test]
fn whatever_is_wrong_with_a_payee_has_one_answer() {
    let mut bank = Desk::new();
    let from = bank.account(ALICE, 1_000);
    for (what, to) in unavailable_payees(&mut bank) {
        assert_eq!(
            bank.one(&transfer(ALICE, from, to, 10)),
            refused(Refusal::PayeeUnavailable),
            "{what}"
        );
    }
    assert_eq!(bank.balance(from), 1_000);
}

#[test]
fn who_cannot_pay_learns_nothing_about_the_payee() {
    let mut bank = Desk::new();
    let from = bank.account(ALICE, 9);
    let fine = bank.account(BOB, 0);
    let mut payees = unavailable_payees(&mut bank);
    payees.push(("fine", Some(fine)));
    let mut ask = |refusal: Refusal, about: &str| {
        for (what, to) in &payees {
            let answer = bank.one(&transfer(ALICE, from, *to, 10));
            assert_eq!(answer, refused(refusal), "{about} pays {what}");
        }
        // The next fault of the payer, which is told before the former.
        match refusal {
            Refusal::InsufficientFunds => {
                bank.must(&freeze(ALICE, from, FreezeScope::Debits));
            }
            _ => {
                bank.edit(from).balance = 0;
                bank.edit(till(EUR)).balance += 9;
                bank.must(&close(ALICE, from));
            }
        }
    };
    ask(Refusal::InsufficientFunds, "an empty account");
    ask(Refusal::AccountFrozen, "a frozen account");
    for (what, to) in payees {
        let answer = bank.one(&transfer(ALICE, from, to, 10));
        assert_eq!(
            answer,
            refused(Refusal::AccountClosed),
            "a closed account pays {what}"
        );
    }
}

#[test]
fn a_payee_whose_debits_are_frozen_still_receives() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 1_000), bank.account(BOB, 0));
    bank.must(&freeze(TELLER, to, FreezeScope::Debits));
    bank.must(&transfer(ALICE, from, to, 10));
    assert_eq!(bank.balance(to), 10);
}
