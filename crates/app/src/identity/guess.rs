//! How often a secret may be guessed at. The one place that counts.
//!
//! A try is counted before the secret is looked at, in one locked row, so that many at once never get more than one
//! after another would. One count serves every secret of a person: password, code, recovery code. Counted is the
//! person, or the address of nobody as typed, on all devices that are not known; and, apart from it, each known device,
//! and whoever is logged in: who guesses from elsewhere cannot lock the owner out. Only a complete login begins a count
//! anew. Waits grow; after a hundred failures from unknown devices nothing is looked at from there until the owner
//! acts. The owner is told by mail, once a day and at the hundredth.

use std::{net::IpAddr, sync::atomic::Ordering};

use strongroom_crypto::PasswordError;
use strongroom_domain::{id::UserId, time::Timestamp};
use strongroom_store::{Scope, WriteTx, identity::Guesses};

use crate::{
    bank::Bank,
    error::Error,
    identity::{email::Email, login::invalid_credentials, registration::busy},
    mail::{MailKind, MailParams},
    security::{catalogue::SecurityEventKind, stream::Line},
};

/// Tries before there is a wait.
pub(crate) const TRIES_FREE: u32 = 5;
/// The first wait, in seconds; it doubles with every further failure.
pub(crate) const WAIT_SECS: i64 = 15 * 60;
/// The longest wait, in seconds.
pub(crate) const WAIT_SECS_MAX: i64 = 4 * 60 * 60;
/// Failures from unknown devices after which nothing is looked at from there until the owner acts.
pub(crate) const FAILURES_MAX: u32 = 100;
/// A wait is forgotten when no try was counted for so long, in seconds.
const WAIT_FORGET_SECS: i64 = 24 * 60 * 60;
/// Least time between two notices about waits, in seconds.
const NOTICE_SECS: i64 = 24 * 60 * 60;
const DAY_SECS: i64 = 24 * 60 * 60;
const INDEX: &str = "guesses";
/// Stands for the device of whoever is logged in; no mark has this digest.
const SESSIONS: [u8; 32] = [0; 32];

/// Whose tries are counted together. The last bit says whether they wait only: a known device, a network.
pub(crate) type Subject = [u8; 16];

/// Whose secret is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tried<'a> {
    /// Somebody's.
    Person(UserId),
    /// Whoever has this address, if anybody.
    Address(&'a Email),
    /// Nobody's in particular: what a network address shows is counted against it.
    Network,
}

/// A try that was counted, or refused.
pub(crate) struct Try<'a> {
    pub(crate) subject: Subject,
    /// Whether the secret may be looked at.
    pub(crate) allowed: bool,
    tried: Tried<'a>,
    before: Guesses,
    count: Guesses,
    at: Timestamp,
}

const fn is_known_device(subject: &Subject) -> bool {
    subject[15] & 1 == 1
}

/// How long a count is kept when nothing is added to it, in seconds: long enough that waiting it out is worth nothing,
/// bounded because anybody can begin one for an address of nobody.
const fn kept_secs(total: u32) -> i64 {
    if total >= FAILURES_MAX {
        365 * DAY_SECS
    } else if total >= TRIES_FREE {
        30 * DAY_SECS
    } else {
        7 * DAY_SECS
    }
}

/// Counts a try; whether it may be made, and the count afterwards.
fn take(mut count: Guesses, known_device: bool, now: Timestamp) -> (bool, Guesses) {
    if now >= count.expires_at {
        count = Guesses::default();
    }
    if !known_device && count.total >= FAILURES_MAX {
        return (false, count);
    }
    if now.seconds_since(count.updated_at) > WAIT_FORGET_SECS {
        count.failures = 0;
        count.blocked_until = Timestamp::default();
    }
    if now < count.blocked_until {
        return (false, count);
    }
    count.failures = count.failures.saturating_add(1);
    count.total = count.total.saturating_add(1);
    count.updated_at = now;
    count.expires_at = now.plus_seconds(kept_secs(count.total));
    if let Some(beyond) = count.failures.checked_sub(TRIES_FREE) {
        let doubled = WAIT_SECS.checked_shl(beyond.min(16)).unwrap_or(WAIT_SECS_MAX);
        count.blocked_until = now.plus_seconds(doubled.min(WAIT_SECS_MAX));
    }
    (true, count)
}

