//! Transfers beside the rivals, in the same rounds on the same machine.

use std::time::Duration;

use super::{Site, Transferred, add};
use crate::{
    client::Arrivals,
    draw::Spread,
    outcome::Outcome,
    place::Kind,
    report::{Bound, Report},
    rivals::{Managed, Pgbench, RawSqlite},
    settings::Settings,
};

const SCENARIO: &str = "transfers";
/// Connections and accounts of each case.
const CASES: [(usize, Spread); 4] = [
    (64, Spread::Uniform),
    (256, Spread::Uniform),
    (64, Spread::Zipf),
    (64, Spread::Hot),
];

/// Connections that send batches, and transfers in each.
const BATCHES: usize = 8;
const BATCH_ITEMS: usize = 200;

/// Both engines, every case, the rivals between them.
pub(crate) async fn run(settings: &Settings, report: &mut Report) -> Outcome<()> {
    let time = Duration::from_secs(if settings.quick { 2 } else { 8 });
    let mut sites = Vec::new();
    for kind in settings.engines() {
        sites.push(Site::start(kind, settings).await?);
    }
    let mut raw = RawSqlite::make()?;
    let pgbench = Pgbench::make(&settings.postgres).await?;
    for _ in 0..settings.rounds {
        for site in &mut sites {
            for spread in [Spread::Uniform, Spread::Hot] {
                let (name, managed) = match site.kind {
                    Kind::Sqlite => ("raw sqlite", raw.run(spread, time)?),
                    Kind::Postgres => ("pgbench 16", pgbench.run(spread, time).await?),
                };
                add_rival(report, &format!("{name} {}", spread.name()), &managed);
            }
            for (connections, spread) in CASES {
                let done = site.transfer(connections, spread, Arrivals::Closed, time).await?;
                let case = case(site.kind, connections, spread);
                add(report, SCENARIO, &case, &done.loaded, done.database_us);
            }
            let done = site.batch(BATCHES, BATCH_ITEMS, time).await?;
            add_batches(report, &batch_case(site.kind), &done);
        }
    }
    for site in sites {
        site.stop().await?;
    }
    raw.remove()?;
    pgbench.remove().await?;
    gates(settings, report);
    Ok(())
}

fn batch_case(kind: Kind) -> String {
    format!("{} {BATCHES} batches of {BATCH_ITEMS}", kind.name())
}

/// Per transfer, not per batch.
fn add_batches(report: &mut Report, case: &str, done: &Transferred) {
    #[expect(clippy::cast_precision_loss, reason = "a count of one run")]
    let items = BATCH_ITEMS as f64;
    let loaded = &done.loaded;
    report.add(SCENARIO, case, "rate", "/s", loaded.rate() * items);
    report.add(SCENARIO, case, "p50", "ms", loaded.millis(0.5));
    report.add(SCENARIO, case, "p99", "ms", loaded.millis(0.99));
    report.add(
        SCENARIO,
        case,
        "CPU",
        "us",
        loaded.each(loaded.server_cpu) / items,
    );
    report.add(SCENARIO, case, "database", "us", done.database_us);
    report.add(
        SCENARIO,
        case,
        "generator",
        "us",
        loaded.each(loaded.generator_cpu) / items,
    );
}

fn case(kind: Kind, connections: usize, spread: Spread) -> String {
    format!("{} {connections} {}", kind.name(), spread.name())
}

fn add_rival(report: &mut Report, case: &str, managed: &Managed) {
    report.add(SCENARIO, case, "rate", "/s", managed.rate);
    report.add(SCENARIO, case, "mean", "ms", managed.mean_ms);
    report.add(SCENARIO, case, "CPU", "us", managed.cpu_us);
}

fn gates(settings: &Settings, report: &mut Report) {
    let postgres = [
        (64, Spread::Uniform, 2.5, 3.0),
        (256, Spread::Uniform, 3.0, 4.0),
        (64, Spread::Hot, 8.0, 10.0),
    ];
    for kind in settings.engines() {
        let (rival, cases) = match kind {
            Kind::Sqlite => ("raw sqlite", &[(64, Spread::Uniform, 3.5, 6.0)][..]),
            Kind::Postgres => ("pgbench 16", &postgres[..]),
        };
        for (connections, spread, bound, goal) in cases {
            let ours = case(kind, *connections, *spread);
            let theirs = format!("{rival} {}", spread.name());
            let ratio = report.ratio((SCENARIO, &ours, "rate"), (SCENARIO, &theirs, "rate"));
            report.gate(
                &format!("{ours} over {theirs}"),
                ratio,
                Bound::AtLeast(*bound),
                Some(*goal),
            );
        }
        let single = case(kind, 64, Spread::Uniform);
        let ratio = report.ratio((SCENARIO, &batch_case(kind), "rate"), (SCENARIO, &single, "rate"));
        let name = format!("{}: transfers in batches over single ones", kind.name());
        report.gate(&name, ratio, Bound::AtLeast(2.0), None);
    }
}
