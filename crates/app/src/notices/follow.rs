//! Follows the log, and tells people of what happened to their money.

use std::{collections::HashSet, time::Duration};

use strongroom_domain::{
    action::Action,
    id::{NoticeId, UserId},
    money::Currency,
    notice::{Moved, NoticeEvent},
    time::Timestamp,
    transaction::TransactionKind,
};
use strongroom_store::{
    Scope,
    identity::{NoticeRow, Noticed},
};

use super::{Notice, new_id, ways_of};
use crate::{bank::Bank, error::Error, mail::MailKind};

/// Positions of the log that are told of in one commit.
const PORTION: i64 = 256;
/// Most commits of one run.
const PORTIONS_MAX: usize = 64;
/// Between two of them the right to write is the payments': at most some 50,000 positions are told of in a second.
const PAUSE: Duration = Duration::from_millis(5);

/// Who is to be told of one position of the log, and as what.
fn told(noticed: &Noticed) -> Vec<(UserId, NoticeEvent)> {
    let currency = noticed
        .currency
        .as_deref()
        .and_then(|code| Currency::parse(code).ok());
    let kind = noticed.kind.as_deref().and_then(TransactionKind::parse);
    if let (Some(kind), Some(amount), Some(currency)) = (kind, noticed.amount, currency) {
        let moved = Moved {
            action: &noticed.action,
            kind,
            amount,
            currency,
            from: noticed.from,
            to: noticed.to,
        };
        return moved.told();
    }
    let event = match noticed.object_kind.as_str() {
        "hold" if noticed.action == Action::HoldPlace.name() => NoticeEvent::HoldPlaced,
        "review" if noticed.action == Action::TransferCreate.name() => NoticeEvent::ReviewStarted,
        "review" if noticed.action == Action::ReviewDecide.name() => NoticeEvent::ReviewRejected,
        "payment" if noticed.action == Action::RailSettle.name() => NoticeEvent::PaymentSettled,
        // What operators allow at most nobody is told who is looked into.
        "account"
            if [Action::LimitsChange, Action::LimitsExcept]
                .iter()
                .any(|action| action.name() == noticed.action) =>
        {
            NoticeEvent::LimitsChanged
        }
        _ => return Vec::new(),
    };
    noticed.from.map(|person| (person, event)).into_iter().collect()
}

const fn mail_of(event: NoticeEvent) -> MailKind {
    match event {
        NoticeEvent::MoneyReceived => MailKind::MoneyReceived,
        NoticeEvent::MoneySent => MailKind::MoneySent,
        NoticeEvent::PaymentSettled => MailKind::PaymentSettled,
        NoticeEvent::PaymentReturned => MailKind::PaymentReturned,
        NoticeEvent::HoldPlaced => MailKind::HoldPlaced,
        NoticeEvent::ReviewStarted => MailKind::ReviewStarted,
        NoticeEvent::ReviewReleased | NoticeEvent::ReviewRejected => MailKind::ReviewEnded,
        NoticeEvent::LimitsChanged | NoticeEvent::Security => MailKind::LimitsChanged,
    }
}

impl Bank {
    /// Tells people of what happened since it was last looked; how many positions of the log were looked at. A job
    /// calls it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn write_notices(&self) -> Result<usize, Error> {
        let mut seen = 0;
        for portion in 0..PORTIONS_MAX {
            if portion > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let (start, end, noticed) = self.store.to_be_noticed(PORTION).await?;
            if end <= start {
                break;
            }
            // Where another node told them, what comes next is read again.
            if self.tell(start, end, &noticed).await? {
                seen += usize::try_from(end - start).unwrap_or_default();
            }
        }
        Ok(seen)
    }

    /// One commit: the notices, the mails, and the place up to which the log was followed.
    async fn tell(&self, start: i64, end: i64, noticed: &[Noticed]) -> Result<bool, Error> {
        let told: Vec<_> = noticed
            .iter()
            .flat_map(|noticed| {
                told(noticed)
                    .into_iter()
                    .map(move |(person, event)| (person, event, noticed))
            })
            .collect();
        let people: HashSet<UserId> = told.iter().map(|(person, ..)| *person).collect();
        let people: Vec<UserId> = people.into_iter().collect();
        // Before the commit, so that payments wait for less of it.
        let wishes = self.store.notice_wishes_of(&people).await?;
        let (mut listed, mut mailed) = (Vec::with_capacity(told.len()), Vec::new());
        let begun = self.clock.now().micros();
        for (number, (person, event, noticed)) in (0..).zip(told) {
            let ways = ways_of(event, wishes.get(&person).map_or(&[], Vec::as_slice));
            // A microsecond apart, so that lists are in the order of the log.
            let id = new_id(Timestamp::from_micros(begun.saturating_add(number)));
            let row = notice_row(id, person, event, noticed);
            if ways.mail {
                mailed.push((person, event, Notice::of(row.clone()).says));
            }
            if ways.app {
                listed.push(row);
            }
        }
        let mut tx = self.store.write(Scope::System).await?;
        if !tx.move_notice_cursor(start, end).await? {
            return Ok(false);
        }
        tx.add_notices(&listed).await?;
        let has_mails = !mailed.is_empty();
        for (person, event, says) in mailed {
            self.mail_detail(&mut tx, person, mail_of(event), says).await?;
        }
        tx.commit().await?;
        if has_mails {
            self.identity.mail_waits.notify_one();
        }
        Ok(true)
    }
}

fn notice_row(id: NoticeId, person: UserId, event: NoticeEvent, noticed: &Noticed) -> NoticeRow {
    NoticeRow {
        id,
        person,
        event: event.name().to_owned(),
        about: String::new(),
        subject: Some(noticed.object),
        money: noticed.amount.zip(noticed.currency.clone()),
        at: noticed.at,
        read_at: None,
    }
}
