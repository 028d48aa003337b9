//! Security events on their way to whoever watches many systems (SIEM).
//!
//! An event gets its number where it happens and is put, sealed, into a spool on this node's disk before its request is
//! answered; a task of the binary takes it from there until a collector has it. So it arrives at least once, under
//! the same number, also after a kill; an event that happens while the bank starts is kept until there is a spool.

mod cef;
mod ocsf;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use serde::{Deserialize, Serialize};
use strongroom_crypto::Place;
use strongroom_domain::{
    id::{Id, SecurityEventId},
    text::hex,
    time::Timestamp,
};

use super::{
    catalogue::{SecurityEventKind, Severity},
    stream::{Line, some},
};
use crate::{bank::Bank, error::Error, keys::LiveRing};

/// Events that wait for a spool while the bank starts.
const EARLY_MAX: usize = 64;
/// Bytes of a number in front of what is sealed under it.
const ID_BYTES: usize = 16;

/// An event as it is exported: ids, codes, addresses, digests, and the client's own name for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedEvent {
    /// Its number, by which a collector knows one that came twice.
    pub id: String,
    /// The name of its kind.
    pub kind: String,
    /// When, in microseconds.
    pub at: i64,
    /// `done`, `refused` or `noted`.
    pub outcome: String,
    /// A code, or what kind of it.
    pub reason: Option<String>,
    /// In which request.
    pub request_id: Option<String>,
    /// Who, by id.
    pub principal: Option<String>,
    /// In which session.
    pub session_id: Option<String>,
    /// Under which number operators find more.
    pub incident_id: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Keyed digest of the login that was tried.
    pub subject: Option<String>,
    /// To what it was done, by id.
    pub object: Option<String>,
    /// The set of policies that refused, by number, and those of it that forbade, by name. Spools of earlier versions
    /// have none.
    #[serde(default)]
    pub policy: Option<String>,
    /// Keyed digest of the id of the token that was shown.
    #[serde(default)]
    pub token: Option<String>,
}

impl ExportedEvent {
    fn of(id: SecurityEventId, line: &Line<'_>) -> Self {
        Self {
            id: id.to_string(),
            kind: line.kind.name().to_owned(),
            at: line.at.micros(),
            outcome: line.outcome.to_owned(),
            reason: some(line.reason),
            request_id: line.request.map(|id| id.to_string()),
            principal: line.principal.clone(),
            session_id: line.session.clone(),
            incident_id: line.incident.map(|id| id.to_string()),
            address: some(line.address),
            user_agent: some(line.agent),
            subject: line.subject.map(|digest| hex(&digest)),
            object: line.object.clone(),
            policy: line.policy.clone(),
            token: line.token.map(|digest| hex(&digest)),
        }
    }

    /// The kind, where this version knows it.
    pub fn known_kind(&self) -> Option<SecurityEventKind> {
        SecurityEventKind::parse(&self.kind)
    }

    /// How bad it is; of a kind that this version does not know it is not known either, and taken for much.
    pub fn severity(&self) -> Severity {
        self.known_kind()
            .map_or(Severity::High, SecurityEventKind::severity)
    }

    /// What it means, in a sentence.
    pub fn means(&self) -> &'static str {
        self.known_kind()
            .map_or("Something of another version.", SecurityEventKind::means)
    }

    /// When, as RFC 3339 has it, in UTC.
    pub fn moment(&self) -> String {
        Timestamp::from_micros(self.at).to_string()
    }
}

/// How events are written for a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// JSON of the Open Cybersecurity Schema Framework.
    Ocsf,
    /// Common Event Format.
    Cef,
}

impl ExportFormat {
    /// The event as one line without control characters. `version` is that of the program.
    pub fn write(self, event: &ExportedEvent, version: &str) -> String {
        match self {
            Self::Ocsf => ocsf::write(event, version),
            Self::Cef => cef::write(event, version),
        }
    }
}

