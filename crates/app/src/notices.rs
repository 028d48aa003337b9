//! What customers are told of: a list of their own, mails, and what they wish of either.
//!
//! Money and limits are followed in the log by a job ([`follow`]), so that no payment waits for it; the place up to
//! which the log was followed moves in the commit that writes the notices, so that each is written once, on however
//! many nodes and after whatever end of a process. What is about a login is written with the mail that tells of it, in
//! the commit of the deed.

mod follow;
mod lapsed;

use std::sync::Arc;

use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{NoticeId, UserId},
    money::Currency,
    notice::{NoticeEvent, Ways},
    time::Timestamp,
};
use strongroom_store::{
    Scope, WriteTx,
    identity::{NoticeRow, NoticeWish},
};

use crate::{
    audit::record::Entry,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::{Cx, first_id_at},
    error::Error,
    mail::MailKind,
};

/// How long a notice is kept, in seconds: 400 days, as alerts are.
pub const NOTICES_KEPT_SECS: i64 = 400 * 24 * 60 * 60;

/// A notice as its reader sees it.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The row.
    pub row: NoticeRow,
    /// What it is about; `None` for one of another version.
    pub event: Option<NoticeEvent>,
    /// What it says.
    pub says: String,
}

impl Notice {
    fn of(row: NoticeRow) -> Self {
        let event = NoticeEvent::parse(&row.event);
        let says = event.map_or_else(|| "Something happened.".to_owned(), |event| says(event, &row));
        Self { row, event, says }
    }
}

/// What the caller wishes of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Of which.
    pub event: NoticeEvent,
    /// By which ways.
    pub ways: Ways,
}

/// With as many digits behind the point as the currency has.
fn shown(minor: i64, currency: Currency) -> String {
    let digits = usize::from(currency.exponent());
    let text = format!("{minor:0>width$}", width = digits + 1);
    let (whole, part) = text
        .split_at_checked(text.len() - digits)
        .unwrap_or((text.as_str(), ""));
    let point = if part.is_empty() { "" } else { "." };
    format!("{whole}{point}{part} {}", currency.code())
}

/// The words of a notice: ours alone, nothing that anybody typed.
fn says(event: NoticeEvent, row: &NoticeRow) -> String {
    let money = row.money.as_ref().map_or_else(String::new, |(amount, currency)| {
        Currency::parse(currency).map_or_else(|_| String::new(), |currency| shown(*amount, currency))
    });
    match event {
        NoticeEvent::MoneyReceived => format!("You received {money}."),
        NoticeEvent::MoneySent => format!("{money} left one of your accounts."),
        NoticeEvent::PaymentSettled => format!("Your payment of {money} to another bank was made."),
        NoticeEvent::PaymentReturned => format!("A payment of {money} to another bank came back."),
        NoticeEvent::HoldPlaced => format!("{money} were reserved on one of your accounts."),
        NoticeEvent::ReviewStarted => format!("Your transfer of {money} waits to be looked at."),
        NoticeEvent::ReviewReleased => format!("Your transfer of {money} was made."),
        NoticeEvent::ReviewRejected => {
            format!("Your transfer of {money} was not made, and the money is yours.")
        }
        NoticeEvent::ReviewExpired => {
            format!("Your transfer of {money} waited for three days and was not made; the money is yours.")
        }
        NoticeEvent::LimitsChanged => "What may be paid from your accounts was set anew.".to_owned(),
        NoticeEvent::Security => {
            let kind = MailKind::parse(&row.about);
            format!(
                "{}.",
                kind.map_or("Something about your login changed", MailKind::subject)
            )
        }
    }
}

/// By which ways somebody is told of an event.
fn ways_of(event: NoticeEvent, wishes: &[NoticeWish]) -> Ways {
    let wish = wishes
        .iter()
        .find(|wish| wish.event == event.name() && !event.is_fixed());
    wish.map_or_else(
        || event.ways(),
        |wish| Ways {
            app: wish.app,
            mail: wish.mail,
        },
    )
}

impl Bank {
    /// The caller's notices, newest first; those alone that are unread, if `unread`. And how many are, up to a
    /// thousand.
    ///
    /// # Errors
    /// `forbidden` for integrations.
    pub async fn notices(
        &self,
        cx: &Cx,
        unread: bool,
        before: Option<NoticeId>,
        limit: u32,
    ) -> Result<(Vec<Notice>, u32), Error> {
        let me = cx.person()?;
        authorize(cx, Action::NoticeRead, Resource::OwnedBy(me))?;
        let found = self.store.notices(me, unread, before, limit).await?;
        let count = self.store.unread_notices(me).await?;
        Ok((found.into_iter().map(Notice::of).collect(), count))
    }

    /// The caller takes note of a notice; doing so again changes nothing.
    ///
    /// # Errors
    /// `not_found` for what is not the caller's, `forbidden` for integrations.
    pub async fn take_note(self: &Arc<Self>, cx: &Cx, notice: NoticeId) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let me = cx.person()?;
            let permit = authorize(&cx, Action::NoticeChange, Resource::OwnedBy(me))?;
            let mut tx = bank.store.write(Scope::System).await?;
            let taken = tx.take_note(me, notice, cx.now()).await?;
            if taken.ok_or_else(Error::not_found)? {
                let entry = Entry {
                    object: Object::Other("notice", *notice.as_bytes()),
                    outcome: "ok",
                    details: Details::none(),
                };
                bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }

