//! What the bank's own bank says: each entry counts once, and the clearing account says what it says.

use proptest::{collection::vec, prelude::*};

use super::desk::{ALICE, BOB, Desk, EUR, TELLER, amount, command, draw, freeze, is_done, refused};
use crate::{
    account::{FreezeScope, SystemAccount},
    action::Action,
    id::{AccountId, ApprovalId, BeneficiaryId, PaymentId, RailFileId, SuspenseItemId, TransactionId},
    ledger::{
        Answer, Command, Done, NewReversal, OpenApproval, Owned, Refusal, Resolve, StatementEntry, Verb,
    },
    outgoing::{Outgoing, OutgoingState},
    rail::{Direction, EntryTag, SuspenseReason, tag_of},
    time::Timestamp,
    transaction::TransactionKind,
};

fn system(account: SystemAccount) -> AccountId {
    account.id(EUR)
}

/// A payment that was booked and, where it has a file, released, as the store would have loaded it.
fn pays(bank: &mut Desk, from: AccountId, minor: i64, left: bool) -> PaymentId {
    let id = PaymentId::from_bytes(draw());
    bank.edit(from).balance -= minor;
    bank.edit(system(SystemAccount::Clearing)).balance += minor;
    let payment = Outgoing {
        id,
        beneficiary: BeneficiaryId::from_bytes([1; 16]),
        payer: ALICE,
        account: from,
        to_account: None,
        amount: amount(minor),
        currency: EUR,
        state: OutgoingState::Pending,
        debited: false,
        file: left.then(|| RailFileId::from_bytes([2; 16])),
        paid_at: bank.book.booked_at,
        closed_at: None,
    };
    bank.book.sending.outgoing.insert(id, payment);
    id
}

fn tag(number: u8) -> EntryTag {
    tag_of("DE1", &number.to_string(), Direction::Credit, amount(1), EUR)
}

fn entry(tag: EntryTag, direction: Direction, minor: i64) -> StatementEntry {
    StatementEntry {
        id: TransactionId::from_bytes(draw()),
        tag,
        direction,
        back: false,
        amount: amount(minor),
        currency: EUR,
        payment: None,
        account: None,
        value_date: None,
        memo: None,
        sealed: vec![1],
        salt: draw(),
    }
}

fn says(entry: StatementEntry) -> Command {
    command(TELLER, Owned::ByAnyone, Action::RailSettle, Verb::Settle(entry))
}

fn went(bank: &Desk, number: u8, payment: PaymentId, minor: i64) -> StatementEntry {
    let account = bank.book.sending.outgoing[&payment].account;
    StatementEntry {
        payment: Some((payment, account)),
        ..entry(tag(number), Direction::Debit, minor)
    }
}

fn came_back(bank: &Desk, number: u8, payment: PaymentId, minor: i64) -> StatementEntry {
    StatementEntry {
        direction: Direction::Credit,
        back: true,
        ..went(bank, number, payment, minor)
    }
}

fn lies_there(bank: &mut Desk, entry: StatementEntry) -> (SuspenseReason, SuspenseItemId) {
    let id = entry.id.cast();
    let suspense = bank.balance(system(SystemAccount::Suspense));
    let moved = match entry.direction {
        Direction::Credit => entry.amount.minor(),
        Direction::Debit => -entry.amount.minor(),
    };
    assert!(is_done(&bank.one(&says(entry))));
    assert_eq!(bank.balance(system(SystemAccount::Suspense)), suspense + moved);
    (bank.book.rail.items[&id].reason, id)
}

#[test]
fn a_payment_goes_once_and_comes_back_once_in_any_order() {
    for back_first in [false, true] {
        let mut bank = Desk::new();
        let from = bank.account(ALICE, 1_000);
        let payment = pays(&mut bank, from, 300, true);
        let (out, back) = (went(&bank, 1, payment, 300), came_back(&bank, 2, payment, 300));
        let order = if back_first { [&back, &out] } else { [&out, &back] };
        for said in order {
            assert!(is_done(&bank.one(&says(said.clone()))));
            let again = bank.one(&says(said.clone()));
            assert_eq!(again, refused(Refusal::EntryKnown));
        }
        let known = &bank.book.sending.outgoing[&payment];
        assert_eq!((known.state, known.debited), (OutgoingState::Returned, true));
        assert_eq!(bank.balance(from), 1_000);
        // Under another name the same is said of nothing that is there.
        for (number, said) in [(3, out), (4, back)] {
            let said = StatementEntry {
                id: TransactionId::from_bytes(draw()),
                tag: tag(number),
                ..said
            };
            assert_eq!(lies_there(&mut bank, said).0, SuspenseReason::Unexpected);
        }
        assert_eq!(bank.balance(from), 1_000);
    }
}

