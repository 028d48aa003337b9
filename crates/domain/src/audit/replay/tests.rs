//! A small bank is booked by the real decision and replayed; then one thing at a time is changed.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::{
    account::{CustomerKind, FreezeScope, Freezes, Side, SystemAccount},
    action::Action,
    audit::CompactRange,
    hold::{Hold, HoldState, Take},
    iban::Iban,
    id::{HoldId, RequestId, TransactionId, UserId},
    ledger::{
        AccountChange, Answer, Authority, Book, Capture, Command, HoldRef, NewAccount, NewHold, Owned,
        Posting, Signer, Verb, decide,
    },
    money::{Amount, Currency},
    principal::{Caller, Origin, Principal},
    time::{Date, Timestamp},
    transaction::{Transaction, TransactionKind},
};

const ALICE: AccountId = AccountId::from_bytes([0xa1; 16]);
const BOB: AccountId = AccountId::from_bytes([0xb0; 16]);
const EUR: Currency = Currency::EUR;

struct NoKey;

impl Signer for NoKey {
    fn sign(&self, _: &[u8]) -> (i64, [u8; 32]) {
        (1, [0; 32])
    }
}

/// Everything that a database would hold.
#[derive(Clone)]
struct Books {
    records: Vec<SignedRecord>,
    transactions: Vec<Transaction>,
    entries: Vec<Entry>,
    accounts: Vec<Account>,
    holds: Vec<Hold>,
    numbers: HashMap<AccountId, String>,
}

fn till() -> AccountId {
    SystemAccount::Cash.id(EUR)
}

const fn action_of(verb: &Verb) -> Action {
    match verb {
        Verb::Open(_) => Action::AccountOpen,
        Verb::Post(posting) => match posting.kind {
            TransactionKind::Transfer => Action::TransferCreate,
            TransactionKind::Deposit => Action::DepositCreate,
            TransactionKind::Withdrawal => Action::WithdrawalCreate,
            TransactionKind::Capture => Action::HoldCapture,
            TransactionKind::Payment => Action::PaymentCreate,
            TransactionKind::Refund => Action::PaymentRefund,
            TransactionKind::Reversal => Action::TransferReverse,
        },
        Verb::Change { change, .. } => match change {
            AccountChange::Freeze(_) => Action::AccountFreeze,
            AccountChange::Unfreeze => Action::AccountUnfreeze,
            AccountChange::Close => Action::AccountClose,
        },
        Verb::Hold(_) => Action::HoldPlace,
        Verb::Capture(_) => Action::HoldCapture,
        Verb::Void(_) => Action::HoldVoid,
        Verb::Cash(_) => Action::CashDecide,
        Verb::Limit(_) => Action::LimitsChange,
        Verb::Except(_) => Action::LimitsExcept,
        Verb::Allow(_) => Action::LimitsSet,
        Verb::Pay(_) => Action::PaymentCreate,
        Verb::Send(_) => Action::PaymentCreate,
        Verb::Cancel(_) => Action::PaymentCancel,
        Verb::Refund(_) => Action::PaymentRefund,
        Verb::Reverse(_) => Action::TransferReverse,
        Verb::Review(_) => Action::ReviewDecide,
        Verb::Settle(_) => Action::RailSettle,
        Verb::Resolve(_) => Action::SuspenseResolve,
    }
}

fn open(id: AccountId) -> Verb {
    let [digit, ..] = *id.as_bytes();
    Verb::Open(NewAccount {
        id,
        owner: UserId::from_bytes(*id.as_bytes()),
        kind: CustomerKind::Checking,
        currency: EUR,
        number: Iban::compose("DE", "10010010", &format!("{digit:010}")).unwrap(),
        overdraft: 0,
        held_to_floor: None,
        sealed_name: vec![7],
    })
}

fn post(kind: TransactionKind, from: AccountId, to: AccountId, minor: i64, id: u8) -> Verb {
    Verb::Post(Posting {
        id: TransactionId::from_bytes([id; 16]),
        kind,
        from,
        to: Some(to),
        amount: Amount::new(minor).unwrap(),
        currency: EUR,
        value_date: None,
        memo: None,
        salt: [id; 16],
    })
}

