//! Every verb in random order against a model that a child could play, on both engines.
//!
//! `STRONGROOM_SOAK_OPS` says how many steps, `STRONGROOM_SOAK_SEED` which ones (`cargo xtask soak`). A failure names
//! its seed, and the same seed plays the same steps again. Transfers that wait for a look have stories of their own.

mod dice;
mod keys;
mod model;

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
};

use strongroom_domain::{
    account::{FreezeScope, Side, SystemAccount},
    action::Action,
    beneficiary::Beneficiary,
    id::{
        AccountId, ApprovalId, BeneficiaryId, MerchantId, PaymentId, RailFileId, SuspenseItemId,
        TransactionId, UserId,
    },
    ledger::{
        AccountChange, Answer, Cancel, Command, HoldRef, NewLimits, NewPayment, NewReversal, NewSending,
        Order, PaymentRef, Posting, Refund, Resolve, StatementEntry, Verb,
    },
    limits::Caps,
    money::Amount,
    rail::{Direction, tag_of},
    time::Timestamp,
    transaction::TransactionKind,
};
use strongroom_store::{Scope, identity::NewApproval, ledger::MerchantView};

use self::{
    dice::{Dice, random_step},
    keys::{Kept, Must, together},
    model::{Model, Purse, Step, Stop},
};
use crate::harness::{
    EUR, Kind, TestStore, capture, change, deposit, hold, id, run, tag, till, transfer, void, withdraw,
};

/// The seed of the tests: once it asked to take back a transfer that was not there, from an account to itself.
const KNOWN_SEED: u64 = 2_197_721_898_593_416_790;
/// Steps on each engine where nobody says how many.
const STEPS: u64 = 50_000;
/// Steps of one batch at most.
const BATCH_MAX: u64 = 400;
/// Keys that are asked again at most.
const KEPT_MAX: usize = 10_000;
const ACCOUNTS: usize = 12;
/// One account more, which is empty and is only ever closed: random play empties none of the others.
const SPARE: usize = ACCOUNTS;
/// What is on each at first, in minor units.
const OPENING: i64 = 1_000_000_000;
const DIGEST: [u8; 32] = [7; 32];
const FAR: Timestamp = Timestamp::from_micros(9_000_000_000_000_000);

/// The things of the model by their ids.
struct Names {
    owners: [UserId; 2],
    accounts: Vec<AccountId>,
    merchants: Vec<MerchantId>,
    lists: Vec<BeneficiaryId>,
    holds: Vec<HoldRef>,
    payments: Vec<PaymentId>,
    away: Vec<PaymentId>,
    transfers: Vec<TransactionId>,
    lies: Vec<SuspenseItemId>,
    approvals: Vec<ApprovalId>,
    /// Drawn so far: no two payments of one payer look alike.
    drawn: i64,
}

