//! Transfers that wait for a look: their money is nobody else's, and moves by one decision.

use std::sync::Arc;

use super::desk::{
    ALICE, BOB, Desk, TELLER, capture, command, deposit, draw, is_done, keyed, refused, transfer, void,
};
use crate::{
    account::FreezeScope,
    action::Action,
    fraud::{FraudMode, FraudRules, Rule, RuleMode, Verdict},
    hold::Hold,
    id::{AccountId, StepUpId, TransactionId, UserId},
    ledger::{
        Answer, Command, DecideReview, Done, HoldRef, Order, Owned, REVIEW_SECS, Refusal, ReviewState,
        ReviewVerb, StepUp, StepUpClaim, Verb, decide_orders,
    },
    limits::LimitRules,
    transaction::TransactionKind,
};

const CLERK: UserId = UserId::from_bytes([0xc1; 16]);

/// One rule: what is 100 or more has this verdict.
fn rules(mode: FraudMode, verdict: Verdict) -> Arc<FraudRules> {
    let rule = Rule::new("large", 3, "amount >= 100", verdict, 50, RuleMode::Enforce).unwrap();
    Arc::new(FraudRules {
        trial: None,
        mode,
        revision: 6,
        rules: vec![rule],
    })
}

struct Bank {
    desk: Desk,
    from: AccountId,
    to: AccountId,
}

fn bank(verdict: Verdict) -> Bank {
    let mut desk = Desk::new();
    let (from, to) = (desk.account(ALICE, 1_000), desk.account(BOB, 0));
    desk.book.fraud.rules = rules(FraudMode::Enforce, verdict);
    Bank { desk, from, to }
}

impl Bank {
    fn send(&self, minor: i64) -> Command {
        transfer(ALICE, self.from, self.to, minor)
    }

    /// A transfer that waits.
    fn waiting(&mut self, minor: i64) -> Hold {
        let answer = self.desk.one(&self.send(minor));
        reviewed(&answer).clone()
    }

    fn decide(&self, hold: &Hold, by: UserId, verb: ReviewVerb) -> Command {
        let (action, scope) = match verb {
            ReviewVerb::Cancel => (Action::TransferCancel, Owned::By(by)),
            ReviewVerb::Release | ReviewVerb::Reject => (Action::ReviewDecide, Owned::ByAnyone),
        };
        let asked = DecideReview {
            id: hold.id.cast(),
            account: hold.account,
            to: hold.to_account,
            verb,
            by,
            first: None,
            memo: None,
            value_date: None,
            salt: draw(),
            sealed_reason: None,
        };
        command(by, scope, action, Verb::Review(asked))
    }

    fn spendable(&self) -> i64 {
        self.desk.get(self.from).spendable().unwrap()
    }
}

fn reviewed(answer: &Answer) -> &Hold {
    match answer {
        Answer::Done(done) => match &**done {
            Done::Reviewed(hold) => hold,
            other => panic!("not reviewed but {other:?}"),
        },
        other => panic!("not reviewed but {other:?}"),
    }
}

#[test]
fn what_waits_reserves_its_money_and_a_release_moves_it_under_the_same_id() {
    let mut bank = bank(Verdict::Review);
    let sent = bank.send(400);
    let (changes, answers) = bank.desk.decide(std::slice::from_ref(&sent));
    let hold = reviewed(&answers[0]).clone();
    assert!(changes.transactions.is_empty());
    assert_eq!((bank.spendable(), bank.desk.balance(bank.to)), (600, 0));
    let filed = &changes.fraud.filed[0];
    assert_eq!(
        (filed.rules.as_str(), filed.score, filed.state()),
        ("large/3", 50, ReviewState::Open)
    );
    let release = bank.decide(&hold, CLERK, ReviewVerb::Release);
    let (changes, answers) = bank.desk.decide(&[release]);
    assert!(is_done(&answers[0]), "{answers:?}");
    let booked = &changes.transactions[0];
    assert_eq!(booked.id, TransactionId::from_bytes(*hold.id.as_bytes()));
    assert_eq!(
        (booked.kind, booked.amount.minor()),
        (TransactionKind::Transfer, 400)
    );
    assert_eq!(
        (bank.desk.balance(bank.from), bank.desk.balance(bank.to)),
        (600, 400)
    );
    assert_eq!(bank.spendable(), 600);
    assert_eq!(changes.fraud.decided[0].state, ReviewState::Released);
}

