//! One connection alone: what a transfer takes when nobody shares its flush, beside one flush of the disk.

use std::time::Duration;

use super::{Site, add};
use crate::{
    client::Arrivals,
    disk,
    draw::Spread,
    outcome::Outcome,
    report::{Bound, Report},
    settings::Settings,
};

const SCENARIO: &str = "lone";
const FLUSH: &str = "one flush of the disk";

/// Both engines, the disk between them.
pub(crate) async fn run(settings: &Settings, report: &mut Report) -> Outcome<()> {
    let time = Duration::from_secs(if settings.quick { 1 } else { 4 });
    let mut sites = Vec::new();
    for kind in settings.engines() {
        sites.push(Site::start(kind, settings).await?);
    }
    for _ in 0..settings.rounds {
        for site in &mut sites {
            let flush = disk::flush_ms(site.place.folder(), time / 4)?;
            report.add(SCENARIO, FLUSH, "p50", "ms", flush);
            let done = site.transfer(1, Spread::Uniform, Arrivals::Closed, time).await?;
            let case = format!("{} 1 uniform", site.kind.name());
            let allowed = 2.5 * flush + 1.0;
            report.add(SCENARIO, &case, "allowed", "ms", allowed);
            report.add(
                SCENARIO,
                &case,
                "over allowed",
                "",
                done.loaded.millis(0.5) / allowed,
            );
            add(report, SCENARIO, &case, &done.loaded, done.database_us);
        }
    }
    for site in sites {
        let case = format!("{} 1 uniform", site.kind.name());
        let over = report.median(SCENARIO, &case, "over allowed");
        let name = format!(
            "{}: one transfer alone over (2.5 x flush + 1 ms)",
            site.kind.name()
        );
        report.gate(&name, over, Bound::AtMost(1.0), None);
        site.stop().await?;
    }
    Ok(())
}
