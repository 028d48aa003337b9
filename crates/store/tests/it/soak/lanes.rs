//! Several lanes on one database at once: nobody can say in which order they decide, and whatever it is, money is
//! neither made nor lost, and nothing ends twice.

use std::{collections::BTreeMap, sync::Mutex};

use strongroom_domain::{
    action::Action,
    hold::HoldState,
    id::{AccountId, HoldId, TransactionId, UserId},
    ledger::{Answer, Command, DecideReview, Done, HoldRef, Owned, ReviewVerb, Verb},
    principal::Principal,
};
use strongroom_store::StoreError;

use super::{FAR, OPENING, asked, dice::Dice, model::SUSPECT, suspicious};
use crate::harness::{Kind, TestStore, capture, hold, id, run, tag, till, transfer, void};

/// Lanes: processes of the bank on PostgreSQL, of one process on SQLite.
const LANES: usize = 4;
/// Commands of all lanes where nobody says how many, and of one batch at most.
const COMMANDS: u64 = 12_000;
/// Most of them: in the end every hold is read.
const COMMANDS_MAX: u64 = 400_000;
const BATCH_MAX: u64 = 60;
const ACCOUNTS: usize = 8;
/// How often a batch that lost a race comes again.
const TRIES_MAX: u32 = 100;

/// What all lanes know.
#[derive(Default)]
struct Shared {
    holds: Vec<HoldRef>,
    waiting: Vec<(TransactionId, AccountId, AccountId)>,
    /// How often each hold or transfer came to an end, and what was paid out of each hold.
    ended: BTreeMap<[u8; 16], u32>,
    done: BTreeMap<&'static str, u64>,
}

struct Town {
    accounts: Vec<AccountId>,
    owners: [UserId; 2],
}

impl Town {
    fn owner(&self, at: usize) -> UserId {
        self.owners[at * 2 / ACCOUNTS]
    }

    fn command(&self, dice: &mut Dice, shared: &Shared) -> Command {
        let half = ACCOUNTS / 2;
        let (from, to) = (dice.below(half), half + dice.below(half));
        let (from, to) = if dice.often(2) { (from, to) } else { (to, from) };
        let minor = dice.amount();
        match dice.below(10) {
            0..3 => {
                let own = dice.below(ACCOUNTS);
                transfer(self.accounts[own], self.accounts[(own + 1) % ACCOUNTS], minor)
                    .with_key()
                    .command
            }
            3..5 => hold(self.accounts[from], self.accounts[to], minor, FAR).0.command,
            5 | 6 if !shared.holds.is_empty() => {
                let meant = shared.holds[dice.recent(shared.holds.len())];
                let part = dice.often(2).then_some(minor / 3 + 1);
                capture(meant, part, dice.often(3)).command
            }
            7 if !shared.holds.is_empty() => void(shared.holds[dice.recent(shared.holds.len())]).command,
            8 if !shared.waiting.is_empty() => {
                let meant = shared.waiting[dice.recent(shared.waiting.len())];
                self.look(dice, meant)
            }
            _ => {
                let asked = transfer(self.accounts[from], self.accounts[to], SUSPECT);
                let mut command = asked.with_key().command;
                command.authority.scope = Owned::By(self.owner(from));
                command
            }
        }
    }

    fn look(&self, dice: &mut Dice, meant: (TransactionId, AccountId, AccountId)) -> Command {
        let (review, account, to) = meant;
        let at = self.accounts.iter().position(|known| *known == account).unwrap();
        let (verb, by, action) = match dice.below(3) {
            0 => (ReviewVerb::Release, id(), Action::ReviewDecide),
            1 => (ReviewVerb::Reject, id(), Action::ReviewDecide),
            _ => (ReviewVerb::Cancel, self.owner(at), Action::TransferCancel),
        };
        let mut command = transfer(account, to, 1).command;
        command.authority.action = action;
        command.authority.caller.principal = Principal::User(by);
        command.verb = Verb::Review(DecideReview {
            id: review,
            account,
            to,
            verb,
            by,
            first: None,
            memo: None,
            value_date: None,
            salt: tag(),
            sealed_reason: Some(vec![7; 40]),
        });
        command
    }
}

impl Shared {
    /// Notes what came of a command.
    fn note(&mut self, command: &Command, answer: &Answer) {
        let Answer::Done(done) = answer else {
            *self.done.entry("refused").or_default() += 1;
            return;
        };
        let mut end = |id: &[u8; 16]| *self.ended.entry(*id).or_default() += 1;
        let what = match (&command.verb, &**done) {
            (Verb::Hold(_), Done::Held(hold)) => {
                self.holds.push(HoldRef {
                    id: hold.id,
                    account: hold.account,
                    to: hold.to_account,
                });
                "hold"
            }
            (Verb::Void(_), Done::Held(hold)) => {
                end(hold.id.as_bytes());
                "void"
            }
            (Verb::Capture(_), Done::Captured(hold)) => {
                if hold.state != HoldState::Open {
                    end(hold.id.as_bytes());
                }
                "capture"
            }
            (Verb::Post(posting), Done::Reviewed(hold)) => {
                self.waiting.push((posting.id, hold.account, hold.to_account));
                "suspect"
            }
            (Verb::Review(asked), _) => {
                end(asked.id.as_bytes());
                match asked.verb {
                    ReviewVerb::Release => "release",
                    ReviewVerb::Reject => "reject",
                    ReviewVerb::Cancel => "cancel",
                }
            }
            _ => "transfer",
        };
        *self.done.entry(what).or_default() += 1;
    }
}

