//! Transfers beside the rivals, in the same rounds on the same machine.

use std::time::Duration;

use super::{Site, add};
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
    }
}
