//! Suspicion: what an address did lately, as points that fade, and the blocks that follow from it.
//!
//! One kind of signal never blocks anybody: a page that polls is fast, an office has many faces, a script has no agent.
//! Several kinds together are a scanner.

mod shared;

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub use shared::{BlockSeal, Common, SHARED_BLOCKS_MAX, SharedBlocks};

/// How many addresses are remembered at most: about 12 MB.
pub const SUSPECTS_MAX: usize = 65_536;
/// Points above which an address is blocked, if several kinds of signal make them.
pub const BLOCK_ABOVE: f32 = 80.0;
/// Points above which an address is slowed down.
pub const SLOW_ABOVE: f32 = 40.0;
/// How many kinds of signal a block needs.
pub const KINDS_MIN: usize = 3;
/// The first block of an address; each further one is twice as long.
pub const BLOCK_FIRST: Duration = Duration::from_secs(15 * 60);
/// The longest block.
pub const BLOCK_LONGEST: Duration = Duration::from_secs(24 * 3600);
/// How much longer each point above [`SLOW_ABOVE`] makes an address wait.
const DELAY_PER_POINT: Duration = Duration::from_millis(50);
/// The longest delay.
pub const DELAY_LONGEST: Duration = Duration::from_secs(20);
/// After this time half of the points are left.
const HALF_LIFE: Duration = Duration::from_secs(300);
/// What is looked at together.
const WINDOW: Duration = Duration::from_secs(60);
/// A kind counts as one of several from so many points on.
const POINTS_MIN: f32 = 5.0;
const SHARDS: usize = 32;
const FORGOTTEN_AT_ONCE: usize = 8;
const KINDS: usize = 8;
/// Places of the sketch in which different paths are counted.
const SKETCH_BITS: u32 = 128;

/// Kinds of signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// More than 60 requests in a minute.
    Rate,
    /// More than 20 requests for one path in a minute.
    Repetition,
    /// More than 20 different paths in a minute.
    Scanning,
    /// No `User-Agent`.
    NoAgent,
    /// More than half of at least 20 requests in a minute were refused.
    Refusals,
    /// A wrong password, code or token.
    WrongGuess,
    /// An attack that was recognised.
    Detection,
    /// A path that only scanners ask for.
    Honeypot,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; KINDS] = [
        Self::Rate,
        Self::Repetition,
        Self::Scanning,
        Self::NoAgent,
        Self::Refusals,
        Self::WrongGuess,
        Self::Detection,
        Self::Honeypot,
    ];

    /// Its name for operators.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Repetition => "repetition",
            Self::Scanning => "scanning",
            Self::NoAgent => "no_agent",
            Self::Refusals => "refusals",
            Self::WrongGuess => "wrong_guess",
            Self::Detection => "detection",
            Self::Honeypot => "honeypot",
        }
    }

    /// Points of one sighting, and the most that the kind can have.
    const fn points(self) -> (f32, f32) {
        match self {
            Self::Rate => (30.0, 30.0),
            Self::Repetition => (25.0, 25.0),
            Self::Scanning | Self::Refusals => (20.0, 20.0),
            Self::NoAgent => (15.0, 15.0),
            Self::WrongGuess => (5.0, 30.0),
            Self::Detection => (20.0, 60.0),
            Self::Honeypot => (30.0, 60.0),
        }
    }
}

/// One request of nobody in particular, after its answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observation<'a> {
    /// The path as it was sent.
    pub path: &'a str,
    /// Whether there was a `User-Agent`.
    pub has_agent: bool,
    /// Whether the answer was a refusal of the client's doing.
    pub refused: bool,
    /// Whether a password, code or token was wrong.
    pub wrong_guess: bool,
    /// Whether an attack was recognised in it.
    pub detection: bool,
    /// Whether only scanners ask for this path.
    pub honeypot: bool,
}

/// What is to be done with a request of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Pass,
    /// It waits first.
    Slow(Duration),
    /// It is refused for so long.
    Blocked(Duration),
}

/// A blocked address, for operators.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The address, or the /64 network of an IPv6 one.
    pub address: IpAddr,
    /// How long it still holds.
    pub left: Duration,
    /// Points when it began.
    pub score: f32,
    /// The kinds of signal that made them.
    pub signals: Vec<Signal>,
    /// The how manieth block it is.
    pub count: u32,
}

