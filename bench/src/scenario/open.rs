//! Latency when requests arrive at a constant rate, whatever the server does: half of what it manages in a closed loop.

use std::time::Duration;

use super::Site;
use crate::{client::Arrivals, draw::Spread, outcome::Outcome, report::Report, settings::Settings};

const SCENARIO: &str = "open";
const CONNECTIONS: usize = 64;
/// Share of the closed loop's rate that arrives.
const SHARE: f64 = 0.5;

/// Both engines.
pub(crate) async fn run(settings: &Settings, report: &mut Report) -> Outcome<()> {
    let time = Duration::from_secs(if settings.quick { 2 } else { 8 });
    let mut sites = Vec::new();
    for kind in settings.engines() {
        sites.push(Site::start(kind, settings).await?);
    }
    for _ in 0..settings.rounds {
        for site in &mut sites {
            let closed = site
                .transfer(CONNECTIONS, Spread::Uniform, Arrivals::Closed, time / 2)
                .await?;
            let rate = closed.loaded.rate() * SHARE;
            let done = site
                .transfer(CONNECTIONS, Spread::Uniform, Arrivals::PerSecond(rate), time)
                .await?;
            let case = format!("{} {CONNECTIONS} at half its rate", site.kind.name());
            report.add(SCENARIO, &case, "offered", "/s", rate);
            report.add(SCENARIO, &case, "p99.9", "ms", done.loaded.millis(0.999));
            super::add(report, SCENARIO, &case, &done.loaded, done.database_us);
        }
    }
    for site in sites {
        site.stop().await?;
    }
    Ok(())
}
