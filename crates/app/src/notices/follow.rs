//! Follows the log, and tells people of what happened to their money.

use std::{collections::HashSet, time::Duration};

use strongroom_domain::{
    action::Action,
    id::{NoticeId, UserId},
    money::Currency,
    notice::{Moved, NoticeEvent, of_review},
    time::Timestamp,
    transaction::TransactionKind,
};
use strongroom_store::{
    Scope, WriteTx,
    identity::{NoticeRow, NoticeWish, Noticed},
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
        "review" => match of_review(&noticed.action, noticed.waits.as_ref()) {
            Some(event) => event,
            None => return Vec::new(),
        },
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
        NoticeEvent::ReviewReleased | NoticeEvent::ReviewRejected | NoticeEvent::ReviewExpired => {
            MailKind::ReviewEnded
        }
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
        // Before the commit, so that payments wait for less of it.
        let wishes = self.store.notice_wishes_of(people.into_iter().collect()).await?;
        let mut telling = Telling::default();
        let begun = self.clock.now().micros();
        for (number, (person, event, noticed)) in (0..).zip(told) {
            // A microsecond apart, so that lists are in the order of the log.
            let id = new_id(Timestamp::from_micros(begun.saturating_add(number)));
            telling.add(
                event,
                notice_row(id, person, event, noticed),
                wishes.get(&person).map(Vec::as_slice),
            );
        }
        if telling.mailed.is_empty() {
            return Ok(self.store.list_notices((start, end), telling.listed).await?);
        }
        let mut tx = self.store.write(Scope::System).await?;
        if !tx.move_notice_cursor(start, end).await? {
            return Ok(false);
        }
        telling.write(self, &mut tx).await?;
        tx.commit().await?;
        self.identity.mail_waits.notify_one();
        Ok(true)
    }
}

/// What people are told of in one commit, by the ways that they wish.
#[derive(Default)]
pub(super) struct Telling {
    listed: Vec<NoticeRow>,
    mailed: Vec<(UserId, MailKind, String)>,
}

impl Telling {
    /// One thing for one person.
    pub(super) fn add(&mut self, event: NoticeEvent, row: NoticeRow, wishes: Option<&[NoticeWish]>) {
        let ways = ways_of(event, wishes.unwrap_or_default());
        if ways.mail {
            let says = Notice::of(row.clone()).says;
            self.mailed.push((row.person, mail_of(event), says));
        }
        if ways.app {
            self.listed.push(row);
        }
    }

    /// Writes it all.
    pub(super) async fn write(self, bank: &Bank, tx: &mut WriteTx) -> Result<(), Error> {
        tx.add_notices(&self.listed).await?;
        for (person, kind, says) in self.mailed {
            bank.mail_detail(tx, person, kind, says).await?;
        }
        Ok(())
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
