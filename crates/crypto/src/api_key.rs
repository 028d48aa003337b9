//! API keys: `sr_live_` or `sr_test_`, the key's id, a 256-bit secret and a checksum.
//!
//! ```text
//! sr_live_ | id 26 | secret 52 | checksum 7        Crockford's base32, lower case, 93 characters
//! ```
//!
//! One word to select, easy for secret scanners to find, and a mistyped or cut key is refused before any look-up. The
//! checksum (35 bits of SHA-256) proves nothing about authenticity. The database keeps HMAC-SHA256 under the API-key
//! key: who reads the database alone cannot even test a leaked key.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

use crate::keyring::{Key, Keyring, Purpose};
use crate::mac::hmac_of;
use crate::secret::{SecretBytes, SecretString, constant_time_eq};
use crate::token::sha256;

/// Length of a key's text in characters.
pub const TEXT_LEN: usize = PREFIX_LEN + ID_CHARS + SECRET_CHARS + CHECKSUM_CHARS;

const PREFIX_LEN: usize = 8;
const SECRET_LEN: usize = 32;
const ID_CHARS: usize = 26;
const SECRET_CHARS: usize = 52;
const CHECKSUM_CHARS: usize = 7;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Which server a key is for; a key of one is refused by the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEnvironment {
    /// Production: `sr_live_`.
    Live,
    /// Everything else: `sr_test_`.
    Test,
}

impl KeyEnvironment {
    /// What the key's text begins with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Live => "sr_live_",
            Self::Test => "sr_test_",
        }
    }
}

/// An API key in memory; the secret part is wiped on drop.
pub struct ApiKey {
    environment: KeyEnvironment,
    id: [u8; 16],
    secret: SecretBytes,
}

/// What the database keeps of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiKeyHash {
    /// The ring's key that made the hash.
    pub kid: u32,
    /// HMAC-SHA256 over environment, id and secret.
    pub hash: [u8; 32],
}

impl ApiKey {
    /// A new key whose record has this id.
    #[must_use]
    pub fn generate(environment: KeyEnvironment, id: [u8; 16]) -> Self {
        Self {
            environment,
            id,
            secret: SecretBytes::random(SECRET_LEN),
        }
    }

    /// Reads a key's text; `None` for anything that [`Self::text`] would not write. Authentic is only what
    /// [`Keyring::api_key_matches`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT_LEN || !text.is_ascii() {
            return None;
        }
        let environment = [KeyEnvironment::Live, KeyEnvironment::Test]
            .into_iter()
            .find(|environment| text.starts_with(environment.prefix()))?;
        let (body, checksum) = text.split_at(TEXT_LEN - CHECKSUM_CHARS);
        if !constant_time_eq(checksum_of(body).as_bytes(), checksum.as_bytes()) {
            return None;
        }
        let (id, secret) = body[PREFIX_LEN..].split_at(ID_CHARS);
        let id = decode(id, 16)?.expose().try_into().ok()?;
        Some(Self {
            environment,
            id,
            secret: decode(secret, SECRET_LEN)?,
        })
    }

    /// The text that the client keeps; shown once.
    #[must_use]
    pub fn text(&self) -> SecretString {
        let mut text = String::with_capacity(TEXT_LEN);
        text.push_str(self.environment.prefix());
        encode(&self.id, &mut text);
        encode(self.secret.expose(), &mut text);
        let checksum = checksum_of(&text);
        text.push_str(&checksum);
        SecretString::from(text)
    }

    /// The id of the key's record.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// The server that it is for.
    #[must_use]
    pub fn environment(&self) -> KeyEnvironment {
        self.environment
    }

    fn hash_under(&self, key: &Key) -> [u8; 32] {
        hmac_of(
            key.mac(),
            &[
                self.environment.prefix().as_bytes(),
                &self.id,
                self.secret.expose(),
            ],
        )
    }
}

impl Keyring {
    /// What to store of a key, under the active key.
    #[must_use]
    pub fn api_key_hash(&self, api_key: &ApiKey) -> ApiKeyHash {
        let key = self.active_key(Purpose::ApiKey);
        ApiKeyHash {
            kid: key.kid,
            hash: api_key.hash_under(key),
        }
    }

    /// Whether `api_key` is the key that was stored, in constant time; false when the ring lacks the stored kid.
    #[must_use]
    pub fn api_key_matches(&self, api_key: &ApiKey, stored: &ApiKeyHash) -> bool {
        self.key(stored.kid, Purpose::ApiKey)
            .is_some_and(|key| constant_time_eq(&api_key.hash_under(key), &stored.hash))
    }
}

