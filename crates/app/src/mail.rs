//! Mails: written in the transaction that they tell of, sent afterwards, forgotten when they are of no use any
//! more.
//!
//! Parameters are sealed until the mail is sent and wiped then. At most three of a kind go to one recipient in an
//! hour; security notices are never dropped. A mail is claimed by one node for one try; a try that fails is
//! repeated, after waits that grow, until the mail is of no use any more: it arrives at least once. One that cannot be
//! read, or that the other side refuses for good, is set aside and holds up nobody.

mod kind;
mod letter;
pub mod outbox;

use std::{fmt::Debug, sync::Arc};

use strongroom_domain::{
    id::{MailId, UserId},
    time::Timestamp,
};
use strongroom_store::{Scope, WriteTx, identity::MailRow};

pub(crate) use kind::MailKind;
pub use letter::Encoding;

pub use crate::mail::outbox::MailDirectory;
use crate::{bank::Bank, error::Error, identity::credentials::mail_place};

/// Mails of one kind to one recipient in an hour.
pub const MAILS_PER_HOUR_MAX: u64 = 3;
/// Mails that one look of the job takes.
const JOB_ROWS_MAX: u32 = 100;
/// Looks of one run.
const ROUNDS_MAX: usize = 20;
/// Wait after the first try that failed, in seconds; twice as long after each further one.
pub const MAIL_RETRY_SECS: u32 = 60;
/// Longest wait between two tries, in seconds.
const WAIT_SECS_MAX: i64 = HOUR_SECS;
/// Times that the other side may refuse a mail for good before it is set aside: a server that is set up wrongly says
/// the same of every mail.
const REFUSALS_MAX: u32 = 3;
const HOUR_SECS: i64 = 60 * 60;
/// How long a notice without a token is kept and tried, in seconds.
const NOTICE_SECS: i64 = 7 * 24 * HOUR_SECS;
/// A mail as it leaves the bank.
#[derive(Clone)]
pub struct Mail {
    /// Its id.
    pub id: MailId,
    /// The recipient's address as stored.
    pub to: String,
    /// The sender's name.
    pub from_name: String,
    /// The subject.
    pub subject: &'static str,
    /// The body as plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// When it was written.
    pub at: Timestamp,
}

impl Debug for Mail {
    /// Addresses and tokens are nobody's business in a log.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Mail")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why a mail was not sent. None of them holds an address or a text of the other side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Nobody who carries mails can be reached: the others would not get through either.
    #[error("nobody takes mails: {0}")]
    Away(String),
    /// Not now.
    #[error("the mail was not taken: {0}")]
    Later(String),
    /// Never, says the other side. It says so, too, when it is set up wrongly.
    #[error("the mail was refused: {0}")]
    Refused(String),
}

/// Carries mails away.
pub trait MailSink: Send + Sync + Debug {
    /// Sends one. Called off the asynchronous threads.
    ///
    /// # Errors
    /// [`MailError`]; the mail is tried again later.
    fn send(&self, mail: &Mail) -> Result<(), MailError>;

    /// Takes back what still lies here of a mail whose time is over, where that can be done.
    fn discard(&self, id: MailId);
}

/// What goes into a mail.
#[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct MailParams {
    /// The address, where it is not a person's yet.
    pub(crate) to: String,
    /// The name, likewise.
    pub(crate) name: String,
    /// The person whose address and name are put in when the mail is sent.
    pub(crate) person: Option<String>,
    pub(crate) token: String,
    /// For a wish: the kind of mail that comes of it.
    #[serde(default)]
    pub(crate) about: String,
    /// What exactly happened, in our own words.
    #[serde(default)]
    pub(crate) detail: String,
    /// A last sentence.
    #[serde(default)]
    pub(crate) more: String,
}

impl Bank {
    /// Says where mails go. Once, before the job runs; without it they wait.
    pub fn send_mail_by(&self, sink: Arc<dyn MailSink>) {
        let _ = self.identity.mail.set(sink);
        self.identity.mail_waits.notify_one();
    }

