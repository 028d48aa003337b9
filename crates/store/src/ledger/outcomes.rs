//! Looking up idempotency keys on SQLite without a random write in the commit.
//!
//! The truth is `idempotency_outcomes`, appended in the order of time. This index is derived from it: the newest keys in
//! memory, the others in sorted runs of [`RUN_KEYS`] that are written once from left to right, each with a Bloom filter in
//! memory (10 bits and 7 probes per key: under 1 % of absent keys reach the table). A run is filled a few keys per batch, so a
//! batch costs the same whether ten thousand keys are known or ten million. At start only the filters and at most two runs'
//! worth of newest keys are read.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};
use strongroom_domain::{
    ledger::{Fingerprint, IdempotencyTag, StoredOutcome},
    time::Timestamp,
};

use crate::error::StoreError;

/// Keys per sealed run.
pub(crate) const RUN_KEYS: usize = 65_536;
const FILTER_BITS_PER_KEY: usize = 10;
const FILTER_PROBES: u64 = 7;

/// The derived index.
#[derive(Debug, Default)]
pub(crate) struct OutcomeIndex {
    next_id: i64,
    /// Keys that are in no finished run.
    tail: HashMap<IdempotencyTag, i64>,
    /// First outcome id that is in no finished run.
    tail_start: i64,
    runs: Vec<Run>,
    sealing: Option<Sealing>,
}

#[derive(Debug)]
struct Run {
    number: i64,
    filter: Filter,
}

/// A run that is being written.
#[derive(Debug)]
struct Sealing {
    number: i64,
    first: i64,
    last: i64,
    sorted: Vec<(IdempotencyTag, i64)>,
    written: usize,
}

/// A key's place, if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    At(i64),
    Nowhere,
}

impl OutcomeIndex {
    pub(crate) fn load(connection: &Connection) -> Result<Self, StoreError> {
        let mut runs = Vec::new();
        let mut tail_start = 1;
        let mut statement =
            connection.prepare("SELECT run, last_outcome, filter FROM idempotency_run_heads ORDER BY run")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            tail_start = row.get::<_, i64>(1)? + 1;
            runs.push(Run {
                number: row.get(0)?,
                filter: Filter(row.get(2)?),
            });
        }
        let mut tail = HashMap::new();
        let mut next_id = tail_start;
        let mut statement =
            connection.prepare("SELECT id, tag FROM idempotency_outcomes WHERE id >= ?1 ORDER BY id")?;
        let mut rows = statement.query([tail_start])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            tail.insert(row.get(1)?, id);
            next_id = id + 1;
        }
        Ok(Self {
            next_id,
            tail,
            tail_start,
            runs,
            sealing: None,
        })
    }

    pub(crate) const fn next_id(&self) -> i64 {
        self.next_id
    }

    /// What is known of a key. Counts the statements it needed.
    pub(crate) fn find(
        &self,
        connection: &Connection,
        tag: &IdempotencyTag,
        statements: &mut u64,
    ) -> Result<Option<StoredOutcome>, StoreError> {
        match self.place(connection, tag, statements)? {
            Found::Nowhere => Ok(None),
            Found::At(id) => {
                *statements += 1;
                read_outcome(connection, id).map(Some)
            }
        }
    }

    fn place(
        &self,
        connection: &Connection,
        tag: &IdempotencyTag,
        statements: &mut u64,
    ) -> Result<Found, StoreError> {
        if let Some(id) = self.tail.get(tag) {
            return Ok(Found::At(*id));
        }
        for run in self.runs.iter().rev().filter(|run| run.filter.may_contain(tag)) {
            *statements += 1;
            let mut statement = connection
                .prepare_cached("SELECT outcome FROM idempotency_runs WHERE run = ?1 AND tag = ?2")?;
            if let Some(id) = statement
                .query_row((run.number, tag), |row| row.get(0))
                .optional()?
            {
                return Ok(Found::At(id));
            }
        }
        Ok(Found::Nowhere)
    }

    /// Takes in what a batch committed, under the ids that it was written with.
    pub(crate) fn committed(&mut self, outcomes: &[StoredOutcome]) {
        for outcome in outcomes {
            self.tail.insert(outcome.tag, self.next_id);
            self.next_id += 1;
        }
    }

    /// Whether keys wait to be moved into a run.
    pub(crate) fn wants_sealing(&self) -> bool {
        self.sealing.is_some() || self.tail.len() >= 2 * RUN_KEYS
    }

    /// Writes up to `keys_max` keys of the run in progress, within the caller's transaction.
    pub(crate) fn seal_some(
        &mut self,
        connection: &Connection,
        keys_max: usize,
    ) -> Result<usize, StoreError> {
        if self.sealing.is_none() && self.wants_sealing() {
            self.sealing = Some(self.next_run());
        }
        let Some(sealing) = &mut self.sealing else {
            return Ok(0);
        };
        let end = sealing.sorted.len().min(sealing.written + keys_max);
        // A run that was cut off by a crash is written again from the start: the same keys at the same places.
        let mut statement = connection.prepare_cached(
            "INSERT OR IGNORE INTO idempotency_runs (run, tag, outcome) VALUES (?1, ?2, ?3)",
        )?;
        let written = end - sealing.written;
        for (tag, id) in &sealing.sorted[sealing.written..end] {
            statement.execute((sealing.number, tag, id))?;
        }
        sealing.written = end;
        if end == sealing.sorted.len() {
            let filter = Filter::of(sealing.sorted.iter().map(|(tag, _)| tag));
            connection
                .prepare_cached(
                    "INSERT INTO idempotency_run_heads (run, first_outcome, last_outcome, filter) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute((sealing.number, sealing.first, sealing.last, &filter.0))?;
        }
        Ok(written)
    }

    /// After the transaction of [`Self::seal_some`] committed: a finished run takes its keys out of memory.
    pub(crate) fn sealed(&mut self) {
        let Some(sealing) = self
            .sealing
            .take_if(|sealing| sealing.written == sealing.sorted.len())
        else {
            return;
        };
        for (tag, _) in &sealing.sorted {
            self.tail.remove(tag);
        }
        self.tail.shrink_to(2 * RUN_KEYS);
        self.tail_start = sealing.last + 1;
        let filter = Filter::of(sealing.sorted.iter().map(|(tag, _)| tag));
        self.runs.push(Run {
            number: sealing.number,
            filter,
        });
    }

    fn next_run(&self) -> Sealing {
        let first = self.tail_start;
        let last = first + i64::try_from(RUN_KEYS).unwrap_or(i64::MAX) - 1;
        let mut sorted: Vec<_> = self
            .tail
            .iter()
            .filter(|(_, id)| **id <= last)
            .map(|(tag, id)| (*tag, *id))
            .collect();
        sorted.sort_unstable();
        let number = self.runs.last().map_or(1, |run| run.number + 1);
        Sealing {
            number,
            first,
            last,
            sorted,
            written: 0,
        }
    }
}

