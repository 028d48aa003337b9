//! Luck: every random value of the bank is drawn here.
//!
//! Source: AWS-LC's generator (NIST SP 800-90A CTR_DRBG, seeded and re-seeded from the operating system). When it
//! fails the process must not go on, so these functions panic instead of returning an error that a caller could
//! ignore; AWS-LC itself aborts in practically all such cases.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::{Zeroize, Zeroizing};

use crate::secret::SecretString;

/// Most digits that [`digits`] gives at once.
pub const DIGITS_MAX: usize = 64;

/// Length of [`token`]'s text in characters (256 bits, base64url without padding).
pub const TOKEN_CHARS: usize = 43;

/// Characters of generated passwords: no look-alikes (0/O, 1/l/I), easy to read out.
const PASSWORD_ALPHABET: &[u8; 55] = b"23456789abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXY";
/// Groups of a generated password.
const PASSWORD_GROUPS: usize = 4;
/// Characters in a group: 4 × 5 × log2(55) = 115 bits.
const PASSWORD_GROUP_CHARS: usize = 5;

/// Random bytes that one thread draws ahead for its ids: a call of the generator costs more than the rest of an id.
const ID_BYTES_AHEAD: usize = 1024;

thread_local! {
    /// Bytes drawn ahead, and how many of them are used up.
    static AHEAD: RefCell<([u8; ID_BYTES_AHEAD], usize)> =
        const { RefCell::new(([0; ID_BYTES_AHEAD], ID_BYTES_AHEAD)) };
}

/// Eight random bytes for an id. For nothing secret: they wait in plain memory.
fn id_bytes() -> [u8; 8] {
    AHEAD.with_borrow_mut(|(drawn, used)| {
        if *used == ID_BYTES_AHEAD {
            fill(drawn);
            *used = 0;
        }
        *used += 8;
        drawn[*used - 8..*used].try_into().expect("eight bytes")
    })
}

/// Fills `dest` from the generator.
///
/// # Panics
/// When the generator fails.
pub fn fill(dest: &mut [u8]) {
    aws_lc_rs::rand::fill(dest).expect("the random number generator failed");
}

/// `N` random bytes.
///
/// # Panics
/// When the generator fails.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0u8; N];
    fill(&mut out);
    out
}

/// A uniform number in `0..bound`, by rejection sampling (no modulo bias).
///
/// # Panics
/// When `bound` is zero or the generator fails.
#[must_use]
pub fn below(bound: u32) -> u32 {
    assert!(bound > 0, "below(0) has no answer");
    // The largest multiple of `bound` that fits: values from there on would favour small remainders.
    let limit = (1u64 << 32) / u64::from(bound) * u64::from(bound);
    loop {
        let drawn = u32::from_be_bytes(bytes());
        if u64::from(drawn) < limit {
            return drawn % bound;
        }
    }
}

/// A UUID version 7 (RFC 9562 §5.7) for the moment `unix_micros`.
///
/// `rand_a` holds the sub-millisecond fraction (§6.2, method 3), so ids of one process sort by time to about a
/// quarter of a microsecond; the other 62 bits are random. An id is not a secret. Times before 1970 count as 1970.
#[must_use]
pub fn uuid_v7(unix_micros: i64) -> [u8; 16] {
    let micros = u64::try_from(unix_micros).unwrap_or(0);
    let (millis, rest) = (micros / 1000, micros % 1000);
    let fraction = (rest << 12) / 1000;
    let mut id = [0u8; 16];
    id[8..].copy_from_slice(&id_bytes());
    id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    id[6] = 0x70 | (fraction >> 8) as u8;
    id[7] = fraction as u8;
    id[8] = 0x80 | (id[8] & 0x3f);
    id
}

/// `count` uniform decimal digits, leading zeros included (for account numbers).
///
/// # Panics
/// When `count` exceeds [`DIGITS_MAX`] or the generator fails.
#[must_use]
pub fn digits(count: usize) -> String {
    assert!(count <= DIGITS_MAX, "at most {DIGITS_MAX} digits at once");
    let mut out = String::with_capacity(count);
    while out.len() < count {
        for byte in bytes::<32>() {
            // 250 is the largest multiple of ten that fits a byte.
            if byte < 250 && out.len() < count {
                out.push(char::from(b'0' + byte % 10));
            }
        }
    }
    out
}

/// A 256-bit secret as [`TOKEN_CHARS`] characters of base64url (mail tokens, cookies, challenges).
#[must_use]
pub fn token() -> SecretString {
    let mut raw = bytes::<32>();
    let text = URL_SAFE_NO_PAD.encode(raw);
    raw.zeroize();
    SecretString::from(text)
}

