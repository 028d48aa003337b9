//! Payments, refunds and reversals: together never more comes back than went, and what looks like a mistake is asked
//! about.

use super::desk::{
    ALICE, BOB, Desk, EUR, TELLER, amount, command, draw, freeze, is_done, post, posted, refused, scope_of,
    transfer,
};
use crate::{
    account::FreezeScope,
    action::Action,
    id::{AccountId, ApprovalId, MerchantId, PaymentId, TransactionId, UserId},
    ledger::{
        Answer, Command, Done, NewPayment, NewReversal, OpenApproval, Owned, PaymentRef, Posting, Refund,
        Refusal, Verb,
    },
    payment::{DUPLICATE_WINDOW_SECS, Payment},
    transaction::{Transaction, TransactionKind},
};

const EVE: UserId = UserId::from_bytes([0xee; 16]);
const ADMIN: UserId = UserId::from_bytes([0xad; 16]);
const DIGEST: [u8; 32] = [7; 32];

fn pay(by: UserId, from: AccountId, to: AccountId, minor: i64, confirmed: Option<PaymentId>) -> Command {
    let posting = Posting {
        id: TransactionId::from_bytes(draw()),
        kind: TransactionKind::Payment,
        from,
        to: Some(to),
        amount: amount(minor),
        currency: EUR,
        value_date: None,
        memo: None,
        salt: draw(),
    };
    let new = NewPayment {
        posting,
        merchant: MerchantId::from_bytes([9; 16]),
        payer: by,
        confirmed,
    };
    command(by, scope_of(by), Action::PaymentCreate, Verb::Pay(new))
}

fn refund(by: UserId, payment: &Payment, minor: Option<i64>) -> Command {
    let asked = Refund {
        id: TransactionId::from_bytes(draw()),
        payment: PaymentRef {
            id: payment.id,
            account: payment.account,
            to: payment.to_account,
        },
        amount: minor.map(amount),
        memo: None,
        salt: draw(),
    };
    command(by, scope_of(by), Action::PaymentRefund, Verb::Refund(asked))
}

/// Takes back a movement by an approval of its own.
fn reverse(bank: &mut Desk, of: &Transaction) -> Command {
    let approval = ApprovalId::from_bytes(draw());
    let open = OpenApproval {
        digest: DIGEST,
        expires_at: bank.book.booked_at.plus_seconds(60),
    };
    bank.book.payments.approvals.insert(approval, open);
    let new = NewReversal {
        id: TransactionId::from_bytes(draw()),
        of: of.id,
        kind: of.kind,
        from: of.to_account,
        to: of.from_account,
        amount: of.amount,
        currency: of.currency,
        approval,
        digest: DIGEST,
        sealed_reason: None,
        checker: ADMIN,
        salt: draw(),
    };
    command(
        ADMIN,
        Owned::ByAnyone,
        Action::TransferReverse,
        Verb::Reverse(new),
    )
}

fn town() -> (Desk, AccountId, AccountId) {
    let mut bank = Desk::new();
    let (alice, shop) = (bank.account(ALICE, 10_000), bank.account(BOB, 0));
    (bank, alice, shop)
}

fn told(answer: &Answer) -> Payment {
    match answer {
        Answer::Done(done) => match &**done {
            Done::Paid(payment) | Done::Refunded(_, payment) => payment.clone(),
            other => panic!("no payment but {other:?}"),
        },
        other => panic!("no payment but {other:?}"),
    }
}

/// The payment and its transaction.
fn paid(bank: &mut Desk, from: AccountId, to: AccountId, minor: i64) -> (Payment, Transaction) {
    let (changes, answers) = bank.decide(&[pay(ALICE, from, to, minor, None)]);
    (told(&answers[0]), changes.transactions[0].clone())
}

#[test]
fn a_payment_moves_money_once_and_its_record_says_all_of_it() {
    let (mut bank, alice, shop) = town();
    let (changes, answers) = bank.decide(&[pay(ALICE, alice, shop, 700, None)]);
    let payment = told(&answers[0]);
    assert_eq!((bank.balance(alice), bank.balance(shop)), (9_300, 700));
    assert_eq!(changes.transactions[0].kind, TransactionKind::Payment);
    assert_eq!(
        changes.records[0].details.payment_state(),
        Some((payment.clone(), 700))
    );
    let (changes, answers) = bank.decide(&[refund(BOB, &payment, Some(200))]);
    let after = told(&answers[0]);
    assert_eq!((after.refunded, after.left()), (200, 500));
    assert_eq!(changes.records[0].details.payment_state(), Some((after, 200)));
    assert_eq!((bank.balance(alice), bank.balance(shop)), (9_500, 500));
}

#[test]
fn a_payment_or_its_refund_cannot_be_posted_without_its_verb() {
    let (mut bank, alice, shop) = town();
    for kind in [
        TransactionKind::Payment,
        TransactionKind::Refund,
        TransactionKind::Reversal,
    ] {
        let posting = post(ALICE, kind, alice, shop, 1, EUR);
        assert_eq!(bank.one(&posting), refused(Refusal::AccountNotFound), "{kind:?}");
    }
    let (payment, _) = paid(&mut bank, alice, shop, 700);
    let mut wrong = refund(BOB, &payment, None);
    wrong.authority.action = Action::PaymentCreate;
    assert_eq!(bank.one(&wrong), refused(Refusal::PaymentNotFound));
    for other in [ALICE, EVE] {
        assert_eq!(
            bank.one(&refund(other, &payment, None)),
            refused(Refusal::PaymentNotFound)
        );
    }
    assert!(is_done(&bank.one(&refund(BOB, &payment, None))));
}