fn read_outcome(connection: &Connection, id: i64) -> Result<StoredOutcome, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT tag, fingerprint, code, resource, at FROM idempotency_outcomes WHERE id = ?1",
    )?;
    Ok(statement.query_row([id], |row| {
        Ok(StoredOutcome {
            tag: row.get(0)?,
            fingerprint: Fingerprint::from_bytes(row.get(1)?),
            code: row.get(2)?,
            resource: row.get(3)?,
            at: Timestamp::from_micros(row.get(4)?),
        })
    })?)
}

/// A Bloom filter over keyed tags, whose bits are random already: two halves make all probes (Kirsch and Mitzenmacher, 2006).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Filter(Vec<u8>);

impl Filter {
    fn of<'a>(tags: impl ExactSizeIterator<Item = &'a IdempotencyTag>) -> Self {
        let mut filter = Self(vec![0; (tags.len().max(1) * FILTER_BITS_PER_KEY).div_ceil(8)]);
        for tag in tags {
            for bit in filter.bits(tag) {
                filter.0[bit / 8] |= 1 << (bit % 8);
            }
        }
        filter
    }

    fn may_contain(&self, tag: &IdempotencyTag) -> bool {
        self.bits(tag)
            .iter()
            .all(|bit| self.0[bit / 8] & (1 << (bit % 8)) != 0)
    }

    fn bits(&self, tag: &IdempotencyTag) -> [usize; FILTER_PROBES as usize] {
        let wide = u128::from_be_bytes(*tag);
        let (high, low) = ((wide >> 64) as u64, (wide as u64) | 1);
        let count = self.0.len() as u64 * 8;
        std::array::from_fn(|probe| (high.wrapping_add(low.wrapping_mul(probe as u64)) % count) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: u64) -> IdempotencyTag {
        // Any well-mixed bits do; the multiplier is from Knuth's MMIX.
        let mixed =
            u128::from(n).wrapping_mul(0x5851_f42d_4c95_7f2d_1405_7b7e_f767_814f) ^ (u128::from(n) << 70);
        mixed.to_be_bytes()
    }

    #[test]
    fn a_filter_knows_its_keys_and_few_others() {
        let tags: Vec<_> = (0..10_000).map(tag).collect();
        let filter = Filter::of(tags.iter());
        assert!(tags.iter().all(|tag| filter.may_contain(tag)));
        let wrong = (10_000..30_000).filter(|n| filter.may_contain(&tag(*n))).count();
        assert!(wrong < 600, "{wrong} of 20000 absent keys pass");
    }
}
