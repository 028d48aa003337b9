//! Looking up idempotency keys on SQLite without a random write in the commit.
//!
//! The truth is `idempotency_outcomes`, appended in the order of time. This index is derived from it: the newest keys
//! in memory, the others in sorted runs of [`RUN_KEYS`] that are written once from left to right, each with a filter
//! in memory. A run is filled a few keys per batch, so a batch costs the same whether a hundred keys are known or ten
//! million. At start only the filters and at most three runs' worth of newest keys are read.
//!
//! A run's number is the id of the first outcome it covers. Ids are never used twice, so rows of a run that was never
//! finished, or has expired, can be told from all others and are cleared away later.

mod filter;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use rusqlite::{Connection, OptionalExtension};
use strongroom_domain::{
    ledger::{Fingerprint, IdempotencyTag, StoredOutcome},
    time::Timestamp,
};

use crate::error::StoreError;
use filter::Filter;

/// Keys per sealed run.
pub(crate) const RUN_KEYS: usize = 65_536;

/// What is known of keys: shared with those who only ask.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Keys that are in no finished run.
    tail: HashMap<IdempotencyTag, i64>,
    runs: Vec<Run>,
    /// A commit failed since this was true: what it left behind is not known before the next load.
    stale: bool,
}

/// The known keys, for one writer and many who ask.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedKeys(Arc<RwLock<Known>>);

impl SharedKeys {
    fn read(&self) -> RwLockReadGuard<'_, Known> {
        // Nothing in here can be half done: a panic elsewhere leaves it as it was.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a failed commit has left open what is known.
    pub(crate) fn is_stale(&self) -> bool {
        self.read().stale
    }

    /// What is known of a key. Counts the statements it needed.
    pub(crate) fn find(
        &self,
        connection: &Connection,
        tag: &IdempotencyTag,
        statements: &mut u64,
    ) -> Result<Option<StoredOutcome>, StoreError> {
        let known = self.read();
        if let Some(id) = known.tail.get(tag) {
            *statements += 1;
            if let Some(outcome) = read_outcome(connection, *id, tag)? {
                return Ok(Some(outcome));
            }
        }
        // A key that expired may be in an old run and, used again, in a newer one.
        for run in known.runs.iter().rev().filter(|run| run.filter.may_contain(tag)) {
            *statements += 1;
            let mut statement = connection
                .prepare_cached("SELECT outcome FROM idempotency_runs WHERE run = ?1 AND tag = ?2")?;
            let place: Option<i64> = statement
                .query_row((run.number, tag), |row| row.get(0))
                .optional()?;
            if let Some(id) = place {
                *statements += 1;
                if let Some(outcome) = read_outcome(connection, id, tag)? {
                    return Ok(Some(outcome));
                }
            }
        }
        Ok(None)
    }
}

#[derive(Debug)]
struct Run {
    number: i64,
    last: i64,
    filter: Filter,
}

/// A run that is being written.
#[derive(Debug)]
struct Sealing {
    number: i64,
    last: i64,
    sorted: Vec<(IdempotencyTag, i64)>,
    written: usize,
    filter: Filter,
}

/// The derived index, as the one who may write continues it.
#[derive(Debug)]
pub(crate) struct OutcomeIndex {
    known: SharedKeys,
    run_keys: usize,
    next_id: i64,
    /// First outcome id that is in no finished run.
    tail_start: i64,
    sealing: Option<Sealing>,
    /// There may be rows of runs that do not count: unfinished ones of a former process, expired ones.
    leftovers: bool,
}

impl OutcomeIndex {
    /// An index of nothing, before it is loaded.
    pub(crate) fn unloaded(known: SharedKeys) -> Self {
        Self {
            known,
            run_keys: RUN_KEYS,
            next_id: 1,
            tail_start: 1,
            sealing: None,
            leftovers: true,
        }
    }