#[test]
fn the_record_of_a_movement_names_the_rules_that_it_was_held_against() {
    let mut bank = bank(Verdict::Review);
    let commands = [bank.send(99), bank.send(100), deposit(bank.from, 1)];
    let (changes, answers) = bank.desk.decide(&commands);
    assert!(answers.iter().all(is_done), "{answers:?}");
    assert_eq!(changes.fraud.filed[0].revision, 6);
    let named: Vec<_> = changes
        .records
        .iter()
        .map(|record| record.details.fraud_rules())
        .collect();
    assert_eq!(named, [Some(6), Some(6), None], "what is not measured names none");
    assert!(changes.records[0].details.transaction_digest().is_some());
    let hold = reviewed(&answers[1]).clone();
    assert_eq!(changes.records[1].details.hold_state(), Some(hold.clone()));
    // Who releases it holds it against nothing.
    let release = bank.decide(&hold, CLERK, ReviewVerb::Release);
    let (changes, _) = bank.desk.decide(&[release]);
    assert_eq!(changes.records[0].details.fraud_rules(), None);
    bank.desk.book.fraud.rules = rules(FraudMode::Enforce, Verdict::Refuse);
    let (changes, answers) = bank.desk.decide(&[bank.send(100)]);
    assert_eq!(answers, [refused(Refusal::Declined)]);
    assert_eq!(changes.records[0].details.fraud_rules(), Some(6));
}

#[test]
fn of_release_reject_and_cancel_the_first_counts() {
    let verbs = [
        (ReviewVerb::Release, CLERK),
        (ReviewVerb::Reject, CLERK),
        (ReviewVerb::Cancel, ALICE),
    ];
    for first in verbs {
        for second in verbs {
            let mut bank = bank(Verdict::Review);
            let hold = bank.waiting(400);
            let commands = [
                bank.decide(&hold, first.1, first.0),
                bank.decide(&hold, second.1, second.0),
            ];
            let (changes, answers) = bank.desk.decide(&commands);
            assert!(is_done(&answers[0]), "{first:?}: {answers:?}");
            assert_eq!(answers[1], refused(Refusal::ReviewClosed), "{first:?} {second:?}");
            assert_eq!(changes.fraud.decided.len(), 1);
            let went = if first.0 == ReviewVerb::Release { 400 } else { 0 };
            assert_eq!(
                (bank.spendable(), bank.desk.balance(bank.to)),
                (1_000 - went, went)
            );
        }
    }
}

#[test]
fn the_verbs_of_holds_do_not_see_what_waits_for_a_look() {
    let mut bank = bank(Verdict::Review);
    let hold = bank.waiting(400);
    let meant = HoldRef {
        id: hold.id,
        account: bank.from,
        to: bank.to,
    };
    for by in [ALICE, BOB, TELLER] {
        let answers = [
            bank.desk.one(&capture(by, meant, None, true)),
            bank.desk.one(&void(by, meant)),
        ];
        assert_eq!(
            answers,
            [refused(Refusal::HoldNotFound), refused(Refusal::HoldNotFound)]
        );
    }
}

#[test]
fn neither_side_of_a_transfer_releases_it_nor_somebody_twice() {
    let mut bank = bank(Verdict::Review);
    let hold = bank.waiting(400);
    for by in [ALICE, BOB] {
        for verb in [ReviewVerb::Release, ReviewVerb::Reject] {
            let asked = bank.decide(&hold, by, verb);
            assert_eq!(
                bank.desk.one(&asked),
                refused(Refusal::ReviewNotYours),
                "{verb:?}"
            );
        }
    }
    let mut second = bank.decide(&hold, CLERK, ReviewVerb::Release);
    if let Verb::Review(asked) = &mut second.verb {
        asked.first = Some(CLERK);
    }
    assert_eq!(bank.desk.one(&second), refused(Refusal::ReviewNotYours));
    if let Verb::Review(asked) = &mut second.verb {
        asked.first = Some(TELLER);
    }
    assert!(is_done(&bank.desk.one(&second)));
}

