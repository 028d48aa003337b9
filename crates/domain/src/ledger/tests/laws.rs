//! The laws that every batch keeps, whatever is in it.

use std::collections::{BTreeMap, HashMap};

use super::desk::{KEY_ID, Seal};
use crate::{
    account::Account,
    hold::{Hold, HoldState},
    id::AccountId,
    ledger::{Answer, Book, Changes, Command, Done, Refusal, Signer, Verb, decide},
    money::Currency,
    transaction::{Entry, Transaction, TransactionKind, entries_digest},
};

/// Holds a decided batch against the laws.
pub(super) fn hold(before: &Book, after: &Book, commands: &[Command], changes: &Changes, answers: &[Answer]) {
    assert_eq!(answers.len(), commands.len(), "one answer for each command");
    transactions_balance(before, after, changes);
    accounts_are_their_entries(before, after, changes);
    what_is_reserved_is_the_sum_of_the_open_holds(before, after, changes);
    money_is_neither_made_nor_lost(before, after);
    every_decision_has_one_record(before, after, commands, changes, answers);
    the_log_grows_by_the_records(before, after, changes);
    keys_remember_what_is_frozen(before, after, commands, changes, answers);
    again_gives_the_same(before, after, commands, changes, answers);
}

pub(super) fn entries_of<'a>(transaction: &Transaction, entries: &'a [Entry]) -> Vec<&'a Entry> {
    entries
        .iter()
        .filter(|entry| entry.transaction == transaction.last_entry)
        .collect()
}

fn transactions_balance(before: &Book, after: &Book, changes: &Changes) {
    let ids: Vec<i64> = changes.entries.iter().map(|entry| entry.id).collect();
    let expected: Vec<i64> = (before.next_entry..after.next_entry).collect();
    assert_eq!(ids, expected, "entry ids have no holes");
    assert_eq!(changes.entries.len(), changes.transactions.len() * 2);
    for transaction in &changes.transactions {
        let lines = entries_of(transaction, &changes.entries);
        let amount = transaction.amount.minor();
        let facts: Vec<_> = lines
            .iter()
            .map(|entry| (entry.id, entry.account, entry.amount, entry.currency))
            .collect();
        assert_eq!(
            facts,
            [
                (
                    transaction.first_entry,
                    transaction.from_account,
                    -amount,
                    transaction.currency
                ),
                (
                    transaction.last_entry,
                    transaction.to_account,
                    amount,
                    transaction.currency
                ),
            ],
            "debit, then credit"
        );
        assert_eq!(transaction.booked_at, after.booked_at);
    }
}

/// Walking the new entries from the old state gives the new state, and what has no entry keeps its balance.
fn accounts_are_their_entries(before: &Book, after: &Book, changes: &Changes) {
    let mut expected: HashMap<AccountId, Account> = before.accounts.clone();
    for opened in &changes.opened {
        let fresh = &after.accounts[&opened.id];
        assert!(!before.accounts.contains_key(&opened.id), "opened twice");
        let blank = Account {
            balance: 0,
            entries: 0,
            path: crate::account::SkipPath::default(),
            last_booked_at: after.booked_at,
            ..fresh.clone()
        };
        expected.insert(opened.id, blank);
    }
    for entry in &changes.entries {
        let account = expected.get_mut(&entry.account).unwrap();
        let head = account.path.head();
        let links = account.path.push(entry.id);
        account.entries += 1;
        account.balance += entry.amount;
        account.last_booked_at = entry.booked_at;
        assert_eq!(entry.sequence, account.entries, "sequence has no holes");
        assert_eq!(entry.balance_after, account.balance);
        assert_eq!(entry.currency, account.currency);
        assert_eq!(entry.booked_at, after.booked_at);
        assert_eq!((entry.prev, entry.jump), (links.prev, links.jump));
        assert_eq!(entry.prev, head);
    }
    assert_eq!(
        expected.len(),
        after.accounts.len(),
        "accounts come by opening only"
    );
    for (id, account) in &after.accounts {
        // State changes are judged by the tests about states; here only where the money is.
        let walked = Account {
            freezes: account.freezes,
            closed: account.closed,
            held: account.held,
            holds: account.holds,
            hold_due: account.hold_due,
            ..expected[id].clone()
        };
        assert_eq!(account, &walked, "an account is its entries");
        let changed = before.accounts.get(id) != Some(account);
        assert!(
            !changed || changes.touched.contains(id),
            "what changed is written"
        );
        if let Some(floor) = account.floor
            && before
                .accounts
                .get(id)
                .is_none_or(|old| account.balance < old.balance)
        {
            assert!(
                i128::from(account.balance) - i128::from(account.held) >= i128::from(floor),
                "no movement goes below the floor"
            );
        }
    }
}

