//! Payments to beneficiaries: the list's owner alone pays them, little at first, and takes back what has not left.

use std::sync::Arc;

use proptest::prelude::*;

use super::desk::{
    ALICE, BOB, Desk, EUR, amount, command, draw, freeze, is_done, limit, refused, scope_of, usd,
};
use crate::{
    account::{FreezeScope, SystemAccount},
    action::Action,
    beneficiary::{Beneficiary, RampRules},
    id::{AccountId, BeneficiaryId, PaymentId, RailFileId, TransactionId, UserId},
    ledger::{Answer, Cancel, Command, Done, KeyBounds, NewSending, Posting, Refusal, Verb},
    limits::{Caps, LimitClass, LimitRules, Moment},
    outgoing::{Outgoing, OutgoingState},
    transaction::TransactionKind,
};

const EVE: UserId = UserId::from_bytes([0xee; 16]);

fn clearing() -> AccountId {
    SystemAccount::Clearing.id(EUR)
}

/// Somebody on a list, as the store would have loaded it.
fn add(bank: &mut Desk, owner: UserId, account: Option<AccountId>) -> BeneficiaryId {
    let id = BeneficiaryId::from_bytes(draw());
    let beneficiary = Beneficiary {
        id,
        owner,
        account,
        currency: EUR,
        added_at: bank.book.booked_at,
        removed: false,
        paid: 0,
        last: None,
        earlier: Vec::new(),
    };
    bank.book.sending.beneficiaries.insert(id, beneficiary);
    id
}

fn send(by: UserId, from: AccountId, beneficiary: BeneficiaryId, to: AccountId, minor: i64) -> Command {
    let kind = match to == clearing() {
        true => TransactionKind::Payment,
        false => TransactionKind::Transfer,
    };
    let new = NewSending {
        posting: Posting {
            id: TransactionId::from_bytes(draw()),
            kind,
            from,
            to: Some(to),
            amount: amount(minor),
            currency: EUR,
            value_date: None,
            memo: None,
            salt: draw(),
        },
        beneficiary,
        payer: by,
        confirmed: None,
    };
    command(by, scope_of(by), Action::PaymentCreate, Verb::Send(new))
}

fn cancel(by: UserId, payment: &Outgoing) -> Command {
    let asked = Cancel {
        id: TransactionId::from_bytes(draw()),
        payment: payment.id,
        account: payment.account,
        clearing: clearing(),
        salt: draw(),
    };
    command(by, scope_of(by), Action::PaymentCancel, Verb::Cancel(asked))
}

fn sent(answer: &Answer) -> Outgoing {
    match answer {
        Answer::Done(done) => match &**done {
            Done::Sent(payment) => payment.clone(),
            other => panic!("not sent but {other:?}"),
        },
        other => panic!("not sent but {other:?}"),
    }
}

fn spent(bank: &Desk, class: LimitClass) -> i64 {
    let moment = Moment {
        at: bank.book.booked_at,
        day: bank.book.today,
    };
    bank.book.limits[&(ALICE, EUR)].spent(class, moment).day
}

#[test]
fn within_the_bank_it_is_there_at_once_and_elsewhere_it_is_pending() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 1_000), bank.account(BOB, 0));
    let (here, away) = (add(&mut bank, ALICE, Some(to)), add(&mut bank, ALICE, None));
    let paid = sent(&bank.one(&send(ALICE, from, here, to, 300)));
    assert_eq!((paid.state, paid.to_account), (OutgoingState::Settled, Some(to)));
    let paid = sent(&bank.one(&send(ALICE, from, away, clearing(), 200)));
    assert_eq!((paid.state, paid.to_account), (OutgoingState::Pending, None));
    assert_eq!(
        (bank.balance(from), bank.balance(to), bank.balance(clearing())),
        (500, 300, 200)
    );
    assert_eq!(
        (
            spent(&bank, LimitClass::All),
            spent(&bank, LimitClass::Transfers),
            spent(&bank, LimitClass::Outgoing)
        ),
        (500, 300, 200)
    );
}

