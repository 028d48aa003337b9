//! The counters of one class.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    quota::{Quota, WINDOWS_MAX, Window},
    subject::{Key, Keys, Subject},
};

/// How many counters a class keeps at most: about 5 MB.
pub const KEYS_MAX: usize = 65_536;
/// Parts with a lock of their own.
const SHARDS: usize = 32;
/// When a part is full, this share of it is forgotten at once, so that making room costs little per request.
const FORGOTTEN_AT_ONCE: usize = 8;

/// When the bucket of each window will be empty, in nanoseconds after the limiter was made.
type Empty = [u64; WINDOWS_MAX];
type Shard = HashMap<Key, Empty, RandomState>;

/// The counters of one class of requests.
#[derive(Debug)]
pub struct Limiter {
    quota: Quota,
    started: Instant,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
    shard_keys_max: usize,
}

/// How a subject stands with one window after a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowStanding {
    /// How many may still come at once.
    pub remaining: u32,
    /// How long until the whole quota is back; of a refusal, how long until it is worth coming again.
    pub reset: Duration,
}

/// How a subject stands with a class: its windows in the order of the quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    windows: [WindowStanding; WINDOWS_MAX],
    len: usize,
}

impl Standing {
    /// By window, in the order of [`Quota::windows`].
    pub fn windows(&self) -> &[WindowStanding] {
        &self.windows[..self.len]
    }

    /// Adds what is known of the next window; one too many is left out.
    pub(super) fn push(&mut self, window: WindowStanding) {
        if let Some(place) = self.windows.get_mut(self.len) {
            *place = window;
            self.len += 1;
        }
    }

    /// How many may still come at once.
    pub fn remaining(&self) -> u32 {
        let all = self.windows().iter().map(|window| window.remaining);
        all.min().unwrap_or(u32::MAX)
    }
}

/// Too many: nothing was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// When the same request will pass, if nothing else comes.
    pub retry_after: Duration,
    /// How the subject stands.
    pub standing: Standing,
}

impl Limiter {
    /// Counts against `quota` and keeps [`KEYS_MAX`] counters.
    pub fn new(quota: Quota) -> Self {
        Self::with_keys_max(quota, KEYS_MAX)
    }

    /// Keeps at most about so many counters. Full, it forgets those that were charged least: somebody who
    /// floods it from many addresses makes it forget that flood.
    pub fn with_keys_max(quota: Quota, keys_max: usize) -> Self {
        let hasher = RandomState::new();
        let shards = (0..SHARDS).map(|_| Mutex::new(HashMap::with_hasher(hasher.clone())));
        Self {
            quota,
            started: Instant::now(),
            shards: shards.collect(),
            hasher,
            shard_keys_max: (keys_max / SHARDS).max(FORGOTTEN_AT_ONCE),
        }
    }

    /// What it allows.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// The time of its counters.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Counts `cost` requests of a subject, or none of them.
    ///
    /// # Errors
    /// [`Exceeded`] where a window of the subject has no room for them. A cost above the burst never has.
    pub fn charge(&self, subject: Subject, cost: u32) -> Result<Standing, Exceeded> {
        self.charge_at(subject, cost, self.now())
    }

    /// [`Self::charge`] at a moment of [`Self::now`].
    ///
    /// # Errors
    /// As there.
    pub fn charge_at(&self, subject: Subject, cost: u32, now: Duration) -> Result<Standing, Exceeded> {
        let now = nanoseconds(now);
        let keys = subject.keys();
        let mut shard = self.shard(subject);
        let before = Buckets::read(&shard, &keys, now);
        let mut after = before;
        let mut wait = 0;
        for (bucket, window, scale) in after.each(&self.quota, &keys) {
            *bucket = bucket.saturating_add(window.interval(scale).saturating_mul(u64::from(cost)));
            wait = wait.max((*bucket - now).saturating_sub(window.depth(scale)));
        }
        if wait > 0 {
            let mut standing = before.standing(&self.quota, &keys, now);
            let retry_after = Duration::from_nanos(wait);
            for window in &mut standing.windows[..standing.len] {
                if window.remaining < cost {
                    window.reset = retry_after;
                }
            }
            return Err(Exceeded {
                retry_after,
                standing,
            });
        }
        self.make_room(&mut shard, keys.iter().count(), now);
        after.write(&mut shard, &keys);
        drop(shard);
        Ok(after.standing(&self.quota, &keys, now))
    }

    /// Takes back what was charged.
    pub fn refund(&self, subject: Subject, cost: u32) -> Standing {
        self.refund_at(subject, cost, self.now())
    }

