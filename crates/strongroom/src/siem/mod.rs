//! Security events to collectors, and to the feed for those who pull: from a spool each, in order, until they have
//! arrived.

mod spool;
mod syslog;
mod unsettled;

use std::{
    error::Error,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use strongroom_app::{
    Bank,
    security::{
        catalogue::Severity,
        export::{EventSpool, ExportedEvent},
    },
};

use self::{
    spool::{Place, Spool},
    syslog::{Collector, Presence},
    unsettled::Unsettled,
};
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

/// So often in a row what a collector read comes again because it seemed to die before that had settled.
const ENDS_MAX: u32 = 5;
/// Events that somebody took; one that came again is counted again.
const DELIVERED: &str = "strongroom_siem_events_delivered_total";
/// Events that nobody gets: there was no room, or they cannot be read.
const LOST: &str = "strongroom_siem_events_lost_total";
/// Tries that failed.
const FAILED: &str = "strongroom_siem_deliveries_failed_total";
/// Events that come again because whoever had read them died soon after.
const AGAIN: &str = "strongroom_siem_events_sent_again_total";

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
        let spool = Spool::open(
            data.directory(way.name())?,
            way.name(),
            config.spool_bytes,
            move || {
                if let Some(bank) = told.upgrade() {
                    bank.note_export_lost();
                }
            },
        )?;
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
            (Way::Syslog, Some(siem), _) => Target::Syslog(Reader::of(Collector::open(siem, host)?)),
            (Way::Otlp, _, Some(otlp)) => Target::Otlp(otlp::Events::open(otlp, host)?),
            (Way::Feed, ..) => Target::Feed(Arc::clone(bank)),
            _ => continue,
        };
        let carrier = Carrier {
            way: *way,
            spool: Arc::clone(spool),
            target,
            bank: Arc::clone(bank),
        };
        tokio::spawn(carrier.run());
    }
    Ok(())
}

/// Who gets them.
enum Target {
    Syslog(Reader),
    Otlp(otlp::Events),
    Feed(Arc<Bank>),
}

/// A collector that says what it has read, and not what it has kept.
struct Reader {
    collector: Collector,
    unsettled: Unsettled,
    /// While something is unsettled: whether it died since.
    presence: Option<Presence>,
    /// How often it seemed to die since something settled.
    ends: u32,
}

impl Reader {
    fn of(collector: Collector) -> Self {
        Self {
            collector,
            unsettled: Unsettled::default(),
            presence: None,
            ends: 0,
        }
    }

    /// What it read has settled by now, or comes again because it died since: then that is an error, once.
    fn look(&mut self, spool: &Spool) -> io::Result<()> {
        if self.presence.take_if(|presence| presence.has_ended()).is_some() {
            self.ends = self.ends.saturating_add(1);
            if self.ends <= ENDS_MAX {
                self.again(spool);
                return Err(io::Error::new(
                    io::ErrorKind::ConnectionAborted,
                    "it ended a connection that should stand: what it read last comes again",
                ));
            }
            // It ends whatever is silent: what it read would come again for ever.
            if let Some(upto) = self.unsettled.settle_all() {
                spool.delivered(upto)?;
            }
        }
        if let Some(upto) = self.unsettled.settle(Instant::now()) {
            self.ends = 0;
            spool.delivered(upto)?;
        }
        if self.unsettled.is_empty() {
            self.presence = None;
        }
        Ok(())
    }

    fn again(&mut self, spool: &Spool) {
        self.presence = None;
        spool.carry_again();
        let again = self.unsettled.forget();
        metrics::counter!(AGAIN, "collector" => Way::Syslog.name()).increment(again);
    }

    /// Brings events; they are kept until they have settled.
    async fn bring(
        &mut self,
        spool: &Spool,
        events: &[ExportedEvent],
        (upto, bytes): (Place, u64),
    ) -> io::Result<()> {
        let brought = async {
            // Before anything is read that could be lost.
            if self.presence.is_none() {
                self.presence = Some(self.collector.attend().await?);
            }
            self.collector.bring(events).await
        };
        let brought = brought.await;
        if brought.is_err() {
            self.again(spool);
        } else {
            spool.carried(upto);
            self.unsettled.add(Instant::now(), upto, count(events), bytes);
        }
        brought
    }
}

fn count<T>(of: &[T]) -> u64 {
    u64::try_from(of.len()).unwrap_or(u64::MAX)
}

/// Who carries events from a spool to whom they are for.
struct Carrier {
    way: Way,
    spool: Arc<Spool>,
    target: Target,
    bank: Arc<Bank>,
}

impl Carrier {
    async fn run(mut self) {
        let collector = self.way.name();
        for name in [DELIVERED, LOST, FAILED, AGAIN] {
            metrics::counter!(name, "collector" => collector).increment(0);
        }
        let mut wait = RETRY_FIRST;
        let mut is_away = false;
        loop {
            metrics::gauge!("strongroom_siem_waiting_bytes", "collector" => collector)
                .set(self.spool.waiting_bytes() as f64);
            match self.carry_some().await {
                Ok(0) => self.spool.wait(LOOK_EVERY).await,
                Ok(number) => {
                    metrics::counter!(DELIVERED, "collector" => collector).increment(number);
                    if is_away {
                        tracing::info!(target: "strongroom", collector, "the collector of security events is back");
                    }
                    (wait, is_away) = (RETRY_FIRST, false);
                    if matches!(self.way, Way::Feed) {
                        tokio::time::sleep(FEED_PAUSE).await;
                    }
                }
                Err(error) => {
                    metrics::counter!(FAILED, "collector" => collector).increment(1);
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
    async fn carry_some(&mut self) -> io::Result<u64> {
        if let Target::Syslog(reader) = &mut self.target {
            reader.look(&self.spool)?;
        }
        let waiting = self.spool.read(BATCH_BYTES_MAX)?;
        let all = count(&waiting.records);
        if all == 0 {
            return Ok(0);
        }
        let mut events: Vec<ExportedEvent> = Vec::with_capacity(waiting.records.len());
        for record in &waiting.records {
            // One that is not readable now will not be later either: it must not hold up the others.
            events.extend(self.bank.open_exported(record).ok());
        }
        let taken = match &mut self.target {
            _ if events.is_empty() => 0,
            Target::Syslog(reader) => {
                let bytes = waiting.records.iter().map(|record| count(record)).sum();
                reader.bring(&self.spool, &events, (waiting.upto, bytes)).await?;
                count(&events)
            }
            Target::Otlp(collector) => collector.bring(&events).await?,
            Target::Feed(bank) => {
                bank.append_to_feed(&events).await.map_err(io::Error::other)?;
                count(&events)
            }
        };
        if taken < all {
            metrics::counter!(LOST, "collector" => self.way.name()).increment(all - taken);
        }
        if !matches!(self.target, Target::Syslog(_)) {
            self.spool.delivered(waiting.upto)?;
        } else if events.is_empty() {
            self.spool.carried(waiting.upto);
        }
        Ok(all)
    }
}
