//! A bounded pool that hashes passwords.
//!
//! Each worker is an own thread with an own 46 MiB; more work than the queue holds is refused at once (`overloaded`)
//! instead of exhausting memory. Callers that are known already (a genuine device mark) may use the queue's reserved
//! slots and go first, so that a flood of unknown ones does not lock customers out.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::oneshot;

use super::hash::{ArgonHash, Cost, Memory, hashable};
use super::stored::{Form, StoredHash};
use crate::keyring::{Key, Keyring, Purpose};
use crate::secret::{ExposeSecret, SecretString};

/// How large the pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSize {
    /// Threads, each with the memory of one computation.
    pub workers: usize,
    /// Jobs that may wait.
    pub queue: usize,
    /// How many of those slots only known callers may use.
    pub reserved: usize,
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The queue is full; try again in a moment.
    #[error("too many passwords are being checked")]
    Overloaded,
    /// The pool is being shut down.
    #[error("the password pool has stopped")]
    Stopped,
    /// Longer than any accepted password; the policy says so before.
    #[error("the password is too long")]
    TooLong,
}

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether the password is the one that was stored.
    pub matches: bool,
    /// The password is right but stored under an older pepper or cost: hash it again now.
    pub needs_rehash: bool,
}

enum Work {
    Hash(SecretString, oneshot::Sender<StoredHash>),
    Verify(SecretString, Option<StoredHash>, oneshot::Sender<Verified>),
}

impl Work {
    /// Nobody waits any longer (the client went away).
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Hash(_, answer) => answer.is_closed(),
            Self::Verify(_, _, answer) => answer.is_closed(),
        }
    }
}

#[derive(Default)]
struct Queue {
    known: VecDeque<Work>,
    unknown: VecDeque<Work>,
    closed: bool,
}

/// Peppers by kid, the active one first.
type Peppers = Vec<Arc<Key>>;

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    peppers: RwLock<Arc<Peppers>>,
    cost: Cost,
    computed: AtomicU64,
    lost_peppers: AtomicU64,
}

/// The pool. Put it into an `Arc`; dropping it ends the threads after their present job.
pub struct PasswordPool {
    shared: Arc<Shared>,
    size: PoolSize,
}

