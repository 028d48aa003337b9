//! Security events as the database keeps them: counted.
//!
//! Most are failures of people who proved to be nobody. They are no audit records, for nobody's rights changed and
//! anybody can cause them. They are counted, in memory, by what happened, the network it came from and the login that
//! was tried, and the counts are written together every few seconds: a flood of failures is a handful of rows. What is
//! counted apart is bounded; beyond the bound the login, then the network is left out. Networks and logins are keyed
//! digests, the network besides sealed; nothing is in the clear. Counts are kept for a while and only so many of them.
//! A process that is killed loses those of the last few seconds.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use strongroom_crypto::{Place, random};
use strongroom_domain::{
    action::Action,
    id::{Id, SecurityEventId},
    time::Timestamp,
};
use strongroom_store::{
    Scope,
    identity::{SWEEP_ROWS_MAX, SecurityEventFilter, SecurityEventRow},
};

use crate::{
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::email::Email,
    security::incidents::{Incident, Incidents, Waiting},
};

pub use super::catalogue::SecurityEventKind;

/// How often counts are written, in seconds.
pub(crate) const WRITE_SECS: u64 = 10;
/// Failures of so many seconds are one row.
const WINDOW_SECS: i64 = 5 * 60;
/// Counts that one write holds at most, and the same again without their place, one per kind.
const COUNTED_MAX: usize = 256;
/// Logins that are told apart for one network in one write.
const LOGINS_PER_SOURCE_MAX: u32 = 16;
/// How long counts are kept, in seconds.
const KEPT_SECS: i64 = 90 * 24 * 60 * 60;
/// How many rows are kept.
const KEPT_ROWS_MAX: u32 = 100_000;
/// Most portions that one run forgets.
const SWEEP_PORTIONS_MAX: usize = 20;
const SOURCE_INDEX: &str = "security_source";
const SUBJECT_INDEX: &str = "security_subject";

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Name {
    kind: SecurityEventKind,
    /// The network in words; empty for none.
    network: String,
    subject: Option<[u8; 16]>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    number: u64,
    first_at: Timestamp,
    last_at: Timestamp,
}

/// What was counted and is not written yet.
#[derive(Debug, Default)]
pub(crate) struct Pending(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    counts: HashMap<Name, Count>,
    logins: HashMap<(SecurityEventKind, String), u32>,
    incidents: Incidents,
}

impl Counts {
    /// Leaves out what would be one too many.
    fn bounded(&self, mut name: Name) -> Name {
        if self.counts.contains_key(&name) {
            return name;
        }
        let source = (name.kind, name.network.clone());
        let logins = self.logins.get(&source).copied().unwrap_or_default();
        if name.subject.is_some() && logins >= LOGINS_PER_SOURCE_MAX {
            name.subject = None;
        }
        if self.counts.len() >= COUNTED_MAX && !self.counts.contains_key(&name) {
            name.network.clear();
            name.subject = None;
        }
        name
    }

    fn add(&mut self, name: Name, count: Count) {
        let name = self.bounded(name);
        if let Some(known) = self.counts.get_mut(&name) {
            known.number = known.number.saturating_add(count.number);
            known.first_at = known.first_at.min(count.first_at);
            known.last_at = known.last_at.max(count.last_at);
            return;
        }
        if name.subject.is_some() {
            let logins = self.logins.entry((name.kind, name.network.clone())).or_default();
            *logins = logins.saturating_add(1);
        }
        self.counts.insert(name, count);
    }
}

impl Pending {
    fn with<T>(&self, work: impl FnOnce(&mut Counts) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps an incident for the next write; `false` where there is no room.
    pub(crate) fn add_incident(&self, incident: Waiting) -> bool {
        self.with(|counts| counts.incidents.add(incident))
    }

    /// Counts an event.
    pub(crate) fn count(
        &self,
        kind: SecurityEventKind,
        network: String,
        subject: Option<[u8; 16]>,
        at: Timestamp,
    ) {
        let name = Name {
            kind,
            network,
            subject,
        };
        let count = Count {
            number: 1,
            first_at: at,
            last_at: at,
        };
        self.with(|counts| counts.add(name, count));
    }
}

/// What limits count as one place: an IPv4 address, the /64 network of an IPv6 one. Empty for what is no address.
pub(crate) fn network_of(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.to_string(),
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        Err(_) => String::new(),
    }
}

/// The beginning of the span of time in which failures are one row.
pub(crate) const fn window_of(at: Timestamp) -> Timestamp {
    let window = WINDOW_SECS.saturating_mul(1_000_000);
    Timestamp::from_micros(at.micros().div_euclid(window) * window)
}

const fn place(id: &SecurityEventId) -> Place<'_> {
    Place {
        table: "security_events",
        column: "sealed_source",
        row: id.as_bytes(),
    }
}

