//! Group commit: the one way to the books.
//!
//! A bounded queue in front of one writer. The writer takes one command, drains what else waits, runs the batch in one
//! database transaction and answers each command. There is no timer: while one batch commits the next gathers, so a
//! quiet bank has batches of one and a busy one large batches. A command that is in the queue will be decided whether
//! or not its sender still listens.

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use strongroom_domain::ledger::{
    Answer, Command, FraudChanges, IdempotencyTag, Order, Signer, decide_orders,
};
use strongroom_store::{
    StoreError,
    ledger::{BATCH_COMMANDS_MAX, Lane, LaneCounters, Need},
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::{
    error::{Error, Kind},
    money::fraud_trials::TrialLog,
};

/// How often a batch is run again after losing a race before its commands are told to come back.
const ATTEMPTS_MAX: usize = 8;

/// Bounds of the writer.
#[derive(Debug, Clone, Copy)]
pub struct WriterSettings {
    /// Most commands in one batch, 1 to [`BATCH_COMMANDS_MAX`].
    pub batch_commands_max: usize,
    /// Most commands that wait; more are told `overloaded`.
    pub queue_commands_max: usize,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self {
            batch_commands_max: BATCH_COMMANDS_MAX,
            queue_commands_max: 4_096,
        }
    }
}

struct Job {
    order: Order,
    reply: oneshot::Sender<Result<Vec<Answer>, Error>>,
    /// The order's place in the queue, as many as it has commands; given back when a batch takes it.
    place: OwnedSemaphorePermit,
}

/// Hands commands to the writer. Cheap to clone; the writer ends when the last one is gone and the queue is empty.
#[derive(Debug, Clone)]
pub struct LedgerWriter {
    queue: mpsc::UnboundedSender<Job>,
    places: Arc<Semaphore>,
    places_max: usize,
    in_flight: Arc<InFlight>,
    counters: watch::Receiver<LaneCounters>,
    stop: Arc<Notify>,
    ended: watch::Receiver<bool>,
}

impl LedgerWriter {
    /// Starts the writer on a thread of its own.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        lane: Lane,
        signer: Arc<dyn Signer + Send + Sync>,
        settings: WriterSettings,
        trials: TrialLog,
    ) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::unbounded_channel();
        let places_max = settings.queue_commands_max.max(1);
        let places = Arc::new(Semaphore::new(places_max));
        let (report, counters) = watch::channel(LaneCounters::default());
        let batch_max = settings.batch_commands_max.clamp(1, BATCH_COMMANDS_MAX);
        let (stop, (ending, ended)) = (Arc::new(Notify::new()), watch::channel(false));
        let writer = Writer {
            lane,
            signer,
            trials,
            waiting,
            batch_max,
            report,
            stop: stop.clone(),
            ending,
        };
        // A runtime of its own: what the database answers wakes this thread, not first one that is busy with requests.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || runtime.block_on(writer.run()))?;
        Ok(Self {
            queue,
            places,
            places_max,
            in_flight: Arc::default(),
            counters,
            stop,
            ended,
        })
    }

    /// Puts a command into the queue and waits for its answer.
    ///
    /// # Errors
    /// `overloaded` when the queue is full, `unavailable` when nothing could be changed, `commit_unknown` when it
    /// cannot be told.
    ///
    /// A command whose key is already on its way joins the first one: both get the same answer. Only when the first
    /// takes longer than two seconds the second is told `idempotency_in_progress`.
    pub async fn submit(&self, command: Command) -> Result<Answer, Error> {
        let answers = self.submit_order(command.into()).await?;
        let answer = answers.into_iter().next();
        answer.ok_or_else(|| Error::broken("a command without an answer"))
    }

    /// As [`Self::submit`], for several commands that are decided in one commit: 1 to [`BATCH_COMMANDS_MAX`]. The key
    /// of the first stands for all.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn submit_order(&self, order: Order) -> Result<Vec<Answer>, Error> {
        let (reply, answer) = oneshot::channel();
        let first = order.commands.first();
        let tag = first.and_then(|command| command.idempotency.as_ref().map(|key| key.tag));
        let entered = tag.map(|tag| InFlight::enter(&self.in_flight, tag));
        let overloaded = || {
            metrics::counter!("strongroom_lane_refused_total").increment(1);
            Error::overloaded()
        };
        let places = u32::try_from(order.commands.len()).map_err(|_| overloaded())?;
        let place = self.places.clone().try_acquire_many_owned(places);
        let place = place.map_err(|_| overloaded())?;
        let job = Job { order, reply, place };
        self.queue.send(job).map_err(|_| overloaded())?;
        if entered.as_ref().is_some_and(|entry| !entry.first) {
            return match tokio::time::timeout(JOIN_WAIT, answer).await {
                Ok(answer) => answer.map_err(|_| Error::commit_unknown())?,
                Err(_) => Err(Error::new(
                    Kind::Conflict,
                    "idempotency_in_progress",
                    "The first request with this idempotency key is still running.",
                )),
            };
        }
        answer.await.map_err(|_| Error::commit_unknown())?
    }

    /// Takes no more commands, decides those that wait, and returns when the last one is answered.
    pub async fn close(&self) {
        self.stop.notify_one();
        // An error means that the writer is gone already.
        drop(self.ended.clone().wait_for(|ended| *ended).await);
    }

    /// How many commands wait to be decided, and how many may.
    pub fn waiting(&self) -> (usize, usize) {
        let free = self.places.available_permits();
        (self.places_max.saturating_sub(free), self.places_max)
    }

    /// What the lane has done so far.
    pub fn counters(&self) -> LaneCounters {
        *self.counters.borrow()
    }
}