#[test]
fn a_permit_for_one_decision_makes_no_other_and_one_in_anothers_name_none() {
    let mut bank = bank(Verdict::Review);
    let hold = bank.waiting(400);
    let release = bank.decide(&hold, CLERK, ReviewVerb::Release);
    let with = |change: fn(&mut Command)| {
        let mut other = release.clone();
        change(&mut other);
        other
    };
    let wrong = [
        with(|command| command.authority.action = Action::TransferCancel),
        with(|command| command.authority.action = Action::HoldCapture),
        with(|command| command.authority.scope = Owned::By(BOB)),
        with(|command| command.dry_run = true),
        with(|command| match &mut command.verb {
            Verb::Review(asked) => asked.by = TELLER,
            other => panic!("{other:?}"),
        }),
        bank.decide(&hold, BOB, ReviewVerb::Cancel),
    ];
    for command in wrong {
        assert_eq!(
            bank.desk.one(&command),
            refused(Refusal::ReviewNotFound),
            "{command:?}"
        );
    }
    assert!(is_done(&bank.desk.one(&release)));
}

#[test]
fn what_nobody_looked_at_in_time_is_given_back() {
    let mut bank = bank(Verdict::Review);
    let hold = bank.waiting(400);
    bank.desk.book.booked_at = bank.desk.book.booked_at.plus_seconds(REVIEW_SECS);
    let release = bank.decide(&hold, CLERK, ReviewVerb::Release);
    assert_eq!(bank.desk.one(&release), refused(Refusal::ReviewClosed));
    assert_eq!((bank.spendable(), bank.desk.balance(bank.to)), (1_000, 0));
}

#[test]
fn a_freeze_stops_a_release_and_the_review_waits_on() {
    let mut bank = bank(Verdict::Review);
    let hold = bank.waiting(400);
    bank.desk
        .must(&super::desk::freeze(TELLER, bank.from, FreezeScope::Debits));
    let release = bank.decide(&hold, CLERK, ReviewVerb::Release);
    assert_eq!(bank.desk.one(&release), refused(Refusal::AccountFrozen));
    bank.desk.must(&super::desk::unfreeze(TELLER, bank.from));
    assert!(is_done(&bank.desk.one(&bank.decide(
        &hold,
        CLERK,
        ReviewVerb::Release
    ))));
}

#[test]
fn what_is_rejected_may_be_paid_again_today() {
    let mut bank = bank(Verdict::Review);
    bank.desk.book.rules = Arc::new(LimitRules {
        classes: [(crate::limits::LimitClass::Transfers, "-/5/-".parse().unwrap())].into(),
        ..LimitRules::default()
    });
    let hold = bank.waiting(400);
    assert_eq!(bank.desk.one(&bank.send(101)), refused(Refusal::OverDailyLimit));
    let reject = bank.decide(&hold, CLERK, ReviewVerb::Reject);
    bank.desk.must(&reject);
    assert!(is_done(&bank.desk.one(&bank.send(500))));
}

#[test]
fn a_step_up_is_no_outcome_and_the_approved_request_goes() {
    let mut bank = bank(Verdict::StepUp);
    let sent = keyed(bank.send(400), 1, &[7]);
    let (changes, answers) = bank.desk.decide(std::slice::from_ref(&sent));
    assert_eq!(answers, [Answer::StepUpNeeded]);
    assert!(changes.outcomes.is_empty() && changes.transactions.is_empty());
    assert_eq!(changes.fraud.filed[0].state(), ReviewState::Noted);
    let approval = StepUpId::from_bytes(draw());
    let end = bank.desk.book.booked_at.plus_seconds(60);
    let stored = StepUp {
        request: [5; 32],
        expires_at: end,
        spent: false,
    };
    bank.desk.book.step_ups.insert(approval, stored);
    let approved = Command {
        step_up: Some(StepUpClaim {
            request: [5; 32],
            approval: Some(approval),
            asked_at: bank.desk.book.booked_at,
            no_factor: false,
        }),
        ..sent
    };
    assert!(is_done(&bank.desk.one(&approved)));
    assert_eq!(bank.desk.balance(bank.to), 400);
}