/// The smallest id that this moment could have (UUID version 7, RFC 9562).
fn first_id_at(at: Timestamp) -> SecurityEventId {
    let millis = u64::try_from(at.micros().max(0) / 1_000).unwrap_or_default();
    let mut bytes = [0; 16];
    let [_, _, time @ ..] = millis.to_be_bytes();
    bytes[..6].copy_from_slice(&time);
    Id::from_bytes(bytes)
}

/// Failures that were counted together, as operators see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityEvent {
    /// The id.
    pub id: SecurityEventId,
    /// What failed.
    pub kind: String,
    /// How often.
    pub count: u64,
    /// First.
    pub first_at: Timestamp,
    /// Last.
    pub last_at: Timestamp,
    /// The network, where there were not too many.
    pub address: Option<String>,
    /// Keyed digest of the login that was tried, likewise.
    pub subject: Option<[u8; 16]>,
    /// What was recognised, where this is one request.
    pub incident: Option<Incident>,
}

/// Which ones an operator wants; absent fields want all.
#[derive(Debug, Clone, Default)]
pub struct SecurityEventQuery {
    /// What failed.
    pub kind: Option<SecurityEventKind>,
    /// From this address, or its network.
    pub address: Option<String>,
    /// At the login with this address, whether or not there is one.
    pub email: Option<String>,
    /// This one alone.
    pub id: Option<SecurityEventId>,
}

impl Bank {
    pub(crate) fn subject_of(&self, email: &Email) -> [u8; 16] {
        self.ring().blind_index(SUBJECT_INDEX, &email.index(&self.ring()))
    }

    /// The keyed digest of an address, or of its /64 network, by which its events are found.
    pub(crate) fn source_of_address(&self, address: &str) -> [u8; 16] {
        self.source_of(&network_of(address))
    }

    fn source_of(&self, network: &str) -> [u8; 16] {
        self.ring().blind_index(SOURCE_INDEX, network.as_bytes())
    }

    /// Writes what was counted; how many rows that was at most. A job calls it every [`WRITE_SECS`], whoever reads
    /// before reading, the end of the process once more.
    ///
    /// # Errors
    /// When the database does not answer; the next call writes the same again.
    pub async fn write_security_events(&self) -> Result<usize, Error> {
        let taken = self.security.pending.with(std::mem::take);
        let mut counted: Vec<(Name, Count)> = taken.counts.into_iter().collect();
        let incidents = taken.incidents.waiting;
        // In one order on every node, so that two of them never wait for each other.
        counted.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let written = self.write_counts(&counted, &incidents).await;
        if written.is_err() {
            self.security.pending.with(|counts| {
                for (name, count) in counted {
                    counts.add(name, count);
                }
                for incident in incidents {
                    counts.incidents.add(incident);
                }
            });
        }
        written
    }

    async fn write_counts(&self, counted: &[(Name, Count)], incidents: &[Waiting]) -> Result<usize, Error> {
        if counted.is_empty() && incidents.is_empty() {
            return Ok(0);
        }
        let tx = self.store.write(Scope::System).await?;
        for (name, count) in counted {
            let id = Id::from_bytes(random::uuid_v7(count.first_at.micros()));
            let known = Some(&name.network).filter(|network| !network.is_empty());
            let row = SecurityEventRow {
                id,
                window_at: window_of(count.first_at),
                kind: name.kind.name().to_owned(),
                source: known.map(|network| self.source_of(network)),
                subject: name.subject,
                sealed_source: known.map(|network| self.ring().seal(place(&id), network.as_bytes())),
                number: count.number,
                first_at: count.first_at,
                last_at: count.last_at,
                details: None,
            };
            tx.add_security_event(&row).await?;
        }
        for Waiting {
            id,
            network,
            at,
            incident,
        } in incidents
        {
            let known = Some(network).filter(|network| !network.is_empty());
            let row = SecurityEventRow {
                id: *id,
                window_at: window_of(*at),
                kind: SecurityEventKind::AttackRecognised.name().to_owned(),
                source: known.map(|network| self.source_of(network)),
                subject: None,
                sealed_source: known.map(|network| self.ring().seal(place(id), network.as_bytes())),
                number: 1,
                first_at: *at,
                last_at: *at,
                details: Some(serde_json::to_string(incident).map_err(Error::internal)?),
            };
            tx.add_security_event(&row).await?;
        }
        tx.commit().await?;
        Ok(counted.len() + incidents.len())
    }

