//! What is refused or only tried leaves nothing but its record.

use super::{
    bounds::{budget, nobody, within},
    desk::{
        ALICE, BOB, Desk, EUR, NOWHERE, Seal, TELLER, capture, close, deposit, dry, freeze, hold, is_done,
        keyed, limit, new_account, open, place, post, posted, refused, stale, till, transfer, unfreeze, usd,
        void, withdrawal,
    },
};
use crate::{
    account::FreezeScope,
    hold::HOLDS_PER_ACCOUNT_MAX,
    id::{AccountId, UserId},
    ledger::{Book, Command, HoldRef, NewAccount, Owned, Refusal, SealedMemo, Verb, decide},
    limits::Caps,
    transaction::TransactionKind,
};

/// A bank with an account for every kind of trouble.
struct Town {
    bank: Desk,
    alice: AccountId,
    bob: AccountId,
    frozen: AccountId,
    closed: AccountId,
    full: AccountId,
    taken: NewAccount,
    /// One of Carol's, who may pay ten at once, fifteen a day, twenty a month and has paid fifteen.
    limited: AccountId,
    /// One of Dave's, who may pay twenty a month and has paid fifteen.
    monthly: AccountId,
    /// Of Alice for Bob.
    held: HoldRef,
    /// It has ended.
    over: HoldRef,
}

fn town() -> Town {
    let mut bank = Desk::new();
    let (alice, bob) = (bank.account(ALICE, 100), bank.account(BOB, 100));
    let (frozen, closed, full) = (
        bank.account(ALICE, 50),
        bank.account(ALICE, 0),
        bank.account(ALICE, 0),
    );
    bank.must(&freeze(TELLER, frozen, FreezeScope::All));
    bank.must(&close(ALICE, closed));
    bank.edit(full).balance = i64::MAX;
    let taken = new_account(ALICE, EUR, 0);
    bank.must(&open(ALICE, taken.clone()));
    bank.edit(full).holds = HOLDS_PER_ACCOUNT_MAX;
    let (held, over) = (bank.hold(ALICE, alice, bob, 30), bank.hold(ALICE, alice, bob, 5));
    bank.must(&void(ALICE, over));
    let limited = bank.account(CAROL, 100);
    bank.must(&limit(CAROL, limited, caps(Some(10), Some(15)), true));
    bank.must(&transfer(CAROL, limited, bob, 10));
    bank.must(&transfer(CAROL, limited, bob, 5));
    let monthly = bank.account(DAVE, 100);
    bank.must(&limit(DAVE, monthly, caps(None, None), true));
    bank.must(&transfer(DAVE, monthly, bob, 15));
    Town {
        bank,
        alice,
        bob,
        frozen,
        closed,
        full,
        taken,
        limited,
        monthly,
        held,
        over,
    }
}

const CAROL: UserId = UserId::from_bytes([0xca; 16]);
const DAVE: UserId = UserId::from_bytes([0xda; 16]);

const fn caps(per_transfer: Option<i64>, daily: Option<i64>) -> Caps {
    Caps {
        per_transfer,
        daily,
        monthly: Some(20),
    }
}

