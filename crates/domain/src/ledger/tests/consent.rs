//! What takes two people: cash above the bound, and limits beyond the bank's rules.

use super::desk::{
    ALICE, Desk, EUR, TELLER, amount, command, deposit, draw, freeze, is_done, posted, refused, scope_of,
    till, transfer, withdrawal,
};
use std::sync::Arc;

use crate::{
    account::FreezeScope,
    action::Action,
    id::{AccountId, ApprovalId, TransactionId, UserId},
    ledger::{
        Answer, ApprovedCash, Command, Consent, Fingerprint, Idempotency, NewAllowance, NewException,
        OpenApproval, Owned, Posting, Refusal, Verb,
    },
    limits::{Caps, Exception, LimitClass, LimitRules},
    time::Timestamp,
    transaction::TransactionKind,
};

const ADMIN: UserId = UserId::from_bytes([0xad; 16]);
const DIGEST: [u8; 32] = [7; 32];

/// A request that waits until a minute from now, and somebody's word about it.
fn consent(bank: &mut Desk) -> Consent {
    let approval = ApprovalId::from_bytes(draw());
    let open = OpenApproval {
        digest: DIGEST,
        expires_at: bank.book.booked_at.plus_seconds(60),
    };
    bank.book.payments.approvals.insert(approval, open);
    Consent {
        approval,
        digest: DIGEST,
        checker: ADMIN,
        sealed_reason: None,
    }
}

fn cash(consent: Consent, kind: TransactionKind, account: AccountId, minor: i64) -> Command {
    let (from, to) = match kind {
        TransactionKind::Deposit => (till(EUR), account),
        _ => (account, till(EUR)),
    };
    let posting = Posting {
        id: TransactionId::from_bytes(draw()),
        kind,
        from,
        to: Some(to),
        amount: amount(minor),
        currency: EUR,
        value_date: None,
        memo: None,
        salt: draw(),
    };
    let verb = Verb::Cash(ApprovedCash { posting, consent });
    command(ADMIN, Owned::ByAnyone, Action::CashDecide, verb)
}

fn except(
    account: AccountId,
    exception: Option<Exception>,
    before: Option<Exception>,
    consent: Option<Consent>,
) -> Command {
    let verb = Verb::Except(NewException {
        account,
        exception,
        before,
        consent,
    });
    command(ADMIN, Owned::ByAnyone, Action::LimitsExcept, verb)
}

fn bounded(bank: &mut Desk, units: i64) {
    bank.book.rules = Arc::new(LimitRules {
        two_people_over: Some(units),
        ..LimitRules::default()
    });
}

#[test]
fn cash_up_to_the_bound_takes_one_person_and_a_cent_more_takes_two() {
    let mut bank = Desk::new();
    let alice = bank.account(ALICE, 0);
    bounded(&mut bank, 10);
    assert!(is_done(&bank.one(&deposit(alice, 1_000))));
    assert_eq!(
        bank.one(&deposit(alice, 1_001)),
        refused(Refusal::SecondPersonNeeded)
    );
    assert_eq!(
        bank.one(&withdrawal(alice, 1_001)),
        refused(Refusal::InsufficientFunds)
    );
    bank.must(&deposit(alice, 1_000));
    assert_eq!(
        bank.one(&withdrawal(alice, 1_001)),
        refused(Refusal::SecondPersonNeeded)
    );
    let word = consent(&mut bank);
    let approval = word.approval;
    let (changes, answers) = bank.decide(&[cash(word, TransactionKind::Deposit, alice, 1_001)]);
    assert_eq!(posted(&answers[0]).amount.minor(), 1_001);
    assert_eq!(changes.payments.decided[0].approval, approval);
    let word = consent(&mut bank);
    bank.must(&cash(word, TransactionKind::Withdrawal, alice, 3_001));
    assert_eq!(bank.balance(alice), 0);
}

#[test]
fn one_word_books_cash_once_and_only_what_it_is_about() {
    let mut bank = Desk::new();
    let alice = bank.account(ALICE, 0);
    let word = consent(&mut bank);
    let good = cash(word.clone(), TransactionKind::Deposit, alice, 500);
    let with = |change: &dyn Fn(&mut ApprovedCash)| {
        let mut other = good.clone();
        if let Verb::Cash(new) = &mut other.verb {
            change(new);
        }
        other
    };
    let lied = with(&|new| new.consent.digest = [8; 32]);
    assert_eq!(bank.one(&lied), refused(Refusal::ApprovalClosed));
    let none = with(&|new| new.consent.approval = ApprovalId::from_bytes([3; 16]));
    assert_eq!(bank.one(&none), refused(Refusal::ApprovalClosed));
    // A word about cash moves nothing else, and a teller's own permit is none.
    let transfer = with(&|new| new.posting.kind = TransactionKind::Transfer);
    assert_eq!(bank.one(&transfer), refused(Refusal::AccountNotFound));
    let mut alone = good.clone();
    alone.authority.action = Action::DepositCreate;
    assert_eq!(bank.one(&alone), refused(Refusal::AccountNotFound));
    let mut dry = good.clone();
    dry.dry_run = true;
    assert_eq!(bank.one(&dry), refused(Refusal::AccountNotFound));
    let again = with(&|new| new.posting.id = TransactionId::from_bytes(draw()));
    let (changes, answers) = bank.decide(&[good, again]);
    assert!(is_done(&answers[0]));
    assert_eq!(answers[1], refused(Refusal::ApprovalClosed));
    assert_eq!((changes.payments.decided.len(), bank.balance(alice)), (1, 500));
}

