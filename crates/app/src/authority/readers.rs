//! Operators who read about more people than their work brings along.
//!
//! What is counted are recorded decisions, so that it is the same on every node and after a restart: different people,
//! and pages of lists, each as some people. Whoever passes the bound is let go on, and a security event says who it is:
//! a bound that refuses would be met in the middle of an incident.

use std::collections::BTreeMap;

use strongroom_crypto::random;
use strongroom_domain::{
    action::Action,
    id::{Id, RequestId, UserId},
    time::Timestamp,
};
use strongroom_store::{Scope, identity::SecurityEventRow};

use crate::{
    authority::{decision_log::Noted, policy::is_counted_reading},
    bank::Bank,
    cx::first_id_at,
    error::Error,
    security::{
        events::{SecurityEventKind, window_of},
        incidents::Incident,
        stream::Line,
    },
};

/// As how many people a page of a list counts: most are looked at for one of them.
const PAGE_PEOPLE: i64 = 5;
/// Pages of the log that nobody is told of: a look at what happened just now.
const LOG_PAGES_FREE: i64 = 1;
/// Newest decisions of one reader that are looked at.
const EXAMINED_MAX: u32 = 10_000;

/// How much an operator reads before somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadersRule {
    /// People in one window.
    pub people_max: u32,
    /// How long a window is, in seconds.
    pub window_secs: u32,
}

impl Default for ReadersRule {
    fn default() -> Self {
        Self {
            people_max: 100,
            window_secs: 60 * 60,
        }
    }
}

impl Bank {
    /// Looks at those who read in a portion of decisions that was just written.
    pub(crate) async fn watch_readers(&self, portion: &[Noted]) -> Result<(), Error> {
        let rule = self.identity.settings.readers;
        let readers: BTreeMap<UserId, (RequestId, Timestamp)> = portion
            .iter()
            .filter_map(|noted| Some((noted.reader()?, (noted.request, noted.at))))
            .collect();
        let actions: Vec<&str> = Action::ALL
            .iter()
            .filter(|action| is_counted_reading(**action) && **action != Action::AuditBrowse)
            .map(|action| action.name())
            .collect();
        let browsing = [Action::AuditBrowse.name()];
        for (reader, (request, at)) in readers {
            let since = first_id_at(at.plus_seconds(-i64::from(rule.window_secs)));
            let (people, pages) = self.store.reads_of(reader, &actions, since, EXAMINED_MAX).await?;
            let (_, of_log) = self
                .store
                .reads_of(reader, &browsing, since, EXAMINED_MAX)
                .await?;
            let pages = pages.saturating_add(of_log.saturating_sub(LOG_PAGES_FREE).max(0));
            let read = people.saturating_add(pages.saturating_mul(PAGE_PEOPLE));
            if read > i64::from(rule.people_max) && self.decisions.is_news(reader, window_of(at)) {
                self.tell_of_reader(reader, request, at, read).await?;
            }
        }
        Ok(())
    }

    async fn tell_of_reader(
        &self,
        reader: UserId,
        request: RequestId,
        at: Timestamp,
        read: i64,
    ) -> Result<(), Error> {
        let kind = SecurityEventKind::ReadsOutOfPattern;
        let incident = Incident {
            request_id: request.to_string(),
            route: None,
            principal: Some(reader.to_string()),
            attack: "reads".to_owned(),
            score: u32::try_from(read).unwrap_or(u32::MAX),
            rules: Vec::new(),
            refused: false,
        };
        let row = SecurityEventRow {
            id: Id::from_bytes(random::uuid_v7(at.micros())),
            window_at: window_of(at),
            kind: kind.name().to_owned(),
            source: None,
            subject: None,
            sealed_source: None,
            number: 1,
            first_at: at,
            last_at: at,
            details: Some(serde_json::to_string(&incident).map_err(Error::internal)?),
        };
        let tx = self.store.write(Scope::System).await?;
        tx.add_security_event(&row).await?;
        tx.commit().await?;
        self.security.stream(&Line {
            request: Some(request),
            principal: Some(reader.to_string()),
            incident: Some(row.id),
            ..Line::of(kind, at)
        });
        Ok(())
    }
}
