//! Security events as they happen: a line of the log each, with the target `security`, and the rules that make alerts
//! of them.
//!
//! A line says what, who, from where, in which request and session, and how it ended. Values of requests are in none,
//! nor addresses of mail, nor secrets: a login that was tried is a keyed digest. What the client calls itself is the
//! client's own words, cut, and stays one field of one line whatever it holds.

use std::net::IpAddr;

use strongroom_crypto::{random, token::claimed_id};
use strongroom_domain::{
    id::{Id, RequestId, SecurityEventId},
    principal::Principal,
    text::hex,
    time::Timestamp,
};
use tokio::sync::{Notify, OnceCell};

use crate::{
    arrival::Credential,
    bank::Bank,
    cx::{AGENT_CHARS_MAX, Cx},
    error::{Error, Kind},
    identity::{email::Email, personal::Client},
    security::{
        alerts::{Alarm, AlertWebhook},
        catalogue::SecurityEventKind,
        events::{Pending, network_of},
        export::Export,
        incident_actions::BlockedNetworks,
    },
};

/// The purpose of names in counters that nodes share.
const LIMIT_INDEX: &str = "limits";
/// The purpose of digests that stand for tokens.
const TOKEN_INDEX: &str = "security_token";

/// From where something came that nobody in particular did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Whence<'a> {
    /// The request.
    pub request: Option<RequestId>,
    /// The network address; empty where it is not known.
    pub address: &'a str,
    /// What the client calls itself; may be empty.
    pub agent: &'a str,
    /// What stands for the token that was shown, as [`Bank::token_name`] says.
    pub token: Option<[u8; 16]>,
}

impl<'a> Whence<'a> {
    /// In the request of this context, from this client.
    pub fn of(cx: &Cx, client: &'a Client) -> Self {
        Self {
            request: Some(cx.request),
            address: &client.address,
            agent: &client.user_agent,
            token: None,
        }
    }

    /// From this address; no more is known.
    pub fn address(address: &'a str) -> Self {
        Self {
            address,
            ..Self::default()
        }
    }
}

/// An event on its way into the log.
#[derive(Debug, Clone)]
pub(crate) struct Line<'a> {
    pub(crate) kind: SecurityEventKind,
    pub(crate) at: Timestamp,
    /// `done`, `refused` or `noted`.
    pub(crate) outcome: &'static str,
    /// A code, or what kind of it.
    pub(crate) reason: &'a str,
    pub(crate) request: Option<RequestId>,
    pub(crate) address: &'a str,
    pub(crate) agent: &'a str,
    /// Who, by id.
    pub(crate) principal: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) incident: Option<SecurityEventId>,
    /// Keyed digest of the login that was tried.
    pub(crate) subject: Option<[u8; 16]>,
    /// To what it was done, by id.
    pub(crate) object: Option<String>,
    /// The set of policies that refused, by number, and those of it that forbade, by name.
    pub(crate) policy: Option<String>,
    /// Keyed digest of the id of the token that was shown.
    pub(crate) token: Option<[u8; 16]>,
    /// What tells this one apart from others that one alert stands for.
    pub(crate) about: Option<[u8; 16]>,
}

impl Line<'_> {
    /// Of this kind, with nothing known.
    pub(crate) const fn of(kind: SecurityEventKind, at: Timestamp) -> Self {
        Self {
            kind,
            at,
            outcome: "noted",
            reason: "",
            request: None,
            address: "",
            agent: "",
            principal: None,
            session: None,
            incident: None,
            subject: None,
            object: None,
            policy: None,
            token: None,
            about: None,
        }
    }
}

/// What the bank remembers of events until they are told and written.
#[derive(Debug, Default)]
pub(crate) struct Security {
    pub(crate) pending: Pending,
    pub(crate) alarm: Alarm,
    pub(crate) webhook: OnceCell<AlertWebhook>,
    pub(crate) networks: BlockedNetworks,
    pub(crate) export: Export,
    /// Something is to be told.
    pub(crate) raised: Notify,
}

impl Security {
    /// Writes the line, counts the event in the figures and asks the rules. It is not stored by this.
    pub(crate) fn stream(&self, line: &Line<'_>) {
        let kind = line.kind;
        metrics::counter!("strongroom_security_events_total", "kind" => kind.name()).increment(1);
        let id: SecurityEventId = Id::from_bytes(random::uuid_v7(line.at.micros()));
        self.export.put(id, line);
        tracing::info!(
            target: "security",
            event = kind.name(),
            event_id = %id,
            class = kind.class().name(),
            severity = kind.severity().name(),
            outcome = line.outcome,
            reason = some(line.reason),
            request_id = line.request.map(|id| id.to_string()),
            principal = line.principal,
            session_id = line.session,
            incident_id = line.incident.map(|id| id.to_string()),
            address = some(line.address),
            user_agent = some(line.agent),
            subject = line.subject.map(|digest| hex(&digest)),
            object = line.object,
            policy = line.policy,
            token = line.token.map(|digest| hex(&digest)),
            "{}", kind.means()
        );
        if self.alarm.count(kind, line.at, line.about, line.request) {
            self.raised.notify_one();
        }
    }