#[test]
fn of_a_payment_to_a_beneficiary_nothing_can_be_made_up() {
    let mut bank = Desk::new();
    let (from, to, other) = (
        bank.account(ALICE, 1_000),
        bank.account(BOB, 500),
        bank.account(EVE, 0),
    );
    let (here, away) = (add(&mut bank, ALICE, Some(to)), add(&mut bank, ALICE, None));
    let bobs = add(&mut bank, BOB, None);
    let removed = add(&mut bank, ALICE, Some(to));
    bank.book.sending.beneficiaries.get_mut(&removed).unwrap().removed = true;
    let unknown = BeneficiaryId::from_bytes(draw());
    for (beneficiary, to) in [(bobs, clearing()), (removed, to), (unknown, to)] {
        let told = bank.one(&send(ALICE, from, beneficiary, to, 1));
        assert_eq!(told, refused(Refusal::BeneficiaryNotFound));
    }
    for (beneficiary, to) in [(here, other), (here, clearing()), (away, to), (away, other)] {
        let told = bank.one(&send(ALICE, from, beneficiary, to, 1));
        assert_eq!(told, refused(Refusal::PayeeUnavailable));
    }
    // Another's account, another's name, another right.
    assert_eq!(
        bank.one(&send(ALICE, to, here, to, 1)),
        refused(Refusal::AccountNotFound)
    );
    let mut in_anothers_name = send(ALICE, from, bobs, clearing(), 1);
    if let Verb::Send(new) = &mut in_anothers_name.verb {
        new.payer = BOB;
    }
    assert_eq!(bank.one(&in_anothers_name), refused(Refusal::AccountNotFound));
    let mut with_another_right = send(ALICE, from, away, clearing(), 1);
    with_another_right.authority.action = Action::TransferCreate;
    assert_eq!(bank.one(&with_another_right), refused(Refusal::AccountNotFound));
    let dollars = bank.account_in(ALICE, usd(), 100);
    let mut wrong_money = send(ALICE, dollars, away, clearing(), 1);
    if let Verb::Send(new) = &mut wrong_money.verb {
        new.posting.currency = usd();
    }
    assert_eq!(bank.one(&wrong_money), refused(Refusal::CurrencyMismatch));
    bank.must(&freeze(ALICE, from, FreezeScope::Debits));
    assert_eq!(
        bank.one(&send(ALICE, from, away, clearing(), 1)),
        refused(Refusal::AccountFrozen)
    );
    assert_eq!((bank.balance(from), bank.balance(clearing())), (1_000, 0));
}

#[test]
fn who_is_new_is_paid_little_also_by_many_payments_of_one_batch() {
    let mut bank = Desk::new();
    let from = bank.account(ALICE, 1_000_000);
    bank.book.rules = Arc::new(LimitRules {
        ramp: RampRules {
            cooling_secs: 3_600,
            cooling_units: 0,
            ramp_secs: 7_200,
            ramp_units: 10,
        },
        ..LimitRules::default()
    });
    let away = add(&mut bank, ALICE, None);
    let ask = |minor| send(ALICE, from, away, clearing(), minor);
    assert_eq!(bank.one(&ask(1)), refused(Refusal::BeneficiaryTooNew));
    bank.at("2026-11-20T10:00:00Z");
    let (_, answers) = bank.decide(&[ask(600), ask(401), ask(400), ask(1)]);
    assert!(is_done(&answers[0]) && is_done(&answers[2]), "{answers:?}");
    assert_eq!(answers[1], refused(Refusal::OverBeneficiaryLimit));
    assert_eq!(answers[3], refused(Refusal::OverBeneficiaryLimit));
    // As long as signs of a takeover are fresh, nothing goes to who was new then.
    let until = bank.book.booked_at.plus_seconds(crate::limits::FLOOR_SECS);
    let limits = bank.book.limits.get_mut(&(ALICE, EUR)).unwrap();
    limits.take_over_suspected(bank.book.booked_at);
    bank.book.booked_at = until.plus_seconds(-1);
    assert_eq!(bank.one(&ask(500)), refused(Refusal::BeneficiaryTooNew));
    bank.book.booked_at = until;
    bank.must(&ask(500));
}

