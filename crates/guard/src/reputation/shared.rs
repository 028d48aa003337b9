//! Blocks that nodes have in common, in Redis.
//!
//! A node tells the others which addresses it blocks, and which blocks an operator lifted at it; they look every
//! second. Nothing is believed because it lies in Redis: a block is sealed by the bank for its address, with its end,
//! so that whoever writes there can take blocks away and bring none, nor make one longer. Of what is taken away each
//! node's own blocks come back with the next look. A block that was seen lifted is not believed again. While Redis is
//! away nodes go on with what they know.

use std::{
    collections::{HashMap, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use redis::{AsyncConnectionConfig, Client, Script, aio::MultiplexedConnection};
use tokio::sync::Notify;

use super::{BLOCK_LONGEST, Block, Reputation, Signal, place};
use crate::limit::{RedisPlace, RedisPlaceError};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at least: strangers begin blocks as often as they like, and Redis is not asked for each.
const LOOK_PAUSE_MIN: Duration = Duration::from_millis(200);
/// Until there is a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// Until there is an answer.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(500);
/// Blocks that nodes have in common at a time. What is more holds at its own node.
pub const SHARED_BLOCKS_MAX: usize = 1_000;
/// Two ends so close are one: clocks of nodes are not the same.
const SAME_END: Duration = Duration::from_secs(2);
const KEY: &str = "strongroom:blocks";
const SCRIPT: &str = include_str!("blocks.lua");

/// How blocks are hidden from Redis, and known to be the bank's: by keys and a clock that all nodes have.
pub trait BlockSeal: Send + Sync {
    /// The moment, in milliseconds since 1970.
    fn now(&self) -> u64;

    /// What names an address: the same on every node, and nothing to whoever reads it.
    fn name(&self, address: &[u8]) -> [u8; 16];

    /// Seals a text for a name.
    fn seal(&self, name: &[u8; 16], text: &[u8]) -> Vec<u8>;

    /// Opens what was sealed for this name; `None` for everything else.
    fn open(&self, name: &[u8; 16], sealed: &[u8]) -> Option<Vec<u8>>;
}

/// What is worth knowing about the common blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Common {
    /// Nodes have them in common from now on.
    Shared,
    /// They do not; the reason, without names and passwords.
    Alone(String),
    /// So many lines were not written by this bank, or not whole. They are nothing.
    Strange(usize),
}

/// What one line says.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    /// Tells this block, or this lifting, apart from all others.
    id: u128,
    /// The block that was lifted, where this is a lifting.
    lifts: Option<u128>,
    address: IpAddr,
    /// Milliseconds since 1970.
    ends: u64,
    score: f32,
    signals: Vec<Signal>,
    count: u32,
}

impl Line {
    fn text(&self) -> String {
        let signals: Vec<&str> = self.signals.iter().map(|signal| signal.name()).collect();
        format!(
            "1 {:032x} {:032x} {} {} {} {} {}",
            self.id,
            self.lifts.unwrap_or_default(),
            self.address,
            self.ends,
            self.score.round(),
            self.count,
            signals.join(",")
        )
    }

    /// Reads it, also where it has ended; `None` where it is of another form or ends later than any block does.
    fn read(text: &[u8], now: u64) -> Option<Self> {
        let mut words = std::str::from_utf8(text).ok()?.split(' ');
        let mut word = || words.next();
        if word()? != "1" {
            return None;
        }
        let id = u128::from_str_radix(word()?, 16).ok()?;
        let lifts = u128::from_str_radix(word()?, 16).ok()?;
        let line = Self {
            id,
            lifts: (lifts != 0).then_some(lifts),
            address: word()?.parse().ok()?,
            ends: word()?.parse().ok()?,
            score: word()?.parse().ok()?,
            count: word()?.parse().ok()?,
            signals: word()?
                .split(',')
                .filter_map(|name| Signal::ALL.into_iter().find(|signal| signal.name() == name))
                .collect(),
        };
        let latest = now.saturating_add(millis(BLOCK_LONGEST + SAME_END));
        (line.ends <= latest && line.address == place(line.address)).then_some(line)
    }