#[test]
fn what_the_books_refuse_to_approved_cash_may_be_approved_again_under_the_same_key() {
    let mut bank = Desk::new();
    let alice = bank.account(ALICE, 400);
    let word = consent(&mut bank);
    let mut out = cash(word, TransactionKind::Withdrawal, alice, 500);
    out.idempotency = Some(Idempotency {
        tag: draw(),
        fingerprint: Fingerprint::from_bytes(vec![1; 8]),
    });
    assert_eq!(bank.one(&out), refused(Refusal::InsufficientFunds));
    bank.must(&deposit(alice, 100));
    bank.must(&freeze(TELLER, alice, FreezeScope::All));
    assert_eq!(bank.one(&out), refused(Refusal::AccountFrozen));
    let word = match &out.verb {
        Verb::Cash(new) => new.consent.clone(),
        other => panic!("{other:?}"),
    };
    bank.book.booked_at = bank.book.booked_at.plus_seconds(60);
    assert_eq!(
        bank.one(&out),
        refused(Refusal::ApprovalClosed),
        "its time is over: {word:?}"
    );
}

#[test]
fn more_than_the_rules_takes_two_people_and_less_takes_one() {
    let mut bank = Desk::new();
    let (alice, bob) = (bank.account(ALICE, 100_000), bank.account(super::desk::BOB, 0));
    let mut rules = LimitRules::default();
    rules.classes.insert(LimitClass::All, "10/20/-".parse().unwrap());
    bank.book.rules = Arc::new(rules);
    let pay = || transfer(ALICE, alice, bob, 1_500);
    assert_eq!(bank.one(&pay()), refused(Refusal::OverTransferLimit));
    let more = |bank: &Desk, secs: i64| Exception {
        until: bank.book.booked_at.plus_seconds(secs),
        caps: Caps {
            per_transfer: Some(2_000),
            ..Caps::NONE
        },
    };
    let wanted = more(&bank, 3_600);
    // Nobody alone, no customer, and not by a request that says something else.
    assert_eq!(
        bank.one(&except(alice, Some(wanted), None, None)),
        refused(Refusal::ApprovalClosed)
    );
    let word = consent(&mut bank);
    let good = except(alice, Some(wanted), None, Some(word.clone()));
    let mut own = good.clone();
    own.authority.scope = scope_of(ALICE);
    assert_eq!(bank.one(&own), refused(Refusal::AccountNotFound));
    let mut wrong = good.clone();
    wrong.authority.action = Action::LimitsChange;
    assert_eq!(bank.one(&wrong), refused(Refusal::AccountNotFound));
    bank.must(&good);
    assert_eq!(bank.one(&good), refused(Refusal::ApprovalClosed));
    bank.must(&pay());
    // What it does not name is as the rules say: the day has 500 left.
    assert_eq!(bank.one(&pay()), refused(Refusal::OverDailyLimit));
    // Asked for when nothing counted; something does now.
    let late = consent(&mut bank);
    let stale = except(alice, Some(more(&bank, 7_200)), None, Some(late.clone()));
    assert_eq!(bank.one(&stale), refused(Refusal::ApprovalStale));
    let over = Exception {
        until: bank.book.booked_at,
        ..wanted
    };
    let late = except(alice, Some(over), Some(wanted), Some(late));
    assert_eq!(bank.one(&late), refused(Refusal::ApprovalStale));
    bank.must(&except(alice, None, None, None));
    assert_eq!(
        bank.one(&transfer(ALICE, alice, bob, 1_001)),
        refused(Refusal::OverTransferLimit)
    );
    let changed: Timestamp = bank.book.booked_at;
    assert_eq!(bank.book.limits[&(ALICE, EUR)].exception(changed), None);
    assert!(matches!(
        bank.one(&transfer(ALICE, alice, bob, 500)),
        Answer::Done(_)
    ));
}

#[test]
fn operators_allow_less_alone_and_more_with_anothers_word() {
    let mut bank = Desk::new();
    let alice = bank.account(ALICE, 10_000);
    let daily = |most: i64| Caps {
        daily: Some(most),
        ..Caps::NONE
    };
    let allow = |caps, before, consent| {
        let verb = Verb::Allow(NewAllowance {
            account: alice,
            caps,
            before,
            consent,
        });
        command(ADMIN, Owned::ByAnyone, Action::LimitsSet, verb)
    };
    let (little, more) = (daily(500), daily(600));
    assert!(is_done(&bank.one(&allow(little, Caps::NONE, None))));
    for wider in [more, Caps::NONE] {
        assert_eq!(
            bank.one(&allow(wider, little, None)),
            refused(Refusal::SecondPersonNeeded)
        );
    }
    // Another's word counts once, for what it was about, and not about oneself.
    let word = consent(&mut bank);
    assert_eq!(
        bank.one(&allow(more, daily(400), Some(word.clone()))),
        refused(Refusal::ApprovalStale)
    );
    let mut own = word.clone();
    own.checker = ALICE;
    assert_eq!(
        bank.one(&allow(more, little, Some(own))),
        refused(Refusal::ReviewNotYours)
    );
    let good = allow(more, little, Some(word));
    let (changes, answers) = bank.decide(&[good.clone(), good]);
    assert!(is_done(&answers[0]));
    assert_eq!(answers[1], refused(Refusal::ApprovalClosed));
    assert_eq!(changes.payments.decided.len(), 1);
    assert_eq!(bank.book.limits[&(ALICE, EUR)].allowed(), more);
}
