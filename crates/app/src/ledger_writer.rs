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

use strongroom_domain::ledger::{Answer, Command, IdempotencyTag, Signer, decide};
use strongroom_store::{
    StoreError,
    ledger::{BATCH_COMMANDS_MAX, Lane, LaneCounters, Need},
};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::error::{Error, Kind};

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
    command: Command,
    reply: oneshot::Sender<Result<Answer, Error>>,
}

/// Hands commands to the writer. Cheap to clone; the writer ends when the last one is gone and the queue is empty.
#[derive(Debug, Clone)]
pub struct LedgerWriter {
    queue: mpsc::Sender<Job>,
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
    ) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::channel(settings.queue_commands_max.max(1));
        let (report, counters) = watch::channel(LaneCounters::default());
        let batch_max = settings.batch_commands_max.clamp(1, BATCH_COMMANDS_MAX);
        let (stop, (ending, ended)) = (Arc::new(Notify::new()), watch::channel(false));
        let writer = Writer {
            lane,
            signer,
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
        let (reply, answer) = oneshot::channel();
        let tag = command.idempotency.as_ref().map(|key| key.tag);
        let entered = tag.map(|tag| InFlight::enter(&self.in_flight, tag));
        self.queue.try_send(Job { command, reply }).map_err(|_| {
            metrics::counter!("strongroom_lane_refused_total").increment(1);
            Error::overloaded()
        })?;
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

    /// What the lane has done so far.
    pub fn counters(&self) -> LaneCounters {
        *self.counters.borrow()
    }
}

struct Writer {
    lane: Lane,
    signer: Arc<dyn Signer + Send + Sync>,
    waiting: mpsc::Receiver<Job>,
    batch_max: usize,
    report: watch::Sender<LaneCounters>,
    stop: Arc<Notify>,
    ending: watch::Sender<bool>,
}

impl Writer {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(self.batch_max);
        let stop = self.stop.clone();
        loop {
            let first = tokio::select! {
                biased;
                first = self.waiting.recv() => first,
                () = stop.notified() => {
                    self.waiting.close();
                    continue;
                }
            };
            let Some(first) = first else { break };
            batch.push(first);
            while batch.len() < self.batch_max
                && let Ok(next) = self.waiting.try_recv()
            {
                batch.push(next);
            }
            let (commands, replies): (Vec<_>, Vec<_>) =
                batch.drain(..).map(|job| (job.command, job.reply)).unzip();
            #[expect(clippy::cast_precision_loss, reason = "a histogram is of floats")]
            metrics::histogram!("strongroom_lane_batch_commands").record(commands.len() as f64);
            match self.commit(&commands).await {
                // A sender that went away does not care; the commit stands all the same.
                Ok(answers) => replies
                    .into_iter()
                    .zip(answers)
                    .for_each(|(reply, answer)| drop(reply.send(Ok(answer)))),
                Err(error) => replies
                    .into_iter()
                    .for_each(|reply| drop(reply.send(Err(error.clone())))),
            }
            self.report.send_replace(self.lane.counters());
            if self.waiting.is_empty() {
                self.lane.idle().await;
            }
        }
        drop(self.lane);
        self.ending.send_replace(true);
    }

    /// Runs the batch until it is committed or it is certain that it is not. After a commit whose outcome is not known
    /// the same batch begins again: its locks wait for the old transaction to end, and its keys tell whether it was
    /// done.
    async fn commit(&mut self, commands: &[Command]) -> Result<Vec<Answer>, Error> {
        let need = Need::of(commands);
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
                decide(&mut book, commands, self.signer.as_ref())
            }));
            let Ok((changes, answers)) = decided else {
                return Self::after_panic(commands);
            };
            if unknowns > 1 && known_before == 0 {
                last = StoreError::Unavailable("commit failed".to_owned());
                break;
            }
            match self.lane.commit(book, &changes).await {
                Ok(()) => return Ok(answers),
                Err(StoreError::CommitUnknown) => {
                    tracing::warn!(
                        commands = commands.len(),
                        "outcome of a commit unknown; looking the keys up"
                    );
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
        tracing::error!(commands = commands.len(), error = %last, unknown, "a batch was given up");
        metrics::counter!("strongroom_lane_failed_total").increment(1);
        if unknown {
            Err(Error::commit_unknown())
        } else {
            Err(last.into())
        }
    }

    /// The batch is given up and told so: alone a command is told that it is our fault, in company to come back, where
    /// it meets other neighbours. Nothing was changed.
    fn after_panic(commands: &[Command]) -> Result<Vec<Answer>, Error> {
        metrics::counter!("strongroom_lane_panics_total").increment(1);
        tracing::error!(
            commands = commands.len(),
            "a decision panicked; nothing of its batch was booked"
        );
        if let [_one] = commands {
            return Err(Error::broken("a decision panicked"));
        }
        Err(Error::unavailable(StoreError::Corrupt(
            "a decision in the same batch panicked",
        )))
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
