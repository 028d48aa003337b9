//! The index against a plain map: whatever is committed is found, whatever was not is not, across failed commits, kills
//! in the middle of a run, and expiry.

use std::{collections::HashMap, path::Path};

use strongroom_domain::audit::leaf_hash;

use super::*;

const RUN: usize = 24;
const DAY: i64 = 86_400_000_000;

pub(crate) fn tag(n: u64) -> IdempotencyTag {
    leaf_hash(&n.to_be_bytes())[..16].try_into().unwrap()
}

/// Small random numbers (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn connect(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF")
        .unwrap();
    connection
}

fn schema(connection: &Connection) {
    for step in [
        include_str!("../../migrations/sql/0001_people.sqlite.sql"),
        include_str!("../../migrations/sql/0002_ledger.sqlite.sql"),
    ] {
        connection.execute_batch(step).unwrap();
    }
}

/// A process with its database, and what it must know.
struct World {
    folder: tempfile::TempDir,
    connection: Connection,
    index: OutcomeIndex,
    /// What was committed and has not expired, with its id.
    known: HashMap<IdempotencyTag, i64>,
    used: u64,
    now: i64,
    kills: u32,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connection = connect(&folder.path().join("0.db"));
        schema(&connection);
        let index = OutcomeIndex::load(&connection, SharedKeys::default(), RUN).unwrap();
        Self {
            folder,
            connection,
            index,
            known: HashMap::new(),
            used: 0,
            now: 20 * DAY,
            kills: 0,
        }
    }

    fn outcome(&mut self, dice: &mut Dice) -> StoredOutcome {
        // Now and then a key that was used long ago and has expired.
        let old = dice.below(8) == 0 && self.used > 0;
        let number = if old { dice.below(self.used) } else { self.used };
        let tag = if self.known.contains_key(&tag(number)) {
            tag(self.used)
        } else {
            tag(number)
        };
        self.used += 1;
        StoredOutcome {
            tag,
            fingerprint: Fingerprint::from_bytes(vec![1; 8]),
            code: 0,
            resource: Some(tag),
            at: Timestamp::from_micros(self.now),
        }
    }

    /// What the lane does in one batch, up to the commit.
    fn write(&mut self, outcomes: &[StoredOutcome]) {
        self.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        for (id, outcome) in (self.index.next_id()..).zip(outcomes) {
            self.connection
                .execute(
                    "INSERT INTO idempotency_outcomes (id, tag, fingerprint, code, resource, at) VALUES (?1, ?2, ?3, 0, ?2, ?4)",
                    (id, outcome.tag, outcome.fingerprint.as_bytes(), outcome.at.micros()),
                )
                .unwrap();
        }
        self.index
            .seal_some(&self.connection, 2 * outcomes.len())
            .unwrap();
    }

    fn commit(&mut self, outcomes: &[StoredOutcome]) {
        for (id, outcome) in (self.index.next_id()..).zip(outcomes) {
            self.known.insert(outcome.tag, id);
        }
        self.connection.execute_batch("COMMIT").unwrap();
        self.index.committed(outcomes);
        self.index.sealed();
    }

    fn reload(&mut self) {
        self.index = OutcomeIndex::load(&self.connection, self.index.known.clone(), RUN).unwrap();
    }

    /// The process dies: the next one finds what the files held at that moment, an open transaction included.
    fn kill(&mut self) {
        self.kills += 1;
        let path = |kills: u32, end: &str| self.folder.path().join(format!("{kills}.db{end}"));
        for end in ["", "-wal"] {
            let from = path(self.kills - 1, end);
            if from.exists() {
                std::fs::copy(from, path(self.kills, end)).unwrap();
            }
        }
        self.connection = connect(&path(self.kills, ""));
        self.reload();
    }

    fn expire(&mut self, rows_max: usize) -> bool {
        let before = self.now - 7 * DAY;
        self.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        let more = self
            .index
            .expire(&self.connection, Timestamp::from_micros(before), rows_max)
            .unwrap();
        self.connection.execute_batch("COMMIT").unwrap();
        let oldest: i64 = self
            .connection
            .query_row(
                "SELECT coalesce(min(id), 0) FROM idempotency_outcomes",
                [],
                |row| row.get(0),
            )
            .unwrap();
        self.known.retain(|_, id| *id >= oldest);
        more
    }

    fn find(&self, tag: &IdempotencyTag) -> Option<IdempotencyTag> {
        self.index
            .find(&self.connection, tag, &mut 0)
            .unwrap()
            .and_then(|outcome| outcome.resource)
    }

    fn check(&self, dice: &mut Dice) {
        for _ in 0..24 {
            let tag = tag(dice.below(self.used + 50));
            let expected = self.known.contains_key(&tag).then_some(tag);
            assert_eq!(self.find(&tag), expected);
        }
    }
}

