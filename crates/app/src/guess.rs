//! How often a secret may be guessed at. The one place that counts.
//!
//! A try is counted before the secret is looked at, in one locked row, so that many at once never get more than one
//! after another would. The count is of an address as typed (whether or not anybody has it) and, apart from it, of
//! each known device: who guesses from elsewhere cannot lock the owner out of the owner's own devices. Only a
//! complete login begins a count anew.

use strongroom_crypto::PasswordError;
use strongroom_domain::{id::UserId, time::Timestamp};
use strongroom_store::{Scope, identity::Guesses};

use crate::{bank::Bank, error::Error, registration::busy};

/// Tries before there is a wait.
pub(crate) const TRIES_FREE: u32 = 5;
/// The first wait, in seconds; it doubles with every further failure.
pub(crate) const WAIT_SECS: i64 = 15 * 60;
/// The longest wait, in seconds.
pub(crate) const WAIT_SECS_MAX: i64 = 4 * 60 * 60;
/// A count that nothing was added to for so long is forgotten, in seconds.
pub(crate) const FORGET_SECS: i64 = 24 * 60 * 60;
const INDEX: &str = "guesses";

/// Whose tries are counted together.
pub(crate) type Subject = [u8; 16];

/// Counts a try; whether it may be made, and the count afterwards.
fn take(mut count: Guesses, now: Timestamp) -> (bool, Guesses) {
    if now.seconds_since(count.updated_at) > FORGET_SECS {
        count = Guesses::default();
    }
    if now < count.blocked_until {
        return (false, count);
    }
    count.failures = count.failures.saturating_add(1);
    count.updated_at = now;
    if let Some(beyond) = count.failures.checked_sub(TRIES_FREE) {
        let doubled = WAIT_SECS.checked_shl(beyond.min(16)).unwrap_or(WAIT_SECS_MAX);
        count.blocked_until = now.plus_seconds(doubled.min(WAIT_SECS_MAX));
    }
    (true, count)
}

/// Takes a try back that was counted and could not be made.
fn give_back(mut count: Guesses) -> Guesses {
    count.failures = count.failures.saturating_sub(1);
    if count.failures < TRIES_FREE {
        count.blocked_until = Timestamp::default();
    }
    count
}

impl Bank {
    /// Who is counted: an address, on a device that the person is known by or on all others.
    pub(crate) fn guess_subject(&self, email_index: &[u8; 16], device: Option<&[u8; 32]>) -> Subject {
        let mut name = email_index.to_vec();
        name.extend_from_slice(device.map_or(&[][..], |hash| hash));
        self.ring.blind_index(INDEX, &name)
    }

    /// Who is counted where a logged-in person proves the password again.
    pub(crate) fn guess_subject_of(&self, person: UserId) -> Subject {
        let mut name = b"person".to_vec();
        name.extend_from_slice(person.as_bytes());
        self.ring.blind_index(INDEX, &name)
    }

    /// Who is counted where nobody in particular tries: a network address, for IPv6 its /64.
    pub(crate) fn guess_subject_of_address(&self, address: &str) -> Subject {
        let network = match address.parse() {
            Ok(std::net::IpAddr::V6(v6)) => v6.octets()[..8].to_vec(),
            _ => address.as_bytes().to_vec(),
        };
        self.ring
            .blind_index(INDEX, &[&b"address"[..], &network].concat())
    }

    /// Takes a try back that turned out not to be wrong.
    pub(crate) async fn return_guess(&self, subject: &Subject) -> Result<(), Error> {
        let tx = self.store.write(Scope::System).await?;
        let count = give_back(tx.lock_guesses(subject, self.clock.now()).await?);
        tx.set_guesses(subject, count).await?;
        Ok(tx.commit().await?)
    }

    /// Counts a try before it is made; false when it must not be made.
    pub(crate) async fn take_guess(&self, subject: &Subject, now: Timestamp) -> Result<bool, Error> {
        let tx = self.store.write(Scope::System).await?;
        let (allowed, count) = take(tx.lock_guesses(subject, now).await?, now);
        tx.set_guesses(subject, count).await?;
        tx.commit().await?;
        if !allowed {
            metrics::counter!("strongroom_guesses_refused_total").increment(1);
        }
        Ok(allowed)
    }
}

impl Bank {
    /// What the pool says about a password whose try was counted. A bank that is too busy to look must not lock anybody
    /// out: then the try is given back.
    pub(crate) async fn counted<T>(
        &self,
        subject: &Subject,
        allowed: bool,
        looked: Result<T, PasswordError>,
        now: Timestamp,
    ) -> Result<T, Error> {
        match looked {
            Ok(found) => Ok(found),
            Err(error) => {
                if allowed {
                    let tx = self.store.write(Scope::System).await?;
                    let count = give_back(tx.lock_guesses(subject, now).await?);
                    tx.set_guesses(subject, count).await?;
                    tx.commit().await?;
                }
                Err(busy(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).plus_seconds(seconds)
    }

    #[test]
    fn five_tries_are_free_and_the_sixth_waits_a_quarter_of_an_hour() {
        let mut count = Guesses::default();
        for _ in 0..TRIES_FREE {
            let (allowed, next) = take(count, at(0));
            assert!(allowed);
            count = next;
        }
        assert!(!take(count, at(0)).0);
        assert!(!take(count, at(WAIT_SECS - 1)).0);
        assert!(take(count, at(WAIT_SECS)).0);
    }

    #[test]
    fn each_further_failure_doubles_the_wait_up_to_a_bound() {
        let mut count = Guesses {
            failures: TRIES_FREE,
            ..Guesses {
                updated_at: at(0),
                ..Guesses::default()
            }
        };
        let mut now = at(0);
        for wait in [
            WAIT_SECS * 2,
            WAIT_SECS * 4,
            WAIT_SECS * 8,
            WAIT_SECS_MAX,
            WAIT_SECS_MAX,
        ] {
            let (allowed, next) = take(count, now);
            assert!(allowed);
            assert_eq!(next.blocked_until.seconds_since(now), wait);
            now = next.blocked_until;
            count = next;
        }
    }

    #[test]
    fn a_refused_try_adds_nothing_and_a_quiet_day_forgets() {
        let count = Guesses {
            failures: 9,
            blocked_until: at(60),
            updated_at: at(0),
        };
        assert_eq!(take(count, at(1)), (false, count));
        let (allowed, next) = take(count, at(FORGET_SECS + 1));
        assert!(allowed);
        assert_eq!(next.failures, 1);
    }

    #[test]
    fn a_try_that_could_not_be_made_is_given_back() {
        let mut count = Guesses::default();
        for _ in 0..TRIES_FREE {
            count = take(count, at(0)).1;
        }
        assert!(!take(count, at(1)).0);
        let (allowed, again) = take(give_back(count), at(1));
        assert!(allowed);
        assert_eq!(again.failures, TRIES_FREE);
        assert_eq!(give_back(Guesses::default()).failures, 0);
    }
}