#[test]
fn one_like_a_moment_ago_is_asked_about_once() {
    let mut bank = Desk::new();
    let from = bank.account(ALICE, 1_000);
    let away = add(&mut bank, ALICE, None);
    let first = sent(&bank.one(&send(ALICE, from, away, clearing(), 100)));
    let mut again = send(ALICE, from, away, clearing(), 100);
    assert_eq!(bank.one(&again), Answer::DuplicateSuspected(first.id));
    if let Verb::Send(new) = &mut again.verb {
        new.confirmed = Some(PaymentId::from_bytes(draw()));
    }
    assert_eq!(bank.one(&again), Answer::DuplicateSuspected(first.id));
    if let Verb::Send(new) = &mut again.verb {
        new.confirmed = Some(first.id);
    }
    bank.must(&again);
    assert_eq!(bank.balance(from), 800);
}

#[test]
fn a_key_pays_whom_its_list_names_and_nobody_elsewhere() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 1_000), bank.account(BOB, 0));
    let (here, away) = (add(&mut bank, ALICE, Some(to)), add(&mut bank, ALICE, None));
    let bounds = Arc::new(KeyBounds {
        integration: crate::id::ApiKeyId::from_bytes([1; 16]),
        max_amount: Some((amount(100), EUR)),
        payees: Some(vec![to]),
        budget: None,
    });
    let by_key = |beneficiary, to, minor| {
        let mut asked = send(ALICE, from, beneficiary, to, minor);
        asked.bounds = Some(bounds.clone());
        asked
    };
    assert_eq!(
        bank.one(&by_key(away, clearing(), 1)),
        refused(Refusal::PayeeNotAllowed)
    );
    assert_eq!(bank.one(&by_key(here, to, 101)), refused(Refusal::LimitExceeded));
    bank.must(&by_key(here, to, 100));
}

#[test]
fn what_has_not_left_comes_back_once_and_counts_no_more() {
    let mut bank = Desk::new();
    let from = bank.account(ALICE, 1_000);
    bank.must(&limit(
        ALICE,
        from,
        Caps {
            daily: Some(700),
            ..Caps::NONE
        },
        false,
    ));
    let away = add(&mut bank, ALICE, None);
    let payment = sent(&bank.one(&send(ALICE, from, away, clearing(), 700)));
    assert_eq!(
        bank.one(&send(ALICE, from, away, clearing(), 1)),
        refused(Refusal::OverDailyLimit)
    );
    for by in [BOB, EVE] {
        assert_eq!(bank.one(&cancel(by, &payment)), refused(Refusal::PaymentNotFound));
    }
    let (_, answers) = bank.decide(&[cancel(ALICE, &payment), cancel(ALICE, &payment)]);
    assert_eq!(sent(&answers[0]).state, OutgoingState::Cancelled);
    assert_eq!(answers[1], refused(Refusal::PaymentLeft));
    assert_eq!((bank.balance(from), bank.balance(clearing())), (1_000, 0));
    assert_eq!(spent(&bank, LimitClass::Outgoing), 0);
    bank.must(&send(ALICE, from, away, clearing(), 1));
}

#[test]
fn what_left_or_is_there_already_is_not_taken_back() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 1_000), bank.account(BOB, 0));
    let (here, away) = (add(&mut bank, ALICE, Some(to)), add(&mut bank, ALICE, None));
    let there = sent(&bank.one(&send(ALICE, from, here, to, 100)));
    assert_eq!(
        bank.one(&cancel(ALICE, &there)),
        refused(Refusal::PaymentNotFound)
    );
    let left = sent(&bank.one(&send(ALICE, from, away, clearing(), 100)));
    let stored = bank.book.sending.outgoing.get_mut(&left.id).unwrap();
    stored.file = Some(RailFileId::from_bytes(draw()));
    assert_eq!(bank.one(&cancel(ALICE, &left)), refused(Refusal::PaymentLeft));
    assert_eq!(bank.balance(from), 800);
}

