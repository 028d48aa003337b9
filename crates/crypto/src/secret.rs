//! Types for bytes that must not be seen.
//!
//! A secret here has no `Display`, no `Serialize`, no `PartialEq` and no `Clone`; `Debug` prints `[redacted]` and
//! nothing about the length. Memory is overwritten on drop (`zeroize`). What this cannot do: erase copies that the
//! allocator or the kernel made before (a grown `Vec`, swap; the binary switches core dumps off).

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

pub use secrecy::{ExposeSecret, SecretString};

/// Bytes that are wiped on drop and never printed.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes over `bytes` without copying them; `bytes` is wiped when the result is dropped.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Copies `bytes` into an exactly sized buffer; wiping the source stays the caller's duty.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }

    /// `len` bytes from the operating system's generator, drawn in place.
    #[must_use]
    pub fn random(len: usize) -> Self {
        let mut bytes = vec![0u8; len];
        crate::random::fill(&mut bytes);
        Self::new(bytes)
    }

    /// The bytes. Named so that a reviewer finds every use by searching for `expose`.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as UTF-8 text, `None` when they are not text.
    #[must_use]
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares in time that depends on the lengths alone.
    #[must_use]
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        constant_time_eq(&self.0, other)
    }

    /// Moves the bytes out as text, `None` (and everything wiped) when they are not UTF-8.
    #[must_use]
    pub fn into_text(mut self) -> Option<SecretString> {
        let bytes = std::mem::take(&mut *self.0);
        match String::from_utf8(bytes) {
            Ok(text) => Some(SecretString::from(text)),
            Err(refused) => {
                refused.into_bytes().zeroize();
                None
            }
        }
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

/// Compares two byte strings in time that depends on their lengths alone (lengths are not secret here).
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_secret_shows_neither_bytes_nor_length() {
        let secret = SecretBytes::new(b"correct horse".to_vec());
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert_eq!(format!("{secret:#?}"), "[redacted]");
        assert_eq!(format!("{:?}", Some(&secret)), "Some([redacted])");
        let text = SecretString::from("correct horse".to_owned());
        for shown in [format!("{text:?}"), format!("{text:#?}")] {
            assert!(!shown.contains("horse"), "{shown}");
        }
    }

    #[test]
    fn comparison_tells_equal_from_different_and_from_longer() {
        let secret = SecretBytes::copy_of(b"abc");
        assert!(secret.ct_eq(b"abc"));
        assert!(!secret.ct_eq(b"abd"));
        assert!(!secret.ct_eq(b"abcd"));
        assert!(!secret.ct_eq(b""));
    }

    #[test]
    fn only_utf8_becomes_text() {
        assert_eq!(
            SecretBytes::copy_of("grün".as_bytes())
                .into_text()
                .unwrap()
                .expose_secret(),
            "grün"
        );
        assert!(SecretBytes::new(vec![0xff, 0xfe]).into_text().is_none());
    }

    #[test]
    fn random_secrets_differ() {
        assert!(!SecretBytes::random(32).ct_eq(SecretBytes::random(32).expose()));
        assert_eq!(SecretBytes::random(7).len(), 7);
    }
}
