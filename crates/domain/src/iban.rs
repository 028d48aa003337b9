//! Account numbers in the form of an IBAN (ISO 13616, check digits by ISO 7064 MOD 97-10).
//!
//! The bank's country and code are fixed at first start; the account part is drawn at random, so
//! that a number tells nothing about how many accounts there are or when one was opened.

use std::fmt;

/// Digits of the account part.
pub const ACCOUNT_DIGITS: usize = 10;
/// Longest IBAN, in characters.
const IBAN_CHARS_MAX: usize = 34;
const IBAN_CHARS_MIN: usize = 15;

/// A well-formed account number with right check digits, without spaces, in upper case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Iban(String);

/// Not an IBAN, or its check digits are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid account number (IBAN)")]
pub struct IbanError;

impl Iban {
    /// Reads an IBAN as people write it: spaces are dropped, case is folded.
    ///
    /// # Errors
    /// [`IbanError`] for a wrong length, a character outside A–Z and 0–9, or wrong check digits.
    pub fn parse(text: &str) -> Result<Self, IbanError> {
        if text.len() > IBAN_CHARS_MAX.saturating_mul(2) {
            return Err(IbanError);
        }
        let compact: String = text
            .chars()
            .filter(|c| *c != ' ')
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let form = compact.len() >= IBAN_CHARS_MIN
            && compact.len() <= IBAN_CHARS_MAX
            && compact
                .bytes()
                .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
            && compact.bytes().take(2).all(|b| b.is_ascii_uppercase())
            && compact.bytes().skip(2).take(2).all(|b| b.is_ascii_digit());
        // 00, 01 and 99 have the remainders of 97, 98 and 02: taken as they are, a number would have two texts.
        let canonical = compact
            .get(2..4)
            .is_some_and(|check| ("02"..="98").contains(&check));
        if form && canonical && remainder(&compact) == Some(1) {
            Ok(Self(compact))
        } else {
            Err(IbanError)
        }
    }

    /// Puts a number together from the bank's country, its code and a random account part.
    ///
    /// # Errors
    /// [`IbanError`] when a part has characters outside A–Z and 0–9 or the whole is too long.
    pub fn compose(country: &str, bank_code: &str, account_part: &str) -> Result<Self, IbanError> {
        let zero = format!("{country}00{bank_code}{account_part}");
        let check = remainder(&zero)
            .and_then(|rest| 98_u32.checked_sub(rest))
            .ok_or(IbanError)?;
        Self::parse(&format!("{country}{check:02}{bank_code}{account_part}"))
    }

    /// The number without spaces.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The value of the rearranged number modulo 97.
fn remainder(compact: &str) -> Option<u32> {
    let (head, tail) = compact.split_at_checked(4)?;
    let mut rest: u32 = 0;
    for c in tail.chars().chain(head.chars()) {
        let digit = c.to_digit(36)?;
        let shift: u32 = if digit > 9 { 100 } else { 10 };
        rest = rest.checked_mul(shift)?.checked_add(digit)?.checked_rem(97)?;
    }
    Some(rest)
}

impl fmt::Display for Iban {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples_are_read_as_people_write_them() {
        for text in [
            "DE89 3704 0044 0532 0130 00",
            "gb82west12345698765432",
            "CZ65 0800 0000 1920 0014 5399",
        ] {
            assert!(Iban::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn every_single_wrong_digit_and_every_swap_is_found() {
        let good = Iban::compose("DE", "10010010", "0123456789").unwrap();
        let bytes = good.as_str().as_bytes();
        for i in 2..bytes.len() {
            for digit in b'0'..=b'9' {
                let mut other = bytes.to_vec();
                other[i] = digit;
                let text = String::from_utf8(other).unwrap();
                assert_eq!(Iban::parse(&text).is_ok(), text == good.as_str(), "{text}");
            }
            if i + 1 < bytes.len() && bytes[i] != bytes[i + 1] {
                let mut other = bytes.to_vec();
                other.swap(i, i + 1);
                assert!(Iban::parse(std::str::from_utf8(&other).unwrap()).is_err());
            }
        }
    }

    #[test]
    fn a_number_has_one_text_only() {
        let mut aliases = 0;
        for account in 0..500 {
            let good = Iban::compose("DE", "10010010", &format!("{account:010}")).unwrap();
            let (check, rest) = (&good.as_str()[2..4], &good.as_str()[4..]);
            for alias in 0..100 {
                let text = format!("DE{alias:02}{rest}");
                assert_eq!(Iban::parse(&text).is_ok(), text[2..4] == *check, "{text}");
            }
            aliases += usize::from(matches!(check, "97" | "98" | "02"));
        }
        assert!(aliases > 0, "none of the numbers had an alias to refuse");
    }

    #[test]
    fn shapes_that_are_no_number_are_refused() {
        for bad in [
            "",
            "DE",
            "DE89",
            "DE89-3704-0044-0532-0130-00",
            "1234567890123456",
            "DE8937040044053201300Ö",
        ] {
            assert!(Iban::parse(bad).is_err(), "{bad}");
        }
        assert!(Iban::parse(&"DE89".repeat(100)).is_err());
    }
}