    /// What was counted, newest first.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn security_events(
        &self,
        cx: &Cx,
        query: &SecurityEventQuery,
        before: Option<SecurityEventId>,
        limit: u32,
    ) -> Result<Vec<SecurityEvent>, Error> {
        authorize(cx, Action::SecurityEventRead, Resource::Bank)?;
        self.write_security_events().await?;
        let filter = SecurityEventFilter {
            kind: query.kind.map(SecurityEventKind::name),
            source: query
                .address
                .as_deref()
                .map(|address| self.source_of(&network_of(address))),
            subject: query
                .email
                .as_deref()
                .map(|email| self.subject_of(&Email::lenient(email))),
            id: query.id,
        };
        let rows = self.store.security_events(&filter, before, limit).await?;
        rows.into_iter()
            .map(|row| {
                let sealed = row.sealed_source.as_deref();
                let opened = sealed
                    .map(|sealed| self.ring().open(place(&row.id), sealed))
                    .transpose()
                    .map_err(Error::internal)?;
                Ok(SecurityEvent {
                    id: row.id,
                    kind: row.kind,
                    count: row.number,
                    first_at: row.first_at,
                    last_at: row.last_at,
                    address: opened.map(|text| String::from_utf8_lossy(text.expose()).into_owned()),
                    subject: row.subject,
                    incident: row
                        .details
                        .map(|details| serde_json::from_str(&details))
                        .transpose()
                        .map_err(Error::internal)?,
                })
            })
            .collect()
    }

    /// Forgets counts that are too old or too many. A job calls it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn sweep_security_events(&self) -> Result<(), Error> {
        self.keep_security_events(KEPT_ROWS_MAX).await
    }

    async fn keep_security_events(&self, rows_max: u32) -> Result<(), Error> {
        let old = first_id_at(self.clock.now().plus_seconds(-KEPT_SECS));
        let upto = self
            .store
            .security_event_beyond(rows_max)
            .await?
            .map_or(old, |beyond| beyond.max(old));
        for _ in 0..SWEEP_PORTIONS_MAX {
            let tx = self.store.write(Scope::System).await?;
            let forgotten = tx.forget_security_events(upto).await?;
            tx.commit().await?;
            if forgotten < SWEEP_ROWS_MAX.unsigned_abs() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(network: &str, subject: u8) -> Name {
        Name {
            kind: SecurityEventKind::LoginFailed,
            network: network.to_owned(),
            subject: Some([subject; 16]),
        }
    }

    fn once(at: i64) -> Count {
        Count {
            number: 1,
            first_at: Timestamp::from_micros(at),
            last_at: Timestamp::from_micros(at),
        }
    }

    #[test]
    fn the_same_failure_is_one_count_with_its_first_and_last_moment() {
        let mut counts = Counts::default();
        for at in [5, 3, 9] {
            counts.add(name("192.0.2.1", 1), once(at));
        }
        assert_eq!(counts.counts.len(), 1);
        let count = counts.counts[&name("192.0.2.1", 1)];
        let span = (count.first_at.micros(), count.last_at.micros());
        assert_eq!((count.number, span), (3, (3, 9)));
    }

    #[test]
    fn many_logins_from_one_network_are_told_apart_up_to_a_bound_and_none_is_lost() {
        let mut counts = Counts::default();
        for subject in 0..200 {
            counts.add(name("192.0.2.1", subject), once(0));
        }
        let named = counts.counts.keys().filter(|name| name.subject.is_some()).count();
        assert_eq!(u32::try_from(named), Ok(LOGINS_PER_SOURCE_MAX));
        let others = Name {
            subject: None,
            ..name("192.0.2.1", 0)
        };
        assert_eq!(counts.counts[&others].number, 200 - 16);
    }

    #[test]
    fn many_networks_are_told_apart_up_to_a_bound_and_none_is_lost() {
        let mut counts = Counts::default();
        for number in 0..10_000 {
            counts.add(name(&format!("net {number}"), 1), once(0));
        }
        assert_eq!(counts.counts.len(), COUNTED_MAX + 1);
        let all: u64 = counts.counts.values().map(|count| count.number).sum();
        assert_eq!(all, 10_000);
    }

    #[test]
    fn an_ipv6_network_is_one_place_and_a_mapped_address_is_the_ipv4_one() {
        assert_eq!(network_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(network_of("2001:db8:1:2::1"), "2001:db8:1:2::/64");
        assert_eq!(network_of("::ffff:192.0.2.7"), network_of("192.0.2.7"));
        assert_eq!(network_of("2001:db8:1:2::/64"), "");
    }

    #[test]
    fn an_id_of_a_later_moment_is_above_the_first_id_of_an_earlier_one() {
        let now = 1_795_132_800_000_000;
        let id: SecurityEventId = Id::from_bytes(random::uuid_v7(now));
        assert!(first_id_at(Timestamp::from_micros(now)) <= id);
        assert!(id < first_id_at(Timestamp::from_micros(now + 1_000)));
    }
}
