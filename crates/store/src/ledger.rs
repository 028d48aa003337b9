//! The ledger lane: the one place that writes the books.
//!
//! A batch is three steps: [`Lane::begin`] locks and reads everything that its commands may look at, the domain
//! decides, [`Lane::commit`] writes and makes durable. There is one file per engine behind this seam, held to the same
//! behaviour by one conformance suite. The lane never decides anything.

mod known;
mod leases;
pub(crate) mod outcomes;
mod postgres;
mod postgres_bounds;
mod postgres_fraud;
mod postgres_load;
mod postgres_payments;
mod postgres_rail;
mod postgres_sending;
mod postgres_write;
mod read;
pub(crate) mod rows;
mod sqlite;
mod sqlite_bounds;
mod sqlite_fraud;
mod sqlite_limits;
mod sqlite_payments;
mod sqlite_rail;
mod sqlite_sending;
mod sqlite_write;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::Arc,
};

pub(crate) use known::Known;
pub use postgres::PostgresLane;
pub(crate) use postgres_load::LOCK_RIGHTS;
pub use read::{
    AccountView, BeneficiaryView, HistoryLine, HistoryStart, MerchantView, RailFile, RailSums, ReadStatement,
    ReversalsAbout, ReviewView, SuspenseView, TransactionView, TrialBalanceLine, WaitingTransfer,
};
pub use sqlite::SqliteLane;
pub(crate) use sqlite::spawn_checkpointer;
pub(crate) use sqlite_write::append_records;
use strongroom_domain::{
    account::Account,
    fraud::FraudRules,
    iban::Iban,
    id::{AccountId, ApiKeyId, HoldId, StepUpId, UserId},
    ledger::{
        Book, Changes, Command, IdempotencyTag, Nonce, Order, PaymentNeed, RailNeed, SendingNeed, Verb,
    },
    limits::LimitRules,
    money::Currency,
    time::{Date, Timestamp},
};

use crate::error::StoreError;

/// Most commands in one batch: bounds how long its locks are held. One batch stays within one block of ids (4,096).
pub const BATCH_COMMANDS_MAX: usize = 1_024;

/// What a batch must lock and read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Need {
    /// Accounts, in the one order in which everybody locks them.
    pub accounts: BTreeSet<AccountId>,
    /// Idempotency keys.
    pub tags: BTreeSet<IdempotencyTag>,
    /// Approvals by a fresh factor.
    pub step_ups: BTreeSet<StepUpId>,
    /// Holds that are captured or voided.
    pub holds: BTreeSet<HoldId>,
    /// Budgets of integrations.
    pub budgets: BTreeSet<ApiKeyId>,
    /// Nonces of signed requests.
    pub nonces: BTreeSet<Nonce>,
    /// Customers who get an account, besides the owners of the accounts above.
    pub customers: BTreeSet<(UserId, Currency)>,
    /// Payments, refunds and reversals.
    pub payments: PaymentNeed,
    /// Beneficiaries, and payments to them.
    pub sending: SendingNeed,
    /// Entries of statements, and what lies in suspense.
    pub rail: RailNeed,
    /// Account numbers that are about to be taken.
    pub numbers: BTreeSet<Iban>,
    /// What would leave which account, minor units.
    pub pays: BTreeMap<AccountId, i64>,
}

impl Need {
    /// The union of what the orders need.
    pub fn of(orders: &[Order]) -> Self {
        let mut need = Self::of_commands(orders.iter().flat_map(|order| &order.commands));
        let claims = orders.iter().filter_map(|order| order.step_up);
        need.step_ups.extend(claims.filter_map(|claim| claim.approval));
        need
    }

