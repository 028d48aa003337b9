//! Time-based one-time codes: RFC 6238 over RFC 4226, SHA-1, six digits, 30 seconds, one step of drift either way.
//!
//! SHA-1 is what authenticator apps speak; HMAC-SHA1 is not touched by SHA-1's collisions. A code proves presence, not
//! content. Each is good once: the caller keeps the last accepted step and replaces it in the same statement that
//! compares it, or two parallel requests spend one code.

use aws_lc_rs::hmac;
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::Zeroizing;

use crate::secret::{ExposeSecret as _, SecretBytes, SecretString};

/// Length of a new secret in bytes: 160 bits (RFC 4226 §4, R6).
pub const SECRET_LEN: usize = 20;
/// Digits of a code.
pub const DIGITS: usize = 6;
/// Length of a step in seconds.
pub const STEP_SECS: u64 = 30;
/// Steps accepted before and after the present one.
pub const DRIFT_STEPS: u64 = 1;
/// Longest input that is looked at, in bytes (a code with any spacing).
const INPUT_BYTES_MAX: usize = 64;

/// A new secret.
#[must_use]
pub fn new_secret() -> SecretBytes {
    SecretBytes::random(SECRET_LEN)
}

/// The step of a moment (Unix microseconds); moments before 1970 count as step 0.
#[must_use]
pub fn step_at(now: i64) -> u64 {
    u64::try_from(now).unwrap_or(0) / (STEP_SECS * 1_000_000)
}

fn code_number(key: &hmac::Key, step: u64) -> u32 {
    let mac = hmac::sign(key, &step.to_be_bytes());
    let mac = mac.as_ref();
    // Dynamic truncation, RFC 4226 §5.3.
    let offset = usize::from(mac[mac.len() - 1] & 0x0f);
    let word = u32::from_be_bytes([mac[offset], mac[offset + 1], mac[offset + 2], mac[offset + 3]]);
    (word & 0x7fff_ffff) % 10u32.pow(DIGITS as u32)
}

fn key_of(secret: &SecretBytes) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose())
}

/// The code of a step, as an authenticator shows it.
#[must_use]
pub fn code_at(secret: &SecretBytes, step: u64) -> SecretString {
    SecretString::from(format!("{:06}", code_number(&key_of(secret), step)))
}

/// Checks a typed code at `now` (Unix microseconds). White space anywhere in it is ignored, so `123 456` is `123456`
/// also for replay. Gives the step to remember; only steps later than `last_step` count.
///
/// Every acceptable step is computed and compared whatever matches; should one code stand for two of them, the later
/// one is given, so that it cannot be used again.
#[must_use]
pub fn verify(secret: &SecretBytes, code: &str, now: i64, last_step: Option<u64>) -> Option<u64> {
    let typed = typed_number(code)?;
    let key = key_of(secret);
    let present = step_at(now);
    let mut matched = 0u64;
    let mut found = subtle::Choice::from(0);
    for step in present.saturating_sub(DRIFT_STEPS)..=present + DRIFT_STEPS {
        let fresh = subtle::Choice::from(u8::from(last_step.is_none_or(|last| step > last)));
        let accept = code_number(&key, step).ct_eq(&typed) & fresh;
        matched.conditional_assign(&step, accept);
        found |= accept;
    }
    bool::from(found).then_some(matched)
}

fn typed_number(code: &str) -> Option<u32> {
    if code.len() > INPUT_BYTES_MAX {
        return None;
    }
    let mut number = 0u32;
    let mut count = 0;
    for c in code.chars().filter(|c| !c.is_whitespace()) {
        count += 1;
        if count > DIGITS {
            return None;
        }
        number = number * 10 + c.to_digit(10)?;
    }
    (count == DIGITS).then_some(number)
}

/// The secret as people type it: base32 without padding (RFC 4648 §6).
#[must_use]
pub fn secret_text(secret: &SecretBytes) -> SecretString {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = Zeroizing::new(String::with_capacity(secret.len().div_ceil(5) * 8));
    for chunk in secret.expose().chunks(5) {
        let mut block = [0u8; 8];
        block[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(block);
        for index in 0..(chunk.len() * 8).div_ceil(5) {
            text.push(char::from(ALPHABET[(bits >> (35 - 5 * index)) as usize & 31]));
        }
    }
    SecretString::from(std::mem::take(&mut *text))
}

/// The `otpauth://` address for a QR code (Google Authenticator's key URI format): issuer and account are shown to the
/// person; parameters that equal the defaults are written out because some apps want them.
#[must_use]
pub fn uri(issuer: &str, account: &str, secret: &SecretBytes) -> SecretString {
    let (issuer, account) = (percent_encoded(issuer), percent_encoded(account));
    let secret = secret_text(secret);
    SecretString::from(format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECS}",
        secret.expose_secret()
    ))
}