/// Reserved on an account, and the number of its open holds.
fn reserved(book: &Book, account: AccountId) -> (i64, i64) {
    let open = book.holds.values().filter(|hold| hold.account == account);
    let open = open.filter(|hold| hold.state == HoldState::Open);
    open.fold((0, 0), |(sum, count), hold| (sum + hold.reserved(), count + 1))
}

fn what_is_reserved_is_the_sum_of_the_open_holds(before: &Book, after: &Book, changes: &Changes) {
    for (id, account) in &after.accounts {
        let (held, holds) = before
            .accounts
            .get(id)
            .map_or((0, 0), |old| (old.held, i64::from(old.holds)));
        let (old, new) = (reserved(before, *id), reserved(after, *id));
        assert_eq!(account.held - held, new.0 - old.0, "what is reserved");
        assert_eq!(i64::from(account.holds) - holds, new.1 - old.1, "open holds");
        let open = after
            .holds
            .values()
            .filter(|hold| hold.account == *id && hold.state == HoldState::Open);
        let first = open.map(|hold| hold.expires_at).min();
        assert!(
            first.is_none_or(|first| account.hold_due.is_some_and(|due| due <= first)),
            "no hold outlives its time"
        );
        assert!(
            first.is_none_or(|first| first > after.booked_at),
            "what is due is released first"
        );
    }
    for (id, hold) in &after.holds {
        let old = before.holds.get(id);
        assert_eq!(changes.placed.contains(id), old.is_none());
        assert_eq!(changes.holds.contains(id), old.is_some_and(|old| old != hold));
        let Some(old) = old else { continue };
        assert!(
            old == hold || old.state == HoldState::Open,
            "only an open hold changes"
        );
        let fixed = |hold: &Hold| {
            (
                hold.account,
                hold.to_account,
                hold.amount,
                hold.currency,
                hold.expires_at,
            )
        };
        assert_eq!(fixed(old), fixed(hold));
        assert!(old.captured <= hold.captured && hold.captured <= hold.amount.minor());
    }
    let captured: i64 = changes
        .transactions
        .iter()
        .filter(|t| t.kind == TransactionKind::Capture || after.holds.contains_key(&t.id.cast()))
        .map(|t| t.amount.minor())
        .sum();
    let taken = |book: &Book| book.holds.values().map(|hold| hold.captured).sum::<i64>();
    assert_eq!(
        captured,
        taken(after) - taken(before),
        "what was captured was paid"
    );
}

/// Sums of all balances by currency.
pub(super) fn sums(book: &Book) -> BTreeMap<&'static str, i128> {
    let mut sums = BTreeMap::new();
    for account in book.accounts.values() {
        *sums.entry(Currency::code(account.currency)).or_insert(0) += i128::from(account.balance);
    }
    sums
}

fn money_is_neither_made_nor_lost(before: &Book, after: &Book) {
    let mut expected = sums(before);
    for code in sums(after).keys() {
        expected.entry(code).or_insert(0);
    }
    assert_eq!(sums(after), expected, "debits = credits in every currency");
}

