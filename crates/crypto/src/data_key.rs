//! Data keys: one per person, so that a person can be erased.
//!
//! A data key seals everything personal of one person; it is stored only wrapped by the ring. Append-only places hold
//! ids and salted commitments instead. When the wrapped key is destroyed, the sealed cells are noise for ever and the
//! commitments (whose salts were sealed too) cannot be matched against guesses, while every proof over them still
//! verifies. It erases as far as copies of the wrapped key go: a backup that still holds it must expire, too.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

use crate::keyring::Keyring;
use crate::random;
use crate::seal::{OpenError, Place, Sealer, VERSION_DATA_KEY};
use crate::secret::SecretBytes;

/// Length of a commitment's salt in bytes.
pub const SALT_LEN: usize = 16;

const KEY_LEN: usize = 32;
const COMMITMENT_DOMAIN: &[u8] = b"strongroom/v1/commitment\0";

/// A person's key in memory: unwrap it, use it, drop it. Wiped on drop.
pub struct DataKey {
    root: SecretBytes,
    sealer: Sealer,
}

impl DataKey {
    /// A new key.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_root(SecretBytes::random(KEY_LEN)).expect("the length is right")
    }

    fn from_root(root: SecretBytes) -> Option<Self> {
        let sealer = Sealer::new(root.expose().try_into().ok()?);
        Some(Self { root, sealer })
    }

    /// The key sealed by the ring for `person` (an id's bytes); the only form that is stored.
    #[must_use]
    pub fn wrap(&self, ring: &Keyring, person: [u8; 16]) -> Vec<u8> {
        ring.seal(wrapped_place(&person), self.root.expose())
    }

    /// Opens what [`Self::wrap`] made for the same person. [`Keyring::needs_reseal`] tells when to wrap again.
    ///
    /// # Errors
    /// [`OpenError`], also when the blob belongs to another person.
    pub fn unwrap(ring: &Keyring, person: [u8; 16], wrapped: &[u8]) -> Result<Self, OpenError> {
        Self::from_root(ring.open(wrapped_place(&person), wrapped)?).ok_or(OpenError::Malformed)
    }

    /// Seals one cell of this person. Bounds and format: [`crate::seal`].
    ///
    /// # Panics
    /// When a bound is exceeded or the random generator fails.
    #[must_use]
    pub fn seal(&self, place: Place<'_>, plaintext: &[u8]) -> Vec<u8> {
        self.sealer.seal(&[VERSION_DATA_KEY], place, plaintext)
    }

    /// Opens what [`Self::seal`] made for the same place of the same person.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, place: Place<'_>, blob: &[u8]) -> Result<SecretBytes, OpenError> {
        if blob.first() != Some(&VERSION_DATA_KEY) {
            return Err(OpenError::Malformed);
        }
        self.sealer.open(1, place, blob)
    }
}

fn wrapped_place(person: &[u8; 16]) -> Place<'_> {
    Place {
        table: "data_key",
        column: "wrapped",
        row: person,
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey([redacted])")
    }
}

/// A new salt for [`commitment`]. Keep it sealed beside the value: whoever knows it can test guesses.
#[must_use]
pub fn new_salt() -> [u8; SALT_LEN] {
    random::bytes()
}

/// What append-only rows hold instead of a personal value: SHA-256 over domain, salt and bytes. Binding by collision
/// resistance; hiding as long as the 128-bit salt is secret or destroyed.
#[must_use]
pub fn commitment(salt: [u8; SALT_LEN], bytes: &[u8]) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    hash.update(COMMITMENT_DOMAIN);
    hash.update(&salt);
    hash.update(bytes);
    hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Purpose;

    const PLACE: Place<'static> = Place {
        table: "people",
        column: "name",
        row: b"1",
    };
    const ALICE: [u8; 16] = [1; 16];
    const BOB: [u8; 16] = [2; 16];

    #[test]
    fn a_wrapped_key_opens_for_its_person_only() {
        let ring = Keyring::generate(0);
        let key = DataKey::generate();
        let cell = key.seal(PLACE, b"Alice");
        let wrapped = key.wrap(&ring, ALICE);
        let again = DataKey::unwrap(&ring, ALICE, &wrapped).unwrap();
        assert_eq!(again.open(PLACE, &cell).unwrap().expose(), b"Alice");
        assert_eq!(
            DataKey::unwrap(&ring, BOB, &wrapped).unwrap_err(),
            OpenError::Refused
        );
    }

    #[test]
    fn without_the_key_the_cell_is_lost_even_with_the_ring() {
        let ring = Keyring::generate(0);
        let cell = DataKey::generate().seal(PLACE, b"Alice");
        assert!(DataKey::generate().open(PLACE, &cell).is_err());
        assert!(ring.open(PLACE, &cell).is_err());
    }

    #[test]
    fn a_cell_of_a_person_does_not_open_elsewhere_nor_after_a_change() {
        let key = DataKey::generate();
        let cell = key.seal(PLACE, b"Alice");
        assert!(key.open(PLACE, &cell).is_ok());
        assert_eq!(
            key.open(Place { row: b"2", ..PLACE }, &cell).unwrap_err(),
            OpenError::Refused
        );
        for index in 0..cell.len() {
            let mut changed = cell.clone();
            changed[index] ^= 1;
            assert!(key.open(PLACE, &changed).is_err(), "byte {index}");
            assert!(key.open(PLACE, &cell[..index]).is_err(), "cut at {index}");
        }
    }

    #[test]
    fn rotation_asks_to_wrap_again_and_leaves_cells_alone() {
        let mut ring = Keyring::generate(0);
        let key = DataKey::generate();
        let cell = key.seal(PLACE, b"Alice");
        let old = key.wrap(&ring, ALICE);
        ring.rotate(Purpose::Seal, 1).unwrap();
        assert!(ring.needs_reseal(&old));
        let new = DataKey::unwrap(&ring, ALICE, &old).unwrap().wrap(&ring, ALICE);
        assert!(!ring.needs_reseal(&new));
        assert_eq!(
            DataKey::unwrap(&ring, ALICE, &new)
                .unwrap()
                .open(PLACE, &cell)
                .unwrap()
                .expose(),
            b"Alice"
        );
    }

    #[test]
    fn commitments_depend_on_salt_and_value_and_never_change_between_versions() {
        let golden = commitment([7; SALT_LEN], b"Alice");
        assert_eq!(
            hex::encode(golden),
            "5e1da8e00eba0c0ac45893077be4c1b1a71cd3717286bb3e2577e1f87f7bcbe3"
        );
        assert_ne!(golden, commitment([8; SALT_LEN], b"Alice"));
        assert_ne!(golden, commitment([7; SALT_LEN], b"Alicf"));
        assert_ne!(new_salt(), new_salt());
    }

    #[test]
    fn debug_of_a_data_key_shows_nothing() {
        assert_eq!(format!("{:?}", DataKey::generate()), "DataKey([redacted])");
    }
}
