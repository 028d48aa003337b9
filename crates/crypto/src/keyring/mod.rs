//! The keyring: versioned keys by purpose.
//!
//! A ring has exactly one active key for each [`Purpose`] and any number of retired ones. New things are made with the
//! active key; what was made before is read with the key that it names by its kid. Kids are unique over the ring and
//! never used twice, also not after a key was destroyed. A ring is cheap to clone (keys are shared): change a clone,
//! store it through its [`KeyProvider`], then let readers see it.

mod document;
mod envelope;
mod key;
mod provider;
mod rotation;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use document::DocumentError;
pub use key::Purpose;
pub(crate) use key::{Key, derive};
pub use provider::{EnvProvider, FileProvider, KeyProvider, ProviderError};
pub use rotation::TravellingKey;

/// Most keys that a ring holds: with a rotation of every purpose each month that is two years, then old ones have to be
/// destroyed.
pub const KEYS_MAX: usize = 256;

/// What a key is used for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Makes new things, reads old ones.
    Active,
    /// Reads what it made before.
    Retired,
    /// Made, and to become active once every node has it; reads what other nodes make with it. Never in a document.
    #[serde(skip)]
    Announced,
}

impl KeyState {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Announced => "announced",
        }
    }
}

/// What may be shown about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Number of the key, unique over the ring.
    pub kid: u32,
    /// What it is for.
    pub purpose: Purpose,
    /// Unix time in microseconds.
    pub created_at: i64,
    /// Whether it makes new things.
    pub state: KeyState,
}

/// A key's check value, kept in the database so that every node can tell that it holds the same keys.
/// Source of the idea: key check values of payment HSMs; here 128 bits derived by HKDF, which reveal nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyCheck {
    /// Number of the key.
    pub kid: u32,
    /// What it is for.
    pub purpose: Purpose,
    /// The value.
    pub value: [u8; 16],
}

/// Why a ring refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// No key has this number.
    #[error("the keyring has no key {0}")]
    UnknownKid(u32),
    /// The key is still the active one of its purpose.
    #[error("key {0} is active: rotate its purpose first")]
    StillActive(u32),
    /// [`KEYS_MAX`] reached, or kids used up.
    #[error("the keyring is full: destroy retired keys first")]
    Full,
    /// The database knows keys that this ring lacks.
    #[error("the keyring lacks keys that the database was written with: {0:?}")]
    Missing(Vec<u32>),
    /// A travelling key does not open, is for another purpose, or is no key.
    #[error("key {0}, which another node made, cannot be taken over")]
    Unreadable(u32),
    /// A key has another value than the database remembers.
    #[error("key {0} is not the key that the database was written with")]
    Mismatch(u32),
}

#[derive(Clone)]
struct Entry {
    key: Arc<Key>,
    state: KeyState,
}

/// The ring; see the module's page.
#[derive(Clone)]
pub struct Keyring {
    /// Ordered by kid.
    entries: Vec<Entry>,
    /// By [`Purpose::index`].
    active: [Arc<Key>; Purpose::ALL.len()],
    next_kid: u32,
}

impl Keyring {
    /// A new ring with one active key for every purpose, made at `now` (Unix microseconds). Only for an empty database.
    #[must_use]
    pub fn generate(now: i64) -> Self {
        let active =
            Purpose::ALL.map(|purpose| Arc::new(Key::generate(purpose.index() as u32 + 1, purpose, now)));
        let entries = active
            .iter()
            .map(|key| Entry {
                key: Arc::clone(key),
                state: KeyState::Active,
            })
            .collect();
        Self {
            entries,
            active,
            next_kid: Purpose::ALL.len() as u32 + 1,
        }
    }