fn is_recorded(command: &Command, answer: &Answer, changes: &Changes) -> bool {
    let recorded = match answer {
        Answer::Done(_) | Answer::Refused(_) | Answer::DuplicateSuspected(_) => true,
        // Rules asked for a factor: that is a decision about money. Who came without one that was known to be needed
        // was not decided about.
        Answer::StepUpNeeded => matches!(&command.verb,
            Verb::Post(posting) if changes.fraud.filed.iter().any(|filed| filed.id == posting.id)),
        _ => false,
    };
    recorded && !command.dry_run
}

fn every_decision_has_one_record(
    before: &Book,
    after: &Book,
    commands: &[Command],
    changes: &Changes,
    answers: &[Answer],
) {
    let recorded: Vec<_> = commands
        .iter()
        .zip(answers)
        .filter(|(command, answer)| is_recorded(command, answer, changes))
        .collect();
    // What time ended was decided by nobody who asked, and comes first.
    let ended = changes
        .records
        .iter()
        .take_while(|record| record.action == "hold.expire")
        .count();
    let due = before
        .holds
        .values()
        .filter(|hold| hold.is_due(after.booked_at))
        .count();
    assert_eq!(ended, due);
    assert_eq!(changes.records.len(), recorded.len() + ended);
    assert_eq!(
        changes.is_empty(),
        changes.records.is_empty() && changes.nonces.is_empty(),
        "what is decided is committed"
    );
    let ids: Vec<i64> = changes.records.iter().map(|record| record.id).collect();
    assert_eq!(ids, (before.next_record..after.next_record).collect::<Vec<_>>());
    let mut transactions = changes.transactions.iter();
    for (record, (command, answer)) in changes.records.iter().skip(ended).zip(recorded) {
        assert_eq!(record.action, command.authority.action.name());
        assert_eq!(&record.request, command.request.as_bytes());
        assert_eq!(record.at, after.booked_at.micros());
        assert_eq!(record.policy, command.authority.policy);
        assert_eq!(
            (record.mac_key, record.mac),
            Seal.sign(&record.canonical()),
            "the row is what was signed"
        );
        assert_eq!(record.mac_key, KEY_ID);
        let outcome = match answer {
            Answer::Refused(refusal) => refusal.code(),
            Answer::DuplicateSuspected(_) => "duplicate_suspected",
            Answer::StepUpNeeded => "step_up_required",
            _ => "ok",
        };
        assert_eq!(record.outcome, outcome);
        if let (
            Verb::Post(_)
            | Verb::Cash(_)
            | Verb::Capture(_)
            | Verb::Pay(_)
            | Verb::Send(_)
            | Verb::Cancel(_)
            | Verb::Refund(_)
            | Verb::Reverse(_)
            | Verb::Review(_)
            | Verb::Settle(_)
            | Verb::Resolve(_),
            Answer::Done(done),
        ) = (&command.verb, answer)
            && !(matches!(&**done, Done::Reviewed(_))
                || matches!((&command.verb, &**done), (Verb::Settle(_), Done::Sent(_))))
        {
            let transaction = transactions.next().unwrap();
            assert_eq!(transaction.record, record.id);
            assert_eq!(&record.object_id, transaction.id.as_bytes());
            let lines: Vec<Entry> = entries_of(transaction, &changes.entries)
                .into_iter()
                .copied()
                .collect();
            let digest = transaction.digest(&entries_digest(&transaction.salt, &lines));
            assert_eq!(record.details.transaction_digest(), Some(digest));
        }
        if let Answer::Done(done) = answer
            && let Done::Held(hold) | Done::Captured(hold) | Done::Reviewed(hold) = &**done
        {
            assert_eq!(record.details.hold_state().as_ref(), Some(hold));
        }
    }
    assert!(transactions.next().is_none(), "no transaction without a record");
}

fn the_log_grows_by_the_records(before: &Book, after: &Book, changes: &Changes) {
    let Some(log) = &before.log else {
        assert!(changes.leaves.is_empty() && changes.nodes.is_empty());
        return;
    };
    let (mut log, mut nodes) = (log.clone(), Vec::new());
    let mut leaves = Vec::new();
    for record in &changes.records {
        leaves.push((log.size(), record.id, record.leaf()));
        log.append(record.leaf(), |node| nodes.push(node));
    }
    assert_eq!(changes.leaves, leaves);
    assert_eq!(changes.nodes, nodes);
    assert_eq!(after.log, Some(log));
}

