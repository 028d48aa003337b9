//! Searching the log: in either direction, past the blocks that cannot hold what is wanted, a bounded part at a time.
//!
//! An index by person or thing would write at a random place with every payment. In its place each full block of 256
//! records has a summary, made after the commits; what is not summarised yet is looked at record by record.

use strongroom_domain::{
    audit::{Mark, SignedRecord, Summary},
    time::Timestamp,
};
use strongroom_store::{
    Scope,
    audit::{BlockRow, Direction, LogSnapshot, Stored},
};

use crate::{bank::Bank, error::Error};

/// Most records that one page looks at: a filter that hits seldom gets short pages and a cursor.
pub const EXAMINED_MAX: u32 = 2_048;
/// Most summaries that one page looks at: half a million records.
pub const SUMMARIES_MAX: u64 = 2_048;
/// Summaries of one statement.
const SUMMARIES_READ: u32 = 128;
/// Records of one statement, where a filter may pass over most.
const RECORDS_READ: u32 = 256;
/// How much older than an earlier record a record may be, in seconds. On several nodes the order of the log is nearly,
/// not exactly, that of time; no transaction of the server stays open for so long.
const DISORDER_SECS: i64 = 15 * 60;
/// Blocks that are summarised in one commit.
const COMMIT_BLOCKS_MAX: u64 = 16;
/// Most commits of one run.
const COMMITS_MAX: usize = 64;

/// Which records a reader wants; absent fields want all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// What was done or refused.
    pub action: Option<String>,
    /// To what.
    pub object: Option<[u8; 16]>,
    /// By whom.
    pub principal: Option<[u8; 16]>,
    /// `ok`, or the code of a refusal.
    pub outcome: Option<String>,
    /// `true`: only what was refused; `false`: only what was done.
    pub refused: Option<bool>,
    /// Not before this moment.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
}

impl RecordFilter {
    fn takes(&self, record: &SignedRecord) -> bool {
        self.action.as_ref().is_none_or(|action| *action == record.action)
            && self.object.is_none_or(|object| object == record.object_id)
            && self.principal.is_none_or(|who| who == record.principal_id)
            && self
                .outcome
                .as_ref()
                .is_none_or(|outcome| *outcome == record.outcome)
            && self
                .refused
                .is_none_or(|refused| refused == (record.outcome != "ok"))
            && self.from.is_none_or(|from| record.at >= from.micros())
            && self.to.is_none_or(|to| record.at < to.micros())
    }

    /// What a block must hold to be looked at.
    fn marks(&self) -> Vec<Mark> {
        let mut marks = Vec::new();
        marks.extend(self.principal.as_ref().map(Mark::principal));
        marks.extend(self.object.as_ref().map(Mark::object));
        marks.extend(self.action.as_deref().map(Mark::action));
        marks.extend(self.outcome.as_deref().map(Mark::outcome));
        if self.refused == Some(false) {
            marks.push(Mark::outcome("ok"));
        }
        marks
    }

    /// Whether every record of a stretch of the log is wanted.
    pub(crate) fn is_whole(&self) -> bool {
        *self == Self::default()
    }
}

/// What a search found, in its direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Position and record.
    pub records: Vec<(u64, SignedRecord)>,
    /// Where it goes on: newest first below this position, oldest first at it. `None` when nothing is left.
    pub next: Option<u64>,
    /// How many records were looked at.
    pub examined: u32,
    /// How many summaries were looked at.
    pub summaries: u64,
}

/// A part of the log that is still to be searched, from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Part {
    const fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// The part without the records of other times, as far as that is known without looking at them.
    async fn within(self, filter: &RecordFilter, snapshot: &LogSnapshot) -> Result<Self, Error> {
        let mut part = self;
        if let Some(from) = filter.from {
            // Not the first that reached it: where its summary is gone, that would be a later one.
            let before = snapshot.block_that_stayed_before(from).await?;
            let start = before.map_or(0, |block| (block + 1) * Summary::LEAVES);
            part.start = part.start.max(start);
        }
        if let Some(to) = filter.to
            && let Some(last) = snapshot
                .block_that_reached(to.plus_seconds(DISORDER_SECS))
                .await?
        {
            part.end = part.end.min((last + 1) * Summary::LEAVES);
        }
        Ok(part)
    }

    /// Takes a stretch of at most so many positions off, at the end where the search begins.
    fn take(&mut self, direction: Direction, length: u64) -> Self {
        match direction {
            Direction::NewestFirst => {
                let start = self.start.max(self.end.saturating_sub(length));
                let taken = Self { start, end: self.end };
                self.end = start;
                taken
            }
            Direction::OldestFirst => {
                let end = self.end.min(self.start.saturating_add(length));
                let taken = Self {
                    start: self.start,
                    end,
                };
                self.start = end;
                taken
            }
        }
    }

    /// Gives back what was not looked at of a stretch: everything behind the last position that was.
    fn goes_on_at(&mut self, direction: Direction, last: u64) {
        match direction {
            Direction::NewestFirst => self.end = last,
            Direction::OldestFirst => self.start = last.saturating_add(1),
        }
    }

    /// Where the next page begins.
    fn cursor(self, direction: Direction) -> Option<u64> {
        (!self.is_empty()).then_some(match direction {
            Direction::NewestFirst => self.end,
            Direction::OldestFirst => self.start,
        })
    }
}