fn books() -> Books {
    let mut book = Book {
        accounts: HashMap::new(),
        outcomes: HashMap::new(),
        taken_numbers: HashSet::new(),
        step_ups: HashMap::new(),
        holds: HashMap::new(),
        budgets: HashMap::new(),
        nonces: HashMap::new(),
        limits: HashMap::new(),
        account_limits: HashMap::new(),
        bank_left: HashMap::new(),
        rules: Default::default(),
        fraud: crate::ledger::FraudBook::default(),
        payments: crate::ledger::PaymentBook::default(),
        sending: crate::ledger::SendingBook::default(),
        rail: crate::ledger::RailBook::default(),
        epoch: 1,
        booked_at: Timestamp::from_micros(1_000),
        today: Date::default(),
        next_entry: 1,
        next_record: 1,
        log: Some(CompactRange::default()),
    };
    let freeze = |change| Verb::Change {
        account: BOB,
        side: Side::Bank,
        change,
    };
    let mut verbs = vec![open(ALICE), open(BOB)];
    verbs.push(post(TransactionKind::Deposit, till(), ALICE, 1_000, 1));
    for number in 2..40 {
        verbs.push(post(
            TransactionKind::Transfer,
            ALICE,
            BOB,
            i64::from(number),
            number,
        ));
    }
    let held = |id: u8| HoldRef {
        id: HoldId::from_bytes([0xd0 | id; 16]),
        account: ALICE,
        to: BOB,
    };
    // One that stays open, one that is captured in two steps, one that is voided.
    for id in 1..=3 {
        verbs.push(Verb::Hold(NewHold {
            id: held(id).id,
            account: ALICE,
            to: Some(BOB),
            amount: Amount::new(10).unwrap(),
            currency: EUR,
            expires_at: Timestamp::from_micros(9_000),
        }));
    }
    for (id, minor) in [(50, 4), (51, 6)] {
        verbs.push(Verb::Capture(Capture {
            id: TransactionId::from_bytes([id; 16]),
            hold: held(2),
            take: Take {
                amount: Some(Amount::new(minor).unwrap()),
                last: false,
            },
            currency: None,
            salt: [id; 16],
        }));
    }
    verbs.push(Verb::Void(held(3)));
    verbs.push(freeze(AccountChange::Freeze(FreezeScope::All)));
    verbs.push(freeze(AccountChange::Unfreeze));
    verbs.push(freeze(AccountChange::Freeze(FreezeScope::Debits)));
    let commands: Vec<Command> = verbs
        .into_iter()
        .map(|verb| {
            Command::plain(
                Authority {
                    caller: Caller {
                        principal: Principal::Job,
                        session: None,
                        origin: Origin::Job,
                    },
                    action: action_of(&verb),
                    scope: Owned::ByAnyone,
                    policy: 1,
                    epoch: 1,
                    network: None,
                },
                RequestId::from_bytes([9; 16]),
                verb,
            )
        })
        .collect();
    let (changes, answers) = decide(&mut book, &commands, &NoKey);
    assert!(
        answers.iter().all(|answer| matches!(answer, Answer::Done(_))),
        "{answers:?}"
    );
    let open = |hold: &Hold| hold.state == HoldState::Open;
    let holds = book.holds.values().filter(|hold| open(hold)).cloned().collect();
    let mut accounts: Vec<Account> = book.accounts.into_values().collect();
    accounts.sort_by_key(|account| account.id);
    Books {
        records: changes.records,
        transactions: changes.transactions,
        entries: changes.entries,
        accounts,
        holds,
        numbers: changes
            .opened
            .iter()
            .filter_map(|opened| Some((opened.id, opened.number.as_ref()?.as_str().to_owned())))
            .collect(),
    }
}

/// Replays the books as a reader of the database would, and gives the codes of what was found.
fn replay(books: &Books) -> Vec<&'static str> {
    replay_in(books, Slice::ALL)
}

