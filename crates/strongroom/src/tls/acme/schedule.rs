//! When a directory is asked: for the next certificate long before the old one ends, and after a failure later and
//! later.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use rustls::pki_types::CertificateDer;

use crate::tls::validity::Validity;

/// Longest wait between two tries that failed.
pub(super) const RETRY_LONGEST: Duration = Duration::from_secs(6 * 3600);
/// Longest wait that a directory can ask for.
pub(super) const RETRY_AFTER_LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Longest wait after a start: whoever repaired something and starts the server sees soon whether it was that. A server
/// that starts over and over, and fails, asks up to twelve times an hour, which may be more than a directory allows.
pub(super) const START_WAIT_LONGEST: Duration = Duration::from_secs(300);

/// The moment of renewal in the life of a certificate: between these two shares of it, in thousandths. Two thirds of a
/// life are never reached while the directory answers.
const RENEW_FROM: i64 = 500;
const RENEW_UNTIL: i64 = 650;
/// What is left of a life when a certificate comes, divided by this: for so long no other one is ordered.
const KEPT_PART: i64 = 4;

/// When a certificate is renewed, in seconds since 1970.
///
/// Somewhere between half and two thirds of its life, so that nodes that were started together do not ask together. The
/// place is the certificate's own (the end of its signature is as good as drawn by lot): a restart does not draw again.
pub(super) fn renewal(leaf: &CertificateDer<'_>, validity: Validity) -> i64 {
    let life = validity.until.saturating_sub(validity.from).max(0);
    let lot = leaf.last_chunk::<4>().map_or(0, |end| u32::from_be_bytes(*end));
    let share = RENEW_FROM + i64::from(lot) % (RENEW_UNTIL - RENEW_FROM);
    // Divided first: a life of centuries must not overflow, and a thousandth of a second decides nothing.
    let whole = life / 1000 * share;
    let rest = life % 1000 * share / 1000;
    validity.from.saturating_add(whole).saturating_add(rest)
}

/// The earliest renewal of a certificate that was had now, in seconds since 1970: one that was dated back, so that its
/// usual moment is over when it comes, would be ordered again without end.
pub(super) fn earliest(validity: Validity, now: i64) -> i64 {
    let left = validity.until.saturating_sub(now).max(0);
    now.saturating_add(left / KEPT_PART)
}

/// How long to wait after so many failures in a row: `first` doubled by each, up to [`RETRY_LONGEST`], and up to a
/// quarter more by lot. Also after none: no two orders follow each other faster than `first`.
pub(super) fn wait(failures: u32, first: Duration, asked_for: Option<Duration>) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let bounded = doubled.min(RETRY_LONGEST);
    let lot = u32::try_from(RandomState::new().build_hasher().finish() % 256).unwrap_or(0);
    let jittered = bounded + bounded / 4 * lot / 256;
    jittered.max(asked_for.unwrap_or_default().min(RETRY_AFTER_LONGEST))
}

/// How long to wait after a start, in seconds: not longer than [`START_WAIT_LONGEST`] for what failed before, and as
/// long as the directory asked for, however often the server starts meanwhile.
pub(super) fn start_wait(failed: Duration, not_before: i64, now: i64) -> i64 {
    let failed = super::seconds(failed.min(START_WAIT_LONGEST));
    // A clock that was set back must not stop it for longer than a directory can ask for.
    let asked = not_before
        .saturating_sub(now)
        .min(super::seconds(RETRY_AFTER_LONGEST));
    failed.max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    #[test]
    fn a_start_waits_as_long_as_the_directory_asked_and_not_for_ever() {
        let (now, hour) = (1_700_000_000, Duration::from_secs(3600));
        assert_eq!(start_wait(hour, 0, now), 300);
        assert_eq!(start_wait(Duration::ZERO, now + 7200, now), 7200);
        assert_eq!(
            start_wait(hour, now + 7200, now + 7000),
            300,
            "most of it is over"
        );
        assert_eq!(start_wait(hour, i64::MAX, now), 24 * 3600);
        assert_eq!(start_wait(hour, i64::MIN, now), 300);
    }

    fn leaf(end: [u8; 4]) -> CertificateDer<'static> {
        CertificateDer::from(end.to_vec())
    }

    #[test]
    fn a_certificate_is_renewed_between_half_and_two_thirds_of_its_life_wherever_its_lot_falls() {
        for life in [1, 30, 6 * DAY, 47 * DAY, 90 * DAY, 398 * DAY, i64::MAX] {
            let validity = Validity { from: 0, until: life };
            for lot in [[0; 4], [0, 0, 0, 149], [0xff; 4], [1, 2, 3, 4]] {
                let at = renewal(&leaf(lot), validity);
                assert!(at >= life / 2 - 1 && at < life / 3 * 2 + 1, "{life} {lot:?} {at}");
                assert_eq!(at, renewal(&leaf(lot), validity), "a restart draws the same lot");
            }
        }
        let validity = Validity {
            from: 0,
            until: 90 * DAY,
        };
        assert_ne!(
            renewal(&leaf([0; 4]), validity),
            renewal(&leaf([0, 0, 0, 9]), validity)
        );
        // A life that is none is over.
        let never = Validity { from: 10, until: 5 };
        assert_eq!(renewal(&leaf([7; 4]), never), 10);
    }

    #[test]
    fn a_certificate_that_is_old_when_it_comes_is_kept_for_a_quarter_of_what_is_left() {
        let validity = Validity {
            from: -900 * DAY,
            until: 100 * DAY,
        };
        assert!(renewal(&leaf([7; 4]), validity) < 0, "the usual moment is over");
        assert_eq!(earliest(validity, 0), 25 * DAY);
        // Of a whole life it is before the usual moment.
        let whole = Validity {
            from: 0,
            until: 90 * DAY,
        };
        assert!(earliest(whole, 0) < renewal(&leaf([0; 4]), whole));
        assert_eq!(earliest(whole, 91 * DAY), 91 * DAY, "nothing is left of it");
        let endless = Validity {
            from: 0,
            until: i64::MAX,
        };
        assert!(earliest(endless, i64::MIN) < i64::MAX);
    }

    #[test]
    fn waits_double_up_to_a_bound_and_a_directory_can_ask_for_more_up_to_a_day() {
        let first = Duration::from_secs(60);
        for (failures, least) in [
            (0, 60),
            (1, 60),
            (2, 120),
            (3, 240),
            (9, 15_360),
            (10, 21_600),
            (40, 21_600),
        ] {
            let waited = wait(failures, first, None).as_secs();
            assert!(
                (least..=least + least / 4).contains(&waited),
                "{failures}: {waited}"
            );
        }
        let hour = Duration::from_secs(3600);
        assert_eq!(wait(1, first, Some(hour)), hour);
        assert_eq!(wait(1, first, Some(hour * 24 * 365)), RETRY_AFTER_LONGEST);
        assert!(
            wait(9, first, Some(hour)) > hour * 4,
            "less than our own patience shortens nothing"
        );
    }
}
