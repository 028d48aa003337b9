//! Keys: one intent, one effect.

use super::desk::{
    ALICE, BOB, Desk, EPOCH, NOWHERE, TELLER, close, deposit, dry, freeze, is_done, keyed, new_account, open,
    posted, refused, stale, transfer, unfreeze,
};
use crate::{
    account::FreezeScope,
    ledger::{Answer, Fingerprint, Refusal},
};

const REQUEST: [u8; 3] = [1, 2, 3];

#[test]
fn a_retry_is_told_what_became_of_the_first() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    let first = keyed(transfer(ALICE, from, to, 40), 1, &REQUEST);
    let resource = Some(*posted(&bank.one(&first)).id.as_bytes());
    for _ in 0..2 {
        // A retry is another request with another transaction id, and other money in the account by now.
        let retry = keyed(transfer(ALICE, from, to, 40), 1, &REQUEST);
        let (changes, answers) = bank.decide(&[retry]);
        assert_eq!(
            answers[0],
            Answer::Replayed {
                refusal: None,
                resource
            }
        );
        assert!(changes.is_empty());
        bank.must(&transfer(ALICE, from, to, 20));
    }
    assert_eq!((bank.balance(from), bank.balance(to)), (20, 80));
}

#[test]
fn the_same_key_twice_in_a_batch_posts_once() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    let ask = || keyed(transfer(ALICE, from, to, 40), 1, &REQUEST);
    let other = keyed(transfer(ALICE, from, to, 41), 1, &[1, 9, 3]);
    let (changes, answers) = bank.decide(&[ask(), ask(), other, ask()]);
    let resource = Some(*posted(&answers[0]).id.as_bytes());
    let replayed = Answer::Replayed {
        refusal: None,
        resource,
    };
    assert_eq!(answers[1], replayed);
    assert_eq!(answers[2], Answer::KeyReused { field: 1, resource });
    assert_eq!(answers[3], replayed);
    assert_eq!((changes.transactions.len(), changes.records.len()), (1, 1));
    assert_eq!(bank.balance(to), 40);
}

#[test]
fn two_keys_are_two_intents() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    let ask = |key| keyed(transfer(ALICE, from, to, 40), key, &REQUEST);
    let (_, answers) = bank.decide(&[ask(1), ask(2)]);
    assert!(answers.iter().all(is_done));
    assert_eq!(bank.balance(to), 80);
}

#[test]
fn another_request_under_the_key_is_refused_and_names_the_field() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    let first = keyed(transfer(ALICE, from, to, 40), 1, &REQUEST);
    let resource = Some(*posted(&bank.one(&first)).id.as_bytes());
    for (fields, field) in [
        (&[9, 2, 3][..], 0),
        (&[1, 9, 3], 1),
        (&[1, 2, 9], 2),
        (&[9, 9, 9], 0),
        (&[1, 2], 2),
        (&[], 0),
        (&[1, 2, 3, 4], 3),
        (&[1, 9, 3, 4], 1),
    ] {
        let (changes, answers) = bank.decide(&[keyed(transfer(ALICE, from, to, 40), 1, fields)]);
        assert_eq!(answers[0], Answer::KeyReused { field, resource }, "{fields:?}");
        assert!(changes.is_empty());
    }
    assert_eq!(bank.balance(to), 40);
}

#[test]
fn a_cut_digest_is_a_difference_too() {
    let whole = Fingerprint::from_bytes(vec![7; 16]);
    for (length, field) in [(15, 1), (9, 1), (8, 1), (7, 0), (0, 0), (17, 2)] {
        let cut = Fingerprint::from_bytes(vec![7; length]);
        assert_eq!(whole.first_difference(&cut), Some(field), "{length}");
        assert_eq!(cut.first_difference(&whole), Some(field), "{length}");
    }
    assert_eq!(whole.first_difference(&whole.clone()), None);
}

#[test]
fn a_refusal_about_money_is_repeated_although_the_money_came() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 0), bank.account(BOB, 0));
    let ask = || keyed(transfer(ALICE, from, to, 40), 1, &REQUEST);
    assert_eq!(bank.one(&ask()), refused(Refusal::InsufficientFunds));
    bank.must(&deposit(from, 100));
    let (changes, answers) = bank.decide(&[ask()]);
    assert_eq!(
        answers[0],
        Answer::Replayed {
            refusal: Some(Refusal::InsufficientFunds),
            resource: None
        }
    );
    assert!(changes.is_empty());
    let other = keyed(transfer(ALICE, from, to, 41), 1, &[1, 2, 9]);
    assert_eq!(
        bank.one(&other),
        Answer::KeyReused {
            field: 2,
            resource: None
        }
    );
    assert!(is_done(&bank.one(&keyed(
        transfer(ALICE, from, to, 40),
        2,
        &REQUEST
    ))));
}

#[test]
fn every_frozen_refusal_comes_back_from_its_stored_number() {
    for refusal in Refusal::ALL.iter().copied().filter(|refusal| refusal.is_frozen()) {
        assert_eq!(Refusal::from_number(refusal.number()), Some(refusal));
        assert_ne!(refusal.number(), 0, "0 stands for success");
    }
    assert_eq!(Refusal::from_number(0), None);
    let mut numbers: Vec<_> = Refusal::ALL.iter().map(|refusal| refusal.number()).collect();
    let mut codes: Vec<_> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    codes.sort_unstable();
    codes.dedup();
    // Whichever limit it is, of a key, of a customer or of a new beneficiary, is one code, and so is whatever a factor
    // is needed for.
    let shared = 5;
    assert_eq!(
        (numbers.len(), codes.len() + shared),
        (Refusal::ALL.len(), Refusal::ALL.len())
    );
}