/// Where events wait for a collector. It answers at once and keeps what it took although the process is killed.
pub trait EventSpool: Send + Sync {
    /// Keeps an event, sealed. Where room is short the bad ones have it.
    fn put(&self, sealed: &[u8], severity: Severity);
}

struct Exporter {
    ring: LiveRing,
    spool: Arc<dyn EventSpool>,
}

/// The way out for events.
#[derive(Default)]
pub(crate) struct Export {
    exporter: OnceLock<Option<Exporter>>,
    early: Mutex<Vec<ExportedEvent>>,
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").finish_non_exhaustive()
    }
}

const fn place(id: &SecurityEventId) -> Place<'_> {
    Place {
        table: "exported_events",
        column: "event",
        row: id.as_bytes(),
    }
}

impl Export {
    /// Sends an event on its way, if events leave at all.
    pub(crate) fn put(&self, id: SecurityEventId, line: &Line<'_>) {
        let exporter = match self.exporter.get() {
            Some(exporter) => exporter,
            None => {
                let mut early = self.early();
                // Somebody may have begun meanwhile.
                match self.exporter.get() {
                    Some(exporter) => exporter,
                    None if early.len() < EARLY_MAX => return early.push(ExportedEvent::of(id, line)),
                    None => return,
                }
            }
        };
        if let Some(exporter) = exporter {
            exporter.put(id, &ExportedEvent::of(id, line));
        }
    }

    fn begin(&self, exporter: Option<Exporter>) {
        let mut early = self.early();
        let exporter = self.exporter.get_or_init(|| exporter);
        for event in early.drain(..) {
            if let (Some(exporter), Ok(id)) = (exporter, SecurityEventId::parse(&event.id)) {
                exporter.put(id, &event);
            }
        }
    }

    fn early(&self) -> MutexGuard<'_, Vec<ExportedEvent>> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exporter {
    fn put(&self, id: SecurityEventId, event: &ExportedEvent) {
        let Ok(text) = serde_json::to_vec(event) else {
            return;
        };
        let sealed = self.ring.now().seal(place(&id), &text);
        let sealed = [id.as_bytes().as_slice(), &sealed].concat();
        self.spool.put(&sealed, event.severity());
    }
}

impl Bank {
    /// Says where events wait for a collector; `None`: they do not leave. Once, before the jobs run.
    pub fn export_events_to(&self, spool: Option<Arc<dyn EventSpool>>) {
        let ring = self.keeper.live.clone();
        self.security
            .export
            .begin(spool.map(|spool| Exporter { ring, spool }));
    }

    /// Opens an event that was sealed for the spool.
    ///
    /// # Errors
    /// What was not sealed by this bank, or not whole.
    pub fn open_exported(&self, sealed: &[u8]) -> Result<ExportedEvent, Error> {
        let broken = || Error::internal(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        let (id, sealed) = sealed.split_first_chunk::<ID_BYTES>().ok_or_else(broken)?;
        let id = Id::from_bytes(*id);
        let text = self.ring().open(place(&id), sealed).map_err(Error::internal)?;
        serde_json::from_slice(text.expose()).map_err(Error::internal)
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    /// An event in which everything that comes from outside tries to be something else.
    pub(crate) fn hostile() -> ExportedEvent {
        ExportedEvent {
            id: "sev_01".to_owned(),
            kind: "login_failed".to_owned(),
            at: 1_795_132_800_000_000,
            outcome: "refused".to_owned(),
            reason: Some("invalid_credentials".to_owned()),
            request_id: Some("req_01".to_owned()),
            principal: Some("usr_01".to_owned()),
            session_id: None,
            incident_id: None,
            address: Some("192.0.2.1".to_owned()),
            user_agent: Some(
                "a|b=c\\d\r\n<34>1 forged act=login_succeeded ]\u{2028}\u{0}\u{7f}\u{85}\"}{".to_owned(),
            ),
            subject: Some("00ff".to_owned()),
            object: None,
            policy: Some("set 3: a|b=c".to_owned()),
            token: Some("00fe".to_owned()),
        }
    }
}
