//! Security events one by one, for whoever pulls them.
//!
//! An event waits in a spool of its node, sealed, until it is in the database: neither a process that is killed nor a
//! database that is away loses one. Its place in the feed is given in its commit, by one writer after the other, so
//! that what is written late stands behind what was read before, whatever its time says: whoever follows the places
//! gets everything, in whatever order nodes write.

use std::net::IpAddr;

use strongroom_crypto::Place;
use strongroom_domain::{
    action::Action,
    id::{RequestId, SecurityEventId},
    text::hex,
    time::Timestamp,
};
use strongroom_store::{
    Scope,
    identity::{FeedKept, FeedRow, NewFeedEvent, SWEEP_ROWS_MAX},
};

use crate::{
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::email::Email,
    security::{
        catalogue::{Class, SecurityEventKind, Severity},
        events::network_of,
        export::ExportedEvent,
    },
};

/// Most events that one page of a filtered feed looks at.
pub const FEED_EXAMINED_MAX: u32 = 1_000;
/// How long events are kept, in seconds.
pub const FEED_KEPT_SECS: i64 = 30 * 24 * 60 * 60;
/// How many events are kept: about 150 MB. Of those that somebody has to act on so many of their own besides.
pub const FEED_KEPT: FeedKept = FeedKept {
    newest: 200_000,
    serious: 20_000,
};
/// Events of one commit.
const PORTION_MAX: usize = 100;
/// Most portions that one run forgets.
const SWEEP_PORTIONS_MAX: usize = 20;

/// Which events somebody wants; absent fields want all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedFilter {
    /// What happened.
    pub kind: Option<SecurityEventKind>,
    /// What it is about.
    pub class: Option<Class>,
    /// At least so bad.
    pub severity: Option<Severity>,
    /// `done`, `refused` or `noted`.
    pub outcome: Option<String>,
    /// Who, by id.
    pub principal: Option<String>,
    /// From this address, or its /64 network.
    pub address: Option<IpAddr>,
    /// At the login with this address, whether or not there is one.
    pub email: Option<String>,
    /// In this request.
    pub request: Option<RequestId>,
    /// Under this number of an incident.
    pub incident: Option<SecurityEventId>,
    /// Not before this moment.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
}

impl FeedFilter {
    /// `subject` is the digest that stands for [`Self::email`].
    fn wants(&self, event: &ExportedEvent, subject: Option<&str>) -> bool {
        let is = |wanted: Option<String>, found: Option<&str>| {
            wanted.is_none_or(|wanted| found == Some(wanted.as_str()))
        };
        let kind = event.known_kind();
        let network = event.address.as_deref().map(network_of);
        self.kind.is_none_or(|wanted| kind == Some(wanted))
            && self
                .class
                .is_none_or(|wanted| kind.is_some_and(|kind| kind.class() == wanted))
            && self.severity.is_none_or(|least| event.severity() >= least)
            && is(self.outcome.clone(), Some(&event.outcome))
            && is(self.principal.clone(), event.principal.as_deref())
            && is(
                self.address.map(|address| network_of(&address.to_string())),
                network.as_deref(),
            )
            && is(subject.map(str::to_owned), event.subject.as_deref())
            && is(self.request.map(|id| id.to_string()), event.request_id.as_deref())
            && is(
                self.incident.map(|id| id.to_string()),
                event.incident_id.as_deref(),
            )
            && self.from.is_none_or(|from| event.at >= from.micros())
            && self.to.is_none_or(|to| event.at < to.micros())
    }
}

/// A page of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// The events, oldest first.
    pub events: Vec<ExportedEvent>,
    /// The place up to which was looked: the next page begins behind it.
    pub upto: u64,
    /// Whether there was nothing behind it.
    pub caught_up: bool,
    /// Events that the reader did not have and that are kept no longer, or cannot be opened.
    pub missed: u64,
}

const fn place(id: &SecurityEventId) -> Place<'_> {
    Place {
        table: "security_feed",
        column: "sealed",
        row: id.as_bytes(),
    }
}