fn replay_in(books: &Books, slice: Slice) -> Vec<&'static str> {
    let (mut replay, mut findings) = (Replay::new(slice), Findings::default());
    for record in &books.records {
        replay.record(record);
        let found = books
            .transactions
            .iter()
            .find(|t| t.id.as_bytes() == &record.object_id);
        if let Some(transaction) = found {
            let entries: Vec<Entry> = books
                .entries
                .iter()
                .filter(|e| (transaction.first_entry..=transaction.last_entry).contains(&e.id))
                .copied()
                .collect();
            check_transaction(record, transaction, &entries, &mut findings);
            replay.entries(&entries, &mut findings);
        }
    }
    for account in &books.accounts {
        replay.compare(
            account,
            books.numbers.get(&account.id).map(String::as_str),
            &mut findings,
        );
        let of_it = |hold: &&Hold| hold.account == account.id;
        let holds: Vec<Hold> = books.holds.iter().filter(of_it).cloned().collect();
        replay.compare_holds(account.id, &holds, &mut findings);
    }
    replay.finish(&mut findings);
    let mut codes: Vec<_> = findings
        .kept()
        .iter()
        .map(|finding| finding.problem.code())
        .collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn account(books: &mut Books, id: AccountId) -> &mut Account {
    books
        .accounts
        .iter_mut()
        .find(|account| account.id == id)
        .unwrap()
}

#[test]
fn untouched_books_are_rebuilt_exactly() {
    let books = books();
    assert!(books.entries.len() > 70 && books.accounts.len() == 8);
    assert_eq!(replay(&books), [""; 0]);
}

#[test]
fn every_slice_of_the_accounts_is_rebuilt_on_its_own() {
    let mut books = books();
    for index in 0..3 {
        assert_eq!(replay_in(&books, Slice { index, count: 3 }), [""; 0]);
    }
    account(&mut books, ALICE).balance += 1;
    let found: Vec<_> = (0..3)
        .map(|index| replay_in(&books, Slice { index, count: 3 }).len())
        .collect();
    assert_eq!(found.iter().sum::<usize>(), 1, "one slice sees it: {found:?}");
}

#[test]
fn records_may_come_in_another_order_than_the_bookings() {
    let mut books = books();
    // As several nodes would: neighbours of the same account change places.
    for pair in books.records[2..].chunks_exact_mut(3) {
        pair.reverse();
    }
    assert_eq!(replay(&books), [""; 0]);
}