#[test]
fn whoever_has_no_factor_is_looked_at_instead() {
    let mut bank = bank(Verdict::StepUp);
    let sent = bank.send(400);
    let unable = Command {
        step_up: Some(StepUpClaim {
            request: [5; 32],
            approval: None,
            asked_at: bank.desk.book.booked_at,
            no_factor: true,
        }),
        ..sent
    };
    reviewed(&bank.desk.one(&unable));
    assert_eq!(bank.desk.balance(bank.to), 0);
}

#[test]
fn an_approved_request_that_has_to_be_looked_at_is_looked_at() {
    let mut bank = bank(Verdict::Review);
    let approval = StepUpId::from_bytes(draw());
    let now = bank.desk.book.booked_at;
    let stored = StepUp {
        request: [5; 32],
        expires_at: now.plus_seconds(60),
        spent: false,
    };
    bank.desk.book.step_ups.insert(approval, stored);
    let approved = Command {
        step_up: Some(StepUpClaim {
            request: [5; 32],
            approval: Some(approval),
            asked_at: now,
            no_factor: false,
        }),
        ..bank.send(400)
    };
    reviewed(&bank.desk.one(&approved));
}

#[test]
fn within_a_batch_nobody_can_be_asked_and_what_is_unusual_waits() {
    let mut bank = bank(Verdict::StepUp);
    let order = Order {
        commands: vec![bank.send(400), bank.send(50)],
        all_or_none: true,
        step_up: None,
    };
    let (_, answers) = decide_orders(&mut bank.desk.book, &[order], &super::desk::Seal);
    reviewed(&answers[0][0]);
    assert_eq!(super::desk::posted(&answers[0][1]).amount.minor(), 50);
    // Alone again, one is asked.
    assert_eq!(bank.desk.one(&bank.send(400)), Answer::StepUpNeeded);
}

#[test]
fn what_is_refused_for_fraud_says_no_more_than_that() {
    let mut bank = bank(Verdict::Refuse);
    let (changes, answers) = bank.desk.decide(&[bank.send(400)]);
    assert_eq!(answers, [refused(Refusal::Declined)]);
    assert_eq!((bank.spendable(), changes.fraud.filed.len()), (1_000, 1));
    assert!(is_done(&bank.desk.one(&bank.send(99))));
}

#[test]
fn a_missing_row_is_looked_at_and_begins_anew_with_the_release() {
    let mut bank = bank(Verdict::Review);
    bank.desk.book.fraud.rules = Arc::new(FraudRules::built_in(FraudMode::Enforce));
    assert!(matches!(&bank.desk.one(&bank.send(5)), Answer::Done(done) if matches!(**done, Done::Posted(_))));
    bank.desk.book.fraud.rows.remove(&(ALICE, super::desk::EUR));
    let hold = bank.waiting(5);
    bank.desk.must(&bank.decide(&hold, CLERK, ReviewVerb::Release));
    assert!(matches!(&bank.desk.one(&bank.send(5)), Answer::Done(done) if matches!(**done, Done::Posted(_))));
}

#[test]
fn neither_cash_nor_money_between_own_accounts_is_measured_and_shadow_stops_nothing() {
    let mut bank = bank(Verdict::Refuse);
    let own = bank.desk.account(ALICE, 0);
    bank.desk.must(&transfer(ALICE, bank.from, own, 400));
    bank.desk.must(&deposit(bank.from, 700));
    bank.desk.must(&super::desk::withdrawal(bank.from, 300));
    bank.desk.book.fraud.rules = rules(FraudMode::Shadow, Verdict::Refuse);
    let (changes, answers) = bank
        .desk
        .decide(&[bank.send(400), super::desk::dry(bank.send(400))]);
    assert!(answers.iter().all(is_done), "{answers:?}");
    // What would have followed is told to whoever watches, once for what was booked.
    assert_eq!(changes.fraud.met, [(("large".to_owned(), 3), false)]);
    assert!(changes.fraud.filed.is_empty());
}