fn checksum_of(body: &str) -> String {
    let hash = digest(&SHA256, body.as_bytes());
    let mut text = String::new();
    encode(&hash.as_ref()[..5], &mut text);
    text.truncate(CHECKSUM_CHARS);
    text
}

/// Base32, most significant bits first, the last character padded with zero bits.
fn encode(bytes: &[u8], out: &mut String) {
    let (mut bits, mut count) = (0u32, 0);
    for &byte in bytes {
        bits = bits << 8 | u32::from(byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            out.push(char::from(ALPHABET[(bits >> count) as usize & 31]));
        }
    }
    if count > 0 {
        out.push(char::from(ALPHABET[(bits << (5 - count)) as usize & 31]));
    }
}

fn decode(text: &str, len: usize) -> Option<SecretBytes> {
    let mut out = Vec::with_capacity(len);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.bytes() {
        let value = ALPHABET.iter().position(|&letter| letter == byte)?;
        bits = bits << 5 | value as u32;
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    // One text per key: padding bits must be zero.
    let padding = bits & ((1 << count) - 1);
    (out.len() == len && padding == 0).then(|| SecretBytes::new(out))
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("environment", &self.environment)
            .field("id", &hex::encode(self.id))
            .finish_non_exhaustive()
    }
}

/// The thumbprint of a certificate: SHA-256 of its DER form (`x5t#S256`; RFC 8705, section 3.1).
#[must_use]
pub fn certificate_thumbprint(der: &[u8]) -> [u8; 32] {
    sha256(der)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ExposeSecret;

    const ID: [u8; 16] = [0xc7; 16];

    #[test]
    fn a_key_survives_its_text_and_matches_its_hash() {
        let ring = Keyring::generate(0);
        for environment in [KeyEnvironment::Live, KeyEnvironment::Test] {
            let key = ApiKey::generate(environment, ID);
            let stored = ring.api_key_hash(&key);
            let text = key.text();
            assert_eq!(text.expose_secret().len(), TEXT_LEN);
            assert!(text.expose_secret().starts_with(environment.prefix()));
            let back = ApiKey::parse(text.expose_secret()).unwrap();
            assert_eq!((back.id(), back.environment()), (ID, environment));
            assert!(ring.api_key_matches(&back, &stored));
        }
    }

    #[test]
    fn any_changed_character_is_refused_before_a_look_up() {
        let text = ApiKey::generate(KeyEnvironment::Test, ID).text();
        let text = text.expose_secret();
        for index in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[index] = if changed[index] == b'0' { b'1' } else { b'0' };
            assert!(
                ApiKey::parse(std::str::from_utf8(&changed).unwrap()).is_none(),
                "{index}"
            );
        }
        for bad in [
            String::new(),
            text.to_uppercase(),
            format!("{text}0"),
            "é".repeat(TEXT_LEN / 2),
        ] {
            assert!(ApiKey::parse(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn another_secret_id_environment_or_ring_does_not_match() {
        let ring = Keyring::generate(0);
        let key = ApiKey::generate(KeyEnvironment::Test, ID);
        let stored = ring.api_key_hash(&key);
        let with = |environment, id, secret: &SecretBytes| ApiKey {
            environment,
            id,
            secret: SecretBytes::copy_of(secret.expose()),
        };
        assert!(ring.api_key_matches(&with(KeyEnvironment::Test, ID, &key.secret), &stored));
        assert!(!ring.api_key_matches(&with(KeyEnvironment::Live, ID, &key.secret), &stored));
        assert!(!ring.api_key_matches(&with(KeyEnvironment::Test, [0; 16], &key.secret), &stored));
        assert!(!ring.api_key_matches(&ApiKey::generate(KeyEnvironment::Test, ID), &stored));
        assert!(!Keyring::generate(0).api_key_matches(&key, &stored));
        assert!(!ring.api_key_matches(&key, &ApiKeyHash { kid: 999, ..stored }));
    }

    #[test]
    fn keys_stay_valid_after_a_rotation() {
        let mut ring = Keyring::generate(0);
        let key = ApiKey::generate(KeyEnvironment::Live, ID);
        let stored = ring.api_key_hash(&key);
        ring.rotate(Purpose::ApiKey, 1).unwrap();
        assert!(ring.api_key_matches(&key, &stored));
        assert_ne!(ring.api_key_hash(&key).kid, stored.kid);
    }

    #[test]
    fn debug_of_a_key_shows_its_id_only() {
        let key = ApiKey::generate(KeyEnvironment::Live, ID);
        let shown = format!("{key:?}");
        assert!(
            shown.contains("c7c7") && !shown.contains(&hex::encode(key.secret.expose())[..8]),
            "{shown}"
        );
    }
}