#[test]
fn whatever_is_changed_in_the_books_is_found() {
    type Change = fn(&mut Books);
    let untouched = books();
    let changes: Vec<(&str, Change)> = vec![
        ("balance_wrong", |b| b.entries[10].balance_after += 1),
        ("transaction_changed", |b| b.entries[10].balance_after += 1),
        ("unbalanced", |b| b.entries[10].amount += 1),
        ("entry_changed", |b| {
            b.entries[10].booked_at = Timestamp::from_micros(5)
        }),
        ("time_wrong", |b| {
            b.entries[10].booked_at = Timestamp::from_micros(5)
        }),
        ("links_wrong", |b| b.entries[10].jump = Some(1)),
        ("sequence_wrong", |b| b.entries[10].sequence = 1),
        ("entry_missing", |b| {
            b.entries.remove(10);
        }),
        ("sequence_wrong", |b| {
            b.entries.remove(10);
        }),
        ("transaction_changed", |b| b.transactions[3].memo = Some([1; 32])),
        ("unbalanced", |b| {
            b.transactions[3].amount = Amount::new(1).unwrap()
        }),
        ("transaction_changed", |b| b.transactions[3].to_account = till()),
        ("state_balance", |b| account(b, ALICE).balance += 1),
        ("state_entries", |b| account(b, ALICE).entries += 1),
        ("state_time", |b| {
            account(b, ALICE).last_booked_at = Timestamp::from_micros(1)
        }),
        ("state_path", |b| {
            account(b, ALICE).path = crate::account::SkipPath::default()
        }),
        ("state_freezes", |b| account(b, BOB).freezes = Freezes::NONE),
        ("state_closed", |b| account(b, BOB).closed = true),
        ("state_floor", |b| account(b, ALICE).floor = Some(-100)),
        ("account_changed", |b| {
            account(b, ALICE).owner = Some(UserId::from_bytes([9; 16]))
        }),
        ("account_changed", |b| account(b, till()).floor = Some(0)),
        ("account_changed", |b| b.numbers.retain(|id, _| *id != BOB)),
        ("state_held", |b| account(b, ALICE).held = 0),
        ("state_held", |b| account(b, BOB).held = 1),
        ("state_held", |b| account(b, ALICE).holds = 2),
        ("state_held", |b| {
            account(b, ALICE).hold_due = Some(Timestamp::from_micros(9_001))
        }),
        ("hold_missing", |b| b.holds.clear()),
        ("hold_changed", |b| b.holds[0].to_account = till()),
        ("hold_changed", |b| {
            b.holds[0].expires_at = Timestamp::from_micros(9_999)
        }),
        ("hold_changed", |b| {
            b.holds.push(Hold {
                id: HoldId::from_bytes([0xd3; 16]),
                ..b.holds[0].clone()
            })
        }),
        ("account_missing", |b| b.accounts.retain(|a| a.id != BOB)),
        ("account_unrecorded", |b| {
            b.records.remove(0);
        }),
    ];
    for (number, (code, change)) in changes.into_iter().enumerate() {
        assert_eq!(replay(&untouched), [""; 0]);
        let mut changed = untouched.clone();
        change(&mut changed);
        let found = replay(&changed);
        assert!(found.contains(&code), "change {number}: {code} not in {found:?}");
    }
}

#[test]
fn a_missing_entry_is_found_in_bounded_memory() {
    let mut books = books();
    books.transactions.clear();
    let mut findings = Findings::default();
    let mut replay = Replay::new(Slice::ALL);
    let first = books.entries[1];
    for sequence in 2..30_000_u64 {
        let entry = Entry {
            id: i64::try_from(sequence).unwrap(),
            sequence,
            ..first
        };
        replay.entries(&[entry], &mut findings);
    }
    assert!(
        findings
            .kept()
            .iter()
            .any(|found| found.problem == Problem::SequenceWrong)
    );
    assert!(findings.kept().len() <= FINDINGS_MAX);
}

#[test]
fn a_tail_is_rebuilt_from_where_the_account_stood() {
    let books = books();
    let (mut replay, mut findings) = (Replay::tail(), Findings::default());
    let tail: Vec<Entry> = books
        .entries
        .iter()
        .filter(|e| e.id > 20 && e.account == ALICE)
        .copied()
        .collect();
    let before = books
        .entries
        .iter()
        .rfind(|e| e.id <= 20 && e.account == ALICE)
        .unwrap();
    assert!(replay.wants_start(&tail[0]));
    let mut path = crate::account::SkipPath::default();
    for entry in books.entries.iter().filter(|e| e.id <= 20 && e.account == ALICE) {
        path.push(entry.id);
    }
    replay.begin(
        ALICE,
        Start {
            balance: before.balance_after,
            entries: before.sequence,
            booked_at: before.booked_at,
            path: Some(path),
        },
    );
    assert!(!replay.wants_start(&tail[0]));
    replay.entries(&tail, &mut findings);
    for account in &books.accounts {
        replay.compare(
            account,
            books.numbers.get(&account.id).map(String::as_str),
            &mut findings,
        );
    }
    replay.finish(&mut findings);
    assert_eq!(findings.kept(), []);
    let mut changed = books.clone();
    account(&mut changed, ALICE).balance += 1;
    for account in &changed.accounts {
        replay.compare(
            account,
            books.numbers.get(&account.id).map(String::as_str),
            &mut findings,
        );
    }
    assert_eq!(findings.count(), 1);
}
