//! Sealing: authenticated encryption of one cell, bound to its place.
//!
//! Algorithm: XAES-256-GCM (<https://c2sp.org/XAES-256-GCM>) with a random 192-bit nonce, plus a commitment, because GCM alone lets
//! somebody who knows two keys make one ciphertext that opens under both. The commitment is HMAC-SHA256 under a
//! second key over nonce and place, 256 bits (collision resistance 2^128); both keys come from one root by HKDF, so it
//! fixes the root key. It is compared in constant time before anything is decrypted.
//!
//! ```text
//! ring    1 | kid 4 (big-endian) | nonce 24 | commitment 32 | ciphertext | tag 16
//! person  2 |                      nonce 24 | commitment 32 | ciphertext | tag 16      (see data_key)
//! ```
//!
//! The associated data is version, kid, then table, column and row, each behind its length: a cell moved to another
//! row, column or table does not open. The kid lies at a fixed offset so that SQL can count rows under an old key.

use crate::keyring::{Keyring, Purpose, derive};
use crate::mac::{MacKey, hmac_of};
use crate::random;
use crate::secret::{SecretBytes, constant_time_eq};
use crate::xaes::{NONCE_LEN, TAG_LEN, Xaes};

/// Largest plaintext in bytes: one document (10 MiB) with room to spare.
pub const PLAINTEXT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest table, column or row name of a [`Place`] in bytes.
pub const PLACE_PART_BYTES_MAX: usize = 255;
/// First byte of a blob sealed by the ring.
pub const VERSION_RING: u8 = 1;
/// First byte of a blob sealed by a person's data key.
pub const VERSION_DATA_KEY: u8 = 2;
/// What sealing by the ring adds to the plaintext, in bytes.
pub const OVERHEAD_RING: usize = 1 + KID_LEN + NONCE_LEN + COMMITMENT_LEN + TAG_LEN;

const KID_LEN: usize = 4;
const COMMITMENT_LEN: usize = 32;

/// Where a sealed cell lives. It cannot be opened anywhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Table, at most [`PLACE_PART_BYTES_MAX`] bytes.
    pub table: &'a str,
    /// Column, at most [`PLACE_PART_BYTES_MAX`] bytes.
    pub column: &'a str,
    /// Key of the row (most often an id's 16 bytes), at most [`PLACE_PART_BYTES_MAX`] bytes.
    pub row: &'a [u8],
}

/// Why a blob was not opened. Deliberately little: a wrong key, a wrong place and a changed byte look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not a sealed blob of a known version.
    #[error("not a sealed blob")]
    Malformed,
    /// Sealed by a key that this ring does not have (destroyed, or another ring).
    #[error("sealed by key {0}, which the keyring does not have")]
    UnknownKid(u32),
    /// Changed, moved, or sealed by another key.
    #[error("the sealed blob is not authentic at this place")]
    Refused,
}

/// Root key in its two working forms.
pub(crate) struct Sealer {
    encryption: Xaes,
    commitment: MacKey,
}

impl Sealer {
    pub(crate) fn new(root: &[u8; 32]) -> Self {
        let encryption = derive(root, &[b"strongroom/v1/seal/encryption"]);
        let commitment = derive(root, &[b"strongroom/v1/seal/commitment"]);
        Self {
            encryption: Xaes::new(&encryption),
            commitment: MacKey::new(&*commitment),
        }
    }

    /// `head` is version and kid; it is written first and authenticated.
    pub(crate) fn seal(&self, head: &[u8], place: Place<'_>, plaintext: &[u8]) -> Vec<u8> {
        assert!(
            plaintext.len() <= PLAINTEXT_BYTES_MAX,
            "a cell of {} bytes is too large",
            plaintext.len()
        );
        let nonce = random::bytes::<NONCE_LEN>();
        let bound = Bound::new(&nonce, head, place);
        let commitment = hmac_of(&self.commitment, &[bound.nonce_and_aad()]);
        let body = head.len() + NONCE_LEN + COMMITMENT_LEN;
        let mut blob = Vec::with_capacity(body + plaintext.len() + TAG_LEN);
        blob.extend_from_slice(head);
        blob.extend_from_slice(&nonce);
        blob.extend_from_slice(&commitment);
        blob.extend_from_slice(plaintext);
        let tag = self.encryption.seal(&nonce, bound.aad(), &mut blob[body..]);
        blob.extend_from_slice(&tag);
        blob
    }