    /// Makes a new active key for `purpose` and retires the one before; gives the new kid.
    ///
    /// # Errors
    /// [`KeyringError::Full`].
    pub fn rotate(&mut self, purpose: Purpose, now: i64) -> Result<u32, KeyringError> {
        if self.entries.len() >= KEYS_MAX {
            return Err(KeyringError::Full);
        }
        let kid = self.next_kid;
        self.next_kid = kid.checked_add(1).ok_or(KeyringError::Full)?;
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| entry.key.purpose == purpose)
        {
            entry.state = KeyState::Retired;
        }
        let key = Arc::new(Key::generate(kid, purpose, now));
        self.active[purpose.index()] = Arc::clone(&key);
        self.entries.push(Entry {
            key,
            state: KeyState::Active,
        });
        Ok(kid)
    }

    /// Removes a retired key for good. What only it can read is lost: seal again first, and see that nothing names it.
    ///
    /// # Errors
    /// [`KeyringError::UnknownKid`], [`KeyringError::StillActive`].
    pub fn destroy(&mut self, kid: u32) -> Result<(), KeyringError> {
        let index = self.position(kid).ok_or(KeyringError::UnknownKid(kid))?;
        if self.entries[index].state == KeyState::Active {
            return Err(KeyringError::StillActive(kid));
        }
        self.entries.remove(index);
        Ok(())
    }

    /// The active key of `purpose`.
    #[must_use]
    pub fn active(&self, purpose: Purpose) -> KeyInfo {
        let key = self.active_key(purpose);
        KeyInfo {
            kid: key.kid,
            purpose,
            created_at: key.created_at,
            state: KeyState::Active,
        }
    }

    /// The key with this number.
    #[must_use]
    pub fn by_kid(&self, kid: u32) -> Option<KeyInfo> {
        self.position(kid).map(|index| self.entries[index].info())
    }

    /// Every key, by kid; metadata only.
    #[must_use]
    pub fn list(&self) -> Vec<KeyInfo> {
        self.entries.iter().map(Entry::info).collect()
    }

    /// Every key's check value, by kid, for the database.
    #[must_use]
    pub fn check_values(&self) -> Vec<KeyCheck> {
        self.entries
            .iter()
            .map(|Entry { key, .. }| check_of(key))
            .collect()
    }

    /// Compares with the check values that the database holds. Gives those of this ring that the database does not know
    /// yet (to be inserted); a ring that lacks or contradicts a stored one must not be used.
    ///
    /// # Errors
    /// [`KeyringError::Mismatch`], [`KeyringError::Missing`].
    pub fn verify_check_values(&self, stored: &[KeyCheck]) -> Result<Vec<KeyCheck>, KeyringError> {
        let own = self.check_values();
        let mut missing = Vec::new();
        for theirs in stored {
            match own.iter().find(|ours| ours.kid == theirs.kid) {
                Some(ours) if ours == theirs => {}
                Some(_) => return Err(KeyringError::Mismatch(theirs.kid)),
                None => missing.push(theirs.kid),
            }
        }
        if !missing.is_empty() {
            return Err(KeyringError::Missing(missing));
        }
        Ok(own
            .into_iter()
            .filter(|ours| stored.iter().all(|theirs| theirs.kid != ours.kid))
            .collect())
    }

    /// Public keys of a signing purpose, active first, then the others by descending kid.
    ///
    /// # Panics
    /// When `purpose` does not sign.
    #[must_use]
    pub fn public_keys(&self, purpose: Purpose) -> Vec<(u32, [u8; 32])> {
        self.keys(purpose)
            .map(|key| (key.kid, key.signing().public))
            .collect()
    }

    pub(crate) fn active_key(&self, purpose: Purpose) -> &Arc<Key> {
        &self.active[purpose.index()]
    }

    /// The key with this number if it serves `purpose`.
    pub(crate) fn key(&self, kid: u32, purpose: Purpose) -> Option<&Arc<Key>> {
        let index = self.position(kid)?;
        Some(&self.entries[index].key).filter(|key| key.purpose == purpose)
    }

    /// Keys of a purpose, the active one first, then by descending kid.
    pub(crate) fn keys(&self, purpose: Purpose) -> impl Iterator<Item = &Arc<Key>> {
        let active = self.active_key(purpose);
        let others = self
            .entries
            .iter()
            .rev()
            .map(|entry| &entry.key)
            .filter(move |key| key.purpose == purpose && key.kid != active.kid);
        std::iter::once(active).chain(others)
    }

    fn position(&self, kid: u32) -> Option<usize> {
        self.entries
            .binary_search_by_key(&kid, |entry| entry.key.kid)
            .ok()
    }
}