    fn left(&self, now: u64) -> Option<Duration> {
        (self.ends > now).then(|| Duration::from_millis(self.ends - now).min(BLOCK_LONGEST))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match place(address) {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

#[derive(Debug, Default)]
struct State {
    /// The blocks of all nodes, as Redis had them last.
    blocks: HashMap<IpAddr, Line>,
    /// Liftings that were seen or made, and blocks that were lifted, until their ends: each counts once.
    done: HashMap<u128, u64>,
    /// Liftings on their way to Redis.
    lifts: HashMap<IpAddr, Line>,
    /// Number and end of each block that began here: however often it is told, its lifting names this number.
    own: HashMap<IpAddr, (u128, u64)>,
    /// Of what was read last.
    version: String,
    /// Lines of what was read last that are nothing.
    strange: usize,
}

/// The blocks of all nodes.
pub struct SharedBlocks {
    client: Client,
    script: Script,
    seal: Box<dyn BlockSeal>,
    state: Mutex<State>,
    hasher: RandomState,
    wake: Notify,
}

impl fmt::Debug for SharedBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBlocks").finish_non_exhaustive()
    }
}

impl SharedBlocks {
    /// At this place; opens no connection yet.
    ///
    /// # Errors
    /// [`RedisPlaceError`] where the library cannot work with the place.
    pub fn open(place: &RedisPlace, seal: impl BlockSeal + 'static) -> Result<Self, RedisPlaceError> {
        Ok(Self {
            client: place.client()?,
            script: Script::new(SCRIPT),
            seal: Box::new(seal),
            state: Mutex::default(),
            hasher: RandomState::new(),
            wake: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long an address is blocked by some node.
    pub fn blocked(&self, address: IpAddr) -> Option<Duration> {
        self.state().blocks.get(&place(address))?.left(self.seal.now())
    }

    /// The running blocks, in no order.
    pub fn blocks(&self) -> Vec<Block> {
        let now = self.seal.now();
        let state = self.state();
        let running = state.blocks.values().filter_map(|line| {
            Some(Block {
                address: line.address,
                left: line.left(now)?,
                score: line.score,
                signals: line.signals.clone(),
                count: line.count,
            })
        });
        running.collect()
    }

    /// Some block began or ended here: the others are told at once.
    pub fn changed(&self) {
        self.wake.notify_one();
    }

    /// Lifts the block of an address at every node.
    pub fn lift(&self, address: IpAddr) {
        let address = place(address);
        let mut state = self.state();
        let known = state.blocks.remove(&address);
        let own = state.own.remove(&address);
        let id = self.new_id(address);
        let lifted = known.as_ref().map(|block| block.id).or(own.map(|(own, _)| own));
        let ends = self.seal.now().saturating_add(millis(BLOCK_LONGEST));
        let lift = Line {
            id,
            lifts: Some(lifted.unwrap_or(id)),
            address,
            // Its own node may not have told of the block yet, and no block is longer.
            ends: known.as_ref().map_or(ends, |block| block.ends),
            score: 0.0,
            signals: Vec::new(),
            count: 0,
        };
        state.done.insert(id, lift.ends);
        state.done.extend(own);
        state.done.extend(known.map(|block| (block.id, block.ends)));
        if state.lifts.len() < SHARED_BLOCKS_MAX {
            state.lifts.insert(address, lift);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Different on all nodes and at all times; nobody has to be unable to guess it, for it is sealed.
    fn new_id(&self, address: IpAddr) -> u128 {
        let moment = Instant::now();
        let half = |salt: u8| u128::from(self.hasher.hash_one((salt, address, moment)));
        (half(0) << 64) | half(1)
    }

    /// Looks, and tells the others, until the task is dropped.
    pub async fn run(&self, reputation: &Reputation, told: impl Fn(Common)) {
        let mut connection = None;
        let mut was_shared = None;
        loop {
            let outcome = self.look(&mut connection, reputation, &told).await;
            let is_shared = outcome.is_ok();
            if was_shared != Some(is_shared) {
                was_shared = Some(is_shared);
                told(match &outcome {
                    Ok(()) => Common::Shared,
                    Err(error) => Common::Alone(reason(error)),
                });
            }
            if outcome.is_err() {
                connection = None;
            }
            tokio::time::sleep(LOOK_PAUSE_MIN).await;
            let rest = LOOK_EVERY.saturating_sub(LOOK_PAUSE_MIN);
            let _ = tokio::time::timeout(rest, self.wake.notified()).await;
        }
    }

    async fn look(
        &self,
        connection: &mut Option<MultiplexedConnection>,
        reputation: &Reputation,
        told: &impl Fn(Common),
    ) -> redis::RedisResult<()> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(self.connect().await?),
        };
        self.read(connection, reputation, told).await?;
        self.tell(connection, reputation).await
    }

    /// Tells the others until there is no room. What somebody else's lines fill is emptied first, once.
    async fn tell(
        &self,
        connection: &mut MultiplexedConnection,
        reputation: &Reputation,
    ) -> redis::RedisResult<()> {
        let mut may_clear = self.has_strange();
        let mut lines = self.untold_lifts();
        lines.extend(self.untold(reputation));
        for line in lines {
            let mut is_told = self.put(connection, &line).await?;
            if !is_told && may_clear {
                may_clear = false;
                is_told = self.clear(connection).await? && self.put(connection, &line).await?;
            }
            if !is_told {
                // What is left is tried with the next look.
                break;
            }
            self.note_told(line);
        }
        Ok(())
    }

    fn has_strange(&self) -> bool {
        self.state().strange > 0
    }

    /// Liftings that the others do not know and that still matter to them.
    fn untold_lifts(&self) -> Vec<Line> {
        let now = self.seal.now();
        let mut state = self.state();
        state.lifts.retain(|_, lift| lift.ends > now);
        state.lifts.values().cloned().collect()
    }

    fn note_told(&self, line: Line) {
        let mut state = self.state();
        if line.lifts.is_some() {
            if state.lifts.get(&line.address) == Some(&line) {
                state.lifts.remove(&line.address);
            }
        } else if !state.done.contains_key(&line.id) {
            // Not lifted meanwhile.
            state.blocks.insert(line.address, line);
        }
    }

    async fn connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        let bounds = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIME_MAX))
            .set_response_timeout(Some(ANSWER_TIME_MAX));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&bounds);
        tokio::time::timeout(CONNECT_TIME_MAX, connecting)
            .await
            .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
    }

