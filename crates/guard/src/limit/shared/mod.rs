//! Counters that several nodes share, in Redis.
//!
//! The same buckets as in [`limiter`](super::limiter), decided and written by one script, so that however many nodes
//! ask at once a quota passes once. Redis sees keyed digests, classes and moments, and no address and no name; its own
//! clock counts, so that nodes need not agree on the time. What it forgets (a restart, `FLUSHALL`) begins anew.
//!
//! There is one connection, and [`SharedCounters::run`] keeps it: it looks every two seconds whether the script can
//! still write, and tells when that ends and begins. As long as there is none every question is answered [`Away`] at
//! once, so that nobody waits for a server that is gone.

mod place;

use std::{
    fmt,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, Script, aio::MultiplexedConnection};
use tokio::sync::Notify;

use super::{
    limiter::{Exceeded, Standing, WindowStanding},
    quota::{Quota, WINDOWS_MAX},
    subject::Subject,
};

pub use place::{RedisPlace, RedisPlaceError};

/// Until there is a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// Until there is an answer.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(500);
/// Between two looks whether the connection is good.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Between two tries to connect.
const RETRY_EVERY: Duration = Duration::from_millis(500);
/// The beginning of all names.
const PREFIX: &str = "strongroom:limits";

const SCRIPT: &str = include_str!("count.lua");

/// Makes of a name one that says nothing to whoever reads it, and the same on every node.
type Digest = dyn Fn(&[u8]) -> [u8; 16] + Send + Sync;

/// The shared counters cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away;

/// Whether nodes count together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Together {
    /// They do.
    Yes,
    /// They do not; the reason, without names and passwords.
    No(String),
}

/// What one question came to.
#[derive(Clone, Copy, Debug)]
pub struct SharedCount {
    /// As in one process.
    pub outcome: Result<Standing, Exceeded>,
    /// Guesses of the subject that are undecided, on whatever node.
    pub undecided: u32,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct SharedQuestion<'a> {
    /// The name of the class; each has its own counters.
    pub class: &'a str,
    /// What the class allows.
    pub quota: &'a Quota,
    /// Who is counted.
    pub subject: Subject,
    /// Whether it is a guess, which is undecided until it is given back or settled.
    pub is_guess: bool,
}

/// The counters of all classes.
pub struct SharedCounters {
    client: Client,
    script: Script,
    digest: Box<Digest>,
    connection: RwLock<Option<MultiplexedConnection>>,
    lost: Notify,
}

impl fmt::Debug for SharedCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCounters").finish_non_exhaustive()
    }
}

impl SharedCounters {
    /// At this place; opens no connection yet. `digest` gives every node the same name for the same bytes.
    ///
    /// # Errors
    /// [`RedisPlaceError`] where the library cannot work with the place.
    pub fn open(
        place: &RedisPlace,
        digest: impl Fn(&[u8]) -> [u8; 16] + Send + Sync + 'static,
    ) -> Result<Self, RedisPlaceError> {
        Ok(Self {
            client: place.client()?,
            script: Script::new(SCRIPT),
            digest: Box::new(digest),
            connection: RwLock::new(None),
            lost: Notify::new(),
        })
    }

    /// Keeps the connection until the task is dropped, and says when nodes begin and cease to count together. Of a
    /// connection that breaks and is there again at once nothing is said.
    pub async fn run(&self, changed: impl Fn(Together)) {
        let mut said = None;
        loop {
            let now = match self.connect().await {
                Ok(connection) => {
                    self.set(Some(connection));
                    Together::Yes
                }
                Err(error) => Together::No(reason(&error)),
            };
            let is_together = now == Together::Yes;
            if said != Some(is_together) {
                said = Some(is_together);
                changed(now);
            }
            if is_together {
                self.look_after().await;
                self.set(None);
            } else {
                tokio::time::sleep(RETRY_EVERY).await;
            }
        }
    }

