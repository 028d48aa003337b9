//! Random commands against the paper bank, and the same commands cut into batches in every way.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    desk::{
        ALICE, BOB, Desk, EUR, NOWHERE, TELLER, allow, capture, change, deposit, dry, freeze, hold, keyed,
        limit, limit_account, new_account, number, open, place, post, stale, till, usd, void,
    },
    laws,
    reference::{Paper, Told},
};
use crate::{
    account::{FreezeScope, SkipPath, SystemAccount},
    audit::{CompactRange, NodeStore},
    fraud::{FraudMode, FraudRules},
    hold::HOLDS_PER_ACCOUNT_MAX,
    id::{AccountId, HoldId, UserId},
    ledger::{AccountChange, Answer, Book, Changes, Command, HoldRef, NewAccount, NewHold, Refusal},
    limits::{Caps, CapsRule, LimitClass, LimitRules},
    money::{AMOUNT_MAX, Currency},
    transaction::{Entry, TransactionKind},
};

/// Random histories per run, and commands in each: some seconds without optimisation.
const HISTORIES: u32 = 80;
const COMMANDS_MAX: usize = 80;
/// Accounts that random commands may open.
const SLOTS: u8 = 4;
/// Holds that random commands may place.
const HOLDS: u8 = 6;

/// Whatever the books may hold of an account: paths and logs only as the stored bytes give them back.
struct Storage {
    nodes: NodeStore,
}

impl Storage {
    fn keep(&mut self, changes: &Changes) {
        for (at, _, hash) in &changes.leaves {
            self.nodes.insert(0, *at, *hash);
        }
        for node in &changes.nodes {
            self.nodes.insert(node.level, node.index, node.hash);
        }
    }

    fn reload(&self, book: &mut Book) {
        for account in book.accounts.values_mut() {
            account.path = SkipPath::from_bytes(&account.path.to_bytes(), account.entries).unwrap();
        }
        let size = book.log.as_ref().unwrap().size();
        book.log = Some(CompactRange::load(size, &self.nodes).unwrap());
    }
}

/// The bank in which every history begins, its accounts, and all that was ever written.
struct Start {
    desk: Desk,
    accounts: Vec<AccountId>,
    written: Changes,
}

fn start() -> Start {
    let mut desk = Desk::new();
    let all: CapsRule = "3/6/7".parse().unwrap();
    desk.book.rules = Arc::new(LimitRules {
        classes: [(LimitClass::All, all)].into(),
        bank_day: "-/9/-".parse().unwrap(),
        ..LimitRules::default()
    });
    // Less than the customers together may pay.
    desk.book.bank_left.insert(EUR, 900);
    // Rules watch, so that what they learn is learned in every history.
    desk.book.fraud.rules = Arc::new(FraudRules::built_in(FraudMode::Shadow));
    let mut written = Changes::default();
    let mut accounts = Vec::new();
    for (owner, currency, overdraft) in [
        (ALICE, EUR, 0),
        (ALICE, usd(), 0),
        (BOB, EUR, 300),
        (BOB, EUR, 0),
        (ALICE, EUR, 0),
    ] {
        let new = new_account(owner, currency, overdraft);
        accounts.push(new.id);
        append(&mut written, desk.decide(&[open(owner, new)]).0);
    }
    let commands = [
        deposit(accounts[0], 1_000),
        post(
            TELLER,
            TransactionKind::Deposit,
            till(usd()),
            accounts[1],
            500,
            usd(),
        ),
        deposit(accounts[3], 200),
        freeze(TELLER, accounts[3], FreezeScope::Debits),
    ];
    append(&mut written, desk.decide(&commands).0);
    // One account that is nearly full, so that the end of the number range is met.
    desk.edit(accounts[4]).balance = i64::MAX - 5;
    desk.edit(accounts[4]).holds = HOLDS_PER_ACCOUNT_MAX;
    desk.edit(SystemAccount::Equity.id(EUR)).balance = 5 - i64::MAX;
    accounts.extend([till(EUR), SystemAccount::Equity.id(EUR), NOWHERE]);
    accounts.extend((0..SLOTS).map(slot));
    Start {
        desk,
        accounts,
        written,
    }
}

fn hold_slot(number: u8) -> HoldId {
    HoldId::from_bytes([0xd0 | number; 16])
}

