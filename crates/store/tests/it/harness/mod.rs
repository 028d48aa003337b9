//! One store per test, on either engine, gone afterwards.

mod book;
mod commands;
mod place;
mod proxy;

pub(crate) use book::PaperBank;
pub(crate) use commands::{
    capture, change, deposit, hold, iban, id, open_account, tag, transfer, void, withdraw,
};
pub(crate) use place::{Kind, Place};
pub(crate) use proxy::Proxy;

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI32, AtomicI64, Ordering},
    },
};

use strongroom_domain::{
    account::{Account, SystemAccount},
    audit::leaf_hash,
    fraud::FraudRules,
    id::{AccountId, UserId},
    ledger::{Answer, Changes, Command, Done, Order, Signer, decide_orders},
    limits::LimitRules,
    money::Currency,
    time::{Date, Timestamp},
};
use strongroom_store::{
    NewUser, Scope, Store, StoreError, StoreSettings,
    ledger::{Lane, LaneClock, Need},
};

/// Each test below, once per engine: the body is an `async fn` of a [`TestStore`]. Tests on one PostgreSQL may find
/// what others left, except those that are `alone`.
macro_rules! on_both_engines {
    (alone $($tests:tt)*) => { crate::harness::on_both_engines! { @run $($tests)* } };
    (@$run:ident $($(#[$meta:meta])* async fn $name:ident($store:ident: TestStore) $body:block)*) => {$(
        mod $name {
            use super::*;

            $(#[$meta])*
            #[allow(unused_mut, unused_variables, reason = "not every test writes")]
            async fn body(mut $store: TestStore) $body

            #[test]
            fn on_sqlite() {
                crate::harness::$run(crate::harness::Kind::Sqlite, body);
            }

            #[test]
            fn on_postgres() {
                crate::harness::$run(crate::harness::Kind::Postgres, body);
            }
        }
    )*};
    ($($tests:tt)*) => { crate::harness::on_both_engines! { @run_among_others $($tests)* } };
}
pub(crate) use on_both_engines;

/// Runs a test on a store of its own. On PostgreSQL without a server it says so and passes, unless one is required.
pub(crate) fn run<F>(kind: Kind, body: impl FnOnce(TestStore) -> F)
where
    F: Future<Output = ()>,
{
    run_in(|| Place::make(kind, true), body);
}

/// As [`run`]; on PostgreSQL in a database that other tests have used or will use. Making one takes a second.
pub(crate) fn run_among_others<F>(kind: Kind, body: impl FnOnce(TestStore) -> F)
where
    F: Future<Output = ()>,
{
    run_in(|| Place::make(kind, false), body);
}

fn run_in<P, F>(place: impl FnOnce() -> P, body: impl FnOnce(TestStore) -> F)
where
    P: Future<Output = Option<Place>>,
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let Some(place) = runtime.block_on(place()) else {
        return;
    };
    let place = Arc::new(place);
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async { body(TestStore::open(place.clone()).await).await });
    }));
    runtime.block_on(place.leave(outcome.is_ok()));
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// A clock that stands still until it is set, or moves on by a microsecond per question.
#[derive(Debug, Default)]
pub(crate) struct TestClock {
    micros: AtomicI64,
    /// Days that the bank is ahead.
    days: AtomicI32,
    rules: Mutex<Arc<LimitRules>>,
    fraud: Mutex<Arc<FraudRules>>,
}

impl TestClock {
    /// 2026-11-20, in microseconds.
    pub(crate) const START: i64 = 1_795_132_800_000_000;

    pub(crate) fn set(&self, at: Timestamp) {
        self.micros.store(at.micros(), Ordering::Relaxed);
    }

    /// From now on these are the bank's limits.
    pub(crate) fn rule(&self, rules: LimitRules) {
        *self.rules.lock().unwrap() = Arc::new(rules);
    }

    /// From now on these are the bank's rules about fraud.
    pub(crate) fn judge_by(&self, rules: Arc<FraudRules>) {
        *self.fraud.lock().unwrap() = rules;
    }

    /// The bank's next day begins.
    pub(crate) fn next_day(&self) {
        self.days.fetch_add(1, Ordering::Relaxed);
    }
}

impl LaneClock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.fetch_add(1, Ordering::Relaxed))
    }

    fn day(&self, at: Timestamp) -> Date {
        Date::from_days(i32::try_from(at.seconds() / 86_400).unwrap() + self.days.load(Ordering::Relaxed))
    }

    fn limits(&self) -> Arc<LimitRules> {
        self.rules.lock().unwrap().clone()
    }

    fn hour(&self, at: Timestamp) -> u8 {
        u8::try_from(at.seconds() / 3_600 % 24).unwrap_or_default()
    }

    fn fraud(&self) -> Arc<FraudRules> {
        self.fraud.lock().unwrap().clone()
    }
}

/// Signs with nothing secret: the store does not look at the bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TestSigner;

impl Signer for TestSigner {
    fn sign(&self, canonical: &[u8]) -> (i64, [u8; 32]) {
        (1, leaf_hash(canonical))
    }
}

/// A store with a lane: one process of the bank.
pub(crate) struct TestStore {
    pub(crate) store: Store,
    pub(crate) lane: Lane,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) place: Arc<Place>,
    /// What the last batch wrote.
    pub(crate) changes: Changes,
    /// How often a batch had to begin again, since the start.
    pub(crate) reruns: u32,
}

