//! Guesses: what is counted only if it was wrong.
//!
//! A guess takes its place in the quota before the password is looked at and gives it back when it was right:
//! counting afterwards would let a hundred wrong passwords pass that arrive together. Whoever finds all places
//! taken while some of them are still undecided waits for a decision, so that people who log in at the same
//! moment behind one address do not refuse each other. A decision on another node is looked for every so often.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use strongroom_guard::{Exceeded, SharedCount, Subject};
use tokio::{sync::Notify, time::Instant};

use super::{Charge, Class, Inner, away, refuse};
use crate::{Problem, layers::Record};

/// How long a guess waits for others to be decided.
const WAIT_MAX: Duration = Duration::from_secs(3);
/// How many guesses wait at once; the rest is refused.
const WAITING_MAX: usize = 64;
/// How often the counters of all nodes are asked again whether a guess was decided.
const ASK_AGAIN: Duration = Duration::from_millis(100);

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
pub(crate) struct Undecided {
    guess: Guess,
    _place: Place,
}

/// One of this node's undecided guesses. Dropping it makes those look again who wait.
struct Place {
    inner: Arc<Inner>,
    was_decided: bool,
}

/// No place: why, and whether somebody might still give one back.
struct NoPlace {
    refused: Exceeded,
    hope: bool,
}

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
        let inner = Arc::clone(&self.inner);
        let deadline = Instant::now() + WAIT_MAX;
        let mut waiting = None;
        loop {
            // Registered before looking, so that a decision in between is not missed.
            let mut decided = std::pin::pin!(inner.guesses.decided.notified());
            decided.as_mut().enable();
            let none = match self.try_begin() {
                Ok(place) => match self.try_begin_together(place).await? {
                    Ok(place) => {
                        return Ok(Undecided {
                            guess: self,
                            _place: place,
                        });
                    }
                    Err(none) => none,
                },
                Err(none) => none,
            };
            if waiting.is_none() {
                waiting = Waiting::enter(&inner.guesses.waiting);
            }
            // What another node decides is told to nobody here.
            let until = match inner.shared {
                Some(_) => deadline.min(Instant::now() + ASK_AGAIN),
                None => deadline,
            };
            let is_over = waiting.is_none()
                || !none.hope
                || (tokio::time::timeout_at(until, decided).await.is_err() && until == deadline);
            if is_over {
                return Err(refuse(&self.record, Class::Auth, &none.refused));
            }
        }
    }

    fn try_begin(&self) -> Result<Place, NoPlace> {
        let mut undecided = self.inner.guesses.undecided();
        match self.inner.limiter(Class::Auth).charge(self.subject, 1) {
            Ok(_) => {
                *undecided += 1;
                Ok(Place {
                    inner: Arc::clone(&self.inner),
                    was_decided: true,
                })
            }
            Err(refused) => Err(NoPlace {
                refused,
                hope: *undecided > 0,
            }),
        }
    }

    /// The same for all nodes together. Nobody guesses while they cannot be asked.
    async fn try_begin_together(&self, mut place: Place) -> Result<Result<Place, NoPlace>, Problem> {
        let Some(shared) = &self.inner.shared else {
            return Ok(Ok(place));
        };
        let counted = shared
            .charge(self.inner.question(Class::Auth, self.subject), 1)
            .await;
        if let Ok(SharedCount { outcome: Ok(_), .. }) = counted {
            return Ok(Ok(place));
        }
        self.inner.limiter(Class::Auth).refund(self.subject, 1);
        // Those who wait are not told: they would ask again all at once, and then each other.
        place.was_decided = false;
        match counted {
            Ok(SharedCount {
                outcome: Err(refused),
                undecided,
            }) => Ok(Err(NoPlace {
                refused,
                hope: undecided > 0,
            })),
            _ => {
                // Whoever was not looked at has used up nothing.
                self.inner.limiter(Class::Anonymous).refund(self.subject, 1);
                Err(away())
            }
        }
    }
}

impl Undecided {
    /// The status of the answer says whether it was right; what was never looked at was no guess.
    pub(crate) async fn decide(self, status: StatusCode) {
        let Guess {
            inner,
            record,
            subject,
        } = &self.guess;
        let auth = inner
            .settle(Class::Auth, *subject, u32::from(!was_wrong(status)))
            .await;
        record.count(Charge {
            class: Class::Auth,
            standing: auth,
        });
        // Who was right is no stranger either: an office that logs in at nine uses up nothing.
        if status.is_success() {
            record.count(Charge {
                class: Class::Anonymous,
                standing: inner.settle(Class::Anonymous, *subject, 1).await,
            });
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let guesses = &self.inner.guesses;
        *guesses.undecided() -= 1;
        if self.was_decided {
            guesses.decided.notify_waiters();
        }
    }
}

/// Requests that are malformed are refused before anything is compared, and our own failures are not theirs.
fn was_wrong(status: StatusCode) -> bool {
    status.is_client_error()
        && !matches!(
            status,
            StatusCode::BAD_REQUEST
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::UNSUPPORTED_MEDIA_TYPE
                | StatusCode::PRECONDITION_REQUIRED
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
