//! Logins and refreshes, and what a flood of logins does to somebody who only wants to see a balance.

use std::time::Duration;

use super::{Site, add};
use crate::{
    client::{Arrivals, Load},
    cpu,
    customers::ACCOUNTS,
    draw::{Pairs, Spread},
    outcome::Outcome,
    report::Report,
    settings::Settings,
};

const SCENARIO: &str = "logins";
/// More than the cores, so that some wait; fewer than are turned away.
const LOGINS: usize = 8;
const REFRESHES: usize = 64;
/// As many at once as a list of stolen passwords brings.
const FLOOD: usize = 500;
/// Balances per second that one person asks for meanwhile.
const READS_PER_SECOND: f64 = 50.0;
/// Connections on which they are asked, so that one slow answer does not keep the next from being asked.
const READERS: usize = 8;

/// Each engine.
pub(crate) async fn run(settings: &Settings, report: &mut Report) -> Outcome<()> {
    let time = Duration::from_secs(if settings.quick { 3 } else { 10 });
    for kind in settings.engines() {
        let mut site = Site::start(kind, settings).await?;
        for round in 0..settings.rounds {
            logins(&site, report, time).await?;
            refreshes(&site, report, time).await?;
            site.customers.refresh(&site.server).await?;
            flood(&site, report, time, round as u64).await?;
        }
        site.stop().await?;
    }
    Ok(())
}

fn load(site: &Site, connections: usize, arrivals: Arrivals, time: Duration) -> Load<'_> {
    Load {
        target: &site.server.target,
        connections,
        arrivals,
        time,
        server: site.server.pid(),
    }
}

async fn logins(site: &Site, report: &mut Report, time: Duration) -> Outcome<()> {
    let database = site.place.server_cpu();
    let loaded = load(site, LOGINS, Arrivals::Closed, time)
        .run(|index| site.customers.logins(index))
        .await?;
    let database = each(site.place.server_cpu() - database, loaded.acknowledged_ever);
    let case = format!("{} {LOGINS} login", site.kind.name());
    add(report, SCENARIO, &case, &loaded, database);
    Ok(())
}

async fn refreshes(site: &Site, report: &mut Report, time: Duration) -> Outcome<()> {
    let mut sessions = site.customers.sessions(&site.server, REFRESHES).await?;
    let database = site.place.server_cpu();
    let loaded = load(site, REFRESHES, Arrivals::Closed, time)
        .run(|_| sessions.remove(0))
        .await?;
    let database = each(site.place.server_cpu() - database, loaded.acknowledged_ever);
    let case = format!("{} {REFRESHES} refresh", site.kind.name());
    add(report, SCENARIO, &case, &loaded, database);
    Ok(())
}

/// Everybody logs in at once, and at a steady pace somebody asks for balances.
async fn flood(site: &Site, report: &mut Report, time: Duration, round: u64) -> Outcome<()> {
    let mut seed = round << 32;
    let pairs = Pairs::new(Spread::Uniform, ACCOUNTS);
    let attack = load(site, FLOOD, Arrivals::Closed, time);
    let reading = load(site, READERS, Arrivals::PerSecond(READS_PER_SECOND), time);
    let (attacked, read) = tokio::join!(
        attack.run(|index| site.customers.logins(index)),
        reading.run(|_| {
            seed += 1;
            site.customers.balances(pairs.clone(), seed)
        })
    );
    let (attacked, read) = (attacked?, read?);
    let case = format!("{} {FLOOD} logins", site.kind.name());
    report.add(SCENARIO, &case, "rate", "/s", attacked.rate());
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    report.add(SCENARIO, &case, "dropped", "", attacked.dropped as f64);
    let (_, peak) = cpu::memory(site.server.pid()).ok_or("the server is gone")?;
    #[expect(clippy::cast_precision_loss, reason = "bytes of one process")]
    report.add(SCENARIO, &case, "memory", "MB", peak as f64 / 1e6);
    let case = format!("{} balances meanwhile", site.kind.name());
    report.add(SCENARIO, &case, "rate", "/s", read.rate());
    report.add(SCENARIO, &case, "p50", "ms", read.millis(0.5));
    report.add(SCENARIO, &case, "p99", "ms", read.millis(0.99));
    report.add(SCENARIO, &case, "worst", "ms", read.millis(1.0));
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    report.add(SCENARIO, &case, "dropped", "", read.dropped as f64);
    Ok(())
}

/// CPU microseconds of each.
#[expect(clippy::cast_precision_loss, reason = "counts of one run")]
fn each(cpu: Duration, count: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / count.max(1) as f64
}