    /// The union of what the commands need.
    pub fn of_commands<'a>(commands: impl IntoIterator<Item = &'a Command>) -> Self {
        let mut need = Self::default();
        for command in commands {
            need.accounts.extend(command.accounts());
            need.tags.extend(command.idempotency.as_ref().map(|key| key.tag));
            need.step_ups
                .extend(command.step_up.and_then(|claim| claim.approval));
            need.holds.extend(command.hold());
            let bounds = command.bounds.as_deref();
            need.budgets.extend(
                bounds
                    .filter(|bounds| bounds.budget.is_some())
                    .map(|bounds| bounds.integration),
            );
            need.nonces.extend(command.nonce);
            need.payments.add(command);
            need.sending.add(command);
            need.rail.add(command);
            if let Some((account, amount)) = command.pays() {
                let sum = need.pays.entry(account).or_default();
                *sum = sum.saturating_add(amount);
            }
            if let Verb::Open(new) = &command.verb {
                need.accounts.insert(new.id);
                need.customers.insert((new.owner, new.currency));
                need.numbers.insert(new.number.clone());
            }
        }
        need
    }
}

/// Whether a hold on this account may be over by then: all its open holds must be read.
fn is_due(account: &Account, at: Timestamp) -> bool {
    account.hold_due.is_some_and(|due| due <= at)
}

/// The bank's time and rules, as the lane may ask for them.
pub trait LaneClock: Send + Sync + Debug {
    /// Now.
    fn now(&self) -> Timestamp;
    /// The day of a moment in the bank's time zone.
    fn day(&self, at: Timestamp) -> Date;
    /// What the bank allows its customers to pay.
    fn limits(&self) -> Arc<LimitRules>;
    /// The hour of a moment in the bank's time zone, 0 to 23.
    fn hour(&self, at: Timestamp) -> u8;
    /// The rules about fraud that are in force.
    fn fraud(&self) -> Arc<FraudRules>;
}

/// What the lane has done since it was made; only ever grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneCounters {
    /// SQL statements run, transaction control included.
    pub statements: u64,
    /// Round trips to a server; always 0 on SQLite.
    pub round_trips: u64,
    /// Batches committed.
    pub batches: u64,
    /// SQLite: idempotency keys moved into sorted runs within batches, at most two per new key once there are many.
    /// Their statements are counted here alone.
    pub keys_sealed: u64,
}

/// The writer of one engine.
#[derive(Debug)]
pub enum Lane {
    /// Embedded.
    Sqlite(Box<SqliteLane>),
    /// Server.
    Postgres(Box<PostgresLane>),
}

impl Lane {
    /// Opens the batch's transaction, locks what it needs and reads it.
    ///
    /// # Errors
    /// [`StoreError::Retry`] to begin again, [`StoreError::Unavailable`] when the database does not answer. Nothing
    /// was changed.
    pub async fn begin(&mut self, need: &Need) -> Result<Book, StoreError> {
        match self {
            Self::Sqlite(lane) => lane.begin(need).await,
            Self::Postgres(lane) => lane.begin(need).await,
        }
    }

    /// Writes the changes and commits. An empty change commits nothing and costs no flush.
    ///
    /// # Errors
    /// [`StoreError::Retry`] or [`StoreError::Constraint`] when nothing was committed; [`StoreError::CommitUnknown`]
    /// when it cannot be told: begin the same batch again and look its keys up.
    pub async fn commit(&mut self, book: Book, changes: &Changes) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(lane) => lane.commit(book, changes),
            Self::Postgres(lane) => lane.commit(changes, &book).await,
        }
    }

    /// Ends a batch that was begun and will not be committed. [`Self::begin`] and [`Self::idle`] do so by themselves;
    /// until then the batch keeps its locks, on SQLite the right to write.
    pub async fn abandon(&mut self) {
        match self {
            Self::Sqlite(lane) => lane.abandon(),
            Self::Postgres(lane) => lane.abandon().await,
        }
    }

    /// Work that must not hold up a batch, done while nobody waits: moving keys into runs.
    pub async fn idle(&mut self) {
        match self {
            Self::Sqlite(lane) => lane.idle().await,
            Self::Postgres(lane) => lane.abandon().await,
        }
    }

    /// What the lane has done.
    pub fn counters(&self) -> LaneCounters {
        match self {
            Self::Sqlite(lane) => lane.counters(),
            Self::Postgres(lane) => lane.counters(),
        }
    }
}