#[derive(Clone, Debug, Default)]
struct Suspect {
    points: [f32; KINDS],
    faded_at: Duration,
    window_at: Duration,
    requests: u32,
    refused: u32,
    paths: u128,
    repeated: (u64, u32),
    blocked_until: Option<Duration>,
    blocked_with: [f32; KINDS],
    blocks: u32,
}

impl Suspect {
    fn score(&self) -> f32 {
        self.points.iter().sum()
    }

    fn fade(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.faded_at).as_secs_f32();
        let left = 0.5_f32.powf(passed / HALF_LIFE.as_secs_f32());
        for points in &mut self.points {
            *points *= left;
        }
        self.faded_at = now;
    }

    fn add(&mut self, signal: Signal) {
        let (once, most) = signal.points();
        let points = &mut self.points[signal as usize];
        *points = (*points + once).min(most);
    }

    fn observe(&mut self, seen: Observation<'_>, path: u64, now: Duration) {
        self.fade(now);
        if now.saturating_sub(self.window_at) >= WINDOW {
            (self.window_at, self.requests, self.refused, self.paths) = (now, 0, 0, 0);
            self.repeated = (path, 0);
        }
        self.requests += 1;
        self.refused += u32::from(seen.refused);
        self.paths |= 1 << (path % u64::from(SKETCH_BITS));
        // Majority vote: a path that is asked for most of the time is found with one counter.
        self.repeated = match self.repeated {
            (same, count) if same == path => (same, count + 1),
            (_, 0) => (path, 1),
            (other, count) => (other, count - 1),
        };
        for (signal, is_seen) in [
            (Signal::Rate, self.requests > 60),
            (Signal::Repetition, self.repeated.1 > 20),
            (Signal::Scanning, different(self.paths) > 20.0),
            (Signal::NoAgent, !seen.has_agent),
            (
                Signal::Refusals,
                self.requests >= 20 && self.refused * 2 > self.requests,
            ),
            (Signal::WrongGuess, seen.wrong_guess),
            (Signal::Detection, seen.detection),
            (Signal::Honeypot, seen.honeypot),
        ] {
            if is_seen {
                self.add(signal);
            }
        }
    }

    /// Begins a block if it is time for one.
    fn judge(&mut self, now: Duration) -> bool {
        let kinds = self.points.iter().filter(|points| **points >= POINTS_MIN).count();
        let is_blocked = self.blocked_until.is_some_and(|until| until > now);
        if is_blocked || kinds < KINDS_MIN || self.score() <= BLOCK_ABOVE {
            return false;
        }
        // A day without a block forgets the earlier ones.
        if self
            .blocked_until
            .is_some_and(|until| now.saturating_sub(until) > BLOCK_LONGEST)
        {
            self.blocks = 0;
        }
        let length = BLOCK_FIRST
            .saturating_mul(1 << self.blocks.min(16))
            .min(BLOCK_LONGEST);
        self.blocks += 1;
        self.blocked_with = self.points;
        self.blocked_until = Some(now + length);
        true
    }
}

/// How many different paths a sketch has seen (linear counting).
fn different(sketch: u128) -> f32 {
    let places = SKETCH_BITS as f32;
    let free = sketch.count_zeros().max(1) as f32;
    places * (places / free).ln()
}

type Shard = HashMap<IpAddr, Suspect, RandomState>;

/// What is remembered of all addresses.
#[derive(Debug)]
pub struct Reputation {
    started: Instant,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
    shard_max: usize,
}

impl Default for Reputation {
    fn default() -> Self {
        Self::with_suspects_max(SUSPECTS_MAX)
    }
}

/// An IPv4 address; of an IPv6 one its /64.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

impl Reputation {
    /// Remembers at most about so many addresses, those with the most points and the running blocks first.
    pub fn with_suspects_max(suspects_max: usize) -> Self {
        let hasher = RandomState::new();
        let shards = (0..SHARDS).map(|_| Mutex::new(HashMap::with_hasher(hasher.clone())));
        Self {
            started: Instant::now(),
            shards: shards.collect(),
            hasher,
            shard_max: (suspects_max / SHARDS).max(FORGOTTEN_AT_ONCE),
        }
    }