impl Names {
    /// A command as the application makes it, with ids drawn for what it makes. The names of what is done are kept.
    fn command(&mut self, step: Step, model: &Model) -> Command {
        match step {
            Step::Deposit(at, amount) => deposit(self.accounts[at], amount).command,
            Step::Withdraw(at, amount) => withdraw(self.accounts[at], amount).command,
            Step::Transfer(from, to, amount) => {
                let asked = transfer(self.accounts[from], self.accounts[to], amount);
                asked.with_key().command
            }
            Step::Freeze(at, all) => {
                let scope = if all {
                    FreezeScope::All
                } else {
                    FreezeScope::Debits
                };
                self.change(at, AccountChange::Freeze(scope))
            }
            Step::Unfreeze(at) => self.change(at, AccountChange::Unfreeze),
            Step::Close(at) => self.change(at, AccountChange::Close),
            Step::Limit(at) => {
                let new = NewLimits {
                    account: self.accounts[at],
                    caps: Caps::NONE,
                    may_raise: true,
                    of_account: false,
                };
                self.asked(Action::LimitsChange, Verb::Limit(new))
            }
            Step::Hold(from, to, amount) => {
                let (asked, reference) = hold(self.accounts[from], self.accounts[to], amount, FAR);
                self.holds.push(reference);
                asked.command
            }
            Step::Capture(at, amount, last) => capture(self.hold(at), amount, last).command,
            Step::Void(at) => void(self.hold(at)).command,
            Step::Pay(from, to, amount) => {
                let new = NewPayment {
                    posting: self.posting(TransactionKind::Payment, from, self.accounts[to], amount),
                    merchant: self.merchants[to],
                    payer: self.owner(from),
                    confirmed: None,
                };
                self.asked(Action::PaymentCreate, Verb::Pay(new))
            }
            Step::Refund(at, amount) => {
                let asked = Refund {
                    id: id(),
                    payment: self.payment(at, model),
                    amount: amount.map(|minor| Amount::new(minor).unwrap()),
                    memo: None,
                    salt: tag(),
                };
                self.asked(Action::PaymentRefund, Verb::Refund(asked))
            }
            Step::ReversePayment(at) => {
                let meant = self.payment(at, model);
                let amount = model.payments.get(at).map_or(1, |paid| paid.amount);
                let (of, kind) = (meant.id.cast(), TransactionKind::Payment);
                self.reversal(of, kind, meant.to, meant.account, amount)
            }
            Step::ReverseTransfer(at) => {
                let moved = model.transfers.get(at);
                let side = |at: usize| self.accounts[at];
                let (from, to, amount) = moved.map_or((till(), till(), 1), |moved| {
                    (side(moved.from), side(moved.to), moved.amount)
                });
                let of = self.transfers.get(at).copied().unwrap_or_else(id);
                self.reversal(of, TransactionKind::Transfer, to, from, amount)
            }
            Step::Send(from, amount) => {
                let clearing = SystemAccount::Clearing.id(EUR);
                let new = NewSending {
                    posting: self.posting(TransactionKind::Payment, from, clearing, amount),
                    beneficiary: self.lists[from],
                    payer: self.owner(from),
                    confirmed: None,
                };
                self.asked(Action::PaymentCreate, Verb::Send(new))
            }
            Step::Cancel(at) => {
                let from = model.away.get(at).map_or(0, |away| away.from);
                let asked = Cancel {
                    id: id(),
                    payment: self.away.get(at).copied().unwrap_or_else(id),
                    account: self.accounts[from],
                    clearing: SystemAccount::Clearing.id(EUR),
                    salt: tag(),
                };
                self.asked(Action::PaymentCancel, Verb::Cancel(asked))
            }
            Step::Went(at, amount, entry) => {
                let named = self.named(at, model);
                self.says(entry, -amount, false, named, None)
            }
            Step::CameBack(at, amount, entry) => {
                let named = self.named(at, model);
                self.says(entry, amount, true, named, None)
            }
            Step::Credit(at, amount, entry) => {
                let account = self.accounts[at];
                self.says(entry, amount, false, None, Some(account))
            }
            Step::Debit(amount, entry) => self.says(entry, -amount, false, None, None),
            Step::Resolve(at, account) => {
                let asked = Resolve {
                    id: id(),
                    item: self.lies.get(at).copied().unwrap_or_else(id),
                    account: account.map_or(SystemAccount::Equity.id(EUR), |at| self.accounts[at]),
                    currency: EUR,
                    approval: self.approvals.pop().unwrap(),
                    digest: DIGEST,
                    sealed_reason: None,
                    maker: None,
                    checker: id(),
                    salt: tag(),
                };
                self.asked(Action::SuspenseResolve, Verb::Resolve(asked))
            }
        }
    }

    fn asked(&self, action: Action, verb: Verb) -> Command {
        let mut command = deposit(self.accounts[0], 1).command;
        command.authority.action = action;
        command.verb = verb;
        command
    }

    fn change(&self, at: usize, to: AccountChange) -> Command {
        change(self.accounts[at], Side::Bank, to).command
    }

    fn owner(&self, at: usize) -> UserId {
        self.owners[at * 2 / ACCOUNTS]
    }

    fn hold(&self, at: usize) -> HoldRef {
        self.holds.get(at).copied().unwrap_or_else(|| HoldRef {
            id: id(),
            account: self.accounts[0],
            to: self.accounts[1],
        })
    }