    /// Writes a mail into the transaction that it tells of.
    pub(crate) async fn put_mail(
        &self,
        tx: &mut WriteTx,
        recipient: [u8; 16],
        kind: MailKind,
        params: &MailParams,
    ) -> Result<(), Error> {
        self.put_mail_at(tx, recipient, kind, params, self.clock.now())
            .await
    }

    pub(crate) async fn put_mail_at(
        &self,
        tx: &mut WriteTx,
        recipient: [u8; 16],
        kind: MailKind,
        params: &MailParams,
        now: Timestamp,
    ) -> Result<(), Error> {
        // What is mailed about a login is in its owner's list, too, and there is no way to have it told by one alone.
        if let Some(person) = params.person.as_deref().filter(|_| kind.is_security_notice()) {
            let person = UserId::parse(person).map_err(Error::internal)?;
            self.put_security_notice(tx, person, kind, now).await?;
        }
        let since = now.plus_seconds(-HOUR_SECS);
        let lately = tx.count_mails(&recipient, kind.name(), since).await?;
        if (kind.is_folded() || !kind.is_security_notice()) && lately >= MAILS_PER_HOUR_MAX {
            metrics::counter!("strongroom_mails_dropped_total").increment(1);
            return Ok(());
        }
        let folded;
        let params = if kind.is_folded() && lately == MAILS_PER_HOUR_MAX - 1 {
            folded = MailParams {
                more: kind.folded().to_owned(),
                ..params.clone()
            };
            &folded
        } else {
            params
        };
        let id = MailId::from_bytes(strongroom_crypto::random::uuid_v7(now.micros()));
        let text = serde_json::to_vec(params).map_err(Error::internal)?;
        let row = MailRow {
            id,
            kind: kind.name().to_owned(),
            recipient,
            sealed: self.ring().seal(mail_place(&id), &text),
            attempts: 0,
            refusals: 0,
            created_at: now,
            expires_at: now.plus_seconds(kind.useful_secs()),
        };
        Ok(tx.insert_mail(&row).await?)
    }

    /// Writes a mail to a person's own address; nothing for a person without one.
    pub(crate) async fn mail_to_person(
        &self,
        tx: &mut WriteTx,
        person: UserId,
        kind: MailKind,
        token: &str,
    ) -> Result<(), Error> {
        let Some(index) = address_of(tx, person).await? else {
            return Ok(());
        };
        let params = MailParams {
            person: Some(person.to_string()),
            token: token.to_owned(),
            ..MailParams::default()
        };
        self.put_mail(tx, index, kind, &params).await
    }

    /// Writes a mail to a person's own address that says what exactly happened, in our own words.
    pub(crate) async fn mail_detail(
        &self,
        tx: &mut WriteTx,
        person: UserId,
        kind: MailKind,
        detail: String,
    ) -> Result<(), Error> {
        let Some(index) = address_of(tx, person).await? else {
            return Ok(());
        };
        let params = MailParams {
            person: Some(person.to_string()),
            detail,
            ..MailParams::default()
        };
        self.put_mail(tx, index, kind, &params).await
    }

    /// Tells a person that somebody logged in on a device that was not seen before. From where, not with what: the
    /// name of a program is the caller's own words.
    pub(crate) async fn mail_new_device(
        &self,
        tx: &mut WriteTx,
        person: UserId,
        address: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let at = jiff::Timestamp::from_microsecond(now.micros()).unwrap_or_default();
        let from = address.parse::<std::net::IpAddr>().ok();
        let from = from.map_or_else(String::new, |address| {
            format!(", from the network address {address}")
        });
        let detail = format!("on {} UTC{from}", at.strftime("%-d %B %Y at %H:%M"));
        let Some(index) = address_of(tx, person).await? else {
            return Ok(());
        };
        let params = MailParams {
            person: Some(person.to_string()),
            detail,
            ..MailParams::default()
        };
        self.put_mail_at(tx, index, MailKind::NewDevice, &params, now)
            .await
    }

