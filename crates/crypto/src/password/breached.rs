//! Passwords that are known from breaches, in a file that is small enough to be asked for every new password.
//!
//! What is kept is a part of each password's SHA-1, which is also how lists of breached passwords are published. The
//! first bits say in which group a password is, the next 24 are kept there, sorted: 25 bits for a password, and one
//! in a hundred thousand others is taken for a known one. All numbers are little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `SRBPF`, 1, 0, 0 |
//! | 4 | entries |
//! | 4 | bits that name a group, g |
//! | 32 | SHA-256 of everything after it |
//! | 4 × (2^g + 1) | the first entry of each group, and the end |
//! | 3 × entries | the entries |
//!
//! SHA-1 names here and protects nothing: whoever finds two passwords with one digest has one refused with the other.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::policy::CHARS_MIN;
use crate::secret::constant_time_eq;

/// Largest filter that is read, in bytes: it stays in memory. About eighty million passwords.
pub const FILTER_BYTES_MAX: u64 = 256 * 1024 * 1024;
const ENTRIES_MAX: usize = 80_000_000;
/// Entries of a group, about.
const GROUP_ENTRIES: usize = 32;
const GROUP_BITS_MAX: u32 = 24;
const ENTRY_LEN: usize = 3;
const OFFSET_LEN: usize = 4;
const HEADER_LEN: usize = 48;
const MAGIC: [u8; 8] = *b"SRBPF\x01\0\0";
/// Hexadecimal digits of a SHA-1.
const SHA1_DIGITS: usize = 40;

/// The passwords of twelve characters and more among the commonest of a public frequency list; `cargo xtask gen`
/// makes it.
static COMMON: &[u8] = include_bytes!("common.filter");

/// Why a file is no filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It cannot be read.
    #[error("the list of breached passwords cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is not what [`FilterBuilder`] writes, or it was damaged.
    #[error("this is no list of breached passwords, or a damaged one; make it again")]
    Malformed,
    /// Larger than [`FILTER_BYTES_MAX`].
    #[error("the list of breached passwords is larger than {} MiB", FILTER_BYTES_MAX / 1024 / 1024)]
    TooLarge,
}

/// Known passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct BreachedFilter {
    bytes: Cow<'static, [u8]>,
    group_bits: u32,
}

impl BreachedFilter {
    /// The one that comes with the program.
    ///
    /// # Panics
    /// Never: a test reads it.
    #[must_use]
    pub fn common() -> Self {
        Self::read(Cow::Borrowed(COMMON)).expect("the embedded filter is whole")
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`FilterError`].
    pub fn open(path: &Path) -> Result<Self, FilterError> {
        if std::fs::metadata(path)?.len() > FILTER_BYTES_MAX {
            return Err(FilterError::TooLarge);
        }
        Self::read(Cow::Owned(std::fs::read(path)?))
    }

    fn read(bytes: Cow<'static, [u8]>) -> Result<Self, FilterError> {
        let number = |from: usize| {
            let four = bytes.get(from..from + 4)?.try_into().ok()?;
            Some(u32::from_le_bytes(four))
        };
        let parsed = || {
            let (entries, group_bits) = (number(8)?, number(12)?);
            let body = bytes.get(HEADER_LEN..)?;
            let whole = bytes.get(..8)? == MAGIC
                && group_bits <= GROUP_BITS_MAX
                && body.len() == body_len(usize::try_from(entries).ok()?, group_bits)
                && constant_time_eq(digest(&SHA256, body).as_ref(), bytes.get(16..HEADER_LEN)?);
            whole.then_some(group_bits)
        };
        let group_bits = parsed().ok_or(FilterError::Malformed)?;
        Ok(Self { bytes, group_bits })
    }

    /// Whether a password is known, as it is or in lower case.
    #[must_use]
    pub fn contains(&self, password: &str) -> bool {
        let lower = Zeroizing::new(password.to_lowercase());
        self.holds(key_of(password)) || self.holds(key_of(&lower))
    }

    fn holds(&self, key: u64) -> bool {
        let (group, rest) = split(key, self.group_bits);
        let Some(body) = self.bytes.get(HEADER_LEN..) else {
            return false;
        };
        let offset = |group: usize| {
            let from = group * OFFSET_LEN;
            let four = body.get(from..from + OFFSET_LEN)?.try_into().ok()?;
            usize::try_from(u32::from_le_bytes(four)).ok()
        };
        let entries = (1 << self.group_bits) * OFFSET_LEN + OFFSET_LEN;
        let found = || {
            let (from, to) = (offset(group)?, offset(group + 1)?);
            let own = body.get(entries + from * ENTRY_LEN..entries + to * ENTRY_LEN)?;
            let (own, _) = own.as_chunks::<ENTRY_LEN>();
            Some(own.binary_search_by_key(&rest, |entry| number24(*entry)).is_ok())
        };
        found().unwrap_or(false)
    }

    /// Known passwords in it.
    #[must_use]
    pub fn entries(&self) -> usize {
        (self.bytes.len() - HEADER_LEN - ((1 << self.group_bits) + 1) * OFFSET_LEN) / ENTRY_LEN
    }
}

impl fmt::Debug for BreachedFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreachedFilter")
            .field("entries", &self.entries())
            .finish_non_exhaustive()
    }
}

/// Makes a filter out of a list.
#[derive(Debug, Default)]
pub struct FilterBuilder {
    keys: Vec<u64>,
}

