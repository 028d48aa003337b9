//! The ledger lane alone, in this process and without HTTP: what a batch costs, step by step, and how that grows with
//! the books.

mod books;
mod growth;

use std::time::Duration;

pub(crate) use books::{Books, Cost};
pub(crate) use growth::run as growth;

use crate::{
    draw::{Pairs, Spread},
    outcome::Outcome,
    place::{Kind, Place},
    report::Report,
    settings::Settings,
};

/// Accounts in the books of a measurement.
pub(crate) const ACCOUNTS: usize = 10_000;
/// Sizes of a batch.
const SIZES: [usize; 5] = [1, 16, 64, 256, 1_024];

/// Both engines, both spreads, every size of a batch, in interleaved rounds.
pub(crate) async fn run(settings: &Settings, report: &mut Report) -> Outcome<()> {
    let mut both = Vec::new();
    for kind in settings.engines() {
        let place = Place::make(kind, &settings.postgres).await?;
        both.push(Books::open(place, ACCOUNTS).await?);
    }
    let spreads = [Spread::Uniform, Spread::Hot].map(|spread| (spread, Pairs::new(spread, ACCOUNTS)));
    let time = Duration::from_millis(if settings.quick { 200 } else { 1_000 });
    for _ in 0..settings.rounds {
        for size in SIZES {
            for books in &mut both {
                for (spread, pairs) in &spreads {
                    books.place.settle().await?;
                    let cost = books.measure(size, pairs, time, u64::MAX).await?;
                    let case = format!("{} {} N={size}", books.place.kind.name(), spread.name());
                    add(report, books.place.kind, &case, &cost);
                }
            }
        }
    }
    for books in both {
        books.check_sums().await?;
        books.close().remove().await?;
    }
    Ok(())
}

const SCENARIO: &str = "lane";

fn add(report: &mut Report, kind: Kind, case: &str, cost: &Cost) {
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    let per = |count: u64, by: u64| count as f64 / by.max(1) as f64;
    report.add(SCENARIO, case, "rate", "/s", cost.rate());
    report.add(SCENARIO, case, "begin", "us", cost.each(cost.begin));
    report.add(SCENARIO, case, "decide", "us", cost.each(cost.decide));
    report.add(SCENARIO, case, "commit", "us", cost.each(cost.commit));
    if kind == Kind::Postgres {
        report.add(SCENARIO, case, "server", "us", cost.each(cost.server));
    }
    let millis = cost.wall.as_secs_f64() * 1e3 / per(cost.batches, 1);
    report.add(SCENARIO, case, "batch", "ms", millis);
    report.add(
        SCENARIO,
        case,
        "statements",
        "/batch",
        per(cost.statements, cost.batches),
    );
    if kind == Kind::Postgres {
        report.add(
            SCENARIO,
            case,
            "trips",
            "/batch",
            per(cost.round_trips, cost.batches),
        );
    }
}