/// The holds as the commands before would have placed them: the first that names a slot names its accounts.
fn commands(steps: &[Step], accounts: &[AccountId]) -> Vec<Command> {
    let mut known: BTreeMap<u8, HoldRef> = BTreeMap::new();
    let nowhere = |slot| HoldRef {
        id: hold_slot(slot),
        account: NOWHERE,
        to: NOWHERE,
    };
    let mut all = Vec::with_capacity(steps.len());
    for step in steps {
        all.push(command(step, accounts, |slot| {
            known.get(&slot).copied().unwrap_or_else(|| nowhere(slot))
        }));
        if let Ask::Hold { slot, from, to, .. } = &step.ask
            && !step.dry
        {
            let to = to.map_or(NOWHERE, |at| accounts[at]);
            known.entry(*slot).or_insert(HoldRef {
                id: hold_slot(*slot),
                account: accounts[*from],
                to,
            });
        }
    }
    all
}

fn slot(number: u8) -> AccountId {
    AccountId::from_bytes([0xc0 | number; 16])
}

/// A command by positions, as the generator draws and shrinks it.
#[derive(Debug, Clone)]
enum Ask {
    Post {
        kind: TransactionKind,
        from: usize,
        to: Option<usize>,
        through_till: bool,
        minor: i64,
        currency: Currency,
    },
    Change(usize, AccountChange),
    Hold {
        slot: u8,
        from: usize,
        to: Option<usize>,
        minor: i64,
    },
    Capture {
        slot: u8,
        minor: Option<i64>,
        last: bool,
    },
    Void(u8),
    Limit(usize, Caps, bool, bool),
    Allow(usize, Caps),
    Open {
        slot: u8,
        number: u8,
        owner: UserId,
        currency: Currency,
        overdraft: i64,
    },
}

#[derive(Debug, Clone)]
struct Step {
    by: UserId,
    ask: Ask,
    key: Option<(u8, [u8; 2])>,
    dry: bool,
    stale: bool,
}

fn people() -> impl Strategy<Value = UserId> {
    select(vec![ALICE, ALICE, ALICE, BOB, BOB, TELLER, TELLER, TELLER])
}

fn currencies() -> impl Strategy<Value = Currency> {
    let crowns = Currency::parse("CZK").unwrap();
    select(vec![EUR, EUR, EUR, EUR, EUR, EUR, usd(), usd(), crowns])
}

fn asks() -> impl Strategy<Value = Ask> {
    let accounts = 0..8 + usize::from(SLOTS);
    let amounts = prop_oneof![4 => 1..=400_i64, 3 => 1..=6_i64, 1 => Just(AMOUNT_MAX)];
    let kinds = select(vec![
        TransactionKind::Transfer,
        TransactionKind::Transfer,
        TransactionKind::Deposit,
        TransactionKind::Withdrawal,
    ]);
    let to = prop_oneof![9 => accounts.clone().prop_map(Some), 1 => Just(None)];
    let payers = prop_oneof![4 => select(vec![0, 2]), 1 => 0..6_usize];
    let payees = prop_oneof![4 => select(vec![Some(0), Some(2), Some(3)]), 1 => to.clone()];
    let posts = (
        kinds,
        accounts.clone(),
        to,
        prop::bool::weighted(0.8),
        amounts,
        currencies(),
    )
        .prop_map(|(kind, from, to, through_till, minor, currency)| Ask::Post {
            kind,
            from,
            to,
            through_till,
            minor,
            currency,
        });
    let changes = select(vec![
        AccountChange::Freeze(FreezeScope::Debits),
        AccountChange::Freeze(FreezeScope::All),
        AccountChange::Unfreeze,
        AccountChange::Unfreeze,
        AccountChange::Close,
        AccountChange::Close,
    ]);
    let changes = (accounts, changes).prop_map(|(account, change)| Ask::Change(account, change));
    let opens = (0..SLOTS, 0..SLOTS, people(), currencies(), 0..=50_i64).prop_map(
        |(slot, number, owner, currency, overdraft)| Ask::Open {
            slot,
            number,
            owner,
            currency,
            overdraft,
        },
    );
    let slots = 0..HOLDS;
    let holds = (slots.clone(), payers, payees, 1..=60_i64).prop_map(|(slot, from, to, minor)| Ask::Hold {
        slot,
        from,
        to,
        minor,
    });
    let captures = (
        slots.clone(),
        prop::option::weighted(0.8, 1..=60_i64),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(slot, minor, last)| Ask::Capture { slot, minor, last });
    let voids = slots.prop_map(Ask::Void);
    let cap = |most: i64| prop::option::weighted(0.5, 0..=most);
    let limits = (
        select(vec![0_usize, 0, 2, 2, 3, 6, 8]),
        cap(200),
        cap(60),
        cap(60),
        any::<bool>(),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(account, per_transfer, daily, monthly, may_raise, of_account)| {
            let caps = Caps {
                per_transfer,
                daily,
                monthly,
            };
            Ask::Limit(account, caps, may_raise, of_account)
        });
    let cap = |most: i64| prop::option::weighted(0.4, 20..=most);
    let allowances = (select(vec![0_usize, 2, 3, 6, 8]), cap(300), cap(300), cap(300)).prop_map(
        |(account, per_transfer, daily, monthly)| {
            let caps = Caps {
                per_transfer,
                daily,
                monthly,
            };
            Ask::Allow(account, caps)
        },
    );
    prop_oneof![
        14 => posts, 4 => changes, 2 => opens, 6 => holds, 6 => captures, 2 => voids, 4 => limits, 3 => allowances
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let keys = prop::option::weighted(0.3, (0..6_u8, [0..2_u8, 0..2_u8]));
    (
        people(),
        asks(),
        keys,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.05),
    )
        .prop_map(|(by, ask, key, dry, stale)| Step {
            by,
            ask,
            key,
            dry,
            stale,
        })
}

