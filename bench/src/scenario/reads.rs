//! Balances over HTTPS beside the floor: a server that answers the same and does nothing.

use std::time::Duration;

use super::{Site, add};
use crate::{
    client::{Arrivals, Load, Loaded, Request, Target},
    customers::ACCOUNTS,
    draw::{Pairs, Spread},
    floor::Floor,
    outcome::Outcome,
    place::Kind,
    report::{Bound, Report},
    settings::Settings,
};

const SCENARIO: &str = "reads";
const CONNECTIONS: usize = 64;
const FLOOR: &str = "floor 64";

/// Both engines, the floor between them.
pub(crate) async fn run(settings: &Settings, report: &mut Report) -> Outcome<()> {
    let time = Duration::from_secs(if settings.quick { 1 } else { 5 });
    let mut sites = Vec::new();
    for kind in settings.engines() {
        sites.push(Site::start(kind, settings).await?);
    }
    let folder = tempfile::tempdir()?;
    let floor = Floor::start(folder.path())?;
    for round in 0..settings.rounds {
        let loaded = nothing(&floor.target, floor.pid(), "/", time).await?;
        add(report, SCENARIO, FLOOR, &loaded, 0.0);
        for site in &mut sites {
            let loaded = nothing(&site.server.target, site.server.pid(), "/livez", time).await?;
            let case = format!("{} {CONNECTIONS} /livez", site.kind.name());
            add(report, SCENARIO, &case, &loaded, 0.0);
            site.customers.refresh(&site.server).await?;
            let database = site.place.server_cpu();
            let load = Load {
                target: &site.server.target,
                connections: CONNECTIONS,
                arrivals: Arrivals::Closed,
                time,
                server: site.server.pid(),
            };
            let mut seed = (round as u64) << 32;
            let pairs = Pairs::new(Spread::Uniform, ACCOUNTS);
            let loaded = load
                .run(|_| {
                    seed += 1;
                    site.customers.balances(pairs.clone(), seed)
                })
                .await?;
            #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
            let all = loaded.acknowledged_ever.max(1) as f64;
            let database = (site.place.server_cpu() - database).as_secs_f64() * 1e6 / all;
            let case = format!("{} {CONNECTIONS} balance", site.kind.name());
            add(report, SCENARIO, &case, &loaded, database);
        }
    }
    drop(floor);
    for site in sites {
        site.stop().await?;
    }
    if settings.engines().contains(&Kind::Sqlite) {
        let ratio = report.ratio((SCENARIO, "sqlite 64 balance", "rate"), (SCENARIO, FLOOR, "rate"));
        report.gate(
            "sqlite: balances over the HTTPS floor",
            ratio,
            Bound::AtLeast(0.4),
            Some(0.7),
        );
    }
    Ok(())
}

async fn nothing(target: &Target, server: u32, path: &str, time: Duration) -> Outcome<Loaded> {
    let mut request = Vec::new();
    Request::new("GET", path, None).empty(&mut request);
    let load = Load {
        target,
        connections: CONNECTIONS,
        arrivals: Arrivals::Closed,
        time,
        server,
    };
    load.run(|_| {
        let request = request.clone();
        move |out: &mut Vec<u8>| {
            out.clear();
            out.extend_from_slice(&request);
        }
    })
    .await
}