    /// Reads what a new writer must know, and puts it in the place of what was known.
    pub(crate) fn load(
        connection: &Connection,
        known: SharedKeys,
        run_keys: usize,
    ) -> Result<Self, StoreError> {
        let mut fresh = Known::default();
        let mut tail_start = 1;
        let mut statement =
            connection.prepare("SELECT run, last_outcome, filter FROM idempotency_run_heads ORDER BY run")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let last = row.get(1)?;
            tail_start = last + 1;
            fresh.runs.push(Run {
                number: row.get(0)?,
                last,
                filter: Filter::from_bytes(row.get(2)?),
            });
        }
        let oldest: Option<i64> =
            connection.query_row("SELECT min(id) FROM idempotency_outcomes", [], |row| row.get(0))?;
        let tail_start = tail_start.max(oldest.unwrap_or(1));
        let mut next_id = tail_start;
        let mut statement =
            connection.prepare("SELECT id, tag FROM idempotency_outcomes WHERE id >= ?1 ORDER BY id")?;
        let mut rows = statement.query([tail_start])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            fresh.tail.insert(row.get(1)?, id);
            next_id = id + 1;
        }
        *known.write() = fresh;
        Ok(Self {
            run_keys,
            next_id,
            tail_start,
            ..Self::unloaded(known)
        })
    }

    pub(crate) const fn next_id(&self) -> i64 {
        self.next_id
    }

    /// As [`SharedKeys::find`].
    pub(crate) fn find(
        &self,
        connection: &Connection,
        tag: &IdempotencyTag,
        statements: &mut u64,
    ) -> Result<Option<StoredOutcome>, StoreError> {
        self.known.find(connection, tag, statements)
    }

    /// Takes in what a batch committed, under the ids that it was written with.
    pub(crate) fn committed(&mut self, outcomes: &[StoredOutcome]) {
        let mut known = self.known.write();
        for outcome in outcomes {
            known.tail.insert(outcome.tag, self.next_id);
            self.next_id += 1;
        }
    }

    /// Nobody may answer from memory before it was loaded again.
    pub(crate) fn distrust(&self) {
        self.known.write().stale = true;
    }

    /// Whether keys wait to be moved into a run.
    pub(crate) fn wants_sealing(&self) -> bool {
        self.sealing.is_some() || self.known.read().tail.len() >= 2 * self.run_keys
    }

    /// Writes up to `keys_max` keys of the run in progress, within the caller's transaction.
    pub(crate) fn seal_some(
        &mut self,
        connection: &Connection,
        keys_max: usize,
    ) -> Result<usize, StoreError> {
        if self.sealing.is_none() {
            if !self.wants_sealing() {
                return Ok(0);
            }
            self.sealing = Some(self.next_run(connection)?);
        }
        let Some(sealing) = &mut self.sealing else {
            return Ok(0);
        };
        let end = sealing.sorted.len().min(sealing.written + keys_max);
        let mut statement = connection.prepare_cached(
            "INSERT INTO idempotency_runs (run, tag, outcome) VALUES (?1, ?2, ?3) \
             ON CONFLICT (run, tag) DO UPDATE SET outcome = excluded.outcome",
        )?;
        let written = end - sealing.written;
        for (tag, id) in &sealing.sorted[sealing.written..end] {
            statement.execute((sealing.number, tag, id))?;
            sealing.filter.insert(tag);
        }
        sealing.written = end;
        if end == sealing.sorted.len() {
            connection
                .prepare_cached(
                    "INSERT INTO idempotency_run_heads (run, first_outcome, last_outcome, filter) \
                     VALUES (?1, ?1, ?2, ?3)",
                )?
                .execute((sealing.number, sealing.last, sealing.filter.as_bytes()))?;
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
        let mut known = self.known.write();
        for (tag, id) in &sealing.sorted {
            // A key that expired and was used again meanwhile stays, under its new outcome.
            if known.tail.get(tag) == Some(id) {
                known.tail.remove(tag);
            }
        }
        self.tail_start = sealing.last + 1;
        known.runs.push(Run {
            number: sealing.number,
            last: sealing.last,
            filter: sealing.filter,
        });
    }

    /// The oldest keys in memory, sorted; what a former process wrote of the same run is not written again.
    fn next_run(&self, connection: &Connection) -> Result<Sealing, StoreError> {
        let number = self.tail_start;
        let last = number + i64::try_from(self.run_keys).unwrap_or(i64::MAX) - 1;
        let mut sorted: Vec<_> = self
            .known
            .read()
            .tail
            .iter()
            .filter(|(_, id)| **id <= last)
            .map(|(tag, id)| (*tag, *id))
            .collect();
        sorted.sort_unstable();
        let reached: Option<IdempotencyTag> = connection.query_row(
            "SELECT max(tag) FROM idempotency_runs WHERE run = ?1",
            [number],
            |row| row.get(0),
        )?;
        let written = reached.map_or(0, |reached| sorted.partition_point(|(tag, _)| *tag <= reached));
        let mut filter = Filter::for_keys(sorted.len());
        sorted[..written].iter().for_each(|(tag, _)| filter.insert(tag));
        Ok(Sealing {
            number,
            last,
            sorted,
            written,
            filter,
        })
    }

    /// Deletes up to `rows_max` outcomes older than `before` and, once those are gone, up to `rows_max` rows of runs
    /// that do not count any more. Within the caller's transaction; says whether there may be more. When that
    /// transaction does not commit, the index must be loaded again.
    pub(crate) fn expire(
        &mut self,
        connection: &Connection,
        before: Timestamp,
        rows_max: usize,
    ) -> Result<bool, StoreError> {
        let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
        let mut statement =
            connection.prepare_cached("SELECT id, tag, at FROM idempotency_outcomes ORDER BY id LIMIT ?1")?;
        let oldest: Vec<(i64, IdempotencyTag, i64)> = statement
            .query_map([limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        // The newest stays, so that no id is ever used twice.
        let newest = self.next_id - 1;
        let expired: Vec<_> = oldest
            .iter()
            .take_while(|(id, _, at)| *at < before.micros() && *id < newest)
            .collect();
        let Some((last, _, _)) = expired.last() else {
            return self.clear_leftovers(connection, limit);
        };
        connection
            .prepare_cached("DELETE FROM idempotency_outcomes WHERE id <= ?1")?
            .execute([last])?;
        connection
            .prepare_cached("DELETE FROM idempotency_run_heads WHERE last_outcome <= ?1")?
            .execute([last])?;
        let mut known = self.known.write();
        let runs = known.runs.len();
        known.runs.retain(|run| run.last > *last);
        self.leftovers |= known.runs.len() < runs;
        if *last >= self.tail_start {
            for (id, tag, _) in expired {
                if known.tail.get(tag) == Some(id) {
                    known.tail.remove(tag);
                }
            }
            // A run in progress would cover what is gone: it begins again behind it, under another number.
            self.sealing = None;
            self.leftovers = true;
            self.tail_start = last + 1;
        }
        Ok(true)
    }

    fn clear_leftovers(&mut self, connection: &Connection, limit: i64) -> Result<bool, StoreError> {
        if !self.leftovers {
            return Ok(false);
        }
        let mut after = i64::MIN;
        loop {
            let next: Option<i64> = connection
                .prepare_cached("SELECT min(run) FROM idempotency_runs WHERE run > ?1")?
                .query_row([after], |row| row.get(0))?;
            let Some(number) = next else {
                self.leftovers = false;
                return Ok(false);
            };
            // What begins where the tail begins is being written, or will be gone on with.
            let counts =
                number == self.tail_start || self.known.read().runs.iter().any(|run| run.number == number);
            if !counts {
                connection
                    .prepare_cached(
                        "DELETE FROM idempotency_runs WHERE run = ?1 AND tag IN \
                         (SELECT tag FROM idempotency_runs WHERE run = ?1 ORDER BY tag LIMIT ?2)",
                    )?
                    .execute([number, limit])?;
                return Ok(true);
            }
            after = number;
        }
    }
}

/// `None` where the outcome expired meanwhile.
fn read_outcome(
    connection: &Connection,
    id: i64,
    tag: &IdempotencyTag,
) -> Result<Option<StoredOutcome>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT tag, fingerprint, code, resource, at FROM idempotency_outcomes WHERE id = ?1",
    )?;
    let found = statement
        .query_row([id], |row| {
            Ok(StoredOutcome {
                tag: row.get(0)?,
                fingerprint: Fingerprint::from_bytes(row.get(1)?),
                code: row.get(2)?,
                resource: row.get(3)?,
                at: Timestamp::from_micros(row.get(4)?),
            })
        })
        .optional()?;
    Ok(found.filter(|outcome| outcome.tag == *tag))
}