fn command(step: &Step, accounts: &[AccountId], placed: impl Fn(u8) -> HoldRef) -> Command {
    let made = match &step.ask {
        Ask::Post {
            kind,
            from,
            to,
            through_till,
            minor,
            currency,
        } => {
            let (mut from, mut to) = (accounts[*from], to.map(|at| accounts[at]));
            match kind {
                TransactionKind::Deposit if *through_till => from = till(*currency),
                TransactionKind::Withdrawal if *through_till => to = Some(till(*currency)),
                _ => {}
            }
            post(step.by, *kind, from, to, *minor, *currency)
        }
        Ask::Change(at, to) => change(step.by, accounts[*at], *to),
        Ask::Hold {
            slot,
            from,
            to,
            minor,
        } => {
            let new = NewHold {
                id: hold_slot(*slot),
                ..hold(accounts[*from], to.map(|at| accounts[at]), *minor)
            };
            place(step.by, new)
        }
        Ask::Capture { slot, minor, last } => capture(step.by, placed(*slot), *minor, *last),
        Ask::Void(slot) => void(step.by, placed(*slot)),
        Ask::Limit(at, caps, may_raise, false) => limit(step.by, accounts[*at], *caps, *may_raise),
        Ask::Limit(at, caps, may_raise, true) => limit_account(step.by, accounts[*at], *caps, *may_raise),
        Ask::Allow(at, caps) => allow(step.by, accounts[*at], *caps),
        Ask::Open {
            slot: at,
            number: part,
            owner,
            currency,
            overdraft,
        } => {
            let new = NewAccount {
                id: slot(*at),
                number: number(9_000_000 + u64::from(*part)),
                ..new_account(*owner, *currency, *overdraft)
            };
            open(step.by, new)
        }
    };
    let made = if step.stale { stale(made) } else { made };
    match step.key {
        _ if step.dry => dry(made),
        Some((key, fields)) => keyed(made, key, &fields),
        None => made,
    }
}

fn append(all: &mut Changes, more: Changes) {
    all.opened.extend(more.opened);
    all.touched.extend(more.touched);
    all.transactions.extend(more.transactions);
    all.entries.extend(more.entries);
    all.memos.extend(more.memos);
    // What was placed in an earlier batch and changed in a later one is only placed where both are one batch.
    all.holds.extend(more.holds.difference(&all.placed));
    all.placed.extend(more.placed);
    all.captures.extend(more.captures);
    all.limits.extend(more.limits.difference(&all.customers));
    all.customers.extend(more.customers);
    all.outcomes.extend(more.outcomes);
    all.records.extend(more.records);
    all.leaves.extend(more.leaves);
    all.nodes.extend(more.nodes);
}