#[test]
fn of_two_payments_alike_in_one_batch_the_second_is_asked_about() {
    let (mut bank, alice, shop) = town();
    let twins = [
        pay(ALICE, alice, shop, 700, None),
        pay(ALICE, alice, shop, 700, None),
        pay(ALICE, alice, shop, 701, None),
    ];
    let (changes, answers) = bank.decide(&twins);
    let first = told(&answers[0]).id;
    assert_eq!(answers[1], Answer::DuplicateSuspected(first));
    assert!(is_done(&answers[2]));
    assert_eq!(changes.records[1].outcome, "duplicate_suspected");
    // The word goes for one payment: two that have it at once are not both meant.
    let both = [
        pay(ALICE, alice, shop, 700, Some(first)),
        pay(ALICE, alice, shop, 700, Some(first)),
    ];
    let (_, answers) = bank.decide(&both);
    let second = told(&answers[0]).id;
    assert_eq!(answers[1], Answer::DuplicateSuspected(second));
}

#[test]
fn after_two_minutes_nothing_looks_like_a_mistake_any_more() {
    let (mut bank, alice, shop) = town();
    let (payment, _) = paid(&mut bank, alice, shop, 700);
    let end = payment.paid_at.plus_seconds(DUPLICATE_WINDOW_SECS);
    bank.book.booked_at = crate::time::Timestamp::from_micros(end.micros() - 1);
    assert_eq!(
        bank.one(&pay(ALICE, alice, shop, 700, None)),
        Answer::DuplicateSuspected(payment.id)
    );
    bank.book.booked_at = end;
    bank.must(&pay(ALICE, alice, shop, 700, None));
}

#[test]
fn refunds_and_a_reversal_of_one_batch_share_what_was_paid() {
    let (mut bank, alice, shop) = town();
    let (payment, transaction) = paid(&mut bank, alice, shop, 1_000);
    let reversal = reverse(&mut bank, &transaction);
    let commands = [
        refund(BOB, &payment, Some(300)),
        refund(BOB, &payment, Some(701)),
        reversal,
        refund(BOB, &payment, Some(1)),
        refund(BOB, &payment, None),
    ];
    let (changes, answers) = bank.decide(&commands);
    assert_eq!(answers[1], refused(Refusal::ExceedsPayment));
    assert_eq!(posted(&answers[2]).amount.minor(), 700);
    assert_eq!(answers[3], refused(Refusal::PaymentClosed));
    assert_eq!(answers[4], refused(Refusal::PaymentClosed));
    assert_eq!((bank.balance(alice), bank.balance(shop)), (10_000, 0));
    assert_eq!(changes.payments.reversals.len(), 1);
    assert_eq!(changes.payments.decided.len(), 1);
}

#[test]
fn a_movement_is_reversed_once_by_an_approval_that_is_open_and_says_so() {
    let (mut bank, alice, shop) = town();
    let sent = posted(&bank.one(&transfer(ALICE, alice, shop, 400))).clone();
    let (first, second) = (reverse(&mut bank, &sent), reverse(&mut bank, &sent));
    let changed = |command: &Command, change: &dyn Fn(&mut NewReversal)| {
        let mut command = command.clone();
        if let Verb::Reverse(new) = &mut command.verb {
            change(new);
        }
        command
    };
    let other = changed(&first, &|new| new.digest = [8; 32]);
    assert_eq!(bank.one(&other), refused(Refusal::ApprovalClosed));
    let none = changed(&first, &|new| new.approval = ApprovalId::from_bytes([3; 16]));
    assert_eq!(bank.one(&none), refused(Refusal::ApprovalClosed));
    let mut by_customer = first.clone();
    by_customer.authority.action = Action::TransferCreate;
    assert_eq!(bank.one(&by_customer), refused(Refusal::NotReversible));

    bank.must(&freeze(TELLER, alice, FreezeScope::All));
    bank.must(&freeze(TELLER, shop, FreezeScope::All));
    let (changes, answers) = bank.decide(&[first.clone(), second.clone(), first]);
    let contra = posted(&answers[0]).clone();
    assert_eq!(answers[1], refused(Refusal::AlreadyReversed));
    assert_eq!(answers[2], refused(Refusal::ApprovalClosed));
    let approval = changes.payments.reversals[0].approval;
    assert_eq!(changes.records[0].details.reversal(), Some((sent.id, approval)));
    assert_eq!((bank.balance(alice), bank.balance(shop)), (10_000, 0));
    let again = reverse(&mut bank, &contra);
    assert_eq!(bank.one(&again), refused(Refusal::NotReversible));
}

#[test]
fn a_reversal_brings_nobody_below_the_floor_and_its_approval_stays_open() {
    let (mut bank, alice, shop) = town();
    let eve = bank.account(EVE, 0);
    let sent = posted(&bank.one(&transfer(ALICE, alice, shop, 400))).clone();
    bank.must(&transfer(BOB, shop, eve, 1));
    let late = reverse(&mut bank, &sent);
    assert_eq!(bank.one(&late), refused(Refusal::InsufficientFunds));
    bank.must(&transfer(EVE, eve, shop, 1));
    bank.must(&late);
    assert_eq!((bank.balance(alice), bank.balance(shop)), (10_000, 0));
}

#[test]
fn an_approval_that_is_over_reverses_nothing() {
    let (mut bank, alice, shop) = town();
    let sent = posted(&bank.one(&transfer(ALICE, alice, shop, 400))).clone();
    let late = reverse(&mut bank, &sent);
    bank.book.booked_at = bank.book.booked_at.plus_seconds(60);
    assert_eq!(bank.one(&late), refused(Refusal::ApprovalClosed));
}