/// Every way to be refused, with every verb that can be.
fn refusals(town: &Town) -> Vec<(Refusal, Command)> {
    let Town {
        alice,
        bob,
        frozen,
        closed,
        full,
        taken,
        limited,
        monthly,
        held,
        over,
        ..
    } = town;
    let (limited, monthly) = (*limited, *monthly);
    let (held, over) = (*held, *over);
    let (alice, bob, frozen, closed, full) = (*alice, *bob, *frozen, *closed, *full);
    let in_dollars = |kind, from, to| post(TELLER, kind, from, Some(to), 1, usd());
    let taken_number = NewAccount {
        number: taken.number.clone(),
        ..new_account(ALICE, usd(), 0)
    };
    vec![
        (Refusal::InsufficientFunds, transfer(ALICE, alice, bob, 71)),
        (Refusal::InsufficientFunds, place(ALICE, hold(alice, bob, 71))),
        (Refusal::AccountFrozen, place(ALICE, hold(frozen, bob, 1))),
        (Refusal::AccountClosed, place(ALICE, hold(closed, bob, 1))),
        (Refusal::SameAccount, place(ALICE, hold(alice, alice, 1))),
        (Refusal::PayeeUnavailable, place(ALICE, hold(alice, None, 1))),
        (Refusal::PayeeUnavailable, place(ALICE, hold(alice, frozen, 1))),
        (Refusal::AccountNotFound, place(ALICE, hold(bob, alice, 1))),
        (Refusal::TooManyHolds, place(ALICE, hold(full, bob, 1))),
        (Refusal::ExceedsHold, capture(ALICE, held, Some(31), false)),
        (Refusal::HoldNotOpen, capture(ALICE, over, None, false)),
        (Refusal::HoldNotOpen, void(ALICE, over)),
        (Refusal::HoldNotFound, void(TELLER, HoldRef { to: alice, ..held })),
        (
            Refusal::HoldNotFound,
            capture(
                TELLER,
                HoldRef {
                    account: frozen,
                    ..held
                },
                None,
                true,
            ),
        ),
        (Refusal::InsufficientFunds, withdrawal(alice, 101)),
        (Refusal::AccountFrozen, transfer(ALICE, frozen, bob, 1)),
        (Refusal::AccountFrozen, withdrawal(frozen, 1)),
        (Refusal::AccountFrozen, deposit(frozen, 1)),
        (Refusal::AccountClosed, transfer(ALICE, closed, bob, 1)),
        (Refusal::AccountClosed, withdrawal(closed, 1)),
        (Refusal::AccountClosed, deposit(closed, 1)),
        (Refusal::AccountClosed, freeze(ALICE, closed, FreezeScope::Debits)),
        (Refusal::AccountClosed, unfreeze(ALICE, closed)),
        (Refusal::AccountClosed, close(ALICE, closed)),
        (Refusal::SameAccount, transfer(ALICE, alice, alice, 1)),
        (
            Refusal::SameAccount,
            post(TELLER, TransactionKind::Deposit, alice, alice, 1, EUR),
        ),
        (
            Refusal::CurrencyMismatch,
            in_dollars(TransactionKind::Transfer, alice, bob),
        ),
        (
            Refusal::CurrencyMismatch,
            in_dollars(TransactionKind::Withdrawal, alice, till(EUR)),
        ),
        (
            Refusal::CurrencyMismatch,
            in_dollars(TransactionKind::Deposit, till(EUR), alice),
        ),
        (Refusal::PayeeUnavailable, transfer(ALICE, alice, None, 1)),
        (Refusal::PayeeUnavailable, transfer(ALICE, alice, frozen, 1)),
        (Refusal::PayeeUnavailable, transfer(ALICE, alice, full, 1)),
        (
            Refusal::PayeeUnavailable,
            post(TELLER, TransactionKind::Deposit, bob, alice, 1, EUR),
        ),
        (
            Refusal::PayeeUnavailable,
            post(TELLER, TransactionKind::Withdrawal, alice, bob, 1, EUR),
        ),
        (Refusal::BalanceOverflow, deposit(full, 1)),
        (Refusal::AccountNotEmpty, close(ALICE, alice)),
        (Refusal::AccountNotFound, transfer(ALICE, bob, alice, 1)),
        (Refusal::AccountNotFound, withdrawal(NOWHERE, 1)),
        (Refusal::AccountNotFound, deposit(till(EUR), 1)),
        (Refusal::AccountNotFound, freeze(ALICE, bob, FreezeScope::All)),
        (Refusal::AccountNotFound, unfreeze(ALICE, bob)),
        (Refusal::AccountNotFound, close(ALICE, bob)),
        (Refusal::AccountNotFound, open(ALICE, new_account(BOB, usd(), 0))),
        (Refusal::AccountFrozen, {
            let empty_but_frozen = close(ALICE, frozen);
            Command {
                authority: crate::ledger::Authority {
                    scope: Owned::By(ALICE),
                    ..empty_but_frozen.authority
                },
                ..empty_but_frozen
            }
        }),
        (Refusal::NotFrozenByYou, unfreeze(ALICE, frozen)),
        (Refusal::NumberTaken, open(ALICE, taken_number)),
        (Refusal::OverTransferLimit, transfer(CAROL, limited, bob, 11)),
        (Refusal::OverTransferLimit, place(CAROL, hold(limited, bob, 11))),
        // Who may not pay that much is not told about others.
        (Refusal::OverTransferLimit, transfer(CAROL, limited, None, 11)),
        (Refusal::OverDailyLimit, transfer(CAROL, limited, bob, 1)),
        (Refusal::OverDailyLimit, place(CAROL, hold(limited, None, 1))),
        (Refusal::OverMonthlyLimit, transfer(DAVE, monthly, bob, 6)),
        (
            Refusal::RaiseNotApproved,
            limit(CAROL, limited, caps(Some(11), Some(15)), false),
        ),
        (Refusal::AccountNotFound, limit(BOB, limited, Caps::NONE, true)),
        (Refusal::AccountClosed, limit(ALICE, closed, Caps::NONE, true)),
        (
            Refusal::LimitExceeded,
            within(transfer(ALICE, alice, bob, 1), &budget(1)),
        ),
        (
            Refusal::PayeeNotAllowed,
            within(transfer(ALICE, alice, bob, 1), &nobody()),
        ),
    ]
}

