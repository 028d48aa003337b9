//! What a transfer writes when the books are small and when a million transfers are in them.
//!
//! Client keys are random, as clients make them. Both sizes are measured alike: a fresh checkpoint, a stretch that pays
//! for the whole pages which PostgreSQL writes after one, then the stretch that counts. What the first stretch wrote is
//! shown as well. In large books the stretch that counts is as long as SQLite's index of keys takes to write one of its
//! runs, so that its share of that work is in the figure.

use std::time::Duration;

use sqlx::{Executor, Row};
use strongroom_store::ledger::HistoryStart;

use super::{ACCOUNTS, Books, Cost};
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
/// Transfers that are counted at once: fewer than fill a write-ahead log up to its next checkpoint.
const COUNTED: u64 = 100 * BATCH as u64;
/// Such stretches in large books.
const STRETCHES: u64 = 11;
/// Transfers between the checkpoint and the stretch that counts.
const WARMUP: u64 = 20_000;
/// Most that a figure may grow.
const GROWTH_MAX: f64 = 1.15;
/// Bytes of a frame of SQLite's write-ahead log: a page and its header.
const FRAME_BYTES: f64 = 4_096.0 + 24.0;
/// Entries asked of a page of history: as many as most accounts have in small books already.
const LINES: u32 = 3;

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
            let stretches = if size == large { STRETCHES } else { 1 };
            let figures = Figures {
                case: &case,
                stretches,
                // The server tells what it read only after ten seconds.
                history: !settings.quick,
            };
            measure(&mut books, &pairs, &figures, report).await?;
        }
        books.check_sums().await?;
        gates(kind, large, report);
        books.close().remove().await?;
    }
    Ok(())
}

struct Figures<'a> {
    case: &'a str,
    stretches: u64,
    history: bool,
}

async fn measure(
    books: &mut Books,
    pairs: &Pairs,
    figures: &Figures<'_>,
    report: &mut Report,
) -> Outcome<()> {
    let case = figures.case;
    let first = counted(books, pairs, true).await?;
    books.measure(BATCH, pairs, Duration::MAX, WARMUP).await?;
    let (mut bytes, mut pages, mut cost) = (0.0, 0.0, Cost::default());
    for _ in 0..figures.stretches {
        let then = counted(books, pairs, false).await?;
        bytes += then.bytes;
        pages += then.pages;
        cost.add(&then.cost);
    }
    report.add(SCENARIO, case, "WAL", "B", cost.share(bytes));
    if books.place.kind == Kind::Sqlite {
        report.add(SCENARIO, case, "pages", "", cost.share(pages));
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of statements")]
    report.add(
        SCENARIO,
        case,
        "statements",
        "",
        cost.share(cost.statements as f64),
    );
    report.add(SCENARIO, case, "rate", "/s", cost.rate());
    let cpu = cost.begin + cost.decide + cost.commit + cost.server;
    report.add(SCENARIO, case, "CPU", "us", cost.each(cpu));
    report.add(SCENARIO, case, "WAL fresh", "B", first.cost.share(first.bytes));
    if figures.history && books.place.kind == Kind::Postgres {
        report.add(SCENARIO, case, "examined", "/page", examined(books).await?);
    }
    Ok(())
}

/// What a stretch of transfers wrote.
struct Counted {
    cost: Cost,
    bytes: f64,
    /// Pages: frames of the log. PostgreSQL tells of its records only late, and they are no pages: none.
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
            let read = "SELECT (pg_current_wal_insert_lsn() - '0/0')::float8";
            let before: f64 = root.fetch_one(read).await?.try_get(0)?;
            let cost = books.measure(BATCH, pairs, Duration::MAX, COUNTED).await?;
            let after: f64 = root.fetch_one(read).await?.try_get(0)?;
            (after - before, 0.0, cost)
        }
    };
    Ok(Counted { cost, bytes, pages })
}

/// Rows of `entries` that the server reads for one page of an account's history. PostgreSQL counts rows; the query text
/// is the same on SQLite, which does not.
async fn examined(books: &Books) -> Outcome<f64> {
    const PAGES: u32 = 10;
    let mut root = books.place.root().await?;
    let before = read_so_far(&mut root).await?;
    for id in books.accounts.iter().take(usize::try_from(PAGES)?) {
        let view = books
            .store
            .account(*id, strongroom_app::Clock::now(&strongroom_app::SystemClock))
            .await?
            .ok_or("an account is gone")?;
        let start = HistoryStart::Newest;
        let lines = books.store.history(&view.account, start, LINES).await?;
        if lines.len() != usize::try_from(LINES)?.min(usize::try_from(view.account.entries)?) {
            return Err("a page of history is not full".into());
        }
    }
    Ok((read_so_far(&mut root).await? - before) / f64::from(PAGES))
}

/// Rows of `entries` that were read, once every session has handed in its counts: an idle one does after ten seconds.
async fn read_so_far(root: &mut sqlx::PgConnection) -> Outcome<f64> {
    tokio::time::sleep(Duration::from_secs(12)).await;
    root.execute("SELECT pg_stat_clear_snapshot()").await?;
    let read = "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::float8 \
        FROM pg_stat_user_tables WHERE relname = 'entries'";
    Ok(root.fetch_one(read).await?.try_get(0)?)
}

fn gates(kind: Kind, large: u64, report: &mut Report) {
    let (small, large) = (
        format!("{} at {SMALL}", kind.name()),
        format!("{} at {large}", kind.name()),
    );
    for (metric, name) in [
        ("WAL", "WAL bytes"),
        ("pages", "pages"),
        ("statements", "statements"),
    ] {
        if kind == Kind::Postgres && metric == "pages" {
            continue;
        }
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