    /// Opens what follows the head of `head_len` bytes.
    pub(crate) fn open(
        &self,
        head_len: usize,
        place: Place<'_>,
        blob: &[u8],
    ) -> Result<SecretBytes, OpenError> {
        let (head, rest) = blob.split_at_checked(head_len).ok_or(OpenError::Malformed)?;
        let (nonce, rest) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(OpenError::Malformed)?;
        let (commitment, sealed) = rest
            .split_first_chunk::<COMMITMENT_LEN>()
            .ok_or(OpenError::Malformed)?;
        let length = sealed.len().checked_sub(TAG_LEN).ok_or(OpenError::Malformed)?;
        if length > PLAINTEXT_BYTES_MAX {
            return Err(OpenError::Malformed);
        }
        let bound = Bound::new(nonce, head, place);
        let expected = hmac_of(&self.commitment, &[bound.nonce_and_aad()]);
        if !constant_time_eq(&expected, commitment) {
            return Err(OpenError::Refused);
        }
        let mut buffer = sealed.to_vec();
        self.encryption
            .open(nonce, bound.aad(), &mut buffer)
            .map_err(|_| OpenError::Refused)?;
        buffer.truncate(length);
        Ok(SecretBytes::new(buffer))
    }
}

/// Nonce, head and place as one unambiguous byte string; the part behind the nonce is the associated data.
struct Bound(Vec<u8>);

impl Bound {
    fn new(nonce: &[u8; NONCE_LEN], head: &[u8], place: Place<'_>) -> Self {
        let parts = [place.table.as_bytes(), place.column.as_bytes(), place.row];
        let mut bytes =
            Vec::with_capacity(NONCE_LEN + 1 + head.len() + 3 + parts.iter().map(|p| p.len()).sum::<usize>());
        bytes.extend_from_slice(nonce);
        for part in [head].into_iter().chain(parts) {
            let length = u8::try_from(part.len()).expect("parts of a place have at most 255 bytes");
            bytes.push(length);
            bytes.extend_from_slice(part);
        }
        Self(bytes)
    }

    fn nonce_and_aad(&self) -> &[u8] {
        &self.0
    }

    fn aad(&self) -> &[u8] {
        &self.0[NONCE_LEN..]
    }
}

impl Keyring {
    /// Seals `plaintext` for `place` under the active sealing key; [`OVERHEAD_RING`] bytes longer.
    ///
    /// # Panics
    /// When a bound of this module is exceeded (places are written in code, sizes are checked at the edge), or the
    /// random generator fails.
    #[must_use]
    pub fn seal(&self, place: Place<'_>, plaintext: &[u8]) -> Vec<u8> {
        let key = self.active_key(Purpose::Seal);
        let mut head = [VERSION_RING, 0, 0, 0, 0];
        head[1..].copy_from_slice(&key.kid.to_be_bytes());
        key.sealer().seal(&head, place, plaintext)
    }

    /// Opens what [`Self::seal`] made for the same place, by whichever key it names.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, place: Place<'_>, blob: &[u8]) -> Result<SecretBytes, OpenError> {
        let kid = sealed_by(blob).ok_or(OpenError::Malformed)?;
        let key = self.key(kid, Purpose::Seal).ok_or(OpenError::UnknownKid(kid))?;
        key.sealer().open(1 + KID_LEN, place, blob)
    }

    /// True when `blob` was sealed by a retired key and should be sealed again.
    #[must_use]
    pub fn needs_reseal(&self, blob: &[u8]) -> bool {
        sealed_by(blob).is_some_and(|kid| kid != self.active_key(Purpose::Seal).kid)
    }
}

