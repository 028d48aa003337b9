//! Addresses: kept as written, compared as folded.
//!
//! Folding (trim, NFKC, lower case of both parts) serves uniqueness and counting only; mail goes to the address as
//! stored.

use std::fmt;

use strongroom_crypto::Keyring;
use strongroom_domain::text::check_line;
use unicode_normalization::UnicodeNormalization;

/// Longest address in bytes (RFC 5321, section 4.5.3.1.3, without the brackets).
pub const EMAIL_BYTES_MAX: usize = 254;
const LOCAL_BYTES_MAX: usize = 64;
/// Name of the blind index of addresses.
const INDEX: &str = "users.email";

/// An address.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    text: String,
    folded: String,
}

impl Email {
    /// Takes what can be an address: one `@`, something on both sides, a domain of dotted names, nothing that
    /// deceives.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@')?;
        let plain = text.len() <= EMAIL_BYTES_MAX
            && check_line(text, EMAIL_BYTES_MAX, true).is_ok()
            && (1..=LOCAL_BYTES_MAX).contains(&local.len())
            && !local
                .chars()
                .any(|c| c.is_whitespace() || "@<>()[]\\,;:\"".contains(c));
        let names = domain.split('.').all(|name| {
            (1..=63).contains(&name.len())
                && name.chars().all(|c| c.is_alphanumeric() || c == '-')
                && !name.starts_with('-')
                && !name.ends_with('-')
        });
        (plain && names && domain.contains('.')).then(|| Self::lenient(text))
    }

    /// Any text as an address to be looked up: whatever it is, looking costs the same.
    pub fn lenient(text: &str) -> Self {
        let text = text.trim();
        Self {
            folded: text.nfkc().collect::<String>().to_lowercase(),
            text: text.to_owned(),
        }
    }

    /// The address as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address as written, cut to the longest that there can be: for what is kept of any text.
    pub(crate) fn bounded(&self) -> &str {
        let end = self.text.floor_char_boundary(EMAIL_BYTES_MAX);
        self.text.get(..end).unwrap_or_default()
    }

    /// The index to store.
    pub(crate) fn index(&self, ring: &Keyring) -> [u8; 16] {
        ring.blind_index(INDEX, self.folded.as_bytes())
    }

    /// The indexes to look for, one for each key of the ring.
    pub(crate) fn indexes(&self, ring: &Keyring) -> Vec<[u8; 16]> {
        ring.blind_indexes(INDEX, self.folded.as_bytes())
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Email([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_one_address() {
        let ring = Keyring::generate(0);
        let index = |text: &str| Email::parse(text).unwrap().index(&ring);
        for same in ["A@X.com", " a@x.com ", "a@X.COM", "\u{FF21}@x.com"] {
            assert_eq!(index(same), index("a@x.com"), "{same}");
        }
        assert_ne!(index("a@x.com"), index("b@x.com"));
        assert_eq!(Email::parse(" A@X.com ").unwrap().as_str(), "A@X.com");
    }

    #[test]
    fn what_cannot_be_an_address_is_refused() {
        for good in ["a@x.com", "a.b+c@sub.example.org", "märz@exämple.de"] {
            assert!(Email::parse(good).is_some(), "{good}");
        }
        let long = format!("{}@x.com", "a".repeat(65));
        for bad in [
            "",
            "a",
            "@x.com",
            "a@",
            "a@x",
            "a@.com",
            "a@x..com",
            "a b@x.com",
            "a@b@x.com",
            "<a@x.com>",
            "a@x.com\r\nBcc: b@x.com",
            "a\u{202E}@x.com",
            "a@-x.com",
            &long,
        ] {
            assert!(Email::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_address_is_not_printed() {
        let email = Email::parse("alice@example.org").unwrap();
        assert!(!format!("{email:?}").contains("alice"));
    }
}