/// The parts of a book that a refusal must leave alone.
fn still(book: &Book) -> String {
    let mut accounts: Vec<_> = book.accounts.values().collect();
    accounts.sort_by_key(|account| account.id);
    let mut numbers: Vec<_> = book.taken_numbers.iter().collect();
    numbers.sort();
    format!(
        "{accounts:?} {numbers:?} {:?} {:?} {:?} {} {} {:?} {:?}",
        std::collections::BTreeMap::from_iter(&book.limits),
        std::collections::BTreeMap::from_iter(&book.account_limits),
        std::collections::BTreeMap::from_iter(&book.bank_left),
        book.epoch,
        book.next_entry,
        book.booked_at,
        book.today
    )
}

#[test]
fn every_refusal_is_among_those_tried_here() {
    let town = town();
    let tried: Vec<_> = refusals(&town).into_iter().map(|(refusal, _)| refusal).collect();
    // What a batch is refused with, no command is on its own; what is refused about payments
    // and reviews has tests of its own.
    let elsewhere = [
        Refusal::BatchRefused,
        Refusal::DuplicateSuspected,
        Refusal::PaymentNotFound,
        Refusal::PaymentClosed,
        Refusal::ExceedsPayment,
        Refusal::AlreadyReversed,
        Refusal::NotReversible,
        Refusal::ApprovalClosed,
        Refusal::ApprovalStale,
        Refusal::SecondPersonNeeded,
        Refusal::BeneficiaryNotFound,
        Refusal::BeneficiaryTooNew,
        Refusal::OverBeneficiaryLimit,
        Refusal::PaymentLeft,
        Refusal::ConfirmationNeeded,
        Refusal::Declined,
        Refusal::ReviewNotFound,
        Refusal::ReviewClosed,
        Refusal::ReviewNotYours,
        Refusal::EntryKnown,
        Refusal::SuspenseNotFound,
        Refusal::SuspenseClosed,
        Refusal::OverBankLimit,
        Refusal::TooManyLimits,
    ];
    let alone = |refusal: &&Refusal| !elsewhere.contains(refusal);
    for refusal in Refusal::ALL.iter().filter(alone) {
        assert!(tried.contains(refusal), "{refusal}");
    }
}

#[test]
fn a_refusal_changes_nothing_but_its_record_and_its_key() {
    let mut town = town();
    // With money in it the frozen account is not empty; the refusal wanted here is the freeze.
    let rest = town.bank.edit(town.frozen).balance;
    town.bank.edit(town.frozen).balance = 0;
    town.bank.edit(till(EUR)).balance += rest;
    for (number, (refusal, command)) in refusals(&town).into_iter().enumerate() {
        let key = u8::try_from(number).unwrap();
        for command in [command.clone(), keyed(command, key, &[1])] {
            let before = still(&town.bank.book);
            let (changes, answers) = town.bank.decide(std::slice::from_ref(&command));
            assert_eq!(answers, [refused(refusal)], "{number}");
            assert_eq!(still(&town.bank.book), before, "{refusal}");
            assert_eq!(changes.records.len(), 1);
            assert!(changes.opened.is_empty() && changes.touched.is_empty() && changes.memos.is_empty());
            assert!(changes.transactions.is_empty() && changes.entries.is_empty());
            let remembered = usize::from(command.idempotency.is_some() && refusal.is_frozen());
            assert_eq!(changes.outcomes.len(), remembered);
        }
    }
}

