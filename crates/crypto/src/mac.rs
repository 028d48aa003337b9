//! Keyed digests: HMAC-SHA256 (RFC 2104, FIPS 198-1) with prepared keys.
//!
//! Every message begins with a label byte of its use, and only the last part has a free length, so no two uses of one
//! key can produce the same message. The audit MAC is the exception: it covers exactly the bytes it is given, and its
//! key does nothing else.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;

use crate::keyring::{Key, Keyring, Purpose};
use crate::secret::constant_time_eq;

/// Longest name of a blind index in bytes.
pub const INDEX_NAME_BYTES_MAX: usize = 255;

const LABEL_TAG: u8 = 1;
const LABEL_FIELD: u8 = 2;
const LABEL_INDEX: u8 = 3;
const LABEL_REQUEST: u8 = 4;

/// A key of HMAC-SHA256, prepared: both halves of it are hashed, and wiped on drop. A payment needs a dozen digests of
/// short messages; a digest is a copy of this state and two or three blocks more.
#[derive(Clone)]
pub(crate) struct MacKey(Hmac<Sha256>);

impl MacKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }
}

/// HMAC over the joined `parts`.
pub(crate) fn hmac_of(key: &MacKey, parts: &[&[u8]]) -> [u8; 32] {
    let mut state = key.0.clone();
    for part in parts {
        state.update(part);
    }
    state.finalize().into_bytes().into()
}

/// First `N` bytes of a digest.
pub(crate) fn cut<const N: usize>(digest: [u8; 32]) -> [u8; N] {
    *digest.first_chunk().expect("at most 32 bytes")
}

/// The node's mark on audit records: HMAC-SHA256 over a record's canonical bytes. Cheap to clone.
#[derive(Clone)]
pub struct AuditMac(Arc<Key>);

impl AuditMac {
    /// The key's number, to be kept beside the mark.
    #[must_use]
    pub fn kid(&self) -> u32 {
        self.0.kid
    }

    /// The mark of `record`.
    #[must_use]
    pub fn sign(&self, record: &[u8]) -> [u8; 32] {
        hmac_of(self.0.mac(), &[record])
    }

    /// Whether `mark` is the mark of `record`, in constant time.
    #[must_use]
    pub fn verify(&self, record: &[u8], mark: &[u8]) -> bool {
        constant_time_eq(&self.sign(record), mark)
    }
}

/// Keyed tags that stand for idempotency keys, and digests of the fields of their requests. Cheap to clone.
#[derive(Clone)]
pub struct Idempotency(Arc<Key>);

impl Idempotency {
    /// The key's number.
    #[must_use]
    pub fn kid(&self) -> u32 {
        self.0.kid
    }

    /// The 128-bit tag of (owner, key): the same text of two owners gives two tags, and without the node's key nobody
    /// can find or aim at a collision.
    #[must_use]
    pub fn tag(&self, owner: [u8; 16], key: &str) -> [u8; 16] {
        cut(hmac_of(self.0.mac(), &[&[LABEL_TAG], &owner, key.as_bytes()]))
    }

    /// The 64-bit digest of one field of the request under `tag`. Bound to the tag, so that equal amounts of different
    /// requests do not show as equal digests; 64 keyed bits are enough because an attacker cannot compute them.
    #[must_use]
    pub fn field_digest(&self, tag: [u8; 16], field_no: u8, bytes: &[u8]) -> [u8; 8] {
        cut(hmac_of(self.0.mac(), &[&[LABEL_FIELD], &tag, &[field_no], bytes]))
    }

    /// The digest of a whole request of a session: what a fresh factor approves. Every field goes in behind its length,
    /// so that nothing can move from one field into the next.
    #[must_use]
    pub fn request_digest(&self, session: [u8; 16], fields: &[&[u8]]) -> [u8; 32] {
        let lengths: Vec<[u8; 8]> = fields
            .iter()
            .map(|field| (field.len() as u64).to_be_bytes())
            .collect();
        let mut parts: Vec<&[u8]> = vec![&[LABEL_REQUEST], &session];
        for (length, field) in lengths.iter().zip(fields) {
            parts.extend([length.as_slice(), field]);
        }
        hmac_of(self.0.mac(), &parts)
    }
}

impl Keyring {
    /// The active audit key.
    #[must_use]
    pub fn audit_mac(&self) -> AuditMac {
        AuditMac(Arc::clone(self.active_key(Purpose::AuditMac)))
    }

    /// The audit key with this number, active or retired.
    #[must_use]
    pub fn audit_mac_by_kid(&self, kid: u32) -> Option<AuditMac> {
        self.key(kid, Purpose::AuditMac)
            .map(|key| AuditMac(Arc::clone(key)))
    }

    /// The active idempotency key: write with this one.
    #[must_use]
    pub fn idempotency(&self) -> Idempotency {
        Idempotency(Arc::clone(self.active_key(Purpose::Idempotency)))
    }