    async fn connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        let bounds = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIME_MAX))
            .set_response_timeout(Some(ANSWER_TIME_MAX));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&bounds);
        let connection = tokio::time::timeout(CONNECT_TIME_MAX, connecting)
            .await
            .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))?;
        self.probe(&connection).await?;
        Ok(connection)
    }

    /// Whether the script can be run and write: a replica, a full memory or missing rights answer pings.
    async fn probe(&self, connection: &MultiplexedConnection) -> redis::RedisResult<()> {
        let mut call = self.script.key(format!("{PREFIX}:probe"));
        for argument in ["charge", "1", "0", "1", "0", "1000", "1000000000"] {
            call.arg(argument);
        }
        let answer: redis::RedisResult<Vec<i64>> = call.invoke_async(&mut connection.clone()).await;
        answer.map(drop)
    }

    /// Ends when the connection is good no longer.
    async fn look_after(&self) {
        loop {
            let lost = tokio::time::timeout(LOOK_EVERY, self.lost.notified()).await;
            let Some(connection) = self.connection() else {
                return;
            };
            if lost.is_ok() || self.probe(&connection).await.is_err() {
                return;
            }
        }
    }

    /// Whether this node counts together with others at the moment.
    pub fn is_together(&self) -> bool {
        self.connection().is_some()
    }

    fn connection(&self) -> Option<MultiplexedConnection> {
        self.connection
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, connection: Option<MultiplexedConnection>) {
        *self.connection.write().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    /// Counts `cost` requests of a subject, or none of them.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn charge(&self, question: SharedQuestion<'_>, cost: u32) -> Result<SharedCount, Away> {
        self.ask(question, "charge", cost, 0).await
    }

    /// Takes back what was charged; of a guess, also that it is undecided. A guess that was wrong gives back nothing.
    ///
    /// # Errors
    /// [`Away`]: it stays charged, and a guess counts as undecided for some seconds more.
    pub async fn refund(&self, question: SharedQuestion<'_>, cost: u32) -> Result<Standing, Away> {
        let count = self.ask(question, "refund", cost, 0).await?;
        count.outcome.map_err(|_| Away)
    }

    /// `moment` in microseconds, or 0 for now.
    async fn ask(
        &self,
        question: SharedQuestion<'_>,
        what: &str,
        cost: u32,
        moment: u64,
    ) -> Result<SharedCount, Away> {
        let mut connection = self.connection().ok_or(Away)?;
        let SharedQuestion {
            class,
            quota,
            subject,
            is_guess,
        } = question;
        let keys = subject.keys();
        let place = hex((self.digest)(&subject.place()));
        // What one script touches lies on one node of a cluster: that of the name in braces.
        let named = |name: &str| format!("{PREFIX}:{{{place}}}:{class}:{name}");
        let mut call = self.script.prepare_invoke();
        for (key, _) in keys.iter() {
            call.key(named(&hex((self.digest)(&key.bytes()))));
        }
        if is_guess {
            let own = keys.iter().next().map_or([0; 17], |(key, _)| key.bytes());
            call.key(named(&format!("{}:undecided", hex((self.digest)(&own)))));
        }
        call.arg(what)
            .arg(cost)
            .arg(moment)
            .arg(quota.windows().len())
            .arg(u32::from(is_guess));
        for (_, scale) in keys.iter() {
            for window in quota.windows() {
                call.arg(micros(window.interval(*scale)))
                    .arg(micros(window.depth(*scale)));
            }
        }
        let answer: redis::RedisResult<Vec<i64>> = call.invoke_async(&mut connection).await;
        answer
            .ok()
            .and_then(|numbers| read(&numbers, quota, cost))
            .ok_or_else(|| {
                self.lost.notify_one();
                Away
            })
    }
}

/// Nanoseconds as microseconds, with what is behind the point.
fn micros(nanoseconds: u64) -> String {
    format!("{}.{:03}", nanoseconds / 1_000, nanoseconds % 1_000)
}

fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}

fn read(numbers: &[i64], quota: &Quota, cost: u32) -> Option<SharedCount> {
    let [passes, wait, undecided, windows @ ..] = numbers else {
        return None;
    };
    let len = quota.windows().len();
    if windows.len() != 2 * len || len > WINDOWS_MAX {
        return None;
    }
    let span = |micros: i64| u64::try_from(micros).ok().map(Duration::from_micros);
    let retry_after = span(*wait)?;
    let mut standing = Standing::default();
    for pair in windows.as_chunks::<2>().0 {
        let mut window = WindowStanding {
            remaining: u32::try_from(pair[0]).unwrap_or(u32::MAX),
            reset: span(pair[1])?,
        };
        if *passes == 0 && window.remaining < cost {
            window.reset = retry_after;
        }
        standing.push(window);
    }
    let outcome = match passes {
        1 => Ok(standing),
        _ => Err(Exceeded {
            retry_after,
            standing,
        }),
    };
    Some(SharedCount {
        outcome,
        undecided: u32::try_from(*undecided).unwrap_or(u32::MAX),
    })
}

/// What kind of failure it is; texts of servers and libraries may repeat what they were given.
fn reason(error: &redis::RedisError) -> String {
    match error.code() {
        Some(code) => code.to_owned(),
        None => format!("{:?}", error.kind()),
    }
}

#[cfg(test)]
mod tests;
