//! What every request pays to say who calls: its token and its session, which are remembered, and on PostgreSQL the
//! question whether anything was revoked since, which all share that wait.
//!
//! Without HTTP around it: the bank is opened in this process, on the data of a server that made people and sessions
//! and was stopped. This program has one thread, so that the thread's CPU time is all that a check takes, the task that
//! asks PostgreSQL included.

use std::{
    hint::black_box,
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use strongroom_app::{
    Arrival, Bank, BankSettings, Clock, Credential, IdentitySettings, SystemClock, bank::FraudSettings,
    keys::load_keyring, money::ledger_writer::WriterSettings,
};
use strongroom_crypto::{FileProvider, random};
use strongroom_domain::{id::Id, limits::LimitRules, principal::Origin};
use strongroom_store::Store;

use super::Site;
use crate::{
    cpu,
    outcome::Outcome,
    place::Place,
    report::{Bound, Report, median},
    server::Program,
    settings::Settings,
};

const SCENARIO: &str = "sessions";
/// One after another, and as many as share a question where a server is busy.
const AT_ONCE: [usize; 2] = [1, 64];
/// Checks of which the time is taken together.
const BATCH: usize = 1_024;
/// What a check may take of a processor, in microseconds, without the question.
const CHECK_US_MAX: f64 = 5.0;

/// Each engine.
pub(crate) async fn run(settings: &Settings, report: &mut Report) -> Outcome<()> {
    let batches = if settings.quick { 60 } else { 200 };
    for kind in settings.engines() {
        let Site {
            place,
            program,
            server,
            customers,
            ..
        } = Site::start(kind, settings).await?;
        server.stop().await?;
        let bank = open(&place, &program).await?;
        let checks = Checks {
            bank: &bank,
            place: &place,
            tokens: customers.tokens().collect(),
        };
        // Read and verified for the first time here: nothing of that is measured.
        checks.many(checks.tokens.len(), 1).await?;
        for _ in 0..settings.rounds {
            for at_once in AT_ONCE {
                let case = format!("{} {at_once} at a time", kind.name());
                checks.measure(report, &case, at_once, batches).await?;
            }
        }
        for at_once in AT_ONCE {
            let case = format!("{} {at_once} at a time", kind.name());
            let check = report.median(SCENARIO, &case, "check");
            let name = format!("{case}: session check, us of CPU");
            report.gate(&name, check, Bound::AtMost(CHECK_US_MAX), None);
        }
        drop(bank);
        place.remove().await?;
    }
    Ok(())
}

/// The bank of a server that was stopped.
async fn open(place: &Place, program: &Program) -> Outcome<Bank> {
    let data = program.data();
    let store = Store::open(&place.served(data)).await?;
    let keys = FileProvider::plain(data.join("keys").join("keyring"));
    let ring = load_keyring(&store, &keys, SystemClock.now()).await?;
    let row = store.bank().await?.ok_or("the server founded a bank")?;
    let settings = BankSettings {
        country: row.country,
        code: row.code,
        time_zone: row.time_zone,
        log_origin: row.log_origin,
        checkpoints: data.join("checkpoints"),
        witnesses: Vec::new(),
        writer: WriterSettings::default(),
        limits: LimitRules::default(),
        fraud: FraudSettings::default(),
        identity: IdentitySettings::new(&program.url()),
    };
    Ok(Bank::open(store, Arc::new(ring), &settings, Arc::new(SystemClock)).await?)
}

/// Checks of the same tokens, again and again.
struct Checks<'a> {
    bank: &'a Bank,
    place: &'a Place,
    tokens: Vec<&'a str>,
}

impl Checks<'_> {
    async fn measure(&self, report: &mut Report, case: &str, at_once: usize, batches: usize) -> Outcome<()> {
        let store = self.bank.store();
        let (mut checks, mut questions) = (Vec::with_capacity(batches), Vec::with_capacity(batches));
        let (mut waited, asked, database) =
            (Duration::ZERO, store.epoch_questions(), self.place.server_cpu());
        for _ in 0..batches {
            let (begun, cpu) = (Instant::now(), cpu::thread());
            for _ in 0..BATCH / at_once {
                for answer in join_all((0..at_once).map(|_| store.epoch())).await {
                    black_box(answer?);
                }
            }
            let question = cpu::thread() - cpu;
            waited += begun.elapsed();
            let cpu = cpu::thread();
            self.many(BATCH, at_once).await?;
            let all = cpu::thread() - cpu;
            questions.push(each(question, BATCH));
            // Of neighbours, so that what slows the machine down for a while slows both.
            checks.push(each(all, BATCH) - each(question, BATCH));
        }
        let asked = store.epoch_questions() - asked;
        report.add(SCENARIO, case, "check", "us", median(&checks));
        report.add(SCENARIO, case, "epoch", "us", median(&questions));
        #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
        let share = (2 * BATCH * batches) as f64 / asked.max(1) as f64;
        report.add(
            SCENARIO,
            case,
            "shared by",
            "",
            if asked == 0 { 0.0 } else { share },
        );
        let database = each(self.place.server_cpu() - database, 2 * BATCH * batches);
        report.add(SCENARIO, case, "database", "us", database);
        let wall = each(waited, BATCH * batches / at_once);
        report.add(SCENARIO, case, "epoch wall", "us", wall);
        Ok(())
    }

    /// So many checks, a few at a time.
    async fn many(&self, count: usize, at_once: usize) -> Outcome<()> {
        let arrival = Arrival {
            request: Id::from_bytes(random::bytes()),
            origin: Origin::Api,
            address: Some(Ipv4Addr::LOCALHOST.into()),
            certificate: None,
        };
        let mut tokens = self.tokens.iter().copied().cycle();
        for _ in 0..count / at_once {
            let some = tokens.by_ref().take(at_once);
            let entered = some.map(|token| self.bank.authenticate(Credential::Bearer(token), arrival));
            for cx in join_all(entered).await {
                black_box(cx?);
            }
        }
        Ok(())
    }
}

/// Microseconds of each.
#[expect(clippy::cast_precision_loss, reason = "counts of one run")]
fn each(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}
