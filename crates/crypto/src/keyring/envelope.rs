//! A keyring document under a passphrase: at rest (key-encryption key) and for export to another node.
//!
//! Argon2id (RFC 9106, its second recommended option: 64 MiB, three passes) makes a key from the passphrase; the
//! document is sealed under it like a cell, with the parameters and the salt as its place, so nobody can change them
//! unnoticed.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::document::{DOCUMENT_BYTES_MAX, DocumentError, FORMAT, Parsed, format_of};
use super::{Keyring, ProviderError};
use crate::random;
use crate::seal::{Place, Sealer};

pub(crate) const WRAPPED_FORMAT: &str = "strongroom-keyring-wrapped";
/// Fewest characters of a passphrase; length is what protects a file that was copied away.
pub(crate) const PASSPHRASE_CHARS_MIN: usize = 16;

const VERSION: u32 = 1;
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// Bounds of what a file may ask for, so that a planted file cannot exhaust the machine.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 16;
const SALT_LEN: usize = 16;
/// First byte of the sealed document, apart from the versions of cells.
const SEAL_HEAD: [u8; 1] = [3];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    format: String,
    version: u32,
    kdf: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
    sealed: String,
}

fn sealer(
    passphrase: &SecretString,
    memory_kib: u32,
    passes: u32,
    salt: &[u8],
) -> Result<Sealer, ProviderError> {
    let normal: Zeroizing<String> = Zeroizing::new(passphrase.expose_secret().nfc().collect());
    let mut key = Zeroizing::new([0u8; 32]);
    let params = Params::new(memory_kib, passes, 1, Some(32))
        .map_err(|_| DocumentError::Inconsistent("parameters of the key derivation"))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(normal.as_bytes(), salt, &mut *key)
        .map_err(|_| DocumentError::Inconsistent("parameters of the key derivation"))?;
    Ok(Sealer::new(&key))
}

fn bound_parameters(memory_kib: u32, passes: u32, salt: &[u8]) -> Vec<u8> {
    [&memory_kib.to_be_bytes()[..], &passes.to_be_bytes(), salt].concat()
}

pub(crate) fn wrap(ring: &Keyring, passphrase: &SecretString) -> Result<Vec<u8>, ProviderError> {
    if passphrase.expose_secret().chars().count() < PASSPHRASE_CHARS_MIN {
        return Err(ProviderError::PassphraseTooShort);
    }
    let salt = random::bytes::<SALT_LEN>();
    let row = bound_parameters(MEMORY_KIB, PASSES, &salt);
    let place = Place {
        table: "keyring",
        column: "document",
        row: &row,
    };
    let sealed = sealer(passphrase, MEMORY_KIB, PASSES, &salt)?.seal(&SEAL_HEAD, place, &ring.to_document());
    let envelope = Envelope {
        format: WRAPPED_FORMAT.to_owned(),
        version: VERSION,
        kdf: "argon2id".to_owned(),
        memory_kib: MEMORY_KIB,
        passes: PASSES,
        salt: STANDARD.encode(salt),
        sealed: STANDARD.encode(sealed),
    };
    Ok(serde_json::to_vec_pretty(&envelope).expect("text and numbers always serialise"))
}

pub(crate) fn unwrap(bytes: &[u8], passphrase: &SecretString, now: i64) -> Result<Parsed, ProviderError> {
    if bytes.len() > 2 * DOCUMENT_BYTES_MAX {
        return Err(DocumentError::TooLarge.into());
    }
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(DocumentError::from)?;
    if (envelope.format.as_str(), envelope.version) != (WRAPPED_FORMAT, VERSION) {
        return Err(DocumentError::Unknown {
            format: envelope.format,
            version: envelope.version,
        }
        .into());
    }
    let decode = |text: &str| {
        STANDARD
            .decode(text)
            .map_err(|_| DocumentError::Inconsistent("not base64"))
    };
    let salt = decode(&envelope.salt)?;
    let in_bounds = envelope.kdf == "argon2id"
        && envelope.memory_kib <= MEMORY_KIB_MAX
        && envelope.passes <= PASSES_MAX
        && salt.len() == SALT_LEN;
    if !in_bounds {
        return Err(DocumentError::Inconsistent("parameters of the key derivation").into());
    }
    let row = bound_parameters(envelope.memory_kib, envelope.passes, &salt);
    let place = Place {
        table: "keyring",
        column: "document",
        row: &row,
    };
    let document = sealer(passphrase, envelope.memory_kib, envelope.passes, &salt)?
        .open(SEAL_HEAD.len(), place, &decode(&envelope.sealed)?)
        .map_err(|_| ProviderError::WrongPassphrase)?;
    Ok(Keyring::from_document(document.expose(), now)?)
}