    /// Sends what waits; how many were sent. A job calls it.
    ///
    /// # Errors
    /// When the database does not answer. A mail that nobody takes is no error: it waits for its next try.
    pub async fn send_mails(&self) -> Result<usize, Error> {
        self.answer_registrations().await?;
        let Some(sink) = self.identity.mail.get() else {
            return Ok(0);
        };
        let (mut sent, mut away) = (0, false);
        // A wish for a reset becomes a mail in one round and is sent in the next.
        for _ in 0..ROUNDS_MAX {
            let waiting = self.store.waiting_mails(self.clock.now(), JOB_ROWS_MAX).await?;
            let mut tried = false;
            for row in &waiting {
                let wish = is_wish(&row.kind);
                // Nobody takes mails: each would only use up one of its tries.
                if away && !wish {
                    continue;
                }
                tried = true;
                match self.send_one(sink, row).await {
                    Ok(Sent::Gone) => sent += 1,
                    Ok(Sent::Away) => away = true,
                    Ok(Sent::Not) => {}
                    // One that cannot be sent must not hold up those behind it.
                    Err(error) => {
                        tracing::warn!(mail = %row.id, error = %error.code, source = ?error.source, "a mail failed");
                        metrics::counter!("strongroom_mails_failed_total").increment(1);
                    }
                }
            }
            if !tried {
                break;
            }
        }
        Ok(sent)
    }

    async fn send_one(&self, sink: &Arc<dyn MailSink>, row: &MailRow) -> Result<Sent, Error> {
        let now = self.clock.now();
        let next = now.plus_seconds(wait_after(row.attempts, self.identity.settings.mail_retry_secs));
        let tx = self.store.write(Scope::System).await?;
        let claimed = tx.claim_mail(row.id, row.attempts, next).await?;
        tx.commit().await?;
        if !claimed {
            return Ok(Sent::Not);
        }
        let Some((kind, mut params)) = self.read_mail(row) else {
            return self.set_aside(row, "it cannot be read").await;
        };
        match kind {
            MailKind::ResetWish => {
                self.answer_reset_wish(row.id, &params).await?;
                return Ok(Sent::Not);
            }
            MailKind::GuessWish => {
                let mut tx = self.store.write(Scope::System).await?;
                self.answer_guess_wish(&mut tx, &params).await?;
                tx.wipe_mail(row.id).await?;
                tx.commit().await?;
                return Ok(Sent::Not);
            }
            _ => {}
        }
        if let Some(person) = params.person.as_deref().map(UserId::parse) {
            let row = self.store.user(person.map_err(Error::internal)?).await?;
            let row = row.ok_or_else(|| Error::broken("a mail to nobody"))?;
            let profile = self.people.profile(&row).await?;
            params.name = profile.full_name;
            if params.to.is_empty() {
                params.to = profile.email.unwrap_or_default();
            }
        }
        // Erased meanwhile: nobody reads it.
        if params.to.is_empty() {
            return self.wipe(row.id).await.map(|()| Sent::Not);
        }
        let settings = &self.identity.settings;
        let (text, html) = letter::lay_out(kind, &params, &settings.bank_name, &settings.public_url)?;
        let mail = Mail {
            id: row.id,
            to: params.to,
            from_name: settings.bank_name.clone(),
            subject: kind.subject(),
            text,
            html,
            at: row.created_at,
        };
        let sink = sink.clone();
        let sent = tokio::task::spawn_blocking(move || sink.send(&mail))
            .await
            .map_err(Error::internal)?;
        let Err(error) = sent else {
            metrics::counter!("strongroom_mails_sent_total").increment(1);
            return self.wipe(row.id).await.map(|()| Sent::Gone);
        };
        metrics::counter!("strongroom_mails_failed_total").increment(1);
        tracing::warn!(mail = %row.id, kind = kind.name(), attempts = row.attempts + 1, %error, "a mail was not sent");
        match error {
            MailError::Away(_) => Ok(Sent::Away),
            MailError::Later(_) => Ok(Sent::Not),
            MailError::Refused(_) => {
                let tx = self.store.write(Scope::System).await?;
                tx.refuse_mail(row.id).await?;
                tx.commit().await?;
                if row.refusals.saturating_add(1) >= REFUSALS_MAX {
                    return self.set_aside(row, "it was refused for good").await;
                }
                Ok(Sent::Not)
            }
        }
    }

