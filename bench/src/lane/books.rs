//! A bank's books in this process, without the server around them: store, lane, customers' accounts with money.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use strongroom_app::{Clock, SystemClock, keys::LiveRing};
use strongroom_crypto::{Idempotency as Keyed, Keyring, random};
use strongroom_domain::{
    account::{CustomerKind, SystemAccount},
    action::Action,
    fraud::{FraudMode, FraudRules},
    iban::Iban,
    id::{AccountId, Id, UserId},
    ledger::{
        Answer, Authority, Changes, Command, Done, Fingerprint, Idempotency, NewAccount, Owned, Posting,
        Verb, decide,
    },
    limits::LimitRules,
    money::{Amount, Currency},
    principal::{Caller, Origin, Principal},
    time::{Date, Timestamp},
    transaction::TransactionKind,
};
use strongroom_store::{
    NewUser, Scope, Store,
    ledger::{Lane, LaneClock, LaneCounters, Need},
};

use crate::{
    cpu,
    draw::{Draw, Pairs},
    outcome::Outcome,
    place::Place,
};

/// What each account gets at first, in cents: more than a measurement can spend.
pub(crate) const OPENING_CENTS: i64 = 100_000_000;
/// Fields of a transfer that are compared when its key comes again.
const FIELDS: usize = 7;
/// How often a batch is run again before the measurement is given up.
const ATTEMPTS_MAX: usize = 8;

/// The system's clock and days in UTC.
#[derive(Debug)]
struct Utc;

impl LaneClock for Utc {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn day(&self, at: Timestamp) -> Date {
        Date::from_days(i32::try_from(at.seconds() / 86_400).unwrap_or(i32::MAX))
    }

    fn limits(&self) -> Arc<LimitRules> {
        Arc::default()
    }

    fn hour(&self, at: Timestamp) -> u8 {
        u8::try_from(at.seconds() / 3_600 % 24).unwrap_or_default()
    }

    fn fraud(&self) -> Arc<FraudRules> {
        static WATCHING: LazyLock<Arc<FraudRules>> =
            LazyLock::new(|| Arc::new(FraudRules::built_in(FraudMode::Shadow)));
        WATCHING.clone()
    }
}

/// The books.
pub(crate) struct Books {
    pub(crate) place: Place,
    pub(crate) store: Store,
    lane: Lane,
    signer: LiveRing,
    keyed: Keyed,
    owner: UserId,
    pub(crate) accounts: Vec<AccountId>,
    draw: Draw,
    /// Transfers booked so far.
    pub(crate) booked: u64,
}

/// What some batches cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) transfers: u64,
    pub(crate) batches: u64,
    pub(crate) wall: Duration,
    /// CPU time of the calling thread in the three steps of a batch.
    pub(crate) begin: Duration,
    pub(crate) decide: Duration,
    pub(crate) commit: Duration,
    /// CPU time of this process beside them, making the commands not counted.
    pub(crate) server: Duration,
    pub(crate) statements: u64,
    pub(crate) round_trips: u64,
}

impl Cost {
    /// Microseconds per transfer.
    pub(crate) fn each(&self, time: Duration) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of transfers")]
        let transfers = self.transfers.max(1) as f64;
        time.as_secs_f64() * 1e6 / transfers
    }

    /// What falls on one transfer.
    #[expect(clippy::cast_precision_loss, reason = "a count of transfers")]
    pub(crate) fn share(&self, total: f64) -> f64 {
        total / self.transfers.max(1) as f64
    }

    /// Takes another stretch in.
    pub(crate) fn add(&mut self, other: &Self) {
        self.transfers += other.transfers;
        self.batches += other.batches;
        self.wall += other.wall;
        self.begin += other.begin;
        self.decide += other.decide;
        self.commit += other.commit;
        self.server += other.server;
        self.statements += other.statements;
        self.round_trips += other.round_trips;
    }

    /// Transfers per second.
    #[expect(clippy::cast_precision_loss, reason = "a count of transfers")]
    pub(crate) fn rate(&self) -> f64 {
        self.transfers as f64 / self.wall.as_secs_f64().max(1e-9)
    }
}