#[test]
fn what_cannot_be_placed_lies_in_suspense_with_its_reason() {
    let mut bank = Desk::new();
    let (from, closed) = (bank.account(ALICE, 1_000), bank.account(ALICE, 0));
    bank.edit(closed).closed = true;
    let (left, waits) = (pays(&mut bank, from, 300, true), pays(&mut bank, from, 50, false));
    let nobody = StatementEntry {
        payment: Some((PaymentId::from_bytes(draw()), from)),
        ..entry(tag(1), Direction::Debit, 300)
    };
    let anothers = StatementEntry {
        payment: Some((left, closed)),
        ..entry(tag(2), Direction::Debit, 300)
    };
    let to_closed = StatementEntry {
        account: Some(closed),
        ..entry(tag(3), Direction::Credit, 5)
    };
    let to_bank = StatementEntry {
        account: Some(system(SystemAccount::Clearing)),
        ..entry(tag(4), Direction::Credit, 5)
    };
    let taken_back = StatementEntry {
        back: true,
        ..went(&bank, 5, left, 300)
    };
    for (said, reason) in [
        (nobody, SuspenseReason::UnknownReference),
        (anothers, SuspenseReason::UnknownReference),
        (to_closed, SuspenseReason::AccountUnavailable),
        (to_bank, SuspenseReason::UnknownAccount),
        (taken_back, SuspenseReason::UnknownReference),
        (
            entry(tag(6), Direction::Debit, 7),
            SuspenseReason::UnknownReference,
        ),
        (
            entry(tag(7), Direction::Credit, 7),
            SuspenseReason::UnknownAccount,
        ),
        (went(&bank, 8, left, 299), SuspenseReason::WrongAmount),
        (came_back(&bank, 9, left, 301), SuspenseReason::WrongAmount),
        (went(&bank, 10, waits, 50), SuspenseReason::Unexpected),
        (came_back(&bank, 11, waits, 50), SuspenseReason::Unexpected),
    ] {
        assert_eq!(lies_there(&mut bank, said).0, reason);
    }
    assert_eq!(bank.book.sending.outgoing[&left].state, OutgoingState::Pending);
    // Money comes back to a frozen account, but not to a closed one.
    assert!(is_done(&bank.one(&freeze(TELLER, from, FreezeScope::All))));
    let back = came_back(&bank, 12, left, 300);
    assert!(is_done(&bank.one(&says(back))));
    let frozen = StatementEntry {
        account: Some(from),
        ..entry(tag(13), Direction::Credit, 5)
    };
    assert_eq!(
        lies_there(&mut bank, frozen).0,
        SuspenseReason::AccountUnavailable
    );
}

#[test]
fn nobody_but_the_job_that_reads_statements_books_them() {
    let mut bank = Desk::new();
    let to = bank.account(ALICE, 0);
    let credit = StatementEntry {
        account: Some(to),
        ..entry(tag(1), Direction::Credit, 5)
    };
    for action in [
        Action::DepositCreate,
        Action::TransferCreate,
        Action::RailRelease,
        Action::SuspenseResolve,
    ] {
        let asked = Command {
            authority: crate::ledger::Authority {
                action,
                ..says(credit.clone()).authority
            },
            ..says(credit.clone())
        };
        assert_eq!(bank.one(&asked), refused(Refusal::AccountNotFound));
    }
    assert!(is_done(&bank.one(&says(credit))));
    assert_eq!(bank.balance(to), 5);
}

fn resolve(bank: &mut Desk, item: SuspenseItemId, account: AccountId) -> Resolve {
    let approval = ApprovalId::from_bytes(draw());
    let open = OpenApproval {
        digest: [4; 32],
        expires_at: Timestamp::from_micros(i64::MAX),
    };
    bank.book.payments.approvals.insert(approval, open);
    Resolve {
        id: TransactionId::from_bytes(draw()),
        item,
        account,
        currency: EUR,
        approval,
        digest: [4; 32],
        sealed_reason: None,
        maker: Some(TELLER),
        checker: BOB,
        salt: draw(),
    }
}

fn asks(asked: Resolve) -> Command {
    command(
        BOB,
        Owned::ByAnyone,
        Action::SuspenseResolve,
        Verb::Resolve(asked),
    )
}