    /// By which ways the caller is told, event by event.
    ///
    /// # Errors
    /// `forbidden` for integrations.
    pub async fn notice_wishes(&self, cx: &Cx) -> Result<Vec<Wish>, Error> {
        let me = cx.person()?;
        authorize(cx, Action::NoticeRead, Resource::OwnedBy(me))?;
        let wishes = self.store.notice_wishes(me).await?;
        Ok(all_of(&wishes))
    }

    /// Sets by which ways the caller is told; what is not named stays as it was.
    ///
    /// # Errors
    /// `validation_failed` for turning off what cannot be turned off; `forbidden` for integrations.
    pub async fn wish_notices(self: &Arc<Self>, cx: &Cx, wanted: Vec<Wish>) -> Result<Vec<Wish>, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let me = cx.person()?;
            let permit = authorize(&cx, Action::NoticeChange, Resource::OwnedBy(me))?;
            for (at, wish) in wanted.iter().enumerate() {
                if wish.event.is_fixed() && wish.ways != wish.event.ways() {
                    let detail = "is always told, for your protection";
                    return Err(Error::field(&format!("/events/{at}"), "invalid_value", detail));
                }
            }
            let mut tx = bank.store.write(Scope::System).await?;
            for wish in wanted.iter().filter(|wish| !wish.event.is_fixed()) {
                let row = NoticeWish {
                    event: wish.event.name().to_owned(),
                    app: wish.ways.app,
                    mail: wish.ways.mail,
                };
                tx.wish_notices(me, &row).await?;
            }
            let wishes = tx.notice_wishes(me).await?;
            let entry = Entry {
                object: Object::User(me),
                outcome: "ok",
                details: Details::json(&wishes_json(&all_of(&wishes))),
            };
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            tx.commit().await?;
            Ok(all_of(&wishes))
        })
        .await
    }

    /// Writes a notice about somebody's login into the transaction that it tells of.
    pub(crate) async fn put_security_notice(
        &self,
        tx: &WriteTx,
        person: UserId,
        kind: MailKind,
        now: Timestamp,
    ) -> Result<(), Error> {
        let row = NoticeRow {
            id: new_id(now),
            person,
            event: NoticeEvent::Security.name().to_owned(),
            about: kind.name().to_owned(),
            subject: None,
            money: None,
            at: now,
            read_at: None,
        };
        Ok(tx.add_notices(&[row]).await?)
    }

    /// Forgets notices whose time is over. A job calls it.
    pub(crate) async fn sweep_notices(&self) -> Result<(), Error> {
        let before = self.clock.now().plus_seconds(-NOTICES_KEPT_SECS);
        let tx = self.store.write(Scope::System).await?;
        tx.forget_notices(first_id_at(before)).await?;
        Ok(tx.commit().await?)
    }
}

fn new_id(now: Timestamp) -> NoticeId {
    NoticeId::from_bytes(strongroom_crypto::random::uuid_v7(now.micros()))
}

fn all_of(wishes: &[NoticeWish]) -> Vec<Wish> {
    let one = |event: &NoticeEvent| Wish {
        event: *event,
        ways: ways_of(*event, wishes),
    };
    NoticeEvent::ALL.iter().map(one).collect()
}

/// Canonical JSON: keys sorted, no spaces.
fn wishes_json(wishes: &[Wish]) -> String {
    let mut parts: Vec<String> = wishes
        .iter()
        .filter(|wish| !wish.event.is_fixed())
        .map(|wish| {
            let Ways { app, mail } = wish.ways;
            format!(r#""{}":{{"app":{app},"mail":{mail}}}"#, wish.event.name())
        })
        .collect();
    parts.sort_unstable();
    format!("{{{}}}", parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(event: NoticeEvent) -> NoticeRow {
        NoticeRow {
            id: NoticeId::from_bytes([1; 16]),
            person: UserId::from_bytes([2; 16]),
            event: event.name().to_owned(),
            about: "password_changed".to_owned(),
            subject: None,
            money: Some((123_456, "EUR".to_owned())),
            at: Timestamp::default(),
            read_at: None,
        }
    }

    #[test]
    fn notices_say_how_much_and_never_why() {
        let says = |event| Notice::of(row(event)).says;
        assert_eq!(says(NoticeEvent::MoneyReceived), "You received 1234.56 EUR.");
        for (minor, code, text) in [
            (5, "EUR", "0.05 EUR"),
            (7, "JPY", "7 JPY"),
            (1_000, "KWD", "1.000 KWD"),
        ] {
            assert_eq!(shown(minor, Currency::parse(code).unwrap()), text);
        }
        assert_eq!(says(NoticeEvent::Security), "Your password was changed.");
        assert_eq!(
            says(NoticeEvent::ReviewStarted),
            "Your transfer of 1234.56 EUR waits to be looked at."
        );
        for event in NoticeEvent::ALL.iter().copied() {
            assert!(
                says(event).ends_with('.') && !says(event).contains(".."),
                "{event:?}"
            );
        }
    }

    #[test]
    fn a_wish_counts_except_where_it_would_hide_a_thief() {
        let off = |event: NoticeEvent| NoticeWish {
            event: event.name().to_owned(),
            app: false,
            mail: false,
        };
        for event in NoticeEvent::ALL.iter().copied() {
            let ways = ways_of(event, &[off(event)]);
            assert_eq!(ways == event.ways(), event.is_fixed(), "{event:?}");
            assert_eq!(ways_of(event, &[]), event.ways());
        }
        let all = all_of(&[off(NoticeEvent::MoneySent)]);
        assert!(
            wishes_json(&all).starts_with(r#"{"hold_placed":{"app":true,"mail":false},"money_received""#)
        );
        assert!(wishes_json(&all).contains(r#""money_sent":{"app":false,"mail":false}"#));
    }
}