/// Takes back a try that was no wrong one: of `now`, which `taken` was after it and `before` before.
fn give_back(now: Guesses, taken: &Guesses, before: &Guesses) -> Guesses {
    let mut count = now;
    count.failures = count.failures.saturating_sub(1);
    count.total = count.total.saturating_sub(1);
    if count.failures < TRIES_FREE {
        count.blocked_until = Timestamp::default();
    } else if count.blocked_until == taken.blocked_until {
        count.blocked_until = before.blocked_until;
    }
    count
}

/// What the owner is to be told after a wrong try.
fn notice(count: &Guesses, known_device: bool, now: Timestamp) -> Option<MailKind> {
    if !known_device && count.total >= FAILURES_MAX {
        // Told since the last failure that was counted: then about the stop.
        return (count.told_at < count.updated_at).then_some(MailKind::PasswordStopped);
    }
    let waits = count.failures >= TRIES_FREE && now.seconds_since(count.told_at) >= NOTICE_SECS;
    waits.then_some(MailKind::LoginGuessed)
}

impl Bank {
    /// Who is counted: somebody, or an address of nobody, on a known device or on all others.
    pub(crate) fn guess_subject(&self, tried: Tried<'_>, device: Option<&[u8; 32]>) -> Subject {
        let mut name = match tried {
            Tried::Person(person) => [b"person", &person.as_bytes()[..]].concat(),
            Tried::Address(email) => [b"nobody", &email.index(&self.ring())[..]].concat(),
            Tried::Network => b"network".to_vec(),
        };
        name.extend_from_slice(device.map_or(&[][..], |hash| hash));
        self.subject(name, device.is_some())
    }

    /// Who is counted where a logged-in person proves something again: all sessions together, so that another one is no
    /// new beginning.
    pub(crate) fn guess_subject_of(&self, person: UserId) -> Subject {
        self.guess_subject(Tried::Person(person), Some(&SESSIONS))
    }

    /// Who is counted where nobody in particular tries: a network address, for IPv6 its /64. It waits and is never
    /// stopped for good.
    pub(crate) fn guess_subject_of_address(&self, address: &str) -> Subject {
        let network = match address.parse().map(|address: IpAddr| address.to_canonical()) {
            Ok(IpAddr::V6(v6)) => v6.octets()[..8].to_vec(),
            Ok(IpAddr::V4(v4)) => v4.octets().to_vec(),
            Err(_) => address.as_bytes().to_vec(),
        };
        self.subject([&b"address"[..], &network].concat(), true)
    }

    fn subject(&self, name: Vec<u8>, waits_only: bool) -> Subject {
        let mut subject = self.ring().blind_index(INDEX, &name);
        subject[15] = subject[15] & !1 | u8::from(waits_only);
        subject
    }