impl FilterBuilder {
    /// Adds a line of a list: a password, or forty hexadecimal digits of its SHA-1 with or without `:` and a count.
    /// Passwords that are too short to be accepted are left out. False where the filter is full.
    pub fn add_line(&mut self, line: &str) -> bool {
        let line = line.trim_end_matches(['\r', '\n']);
        let name = line.split_once(':').map_or(line, |(name, _)| name);
        if name.len() == SHA1_DIGITS && name.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            let first = name
                .get(..16)
                .and_then(|digits| u64::from_str_radix(digits, 16).ok());
            self.keys.extend(first);
        } else if line.nfc().take(CHARS_MIN).count() == CHARS_MIN {
            self.keys.push(key_of(line));
        }
        self.keys.len() <= ENTRIES_MAX
    }

    /// The file's bytes, and how many passwords are in it.
    #[must_use]
    pub fn finish(mut self) -> (Vec<u8>, usize) {
        self.keys.truncate(ENTRIES_MAX);
        let group_bits = (self.keys.len() / GROUP_ENTRIES)
            .checked_ilog2()
            .unwrap_or_default()
            .min(GROUP_BITS_MAX);
        let kept = group_bits + 8 * ENTRY_LEN as u32;
        self.keys.sort_unstable();
        self.keys.dedup_by_key(|key| *key >> (64 - kept));
        let entries = self.keys.len();
        let mut bytes = Vec::with_capacity(HEADER_LEN + body_len(entries, group_bits));
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&(entries as u32).to_le_bytes());
        bytes.extend_from_slice(&group_bits.to_le_bytes());
        bytes.extend_from_slice(&[0; 32]);
        let mut done = 0;
        for group in 0..1_usize << group_bits {
            bytes.extend_from_slice(&(done as u32).to_le_bytes());
            let rest = &self.keys[done..];
            done += rest.partition_point(|key| split(*key, group_bits).0 <= group);
        }
        bytes.extend_from_slice(&(done as u32).to_le_bytes());
        for key in &self.keys {
            let [a, b, c, _] = split(*key, group_bits).1.to_le_bytes();
            bytes.extend_from_slice(&[a, b, c]);
        }
        let sum = digest(&SHA256, &bytes[HEADER_LEN..]);
        bytes[16..HEADER_LEN].copy_from_slice(sum.as_ref());
        (bytes, entries)
    }
}

fn body_len(entries: usize, group_bits: u32) -> usize {
    ((1 << group_bits) + 1) * OFFSET_LEN + entries * ENTRY_LEN
}

/// The first 64 bits of a password's SHA-1.
fn key_of(password: &str) -> u64 {
    let mut normal = Zeroizing::new(String::with_capacity(4 * password.len()));
    normal.extend(password.nfc());
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, normal.as_bytes());
    digest.as_ref()[..8]
        .iter()
        .fold(0, |key, byte| key << 8 | u64::from(*byte))
}

/// The group of a key, and what is kept of it there.
fn split(key: u64, group_bits: u32) -> (usize, u32) {
    let group = key.checked_shr(64 - group_bits).unwrap_or_default();
    let rest = (key << group_bits) >> (64 - 8 * ENTRY_LEN as u32);
    (group as usize, rest as u32)
}

const fn number24(entry: [u8; ENTRY_LEN]) -> u32 {
    let [a, b, c] = entry;
    u32::from_le_bytes([a, b, c, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(lines: &[&str]) -> BreachedFilter {
        let mut builder = FilterBuilder::default();
        assert!(lines.iter().all(|line| builder.add_line(line)));
        BreachedFilter::read(Cow::Owned(builder.finish().0)).unwrap()
    }

    #[test]
    fn every_password_of_a_list_is_found_and_hardly_any_other() {
        for number in [0, 1, 40, 100, 20_000] {
            let lines: Vec<String> = (0..number).map(|n| format!("known password {n:06}")).collect();
            let filter = filter(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(filter.entries(), number);
            assert!(lines.iter().all(|line| filter.contains(line)));
            let wrong = (0..20_000)
                .filter(|n| filter.contains(&format!("other password {n:06}")))
                .count();
            assert!(wrong <= 3, "{wrong}");
        }
    }

    #[test]
    fn spelling_and_line_ends_make_no_difference_and_short_ones_are_left_out() {
        let filter = filter(&[
            "qwertyuiop1234\r\n",
            "M\u{fc}ller geht heim",
            "short",
            "qwertyuiop1234",
        ]);
        assert_eq!(filter.entries(), 2);
        for known in ["qwertyuiop1234", "QWERTYuiop1234", "Mu\u{308}ller geht heim"] {
            assert!(filter.contains(known), "{known}");
        }
        assert!(!filter.contains("short"));
    }

    #[test]
    fn published_digests_are_read_with_and_without_a_count() {
        // SHA-1 of `password`, as every such list has it.
        let digest = "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8";
        for line in [
            digest.to_owned(),
            format!("{digest}:9545824"),
            digest.to_lowercase(),
        ] {
            let filter = filter(&[&line]);
            assert!(filter.contains("password"));
            assert!(!filter.contains("passwore"));
        }
    }

    #[test]
    fn a_damaged_or_foreign_file_is_refused() {
        let mut builder = FilterBuilder::default();
        (0..200).for_each(|n| assert!(builder.add_line(&format!("known password {n}"))));
        let (bytes, _) = builder.finish();
        assert!(BreachedFilter::read(Cow::Owned(bytes.clone())).is_ok());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(BreachedFilter::read(Cow::Owned(damaged)).is_err(), "{at}");
        }
        for length in [0, 7, HEADER_LEN - 1, HEADER_LEN, bytes.len() - 1] {
            assert!(BreachedFilter::read(Cow::Owned(bytes[..length].to_vec())).is_err());
        }
    }

    #[test]
    fn the_embedded_list_knows_the_commonest_long_passwords() {
        let common = BreachedFilter::common();
        assert!(common.entries() > 100, "{common:?}");
        assert!(common.contains("chickenwing101"));
        assert!(!common.contains("grumpy lantern orbit seven"));
    }
}