/// Searches a part of the log for up to `limit` records.
pub(crate) async fn search(
    snapshot: &LogSnapshot,
    filter: &RecordFilter,
    part: Part,
    direction: Direction,
    limit: u32,
) -> Result<Found, Error> {
    let known = snapshot.summarised().await?.blocks * Summary::LEAVES;
    let mut rest = part.within(filter, snapshot).await?;
    let marks = filter.marks();
    let wants_all = filter.is_whole();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut found = Found::default();
    while !rest.is_empty() && found.records.len() < limit {
        if found.examined >= EXAMINED_MAX || found.summaries >= SUMMARIES_MAX {
            break;
        }
        let length = next_length(
            snapshot,
            &marks,
            &mut rest,
            direction,
            known,
            &mut found.summaries,
        )
        .await?;
        if length == 0 {
            continue;
        }
        let missing = u64::try_from(limit - found.records.len()).unwrap_or(u64::MAX);
        let most = if wants_all { length.min(missing) } else { length };
        let stretch = rest.take(direction, most);
        // Positions, not rows: a log with holes is not searched for longer.
        found.examined += u32::try_from(stretch.end - stretch.start).unwrap_or(u32::MAX);
        let read = snapshot
            .stretch((stretch.start, stretch.end), direction, RECORDS_READ)
            .await?;
        for (position, stored) in read {
            let Stored::Is(record) = stored else {
                return Err(Error::broken("an audit record that cannot be read"));
            };
            if filter.takes(&record) {
                found.records.push((position, record));
                if found.records.len() >= limit {
                    rest = Part {
                        start: rest.start.min(stretch.start),
                        end: rest.end.max(stretch.end),
                    };
                    rest.goes_on_at(direction, position);
                    break;
                }
            }
        }
    }
    found.next = rest.cursor(direction);
    Ok(found)
}

/// How many positions to read next, after passing over the blocks that hold nothing that is wanted; 0 where more
/// summaries have to be looked at first.
async fn next_length(
    snapshot: &LogSnapshot,
    marks: &[Mark],
    rest: &mut Part,
    direction: Direction,
    known: u64,
    looked_at: &mut u64,
) -> Result<u64, Error> {
    let whole = u64::from(RECORDS_READ);
    let first = match direction {
        Direction::NewestFirst => rest.end.saturating_sub(1),
        Direction::OldestFirst => rest.start,
    };
    if first >= known {
        // Not over the edge: what lies behind it may be passed over.
        return Ok(match direction {
            Direction::NewestFirst => whole.min(rest.end.saturating_sub(known)),
            Direction::OldestFirst => whole,
        });
    }
    if marks.is_empty() {
        return Ok(whole);
    }
    let blocks = (
        rest.start / Summary::LEAVES,
        rest.end.min(known).div_ceil(Summary::LEAVES),
    );
    let summaries = snapshot.summaries(blocks, direction, SUMMARIES_READ).await?;
    let mut expected = first / Summary::LEAVES;
    for (block, summary) in summaries {
        // A summary that is missing or cannot be read passes over nothing.
        let hides = block == expected
            && summary.is_some_and(|summary| !marks.iter().all(|mark| summary.may_hold(mark)));
        if !hides {
            return Ok(up_to_the_edge(*rest, direction));
        }
        *looked_at += 1;
        rest.take(direction, up_to_the_edge(*rest, direction));
        if rest.is_empty() || *looked_at >= SUMMARIES_MAX {
            return Ok(0);
        }
        expected = match direction {
            Direction::NewestFirst => rest.end.saturating_sub(1) / Summary::LEAVES,
            Direction::OldestFirst => rest.start / Summary::LEAVES,
        };
        if expected * Summary::LEAVES >= known {
            return Ok(0);
        }
    }
    Ok(if first / Summary::LEAVES == expected {
        up_to_the_edge(*rest, direction)
    } else {
        0
    })
}

/// How many positions of the first block are left.
const fn up_to_the_edge(rest: Part, direction: Direction) -> u64 {
    match direction {
        Direction::NewestFirst => {
            let over = rest.end % Summary::LEAVES;
            if over == 0 { Summary::LEAVES } else { over }
        }
        Direction::OldestFirst => Summary::LEAVES - rest.start % Summary::LEAVES,
    }
}

impl Bank {
    /// Summarises the blocks that became full, and says how many.
    ///
    /// # Errors
    /// When the database does not answer, or a record cannot be read.
    pub async fn summarise_log(&self) -> Result<u64, Error> {
        let mut done = 0;
        for _ in 0..COMMITS_MAX {
            let blocks = self.next_blocks().await?;
            if blocks.is_empty() {
                break;
            }
            let tx = self.store.write(Scope::System).await?;
            tx.add_blocks(&blocks).await?;
            tx.commit().await?;
            done += u64::try_from(blocks.len()).unwrap_or_default();
        }
        Ok(done)
    }

    async fn next_blocks(&self) -> Result<Vec<BlockRow>, Error> {
        let snapshot = self.store.log_snapshot().await?;
        let summarised = snapshot.summarised().await?;
        let full = snapshot.position().await?.size / Summary::LEAVES;
        // Blocks are full and never written again: they need not be read at one moment, nor hold two connections.
        drop(snapshot);
        let mut reached = summarised.reached_at;
        let mut blocks = Vec::new();
        for block in summarised.blocks..full.min(summarised.blocks + COMMIT_BLOCKS_MAX) {
            let start = block * Summary::LEAVES;
            let summed = self.store.sum_up((start, start + Summary::LEAVES)).await?;
            if summed.records != Summary::LEAVES {
                return Err(Error::broken("a block of the audit log that cannot be read"));
            }
            reached = reached.max(summed.newest);
            blocks.push(BlockRow {
                block,
                reached_at: reached,
                summary: summed.summary,
            });
        }
        Ok(blocks)
    }
}