#[test]
fn the_index_agrees_with_a_plain_map_whatever_happens_to_the_process() {
    let (mut kills, mut runs, mut expired) = (0, 0, 0);
    for seed in 1..=12 {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (seed << 32));
        let mut world = World::new();
        for _ in 0..250 {
            let count = dice.below(12);
            let outcomes: Vec<_> = (0..count).map(|_| world.outcome(&mut dice)).collect();
            match dice.below(16) {
                0 => {
                    world.write(&outcomes);
                    world.kill();
                }
                1 => {
                    world.write(&outcomes);
                    world.connection.execute_batch("ROLLBACK").unwrap();
                    world.reload();
                }
                2 => {
                    world.write(&[]);
                    world.commit(&[]);
                    world.kill();
                }
                3 => {
                    let before = world.known.len();
                    world.expire(5 + usize::try_from(dice.below(20)).unwrap());
                    expired += before - world.known.len();
                }
                _ => {
                    world.write(&outcomes);
                    world.commit(&outcomes);
                }
            }
            world.now += i64::try_from(dice.below(u64::try_from(DAY / 6).unwrap())).unwrap();
            world.check(&mut dice);
            runs = runs.max(world.index.known.read().runs.len());
        }
        kills += world.kills;
    }
    assert!(
        kills > 50 && runs > 3 && expired > 500,
        "{kills} kills, {runs} runs, {expired} expired"
    );
}

#[test]
fn at_most_three_runs_of_keys_are_in_memory_and_the_rest_is_found_all_the_same() {
    let mut dice = Dice(7);
    let mut world = World::new();
    for _ in 0..400 {
        let outcomes: Vec<_> = (0..4).map(|_| world.outcome(&mut dice)).collect();
        world.write(&outcomes);
        world.commit(&outcomes);
        assert!(world.index.known.read().tail.len() <= 3 * RUN);
    }
    assert!(world.index.known.read().runs.len() > 50);
    for tag in world.known.keys() {
        assert_eq!(world.find(tag), Some(*tag));
    }
}

#[test]
fn a_process_that_dies_again_and_again_still_finishes_a_run() {
    let mut dice = Dice(3);
    let mut world = World::new();
    for _ in 0..200 {
        let outcomes = [world.outcome(&mut dice)];
        world.write(&outcomes);
        world.commit(&outcomes);
        world.kill();
    }
    assert!(world.index.known.read().runs.len() >= 4);
    assert!(world.index.known.read().tail.len() <= 3 * RUN);
}

#[test]
fn keys_older_than_seven_days_go_with_everything_derived_from_them() {
    let mut dice = Dice(5);
    let mut world = World::new();
    for _ in 0..100 {
        let outcomes: Vec<_> = (0..5).map(|_| world.outcome(&mut dice)).collect();
        world.write(&outcomes);
        world.commit(&outcomes);
    }
    let count = |world: &World, table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        world.connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert!(!world.expire(10), "nothing is old enough yet");
    assert_eq!(count(&world, "idempotency_outcomes"), 500);
    world.now += 8 * DAY;
    let mut steps = 0;
    while world.expire(10) {
        steps += 1;
    }
    assert!(steps >= 50, "{steps}");
    // The newest row stays, so that ids go on.
    assert_eq!(count(&world, "idempotency_outcomes"), 1);
    assert_eq!(
        (
            count(&world, "idempotency_runs"),
            count(&world, "idempotency_run_heads")
        ),
        (0, 0)
    );
    assert_eq!(world.index.next_id(), 501);
    world.reload();
    assert_eq!(world.index.next_id(), 501);
}
