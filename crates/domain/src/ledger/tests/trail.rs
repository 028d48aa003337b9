//! What the audit log says of each decision.

use super::desk::{
    ALICE, BOB, Desk, EUR, NOWHERE, TELLER, close, deposit, freeze, is_done, keyed, new_account, open,
    posted, stale, till, transfer, usd, withdrawal,
};
use crate::{
    account::FreezeScope,
    audit::{CompactRange, NodeStore, Opening, SignedRecord, TILE_WIDTH, number_digest},
    id::SessionId,
    ledger::Changes,
    principal::Origin,
};

fn only(changes: &Changes) -> &SignedRecord {
    assert_eq!(changes.records.len(), 1);
    &changes.records[0]
}

#[test]
fn a_booked_movement_is_recorded_as_its_transaction() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    for (command, action) in [
        (transfer(ALICE, from, to, 1), "transfer.create"),
        (deposit(from, 1), "deposit.create"),
        (withdrawal(from, 1), "withdrawal.create"),
    ] {
        let (changes, answers) = bank.decide(&[command]);
        let record = only(&changes);
        assert_eq!((record.action.as_str(), record.outcome.as_str()), (action, "ok"));
        assert_eq!(record.object_kind, "transaction");
        assert_eq!(&record.object_id, posted(&answers[0]).id.as_bytes());
        assert!(record.details.transaction_digest().is_some());
    }
}

#[test]
fn a_refused_movement_is_recorded_about_the_callers_side() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    bank.must(&close(BOB, to));
    for (command, about, outcome) in [
        (transfer(ALICE, from, to, 1), from, "payee_unavailable"),
        (transfer(ALICE, NOWHERE, to, 1), NOWHERE, "account_not_found"),
        (withdrawal(from, 101), from, "insufficient_funds"),
        (deposit(to, 1), to, "account_closed"),
        (deposit(NOWHERE, 1), NOWHERE, "account_not_found"),
        (deposit(None, 1), till(EUR), "account_not_found"),
    ] {
        let (changes, _) = bank.decide(&[command]);
        let record = only(&changes);
        assert_eq!(record.outcome, outcome);
        assert_eq!(record.object_kind, "account");
        assert_eq!(&record.object_id, about.as_bytes(), "{outcome}");
        assert_eq!(record.details.as_bytes(), [0], "a refusal has changed nothing");
    }
}

#[test]
fn a_change_of_state_is_recorded_with_the_state_after_it() {
    let mut bank = Desk::new();
    let new = new_account(ALICE, EUR, 500);
    let id = new.id;
    for (command, action, state) in [
        (open(ALICE, new), "account.open", (0, false, Some(-500))),
        (
            freeze(ALICE, id, FreezeScope::Debits),
            "account.freeze",
            (1, false, Some(-500)),
        ),
        (
            freeze(TELLER, id, FreezeScope::All),
            "account.freeze",
            (0b1001, false, Some(-500)),
        ),
        (close(TELLER, id), "account.close", (0b1001, true, Some(-500))),
    ] {
        let (changes, _) = bank.decide(&[command]);
        let record = only(&changes);
        assert_eq!((record.action.as_str(), record.outcome.as_str()), (action, "ok"));
        assert_eq!(record.object_kind, "account");
        assert_eq!(&record.object_id, id.as_bytes());
        assert_eq!(record.details.account_state(), Some(state));
    }
}

#[test]
fn the_record_of_an_opening_says_whose_what_in_which_currency_and_under_which_number() {
    let mut bank = Desk::new();
    for (owner, currency) in [(ALICE, EUR), (BOB, usd())] {
        let new = new_account(owner, currency, 0);
        let opening = Opening {
            owner: *owner.as_bytes(),
            ledger_code: 2000,
            currency: currency.code_bytes(),
            number: number_digest(new.id, new.number.as_str()),
        };
        let (changes, _) = bank.decide(&[open(TELLER, new)]);
        assert_eq!(only(&changes).details.opened_as(), Some(opening));
    }
}

#[test]
fn a_record_says_who_acted_how_and_under_which_policy() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    let mut command = transfer(ALICE, from, to, 1);
    command.authority.caller.session = Some(SessionId::from_bytes([9; 16]));
    command.authority.caller.origin = Origin::Web;
    command.authority.policy = 42;
    let (changes, _) = bank.decide(&[command.clone()]);
    let record = only(&changes);
    assert_eq!(
        (record.principal_kind, &record.principal_id),
        (1, ALICE.as_bytes())
    );
    assert_eq!(
        (record.session, record.origin, record.policy),
        ([9; 16], Origin::Web.tag(), 42)
    );
    assert_eq!(&record.request, command.request.as_bytes());
}

#[test]
fn replays_and_stale_permits_are_not_recorded() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 100), bank.account(BOB, 0));
    let ask = || keyed(transfer(ALICE, from, to, 1), 1, &[1]);
    let other = keyed(transfer(ALICE, from, to, 2), 1, &[2]);
    let (changes, _) = bank.decide(&[ask(), ask(), other, stale(transfer(ALICE, from, to, 1))]);
    only(&changes);
}

#[test]
fn without_a_log_at_hand_records_wait_for_the_sealer() {
    let mut bank = Desk::new();
    bank.book.log = None;
    let own = bank.account(ALICE, 100);
    let (changes, answers) = bank.decide(&[withdrawal(own, 1), withdrawal(own, 100)]);
    assert!(is_done(&answers[0]));
    assert_eq!(changes.records.len(), 2);
    assert!(changes.leaves.is_empty() && changes.nodes.is_empty());
}

#[test]
fn what_a_batch_writes_of_the_tree_is_enough_to_open_it_again() {
    let mut bank = Desk::new();
    let (from, to) = (bank.account(ALICE, 1_000), bank.account(BOB, 0));
    let mut stored = NodeStore::default();
    // The leaves of the set-up are not kept: the log begins here.
    bank.book.log = Some(CompactRange::default());
    let mut nodes = 0;
    for size in [1, 254, 1, 1, 300] {
        let commands: Vec<_> = (0..size).map(|_| transfer(ALICE, from, to, 1)).collect();
        let (changes, _) = bank.decide(&commands);
        for (at, _, hash) in &changes.leaves {
            stored.insert(0, *at, *hash);
        }
        for node in &changes.nodes {
            stored.insert(node.level, node.index, node.hash);
            nodes += 1;
        }
        let size = bank.book.log.as_ref().unwrap().size();
        let reopened = CompactRange::load(size, &stored).unwrap();
        assert_eq!(Some(&reopened), bank.book.log.as_ref());
        bank.book.log = Some(reopened);
    }
    assert_eq!(nodes, 557 / TILE_WIDTH);
}
