//! Security events to collectors, and to the feed for those who pull: from a spool each, in order, until they have
//! arrived.

mod spool;
mod syslog;

use std::{error::Error, io, sync::Arc, time::Duration};

use strongroom_app::{
    Bank,
    security::{
        catalogue::Severity,
        export::{EventSpool, ExportedEvent},
    },
};

use self::{spool::Spool, syslog::Collector};
use crate::{config::Config, data_dir::DataDir, otlp};

/// Longest time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bytes of records that one connection carries.
const BATCH_BYTES_MAX: usize = 256 << 10;
/// Wait after the first try that failed; twice as long after each further one.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// Longest wait between two tries.
const RETRY_LONGEST: Duration = Duration::from_secs(15);
/// Between two portions for the feed: each is a commit, and the right to write is the books' meanwhile.
const FEED_PAUSE: Duration = Duration::from_secs(1);

/// By what events leave.
#[derive(Clone, Copy, Debug)]
enum Way {
    Syslog,
    Otlp,
    Feed,
}

impl Way {
    /// Its folder, and its name in figures and in the log.
    const fn name(self) -> &'static str {
        match self {
            Self::Syslog => "siem",
            Self::Otlp => "otlp",
            Self::Feed => "feed",
        }
    }
}

/// Where events wait, for each collector apart: one that is away holds up no other.
pub(crate) struct Spools(Vec<(Way, Arc<Spool>)>);

impl EventSpool for Spools {
    fn put(&self, sealed: &[u8], severity: Severity) {
        self.0.iter().for_each(|(_, spool)| spool.put(sealed, severity));
    }
}

/// Opens the spools and tells the bank of them: one for the feed, and one for each collector. Whoever runs without a
/// server leaves its events there for the next one.
pub(crate) fn keep(
    config: &Config,
    data: &DataDir,
    bank: &Arc<Bank>,
) -> Result<Arc<Spools>, Box<dyn Error + Send + Sync>> {
    let ways = [
        config.siem.as_ref().map(|_| Way::Syslog),
        config.otlp.as_ref().map(|_| Way::Otlp),
        Some(Way::Feed),
    ];
    let mut spools = Vec::new();
    for way in ways.into_iter().flatten() {
        let told = Arc::downgrade(bank);
        let spool = Spool::open(data.directory(way.name())?, way.name(), move || {
            if let Some(bank) = told.upgrade() {
                bank.note_export_lost();
            }
        })?;
        spools.push((way, Arc::new(spool)));
    }
    let spools = Arc::new(Spools(spools));
    bank.export_events_to(Some(Arc::clone(&spools) as Arc<dyn EventSpool>));
    Ok(spools)
}

/// Carries events to their collectors for as long as the process runs.
pub(crate) fn start(
    config: &Config,
    spools: &Spools,
    host: &str,
    bank: &Arc<Bank>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    for (way, spool) in &spools.0 {
        let target = match (way, &config.siem, &config.otlp) {
            (Way::Syslog, Some(siem), _) => Target::Syslog(Collector::open(siem, host)?),
            (Way::Otlp, _, Some(otlp)) => Target::Otlp(otlp::Events::open(otlp, host)?),
            (Way::Feed, ..) => Target::Feed(Arc::clone(bank)),
            _ => continue,
        };
        tokio::spawn(carry(*way, Arc::clone(spool), target, Arc::clone(bank)));
    }
    Ok(())
}

/// Who gets them.
enum Target {
    Syslog(Collector),
    Otlp(otlp::Events),
    Feed(Arc<Bank>),
}

impl Target {
    /// Brings events; how many of them it took, once it has read all of them.
    async fn bring(&self, events: &[ExportedEvent]) -> io::Result<u64> {
        match self {
            Self::Syslog(collector) => {
                collector.bring(events).await?;
                Ok(count(events))
            }
            Self::Otlp(events_of) => events_of.bring(events).await,
            Self::Feed(bank) => {
                bank.append_to_feed(events).await.map_err(io::Error::other)?;
                Ok(count(events))
            }
        }
    }
}

fn count<T>(of: &[T]) -> u64 {
    u64::try_from(of.len()).unwrap_or(u64::MAX)
}

async fn carry(way: Way, spool: Arc<Spool>, target: Target, bank: Arc<Bank>) {
    let collector = way.name();
    for name in [
        "strongroom_siem_events_delivered_total",
        "strongroom_siem_events_lost_total",
        "strongroom_siem_deliveries_failed_total",
    ] {
        metrics::counter!(name, "collector" => collector).increment(0);
    }
    let mut wait = RETRY_FIRST;
    let mut is_away = false;
    loop {
        metrics::gauge!("strongroom_siem_waiting_bytes", "collector" => collector)
            .set(spool.waiting_bytes() as f64);
        match carry_some(&spool, &target, &bank, collector).await {
            Ok(0) => spool.wait(LOOK_EVERY).await,
            Ok(number) => {
                metrics::counter!("strongroom_siem_events_delivered_total", "collector" => collector)
                    .increment(number);
                if is_away {
                    tracing::info!(target: "strongroom", collector, "the collector of security events is back");
                }
                (wait, is_away) = (RETRY_FIRST, false);
                if matches!(way, Way::Feed) {
                    tokio::time::sleep(FEED_PAUSE).await;
                }
            }
            Err(error) => {
                metrics::counter!("strongroom_siem_deliveries_failed_total", "collector" => collector)
                    .increment(1);
                if !is_away {
                    tracing::warn!(target: "strongroom", collector, %error, "the collector of security events is away");
                }
                is_away = true;
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_LONGEST);
            }
        }
    }
}

/// Carries what fits into one connection; how many events that was.
async fn carry_some(spool: &Spool, target: &Target, bank: &Bank, collector: &'static str) -> io::Result<u64> {
    let waiting = spool.read(BATCH_BYTES_MAX)?;
    let mut events: Vec<ExportedEvent> = Vec::with_capacity(waiting.records.len());
    for record in &waiting.records {
        // One that is not readable now will not be later either: it must not hold up the others.
        events.extend(bank.open_exported(record).ok());
    }
    let taken = if events.is_empty() {
        0
    } else {
        target.bring(&events).await?
    };
    let all = count(&waiting.records);
    if taken < all {
        metrics::counter!("strongroom_siem_events_lost_total", "collector" => collector)
            .increment(all - taken);
    }
    if all > 0 {
        spool.delivered(waiting.upto)?;
    }
    Ok(all)
}
