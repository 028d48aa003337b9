//! One password hash: its cost, its stored form, its computation.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::policy::CHARS_MAX;
use crate::random;
use crate::secret::SecretBytes;

/// Longest stored text that is read, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 256;
const SALT_LEN: usize = 16;
const HASH_LEN: usize = 32;
const WRAPPER: &str = "1";

/// What one computation costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
}

impl Cost {
    /// 46 MiB, one pass, one lane: the least that ASVS 5.0 approves.
    pub const DEFAULT: Self = Self {
        memory_kib: 46 * 1024,
        passes: 1,
    };
    /// Most memory in KiB, also of stored hashes: 256 MiB.
    pub const MEMORY_KIB_MAX: u32 = 256 * 1024;
    /// Most passes.
    pub const PASSES_MAX: u32 = 16;

    /// A cost between [`Self::DEFAULT`] and the bounds; `None` outside of them.
    #[must_use]
    pub fn new(memory_kib: u32, passes: u32) -> Option<Self> {
        let cost = Self { memory_kib, passes };
        (memory_kib >= Self::DEFAULT.memory_kib && cost.in_bounds()).then_some(cost)
    }

    fn in_bounds(self) -> bool {
        (8..=Self::MEMORY_KIB_MAX).contains(&self.memory_kib) && (1..=Self::PASSES_MAX).contains(&self.passes)
    }

    fn params(self) -> Params {
        Params::new(self.memory_kib, self.passes, 1, Some(HASH_LEN)).expect("costs are within bounds")
    }
}

/// A password's hash of our own making: `1:<kid of the pepper>:<PHC string>`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ArgonHash {
    kid: u32,
    cost: Cost,
    salt: [u8; SALT_LEN],
    hash: [u8; HASH_LEN],
}

impl ArgonHash {
    /// Reads the stored text; `None` for anything that [`Self::to_text`] would not write, or beyond the bounds of
    /// [`Cost`].
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (kid, phc) = text.strip_prefix(WRAPPER)?.strip_prefix(':')?.split_once(':')?;
        let fields = phc.strip_prefix("$argon2id$v=19$m=")?;
        let (memory_kib, fields) = fields.split_once(",t=")?;
        let (passes, fields) = fields.split_once(",p=1$")?;
        let (salt, hash) = fields.split_once('$')?;
        let cost = Cost {
            memory_kib: memory_kib.parse().ok()?,
            passes: passes.parse().ok()?,
        };
        let parsed = Self {
            kid: kid.parse().ok()?,
            cost,
            salt: decoded(salt)?,
            hash: decoded(hash)?,
        };
        (cost.in_bounds() && parsed.to_text() == text).then_some(parsed)
    }

    /// The stored text.
    pub(super) fn to_text(&self) -> String {
        let Cost { memory_kib, passes } = self.cost;
        format!(
            "{WRAPPER}:{}:$argon2id$v=19$m={memory_kib},t={passes},p=1${}${}",
            self.kid,
            STANDARD_NO_PAD.encode(self.salt),
            STANDARD_NO_PAD.encode(self.hash)
        )
    }

    /// The pepper's key number.
    pub(super) fn kid(&self) -> u32 {
        self.kid
    }

    /// What the computation cost.
    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    pub(super) fn compute(
        password: &str,
        kid: u32,
        pepper: &SecretBytes,
        cost: Cost,
        memory: &mut Memory,
    ) -> Self {
        let salt = random::bytes();
        let mut stored = Self {
            kid,
            cost,
            salt,
            hash: [0; HASH_LEN],
        };
        stored.hash = *stored.hash_of(password, pepper, memory);
        stored
    }

    pub(super) fn matches(&self, password: &str, pepper: &SecretBytes, memory: &mut Memory) -> bool {
        crate::secret::constant_time_eq(&*self.hash_of(password, pepper, memory), &self.hash)
    }

    fn hash_of(
        &self,
        password: &str,
        pepper: &SecretBytes,
        memory: &mut Memory,
    ) -> Zeroizing<[u8; HASH_LEN]> {
        let mut normal = Zeroizing::new(String::with_capacity(4 * password.len()));
        normal.extend(password.nfc());
        let params = self.cost.params();
        let blocks = memory.blocks(params.block_count());
        let mut hash = Zeroizing::new([0u8; HASH_LEN]);
        Argon2::new_with_secret(pepper.expose(), Algorithm::Argon2id, Version::V0x13, params)
            .and_then(|argon| {
                argon.hash_password_into_with_memory(normal.as_bytes(), &self.salt, &mut *hash, blocks)
            })
            .expect("lengths and costs are within Argon2's bounds");
        hash
    }
}