    /// [`Self::refund`] at a moment of [`Self::now`].
    pub(super) fn refund_at(&self, subject: Subject, cost: u32, now: Duration) -> Standing {
        let now = nanoseconds(now);
        let keys = subject.keys();
        let mut shard = self.shard(subject);
        let mut buckets = Buckets::read(&shard, &keys, now);
        for (bucket, window, scale) in buckets.each(&self.quota, &keys) {
            let back = window.interval(scale).saturating_mul(u64::from(cost));
            *bucket = bucket.saturating_sub(back).max(now);
        }
        for (index, (key, _)) in keys.iter().enumerate() {
            // What was forgotten meanwhile stays forgotten.
            if let Some(empty) = shard.get_mut(key) {
                *empty = buckets.0[index];
            }
        }
        buckets.standing(&self.quota, &keys, now)
    }

    /// How a subject stands, without counting.
    pub fn standing(&self, subject: Subject) -> Standing {
        let now = nanoseconds(self.now());
        let keys = subject.keys();
        Buckets::read(&self.shard(subject), &keys, now).standing(&self.quota, &keys, now)
    }

    /// How many counters are kept.
    pub fn keys(&self) -> usize {
        let lock = |shard| Mutex::lock(shard).unwrap_or_else(PoisonError::into_inner);
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn shard(&self, subject: Subject) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(subject.place());
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        // Counters are plain numbers: a panic elsewhere leaves none half written.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_room(&self, shard: &mut Shard, wanted: usize, now: u64) {
        if shard.len() + wanted <= self.shard_keys_max {
            return;
        }
        shard.retain(|_, empty| empty.iter().any(|at| *at > now));
        let keep = self.shard_keys_max - self.shard_keys_max / FORGOTTEN_AT_ONCE;
        if shard.len() <= keep {
            return;
        }
        let debt = |empty: &Empty| empty.iter().copied().max().unwrap_or_default();
        let mut debts: Vec<u64> = shard.values().map(debt).collect();
        let excess = debts.len() - keep;
        let (_, threshold, _) = debts.select_nth_unstable(excess);
        let threshold = *threshold;
        let mut left = excess;
        shard.retain(|_, empty| {
            let forget = left > 0 && debt(empty) <= threshold;
            left -= usize::from(forget);
            !forget
        });
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The buckets of a subject: of each counter, of each window.
#[derive(Clone, Copy)]
struct Buckets([Empty; super::subject::KEYS_PER_SUBJECT_MAX]);

impl Buckets {
    fn read(shard: &Shard, keys: &Keys, now: u64) -> Self {
        let mut buckets = Self([[now; WINDOWS_MAX]; _]);
        for (empty, (key, _)) in buckets.0.iter_mut().zip(keys.iter()) {
            if let Some(kept) = shard.get(key) {
                *empty = kept.map(|at| at.max(now));
            }
        }
        buckets
    }

    fn write(&self, shard: &mut Shard, keys: &Keys) {
        for (empty, (key, _)) in self.0.iter().zip(keys.iter()) {
            shard.insert(*key, *empty);
        }
    }

    fn each<'a>(
        &'a mut self,
        quota: &'a Quota,
        keys: &'a Keys,
    ) -> impl Iterator<Item = (&'a mut u64, Window, u32)> {
        self.0
            .iter_mut()
            .zip(keys.iter())
            .flat_map(|(empty, (_, scale))| {
                empty
                    .iter_mut()
                    .zip(quota.windows())
                    .map(|(at, window)| (at, *window, *scale))
            })
    }

    /// Of each window what the narrowest counter leaves.
    fn standing(&self, quota: &Quota, keys: &Keys, now: u64) -> Standing {
        let mut standing = Standing {
            len: quota.windows().len(),
            ..Standing::default()
        };
        for (index, window) in quota.windows().iter().enumerate() {
            let mut narrowest = WindowStanding {
                remaining: u32::MAX,
                reset: Duration::ZERO,
            };
            for (empty, (_, scale)) in self.0.iter().zip(keys.iter()) {
                let debt = empty[index].saturating_sub(now);
                let room = window.depth(*scale).saturating_sub(debt) / window.interval(*scale);
                narrowest.remaining = narrowest.remaining.min(u32::try_from(room).unwrap_or(u32::MAX));
                narrowest.reset = narrowest.reset.max(Duration::from_nanos(debt));
            }
            standing.windows[index] = narrowest;
        }
        standing
    }
}

#[cfg(test)]
mod tests;