/// Reads a plain or a wrapped document, whichever fits whether there is a passphrase; never the other one silently.
pub(crate) fn read(
    bytes: &[u8],
    passphrase: Option<&SecretString>,
    now: i64,
) -> Result<Parsed, ProviderError> {
    match (format_of(bytes)?.as_str(), passphrase) {
        (WRAPPED_FORMAT, Some(passphrase)) => unwrap(bytes, passphrase, now),
        (WRAPPED_FORMAT, None) => Err(ProviderError::PassphraseNeeded),
        (FORMAT, Some(_)) => Err(ProviderError::NotWrapped),
        _ => Ok(Keyring::from_document(bytes, now)?),
    }
}

impl Keyring {
    /// The whole ring encrypted under `passphrase` (at least 16 characters), to be carried to another node.
    ///
    /// # Errors
    /// [`ProviderError::PassphraseTooShort`].
    pub fn export(&self, passphrase: &SecretString) -> Result<Vec<u8>, ProviderError> {
        wrap(self, passphrase)
    }

    /// Reads what [`Self::export`] made. Keys of purposes that the exporting version did not know are made at `now`
    /// (Unix microseconds).
    ///
    /// # Errors
    /// [`ProviderError::WrongPassphrase`] (also when a byte was changed), [`ProviderError::Document`].
    pub fn import(bytes: &[u8], passphrase: &SecretString, now: i64) -> Result<Self, ProviderError> {
        Ok(unwrap(bytes, passphrase, now)?.ring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrase(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn an_export_opens_with_its_passphrase_only() {
        let ring = Keyring::generate(1);
        let bytes = ring.export(&phrase("seventeen letters")).unwrap();
        let back = Keyring::import(&bytes, &phrase("seventeen letters"), 2).unwrap();
        assert_eq!(back.check_values(), ring.check_values());
        let refused = Keyring::import(&bytes, &phrase("seventeen Letters"), 2);
        assert!(matches!(refused, Err(ProviderError::WrongPassphrase)));
    }

    #[test]
    fn a_short_passphrase_is_refused() {
        let refused = Keyring::generate(1).export(&phrase("fifteen letters"));
        assert!(matches!(refused, Err(ProviderError::PassphraseTooShort)));
    }

    #[test]
    fn an_export_contains_no_key_in_any_usual_form() {
        let ring = Keyring::generate(1);
        let text = String::from_utf8(ring.export(&phrase("seventeen letters")).unwrap()).unwrap();
        let plain: serde_json::Value = serde_json::from_slice(&ring.to_document()).unwrap();
        for key in plain["keys"].as_array().unwrap() {
            assert!(!text.contains(key["material"].as_str().unwrap()));
        }
        assert!(!text.contains("blind_index"));
    }

    #[test]
    fn changed_parameters_and_excessive_ones_are_refused() {
        let ring = Keyring::generate(1);
        let bytes = ring.export(&phrase("seventeen letters")).unwrap();
        let good: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let with = |field: &str, value: serde_json::Value| {
            let mut changed = good.clone();
            changed[field] = value;
            Keyring::import(
                &serde_json::to_vec(&changed).unwrap(),
                &phrase("seventeen letters"),
                2,
            )
            .err()
            .unwrap()
        };
        assert!(matches!(with("passes", 2.into()), ProviderError::WrongPassphrase));
        assert!(matches!(
            with("memory_kib", u32::MAX.into()),
            ProviderError::Document(_)
        ));
        assert!(matches!(with("passes", 1000.into()), ProviderError::Document(_)));
        assert!(matches!(with("kdf", "none".into()), ProviderError::Document(_)));
        assert!(matches!(with("version", 2.into()), ProviderError::Document(_)));
    }
}