    fn read_mail(&self, row: &MailRow) -> Option<(MailKind, MailParams)> {
        let kind = MailKind::parse(&row.kind)?;
        let plain = self.ring().open(mail_place(&row.id), &row.sealed).ok()?;
        Some((kind, serde_json::from_slice(plain.expose()).ok()?))
    }

    async fn wipe(&self, mail: MailId) -> Result<(), Error> {
        let tx = self.store.write(Scope::System).await?;
        tx.wipe_mail(mail).await?;
        Ok(tx.commit().await?)
    }

    /// Tries no more. The row stays until its time is over, for people to look at.
    async fn set_aside(&self, row: &MailRow, why: &'static str) -> Result<Sent, Error> {
        let tx = self.store.write(Scope::System).await?;
        tx.set_mail_aside(row.id, self.clock.now()).await?;
        tx.commit().await?;
        tracing::error!(mail = %row.id, kind = row.kind, attempts = row.attempts + 1, why, "a mail was set aside");
        metrics::counter!("strongroom_mails_set_aside_total").increment(1);
        Ok(Sent::Not)
    }

    /// Forgets mails whose time is over, and counts those that wait. A job calls it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn forget_mails(&self) -> Result<(), Error> {
        let counts = self.store.mail_counts().await?;
        metrics::gauge!("strongroom_mails_waiting").set(f64::from(counts.waiting));
        metrics::gauge!("strongroom_mails_aside").set(f64::from(counts.aside));
        let over = self.store.expired_mails(self.clock.now(), JOB_ROWS_MAX).await?;
        if over.is_empty() {
            return Ok(());
        }
        let unsent = over.iter().filter(|mail| !mail.sent).count();
        if unsent > 0 {
            tracing::error!(unsent, "mails were not sent before their time was over");
            metrics::counter!("strongroom_mails_unsent_total").increment(unsent as u64);
        }
        let ids: Vec<MailId> = over.into_iter().map(|mail| mail.id).collect();
        if let Some(sink) = self.identity.mail.get().cloned() {
            let ids = ids.clone();
            tokio::task::spawn_blocking(move || ids.into_iter().for_each(|id| sink.discard(id)))
                .await
                .map_err(Error::internal)?;
        }
        let tx = self.store.write(Scope::System).await?;
        for id in ids {
            tx.delete_mail(id).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// What became of a try.
enum Sent {
    /// It is on its way.
    Gone,
    /// It waits, was set aside, or was none.
    Not,
    /// It waits, and so will all others.
    Away,
}

fn is_wish(kind: &str) -> bool {
    [MailKind::ResetWish, MailKind::GuessWish]
        .iter()
        .any(|wish| wish.name() == kind)
}

/// Seconds until the next try, doubling.
fn wait_after(attempts: u32, first: u32) -> i64 {
    let doubled = 1_i64.checked_shl(attempts.min(30)).unwrap_or(i64::MAX);
    i64::from(first).saturating_mul(doubled).min(WAIT_SECS_MAX)
}

async fn address_of(tx: &WriteTx, person: UserId) -> Result<Option<[u8; 16]>, Error> {
    let index = tx.user(person).await?.and_then(|row| row.email_index);
    Ok(index.and_then(|index| index.try_into().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour() {
        let waits: Vec<i64> = (0..8).map(|attempts| wait_after(attempts, 60)).collect();
        assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(wait_after(u32::MAX, u32::MAX), WAIT_SECS_MAX);
    }
}