/// The kid that a blob of [`VERSION_RING`] names (bytes 2 to 5, big-endian), `None` for anything else.
#[must_use]
pub fn sealed_by(blob: &[u8]) -> Option<u32> {
    let (&VERSION_RING, rest) = blob.split_first()? else {
        return None;
    };
    rest.first_chunk().map(|kid| u32::from_be_bytes(*kid))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place {
        table: "people",
        column: "email",
        row: b"row-1",
    };

    #[test]
    fn a_cell_opens_at_its_place() {
        let ring = Keyring::generate(0);
        for plaintext in [&b""[..], b"alice@example.org", &[0xa5; 100_000]] {
            let blob = ring.seal(PLACE, plaintext);
            assert_eq!(blob.len(), plaintext.len() + OVERHEAD_RING);
            assert_eq!(ring.open(PLACE, &blob).unwrap().expose(), plaintext);
        }
    }

    #[test]
    fn a_cell_moved_to_another_row_column_or_table_does_not_open() {
        let ring = Keyring::generate(0);
        let blob = ring.seal(PLACE, b"alice@example.org");
        assert!(ring.open(PLACE, &blob).is_ok());
        for moved in [
            Place {
                row: b"row-2",
                ..PLACE
            },
            Place { row: b"", ..PLACE },
            Place {
                column: "name",
                ..PLACE
            },
            Place {
                table: "person",
                ..PLACE
            },
            // The same letters, cut elsewhere.
            Place {
                table: "peoplee",
                column: "mail",
                row: b"row-1",
            },
            Place {
                table: "people",
                column: "emailr",
                row: b"ow-1",
            },
        ] {
            assert_eq!(
                ring.open(moved, &blob).unwrap_err(),
                OpenError::Refused,
                "{moved:?}"
            );
        }
    }

    #[test]
    fn any_changed_byte_and_any_cut_is_refused() {
        let ring = Keyring::generate(0);
        let blob = ring.seal(PLACE, b"42");
        assert!(ring.open(PLACE, &blob).is_ok());
        for index in 0..blob.len() {
            for bit in 0..8 {
                let mut changed = blob.clone();
                changed[index] ^= 1 << bit;
                assert!(ring.open(PLACE, &changed).is_err(), "byte {index} bit {bit}");
            }
            assert!(ring.open(PLACE, &blob[..index]).is_err(), "cut at {index}");
        }
        let mut longer = blob.clone();
        longer.push(0);
        assert_eq!(ring.open(PLACE, &longer).unwrap_err(), OpenError::Refused);
    }

    #[test]
    fn equal_plaintexts_seal_differently() {
        let ring = Keyring::generate(0);
        assert_ne!(ring.seal(PLACE, b"same"), ring.seal(PLACE, b"same"));
    }

    #[test]
    fn rotation_keeps_old_cells_readable_until_the_key_is_destroyed() {
        let mut ring = Keyring::generate(0);
        let old = ring.seal(PLACE, b"before");
        let old_kid = sealed_by(&old).unwrap();
        assert!(!ring.needs_reseal(&old));
        ring.rotate(Purpose::Seal, 1).unwrap();
        assert!(ring.needs_reseal(&old));
        assert_eq!(ring.open(PLACE, &old).unwrap().expose(), b"before");
        assert!(!ring.needs_reseal(&ring.seal(PLACE, b"after")));
        ring.destroy(old_kid).unwrap();
        assert_eq!(
            ring.open(PLACE, &old).unwrap_err(),
            OpenError::UnknownKid(old_kid)
        );
    }

    #[test]
    fn another_ring_and_a_key_of_another_purpose_do_not_open() {
        let ring = Keyring::generate(0);
        let mut blob = ring.seal(PLACE, b"x");
        assert_eq!(
            Keyring::generate(0).open(PLACE, &blob).unwrap_err(),
            OpenError::Refused
        );
        let device = ring.active(Purpose::Device).kid;
        blob[1..5].copy_from_slice(&device.to_be_bytes());
        assert_eq!(
            ring.open(PLACE, &blob).unwrap_err(),
            OpenError::UnknownKid(device)
        );
    }

    #[test]
    fn relabelling_a_blob_to_another_sealing_key_is_refused() {
        let mut ring = Keyring::generate(0);
        let mut blob = ring.seal(PLACE, b"x");
        let kid = ring.rotate(Purpose::Seal, 1).unwrap();
        blob[1..5].copy_from_slice(&kid.to_be_bytes());
        assert_eq!(ring.open(PLACE, &blob).unwrap_err(), OpenError::Refused);
    }

    #[test]
    fn the_commitment_is_checked_apart_from_the_tag() {
        // A blob whose GCM part is right but whose commitment is another key's: GCM alone would accept it.
        let (a, b) = (Sealer::new(&[1; 32]), Sealer::new(&[2; 32]));
        let crossed = Sealer {
            encryption: Xaes::new(&derive(&[1; 32], &[b"strongroom/v1/seal/encryption"])),
            commitment: b.commitment,
        };
        let blob = crossed.seal(&[9], PLACE, b"x");
        assert_eq!(crossed.open(1, PLACE, &blob).unwrap().expose(), b"x");
        assert_eq!(a.open(1, PLACE, &blob).unwrap_err(), OpenError::Refused);
    }
}
