//! One key of the ring: what it is for, and its forms prepared for use.

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::mac::MacKey;
use crate::seal::Sealer;
use crate::secret::SecretBytes;

/// Length of every key's material in bytes.
pub(crate) const MATERIAL_LEN: usize = 32;

/// What a key may be used for. One key, one purpose (NIST SP 800-57 part 1 §5.2): each key's working form is derived
/// under its purpose's name, so the same material under another purpose would be another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Wraps data keys and seals the system's own secrets (XAES-256-GCM).
    Seal,
    /// Look-up of sealed values by equality (HMAC-SHA256).
    BlindIndex,
    /// The node's mark on audit records (HMAC-SHA256).
    AuditMac,
    /// Signs access tokens (Ed25519).
    AccessToken,
    /// Signs checkpoints of the audit log (Ed25519).
    Checkpoint,
    /// Derives refresh tokens (HMAC-SHA256).
    Refresh,
    /// Secret input of password hashes (Argon2's secret value).
    Pepper,
    /// Tags of idempotency keys and digests of request fields (HMAC-SHA256).
    Idempotency,
    /// Device marks (HMAC-SHA256).
    Device,
    /// Stored hashes of API keys (HMAC-SHA256).
    ApiKey,
    /// Signs the answers to signed requests (Ed25519).
    Answer,
    /// Server nonces of proofs of possession (HMAC-SHA256).
    Proof,
}

impl Purpose {
    /// Every purpose; a ring has exactly one active key for each.
    pub const ALL: [Self; 12] = [
        Self::Seal,
        Self::BlindIndex,
        Self::AuditMac,
        Self::AccessToken,
        Self::Checkpoint,
        Self::Refresh,
        Self::Pepper,
        Self::Idempotency,
        Self::Device,
        Self::ApiKey,
        Self::Answer,
        Self::Proof,
    ];

    /// The stable name, as in documents, the database and the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::BlindIndex => "blind_index",
            Self::AuditMac => "audit_mac",
            Self::AccessToken => "access_token",
            Self::Checkpoint => "checkpoint",
            Self::Refresh => "refresh",
            Self::Pepper => "pepper",
            Self::Idempotency => "idempotency",
            Self::Device => "device",
            Self::ApiKey => "api_key",
            Self::Answer => "answer",
            Self::Proof => "proof",
        }
    }

    /// The purpose with this [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == name)
    }

    /// The algorithm, in words for listings and the inventory.
    #[must_use]
    pub const fn algorithm(self) -> &'static str {
        match self {
            Self::Seal => "XAES-256-GCM",
            Self::AccessToken | Self::Checkpoint | Self::Answer => "Ed25519",
            Self::Pepper => "Argon2id secret",
            Self::BlindIndex
            | Self::AuditMac
            | Self::Refresh
            | Self::Idempotency
            | Self::Device
            | Self::ApiKey
            | Self::Proof => "HMAC-SHA256",
        }
    }

    /// Place in [`Self::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An Ed25519 key pair in every form that is used.
pub(crate) struct Signing {
    pub(crate) pair: Ed25519KeyPair,
    pub(crate) public: [u8; 32],
    pub(crate) encoding: EncodingKey,
    pub(crate) decoding: DecodingKey,
}

impl Signing {
    fn new(seed: &[u8; MATERIAL_LEN]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are an Ed25519 seed");
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .expect("Ed25519 keys have 32 bytes");
        let document = pair.to_pkcs8v1().expect("an Ed25519 key has a PKCS#8 form");
        let encoding = EncodingKey::from_ed_der(document.as_ref());
        let decoding = DecodingKey::from_ed_der(pair.public_key().as_ref());
        Self {
            pair,
            public,
            encoding,
            decoding,
        }
    }
}

/// The working form, computed once when the key enters memory.
enum Prepared {
    Seal(Box<Sealer>),
    Mac(Box<MacKey>),
    Sign(Box<Signing>),
    Pepper(SecretBytes),
}

/// A key in memory. The material is wiped on drop, the library wipes its prepared forms.
pub(crate) struct Key {
    pub(crate) kid: u32,
    pub(crate) purpose: Purpose,
    pub(crate) created_at: i64,
    material: SecretBytes,
    prepared: Prepared,
}

struct Len32;

impl KeyType for Len32 {
    fn len(&self) -> usize {
        MATERIAL_LEN
    }
}

/// HKDF-SHA256 (RFC 5869) of `material` under `info`, whose parts are joined as they are: keep them prefix-free.
pub(crate) fn derive(material: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; MATERIAL_LEN]> {
    let mut out = Zeroizing::new([0u8; MATERIAL_LEN]);
    Salt::new(HKDF_SHA256, &[])
        .extract(material)
        .expand(info, Len32)
        .and_then(|okm| okm.fill(&mut *out))
        .expect("32 bytes are below HKDF's bound");
    out
}