impl Books {
    /// A bank with `accounts` customers' accounts, each with money on it.
    pub(crate) async fn open(place: Place, accounts: usize) -> Outcome<Self> {
        let store = Store::open(&place.migrated().await?).await?;
        let ring = Arc::new(Keyring::generate(SystemClock.now().micros()));
        let mut books = Self {
            lane: store.lane(Arc::new(Utc)),
            signer: (&ring).into(),
            keyed: ring.idempotency(),
            owner: id(),
            accounts: Vec::with_capacity(accounts),
            draw: Draw::new(42),
            booked: 0,
            place,
            store,
        };
        books.customer().await?;
        while books.accounts.len() < accounts {
            let count = (accounts - books.accounts.len()).min(500);
            let opening: Vec<Command> = (0..count).map(|_| books.opening()).collect();
            for answer in books.run(&opening).await? {
                match answer {
                    Answer::Done(done) => match *done {
                        Done::Opened(account) => books.accounts.push(account.id),
                        other => return Err(format!("not opened: {other:?}").into()),
                    },
                    // Two numbers were drawn alike: another one is opened in the next turn.
                    Answer::Refused(_) => {}
                    other => return Err(format!("not opened: {other:?}").into()),
                }
            }
        }
        for ids in books.accounts.clone().chunks(500) {
            let deposits: Vec<Command> = ids.iter().map(|id| books.deposit(*id)).collect();
            check(&books.run(&deposits).await?)?;
        }
        Ok(books)
    }

    async fn customer(&self) -> Outcome<()> {
        let tx = self.store.write(Scope::System).await?;
        tx.insert_user(&NewUser {
            id: self.owner,
            email_index: Some(random::bytes()),
            sealed_email: Some(vec![1; 40]),
            sealed_name: Some(vec![2; 40]),
            wrapped_key: vec![3; 60],
            created_at: SystemClock.now(),
        })
        .await?;
        Ok(tx.commit().await?)
    }

    fn opening(&mut self) -> Command {
        let part = format!("{:010}", self.draw.below(10_000_000_000));
        let number = Iban::compose("DE", "10010010", &part).expect("ten digits make an account number");
        self.command(
            Action::AccountOpen,
            None,
            Verb::Open(NewAccount {
                id: id(),
                owner: self.owner,
                kind: CustomerKind::Checking,
                currency: Currency::EUR,
                overdraft: 0,
                number,
                held_to_floor: None,
                sealed_name: vec![4; 60],
            }),
        )
    }

    fn deposit(&self, to: AccountId) -> Command {
        let from = SystemAccount::Cash.id(Currency::EUR);
        self.command(
            Action::DepositCreate,
            None,
            posting(TransactionKind::Deposit, from, to, OPENING_CENTS),
        )
    }

    /// A transfer of one cent under a random key, as the server makes it.
    fn transfer(&mut self, from: AccountId, to: AccountId) -> Command {
        let key = format!("{:032x}", self.draw.wide());
        let tag = self.keyed.tag(*self.owner.as_bytes(), &key);
        let idempotency = Idempotency {
            tag,
            fingerprint: Fingerprint::from_bytes(
                key.bytes()
                    .cycle()
                    .take(FIELDS * Fingerprint::FIELD_BYTES)
                    .collect(),
            ),
        };
        self.command(
            Action::TransferCreate,
            Some(idempotency),
            posting(TransactionKind::Transfer, from, to, 1),
        )
    }

    fn command(&self, action: Action, idempotency: Option<Idempotency>, verb: Verb) -> Command {
        Command {
            authority: Authority {
                caller: Caller {
                    principal: Principal::User(self.owner),
                    session: Some(id()),
                    origin: Origin::Api,
                },
                action,
                scope: Owned::ByAnyone,
                policy: 1,
                epoch: 1,
                network: None,
            },
            request: id(),
            idempotency,
            dry_run: false,
            step_up: None,
            bounds: None,
            nonce: None,
            verb,
        }
    }

    /// Transfers to be booked in one batch.
    pub(crate) fn transfers(&mut self, count: usize, pairs: &Pairs) -> Vec<Command> {
        (0..count)
            .map(|_| {
                let (from, to) = pairs.next(&mut self.draw);
                self.transfer(self.accounts[from], self.accounts[to])
            })
            .collect()
    }