/// Whether a password is short enough to be hashed at all; longer ones match nothing.
pub(super) fn hashable(password: &str) -> bool {
    // Four bytes for a character and room for decomposed forms.
    password.len() <= 8 * CHARS_MAX && password.nfc().take(CHARS_MAX + 1).count() <= CHARS_MAX
}

fn decoded<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// A worker's memory, kept between computations: no 46 MiB allocation for each login.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

impl Memory {
    fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.0.len() < count {
            self.0.resize(count, Block::new());
        }
        &mut self.0[..count]
    }
}

impl fmt::Debug for ArgonHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArgonHash")
            .field("kid", &self.kid)
            .field("cost", &self.cost)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pepper(byte: u8) -> SecretBytes {
        SecretBytes::new(vec![byte; 32])
    }

    #[test]
    fn a_hash_matches_its_password_and_pepper_only() {
        let mut memory = Memory::default();
        let stored = ArgonHash::compute("correct horse", 7, &pepper(1), Cost::DEFAULT, &mut memory);
        assert!(stored.matches("correct horse", &pepper(1), &mut memory));
        assert!(!stored.matches("correct horsf", &pepper(1), &mut memory));
        assert!(!stored.matches("Correct horse", &pepper(1), &mut memory));
        assert!(!stored.matches("correct horse ", &pepper(1), &mut memory));
        assert!(!stored.matches("correct horse", &pepper(2), &mut memory));
    }

    #[test]
    fn the_stored_text_is_a_phc_string_behind_version_and_kid() {
        let stored = ArgonHash {
            kid: 7,
            cost: Cost::DEFAULT,
            salt: [0; 16],
            hash: [0; 32],
        };
        let text = stored.to_text();
        let (salt, hash) = ("A".repeat(22), "A".repeat(43));
        assert_eq!(text, format!("1:7:$argon2id$v=19$m=47104,t=1,p=1${salt}${hash}"));
        assert_eq!(ArgonHash::parse(&text), Some(stored));
        for bad in [
            text.replace("1:7", "2:7"),
            text.replace("1:7", "1:07"),
            text.replace("1:7:", ""),
            text.replace("argon2id", "argon2i"),
            text.replace("v=19", "v=16"),
            text.replace("47104", "4294967295"),
            text.replace("t=1", "t=0"),
            text.replace("p=1", "p=2"),
            text.replace("m=", "m=+"),
            format!("{text}A"),
            text[..text.len() - 1].to_owned(),
            "x".repeat(TEXT_BYTES_MAX + 1),
            String::new(),
        ] {
            assert_eq!(ArgonHash::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn the_computation_is_standard_argon2id() {
        // Against RFC 9106 §5.3 (its parameters are beyond what this module would ever use, so the crate is asked).
        let params = argon2::ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
            .output_len(32)
            .build()
            .unwrap();
        let mut tag = [0u8; 32];
        Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params)
            .unwrap()
            .hash_password_into(&[1; 32], &[2; 16], &mut tag)
            .unwrap();
        assert_eq!(
            hex::encode(tag),
            "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
        );
    }

    #[test]
    fn equal_characters_in_another_encoding_are_the_same_password() {
        let mut memory = Memory::default();
        let stored = ArgonHash::compute("pâté de l\u{e9}on", 1, &pepper(1), Cost::DEFAULT, &mut memory);
        assert!(stored.matches("pâté de le\u{301}on", &pepper(1), &mut memory));
    }

    #[test]
    fn costs_below_the_standard_or_beyond_the_bounds_are_refused() {
        assert_eq!(Cost::new(46 * 1024, 1), Some(Cost::DEFAULT));
        assert_eq!(Cost::new(46 * 1024 - 1, 4), None);
        assert_eq!(Cost::new(Cost::MEMORY_KIB_MAX + 1, 1), None);
        assert_eq!(Cost::new(46 * 1024, 0), None);
        assert_eq!(Cost::new(46 * 1024, Cost::PASSES_MAX + 1), None);
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded_in_bytes() {
        assert!(hashable(&"ü".repeat(CHARS_MAX)));
        assert!(hashable(&"u\u{308}".repeat(CHARS_MAX)));
        assert!(!hashable(&"u".repeat(CHARS_MAX + 1)));
        assert!(!hashable(&"\u{308}".repeat(100_000)));
    }

    #[test]
    fn debug_of_a_stored_hash_shows_neither_salt_nor_hash() {
        let stored = ArgonHash {
            kid: 7,
            cost: Cost::DEFAULT,
            salt: [0xab; 16],
            hash: [0xcd; 32],
        };
        let shown = format!("{stored:?}");
        assert!(
            !shown.contains("171") && !shown.contains("205") && !shown.contains("q6ur"),
            "{shown}"
        );
    }
}
