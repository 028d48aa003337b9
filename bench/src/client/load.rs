//! Load: many connections that ask one after another (closed loop), or at moments that were fixed before (open loop).
//!
//! In an open loop latency counts from the moment at which a request was meant to be sent: a server that stalls cannot
//! hide it by not being asked (coordinated omission, Gil Tene 2013). The generator is one thread, and its share of a
//! core is part of every result.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::sync::Semaphore;

use super::{Connection, Target};
use crate::{cpu, outcome::Outcome};

/// Longest latency that is told apart, in microseconds.
const LATENCY_US_MAX: u64 = 120_000_000;
/// Requests sent before anything is counted last this share of the time.
const WARMUP_SHARE: u32 = 5;

/// When requests are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arrivals {
    /// Each connection asks again as soon as it was answered.
    Closed,
    /// So many per second over all connections, whatever the answers do.
    PerSecond(f64),
}

/// What one connection asks.
pub(crate) trait Sender: Send + 'static {
    /// Writes the next request into the buffer, over what is there.
    fn next(&mut self, out: &mut Vec<u8>);

    /// Sees what was answered with success, where the next request depends on it.
    fn answered(&mut self, _body: &[u8]) {}
}

impl<F: FnMut(&mut Vec<u8>) + Send + 'static> Sender for F {
    fn next(&mut self, out: &mut Vec<u8>) {
        self(out);
    }
}

/// What to do to a server.
pub(crate) struct Load<'a> {
    pub(crate) target: &'a Target,
    pub(crate) connections: usize,
    pub(crate) arrivals: Arrivals,
    pub(crate) time: Duration,
    /// The server's process.
    pub(crate) server: u32,
}

/// What came of it, in the time that counts.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Requests answered with success.
    pub(crate) acknowledged: u64,
    /// Requests refused, by code.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Requests without an answer, and 503.
    pub(crate) dropped: u64,
    /// All that was acknowledged from the first request to the last, the time that does not count included.
    pub(crate) acknowledged_ever: u64,
    pub(crate) time: Duration,
    /// Microseconds of the acknowledged.
    pub(crate) latency: Histogram<u64>,
    pub(crate) generator_cpu: Duration,
    pub(crate) server_cpu: Duration,
    /// The server's resident memory at the end, in bytes.
    pub(crate) memory: u64,
}

impl Loaded {
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    pub(crate) fn rate(&self) -> f64 {
        self.acknowledged as f64 / self.time.as_secs_f64()
    }

    /// Milliseconds at a quantile.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of one run")]
    pub(crate) fn millis(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }

    /// Microseconds of CPU per acknowledged request.
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    pub(crate) fn each(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / self.acknowledged.max(1) as f64
    }

    /// The generator's share of one core, in percent: it has one thread, so 100 would be its end.
    pub(crate) fn generator_percent(&self) -> f64 {
        self.generator_cpu.as_secs_f64() / self.time.as_secs_f64() * 100.0
    }
}

/// Everything the connections share.
struct Shared {
    counting: AtomicBool,
    over: AtomicBool,
    tally: Mutex<Tally>,
    /// Requests whose moment has come and that nobody has taken.
    due: Semaphore,
    /// The next request's number.
    number: AtomicU64,
}

struct Tally {
    acknowledged: u64,
    acknowledged_ever: u64,
    refused: BTreeMap<String, u64>,
    dropped: u64,
    latency: Histogram<u64>,
}

