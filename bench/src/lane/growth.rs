//! What a transfer writes when the books are small and when a million transfers are in them.
//!
//! Client keys are random, as clients make them. Both sizes are measured alike: a fresh checkpoint, a stretch that pays for
//! the whole pages which PostgreSQL writes after one, then the stretch that counts. What the first stretch wrote is shown as well.

use std::time::Duration;

use sqlx::{Executor, Row};

use super::{ACCOUNTS, Books};
use crate::{
    draw::{Pairs, Spread},
    outcome::Outcome,
    place::{Kind, Place},
    report::{Bound, Report},
    settings::Settings,
};

const SCENARIO: &str = "growth";
/// Transfers in a batch while it is counted.
const BATCH: usize = 64;
/// Transfers that are counted.
const COUNTED: u64 = 100 * BATCH as u64;
/// Transfers between the checkpoint and the stretch that counts.
const WARMUP: u64 = 20_000;
/// Most that a figure may grow.
const GROWTH_MAX: f64 = 1.15;
/// Bytes of a frame of SQLite's write-ahead log: a page and its header.
const FRAME_BYTES: f64 = 4_096.0 + 24.0;
/// Entries asked of a page of history.
const LINES: u32 = 50;

const SMALL: u64 = 10_000;

/// Counts at both sizes on both engines.
pub(crate) async fn run(settings: &Settings, report: &mut Report) -> Outcome<()> {
    let large = if settings.quick { 100_000 } else { 1_000_000 };
    for kind in settings.engines() {
        let place = Place::make(kind, &settings.postgres).await?;
        let mut books = Books::open(place, ACCOUNTS).await?;
        let pairs = Pairs::new(Spread::Uniform, ACCOUNTS);
        for size in [SMALL, large] {
            let took = books.fill(size, &pairs).await?;
            let case = format!("{} at {size}", kind.name());
            if size == large {
                let note = format!("{case}: filled through the lane in {:.0} s", took.as_secs_f64());
                report.note(note);
            }
            measure(&mut books, &pairs, &case, report).await?;
        }
        books.check_sums().await?;
        gates(kind, large, report);
        books.close().remove().await?;
    }
    Ok(())
}

async fn measure(books: &mut Books, pairs: &Pairs, case: &str, report: &mut Report) -> Outcome<()> {
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    let per = |count: u64, by: u64| count as f64 / by.max(1) as f64;
    let first = counted(books, pairs, true).await?;
    books.measure(BATCH, pairs, Duration::MAX, WARMUP).await?;
    let then = counted(books, pairs, false).await?;
    report.add(SCENARIO, case, "WAL", "B", then.bytes);
    report.add(SCENARIO, case, "pages", "", then.pages);
    let statements = per(then.cost.statements, then.cost.transfers);
    report.add(SCENARIO, case, "statements", "", statements);
    report.add(SCENARIO, case, "rate", "/s", then.cost.rate());
    let cpu = then.cost.begin + then.cost.decide + then.cost.commit + then.cost.server;
    report.add(SCENARIO, case, "CPU", "us", then.cost.each(cpu));
    report.add(SCENARIO, case, "WAL fresh", "B", first.bytes);
    report.add(SCENARIO, case, "examined", "/page", examined(books).await?);
    Ok(())
}

/// What a stretch of transfers wrote, per transfer.
struct Counted {
    cost: super::Cost,
    bytes: f64,
    /// Pages: frames of the log on SQLite, log records on PostgreSQL.
    pages: f64,
}

async fn counted(books: &mut Books, pairs: &Pairs, fresh: bool) -> Outcome<Counted> {
    let (bytes, pages, cost) = match books.place.kind {
        Kind::Sqlite => {
            // The same library in the same process: its locks know of each other.
            let beside = rusqlite::Connection::open(books.place.file())?;
            let frames =
                || beside.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1));
            beside.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            let cost = books.measure(BATCH, pairs, Duration::MAX, COUNTED).await?;
            let frames = f64::from(u32::try_from(frames()?)?);
            (frames * FRAME_BYTES, frames, cost)
        }
        Kind::Postgres => {
            if fresh {
                books.place.settle().await?;
            }
            let mut root = books.place.root().await?;
            let read =
                "SELECT (pg_current_wal_insert_lsn() - '0/0')::float8, wal_records::float8 FROM pg_stat_wal";
            let before = root.fetch_one(read).await?;
            let cost = books.measure(BATCH, pairs, Duration::MAX, COUNTED).await?;
            let after = root.fetch_one(read).await?;
            let grown = |column: usize| -> Outcome<f64> {
                Ok(after.try_get::<f64, _>(column)? - before.try_get::<f64, _>(column)?)
            };
            (grown(0)?, grown(1)?, cost)
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "a count of transfers")]
    let transfers = cost.transfers.max(1) as f64;
    Ok(Counted {
        bytes: bytes / transfers,
        pages: pages / transfers,
        cost,
    })
}

/// Rows of `entries` that the server reads for one page of an account's history. PostgreSQL counts rows; the query text is the
/// same on SQLite, which does not.
async fn examined(books: &Books) -> Outcome<f64> {
    if books.place.kind == Kind::Sqlite {
        return Ok(f64::NAN);
    }
    let mut root = books.place.root().await?;
    let read = "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::float8 \
        FROM pg_stat_user_tables WHERE relname = 'entries'";
    let mut previous = settled(&mut root, read).await?;
    let before = previous;
    for id in books.accounts.iter().take(10) {
        let view = books.store.account(*id).await?.ok_or("an account is gone")?;
        let start = strongroom_store::ledger::HistoryStart::Newest;
        books.store.history(&view.account, start, LINES).await?;
    }
    previous = settled(&mut root, read).await? - previous + before;
    Ok((previous - before) / 10.0)
}

/// Sessions hand in their counts when they are idle for a while: waits until nothing is added any more.
async fn settled(root: &mut sqlx::PgConnection, read: &'static str) -> Outcome<f64> {
    let mut last = f64::NAN;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        root.execute("SELECT pg_stat_clear_snapshot()").await?;
        let now: f64 = root.fetch_one(read).await?.try_get(0)?;
        if now.to_bits() == last.to_bits() {
            break;
        }
        last = now;
    }
    Ok(last)
}

fn gates(kind: Kind, large: u64, report: &mut Report) {
    let (small, large) = (
        format!("{} at {SMALL}", kind.name()),
        format!("{} at {large}", kind.name()),
    );
    for (metric, name) in [
        ("WAL", "WAL bytes"),
        ("pages", "pages or log records"),
        ("statements", "statements"),
    ] {
        let grown = report.ratio((SCENARIO, &large, metric), (SCENARIO, &small, metric));
        let name = format!("{}: {name} per transfer, {large} over {small}", kind.name());
        report.gate(&name, grown, Bound::AtMost(GROWTH_MAX), None);
    }
    if kind == Kind::Postgres {
        let grown = report.ratio((SCENARIO, &large, "examined"), (SCENARIO, &small, "examined"));
        report.gate(
            "postgres: rows examined per page of history",
            grown,
            Bound::AtMost(1.0),
            None,
        );
    }
}