impl PasswordPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system refuses a thread.
    ///
    /// # Panics
    /// When there is no worker, or nothing but reserved slots: sizes are checked with the configuration.
    pub fn start(ring: &Keyring, cost: Cost, size: PoolSize) -> std::io::Result<Self> {
        assert!(size.workers > 0 && size.reserved < size.queue, "{size:?}");
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            ready: Condvar::new(),
            peppers: RwLock::new(peppers_of(ring)),
            cost,
            computed: AtomicU64::new(0),
            lost_peppers: AtomicU64::new(0),
        });
        // Made before the threads: should one of them fail to start, dropping it ends the others.
        let pool = Self { shared, size };
        for number in 0..size.workers {
            let shared = Arc::clone(&pool.shared);
            std::thread::Builder::new()
                .name(format!("password-{number}"))
                .spawn(move || shared.work())?;
        }
        Ok(pool)
    }

    /// Uses the peppers of `ring` from now on (after a rotation).
    pub fn rekey(&self, ring: &Keyring) {
        *self
            .shared
            .peppers
            .write()
            .unwrap_or_else(PoisonError::into_inner) = peppers_of(ring);
    }

    /// Hashes a new password under the active pepper. Check the policy first.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn hash(&self, password: SecretString) -> Result<StoredHash, PasswordError> {
        if !hashable(password.expose_secret()) {
            return Err(PasswordError::TooLong);
        }
        let (answer, result) = oneshot::channel();
        self.submit(Work::Hash(password, answer), false)?;
        result.await.map_err(|_| PasswordError::Stopped)
    }

    /// Compares a password with the stored hash. With `None` (no such user, no password) an equal computation is done
    /// and nothing matches; so too for a password beyond the longest and for a pepper that was destroyed.
    ///
    /// # Errors
    /// [`PasswordError::Overloaded`], [`PasswordError::Stopped`].
    pub async fn verify(
        &self,
        password: SecretString,
        stored: Option<&StoredHash>,
    ) -> Result<Verified, PasswordError> {
        self.compare(password, stored, false).await
    }

    /// As [`Self::verify`], for a caller that is known already: may use the reserved slots and goes first.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub async fn verify_known(
        &self,
        password: SecretString,
        stored: Option<&StoredHash>,
    ) -> Result<Verified, PasswordError> {
        self.compare(password, stored, true).await
    }

    async fn compare(
        &self,
        password: SecretString,
        stored: Option<&StoredHash>,
        known: bool,
    ) -> Result<Verified, PasswordError> {
        let (answer, result) = oneshot::channel();
        self.submit(Work::Verify(password, stored.cloned(), answer), known)?;
        result.await.map_err(|_| PasswordError::Stopped)
    }

    /// Argon2 computations so far: equal work is asserted as an equal difference of this number.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.shared.computed.load(Ordering::Relaxed)
    }

    /// Comparisons with a hash whose pepper the ring no longer has: those users cannot log in, somebody should know.
    #[must_use]
    pub fn lost_peppers(&self) -> u64 {
        self.shared.lost_peppers.load(Ordering::Relaxed)
    }

    /// Jobs that wait now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let queue = self.shared.lock();
        queue.known.len() + queue.unknown.len()
    }

    /// How many jobs wait now, and how many may.
    #[must_use]
    pub fn queue(&self) -> (usize, usize) {
        (self.waiting(), self.size.queue)
    }

    fn submit(&self, work: Work, known: bool) -> Result<(), PasswordError> {
        let mut queue = self.shared.lock();
        let slots = if known {
            self.size.queue
        } else {
            self.size.queue - self.size.reserved
        };
        if queue.known.len() + queue.unknown.len() >= slots {
            return Err(PasswordError::Overloaded);
        }
        if known {
            queue.known.push_back(work)
        } else {
            queue.unknown.push_back(work)
        }
        drop(queue);
        self.shared.ready.notify_one();
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Work> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(work) = queue.known.pop_front().or_else(|| queue.unknown.pop_front()) {
                return Some(work);
            }
            queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self) {
        let mut memory = Memory::default();
        while let Some(work) = self.next() {
            if work.is_abandoned() {
                continue;
            }
            // A panic must cost one answer (its sender is dropped), not the worker.
            let done = catch_unwind(AssertUnwindSafe(|| self.answer(work, &mut memory)));
            if done.is_err() {
                memory = Memory::default();
            }
        }
    }

    fn answer(&self, work: Work, memory: &mut Memory) {
        let peppers = Arc::clone(&self.peppers.read().unwrap_or_else(PoisonError::into_inner));
        match work {
            Work::Hash(password, answer) => {
                let _ = answer.send(self.hash(&peppers, password.expose_secret(), memory));
            }
            Work::Verify(password, stored, answer) => {
                let _ = answer.send(self.verify(&peppers, password.expose_secret(), stored, memory));
            }
        }
    }

    fn hash(&self, peppers: &Peppers, password: &str, memory: &mut Memory) -> StoredHash {
        let key = &peppers[0];
        self.computed.fetch_add(1, Ordering::Relaxed);
        let own = ArgonHash::compute(password, key.kid, key.pepper(), self.cost, memory);
        StoredHash(Form::Own(own))
    }

    fn verify(
        &self,
        peppers: &Peppers,
        password: &str,
        stored: Option<StoredHash>,
        memory: &mut Memory,
    ) -> Verified {
        let active = &peppers[0];
        let stored = match stored.map(|stored| stored.0) {
            Some(Form::Imported(imported)) if hashable(password) => {
                // The work that everybody costs, besides.
                self.hash(peppers, password, memory);
                let matches = imported.matches(password);
                return Verified {
                    matches,
                    needs_rehash: matches,
                };
            }
            Some(Form::Own(own)) => Some(own),
            _ => None,
        };
        let known = stored.and_then(|stored| {
            let key = peppers.iter().find(|key| key.kid == stored.kid());
            if key.is_none() {
                self.lost_peppers.fetch_add(1, Ordering::Relaxed);
            }
            key.map(|key| (stored, key))
        });
        match known {
            Some((stored, key)) if hashable(password) => {
                self.computed.fetch_add(1, Ordering::Relaxed);
                let matches = stored.matches(password, key.pepper(), memory);
                let current = stored.kid() == active.kid && stored.cost() == self.cost;
                Verified {
                    matches,
                    needs_rehash: matches && !current,
                }
            }
            // The same work for nothing, over an input of bounded length.
            _ => {
                self.hash(peppers, if hashable(password) { password } else { "" }, memory);
                Verified {
                    matches: false,
                    needs_rehash: false,
                }
            }
        }
    }
}

fn peppers_of(ring: &Keyring) -> Arc<Peppers> {
    Arc::new(ring.keys(Purpose::Pepper).cloned().collect())
}

impl Drop for PasswordPool {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        // Whoever waits hears `Stopped`.
        queue.known.clear();
        queue.unknown.clear();
        drop(queue);
        self.shared.ready.notify_all();
    }
}

impl fmt::Debug for PasswordPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordPool")
            .field("size", &self.size)
            .field("cost", &self.shared.cost)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