    fn payment(&self, at: usize, model: &Model) -> PaymentRef {
        let (from, to) = model.payments.get(at).map_or((0, 1), |paid| (paid.from, paid.to));
        PaymentRef {
            id: self.payments.get(at).copied().unwrap_or_else(id),
            account: self.accounts[from],
            to: self.accounts[to],
        }
    }

    fn named(&self, at: usize, model: &Model) -> Option<(PaymentId, AccountId)> {
        let payment = self.away.get(at)?;
        Some((*payment, self.accounts[model.away.get(at)?.from]))
    }

    fn posting(&self, kind: TransactionKind, from: usize, to: AccountId, minor: i64) -> Posting {
        let Verb::Post(posting) = transfer(self.accounts[from], to, minor).command.verb else {
            unreachable!()
        };
        Posting { kind, ..posting }
    }

    fn reversal(
        &mut self,
        of: TransactionId,
        kind: TransactionKind,
        from: AccountId,
        to: AccountId,
        minor: i64,
    ) -> Command {
        let new = NewReversal {
            id: id(),
            of,
            kind,
            from,
            to,
            amount: Amount::new(minor).unwrap(),
            currency: EUR,
            approval: self.approvals.pop().unwrap(),
            digest: DIGEST,
            sealed_reason: None,
            checker: id(),
            salt: tag(),
        };
        self.asked(Action::TransferReverse, Verb::Reverse(new))
    }

    /// An entry of a statement: what came is positive.
    fn says(
        &self,
        entry: u32,
        signed: i64,
        back: bool,
        payment: Option<(PaymentId, AccountId)>,
        account: Option<AccountId>,
    ) -> Command {
        let direction = if signed > 0 {
            Direction::Credit
        } else {
            Direction::Debit
        };
        let amount = Amount::new(signed.abs()).unwrap();
        let said = StatementEntry {
            id: id(),
            tag: tag_of("DE1", &entry.to_string(), direction, amount, EUR),
            direction,
            back,
            amount,
            currency: EUR,
            payment,
            account,
            value_date: None,
            memo: None,
            sealed: vec![1; 20],
            salt: tag(),
        };
        self.asked(Action::RailSettle, Verb::Settle(said))
    }

    /// Keeps the names of what a step made.
    fn keep(&mut self, command: &Command, before: (usize, usize, usize, usize, usize), model: &Model) {
        match &command.verb {
            Verb::Hold(_) => self.holds.truncate(model.holds.len()),
            Verb::Post(posting) if model.transfers.len() > before.1 => self.transfers.push(posting.id),
            Verb::Pay(new) if model.payments.len() > before.2 => self.payments.push(new.posting.id.cast()),
            Verb::Send(new) if model.away.len() > before.3 => self.away.push(new.posting.id.cast()),
            Verb::Settle(entry) if model.lies.len() > before.4 => self.lies.push(entry.id.cast()),
            _ => {}
        }
    }
}

const fn sizes(model: &Model) -> (usize, usize, usize, usize, usize) {
    (
        model.holds.len(),
        model.transfers.len(),
        model.payments.len(),
        model.away.len(),
        model.lies.len(),
    )
}

async fn begin(bank: &mut TestStore) -> (Names, Model) {
    let mut accounts = Vec::new();
    let mut owners = Vec::new();
    for _ in 0..2 {
        let opened = bank.accounts(ACCOUNTS / 2, OPENING).await;
        owners.push(bank.account(opened[0]).await.owner.unwrap());
        accounts.extend(opened);
    }
    accounts.extend(bank.accounts(1, 0).await);
    let mut names = Names {
        owners: [owners[0], owners[1]],
        accounts,
        merchants: Vec::new(),
        lists: Vec::new(),
        holds: Vec::new(),
        payments: Vec::new(),
        away: Vec::new(),
        transfers: Vec::new(),
        lies: Vec::new(),
        approvals: Vec::new(),
        drawn: 0,
    };
    for at in 0..ACCOUNTS {
        let (account, owner) = (names.accounts[at], names.owner(at));
        let merchant = MerchantView {
            id: id(),
            account,
            owner,
            sealed_name: Some(vec![1; 40]),
            created_at: Timestamp::from_micros(1),
        };
        names.merchants.push(merchant.id);
        let somebody = Beneficiary {
            id: id(),
            owner,
            account: None,
            currency: EUR,
            added_at: Timestamp::from_micros(1),
            removed: false,
            paid: 0,
            last: None,
            earlier: Vec::new(),
        };
        names.lists.push(somebody.id);
        let tx = bank.store.write(Scope::System).await.unwrap();
        tx.insert_merchant(&merchant).await.unwrap();
        tx.insert_beneficiary(&somebody, &tag(), &[7; 60]).await.unwrap();
        tx.commit().await.unwrap();
    }
    let account = Purse {
        balance: OPENING,
        held: 0,
        holds: 0,
        stop: Stop::No,
        closed: false,
    };
    let spare = Purse {
        balance: 0,
        ..account.clone()
    };
    let mut accounts = vec![account; ACCOUNTS];
    accounts.push(spare);
    let model = Model {
        accounts,
        cash: -OPENING * i64::try_from(ACCOUNTS).unwrap(),
        ..Model::default()
    };
    (names, model)
}

