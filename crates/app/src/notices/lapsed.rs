//! Tells people of transfers that nobody looked at in time.
//!
//! The money of such a transfer is free from the moment of its end, whether or not somebody has written so, so there is
//! no record to follow: each is looked for, and marked in the commit that tells of it.

use strongroom_domain::{
    id::{NoticeId, TransferId},
    notice::NoticeEvent,
};
use strongroom_store::{
    Scope,
    identity::{LapsedReview, NoticeRow},
};

use super::{follow::Telling, new_id};
use crate::{bank::Bank, error::Error, security::catalogue::SecurityEventKind};

/// Transfers that one run tells of.
const PORTION: u32 = 100;
/// So long after the end nobody decides any more, whatever the clocks of nodes and database say. In seconds.
const SETTLED_SECS: i64 = 60;

impl Bank {
    /// Tells who sent them of transfers that waited until their time was over, and whoever defends the bank; of how
    /// many. A job calls it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn tell_lapsed_reviews(&self) -> Result<usize, Error> {
        let until = self.clock.now().plus_seconds(-SETTLED_SECS);
        let lapsed = self.store.lapsed_reviews(until, PORTION).await?;
        if lapsed.is_empty() {
            return Ok(0);
        }
        let people: Vec<_> = lapsed.iter().map(|review| review.customer).collect();
        let wishes = self.store.notice_wishes_of(people).await?;
        let (mut telling, mut told) = (Telling::default(), Vec::new());
        let mut tx = self.store.write(Scope::System).await?;
        let now = self.clock.now();
        for review in lapsed {
            // Another node told of it, or somebody decided.
            if !tx.take_lapsed(review.id, now).await? {
                continue;
            }
            let event = NoticeEvent::ReviewExpired;
            let row = row_of(&review, event, new_id(now));
            telling.add(event, row, wishes.get(&review.customer).map(Vec::as_slice));
            told.push(review.id);
        }
        telling.write(self, &mut tx).await?;
        tx.commit().await?;
        self.identity.mail_waits.notify_one();
        let cx = self.cx_job().await?;
        for id in &told {
            let about = (TransferId::from_bytes(*id.as_bytes()).to_string(), *id.as_bytes());
            self.note(&cx, SecurityEventKind::ReviewExpired, Some(about));
        }
        Ok(told.len())
    }
}

fn row_of(review: &LapsedReview, event: NoticeEvent, id: NoticeId) -> NoticeRow {
    NoticeRow {
        id,
        person: review.customer,
        event: event.name().to_owned(),
        about: String::new(),
        subject: Some(*review.id.as_bytes()),
        money: Some((review.amount, review.currency.clone())),
        at: review.expires_at,
        read_at: None,
    }
}