    async fn read(
        &self,
        connection: &mut MultiplexedConnection,
        reputation: &Reputation,
        told: &impl Fn(Common),
    ) -> redis::RedisResult<()> {
        let known = self.state().version.clone();
        let mut call = self.script.key(KEY);
        let answer: Vec<Vec<u8>> = call.arg("read").arg(known).invoke_async(connection).await?;
        if let [version, value] = answer.as_slice() {
            let version = String::from_utf8_lossy(version).into_owned();
            let strange = self.take(version, &String::from_utf8_lossy(value), reputation);
            if strange > 0 {
                told(Common::Strange(strange));
            }
        }
        Ok(())
    }

    /// Takes over what lies in Redis; how many lines are nothing.
    fn take(&self, version: String, value: &str, reputation: &Reputation) -> usize {
        let now = self.seal.now();
        let (mut blocks, mut lifts, mut strange) = (HashMap::new(), Vec::new(), 0);
        for line in value.lines().skip(1).take(SHARED_BLOCKS_MAX) {
            match self.open_line(line, now) {
                // Over: what it lifted is forgotten, and kept by somebody it must not lift what came later.
                Some(line) if line.ends <= now => {}
                Some(line) if line.lifts.is_some() => lifts.push(line),
                Some(line) => drop(blocks.insert(line.address, line)),
                None => strange += 1,
            }
        }
        let mut state = self.state();
        state.version = version;
        state.strange = strange;
        state.done.retain(|_, ends| *ends > now);
        for lift in lifts {
            if state.done.insert(lift.id, lift.ends).is_none() {
                state.done.extend(lift.lifts.map(|block| (block, lift.ends)));
                let own = state.own.remove(&lift.address);
                state.done.extend(own);
                reputation.lift(lift.address, reputation.now());
            }
        }
        blocks.retain(|_, line| !state.done.contains_key(&line.id));
        state.blocks = blocks;
        strange
    }

    fn open_line(&self, line: &str, now: u64) -> Option<Line> {
        let mut words = line.split(' ');
        let name = u128::from_str_radix(words.next()?, 16).ok()?.to_be_bytes();
        let sealed = from_hex(words.nth(1)?)?;
        let line = Line::read(&self.seal.open(&name, &sealed)?, now)?;
        (self.seal.name(&bytes(line.address)) == name).then_some(line)
    }

    /// Blocks that began here and that the others do not know.
    fn untold(&self, reputation: &Reputation) -> Vec<Line> {
        let now = self.seal.now();
        let own = reputation.blocks(SHARED_BLOCKS_MAX, reputation.now());
        let mut guard = self.state();
        let state = &mut *guard;
        state.own.retain(|_, (_, ends)| *ends > now);
        let mut lines = Vec::new();
        for block in own {
            let ends = now.saturating_add(millis(block.left));
            let known = state.blocks.get(&block.address);
            if known.is_some_and(|line| line.ends.saturating_add(millis(SAME_END)) >= ends) {
                continue;
            }
            // One that was told before and is gone from there keeps its number, or a copy would outlive its lifting.
            let told =
                state.own.get(&block.address).copied().filter(|(id, end)| {
                    end.abs_diff(ends) <= millis(SAME_END) && !state.done.contains_key(id)
                });
            let (id, ends) = told.unwrap_or_else(|| (self.new_id(block.address), ends));
            state.own.insert(block.address, (id, ends));
            lines.push(Line {
                id,
                lifts: None,
                address: block.address,
                ends,
                score: block.score,
                signals: block.signals,
                count: block.count,
            });
        }
        lines
    }

    /// Takes away what lies in Redis, where it is still what was read last; whether it was.
    async fn clear(&self, connection: &mut MultiplexedConnection) -> redis::RedisResult<bool> {
        let known = self.state().version.clone();
        let mut call = self.script.key(KEY);
        let done: i64 = call.arg("clear").arg(known).invoke_async(connection).await?;
        Ok(done == 1)
    }

    /// Whether there was room.
    async fn put(&self, connection: &mut MultiplexedConnection, line: &Line) -> redis::RedisResult<bool> {
        let name = self.seal.name(&bytes(line.address));
        let sealed = self.seal.seal(&name, line.text().as_bytes());
        let mut call = self.script.key(KEY);
        call.arg("put")
            .arg(hex(&name))
            .arg(line.ends.saturating_sub(self.seal.now()))
            .arg(hex(&sealed));
        let done: i64 = call.invoke_async(connection).await?;
        Ok(done == 1)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(byte).collect()
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