fn keys_remember_what_is_frozen(
    before: &Book,
    after: &Book,
    commands: &[Command],
    changes: &Changes,
    answers: &[Answer],
) {
    let mut expected = before.outcomes.clone();
    let mut new = Vec::new();
    for (command, answer) in commands.iter().zip(answers) {
        let Some(key) = command.idempotency.as_ref().filter(|_| !command.dry_run) else {
            continue;
        };
        let (code, resource) = match answer {
            Answer::Done(done) => (0, Some(resource_of(command, done))),
            // What somebody approved may be approved again.
            Answer::Refused(_) if matches!(command.verb, Verb::Cash(_)) => continue,
            Answer::Refused(refusal) if Refusal::is_frozen(*refusal) => (refusal.number(), None),
            _ => continue,
        };
        assert!(!expected.contains_key(&key.tag), "a key is spent once");
        let outcome = crate::ledger::StoredOutcome {
            tag: key.tag,
            fingerprint: key.fingerprint.clone(),
            code,
            resource,
            at: after.booked_at,
        };
        expected.insert(key.tag, outcome.clone());
        new.push(outcome);
    }
    assert_eq!(changes.outcomes, new);
    assert_eq!(after.outcomes, expected);
}

pub(super) fn resource_of(command: &Command, done: &Done) -> [u8; 16] {
    match done {
        Done::Held(hold) | Done::Reviewed(hold) => *hold.id.as_bytes(),
        Done::Captured(_) => match &command.verb {
            Verb::Capture(asked) => *asked.id.as_bytes(),
            other => panic!("{other:?} captures nothing"),
        },
        Done::Posted(transaction) => *transaction.id.as_bytes(),
        Done::Paid(payment) => *payment.id.as_bytes(),
        Done::Refunded(refunded, _) => *refunded.transaction.as_bytes(),
        Done::Sent(payment) => *payment.id.as_bytes(),
        Done::Opened(account) | Done::Changed(account) => *account.id.as_bytes(),
        Done::Limited(_) => match &command.verb {
            Verb::Limit(new) => *new.account.as_bytes(),
            Verb::Except(new) => *new.account.as_bytes(),
            Verb::Allow(new) => *new.account.as_bytes(),
            other => panic!("{other:?} limits nothing"),
        },
    }
}

/// Whether two batches write the same.
pub(super) fn are_same(one: &Changes, other: &Changes) -> bool {
    one.opened == other.opened
        && one.touched == other.touched
        && one.transactions == other.transactions
        && one.entries == other.entries
        && one.memos == other.memos
        && one.fraud.filed == other.fraud.filed
        && one.fraud.decided == other.fraud.decided
        && one.placed == other.placed
        && one.holds == other.holds
        && one.captures == other.captures
        && one.customers == other.customers
        && one.limits == other.limits
        && one.outcomes == other.outcomes
        && one.records == other.records
        && one.leaves == other.leaves
        && one.nodes == other.nodes
}

/// No clock, no luck: the same book and commands give the same bytes.
fn again_gives_the_same(
    before: &Book,
    after: &Book,
    commands: &[Command],
    changes: &Changes,
    answers: &[Answer],
) {
    let mut book = before.clone();
    let (again, told) = decide(&mut book, commands, &Seal);
    assert_eq!(told, answers);
    assert!(are_same(&again, changes));
    assert_eq!(
        (book.next_entry, book.next_record, book.log),
        (after.next_entry, after.next_record, after.log.clone())
    );
    assert_eq!(book.accounts, after.accounts);
    assert_eq!(book.holds, after.holds);
    assert_eq!(book.limits, after.limits);
    assert_eq!(book.fraud.rows, after.fraud.rows);
    assert_eq!(book.taken_numbers, after.taken_numbers);
}