impl Bank {
    /// Appends events to the feed; one that is there already is not there twice. The spool of a node brings them.
    ///
    /// # Errors
    /// When the database does not answer: then they are brought again.
    pub async fn append_to_feed(&self, events: &[ExportedEvent]) -> Result<(), Error> {
        let mut sealed = Vec::with_capacity(events.len());
        for event in events {
            // What has no number never was an event.
            let Ok(id) = SecurityEventId::parse(&event.id) else {
                continue;
            };
            let text = serde_json::to_vec(event).map_err(Error::internal)?;
            sealed.push(NewFeedEvent {
                id,
                sealed: self.ring().seal(place(&id), &text),
                serious: event.severity() >= Severity::High,
            });
        }
        for portion in sealed.chunks(PORTION_MAX) {
            let tx = self.store.write(Scope::System).await?;
            tx.append_security_feed(portion, FEED_KEPT, self.clock.now())
                .await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Events behind a place, oldest first. With a filter a page looks at [`FEED_EXAMINED_MAX`] events at most and may
    /// hold few, or none.
    ///
    /// # Errors
    /// `forbidden`; `validation_failed` for a place that the feed has not reached.
    pub async fn follow_events(
        &self,
        cx: &Cx,
        filter: &FeedFilter,
        after: Option<u64>,
        limit: u32,
    ) -> Result<FeedPage, Error> {
        authorize(cx, Action::SecurityEventRead, Resource::Bank)?;
        let is_whole = *filter == FeedFilter::default();
        let examined = if is_whole {
            limit
        } else {
            FEED_EXAMINED_MAX.max(limit)
        };
        let begun = after.unwrap_or_default();
        let found = self.store.security_feed(begun, examined).await?;
        if begun > found.newest {
            let detail = "must be the `next_cursor` of a page of this bank";
            return Err(Error::field("?cursor", "invalid_value", detail));
        }
        let first = found.rows.first().map(|row| row.position);
        // Places follow each other: what is not at the next one is not there any more, in front of the oldest event or
        // between serious ones that outlived the rest.
        let mut expected = match (after, first) {
            (Some(after), _) => after.saturating_add(1),
            (None, Some(first)) => first,
            (None, None) => found.newest.saturating_add(1),
        };
        let upto = found.rows.last().map_or(found.newest, |row| row.position);
        let mut page = FeedPage {
            events: Vec::new(),
            upto,
            caught_up: upto == found.newest,
            missed: match first {
                Some(_) => 0,
                None => found.newest.saturating_add(1).saturating_sub(expected),
            },
        };
        let subject = filter
            .email
            .as_deref()
            .map(|email| hex(&self.subject_of(&Email::lenient(email))));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        for row in &found.rows {
            // Who never asked has lost nothing; who goes on is told what lay between.
            if after.is_some() {
                page.missed = page.missed.saturating_add(row.position.saturating_sub(expected));
            }
            expected = row.position.saturating_add(1);
            let Ok(event) = self.open_of_feed(row) else {
                // One row that was changed, or whose key is gone, must not hide all that stand behind it.
                tracing::error!(position = row.position, "an event of the feed cannot be opened");
                page.missed = page.missed.saturating_add(1);
                continue;
            };
            if !filter.wants(&event, subject.as_deref()) {
                continue;
            }
            page.events.push(event);
            if page.events.len() == limit {
                page.upto = row.position;
                page.caught_up = row.position == found.newest;
                break;
            }
        }
        // Whoever has caught up looks at what happened just now; whoever has not takes a history away.
        if !page.caught_up {
            authorize(cx, Action::AuditBrowse, Resource::Bank)?;
        }
        Ok(page)
    }

    fn open_of_feed(&self, row: &FeedRow) -> Result<ExportedEvent, Error> {
        let text = self
            .ring()
            .open(place(&row.id), &row.sealed)
            .map_err(Error::internal)?;
        serde_json::from_slice(text.expose()).map_err(Error::internal)
    }

    /// Forgets events that are too old. A job calls it.
    pub(crate) async fn sweep_feed(&self) -> Result<(), Error> {
        let before = self.clock.now().plus_seconds(-FEED_KEPT_SECS);
        for _ in 0..SWEEP_PORTIONS_MAX {
            let tx = self.store.write(Scope::System).await?;
            let forgotten = tx.forget_security_feed(before).await?;
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
    use crate::security::export::samples::hostile;

    #[test]
    fn each_filter_wants_what_it_names_and_nothing_else() {
        let event = ExportedEvent {
            address: Some("2001:db8:1:2::7".to_owned()),
            incident_id: Some("sev_01kaggvh4tfs8rm9wpsh5d0a3e".to_owned()),
            request_id: Some("req_01kaggvh4tfs8rm9wpsh5d0a3e".to_owned()),
            ..hostile()
        };
        let at = Timestamp::from_micros(event.at);
        let all = FeedFilter::default;
        let good = [
            all(),
            FeedFilter {
                kind: Some(SecurityEventKind::LoginFailed),
                ..all()
            },
            FeedFilter {
                class: Some(Class::Authentication),
                ..all()
            },
            FeedFilter {
                severity: Some(Severity::Low),
                ..all()
            },
            FeedFilter {
                outcome: Some("refused".to_owned()),
                ..all()
            },
            FeedFilter {
                principal: Some("usr_01".to_owned()),
                ..all()
            },
            FeedFilter {
                address: "2001:db8:1:2::9".parse().ok(),
                ..all()
            },
            FeedFilter {
                request: RequestId::parse("req_01kaggvh4tfs8rm9wpsh5d0a3e").ok(),
                ..all()
            },
            FeedFilter {
                incident: SecurityEventId::parse("sev_01kaggvh4tfs8rm9wpsh5d0a3e").ok(),
                ..all()
            },
            FeedFilter {
                from: Some(at),
                to: Some(at.plus_seconds(1)),
                ..all()
            },
        ];
        for filter in good {
            assert!(filter.wants(&event, None), "{filter:?}");
        }
        assert!(all().wants(&event, Some("00ff")));
        assert!(!all().wants(&event, Some("00fe")));
        let wrong = [
            FeedFilter {
                kind: Some(SecurityEventKind::FactorFailed),
                ..all()
            },
            FeedFilter {
                class: Some(Class::Attack),
                ..all()
            },
            FeedFilter {
                severity: Some(Severity::Medium),
                ..all()
            },
            FeedFilter {
                outcome: Some("done".to_owned()),
                ..all()
            },
            FeedFilter {
                principal: Some("usr_02".to_owned()),
                ..all()
            },
            FeedFilter {
                address: "2001:db8:1:3::7".parse().ok(),
                ..all()
            },
            FeedFilter {
                request: RequestId::parse("req_01kaggvh4tfs8rm9wpsh5d0a3f").ok(),
                ..all()
            },
            FeedFilter {
                incident: SecurityEventId::parse("sev_01kaggvh4tfs8rm9wpsh5d0a3f").ok(),
                ..all()
            },
            FeedFilter {
                from: Some(at.plus_seconds(1)),
                ..all()
            },
            FeedFilter {
                to: Some(at),
                ..all()
            },
        ];
        for filter in wrong {
            assert!(!filter.wants(&event, None), "{filter:?}");
        }
        let unknown = ExportedEvent {
            kind: "of_tomorrow".to_owned(),
            principal: None,
            ..event
        };
        assert!(
            !FeedFilter {
                class: Some(Class::Attack),
                ..all()
            }
            .wants(&unknown, None)
        );
        assert!(
            FeedFilter {
                severity: Some(Severity::High),
                ..all()
            }
            .wants(&unknown, None)
        );
        assert!(
            !FeedFilter {
                principal: Some("usr_01".to_owned()),
                ..all()
            }
            .wants(&unknown, None)
        );
    }
}