impl Entry {
    fn info(&self) -> KeyInfo {
        let key = &self.key;
        KeyInfo {
            kid: key.kid,
            purpose: key.purpose,
            created_at: key.created_at,
            state: self.state,
        }
    }
}

fn check_of(key: &Key) -> KeyCheck {
    KeyCheck {
        kid: key.kid,
        purpose: key.purpose,
        value: key.check_value(),
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("keys", &self.list())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_ring_has_one_active_key_for_every_purpose() {
        let ring = Keyring::generate(17);
        assert_eq!(ring.list().len(), Purpose::ALL.len());
        for purpose in Purpose::ALL {
            let info = ring.active(purpose);
            assert_eq!(
                (info.purpose, info.state, info.created_at),
                (purpose, KeyState::Active, 17)
            );
            assert_eq!(ring.by_kid(info.kid), Some(info));
        }
        assert_eq!(ring.by_kid(0), None);
    }

    #[test]
    fn rotation_retires_the_old_key_and_leaves_other_purposes_alone() {
        let mut ring = Keyring::generate(1);
        let before = ring.active(Purpose::Seal).kid;
        let other = ring.active(Purpose::Device);
        let kid = ring.rotate(Purpose::Seal, 2).unwrap();
        assert_eq!(ring.active(Purpose::Seal).kid, kid);
        assert_eq!(ring.by_kid(before).unwrap().state, KeyState::Retired);
        assert_eq!(ring.active(Purpose::Device), other);
        let order: Vec<_> = ring.keys(Purpose::Seal).map(|key| key.kid).collect();
        assert_eq!(order, [kid, before]);
    }

    #[test]
    fn a_destroyed_kid_is_never_used_again() {
        let mut ring = Keyring::generate(1);
        let first = ring.active(Purpose::Seal).kid;
        assert_eq!(ring.destroy(first), Err(KeyringError::StillActive(first)));
        let second = ring.rotate(Purpose::Seal, 2).unwrap();
        let third = ring.rotate(Purpose::Seal, 3).unwrap();
        ring.destroy(second).unwrap();
        assert_eq!(ring.destroy(second), Err(KeyringError::UnknownKid(second)));
        assert!(ring.rotate(Purpose::Seal, 4).unwrap() > third);
    }

    #[test]
    fn a_ring_is_bounded() {
        let mut ring = Keyring::generate(1);
        while ring.list().len() < KEYS_MAX {
            ring.rotate(Purpose::Device, 2).unwrap();
        }
        assert_eq!(ring.rotate(Purpose::Device, 2), Err(KeyringError::Full));
    }

    #[test]
    fn check_values_accept_the_own_ring_and_name_what_the_database_lacks() {
        let mut ring = Keyring::generate(1);
        let stored = ring.check_values();
        assert_eq!(ring.verify_check_values(&stored), Ok(vec![]));
        let kid = ring.rotate(Purpose::Pepper, 2).unwrap();
        let fresh = ring.verify_check_values(&stored).unwrap();
        assert_eq!(fresh.iter().map(|check| check.kid).collect::<Vec<_>>(), [kid]);
        assert_eq!(ring.verify_check_values(&[]).unwrap().len(), ring.list().len());
    }

    #[test]
    fn check_values_refuse_another_ring_and_one_that_lacks_a_key() {
        let ring = Keyring::generate(1);
        let other = Keyring::generate(1);
        assert!(matches!(
            other.verify_check_values(&ring.check_values()),
            Err(KeyringError::Mismatch(1))
        ));
        let mut newer = ring.clone();
        let kid = newer.rotate(Purpose::Seal, 2).unwrap();
        assert_eq!(
            ring.verify_check_values(&newer.check_values()),
            Err(KeyringError::Missing(vec![kid]))
        );
    }

    #[test]
    fn debug_of_a_ring_shows_metadata_only() {
        let ring = Keyring::generate(1);
        let shown = format!("{ring:?}");
        assert!(shown.contains("AuditMac"));
        for entry in &ring.entries {
            let material = entry.key.material().expose();
            assert!(!shown.contains(&hex::encode(material)));
            assert!(!shown.contains(&format!("{material:?}")));
        }
    }
}
