//! Harder questions while failures rise everywhere.
//!
//! Who tries one password at very many logins stays below every count of a single login or network. So wrong tries of
//! everybody are counted besides, for a few minutes; where there are too many, unknown devices have to do a little work
//! of their own before a password is looked at: a puzzle that is bound to the address, good for minutes and once. It
//! grows with the failures. Known devices, passkeys and issuers are asked for nothing, and known devices have places of
//! their own among those who wait for a hash.
//!
//! The count is of this process: nothing about it is exact, and it must cost nothing under attack.

use std::sync::{Mutex, PoisonError};

use strongroom_crypto::puzzle::Solved;
use strongroom_domain::{ledger::Nonce, time::Timestamp};
use strongroom_store::Scope;

use crate::{
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::{email::Email, personal::Client},
};

/// How long a wrong try counts, in seconds.
pub const FAILURES_SECS: i64 = 5 * 60;
/// How long a puzzle may be solved, in seconds.
pub const PUZZLE_SECS: i64 = 5 * 60;
/// Work of a puzzle when failures begin to be too many, in bits: about a quarter of a million digests.
pub const PUZZLE_BITS: u8 = 18;
/// The most work, in bits; one more each time that failures double.
pub const PUZZLE_BITS_MAX: u8 = 22;
/// Parts that the time is counted in.
const PARTS: usize = 5;
#[expect(clippy::cast_possible_wrap, reason = "five")]
const PART_SECS: i64 = FAILURES_SECS / PARTS as i64;
/// Kind of the digest under which a puzzle is remembered.
const KIND: &str = "puzzle";

/// A puzzle that a client shows with its answer.
#[derive(Debug, Clone)]
pub struct ShownPuzzle {
    /// The puzzle, as it was given.
    pub puzzle: String,
    /// Its answer.
    pub answer: String,
}

/// Wrong tries of everybody in the last minutes: a handful of numbers, whatever happens.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<[(i64, u32); PARTS]>);

impl Failures {
    /// One more.
    pub(crate) fn add(&self, now: Timestamp) {
        let part = part_of(now);
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = usize::try_from(part.rem_euclid(PART_COUNT)).unwrap_or_default();
        if let Some(slot) = parts.get_mut(at) {
            if slot.0 != part {
                *slot = (part, 0);
            }
            slot.1 = slot.1.saturating_add(1);
        }
    }

    /// How many there were.
    pub(crate) fn recent(&self, now: Timestamp) -> u32 {
        let part = part_of(now);
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = parts.iter().filter(|(of, _)| part - of < PART_COUNT);
        recent.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

#[expect(clippy::cast_possible_wrap, reason = "five")]
const PART_COUNT: i64 = PARTS as i64;

fn part_of(now: Timestamp) -> i64 {
    now.micros().div_euclid(PART_SECS * 1_000_000)
}

/// The work that is asked for after so many failures, where that is too many.
fn bits_after(failures: u32, bound: u32) -> Option<u8> {
    let times = failures.checked_div(bound)?;
    let doubled = u8::try_from(times.checked_ilog2()?).unwrap_or(u8::MAX);
    Some(PUZZLE_BITS.saturating_add(doubled).min(PUZZLE_BITS_MAX))
}

impl Bank {
    /// Lets an unknown device go on where failures are few, or with a solved puzzle about this address. The same for an
    /// address of nobody.
    ///
    /// # Errors
    /// `puzzle_required`, with a new puzzle.
    pub(crate) async fn require_work(&self, cx: &Cx, client: &Client, email: &Email) -> Result<(), Error> {
        let failures = self.identity.wrong_tries.recent(cx.now());
        let Some(bits) = bits_after(failures, self.identity.settings.puzzle_after) else {
            return Ok(());
        };
        let about = email.index(&self.ring());
        let solved = client
            .puzzle
            .as_ref()
            .and_then(|shown| self.ring().solved_puzzle(&about, &shown.puzzle, &shown.answer));
        if let Some(solved) = solved
            && self.spend_puzzle(cx, &solved).await?
        {
            return Ok(());
        }
        metrics::counter!("strongroom_puzzles_asked_total").increment(1);
        let mut error = Error::new(
            Kind::Puzzle,
            "puzzle_required",
            "Too many logins fail at the moment. Solve the puzzle, or use a passkey or a device that is known.",
        );
        error.challenge = Some(
            self.ring()
                .puzzle(&about, bits, cx.now().micros())
                .into_boxed_str(),
        );
        Err(error)
    }

    /// A puzzle counts once, on all nodes together, and where it was made while less was asked for, too.
    async fn spend_puzzle(&self, cx: &Cx, solved: &Solved) -> Result<bool, Error> {
        let made_at = Timestamp::from_micros(solved.made_at);
        let age = cx.now().seconds_since(made_at);
        if !(0..PUZZLE_SECS).contains(&age) || solved.bits < PUZZLE_BITS {
            return Ok(false);
        }
        let digest = strongroom_crypto::nonce_digest(KIND, &solved.digest, "");
        let tx = self.store.write(Scope::System).await?;
        let first = tx.use_nonce(&Nonce::new(digest, made_at), cx.request).await?;
        tx.commit().await?;
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_795_132_800_000_000).plus_seconds(seconds)
    }

    #[test]
    fn wrong_tries_are_counted_for_five_minutes_and_no_longer() {
        let failures = Failures::default();
        for second in 0..FAILURES_SECS {
            failures.add(at(second));
        }
        assert_eq!(failures.recent(at(FAILURES_SECS - 1)), 300);
        assert_eq!(failures.recent(at(FAILURES_SECS)), 240);
        assert_eq!(failures.recent(at(2 * FAILURES_SECS)), 0);
        failures.add(at(2 * FAILURES_SECS));
        assert_eq!(failures.recent(at(2 * FAILURES_SECS)), 1);
    }

    #[test]
    fn work_begins_at_the_bound_and_grows_with_each_doubling_up_to_a_bound() {
        for (failures, bits) in [
            (0, None),
            (99, None),
            (100, Some(18)),
            (199, Some(18)),
            (200, Some(19)),
            (1_600, Some(22)),
            (u32::MAX, Some(22)),
        ] {
            assert_eq!(bits_after(failures, 100), bits, "{failures}");
        }
        assert_eq!(bits_after(1, 0), None, "switched off");
    }
}