struct Writer {
    lane: Lane,
    signer: Arc<dyn Signer + Send + Sync>,
    trials: TrialLog,
    waiting: mpsc::UnboundedReceiver<Job>,
    batch_max: usize,
    report: watch::Sender<LaneCounters>,
    stop: Arc<Notify>,
    ending: watch::Sender<bool>,
}

impl Writer {
    async fn run(mut self) {
        let mut batch: Vec<Job> = Vec::with_capacity(self.batch_max);
        // What did not fit into the last batch is the first of the next.
        let mut left: Option<Job> = None;
        let stop = self.stop.clone();
        loop {
            let first = match left.take() {
                Some(job) => Some(job),
                None => tokio::select! {
                    biased;
                    first = self.waiting.recv() => first,
                    () = stop.notified() => {
                        self.waiting.close();
                        continue;
                    }
                },
            };
            let Some(first) = first else { break };
            let mut commands = first.order.commands.len();
            batch.push(first);
            while commands < self.batch_max
                && let Ok(next) = self.waiting.try_recv()
            {
                if commands.saturating_add(next.order.commands.len()) > self.batch_max {
                    left = Some(next);
                    break;
                }
                commands = commands.saturating_add(next.order.commands.len());
                batch.push(next);
            }
            let (orders, replies): (Vec<_>, Vec<_>) = batch
                .drain(..)
                .map(|job| {
                    drop(job.place);
                    (job.order, job.reply)
                })
                .unzip();
            #[expect(clippy::cast_precision_loss, reason = "a histogram is of floats")]
            metrics::histogram!("strongroom_lane_batch_commands").record(commands as f64);
            match self.commit(&orders).await {
                // A sender that went away does not care; the commit stands all the same.
                Ok(answers) => replies
                    .into_iter()
                    .zip(answers)
                    .for_each(|(reply, answers)| drop(reply.send(Ok(answers)))),
                Err(error) => replies
                    .into_iter()
                    .for_each(|reply| drop(reply.send(Err(error.clone())))),
            }
            self.report.send_replace(self.lane.counters());
            if self.waiting.is_empty() && left.is_none() {
                self.lane.idle().await;
            }
        }
        drop(self.lane);
        self.ending.send_replace(true);
    }