#[test]
fn a_refusal_that_is_no_decision_about_money_leaves_the_key_free() {
    let mut bank = Desk::new();
    let (own, other) = (bank.account(ALICE, 10), bank.account(BOB, 0));
    let new = new_account(ALICE, super::desk::EUR, 0);
    let taken = crate::ledger::NewAccount {
        number: bank.book.taken_numbers.iter().next().unwrap().clone(),
        ..new.clone()
    };
    for (refusal, first, second) in [
        (
            Refusal::AccountNotFound,
            transfer(ALICE, NOWHERE, other, 1),
            transfer(ALICE, own, other, 1),
        ),
        (
            Refusal::NotFrozenByYou,
            unfreeze(ALICE, own),
            freeze(ALICE, own, FreezeScope::All),
        ),
        (Refusal::AccountNotEmpty, close(ALICE, own), close(BOB, other)),
        (
            Refusal::NumberTaken,
            open(ALICE, taken.clone()),
            open(ALICE, new.clone()),
        ),
    ] {
        let key = u8::try_from(refusal.number()).unwrap();
        if refusal == Refusal::AccountNotEmpty {
            bank.edit(other).balance -= 1;
            bank.edit(own).balance += 1;
        }
        let (changes, answers) = bank.decide(&[keyed(first, key, &REQUEST), keyed(second, key, &REQUEST)]);
        assert_eq!(answers[0], refused(refusal));
        assert!(is_done(&answers[1]), "{refusal}: {:?}", answers[1]);
        assert_eq!((changes.records.len(), changes.outcomes.len()), (2, 1));
    }
}

#[test]
fn a_permit_from_before_a_revocation_decides_nothing_and_spends_no_key() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    let ask = || keyed(transfer(ALICE, from, to, 40), 1, &REQUEST);
    let mut early = ask();
    early.authority.epoch = EPOCH + 1;
    let (changes, answers) = bank.decide(&[
        stale(ask()),
        early,
        stale(transfer(ALICE, from, to, 40)),
        stale(dry(transfer(ALICE, from, to, 40))),
        stale(transfer(BOB, from, to, 40)),
        stale(freeze(TELLER, from, FreezeScope::All)),
    ]);
    assert!(
        answers.iter().all(|answer| *answer == Answer::Stale),
        "{answers:?}"
    );
    assert!(changes.is_empty() && changes.touched.is_empty());
    assert!(is_done(&bank.one(&ask())));
}

#[test]
fn a_retry_is_answered_even_if_its_permit_is_stale() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    let ask = || keyed(transfer(ALICE, from, to, 40), 1, &REQUEST);
    let (_, answers) = bank.decide(&[ask(), stale(ask())]);
    let resource = Some(*posted(&answers[0]).id.as_bytes());
    let replayed = Answer::Replayed {
        refusal: None,
        resource,
    };
    assert_eq!(answers[1], replayed);
    bank.book.epoch += 1;
    assert_eq!(bank.one(&ask()), replayed);
    let other = keyed(transfer(ALICE, from, to, 41), 1, &[9, 2, 3]);
    assert_eq!(bank.one(&other), Answer::KeyReused { field: 0, resource });
}

#[test]
fn changes_of_state_and_openings_replay_too() {
    let mut bank = Desk::new();
    let own = bank.account(ALICE, 0);
    let new = new_account(ALICE, super::desk::EUR, 0);
    bank.must(&keyed(freeze(ALICE, own, FreezeScope::All), 1, &REQUEST));
    bank.must(&keyed(open(ALICE, new.clone()), 2, &REQUEST));
    bank.must(&unfreeze(ALICE, own));
    let again = open(ALICE, new_account(ALICE, super::desk::EUR, 0));
    let (changes, answers) = bank.decide(&[
        keyed(freeze(ALICE, own, FreezeScope::All), 1, &REQUEST),
        keyed(again, 2, &REQUEST),
    ]);
    for (answer, id) in answers.iter().zip([own, new.id]) {
        assert_eq!(
            *answer,
            Answer::Replayed {
                refusal: None,
                resource: Some(*id.as_bytes())
            }
        );
    }
    assert!(changes.is_empty());
    assert_eq!(bank.get(own).state(), "active", "a replay freezes nothing again");
}

#[test]
fn the_outcome_is_stored_with_the_request_it_stands_for() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 50), bank.account(BOB, 0));
    let (changes, answers) = bank.decide(&[
        keyed(transfer(ALICE, from, to, 40), 1, &REQUEST),
        keyed(transfer(ALICE, from, to, 40), 2, &REQUEST),
        transfer(ALICE, from, to, 1),
    ]);
    let stored: Vec<_> = changes
        .outcomes
        .iter()
        .map(|outcome| (outcome.tag, outcome.code, outcome.resource))
        .collect();
    let resource = Some(*posted(&answers[0]).id.as_bytes());
    let code = Refusal::InsufficientFunds.number();
    assert_eq!(stored, [([1; 16], 0, resource), ([2; 16], code, None)]);
    assert_eq!(changes.outcomes[0].fingerprint.as_bytes().len(), 24);
    assert_eq!(changes.outcomes[0].at, bank.book.booked_at);
}