/// Requests that somebody made and others will decide.
async fn fill_approvals(bank: &TestStore, names: &mut Names, count: u64) {
    let tx = bank.store.write(Scope::Operator).await.unwrap();
    while u64::try_from(names.approvals.len()).unwrap() < count {
        let new = NewApproval {
            id: id(),
            action: Action::TransferReverse.name(),
            maker_kind: 1,
            maker: [1; 16],
            person: None,
            rule: String::new(),
            key: None,
            sealed: vec![1; 60],
            digest: DIGEST,
            created_at: Timestamp::from_micros(1),
            expires_at: FAR,
        };
        tx.insert_approval(&new).await.unwrap();
        names.approvals.push(new.id);
    }
    tx.commit().await.unwrap();
}

/// Payments that wait go into a file, some of them.
async fn release(bank: &TestStore, names: &Names, model: &mut Model, dice: &mut Dice) {
    let waiting: BTreeMap<PaymentId, usize> = model
        .away
        .iter()
        .enumerate()
        .filter(|(_, away)| !away.left && !away.over)
        .filter(|_| dice.often(2))
        .map(|(at, _)| (names.away[at], at))
        .collect();
    if waiting.is_empty() {
        return;
    }
    let file: RailFileId = id();
    let wanted: Vec<PaymentId> = waiting.keys().copied().collect();
    let tx = bank.store.write(Scope::Operator).await.unwrap();
    assert_eq!(tx.release_payments(file, &wanted).await.unwrap(), wanted);
    tx.commit().await.unwrap();
    waiting.values().for_each(|at| model.away[*at].left = true);
}

async fn agrees(bank: &TestStore, names: &Names, model: &Model) {
    assert_eq!(model.sum(), 0, "money is neither made nor lost");
    for (account, name) in model.accounts.iter().zip(&names.accounts) {
        let found = bank.account(*name).await;
        assert_eq!(
            (found.balance, found.held, found.closed),
            (account.balance, account.held, account.closed)
        );
    }
    for (system, balance) in [
        (SystemAccount::Cash, model.cash),
        (SystemAccount::Clearing, model.clearing),
        (SystemAccount::Suspense, model.suspense),
        (SystemAccount::Equity, model.equity),
    ] {
        assert_eq!(bank.balance(system.id(EUR)).await, balance, "{}", system.name());
    }
    for (at, name) in names.away.iter().enumerate().rev().take(50) {
        let found = bank.store.outgoing(*name).await.unwrap().unwrap();
        let away = &model.away[at];
        assert_eq!(
            (found.file.is_some(), found.debited, found.closed_at.is_some()),
            (away.left, away.gone, away.over || away.gone)
        );
    }
}