/// One lane: batches of commands about things that others change at the same moment.
async fn play(lane: &mut TestStore, town: &Town, shared: &Mutex<Shared>, mut dice: Dice, commands: u64) {
    let mut played = 0;
    while played < commands {
        let size = 1 + dice.next() % BATCH_MAX;
        let batch: Vec<Command> = {
            let known = shared.lock().unwrap();
            (0..size).map(|_| town.command(&mut dice, &known)).collect()
        };
        let mut tries = 0;
        let answers = loop {
            match lane.try_run(&batch).await {
                Ok(answers) => break answers,
                // As the application does: whoever lost a race comes again.
                Err(StoreError::Retry | StoreError::Constraint(_)) if tries < TRIES_MAX => tries += 1,
                Err(error) => panic!("{error:?} after {tries} tries"),
            }
        };
        {
            let mut known = shared.lock().unwrap();
            for (command, answer) in batch.iter().zip(&answers) {
                known.note(command, answer);
            }
        }
        played += size;
        tokio::task::yield_now().await;
    }
}

async fn at_once(mut bank: TestStore) {
    let (commands, seed) = asked(COMMANDS);
    let commands = commands.min(COMMANDS_MAX);
    let mut accounts = Vec::new();
    let mut owners = Vec::new();
    for _ in 0..2 {
        let opened = bank.accounts(ACCOUNTS / 2, OPENING).await;
        owners.push(bank.account(opened[0]).await.owner.unwrap());
        accounts.extend(opened);
    }
    let town = Town {
        accounts,
        owners: [owners[0], owners[1]],
    };
    let shared = Mutex::new(Shared::default());
    let mut lanes = Vec::new();
    for _ in 0..LANES {
        let lane = bank.another_lane().await;
        lane.clock.judge_by(suspicious());
        lanes.push(lane);
    }
    let each = commands / u64::try_from(LANES).unwrap();
    let playing = lanes.iter_mut().zip(0_u32..).map(|(lane, number)| {
        let dice = Dice(seed.rotate_left(number * 7));
        play(lane, &town, &shared, dice, each)
    });
    futures::future::join_all(playing).await;
    agrees(&bank, &town, &shared.into_inner().unwrap(), seed).await;
}

async fn agrees(bank: &TestStore, town: &Town, shared: &Shared, seed: u64) {
    let twice: Vec<_> = shared.ended.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "seed {seed}: ended twice: {twice:?}");
    let mut reserved: BTreeMap<AccountId, i64> = BTreeMap::new();
    for meant in &shared.holds {
        let found = bank.store.hold(meant.id).await.unwrap().unwrap();
        let is_over = shared.ended.contains_key(meant.id.as_bytes());
        assert_eq!(found.state != HoldState::Open, is_over, "seed {seed}: {found:?}");
        assert!(
            (0..=found.amount.minor()).contains(&found.captured),
            "seed {seed}: {found:?}"
        );
        *reserved.entry(meant.account).or_default() += found.reserved();
    }
    for (waits, account, _) in &shared.waiting {
        let found = bank
            .store
            .hold(HoldId::from_bytes(*waits.as_bytes()))
            .await
            .unwrap()
            .unwrap();
        let is_over = shared.ended.contains_key(waits.as_bytes());
        assert_eq!(found.state != HoldState::Open, is_over, "seed {seed}: {found:?}");
        *reserved.entry(*account).or_default() += found.reserved();
    }
    let mut sum = bank.balance(till()).await;
    for account in &town.accounts {
        let found = bank.account(*account).await;
        assert_eq!(
            found.held,
            reserved.get(account).copied().unwrap_or_default(),
            "seed {seed}"
        );
        assert!(found.balance - found.held >= 0, "seed {seed}: {found:?}");
        sum += found.balance;
    }
    assert_eq!(sum, 0, "seed {seed}: money is neither made nor lost");
    let told = &shared.done;
    println!("{LANES} lanes, seed {seed}: {told:?}");
    assert_eq!(told.len(), 9, "seed {seed}: not everything was done: {told:?}");
}

#[test]
fn several_lanes_of_one_process_make_and_lose_nothing_on_sqlite() {
    run(Kind::Sqlite, at_once);
}

#[test]
fn several_processes_on_one_database_make_and_lose_nothing_on_postgres() {
    run(Kind::Postgres, at_once);
}