/// The bank on paper: what a list owner has, what each beneficiary was paid, and which payments can be taken back.
#[derive(Debug)]
struct Paper {
    own: i64,
    paid: [i64; 3],
    lately: [Vec<(i64, i64)>; 3],
    open: Vec<(PaymentId, i64)>,
    waiting: i64,
    there: i64,
}

proptest! {
    /// Random payments, confirmations of none, and cancellations, against paper: new beneficiaries get no more than
    /// they may, nothing is paid twice within a moment, and every cent is with its owner, with the payee, or on its
    /// way.
    #[test]
    fn payments_to_beneficiaries_agree_with_paper_whatever_comes_in_which_order(
        steps in prop::collection::vec((0_usize..5, prop_oneof![1_i64..400, 1_i64..4], 0_i64..90), 1..80)
    ) {
        let mut bank = Desk::new();
        let (from, to) = (bank.account(ALICE, 5_000), bank.account(BOB, 0));
        bank.book.rules = Arc::new(LimitRules {
            ramp: RampRules { cooling_secs: 1_200, cooling_units: 10, ramp_secs: 3_600, ramp_units: 15 },
            ..LimitRules::default()
        });
        let begun = bank.book.booked_at;
        let lists = [add(&mut bank, ALICE, None), add(&mut bank, ALICE, None), add(&mut bank, ALICE, Some(to))];
        let mut paper = Paper {
            own: 5_000, paid: [0; 3], lately: Default::default(), open: Vec::new(), waiting: 0, there: 0,
        };
        let mut clock = 0_i64;
        for (verb, minor, seconds) in steps {
            clock += seconds;
            bank.book.booked_at = begun.plus_seconds(clock);
            if verb < 3 {
                let payee = if verb == 2 { to } else { clearing() };
                let command = send(ALICE, from, lists[verb], payee, minor);
                let most = if clock < 1_200 { 1_000 } else if clock < 3_600 { 1_500 } else { i64::MAX };
                let mut lately = paper.lately[verb].iter();
                let alike = lately.any(|(before, at)| *before == minor && clock < at + 120);
                match bank.one(&command) {
                    Answer::Done(done) => {
                        prop_assert!(minor <= paper.own && paper.paid[verb] + minor <= most && !alike);
                        let payment = sent(&Answer::Done(done));
                        paper.own -= minor;
                        paper.paid[verb] += minor;
                        paper.lately[verb].push((minor, clock));
                        if verb == 2 {
                            paper.there += minor;
                        } else {
                            paper.waiting += minor;
                            paper.open.push((payment.id, minor));
                        }
                    }
                    Answer::Refused(Refusal::InsufficientFunds) => prop_assert!(minor > paper.own),
                    Answer::Refused(Refusal::OverBeneficiaryLimit) => prop_assert!(paper.paid[verb] + minor > most),
                    Answer::DuplicateSuspected(_) => prop_assert!(alike),
                    other => panic!("{other:?}"),
                }
            } else if let Some(at) = usize::try_from(minor).ok().and_then(|at| at.checked_rem(paper.open.len())) {
                let (id, amount) = paper.open[at];
                let payment = bank.book.sending.outgoing[&id].clone();
                let was_open = payment.state == OutgoingState::Pending;
                match bank.one(&cancel(ALICE, &payment)) {
                    Answer::Done(_) => {
                        prop_assert!(was_open);
                        paper.own += amount;
                        paper.waiting -= amount;
                    }
                    answer => {
                        prop_assert!(!was_open);
                        prop_assert_eq!(answer, refused(Refusal::PaymentLeft));
                    }
                }
            }
            prop_assert_eq!(
                (bank.balance(from), bank.balance(clearing()), bank.balance(to)),
                (paper.own, paper.waiting, paper.there)
            );
        }
    }
}