async fn play(mut bank: TestStore, seed: u64, steps: u64) {
    let mut dice = Dice(seed);
    // Chance of its own, so that a seed goes on drawing the steps that it drew.
    let mut others = Dice(seed.rotate_left(32));
    let mut kept: Vec<Kept> = Vec::new();
    let (mut names, mut model) = begin(&mut bank).await;
    let mut told: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    let mut played = 0;
    while played < steps {
        let size = 1 + dice.next() % BATCH_MAX;
        // Steps are drawn and played one by one, so that later ones of a batch are about what earlier ones made.
        let (mut batch, mut musts): (Vec<Order>, Vec<(String, Must)>) = (Vec::new(), Vec::new());
        fill_approvals(&bank, &mut names, size / 4 + 8).await;
        // A request is about an item that is there: no batch has both.
        let items = model.lies.len();
        for _ in 0..size {
            if others.often(25) {
                let (order, must) = together(&mut others, &mut names, &mut model);
                for command in &order.commands {
                    kept.extend(Kept::of(command, None).filter(|_| must));
                    musts.push((
                        "Together".to_owned(),
                        if must { Must::Done } else { Must::Refused },
                    ));
                }
                batch.push(order);
            }
            if others.often(15)
                && let Some(known) = kept.get(others.recent(kept.len()))
            {
                let (command, must) = known.again(others.often(4));
                musts.push(("Again".to_owned(), must));
                batch.push(command.into());
            }
            names.drawn += 1;
            let mut step = random_step(&mut dice, &model, names.drawn);
            // An account that is closed stays so: only a few are. And a request is there for whatever needs one.
            if names.approvals.is_empty() || matches!(step, Step::Close(3..SPARE)) {
                step = Step::Unfreeze(3);
            }
            if matches!(step, Step::Resolve(at, _) if at >= items) {
                step = Step::Unfreeze(3);
            }
            let before = sizes(&model);
            let command = names.command(step, &model);
            let must = model.play(step);
            names.keep(&command, before, &model);
            kept.extend(Kept::of(&command, None).filter(|_| must));
            batch.push(command.into());
            musts.push((format!("{step:?}"), if must { Must::Done } else { Must::Refused }));
        }
        let answers = bank.try_orders(&batch).await;
        let answers =
            answers.unwrap_or_else(|error| panic!("seed {seed}, after {played}: {error:?} {musts:?}"));
        for (at, ((words, must), answer)) in musts.iter().zip(&answers).enumerate() {
            assert!(
                must.is_met_by(answer),
                "seed {seed}, step {at} after {played}: {words} must be {must:?} and is {answer:?}"
            );
            let verb = words.split('(').next().unwrap_or_default().to_owned();
            told.entry(verb).or_default()[usize::from(matches!(must, Must::Refused))] += 1;
        }
        // Refusals that stand for good are known by their keys, too; those of a whole are its own.
        let single = batch.iter().filter(|order| !order.all_or_none);
        let commands = single.flat_map(|order| &order.commands);
        let alone = musts
            .iter()
            .zip(&answers)
            .filter(|((words, _), _)| words != "Together");
        for (command, ((words, _), answer)) in commands.zip(alone) {
            if let Answer::Refused(refusal) = answer
                && refusal.is_frozen()
                && words != "Again"
            {
                kept.extend(Kept::of(command, Some(*refusal)));
            }
        }
        kept.drain(..kept.len().saturating_sub(KEPT_MAX));
        played += size;
        if dice.often(3) {
            release(&bank, &names, &mut model, &mut dice).await;
        }
        agrees(&bank, &names, &model).await;
    }
    assert!(
        told.values().all(|[done, _]| *done > 0) || steps < 5_000,
        "{told:?}"
    );
    println!("{played} steps agree with the model, seed {seed}: done and refused {told:?}");
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn soak(kind: Kind) {
    let steps = from_environment("STRONGROOM_SOAK_OPS").unwrap_or(STEPS);
    // The tests play what is known; `cargo xtask soak` draws seeds and prints them.
    let drawn = || match steps {
        STEPS => KNOWN_SEED,
        _ => RandomState::new().build_hasher().finish(),
    };
    let seed = from_environment("STRONGROOM_SOAK_SEED").unwrap_or_else(drawn);
    println!("seed {seed}");
    run(kind, async |bank: TestStore| play(bank, seed, steps).await);
}

#[test]
fn every_verb_in_random_order_agrees_with_the_model_on_sqlite() {
    soak(Kind::Sqlite);
}

#[test]
fn every_verb_in_random_order_agrees_with_the_model_on_postgres() {
    soak(Kind::Postgres);
}