    /// The time of its points.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Notes a request; `true` where the address is blocked from now on because of it.
    pub fn observe(&self, address: IpAddr, seen: Observation<'_>, now: Duration) -> bool {
        let address = place(address);
        let path = self.hasher.hash_one(seen.path);
        let mut shard = self.shard(address);
        self.make_room(&mut shard, now);
        let suspect = shard.entry(address).or_insert_with(|| Suspect {
            faded_at: now,
            window_at: now,
            ..Suspect::default()
        });
        suspect.observe(seen, path, now);
        suspect.judge(now)
    }

    /// What is to be done with a request of this address.
    pub fn verdict(&self, address: IpAddr, now: Duration) -> Verdict {
        let address = place(address);
        let mut shard = self.shard(address);
        let Some(suspect) = shard.get_mut(&address) else {
            return Verdict::Pass;
        };
        if let Some(until) = suspect.blocked_until.filter(|until| *until > now) {
            return Verdict::Blocked(until - now);
        }
        suspect.fade(now);
        let above = suspect.score() - SLOW_ABOVE;
        if above > 0.0 {
            Verdict::Slow(DELAY_PER_POINT.mul_f32(above).min(DELAY_LONGEST))
        } else {
            Verdict::Pass
        }
    }

    /// The points of an address.
    pub fn score(&self, address: IpAddr, now: Duration) -> f32 {
        let address = place(address);
        let mut shard = self.shard(address);
        shard.get_mut(&address).map_or(0.0, |suspect| {
            suspect.fade(now);
            suspect.score()
        })
    }

    /// The running blocks, the longest first, at most so many.
    pub fn blocks(&self, max: usize, now: Duration) -> Vec<Block> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.iter().filter_map(|(address, suspect)| {
                let until = suspect.blocked_until.filter(|until| *until > now)?;
                let points = suspect.blocked_with;
                let signals = Signal::ALL.into_iter();
                Some(Block {
                    address: *address,
                    left: until - now,
                    score: points.iter().sum(),
                    signals: signals
                        .filter(|signal| points[*signal as usize] >= POINTS_MIN)
                        .collect(),
                    count: suspect.blocks,
                })
            }));
        }
        all.sort_by_key(|block| (std::cmp::Reverse(block.left), block.address));
        all.truncate(max);
        all
    }

    /// Forgets everything about an address; whether it was blocked.
    pub fn lift(&self, address: IpAddr, now: Duration) -> bool {
        let address = place(address);
        let forgotten = self.shard(address).remove(&address);
        forgotten.is_some_and(|suspect| suspect.blocked_until.is_some_and(|until| until > now))
    }

    /// How many addresses are remembered.
    pub fn suspects(&self) -> usize {
        let lock = |shard| Mutex::lock(shard).unwrap_or_else(PoisonError::into_inner);
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn shard(&self, address: IpAddr) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(self.hasher.hash_one(address) % SHARDS as u64).unwrap_or_default();
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_room(&self, shard: &mut Shard, now: Duration) {
        if shard.len() < self.shard_max {
            return;
        }
        let keep = self.shard_max - self.shard_max / FORGOTTEN_AT_ONCE;
        let weight = |suspect: &Suspect| {
            let is_blocked = suspect.blocked_until.is_some_and(|until| until > now);
            let passed = now.saturating_sub(suspect.faded_at).as_secs_f32();
            let faded = suspect.score() * 0.5_f32.powf(passed / HALF_LIFE.as_secs_f32());
            if is_blocked { f32::MAX } else { faded }
        };
        let mut weights: Vec<f32> = shard.values().map(weight).collect();
        let excess = weights.len() - keep;
        let (_, threshold, _) = weights.select_nth_unstable_by(excess, f32::total_cmp);
        let (threshold, mut left) = (*threshold, excess);
        shard.retain(|_, suspect| {
            let forget = left > 0 && weight(suspect) <= threshold;
            left -= usize::from(forget);
            !forget
        });
    }
}

#[cfg(test)]
mod tests;
