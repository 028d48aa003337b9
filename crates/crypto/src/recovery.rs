//! Recovery codes: for the day a second factor is lost, each good once.
//!
//! A code is 120 random bits, written as 24 characters of Crockford's base 32 in groups of four, so that it can be read
//! out and typed without mistaking one character for another. The database keeps a keyed digest, bound to the person:
//! who reads the tables can neither use a code nor try some.

use zeroize::Zeroizing;

use crate::keyring::{Key, Keyring, Purpose};
use crate::mac::hmac_of;
use crate::random;
use crate::secret::SecretString;

/// Codes of a set.
pub const CODES: usize = 10;
const RAW_LEN: usize = 15;
const CHARS: usize = 24;
const GROUP_CHARS: usize = 4;
/// Longest text that is looked at, in bytes (a code with any spacing).
const INPUT_BYTES_MAX: usize = 128;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Apart from the labels of `mac`, whose keys are the same.
const LABEL_RECOVERY: u8 = 5;

/// A code, as its owner has it.
pub struct RecoveryCode(Zeroizing<[u8; RAW_LEN]>);

impl RecoveryCode {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        let mut raw = Zeroizing::new([0; RAW_LEN]);
        random::fill(&mut *raw);
        Self(raw)
    }

    /// Reads a typed code: case, spaces and hyphens do not matter, and what looks alike is taken as what was meant.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > INPUT_BYTES_MAX {
            return None;
        }
        let mut raw = Zeroizing::new([0; RAW_LEN]);
        let (mut count, mut bits) = (0, 0_u64);
        for c in text.bytes().filter(|c| !b" -".contains(c)) {
            let c = match c.to_ascii_lowercase() {
                b'o' => b'0',
                b'i' | b'l' => b'1',
                other => other,
            };
            let value = ALPHABET.iter().position(|known| *known == c)?;
            if count == CHARS {
                return None;
            }
            bits = bits << 5 | value as u64;
            count += 1;
            // Eight characters are five bytes.
            if count % 8 == 0 {
                let start = count / 8 * 5 - 5;
                raw[start..start + 5].copy_from_slice(&bits.to_be_bytes()[3..]);
                bits = 0;
            }
        }
        (count == CHARS).then_some(Self(raw))
    }

    /// The text that its owner keeps.
    #[must_use]
    pub fn text(&self) -> SecretString {
        let mut text = Zeroizing::new(String::with_capacity(CHARS + CHARS / GROUP_CHARS));
        for (number, part) in self.0.chunks(5).enumerate() {
            let mut block = [0; 8];
            block[3..].copy_from_slice(part);
            let bits = u64::from_be_bytes(block);
            for index in 0..8 {
                if (number * 8 + index) % GROUP_CHARS == 0 && number + index > 0 {
                    text.push('-');
                }
                text.push(char::from(ALPHABET[(bits >> (35 - 5 * index)) as usize & 31]));
            }
        }
        SecretString::from(std::mem::take(&mut *text))
    }
}

impl std::fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryCode([redacted])")
    }
}

impl Keyring {
    /// What the database keeps of a code of `person` (an id's bytes), under the active key: for writing.
    #[must_use]
    pub fn recovery_hash(&self, person: [u8; 16], code: &RecoveryCode) -> [u8; 32] {
        hash_under(self.active_key(Purpose::BlindIndex), person, code)
    }

    /// The same under every key, active first: for looking up.
    #[must_use]
    pub fn recovery_hashes(&self, person: [u8; 16], code: &RecoveryCode) -> Vec<[u8; 32]> {
        self.keys(Purpose::BlindIndex)
            .map(|key| hash_under(key, person, code))
            .collect()
    }
}

fn hash_under(key: &Key, person: [u8; 16], code: &RecoveryCode) -> [u8; 32] {
    hmac_of(key.mac(), &[&[LABEL_RECOVERY], &person, &*code.0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ExposeSecret as _;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let ring = Keyring::generate(0);
        for _ in 0..100 {
            let code = RecoveryCode::generate();
            let text = code.text().expose_secret().to_owned();
            assert_eq!(text.len(), 29, "{text}");
            assert!(text.split('-').all(|group| group.len() == 4), "{text}");
            let hash = ring.recovery_hash([1; 16], &code);
            for typed in [
                text.clone(),
                text.to_uppercase(),
                text.replace('-', ""),
                text.replace('-', " "),
                text.replace('1', "l").replace('0', "O"),
            ] {
                let read = RecoveryCode::parse(&typed).unwrap();
                assert_eq!(ring.recovery_hash([1; 16], &read), hash, "{typed}");
            }
            assert_ne!(ring.recovery_hash([2; 16], &code), hash, "bound to the person");
            assert_eq!(ring.recovery_hashes([1; 16], &code)[0], hash);
        }
    }

    #[test]
    fn what_is_no_code_is_none() {
        let good = RecoveryCode::generate().text().expose_secret().to_owned();
        assert!(RecoveryCode::parse(&good).is_some());
        for bad in [
            String::new(),
            good[1..].to_owned(),
            format!("{good}0"),
            good.replacen(|_: char| true, "u", 1),
            good.replacen(|_: char| true, "é", 1),
            good.replacen('-', "_", 1),
            format!("{good}{}", " ".repeat(200)),
        ] {
            assert!(RecoveryCode::parse(&bad).is_none(), "{bad}");
        }
        assert!(!format!("{:?}", RecoveryCode::generate()).contains('-'));
    }
}