#[test]
fn a_refusal_does_not_spoil_its_neighbours() {
    let mut town = town();
    let mut alone = Desk {
        book: town.bank.book.clone(),
    };
    let (alice, bob) = (town.alice, town.bob);
    let good: Vec<_> = (0..40).map(|_| transfer(ALICE, alice, bob, 1)).collect();
    let mut bad = refusals(&town).into_iter().map(|(_, command)| command);
    let mixed: Vec<_> = good
        .iter()
        .flat_map(|command| {
            [Some(command.clone()), bad.next()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
        })
        .collect();
    let (changes, answers) = town.bank.decide(&mixed);
    let (undisturbed, _) = alone.decide(&good);
    assert_eq!(
        answers.iter().filter(|answer| is_done(answer)).count(),
        good.len()
    );
    assert_eq!(changes.entries, undisturbed.entries);
    assert_eq!(still(&town.bank.book), still(&alone.book));
}

#[test]
fn a_dry_run_answers_like_the_deed_and_leaves_nothing() {
    let mut town = town();
    town.bank.edit(town.frozen).balance = 0;
    let good = [
        transfer(ALICE, town.alice, town.bob, 100),
        deposit(town.alice, 1),
        withdrawal(town.alice, 100),
        freeze(ALICE, town.alice, FreezeScope::All),
        unfreeze(TELLER, town.frozen),
        close(TELLER, town.frozen),
        open(ALICE, new_account(ALICE, EUR, 7)),
        open(TELLER, new_account(BOB, usd(), 7)),
    ];
    let bad = refusals(&town).into_iter().map(|(_, command)| command);
    for command in good.into_iter().chain(bad) {
        let before = format!("{} {:?}", still(&town.bank.book), town.bank.book.log);
        let records = town.bank.book.next_record;
        let mut book = town.bank.book.clone();
        let (changes, tried) = town.bank.decide(&[dry(command.clone())]);
        assert!(changes.is_empty());
        assert!(super::laws::are_same(
            &changes,
            &crate::ledger::Changes::default()
        ));
        assert_eq!(
            format!("{} {:?}", still(&town.bank.book), town.bank.book.log),
            before
        );
        assert_eq!(town.bank.book.next_record, records);
        // The deed itself, on a copy, has the same answer down to the ids.
        let (_, done) = decide(&mut book, &[command], &Seal);
        assert_eq!(tried, done);
    }
}

#[test]
fn a_dry_run_sees_what_came_before_it_in_the_batch() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    let (_, answers) = bank.decide(&[
        dry(transfer(ALICE, from, to, 100)),
        transfer(ALICE, from, to, 60),
        dry(transfer(ALICE, from, to, 41)),
        dry(transfer(ALICE, from, to, 40)),
        transfer(ALICE, from, to, 40),
    ]);
    assert_eq!(answers[2], refused(Refusal::InsufficientFunds));
    assert!([0, 1, 3, 4].into_iter().all(|at| is_done(&answers[at])));
    assert_eq!(
        posted(&answers[3]).first_entry,
        posted(&answers[4]).first_entry,
        "the ids of a dry run are not spent"
    );
}

#[test]
fn a_memo_is_kept_only_with_its_transaction() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    let with_memo = |minor| {
        let mut command = transfer(ALICE, from, to, minor);
        if let Verb::Post(posting) = &mut command.verb {
            posting.memo = Some(SealedMemo {
                commitment: [4; 32],
                person: ALICE,
                sealed: vec![5, 6],
            });
        }
        command
    };
    let (changes, answers) = bank.decide(&[
        with_memo(101),
        dry(with_memo(1)),
        stale(with_memo(1)),
        with_memo(100),
    ]);
    let transaction = posted(&answers[3]);
    assert_eq!(transaction.memo, Some([4; 32]));
    assert_eq!(changes.memos.len(), 1);
    let memo = &changes.memos[0];
    assert_eq!((memo.transaction, memo.person), (transaction.id, ALICE));
    assert_eq!(memo.sealed, [5, 6]);
}

#[test]
fn an_empty_batch_changes_nothing() {
    let mut bank = Desk::new();
    let (changes, answers) = bank.decide(&[]);
    assert!(changes.is_empty() && answers.is_empty());
}
