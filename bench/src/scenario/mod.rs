//! The server from outside, over HTTPS, with everything on: authentication, authorization, idempotency, audit.

mod logins;
mod lone;
mod open;
mod reads;
mod sessions;
mod start;
mod transfers;

pub(crate) use logins::run as logins;
pub(crate) use lone::run as lone;
pub(crate) use open::run as open;
pub(crate) use reads::run as reads;
pub(crate) use sessions::run as sessions;
pub(crate) use start::run as start;
pub(crate) use transfers::run as transfers;

use std::time::Duration;

use crate::{
    client::{Arrivals, Load, Loaded},
    customers::{ACCOUNTS, Customers, Teller},
    draw::{Pairs, Spread},
    outcome::Outcome,
    place::{Kind, Place},
    report::Report,
    server::{Program, Server},
    settings::Settings,
};

/// A bank that runs, with customers who have money.
pub(crate) struct Site {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) program: Program,
    pub(crate) server: Server,
    pub(crate) customers: Customers,
    /// Differs from load to load, so that no key comes twice.
    seed: u64,
    /// What the first account holds.
    first: i64,
}

impl Site {
    pub(crate) async fn start(kind: Kind, settings: &Settings) -> Outcome<Self> {
        let place = Place::make(kind, &settings.postgres).await?;
        if kind == Kind::Postgres {
            place.migrated().await?;
        }
        let program = Program::new(&settings.server, &place)?;
        let teller = Teller::make(&program)?;
        let server = program.start().await?;
        let customers = Customers::make(&program, &server, &teller).await?;
        let first = customers.check_sums(&server).await?;
        Ok(Self {
            kind,
            place,
            program,
            server,
            customers,
            seed: 0,
            first,
        })
    }

    /// Transfers for so long; afterwards the sums are checked, and where all pay one account also its balance to the
    /// cent.
    pub(crate) async fn transfer(
        &mut self,
        connections: usize,
        spread: Spread,
        arrivals: Arrivals,
        time: Duration,
    ) -> Outcome<Transferred> {
        self.customers.refresh(&self.server).await?;
        self.place.settle().await?;
        let database = self.place.server_cpu();
        let load = Load {
            target: &self.server.target,
            connections,
            arrivals,
            time,
            server: self.server.pid(),
        };
        let pairs = Pairs::new(spread, ACCOUNTS);
        let loaded = load
            .run(|_| {
                self.seed += 1;
                // Any odd number far from a power of two: the streams of neighbours must not overlap.
                self.customers
                    .transfers(pairs.clone(), self.seed.wrapping_mul(0xd134_2543_de82_ef95))
            })
            .await?;
        // The database works before and after the time that counts as it does in it.
        let all = loaded.acknowledged_ever.max(1);
        #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
        let database_us = (self.place.server_cpu() - database).as_secs_f64() * 1e6 / all as f64;
        let first = self.customers.check_sums(&self.server).await?;
        let grown = first - std::mem::replace(&mut self.first, first);
        if spread == Spread::Hot && loaded.dropped == 0 && grown != i64::try_from(all)? {
            return Err(format!("{all} transfers were acknowledged and {grown} were booked").into());
        }
        Ok(Transferred { loaded, database_us })
    }

    /// Batches of transfers for so long; afterwards the sums are checked.
    pub(crate) async fn batch(
        &mut self,
        connections: usize,
        items: usize,
        time: Duration,
    ) -> Outcome<Transferred> {
        self.customers.refresh(&self.server).await?;
        self.place.settle().await?;
        let database = self.place.server_cpu();
        let load = Load {
            target: &self.server.target,
            connections,
            arrivals: Arrivals::Closed,
            time,
            server: self.server.pid(),
        };
        let pairs = Pairs::new(Spread::Uniform, ACCOUNTS);
        let loaded = load
            .run(|_| {
                self.seed += 1;
                let seed = self.seed.wrapping_mul(0xd134_2543_de82_ef95);
                self.customers.batches(pairs.clone(), seed, items)
            })
            .await?;
        #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
        let all = (loaded.acknowledged_ever.max(1) * items as u64) as f64;
        let database_us = (self.place.server_cpu() - database).as_secs_f64() * 1e6 / all;
        self.first = self.customers.check_sums(&self.server).await?;
        Ok(Transferred { loaded, database_us })
    }

    pub(crate) async fn stop(self) -> Outcome<()> {
        self.server.stop().await?;
        self.place.remove().await
    }
}

/// What came of transfers.
pub(crate) struct Transferred {
    pub(crate) loaded: Loaded,
    /// CPU microseconds of the database's own processes per transfer.
    pub(crate) database_us: f64,
}

/// Adds what a load showed.
pub(crate) fn add(
    report: &mut Report,
    scenario: &'static str,
    case: &str,
    loaded: &Loaded,
    database_us: f64,
) {
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    let count = |count: u64| count as f64;
    report.add(scenario, case, "rate", "/s", loaded.rate());
    report.add(scenario, case, "p50", "ms", loaded.millis(0.5));
    report.add(scenario, case, "p99", "ms", loaded.millis(0.99));
    report.add(scenario, case, "CPU", "us", loaded.each(loaded.server_cpu));
    report.add(scenario, case, "database", "us", database_us);
    report.add(
        scenario,
        case,
        "generator",
        "us",
        loaded.each(loaded.generator_cpu),
    );
    report.add(scenario, case, "gen. share", "%core", loaded.generator_percent());
    report.add(scenario, case, "acknowledged", "", count(loaded.acknowledged));
    report.add(
        scenario,
        case,
        "refused",
        "",
        count(loaded.refused.values().sum()),
    );
    report.add(scenario, case, "dropped", "", count(loaded.dropped));
    report.add(scenario, case, "memory", "MB", count(loaded.memory) / 1e6);
    for (code, times) in &loaded.refused {
        report.note(format!("{scenario}, {case}: {times} times refused with {code}"));
    }
}
