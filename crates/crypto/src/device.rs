//! Device marks: what a browser or client keeps after a completed login, to be known again.
//!
//! The text is `srd_` and base64url over kid, a random 192-bit name and a 128-bit MAC of it: forged marks are told
//! apart without the database, so nobody can invent marks to get fresh limits. The mark is bound to its user by the
//! stored hash; the same mark has another hash for another user.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::keyring::{Key, Keyring, Purpose};
use crate::mac::{cut, hmac_of};
use crate::random;
use crate::secret::{SecretString, constant_time_eq};

/// What every mark begins with.
pub const PREFIX: &str = "srd_";
/// Length of a mark's text in characters.
pub const TEXT_LEN: usize = PREFIX.len() + 59;

const NAME_LEN: usize = 24;
const MAC_LEN: usize = 16;
const RAW_LEN: usize = 4 + NAME_LEN + MAC_LEN;

const LABEL_ISSUE: u8 = 1;
const LABEL_BIND: u8 = 2;
const LABEL_LIMIT: u8 = 3;

/// A mark that this bank issued. It does not yet say for whom: compare [`Self::bound_to`] with the stored hash.
pub struct DeviceMark {
    key: Arc<Key>,
    raw: Zeroizing<[u8; RAW_LEN]>,
}

impl DeviceMark {
    /// The text that the device keeps.
    #[must_use]
    pub fn text(&self) -> SecretString {
        SecretString::from(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(*self.raw)))
    }

    /// What the database keeps for `user` (an id's bytes).
    #[must_use]
    pub fn bound_to(&self, user: [u8; 16]) -> [u8; 32] {
        hmac_of(self.key.mac(), &[&[LABEL_BIND], &user, &*self.raw])
    }

    /// Whether `stored` is this mark's hash for `user`, in constant time.
    #[must_use]
    pub fn is_bound_to(&self, user: [u8; 16], stored: &[u8]) -> bool {
        constant_time_eq(&self.bound_to(user), stored)
    }

    /// A name for rate limits that gives away neither the mark nor the stored hash.
    #[must_use]
    pub fn limit_key(&self) -> [u8; 16] {
        cut(hmac_of(self.key.mac(), &[&[LABEL_LIMIT], &*self.raw]))
    }

    fn mac(key: &Key, raw: &[u8; RAW_LEN]) -> [u8; MAC_LEN] {
        cut(hmac_of(key.mac(), &[&[LABEL_ISSUE], &raw[..4 + NAME_LEN]]))
    }
}

impl Keyring {
    /// A new mark.
    #[must_use]
    pub fn issue_device_mark(&self) -> DeviceMark {
        let key = Arc::clone(self.active_key(Purpose::Device));
        let mut raw = Zeroizing::new([0u8; RAW_LEN]);
        raw[..4].copy_from_slice(&key.kid.to_be_bytes());
        random::fill(&mut raw[4..4 + NAME_LEN]);
        let mac = DeviceMark::mac(&key, &raw);
        raw[4 + NAME_LEN..].copy_from_slice(&mac);
        DeviceMark { key, raw }
    }

    /// Reads a mark's text; `None` when this bank did not issue it, or its key is gone.
    #[must_use]
    pub fn read_device_mark(&self, text: &str) -> Option<DeviceMark> {
        if text.len() != TEXT_LEN {
            return None;
        }
        let mut raw = Zeroizing::new([0u8; RAW_LEN]);
        let written = URL_SAFE_NO_PAD
            .decode_slice(text.strip_prefix(PREFIX)?, &mut *raw)
            .ok()?;
        if written != RAW_LEN {
            return None;
        }
        let kid = u32::from_be_bytes(*raw.first_chunk()?);
        let key = Arc::clone(self.key(kid, Purpose::Device)?);
        constant_time_eq(&DeviceMark::mac(&key, &raw), &raw[4 + NAME_LEN..])
            .then_some(DeviceMark { key, raw })
    }
}

impl fmt::Debug for DeviceMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceMark([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ExposeSecret;

    const ALICE: [u8; 16] = [1; 16];
    const BOB: [u8; 16] = [2; 16];

    #[test]
    fn an_issued_mark_is_known_again_and_bound_to_its_user() {
        let ring = Keyring::generate(0);
        let mark = ring.issue_device_mark();
        let stored = mark.bound_to(ALICE);
        let text = mark.text();
        assert_eq!(text.expose_secret().len(), TEXT_LEN);
        let again = ring.read_device_mark(text.expose_secret()).unwrap();
        assert!(again.is_bound_to(ALICE, &stored));
        assert!(!again.is_bound_to(BOB, &stored));
        assert!(!ring.issue_device_mark().is_bound_to(ALICE, &stored));
        assert_eq!(again.limit_key(), mark.limit_key());
    }

    #[test]
    fn forged_and_changed_marks_are_not_known() {
        let ring = Keyring::generate(0);
        let text = ring.issue_device_mark().text();
        let text = text.expose_secret();
        assert!(ring.read_device_mark(text).is_some());
        for index in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert!(
                ring.read_device_mark(std::str::from_utf8(&changed).unwrap())
                    .is_none(),
                "{index}"
            );
        }
        assert!(ring.read_device_mark("").is_none());
        assert!(ring.read_device_mark(&text[..TEXT_LEN - 1]).is_none());
        let other = Keyring::generate(0).issue_device_mark().text();
        assert!(ring.read_device_mark(other.expose_secret()).is_none());
    }

    #[test]
    fn marks_outlive_a_rotation_until_their_key_is_destroyed() {
        let mut ring = Keyring::generate(0);
        let mark = ring.issue_device_mark();
        let (text, stored) = (mark.text(), mark.bound_to(ALICE));
        let old = ring.active(Purpose::Device).kid;
        ring.rotate(Purpose::Device, 1).unwrap();
        assert!(
            ring.read_device_mark(text.expose_secret())
                .unwrap()
                .is_bound_to(ALICE, &stored)
        );
        ring.destroy(old).unwrap();
        assert!(ring.read_device_mark(text.expose_secret()).is_none());
    }

    #[test]
    fn debug_of_a_mark_shows_nothing() {
        assert_eq!(
            format!("{:?}", Keyring::generate(0).issue_device_mark()),
            "DeviceMark([redacted])"
        );
    }
}
