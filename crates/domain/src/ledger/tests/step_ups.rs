//! Approvals by a fresh factor: for one request, once.

use super::desk::{ALICE, Desk, dry, is_done, keyed, refused, stale, transfer};
use crate::{
    id::{AccountId, StepUpId},
    ledger::{Answer, Command, Refusal, StepUp, StepUpClaim},
    time::Timestamp,
};

const APPROVAL: StepUpId = StepUpId::from_bytes([5; 16]);
const REQUEST: [u8; 32] = [6; 32];

/// Makes a good approval, or the claim to it, a bad one.
type Spoil = fn(&mut StepUp, &mut Option<StepUpId>);

fn claiming(mut command: Command, approval: Option<StepUpId>) -> Command {
    command.step_up = Some(StepUpClaim {
        request: REQUEST,
        approval,
        asked_at: Timestamp::default(),
        no_factor: false,
    });
    command
}

/// Two accounts of Alice's and an approval that lasts a second.
fn bank() -> (Desk, AccountId, AccountId) {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(ALICE, 0));
    let approval = StepUp {
        request: REQUEST,
        expires_at: Timestamp::default().plus_seconds(1),
        spent: false,
    };
    bank.book.step_ups.insert(APPROVAL, approval);
    (bank, from, to)
}

#[test]
fn an_approval_moves_money_once_also_within_a_batch() {
    let (mut bank, from, to) = bank();
    let ask = |key| {
        keyed(
            claiming(transfer(ALICE, from, to, 10), Some(APPROVAL)),
            key,
            &[key],
        )
    };
    let (changes, answers) = bank.decide(&[ask(1), ask(2), ask(3)]);
    assert!(is_done(&answers[0]), "{answers:?}");
    assert_eq!(answers[1..], [Answer::StepUpNeeded, Answer::StepUpNeeded]);
    assert_eq!(changes.step_ups, [APPROVAL]);
    assert_eq!((changes.outcomes.len(), changes.records.len()), (1, 1));
    // The one that was done is repeated to its own key, without another approval.
    assert!(matches!(
        bank.one(&ask(1)),
        Answer::Replayed { refusal: None, .. }
    ));
    assert_eq!(bank.one(&ask(2)), Answer::StepUpNeeded);
    assert_eq!(bank.balance(to), 10);
}

#[test]
fn no_approval_another_ones_and_one_that_is_over_approve_nothing() {
    let cases: [(&str, Spoil); 5] = [
        ("none", |_, claim| *claim = None),
        ("unknown", |_, claim| *claim = Some(StepUpId::from_bytes([9; 16]))),
        ("another request", |stored, _| stored.request[31] ^= 1),
        ("spent", |stored, _| stored.spent = true),
        ("over", |stored, _| {
            stored.expires_at = stored.expires_at.plus_seconds(-1)
        }),
    ];
    for (what, spoil) in cases {
        let (mut bank, from, to) = bank();
        let mut claim = Some(APPROVAL);
        spoil(bank.book.step_ups.get_mut(&APPROVAL).unwrap(), &mut claim);
        let (changes, answers) = bank.decide(&[claiming(transfer(ALICE, from, to, 10), claim)]);
        assert_eq!(answers, [Answer::StepUpNeeded], "{what}");
        assert!(changes.is_empty(), "{what}");
        assert_eq!(bank.balance(from), 100, "{what}");
    }
}

#[test]
fn a_refusal_a_dry_run_and_a_stale_permit_spend_no_approval() {
    let (mut bank, from, to) = bank();
    let too_much = claiming(transfer(ALICE, from, to, 101), Some(APPROVAL));
    assert_eq!(bank.one(&too_much), refused(Refusal::InsufficientFunds));
    assert!(is_done(
        &bank.one(&dry(claiming(transfer(ALICE, from, to, 10), None)))
    ));
    let early = stale(claiming(transfer(ALICE, from, to, 10), Some(APPROVAL)));
    assert_eq!(bank.one(&early), Answer::Stale);
    assert!(!bank.book.step_ups[&APPROVAL].spent);
    bank.must(&claiming(transfer(ALICE, from, to, 10), Some(APPROVAL)));
}