impl Key {
    pub(crate) fn new(kid: u32, purpose: Purpose, created_at: i64, material: SecretBytes) -> Self {
        let working = derive(
            material.expose(),
            &[b"strongroom/v1/use/", purpose.name().as_bytes()],
        );
        let prepared = match purpose {
            Purpose::Seal => Prepared::Seal(Box::new(Sealer::new(&working))),
            Purpose::AccessToken | Purpose::Checkpoint | Purpose::Answer => {
                Prepared::Sign(Box::new(Signing::new(&working)))
            }
            Purpose::Pepper => Prepared::Pepper(SecretBytes::copy_of(&*working)),
            Purpose::BlindIndex
            | Purpose::AuditMac
            | Purpose::Refresh
            | Purpose::Idempotency
            | Purpose::Device
            | Purpose::ApiKey
            | Purpose::Proof => Prepared::Mac(Box::new(MacKey::new(&*working))),
        };
        Self {
            kid,
            purpose,
            created_at,
            material,
            prepared,
        }
    }

    pub(crate) fn generate(kid: u32, purpose: Purpose, created_at: i64) -> Self {
        Self::new(kid, purpose, created_at, SecretBytes::random(MATERIAL_LEN))
    }

    pub(crate) fn material(&self) -> &SecretBytes {
        &self.material
    }

    /// A value that tells equal keys from different ones and nothing else: derived beside the working key.
    pub(crate) fn check_value(&self) -> [u8; 16] {
        let value = derive(
            self.material.expose(),
            &[
                b"strongroom/v1/check/",
                self.purpose.name().as_bytes(),
                b"/",
                &self.kid.to_be_bytes(),
            ],
        );
        let mut out = [0u8; 16];
        out.copy_from_slice(&value[..16]);
        out
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        match &self.prepared {
            Prepared::Seal(sealer) => sealer,
            _ => unreachable!("asked a {} key to seal", self.purpose),
        }
    }

    pub(crate) fn mac(&self) -> &MacKey {
        match &self.prepared {
            Prepared::Mac(key) => key,
            _ => unreachable!("asked a {} key for a MAC", self.purpose),
        }
    }

    pub(crate) fn signing(&self) -> &Signing {
        match &self.prepared {
            Prepared::Sign(signing) => signing,
            _ => unreachable!("asked a {} key to sign", self.purpose),
        }
    }

    pub(crate) fn pepper(&self) -> &SecretBytes {
        match &self.prepared {
            Prepared::Pepper(secret) => secret,
            _ => unreachable!("asked a {} key for a pepper", self.purpose),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;

    use super::*;

    #[test]
    fn derivation_matches_the_rfc_5869_construction() {
        // RFC 5869 §2 by hand: extract under a zero salt, then the first block of expand.
        let prk = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[0; 32]), &[0x0b; 32]);
        let expected = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, prk.as_ref()),
            b"strongroom\x01",
        );
        assert_eq!(
            derive(&[0x0b; 32], &[b"strong", b"room"]).as_slice(),
            expected.as_ref()
        );
    }

    #[test]
    fn names_and_indexes_agree_with_the_list() {
        for (index, purpose) in Purpose::ALL.into_iter().enumerate() {
            assert_eq!(purpose.index(), index);
            assert_eq!(Purpose::from_name(purpose.name()), Some(purpose));
            assert_eq!(serde_json::to_value(purpose).unwrap(), purpose.name());
        }
        assert_eq!(Purpose::from_name("Seal"), None);
    }

    #[test]
    fn check_values_depend_on_material_purpose_and_kid() {
        let key =
            |kid, purpose, byte| Key::new(kid, purpose, 0, SecretBytes::new(vec![byte; 32])).check_value();
        let base = key(1, Purpose::Device, 7);
        assert_eq!(base, key(1, Purpose::Device, 7));
        assert_ne!(base, key(2, Purpose::Device, 7));
        assert_ne!(base, key(1, Purpose::ApiKey, 7));
        assert_ne!(base, key(1, Purpose::Device, 8));
    }

    #[test]
    fn debug_of_a_key_shows_no_material() {
        let key = Key::new(
            3,
            Purpose::Device,
            0,
            SecretBytes::copy_of(b"0123456789abcdef0123456789abcdef"),
        );
        let shown = format!("{key:?} {key:#?}");
        assert!(
            shown.contains("kid") && !shown.contains("012345") && !shown.contains("48, 49"),
            "{shown}"
        );
    }
}