/// RFC 3986 §2.3: everything but unreserved characters is escaped.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn rfc_secret() -> SecretBytes {
        SecretBytes::copy_of(b"12345678901234567890")
    }

    #[test]
    fn codes_match_rfc_6238_appendix_b() {
        // The appendix prints eight digits; six-digit codes are their last six.
        for (seconds, eight) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            let code = code_at(&rfc_secret(), step_at(seconds * SECOND));
            assert_eq!(code.expose_secret(), &eight[2..], "{seconds}");
        }
    }

    #[test]
    fn one_step_of_drift_is_accepted_and_no_more() {
        let now = 1_111_111_111 * SECOND;
        let step = step_at(now);
        for (offset, accepted) in [(-2i64, false), (-1, true), (0, true), (1, true), (2, false)] {
            let other = step.checked_add_signed(offset).unwrap();
            let code = code_at(&rfc_secret(), other);
            let outcome = verify(&rfc_secret(), code.expose_secret(), now, None);
            assert_eq!(outcome, accepted.then_some(other), "{offset}");
        }
    }

    #[test]
    fn a_code_is_good_once_also_with_spaces() {
        let now = 59 * SECOND;
        assert_eq!(verify(&rfc_secret(), "287082", now, None), Some(1));
        assert_eq!(verify(&rfc_secret(), "287082", now, Some(0)), Some(1));
        assert_eq!(verify(&rfc_secret(), "287082", now, Some(1)), None);
        assert_eq!(verify(&rfc_secret(), " 287 082\n", now, None), Some(1));
        assert_eq!(verify(&rfc_secret(), "287 082", now, Some(1)), None);
    }

    #[test]
    fn an_older_step_than_the_last_accepted_one_is_refused() {
        let now = 1_111_111_111 * SECOND;
        let previous = code_at(&rfc_secret(), step_at(now) - 1);
        assert!(verify(&rfc_secret(), previous.expose_secret(), now, None).is_some());
        assert_eq!(
            verify(&rfc_secret(), previous.expose_secret(), now, Some(step_at(now))),
            None
        );
    }

    #[test]
    fn only_six_decimal_digits_are_a_code() {
        let now = 59 * SECOND;
        for bad in [
            "",
            "28708",
            "2870822",
            "28708a",
            "-87082",
            "+87082",
            "２８７０８２",
            "287-082",
        ] {
            assert_eq!(verify(&rfc_secret(), bad, now, None), None, "{bad}");
        }
        assert_eq!(
            verify(&rfc_secret(), &format!("{}287082", " ".repeat(100)), now, None),
            None
        );
    }

    #[test]
    fn another_secret_is_refused_and_time_before_1970_does_not_panic() {
        assert_eq!(
            verify(&SecretBytes::copy_of(&[0; 20]), "287082", 59 * SECOND, None),
            None
        );
        assert_eq!(step_at(-5), 0);
        assert_eq!(verify(&rfc_secret(), "755224", i64::MIN, None), Some(0));
    }

    #[test]
    fn text_of_a_secret_matches_rfc_4648() {
        for (bytes, text) in [
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(
                secret_text(&SecretBytes::copy_of(bytes.as_bytes())).expose_secret(),
                text
            );
        }
        assert_eq!(secret_text(&new_secret()).expose_secret().len(), 32);
    }

    #[test]
    fn the_address_escapes_names_and_carries_the_secret() {
        let uri = uri("Strongroom Bank", "o'brien+x@example.org", &rfc_secret());
        assert_eq!(
            uri.expose_secret(),
            "otpauth://totp/Strongroom%20Bank:o%27brien%2Bx%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Strongroom%20Bank&algorithm=SHA1&digits=6&period=30"
        );
        assert!(!format!("{uri:?}").contains("GEZD"));
    }
}