#[test]
fn what_lies_in_suspense_is_taken_from_there_once_and_never_by_oneself() {
    let mut bank = Desk::new();
    let (to, own, closed) = (
        bank.account(ALICE, 0),
        bank.account(BOB, 100),
        bank.account(ALICE, 0),
    );
    bank.edit(closed).closed = true;
    let (_, credit) = lies_there(&mut bank, entry(tag(1), Direction::Credit, 70));
    let (_, debit) = lies_there(&mut bank, entry(tag(2), Direction::Debit, 30));
    for (account, refusal) in [
        (own, Refusal::ReviewNotYours),
        (closed, Refusal::AccountClosed),
        (system(SystemAccount::Clearing), Refusal::AccountNotFound),
        (system(SystemAccount::Suspense), Refusal::AccountNotFound),
        (super::desk::NOWHERE, Refusal::AccountNotFound),
    ] {
        let asked = resolve(&mut bank, credit, account);
        assert_eq!(bank.one(&asks(asked)), refused(refusal));
    }
    let mut other = resolve(&mut bank, credit, to);
    other.digest = [5; 32];
    assert_eq!(bank.one(&asks(other)), refused(Refusal::ApprovalClosed));
    let nothing = resolve(&mut bank, SuspenseItemId::from_bytes(draw()), to);
    assert_eq!(bank.one(&asks(nothing)), refused(Refusal::SuspenseNotFound));

    let (first, second) = (resolve(&mut bank, credit, to), resolve(&mut bank, credit, to));
    let answers = bank.decide(&[asks(first.clone()), asks(second), asks(first)]).1;
    assert!(is_done(&answers[0]));
    assert_eq!(answers[1], refused(Refusal::SuspenseClosed));
    assert_eq!(answers[2], refused(Refusal::ApprovalClosed));
    assert_eq!(bank.balance(to), 70);
    // What went is paid by somebody who has it, or by the bank.
    let (poor, equity) = (bank.account(ALICE, 29), system(SystemAccount::Equity));
    let asked = resolve(&mut bank, debit, poor);
    assert_eq!(bank.one(&asks(asked)), refused(Refusal::InsufficientFunds));
    let before = bank.balance(equity);
    let asked = resolve(&mut bank, debit, equity);
    assert!(is_done(&bank.one(&asks(asked))));
    assert_eq!(bank.balance(equity), before - 30);
    assert_eq!(bank.balance(system(SystemAccount::Suspense)), 0);
}

#[test]
fn what_came_from_another_bank_is_not_reversed_as_if_it_had_not() {
    let mut bank = Desk::new();
    let to = bank.account(ALICE, 0);
    let credit = StatementEntry {
        account: Some(to),
        ..entry(tag(1), Direction::Credit, 5)
    };
    let of = credit.id;
    assert!(is_done(&bank.one(&says(credit))));
    let approval = resolve(&mut bank, of.cast(), to).approval;
    let new = NewReversal {
        id: TransactionId::from_bytes(draw()),
        of,
        kind: TransactionKind::Deposit,
        from: to,
        to: system(SystemAccount::Clearing),
        amount: amount(5),
        currency: EUR,
        approval,
        digest: [4; 32],
        sealed_reason: None,
        checker: BOB,
        salt: draw(),
    };
    let asked = command(BOB, Owned::ByAnyone, Action::TransferReverse, Verb::Reverse(new));
    assert_eq!(bank.one(&asked), refused(Refusal::NotReversible));
}

#[derive(Debug, Clone)]
enum Said {
    Went(usize, i64),
    Back(usize, i64),
    Credit(bool, i64),
    Debit(i64),
}

fn said() -> impl Strategy<Value = (u8, Said)> {
    let minor = prop_oneof![Just(100_i64), Just(200), 1..300_i64];
    let what = prop_oneof![
        (0..4_usize, minor.clone()).prop_map(|(at, minor)| Said::Went(at, minor)),
        (0..4_usize, minor.clone()).prop_map(|(at, minor)| Said::Back(at, minor)),
        (any::<bool>(), minor.clone()).prop_map(|(known, minor)| Said::Credit(known, minor)),
        minor.prop_map(Said::Debit),
    ];
    (0..12_u8, what)
}

proptest! {
    /// However often, in whatever order and with whatever mistakes it is said: the clearing account moved by what was
    /// said the first time, and nobody's money by more than it should.
    #[test]
    fn the_clearing_account_says_what_the_statements_say(all in vec(said(), 0..60)) {
        let mut bank = Desk::new();
        let from = bank.account(ALICE, 10_000);
        let payments: Vec<_> = (0..4).map(|at| pays(&mut bank, from, 100 * (1 + at % 2), at < 3)).collect();
        let under_way = |bank: &Desk| -> i64 {
            let known = payments.iter().filter_map(|id| bank.book.sending.outgoing.get(id));
            known.filter(|payment| !payment.debited).map(|payment| payment.amount.minor()).sum()
        };
        let mut seen = std::collections::BTreeSet::new();
        let mut moved = 0;
        for (number, said) in all {
            let entry = match said {
                Said::Went(at, minor) => went(&bank, number, payments[at], minor),
                Said::Back(at, minor) => came_back(&bank, number, payments[at], minor),
                Said::Credit(known, minor) => StatementEntry {
                    account: known.then_some(from),
                    ..entry(tag(number), Direction::Credit, minor)
                },
                Said::Debit(minor) => entry(tag(number), Direction::Debit, minor),
            };
            let (direction, minor) = (entry.direction, entry.amount.minor());
            let answer = bank.one(&says(entry));
            if seen.insert(number) {
                prop_assert!(is_done(&answer));
                if let Answer::Done(done) = &answer {
                    prop_assert!(matches!(**done, Done::Posted(_) | Done::Sent(_)));
                }
                moved += match direction {
                    Direction::Credit => minor,
                    Direction::Debit => -minor,
                };
            } else {
                prop_assert_eq!(answer, refused(Refusal::EntryKnown));
            }
            prop_assert_eq!(under_way(&bank) - bank.balance(system(SystemAccount::Clearing)), moved);
        }
        for id in &payments {
            let payment = &bank.book.sending.outgoing[id];
            prop_assert!(payment.file.is_some() || payment.state == OutgoingState::Pending);
        }
    }
}