impl Load<'_> {
    /// Runs the load. `sender` makes, for each connection, what writes its next request into the buffer.
    pub(crate) async fn run<S: Sender>(&self, mut sender: impl FnMut(usize) -> S) -> Outcome<Loaded> {
        let shared = Arc::new(Shared {
            counting: AtomicBool::new(false),
            over: AtomicBool::new(false),
            tally: Mutex::new(Tally {
                acknowledged: 0,
                acknowledged_ever: 0,
                refused: BTreeMap::new(),
                dropped: 0,
                latency: Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?,
            }),
            due: Semaphore::new(0),
            number: AtomicU64::new(0),
        });
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(self.target.connect().await?);
        }
        // From now on every moment of the open loop is fixed.
        let start = Instant::now();
        let pacer = self.pace(&shared, start)?;
        let interval = match self.arrivals {
            Arrivals::Closed => None,
            Arrivals::PerSecond(rate) => Some(Duration::from_secs_f64(1.0 / rate)),
        };
        let mut tasks = Vec::with_capacity(self.connections);
        for (index, connection) in connections.into_iter().enumerate() {
            let worker = Worker {
                shared: Arc::clone(&shared),
                target: self.target.clone(),
                connection: Some(connection),
                start,
                interval,
            };
            tasks.push(tokio::spawn(worker.run(sender(index))));
        }
        tokio::time::sleep(self.time / WARMUP_SHARE).await;
        shared.counting.store(true, Ordering::Relaxed);
        let (from, us, server) = (Instant::now(), cpu::own(), cpu::of(self.server));
        tokio::time::sleep(self.time).await;
        shared.counting.store(false, Ordering::Relaxed);
        let (time, us, server) = (from.elapsed(), cpu::own() - us, cpu::of(self.server) - server);
        let memory = cpu::memory(self.server).map_or(0, |(now, _)| now);
        shared.over.store(true, Ordering::Relaxed);
        shared.due.close();
        for task in tasks {
            task.await?;
        }
        if let Some(pacer) = pacer {
            pacer.join().map_err(|_| "the pacer failed")?;
        }
        let mut tally = shared.tally.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Loaded {
            acknowledged: tally.acknowledged,
            acknowledged_ever: tally.acknowledged_ever,
            refused: std::mem::take(&mut tally.refused),
            dropped: tally.dropped,
            time,
            latency: tally.latency.clone(),
            generator_cpu: us,
            server_cpu: server,
            memory,
        })
    }

    /// Lets requests go at their moments, from a thread of its own: the runtime's timer knows whole milliseconds only.
    fn pace(&self, shared: &Arc<Shared>, start: Instant) -> Outcome<Option<std::thread::JoinHandle<()>>> {
        let Arrivals::PerSecond(rate) = self.arrivals else {
            return Ok(None);
        };
        let shared = Arc::clone(shared);
        let pacer = move || {
            let mut released = 0_u64;
            while !shared.over.load(Ordering::Relaxed) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "seconds of one run times a rate"
                )]
                let due = (start.elapsed().as_secs_f64() * rate) as u64;
                if due > released {
                    shared
                        .due
                        .add_permits(usize::try_from(due - released).unwrap_or_default());
                    released = due;
                }
                std::thread::park_timeout(Duration::from_micros(100));
            }
        };
        Ok(Some(
            std::thread::Builder::new()
                .name("pacer".to_owned())
                .spawn(pacer)?,
        ))
    }
}

/// One connection and what it needs.
struct Worker {
    shared: Arc<Shared>,
    target: Target,
    connection: Option<Connection>,
    start: Instant,
    interval: Option<Duration>,
}

impl Worker {
    async fn run(mut self, mut sender: impl Sender) {
        let mut request = Vec::with_capacity(4 * 1024);
        while let Some(begun) = self.turn().await {
            sender.next(&mut request);
            if self.connection.is_none() {
                self.connection = self.target.connect().await.ok();
            }
            let answer = match &mut self.connection {
                Some(connection) => connection.exchange(&request).await.ok(),
                None => None,
            };
            let elapsed = begun.elapsed();
            let counting = self.shared.counting.load(Ordering::Relaxed);
            let mut tally = self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner);
            let (Some(reply), Some(connection)) = (answer, &self.connection) else {
                drop(tally);
                self.drop_one(counting);
                continue;
            };
            if (200..300).contains(&reply.status) {
                tally.acknowledged_ever += 1;
                sender.answered(connection.body(&reply));
            }
            if !counting {
                continue;
            }
            match reply.status {
                200..300 => {
                    tally.acknowledged += 1;
                    let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
                    tally.latency.saturating_record(micros.max(1));
                }
                503 => tally.dropped += 1,
                _ => *tally.refused.entry(connection.code(&reply)).or_default() += 1,
            }
        }
    }

    fn drop_one(&mut self, counting: bool) {
        self.connection = None;
        if counting && !self.shared.over.load(Ordering::Relaxed) {
            self.shared
                .tally
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .dropped += 1;
        }
    }

    /// When the next request counts as sent; `None` when it is over.
    async fn turn(&self) -> Option<Instant> {
        if self.shared.over.load(Ordering::Relaxed) {
            return None;
        }
        let Some(interval) = self.interval else {
            return Some(Instant::now());
        };
        self.shared.due.acquire().await.ok()?.forget();
        let number = self.shared.number.fetch_add(1, Ordering::Relaxed);
        Some(self.start + interval.mul_f64(number as f64))
    }
}
