//! Refresh tokens: opaque, 256 bits, each child derived from its parent.
//!
//! A family begins with a random token at login. Its children are HMAC-SHA256 under the refresh key over family,
//! generation and the parent's hash: when an answer is lost, the very same child can be given again although the
//! database holds hashes only, so a retry never opens a second branch. The token names the key that made it (kid), the
//! text is `srr_` and 48 characters of base64url over kid and secret.
//!
//! Whether a parent may be used again (30 seconds, unused child, same device) is the application's decision.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::{Zeroize as _, Zeroizing};

use crate::keyring::{Key, Keyring, Purpose};
use crate::mac::hmac_of;
use crate::random;
use crate::secret::{SecretString, constant_time_eq};

/// What every refresh token begins with, so that scanners find leaked ones.
pub const PREFIX: &str = "srr_";
/// Length of a token's text in characters.
pub const TEXT_LEN: usize = PREFIX.len() + 48;

const LABEL_FIRST: u8 = 1;
const LABEL_CHILD: u8 = 2;
const SECRET_LEN: usize = 32;
const RAW_LEN: usize = 4 + SECRET_LEN;
const HASH_DOMAIN: &[u8] = b"strongroom/v1/refresh-token\0";

/// A refresh token in memory; wiped on drop.
pub struct RefreshToken(Zeroizing<[u8; RAW_LEN]>);

impl RefreshToken {
    fn new(kid: u32, mut secret: [u8; SECRET_LEN]) -> Self {
        let mut raw = Zeroizing::new([0u8; RAW_LEN]);
        raw[..4].copy_from_slice(&kid.to_be_bytes());
        raw[4..].copy_from_slice(&secret);
        secret.zeroize();
        Self(raw)
    }

    /// Reads a token's text; `None` for anything that [`Self::text`] would not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT_LEN {
            return None;
        }
        let body = text.strip_prefix(PREFIX)?;
        let mut raw = Zeroizing::new([0u8; RAW_LEN]);
        let written = URL_SAFE_NO_PAD.decode_slice(body, &mut *raw).ok()?;
        (written == RAW_LEN).then_some(Self(raw))
    }

    /// The text that the client keeps.
    #[must_use]
    pub fn text(&self) -> SecretString {
        SecretString::from(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(*self.0)))
    }

    /// What the database keeps: SHA-256. No salt or stretching is needed for 256 random bits.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Context::new(&SHA256);
        hash.update(HASH_DOMAIN);
        hash.update(&*self.0);
        hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// The key that made it.
    #[must_use]
    pub fn kid(&self) -> u32 {
        u32::from_be_bytes(*self.0.first_chunk().expect("36 bytes"))
    }
}

impl Keyring {
    /// The first token of a new family (a session's id, say).
    #[must_use]
    pub fn refresh_first(&self, family: [u8; 16]) -> RefreshToken {
        let key = self.active_key(Purpose::Refresh);
        let fresh = Zeroizing::new(random::bytes::<32>());
        RefreshToken::new(key.kid, hmac_of(key.mac(), &[&[LABEL_FIRST], &family, &*fresh]))
    }

    /// The child with number `generation` of the token whose hash is `parent`, under the active key.
    #[must_use]
    pub fn refresh_child(&self, family: [u8; 16], generation: u32, parent: &[u8; 32]) -> RefreshToken {
        child_under(self.active_key(Purpose::Refresh), family, generation, parent)
    }

    /// The same child again, recognised by its stored hash, also when the key was rotated in between. `None` when no
    /// key of the ring derives it.
    #[must_use]
    pub fn refresh_child_again(
        &self,
        family: [u8; 16],
        generation: u32,
        parent: &[u8; 32],
        child: &[u8; 32],
    ) -> Option<RefreshToken> {
        self.keys(Purpose::Refresh)
            .map(|key| child_under(key, family, generation, parent))
            .find(|token| constant_time_eq(&token.hash(), child))
    }
}

fn child_under(key: &Key, family: [u8; 16], generation: u32, parent: &[u8; 32]) -> RefreshToken {
    let secret = hmac_of(
        key.mac(),
        &[&[LABEL_CHILD], &family, &generation.to_be_bytes(), parent],
    );
    RefreshToken::new(key.kid, secret)
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ExposeSecret;

    const FAMILY: [u8; 16] = [3; 16];

    #[test]
    fn a_token_survives_its_text() {
        let ring = Keyring::generate(0);
        let token = ring.refresh_first(FAMILY);
        let text = token.text();
        assert_eq!(text.expose_secret().len(), TEXT_LEN);
        let back = RefreshToken::parse(text.expose_secret()).unwrap();
        assert_eq!(back.hash(), token.hash());
        assert_eq!(back.kid(), ring.active(Purpose::Refresh).kid);
    }

    #[test]
    fn only_the_exact_text_is_a_token() {
        let text = Keyring::generate(0).refresh_first(FAMILY).text();
        let text = text.expose_secret();
        assert!(RefreshToken::parse(text).is_some());
        for bad in [
            String::new(),
            format!("{text}A"),
            text[..TEXT_LEN - 1].to_owned(),
            text.replacen("srr_", "SRR_", 1),
            format!(" {}", &text[..TEXT_LEN - 1]),
            format!("{}=", &text[..TEXT_LEN - 1]),
            format!("srr_{}", "+".repeat(48)),
        ] {
            assert!(RefreshToken::parse(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn first_tokens_of_one_family_differ() {
        let ring = Keyring::generate(0);
        assert_ne!(
            ring.refresh_first(FAMILY).hash(),
            ring.refresh_first(FAMILY).hash()
        );
    }

    #[test]
    fn a_child_is_the_same_again_and_depends_on_everything() {
        let ring = Keyring::generate(0);
        let parent = ring.refresh_first(FAMILY).hash();
        let child = ring.refresh_child(FAMILY, 2, &parent).hash();
        assert_eq!(ring.refresh_child(FAMILY, 2, &parent).hash(), child);
        assert_ne!(ring.refresh_child(FAMILY, 3, &parent).hash(), child);
        assert_ne!(ring.refresh_child([4; 16], 2, &parent).hash(), child);
        assert_ne!(ring.refresh_child(FAMILY, 2, &[0; 32]).hash(), child);
        assert_ne!(
            Keyring::generate(0).refresh_child(FAMILY, 2, &parent).hash(),
            child
        );
    }

    #[test]
    fn the_same_child_is_found_again_after_a_rotation() {
        let mut ring = Keyring::generate(0);
        let parent = ring.refresh_first(FAMILY).hash();
        let child = ring.refresh_child(FAMILY, 2, &parent);
        ring.rotate(Purpose::Refresh, 1).unwrap();
        assert_ne!(ring.refresh_child(FAMILY, 2, &parent).hash(), child.hash());
        let again = ring
            .refresh_child_again(FAMILY, 2, &parent, &child.hash())
            .unwrap();
        assert_eq!(again.text().expose_secret(), child.text().expose_secret());
        assert!(
            ring.refresh_child_again(FAMILY, 3, &parent, &child.hash())
                .is_none()
        );
    }

    #[test]
    fn debug_of_a_token_shows_nothing() {
        let token = Keyring::generate(0).refresh_first(FAMILY);
        assert_eq!(format!("{token:?}"), "RefreshToken([redacted])");
    }
}