/// A password that a person can read out and type: four groups of five characters, 115 bits.
#[must_use]
pub fn password() -> SecretString {
    let mut text = Zeroizing::new(String::with_capacity(
        PASSWORD_GROUPS * (PASSWORD_GROUP_CHARS + 1),
    ));
    for group in 0..PASSWORD_GROUPS {
        if group > 0 {
            text.push('-');
        }
        for _ in 0..PASSWORD_GROUP_CHARS {
            let drawn = below(PASSWORD_ALPHABET.len() as u32) as usize;
            text.push(char::from(PASSWORD_ALPHABET[drawn]));
        }
    }
    SecretString::from(std::mem::take(&mut *text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ExposeSecret;

    #[test]
    fn uuid_has_version_variant_and_the_time_of_its_moment() {
        // 2024-01-01T00:00:00.123456Z
        let id = uuid_v7(1_704_067_200_123_456);
        assert_eq!(id[6] >> 4, 7);
        assert_eq!(id[8] >> 6, 0b10);
        let mut millis = [0u8; 8];
        millis[2..].copy_from_slice(&id[..6]);
        assert_eq!(u64::from_be_bytes(millis), 1_704_067_200_123);
        let fraction = u64::from(id[6] & 0x0f) << 8 | u64::from(id[7]);
        assert_eq!(fraction, 456 * 4096 / 1000);
    }

    #[test]
    fn uuids_of_successive_microseconds_sort_by_time() {
        let start = 1_704_067_200_000_000;
        let ids: Vec<_> = (0..5_000).map(|i| uuid_v7(start + i)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn uuids_of_one_moment_differ_and_a_time_before_1970_is_accepted() {
        assert_ne!(uuid_v7(5), uuid_v7(5));
        assert_eq!(uuid_v7(-1)[..6], [0; 6]);
    }

    #[test]
    fn ids_of_one_moment_never_repeat_also_beyond_what_is_drawn_ahead_and_across_threads() {
        let draw = || {
            (0..3 * ID_BYTES_AHEAD / 8)
                .map(|_| uuid_v7(5))
                .collect::<Vec<_>>()
        };
        let mut ids = draw();
        ids.extend(std::thread::spawn(draw).join().unwrap());
        let drawn = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), drawn);
        // Every random bit takes both values.
        let (all, any) = ids.iter().fold(([0xff; 8], [0; 8]), |(mut all, mut any), id| {
            for index in 0..8 {
                all[index] &= id[8 + index];
                any[index] |= id[8 + index];
            }
            (all, any)
        });
        assert_eq!(
            (all, any),
            (
                [0x80, 0, 0, 0, 0, 0, 0, 0],
                [0xbf, 255, 255, 255, 255, 255, 255, 255]
            )
        );
    }

    #[test]
    fn numbers_below_a_bound_reach_every_value_evenly() {
        let mut seen = [0u32; 55];
        for _ in 0..55_000 {
            seen[below(55) as usize] += 1;
        }
        // Mean 1000, standard deviation 31: eight of them either way.
        assert!(seen.iter().all(|&count| (750..1250).contains(&count)), "{seen:?}");
        assert_eq!(below(1), 0);
    }

    #[test]
    fn digits_are_decimal_evenly_spread_and_as_many_as_asked() {
        assert_eq!(digits(0), "");
        let mut seen = [0u32; 10];
        for _ in 0..1_000 {
            let number = digits(10);
            assert_eq!(number.len(), 10);
            for c in number.chars() {
                seen[c.to_digit(10).unwrap() as usize] += 1;
            }
        }
        assert!(seen.iter().all(|&count| (760..1240).contains(&count)), "{seen:?}");
    }

    #[test]
    fn tokens_are_url_safe_and_differ() {
        let (a, b) = (token(), token());
        assert_eq!(a.expose_secret().len(), TOKEN_CHARS);
        assert!(
            a.expose_secret()
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
        );
        assert_ne!(a.expose_secret(), b.expose_secret());
    }

    #[test]
    fn generated_passwords_have_their_shape_and_no_look_alikes() {
        let secret = password();
        let text = secret.expose_secret();
        assert_eq!(
            text.len(),
            PASSWORD_GROUPS * PASSWORD_GROUP_CHARS + PASSWORD_GROUPS - 1
        );
        assert!(!text.contains(['0', 'O', '1', 'l', 'I']), "{text}");
        assert_eq!(text.split('-').count(), PASSWORD_GROUPS);
        let bits = (PASSWORD_GROUPS * PASSWORD_GROUP_CHARS) as f64 * (PASSWORD_ALPHABET.len() as f64).log2();
        assert!(bits >= 100.0, "{bits}");
    }
}
