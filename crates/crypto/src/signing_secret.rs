//! Secrets that an integration shares with the server to sign its requests with. The server has to have them itself, so
//! they are sealed and not hashed, and are opened here alone.

use crate::keyring::Keyring;
use crate::mac::{MacKey, hmac_of};
use crate::seal::{OpenError, Place};
use crate::secret::{ExposeSecret, SecretBytes, SecretString, constant_time_eq};

/// What the text of a secret begins with, for secret scanners.
const PREFIX: &str = "srs_";
const SECRET_LEN: usize = 32;

const fn place(key: &[u8; 16]) -> Place<'_> {
    Place {
        table: "api_keys",
        column: "sealed_secret",
        row: key,
    }
}

/// A shared secret, opened. Its text, as UTF-8, is the key of the HMAC.
pub struct SigningSecret(SecretBytes);

impl SigningSecret {
    /// A secret as somebody who was given it holds it.
    #[must_use]
    pub fn of(text: &SecretString) -> Self {
        Self(SecretBytes::copy_of(text.expose_secret().as_bytes()))
    }

    /// HMAC-SHA256 of a message under it.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 32] {
        hmac_of(&MacKey::new(self.0.expose()), &[message])
    }

    /// Whether `mac` is the message's, in constant time.
    #[must_use]
    pub fn verifies(&self, message: &[u8], mac: &[u8]) -> bool {
        constant_time_eq(&self.sign(message), mac)
    }
}

impl Keyring {
    /// A new secret for the key with this id: the text to show once, and what to store.
    #[must_use]
    pub fn new_signing_secret(&self, key: &[u8; 16]) -> (SecretString, Vec<u8>) {
        let secret = SecretBytes::random(SECRET_LEN);
        let text = format!("{PREFIX}{}", hex::encode(secret.expose()));
        let sealed = self.seal(place(key), text.as_bytes());
        (SecretString::from(text), sealed)
    }

    /// Opens a stored secret of the key with this id.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_signing_secret(&self, key: &[u8; 16], sealed: &[u8]) -> Result<SigningSecret, OpenError> {
        self.open(place(key), sealed).map(SigningSecret)
    }
}

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningSecret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_key_alone() {
        let ring = Keyring::generate(0);
        let (text, sealed) = ring.new_signing_secret(&[1; 16]);
        assert_eq!(text.expose_secret().len(), PREFIX.len() + 2 * SECRET_LEN);
        let opened = ring.open_signing_secret(&[1; 16], &sealed).unwrap();
        let mac = SigningSecret::of(&text).sign(b"message");
        assert!(opened.verifies(b"message", &mac));
        assert!(!opened.verifies(b"messagf", &mac) && !opened.verifies(b"message", &mac[..31]));
        assert!(!format!("{opened:?}").contains(text.expose_secret()));
        assert!(ring.open_signing_secret(&[2; 16], &sealed).is_err());
        assert_ne!(
            ring.new_signing_secret(&[1; 16]).0.expose_secret(),
            text.expose_secret()
        );
    }
}
