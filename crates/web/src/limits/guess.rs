//! Guesses: what is counted only if it was wrong.
//!
//! A guess takes its place in the quota before the password is looked at and gives it back when it was right:
//! counting afterwards would let a hundred wrong passwords pass that arrive together. Whoever finds all places
//! taken while some of them are still undecided waits for a decision, so that people who log in at the same
//! moment behind one address do not refuse each other.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::response::Response;
use http::StatusCode;
use strongroom_guard::{Exceeded, Subject};
use tokio::{sync::Notify, time::Instant};

use super::{Charge, Class, Inner, refuse};
use crate::{Problem, layers::Record};

/// How long a guess waits for others to be decided.
const WAIT_MAX: Duration = Duration::from_secs(3);
/// How many guesses wait at once; the rest is refused.
const WAITING_MAX: usize = 64;

/// The undecided guesses of all addresses.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    /// Locked while a guess takes its place, so that whoever is refused because of it sees that it is undecided.
    undecided: Mutex<usize>,
    waiting: AtomicUsize,
    decided: Notify,
}

impl Guesses {
    fn undecided(&self) -> MutexGuard<'_, usize> {
        self.undecided.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A guess that is about to be made.
pub(crate) struct Guess {
    inner: Arc<Inner>,
    record: Record,
    subject: Subject,
}

/// A guess that has its place. Dropping it without a decision leaves it counted: whoever hangs up has guessed.
pub(crate) struct Undecided(Guess);

impl Guess {
    pub(super) fn new(inner: Arc<Inner>, record: Record, subject: Subject) -> Self {
        Self {
            inner,
            record,
            subject,
        }
    }

    /// Takes a place in the quota, once there is one.
    pub(crate) async fn begin(self) -> Result<Undecided, Problem> {
        let deadline = Instant::now() + WAIT_MAX;
        let guesses = &self.inner.guesses;
        let mut waiting = None;
        loop {
            // Registered before looking, so that a decision in between is not missed.
            let mut decided = std::pin::pin!(guesses.decided.notified());
            decided.as_mut().enable();
            let (refused, nobody_decides) = match self.try_begin() {
                Ok(()) => break,
                Err(refused) => refused,
            };
            if waiting.is_none() {
                waiting = Waiting::enter(&guesses.waiting);
            }
            if waiting.is_none()
                || nobody_decides
                || tokio::time::timeout_at(deadline, decided).await.is_err()
            {
                return Err(refuse(&self.record, Class::Auth, &refused));
            }
        }
        drop(waiting);
        Ok(Undecided(self))
    }

    /// Whoever is refused also learns whether nobody is left who might give a place back.
    fn try_begin(&self) -> Result<(), (Exceeded, bool)> {
        let mut undecided = self.inner.guesses.undecided();
        match self.inner.limiter(Class::Auth).charge(self.subject, 1) {
            Ok(_) => {
                *undecided += 1;
                Ok(())
            }
            Err(refused) => Err((refused, *undecided == 0)),
        }
    }
}

impl Undecided {
    /// The answer says whether it was right; what was never looked at was no guess.
    pub(crate) fn decide(self, response: &Response) {
        let Guess {
            inner,
            record,
            subject,
        } = &self.0;
        for class in [Class::Auth, Class::Anonymous] {
            let limiter = inner.limiter(class);
            // Who was right is no stranger either: an office that logs in at nine uses up nothing.
            let standing = match (class, response.status()) {
                (Class::Auth, status) if !was_wrong(status) => limiter.refund(*subject, 1),
                (Class::Anonymous, status) if status.is_success() => limiter.refund(*subject, 1),
                _ => limiter.standing(*subject),
            };
            record.count(Charge { class, standing });
        }
    }
}

impl Drop for Undecided {
    fn drop(&mut self) {
        let guesses = &self.0.inner.guesses;
        *guesses.undecided() -= 1;
        guesses.decided.notify_waiters();
    }
}

/// Requests that are malformed are refused before anything is compared, and our own failures are not theirs.
fn was_wrong(status: StatusCode) -> bool {
    status.is_client_error()
        && !matches!(
            status,
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE
        )
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Option<Self> {
        let place = Self(count);
        (count.fetch_add(1, Ordering::AcqRel) < WAITING_MAX).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