    /// Runs the batch until it is committed or it is certain that it is not. After a commit whose outcome is not known
    /// the same batch begins again: its locks wait for the old transaction to end, and its keys tell whether it was
    /// done.
    async fn commit(&mut self, orders: &[Order]) -> Result<Vec<Vec<Answer>>, Error> {
        let need = Need::of(orders);
        let commands: usize = orders.iter().map(|order| order.commands.len()).sum();
        let (mut unknown, mut unknowns) = (false, 0);
        let mut last = StoreError::Retry;
        for _ in 0..ATTEMPTS_MAX {
            let mut book = match self.lane.begin(&need).await {
                Ok(book) => book,
                Err(StoreError::Retry) => continue,
                Err(error) => {
                    last = error;
                    break;
                }
            };
            // The locks are held, so no older transaction of ours is still on its way.
            unknown = false;
            let known_before = book.outcomes.len();
            // A decision that panics has left its book half changed: nothing of it is used, the transaction is
            // abandoned.
            let decided = catch_unwind(AssertUnwindSafe(|| {
                decide_orders(&mut book, orders, self.signer.as_ref())
            }));
            let Ok((changes, answers)) = decided else {
                return Self::after_panic(orders);
            };
            if unknowns > 1 && known_before == 0 {
                last = StoreError::Unavailable("commit failed".to_owned());
                break;
            }
            match self.lane.commit(book, &changes).await {
                Ok(()) => {
                    count_rules(&changes.fraud);
                    self.trials.take(changes.fraud.tried);
                    return Ok(answers);
                }
                Err(StoreError::CommitUnknown) => {
                    tracing::warn!(commands, "outcome of a commit unknown; looking the keys up");
                    (unknown, unknowns, last) = (true, unknowns + 1, StoreError::CommitUnknown);
                }
                // Another node was faster with a key, a number or the bank's own accounts: the next look sees it.
                Err(error @ (StoreError::Retry | StoreError::Constraint(_))) => last = error,
                Err(error) => {
                    last = error;
                    break;
                }
            }
        }
        tracing::error!(commands, error = %last, unknown, "a batch was given up");
        metrics::counter!("strongroom_lane_failed_total").increment(1);
        if unknown {
            Err(Error::commit_unknown())
        } else {
            Err(last.into())
        }
    }

    /// The batch is given up and told so: alone a command is told that it is our fault, in company to come back, where
    /// it meets other neighbours. Nothing was changed.
    fn after_panic(orders: &[Order]) -> Result<Vec<Vec<Answer>>, Error> {
        metrics::counter!("strongroom_lane_panics_total").increment(1);
        tracing::error!(
            orders = orders.len(),
            "a decision panicked; nothing of its batch was booked"
        );
        if let [_one] = orders {
            return Err(Error::broken("a decision panicked"));
        }
        Err(Error::unavailable(StoreError::Corrupt(
            "a decision in the same batch panicked",
        )))
    }
}

/// Tells how often each rule about fraud was met, and whether it counted: what a rule that only watches would do.
fn count_rules(fraud: &FraudChanges) {
    for ((rule, version), counted) in &fraud.met {
        let mode = if *counted { "enforce" } else { "shadow" };
        metrics::counter!("strongroom_fraud_rule_met_total", "rule" => format!("{rule}/{version}"), "mode" => mode)
            .increment(1);
    }
}

/// How long a duplicate waits for the first of its kind before it is told that it still runs.
const JOIN_WAIT: Duration = Duration::from_secs(2);

/// The keys that are on their way in this process.
#[derive(Debug, Default)]
struct InFlight(Mutex<HashSet<IdempotencyTag>>);

#[derive(Debug)]
struct Entry {
    keys: Arc<InFlight>,
    tag: IdempotencyTag,
    /// Whether nobody was there before; who was leaves, not who came second.
    first: bool,
}

impl InFlight {
    fn enter(keys: &Arc<Self>, tag: IdempotencyTag) -> Entry {
        let first = keys.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tag);
        Entry {
            keys: keys.clone(),
            tag,
            first,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.first {
            self.keys
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&self.tag);
        }
    }
}