/// Runs the commands in batches of these sizes, over and over, with a reload before each.
fn run(start: &Start, commands: &[Command], sizes: &[usize]) -> (Book, Changes, Vec<Answer>) {
    let mut desk = Desk {
        book: start.desk.book.clone(),
    };
    let mut storage = Storage {
        nodes: NodeStore::default(),
    };
    storage.keep(&start.written);
    let (mut written, mut answers) = (Changes::default(), Vec::new());
    let (mut rest, mut sizes) = (commands, sizes.iter().cycle());
    while !rest.is_empty() {
        storage.reload(&mut desk.book);
        let (batch, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        let (changes, told) = desk.decide(batch);
        storage.keep(&changes);
        append(&mut written, changes);
        answers.extend(told);
        rest = later;
    }
    (desk.book, written, answers)
}

/// Each account's path, built again from nothing but the entries.
fn paths_of<'a>(entries: impl Iterator<Item = &'a Entry>) -> BTreeMap<AccountId, SkipPath> {
    let mut paths: BTreeMap<AccountId, SkipPath> = BTreeMap::new();
    for entry in entries {
        paths.entry(entry.account).or_default().push(entry.id);
    }
    paths
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: HISTORIES,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_books_agree_with_paper_however_commands_are_batched(
        steps in vec(steps(), 1..COMMANDS_MAX),
        sizes in vec(1..12_usize, 1..6),
    ) {
        let start = start();
        let commands = commands(&steps, &start.accounts);
        let (book, written, answers) = run(&start, &commands, &[1]);

        let mut paper = Paper::of(&start.desk.book);
        for (number, (command, answer)) in commands.iter().zip(&answers).enumerate() {
            prop_assert_eq!(Told::from(answer), paper.ask(command), "command {}: {:?}", number, command);
        }
        prop_assert!(paper.agrees(&book));

        for sum in laws::sums(&book).values() {
            prop_assert_eq!(*sum, 0, "every unit is owed by somebody");
        }
        let paths = paths_of(start.written.entries.iter().chain(&written.entries));
        for account in book.accounts.values() {
            let path = paths.get(&account.id).cloned().unwrap_or_default();
            prop_assert_eq!(&account.path, &path);
        }
        let mut log = CompactRange::default();
        for record in start.written.records.iter().chain(&written.records) {
            log.append(record.leaf(), |_| ());
        }
        prop_assert_eq!(book.log.as_ref().map(CompactRange::root), Some(log.root()));

        for sizes in [&sizes[..], &[commands.len()]] {
            let (other, changes, told) = run(&start, &commands, sizes);
            prop_assert_eq!(&told, &answers);
            prop_assert_eq!(&other.accounts, &book.accounts);
            prop_assert_eq!(&other.holds, &book.holds);
            prop_assert_eq!(&other.limits, &book.limits);
            prop_assert_eq!(&other.account_limits, &book.account_limits);
            prop_assert_eq!(&other.bank_left, &book.bank_left);
            prop_assert_eq!(&other.outcomes, &book.outcomes);
            prop_assert_eq!(&other.taken_numbers, &book.taken_numbers);
            prop_assert_eq!(&other.log, &book.log);
            prop_assert_eq!((other.next_entry, other.next_record), (book.next_entry, book.next_record));
            prop_assert!(laws::are_same(&changes, &written));
        }
    }
}

/// The histories above are worth little if they only ever meet refusals: every answer has to occur.
#[test]
fn random_histories_meet_every_answer() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};

    let mut runner = TestRunner::deterministic();
    let (mut refusals, mut others) = (std::collections::BTreeSet::new(), [0_u32; 4]);
    let start = start();
    for _ in 0..40 {
        let steps = vec(steps(), COMMANDS_MAX)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let commands = commands(&steps, &start.accounts);
        for answer in run(&start, &commands, &[COMMANDS_MAX]).2 {
            match answer {
                Answer::Refused(refusal) => {
                    refusals.insert(refusal.number());
                }
                Answer::Done(_) => others[0] += 1,
                Answer::Replayed { .. } => others[1] += 1,
                Answer::KeyReused { .. } => others[2] += 1,
                Answer::Stale => others[3] += 1,
                Answer::StepUpNeeded | Answer::DuplicateSuspected(_) | Answer::NonceUsed => {
                    panic!("no command of these histories was signed")
                }
            }
        }
    }
    let all: std::collections::BTreeSet<_> = Refusal::ALL
        .iter()
        // Nobody acts by a key in these histories, pays a merchant, or asks for several things at once.
        .filter(|refusal| {
            ![
                Refusal::DuplicateSuspected,
                Refusal::PaymentNotFound,
                Refusal::PaymentClosed,
                Refusal::ExceedsPayment,
                Refusal::AlreadyReversed,
                Refusal::NotReversible,
                Refusal::ApprovalClosed,
                Refusal::ApprovalStale,
                Refusal::TooManyLimits,
                Refusal::OverBankLimit,
                Refusal::BeneficiaryNotFound,
                Refusal::BeneficiaryTooNew,
                Refusal::OverBeneficiaryLimit,
                Refusal::PaymentLeft,
                Refusal::ConfirmationNeeded,
                Refusal::Declined,
                Refusal::ReviewNotFound,
                Refusal::ReviewClosed,
                Refusal::ReviewNotYours,
                Refusal::LimitExceeded,
                Refusal::PayeeNotAllowed,
                Refusal::BatchRefused,
                Refusal::EntryKnown,
                Refusal::SuspenseNotFound,
                Refusal::SuspenseClosed,
            ]
            .contains(refusal)
        })
        .map(|refusal| refusal.number())
        .collect();
    assert_eq!(refusals, all);
    assert!(others.iter().all(|count| *count > 20), "{others:?}");
}