    /// Every idempotency key, active first: look up with all of them, or a rotation would let a payment run twice.
    #[must_use]
    pub fn idempotency_all(&self) -> Vec<Idempotency> {
        self.keys(Purpose::Idempotency)
            .map(|key| Idempotency(Arc::clone(key)))
            .collect()
    }

    /// The blind index of a normalised value under the active key, for writing. `index` names the column
    /// (`"people.email"`): the same value has different indexes in different columns.
    ///
    /// # Panics
    /// When `index` is longer than [`INDEX_NAME_BYTES_MAX`].
    #[must_use]
    pub fn blind_index(&self, index: &str, normalized: &[u8]) -> [u8; 16] {
        index_under(self.active_key(Purpose::BlindIndex), index, normalized)
    }

    /// The blind indexes under every key, active first, for looking up: "write one key, read all keys".
    ///
    /// # Panics
    /// As [`Self::blind_index`].
    #[must_use]
    pub fn blind_indexes(&self, index: &str, normalized: &[u8]) -> Vec<[u8; 16]> {
        self.keys(Purpose::BlindIndex)
            .map(|key| index_under(key, index, normalized))
            .collect()
    }
}

fn index_under(key: &Key, index: &str, normalized: &[u8]) -> [u8; 16] {
    let length = u8::try_from(index.len()).expect("names of indexes have at most 255 bytes");
    cut(hmac_of(
        key.mac(),
        &[&[LABEL_INDEX, length], index.as_bytes(), normalized],
    ))
}

impl fmt::Debug for AuditMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditMac(kid {})", self.kid())
    }
}

impl fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Idempotency(kid {})", self.kid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_matches_rfc_4231_case_2() {
        let key = MacKey::new(b"Jefe");
        let mac = hmac_of(&key, &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(
            hex::encode(mac),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn audit_marks_verify_for_their_record_and_key_only() {
        let mut ring = Keyring::generate(0);
        let old = ring.audit_mac();
        let mark = old.sign(b"record");
        assert!(old.verify(b"record", &mark));
        assert!(!old.verify(b"Record", &mark));
        assert!(!old.verify(b"record", &mark[..31]));
        ring.rotate(Purpose::AuditMac, 1).unwrap();
        assert!(!ring.audit_mac().verify(b"record", &mark));
        assert!(ring.audit_mac_by_kid(old.kid()).unwrap().verify(b"record", &mark));
        assert!(ring.audit_mac_by_kid(ring.active(Purpose::Seal).kid).is_none());
    }

    #[test]
    fn idempotency_tags_separate_owners_and_keys() {
        let keys = Keyring::generate(0).idempotency();
        let tag = keys.tag([1; 16], "k");
        assert_eq!(tag, keys.tag([1; 16], "k"));
        assert_ne!(tag, keys.tag([2; 16], "k"));
        assert_ne!(tag, keys.tag([1; 16], "l"));
        assert_ne!(tag, keys.tag([1; 16], ""));
    }

    #[test]
    fn field_digests_depend_on_request_field_and_value() {
        let keys = Keyring::generate(0).idempotency();
        let base = keys.field_digest([1; 16], 4, b"100");
        assert_eq!(base, keys.field_digest([1; 16], 4, b"100"));
        assert_ne!(base, keys.field_digest([2; 16], 4, b"100"));
        assert_ne!(base, keys.field_digest([1; 16], 5, b"100"));
        assert_ne!(base, keys.field_digest([1; 16], 4, b"101"));
    }

    #[test]
    fn idempotency_tags_are_still_found_after_rotation() {
        let mut ring = Keyring::generate(0);
        let written = ring.idempotency().tag([1; 16], "k");
        ring.rotate(Purpose::Idempotency, 1).unwrap();
        assert_ne!(ring.idempotency().tag([1; 16], "k"), written);
        assert!(
            ring.idempotency_all()
                .iter()
                .any(|key| key.tag([1; 16], "k") == written)
        );
        assert_eq!(
            ring.idempotency_all()[0].kid(),
            ring.active(Purpose::Idempotency).kid
        );
    }

    #[test]
    fn blind_indexes_are_written_by_one_key_and_read_by_all() {
        let mut ring = Keyring::generate(0);
        let written = ring.blind_index("people.email", b"alice@example.org");
        assert_ne!(written, ring.blind_index("people.phone", b"alice@example.org"));
        assert_ne!(written, ring.blind_index("people.emai", b"lalice@example.org"));
        ring.rotate(Purpose::BlindIndex, 1).unwrap();
        let looked_up = ring.blind_indexes("people.email", b"alice@example.org");
        assert_eq!(looked_up.len(), 2);
        assert_eq!(
            looked_up[0],
            ring.blind_index("people.email", b"alice@example.org")
        );
        assert_eq!(looked_up[1], written);
    }
}