    /// Counts a try before it is made.
    pub(crate) async fn take_guess<'a>(
        &self,
        subject: Subject,
        tried: Tried<'a>,
        now: Timestamp,
    ) -> Result<Try<'a>, Error> {
        let tx = self.store.write(Scope::System).await?;
        let locked = tx.lock_guesses(&subject, now).await?;
        let (allowed, count) = take(locked, is_known_device(&subject), now);
        tx.set_guesses(&subject, count).await?;
        tx.commit().await?;
        if allowed {
            self.identity.guesses.fetch_add(1, Ordering::Relaxed);
        } else {
            metrics::counter!("strongroom_guesses_refused_total").increment(1);
        }
        Ok(Try {
            subject,
            allowed,
            tried,
            before: locked,
            count,
            at: now,
        })
    }

    /// What the pool says about a password whose try was counted. A bank that is too busy to look must not lock anybody
    /// out: then the try is given back.
    pub(crate) async fn counted<T>(
        &self,
        tried: &Try<'_>,
        looked: Result<T, PasswordError>,
    ) -> Result<T, Error> {
        match looked {
            Ok(found) => Ok(found),
            Err(error) => {
                if tried.allowed {
                    self.return_guess(tried).await?;
                }
                Err(busy(error))
            }
        }
    }

    /// Takes back a counted try that was right, where another factor is still to come: it is no failure, and no success
    /// that begins anew either.
    pub(crate) async fn no_failure(&self, tx: &WriteTx, tried: &Try<'_>) -> Result<(), Error> {
        let now = tx.lock_guesses(&tried.subject, tried.at).await?;
        let count = give_back(now, &tried.count, &tried.before);
        Ok(tx.set_guesses(&tried.subject, count).await?)
    }

    /// Takes a try back that turned out not to be wrong.
    pub(crate) async fn return_guess(&self, tried: &Try<'_>) -> Result<(), Error> {
        let tx = self.store.write(Scope::System).await?;
        self.no_failure(&tx, tried).await?;
        Ok(tx.commit().await?)
    }

    /// The refusal of a wrong try. Where it is the owner's business by now, a notice is written: for an address the
    /// same whether or not anybody has it, and a job finds out.
    pub(crate) async fn guessed_wrong(&self, tried: &Try<'_>) -> Error {
        self.identity.wrong_tries.add(tried.at);
        match self.tell_of_guesses(tried).await {
            Ok(()) => invalid_credentials(),
            Err(error) => error,
        }
    }

    async fn tell_of_guesses(&self, tried: &Try<'_>) -> Result<(), Error> {
        let known_device = is_known_device(&tried.subject);
        if notice(&tried.count, known_device, tried.at).is_none() {
            return Ok(());
        }
        let mut tx = self.store.write(Scope::System).await?;
        let mut count = tx.lock_guesses(&tried.subject, tried.at).await?;
        // Another one told meanwhile, or the right secret came after all.
        let Some(kind) = notice(&count, known_device, tried.at) else {
            return Ok(());
        };
        count.told_at = count.updated_at.max(tried.at);
        tx.set_guesses(&tried.subject, count).await?;
        match tried.tried {
            Tried::Network => return Ok(()),
            Tried::Person(person) => self.mail_to_person(&mut tx, person, kind, "").await?,
            Tried::Address(email) => {
                let params = MailParams {
                    to: email.bounded().to_owned(),
                    about: kind.name().to_owned(),
                    ..MailParams::default()
                };
                let recipient = email.index(&self.ring());
                self.put_mail(&mut tx, recipient, MailKind::GuessWish, &params)
                    .await?;
            }
        }
        tx.commit().await?;
        self.identity.mail_waits.notify_one();
        let (subject, object) = match tried.tried {
            Tried::Address(email) => (Some(self.subject_of(email)), None),
            Tried::Person(person) => (None, Some(person.to_string())),
            Tried::Network => (None, None),
        };
        self.security.note(&Line {
            outcome: "refused",
            reason: kind.name(),
            subject,
            object,
            ..Line::of(SecurityEventKind::LoginLocked, tried.at)
        });
        Ok(())
    }

    /// Turns a notice about an address into a mail to whoever has it, or into nothing. Part of the mail job.
    pub(crate) async fn answer_guess_wish(&self, tx: &mut WriteTx, params: &MailParams) -> Result<(), Error> {
        let indexes = Email::lenient(&params.to).indexes(&self.ring());
        let kind = MailKind::parse(&params.about).ok_or_else(|| Error::broken("a notice about nothing"))?;
        match self.store.login(&indexes).await? {
            Some(row) => self.mail_to_person(tx, row.id, kind, "").await,
            None => Ok(()),
        }
    }

    /// Begins anew on unknown devices, and on all known ones if so said: the owner acted, or an operator did.
    pub(crate) async fn clear_guesses_of(&self, tx: &WriteTx, person: UserId) -> Result<(), Error> {
        let tried = Tried::Person(person);
        tx.clear_guesses(&self.guess_subject(tried, None)).await?;
        tx.clear_guesses(&self.guess_subject_of(person)).await?;
        for device in tx.devices(person).await? {
            tx.clear_guesses(&self.guess_subject(tried, Some(&device.hash)))
                .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).plus_seconds(seconds)
    }

    /// After so many tries, the last one at `at(0)`, with no wait left.
    fn after(failures: u32, total: u32) -> Guesses {
        Guesses {
            failures,
            total,
            updated_at: at(0),
            expires_at: at(kept_secs(total)),
            ..Guesses::default()
        }
    }

    #[test]
    fn five_tries_are_free_and_the_sixth_waits_a_quarter_of_an_hour() {
        let mut count = Guesses::default();
        for _ in 0..TRIES_FREE {
            let (allowed, next) = take(count, false, at(0));
            assert!(allowed);
            count = next;
        }
        assert!(!take(count, false, at(0)).0);
        assert!(!take(count, false, at(WAIT_SECS - 1)).0);
        assert!(take(count, false, at(WAIT_SECS)).0);
    }

    #[test]
    fn each_further_failure_doubles_the_wait_up_to_a_bound() {
        let mut count = after(TRIES_FREE, TRIES_FREE);
        let mut now = at(0);
        for wait in [
            WAIT_SECS * 2,
            WAIT_SECS * 4,
            WAIT_SECS * 8,
            WAIT_SECS_MAX,
            WAIT_SECS_MAX,
        ] {
            let (allowed, next) = take(count, false, now);
            assert!(allowed);
            assert_eq!(next.blocked_until.seconds_since(now), wait);
            now = next.blocked_until;
            count = next;
        }
    }

    #[test]
    fn a_refused_try_adds_nothing_and_a_quiet_day_forgets_the_wait_alone() {
        let count = Guesses {
            blocked_until: at(60),
            ..after(9, 20)
        };
        assert_eq!(take(count, false, at(1)), (false, count));
        let (allowed, next) = take(count, false, at(WAIT_FORGET_SECS + 1));
        assert!(allowed);
        assert_eq!((next.failures, next.total), (1, 21));
    }

    #[test]
    fn the_hundredth_failure_stops_unknown_devices_and_no_others() {
        let count = after(0, FAILURES_MAX - 1);
        let (allowed, stopped) = take(count, false, at(1));
        assert!(allowed);
        assert_eq!(stopped.total, FAILURES_MAX);
        assert!(!take(stopped, false, at(300 * DAY_SECS)).0);
        assert!(take(stopped, true, at(WAIT_SECS_MAX + 1)).0);
    }

    #[test]
    fn a_count_is_kept_the_longer_the_more_there_were() {
        for (total, days) in [(TRIES_FREE - 1, 7), (FAILURES_MAX - 2, 30)] {
            let (_, count) = take(after(0, total - 1), true, at(0));
            assert_eq!(take(count, true, at(days * DAY_SECS - 1)).1.total, total + 1);
            assert_eq!(take(count, true, at(days * DAY_SECS)).1.total, 1);
        }
    }

    #[test]
    fn the_owner_is_told_of_waits_once_a_day_and_of_the_stop_once() {
        let told = |count: Guesses, seconds| Guesses {
            told_at: at(seconds),
            ..count
        };
        let waits = after(TRIES_FREE, TRIES_FREE);
        assert_eq!(notice(&after(4, 4), false, at(0)), None);
        assert_eq!(notice(&waits, false, at(0)), Some(MailKind::LoginGuessed));
        assert_eq!(notice(&told(waits, 0), false, at(NOTICE_SECS - 1)), None);
        assert_eq!(
            notice(&told(waits, 0), false, at(NOTICE_SECS)),
            Some(MailKind::LoginGuessed)
        );
        let stopped = after(20, FAILURES_MAX);
        assert_eq!(
            notice(&told(stopped, -1), false, at(0)),
            Some(MailKind::PasswordStopped)
        );
        assert_eq!(notice(&told(stopped, 0), false, at(NOTICE_SECS)), None);
        assert_eq!(notice(&told(stopped, -1), true, at(0)), None);
    }

    #[test]
    fn a_try_that_could_not_be_made_is_given_back() {
        let mut count = Guesses::default();
        for _ in 0..TRIES_FREE {
            count = take(count, false, at(0)).1;
        }
        assert!(!take(count, false, at(1)).0);
        let back = give_back(count, &count, &after(4, 4));
        let (allowed, again) = take(back, false, at(1));
        assert!(allowed);
        assert_eq!((again.failures, again.total), (TRIES_FREE, TRIES_FREE));
        let empty = Guesses::default();
        assert_eq!(give_back(empty, &count, &empty).failures, 0);
    }

    #[test]
    fn after_a_wait_a_right_try_lengthens_no_wait() {
        let waited = Guesses {
            blocked_until: at(WAIT_SECS),
            ..after(TRIES_FREE, TRIES_FREE)
        };
        let (allowed, taken) = take(waited, false, at(WAIT_SECS));
        assert!(allowed);
        assert!(!take(taken, false, at(WAIT_SECS)).0, "one at a time");
        let back = give_back(taken, &taken, &waited);
        assert!(take(back, false, at(WAIT_SECS)).0);
        assert_eq!(back.failures, TRIES_FREE);
    }
}