    /// The same, and keeps it for the database where it is more than information.
    pub(crate) fn note(&self, line: &Line<'_>) {
        if line.kind.is_stored() {
            self.pending
                .count(line.kind, network_of(line.address), line.subject, line.at);
        }
        self.stream(line);
    }
}

/// A text that is there, cut.
pub(crate) fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.chars().take(AGENT_CHARS_MAX).collect())
}

/// Who it is, by id, as logs name them.
pub(crate) fn principal_name(principal: &Principal) -> Option<String> {
    match principal {
        Principal::User(id) => Some(id.to_string()),
        Principal::ApiKey { key, .. } => Some(key.to_string()),
        Principal::Cli(uid) => Some(format!("cli:{uid}")),
        Principal::Job => Some("job".to_owned()),
        Principal::Anonymous => None,
    }
}

/// The line of something that a principal did or was refused.
pub(crate) fn line_of<'a>(cx: &'a Cx, kind: SecurityEventKind, address: &'a str) -> Line<'a> {
    Line {
        outcome: "done",
        request: Some(cx.request),
        address,
        agent: cx.agent(),
        principal: principal_name(&cx.caller.principal),
        session: cx.caller.session.map(|id| id.to_string()),
        ..Line::of(kind, cx.now())
    }
}

pub(crate) fn address_text(address: Option<IpAddr>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}

impl Bank {
    /// What names somebody in counters that lie elsewhere: the same on every node, and nothing to whoever reads it.
    pub fn limit_name(&self, name: &[u8]) -> [u8; 16] {
        self.ring().blind_index(LIMIT_INDEX, name)
    }

    /// Notes that this node cannot count requests together with others.
    pub fn note_limiter_degraded(&self) {
        let kind = SecurityEventKind::LimiterDegraded;
        self.security.note(&Line::of(kind, self.clock.now()));
    }

    /// Notes that events are not kept any more for their collector.
    pub fn note_export_lost(&self) {
        let kind = SecurityEventKind::ExportLost;
        self.security.note(&Line::of(kind, self.clock.now()));
    }

    /// Notes that nobody gave this node a new certificate although it is time.
    pub fn note_certificate_not_renewed(&self) {
        let kind = SecurityEventKind::CertificateNotRenewed;
        self.security.note(&Line::of(kind, self.clock.now()));
    }

    /// Notes what the caller did: after its commit, so that nothing is told that did not happen. `object` is the id of
    /// what it was done to, which an alert is told of once, however often it is noted.
    pub fn note(&self, cx: &Cx, kind: SecurityEventKind, object: Option<(String, [u8; 16])>) {
        let address = address_text(cx.address);
        let (object, about) = object.unzip();
        self.security.note(&Line {
            object,
            about,
            ..line_of(cx, kind, &address)
        });
    }

    /// Notes the failure of somebody who proved to be nobody. Outcomes of other kinds are none.
    pub fn note_failure<T>(
        &self,
        kind: SecurityEventKind,
        whence: &Whence<'_>,
        email: Option<&Email>,
        outcome: &Result<T, Error>,
    ) {
        let failed = |error: &&Error| error.kind == Kind::Unauthenticated && error.code != "token_expired";
        let Some(error) = outcome.as_ref().err().filter(failed) else {
            return;
        };
        self.security.note(&Line {
            outcome: "refused",
            reason: error.code,
            request: whence.request,
            address: whence.address,
            agent: whence.agent,
            subject: email.map(|email| self.subject_of(email)),
            token: whence.token,
            ..Line::of(kind, self.clock.now())
        });
    }

    /// What stands for the token of this credential where it has an id, whoever wrote it: refusals of one token are
    /// told apart from those of others, and the token is told to nobody.
    pub fn token_name(&self, credential: Credential<'_>) -> Option<[u8; 16]> {
        let (Credential::Bearer(token) | Credential::Bound(token, _)) = credential else {
            return None;
        };
        let id = claimed_id(token)?;
        Some(self.ring().blind_index(TOKEN_INDEX, id.as_bytes()))
    }

    /// Notes that a request ended with an error of ours: its code, and nothing of what it was.
    pub fn note_request_failed(&self, whence: &Whence<'_>, principal: Option<String>, code: &str) {
        self.security.note(&Line {
            reason: code,
            request: whence.request,
            address: whence.address,
            agent: whence.agent,
            principal,
            ..Line::of(SecurityEventKind::RequestFailed, self.clock.now())
        });
    }

    /// Notes that a certificate of this node ends soon and no other is there.
    pub fn note_certificate_ending(&self) {
        let kind = SecurityEventKind::CertificateEnding;
        self.security.note(&Line::of(kind, self.clock.now()));
    }
}