/// When the tests read what is reserved.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(TestClock::START);
pub(crate) const EUR: Currency = Currency::EUR;

/// The till of a currency.
pub(crate) fn till() -> AccountId {
    SystemAccount::Cash.id(EUR)
}

impl TestStore {
    pub(crate) async fn open(place: Arc<Place>) -> Self {
        let settings = place.settings.clone();
        Self::open_with(place, &settings).await.unwrap()
    }

    pub(crate) async fn open_with(place: Arc<Place>, settings: &StoreSettings) -> Result<Self, StoreError> {
        let clock = Arc::new(TestClock {
            micros: AtomicI64::new(TestClock::START),
            ..TestClock::default()
        });
        let store = Store::open(settings).await?;
        Ok(Self {
            lane: store.lane(clock.clone()),
            store,
            clock,
            place,
            changes: Changes::default(),
            reruns: 0,
        })
    }

    /// The process ends and another begins.
    pub(crate) async fn reopen(self) -> Self {
        let (place, clock) = (self.place.clone(), self.clock.clone());
        drop(self);
        let mut next = Self::open(place).await;
        next.clock = clock;
        next.lane = next.store.lane(next.clock.clone());
        next
    }

    /// A second process on the same database.
    pub(crate) async fn another(&self) -> Self {
        Self::open(self.place.clone()).await
    }

    /// A second lane: of this process on SQLite, which knows no other, of another process on PostgreSQL.
    pub(crate) async fn another_lane(&self) -> Self {
        if self.place.kind() == Kind::Postgres {
            return self.another().await;
        }
        Self {
            store: self.store.clone(),
            lane: self.store.lane(self.clock.clone()),
            clock: self.clock.clone(),
            place: self.place.clone(),
            changes: Changes::default(),
            reruns: 0,
        }
    }

    /// Runs a batch as the bank does: again after losing a race, a bounded number of times.
    pub(crate) async fn run(&mut self, commands: &[Command]) -> Vec<Answer> {
        self.try_run(commands).await.unwrap()
    }

    pub(crate) async fn try_run(&mut self, commands: &[Command]) -> Result<Vec<Answer>, StoreError> {
        let orders: Vec<_> = commands.iter().cloned().map(Order::from).collect();
        self.try_orders(&orders).await
    }

    /// Runs a batch of orders; the answers of each in the order of its commands.
    pub(crate) async fn try_orders(&mut self, orders: &[Order]) -> Result<Vec<Answer>, StoreError> {
        let need = Need::of(orders);
        let mut last = StoreError::Retry;
        for _ in 0..8 {
            let mut book = match self.lane.begin(&need).await {
                Ok(book) => book,
                Err(StoreError::Retry) => {
                    self.reruns += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (changes, answers) = decide_orders(&mut book, orders, &TestSigner);
            match self.lane.commit(book, &changes).await {
                Ok(()) => {
                    self.changes = changes;
                    return Ok(answers.concat());
                }
                Err(error @ (StoreError::Retry | StoreError::Constraint(_))) => {
                    self.reruns += 1;
                    last = error;
                }
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Runs one command.
    pub(crate) async fn run_one(&mut self, command: Command) -> Answer {
        self.run(&[command]).await.remove(0)
    }

    /// A new customer.
    pub(crate) async fn customer(&self) -> UserId {
        let user = id();
        let tx = self.store.write(Scope::System).await.unwrap();
        tx.insert_user(&NewUser {
            id: user,
            email_index: Some(tag()),
            sealed_email: Some(vec![1; 40]),
            sealed_name: Some(vec![2; 40]),
            wrapped_key: vec![3; 60],
            created_at: Timestamp::from_micros(TestClock::START),
        })
        .await
        .unwrap();
        tx.commit().await.unwrap();
        user
    }

    /// `count` customers' accounts with `balance` on each.
    pub(crate) async fn accounts(&mut self, count: usize, balance: i64) -> Vec<AccountId> {
        let owner = self.customer().await;
        let opening: Vec<Command> = (0..count).map(|_| open_account(owner).command).collect();
        let mut ids = Vec::new();
        for batch in opening.chunks(500) {
            for answer in self.run(batch).await {
                ids.push(opened(answer).id);
            }
        }
        if balance > 0 {
            let paying: Vec<Command> = ids.iter().map(|id| deposit(*id, balance).command).collect();
            for batch in paying.chunks(500) {
                for answer in self.run(batch).await {
                    assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
                }
            }
        }
        ids
    }

    pub(crate) async fn balance(&self, id: AccountId) -> i64 {
        self.account(id).await.balance
    }

    pub(crate) async fn account(&self, id: AccountId) -> Account {
        self.store.account(id, NOW).await.unwrap().unwrap().account
    }
}

/// The account that an answer opened.
pub(crate) fn opened(answer: Answer) -> Account {
    match answer {
        Answer::Done(done) => match *done {
            Done::Opened(account) => account,
            other => panic!("not opened: {other:?}"),
        },
        other => panic!("not opened: {other:?}"),
    }
}

/// The transaction that an answer posted.
pub(crate) fn posted(answer: Answer) -> strongroom_domain::transaction::Transaction {
    match answer {
        Answer::Done(done) => match *done {
            Done::Posted(transaction) => transaction,
            other => panic!("not posted: {other:?}"),
        },
        other => panic!("not posted: {other:?}"),
    }
}