    async fn run(&mut self, commands: &[Command]) -> Outcome<Vec<Answer>> {
        let need = Need::of_commands(commands);
        for _ in 0..ATTEMPTS_MAX {
            let mut book = self.lane.begin(&need).await?;
            let (changes, answers) = decide(&mut book, commands, &self.signer);
            match self.lane.commit(book, &changes).await {
                Ok(()) => return Ok(answers),
                Err(strongroom_store::StoreError::Retry | strongroom_store::StoreError::Constraint(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err("a batch lost every race".into())
    }

    /// Batches of `size` transfers until the time is over or the count is reached. Making the commands is not part of
    /// it.
    pub(crate) async fn measure(
        &mut self,
        size: usize,
        pairs: &Pairs,
        time: Duration,
        transfers_max: u64,
    ) -> Outcome<Cost> {
        let mut cost = Cost::default();
        let before = self.lane.counters();
        let server = self.place.server_cpu();
        while cost.wall < time && cost.transfers < transfers_max {
            let commands = self.transfers(size, pairs);
            let answers = self.timed(&commands, &mut cost).await?;
            check(&answers)?;
            // What is done while nobody waits costs all the same.
            let idle = Instant::now();
            self.lane.idle().await;
            cost.wall += idle.elapsed();
        }
        cost.server = self.place.server_cpu().saturating_sub(server);
        let LaneCounters {
            statements,
            round_trips,
            ..
        } = self.lane.counters();
        cost.statements = statements - before.statements;
        cost.round_trips = round_trips - before.round_trips;
        self.booked += cost.transfers;
        Ok(cost)
    }

    async fn timed(&mut self, commands: &[Command], cost: &mut Cost) -> Outcome<Vec<Answer>> {
        let (start, t0) = (Instant::now(), cpu::thread());
        let need = Need::of_commands(commands);
        let mut book = self.lane.begin(&need).await?;
        let t1 = cpu::thread();
        let (changes, answers): (Changes, _) = decide(&mut book, commands, &self.signer);
        let t2 = cpu::thread();
        self.lane.commit(book, &changes).await?;
        let t3 = cpu::thread();
        cost.wall += start.elapsed();
        cost.begin += t1 - t0;
        cost.decide += t2 - t1;
        cost.commit += t3 - t2;
        cost.transfers += commands.len() as u64;
        cost.batches += 1;
        Ok(answers)
    }

    /// Books as many transfers as are missing to `total`, in the largest batches.
    pub(crate) async fn fill(&mut self, total: u64, pairs: &Pairs) -> Outcome<Duration> {
        let start = Instant::now();
        while self.booked < total {
            let missing = total - self.booked;
            self.measure(1_024, pairs, Duration::MAX, missing).await?;
        }
        Ok(start.elapsed())
    }

    /// The sum of all accounts, which is zero, and of the customers' alone, which transfers do not change.
    pub(crate) async fn check_sums(&self) -> Outcome<()> {
        let lines = self.store.trial_balance().await?;
        let total: i64 = lines.iter().map(|line| line.credit - line.debit).sum();
        let customers: i64 = lines
            .iter()
            .filter(|line| line.kind.name() == CHECKING)
            .map(|line| line.credit - line.debit)
            .sum();
        let expected = OPENING_CENTS * i64::try_from(self.accounts.len())?;
        if total == 0 && customers == expected {
            Ok(())
        } else {
            Err(
                format!("the books are off: sum {total}, customers have {customers} instead of {expected}")
                    .into(),
            )
        }
    }

    /// Ends the lane and the store, and gives the place back to be removed.
    pub(crate) fn close(self) -> Place {
        self.place
    }
}

const CHECKING: &str = "checking";

fn id<K>() -> Id<K> {
    Id::from_bytes(random::uuid_v7(SystemClock.now().micros()))
}

fn posting(kind: TransactionKind, from: AccountId, to: AccountId, minor: i64) -> Verb {
    Verb::Post(Posting {
        id: id(),
        kind,
        from,
        to: Some(to),
        amount: Amount::new(minor).expect("a positive amount"),
        currency: Currency::EUR,
        value_date: None,
        memo: None,
        salt: random::bytes(),
    })
}

fn check(answers: &[Answer]) -> Outcome<()> {
    match answers.iter().find(|answer| !matches!(answer, Answer::Done(_))) {
        None => Ok(()),
        Some(answer) => Err(format!("a command was not done: {answer:?}").into()),
    }
}
