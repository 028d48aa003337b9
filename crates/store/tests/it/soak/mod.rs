//! Every verb in random order against a model that a child could play, on both engines.
//!
//! `STRONGROOM_SOAK_OPS` says how many steps, `STRONGROOM_SOAK_SEED` which ones (`cargo xtask soak`). A failure names
//! its seed, and the same seed plays the same steps again. Limits, and holds that end by time, are played by the
//! domain's model and by stories.

mod dice;
mod keys;
mod lanes;
mod model;
mod names;

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
};

use strongroom_domain::{
    account::SystemAccount,
    action::Action,
    beneficiary::Beneficiary,
    fraud::{FraudMode, FraudRules, Rule, RuleMode, Verdict},
    id::{PaymentId, RailFileId},
    ledger::{Answer, Order},
    time::Timestamp,
};
use strongroom_store::{Scope, identity::NewApproval, ledger::MerchantView};

use self::{
    dice::{Dice, random_look, random_step},
    keys::{Kept, Must, together},
    model::{Model, Purse, SUSPECT, Step, Stop},
    names::{Names, sizes},
};
use crate::harness::{EUR, Kind, TestStore, id, run, tag};

/// A seed that every run plays: once it asked to take back a transfer that was not there, from an account to itself.
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
        waiting: Vec::new(),
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
    bank.clock.judge_by(suspicious());
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
            if others.often(12) {
                let step = random_look(&mut others, &model);
                let before = sizes(&model);
                let command = names.command(step, &model);
                let must = model.play(step);
                names.keep(&command, before, &model);
                kept.extend(Kept::of(&command, None).filter(|_| must));
                batch.push(command.into());
                let must = match (must, step) {
                    (true, Step::Suspect(..)) => Must::Wait,
                    (true, _) => Must::Done,
                    (false, _) => Must::Refused,
                };
                musts.push((format!("{step:?}"), must));
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

/// Who pays exactly this is looked at.
fn suspicious() -> Arc<FraudRules> {
    let (when, verdict) = (format!("amount = {SUSPECT}"), Verdict::Review);
    let rule = Rule::new("suspect", 1, &when, verdict, 50, RuleMode::Enforce).unwrap();
    Arc::new(FraudRules {
        mode: FraudMode::Enforce,
        rules: vec![rule],
        ..FraudRules::default()
    })
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// How many steps, and of which seed: the tests play what is known; `cargo xtask soak` says how many, and draws the
/// seed where it names none.
fn asked(steps: u64) -> (u64, u64) {
    let wanted = from_environment("STRONGROOM_SOAK_OPS");
    let drawn = || match wanted {
        Some(_) => RandomState::new().build_hasher().finish(),
        None => KNOWN_SEED,
    };
    let seed = from_environment("STRONGROOM_SOAK_SEED").unwrap_or_else(drawn);
    println!("seed {seed}");
    (wanted.unwrap_or(steps), seed)
}

fn soak(kind: Kind) {
    let (steps, seed) = asked(STEPS);
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
