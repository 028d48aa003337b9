//! A new key on its way to every node.
//!
//! A key that makes new things before every node can read them would break the others. So a new key is announced first:
//! it travels sealed under the ring's sealing key, whoever takes it over reads with it, and it becomes active later,
//! everywhere. A ring on disk holds no announced key.

use std::sync::Arc;

use super::key::MATERIAL_LEN;
use super::{Entry, KEYS_MAX, Key, KeyCheck, KeyState, Keyring, KeyringError, Purpose, check_of};
use crate::seal::Place;
use crate::secret::SecretBytes;

/// A new key as it travels: what the node that made it tells the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TravellingKey {
    /// Number of the key.
    pub kid: u32,
    /// What it is for.
    pub purpose: Purpose,
    /// Unix time in microseconds.
    pub created_at: i64,
    /// The material, sealed under the ring's sealing key for this number and purpose.
    pub sealed: Vec<u8>,
    /// The check value that the database keeps.
    pub check: KeyCheck,
}

/// The number and the purpose, so that what was sealed as one key opens as no other.
fn row_of(kid: u32, purpose: Purpose) -> Vec<u8> {
    [&kid.to_be_bytes(), purpose.name().as_bytes()].concat()
}

const fn place(row: &[u8]) -> Place<'_> {
    Place {
        table: "key_rotations",
        column: "sealed",
        row,
    }
}

impl Keyring {
    /// Makes a new key for `purpose` that is announced: nothing is made with it until [`Self::activate`].
    ///
    /// # Errors
    /// [`KeyringError::Full`].
    pub fn announce(&mut self, purpose: Purpose, now: i64) -> Result<TravellingKey, KeyringError> {
        if self.entries.len() >= KEYS_MAX {
            return Err(KeyringError::Full);
        }
        let kid = self.next_kid;
        self.next_kid = kid.checked_add(1).ok_or(KeyringError::Full)?;
        let key = Arc::new(Key::generate(kid, purpose, now));
        let travelling = TravellingKey {
            kid,
            purpose,
            created_at: now,
            sealed: self.seal(place(&row_of(kid, purpose)), key.material().expose()),
            check: check_of(&key),
        };
        self.entries.push(Entry {
            key,
            state: KeyState::Announced,
        });
        Ok(travelling)
    }

    /// Takes over a key that another node made, as announced. One that is there already stays as it is.
    ///
    /// # Errors
    /// [`KeyringError::Unreadable`] for what no key of this ring opens, or is not the key of its check value;
    /// [`KeyringError::Full`].
    pub fn take_over(&mut self, travelling: &TravellingKey) -> Result<(), KeyringError> {
        let kid = travelling.kid;
        let Err(index) = self.entries.binary_search_by_key(&kid, |entry| entry.key.kid) else {
            return Ok(());
        };
        if self.entries.len() >= KEYS_MAX {
            return Err(KeyringError::Full);
        }
        let row = row_of(kid, travelling.purpose);
        let material = self
            .open(place(&row), &travelling.sealed)
            .map_err(|_| KeyringError::Unreadable(kid))?;
        if material.expose().len() != MATERIAL_LEN {
            return Err(KeyringError::Unreadable(kid));
        }
        let material = SecretBytes::copy_of(material.expose());
        let key = Arc::new(Key::new(kid, travelling.purpose, travelling.created_at, material));
        if check_of(&key) != travelling.check {
            return Err(KeyringError::Mismatch(kid));
        }
        let after = kid.checked_add(1).ok_or(KeyringError::Full)?;
        self.next_kid = self.next_kid.max(after);
        self.entries.insert(
            index,
            Entry {
                key,
                state: KeyState::Announced,
            },
        );
        Ok(())
    }

    /// Makes an announced key the active one of its purpose, and retires the one before. Of two announced keys the one
    /// with the higher number stays active whatever their order. Whether something changed.
    ///
    /// # Errors
    /// [`KeyringError::UnknownKid`].
    pub fn activate(&mut self, kid: u32) -> Result<bool, KeyringError> {
        let index = self.position(kid).ok_or(KeyringError::UnknownKid(kid))?;
        if self.entries[index].state != KeyState::Announced {
            return Ok(false);
        }
        let key = Arc::clone(&self.entries[index].key);
        let before = self.active_key(key.purpose).kid;
        if before > kid {
            self.entries[index].state = KeyState::Retired;
            return Ok(true);
        }
        if let Some(old) = self.position(before) {
            self.entries[old].state = KeyState::Retired;
        }
        self.entries[index].state = KeyState::Active;
        let purpose = key.purpose;
        self.active[purpose.index()] = key;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELL: Place<'_> = Place {
        table: "things",
        column: "sealed",
        row: b"1",
    };

    #[test]
    fn an_announced_key_makes_nothing_and_reads_what_others_make_with_it() {
        let mut here = Keyring::generate(1);
        let mut there = here.clone();
        let before = here.active(Purpose::Seal).kid;
        let travelling = here.announce(Purpose::Seal, 2).unwrap();
        there.take_over(&travelling).unwrap();
        assert_eq!(here.active(Purpose::Seal).kid, before);
        assert_eq!(there.by_kid(travelling.kid).unwrap().state, KeyState::Announced);
        // A node that is faster by a moment.
        assert!(here.activate(travelling.kid).unwrap());
        assert!(!here.activate(travelling.kid).unwrap());
        let cell = here.seal(CELL, b"told");
        assert_eq!(there.open(CELL, &cell).unwrap().expose(), b"told");
        assert!(there.activate(travelling.kid).unwrap());
        assert_eq!(there.list(), here.list());
        assert_eq!(there.by_kid(before).unwrap().state, KeyState::Retired);
        assert_eq!(there.check_values(), here.check_values());
    }

    #[test]
    fn the_active_key_comes_first_whatever_is_announced() {
        let mut ring = Keyring::generate(1);
        let before = ring.active(Purpose::Pepper).kid;
        let kid = ring.announce(Purpose::Pepper, 2).unwrap().kid;
        let order = |ring: &Keyring| ring.keys(Purpose::Pepper).map(|key| key.kid).collect::<Vec<_>>();
        assert_eq!(order(&ring), [before, kid]);
        ring.activate(kid).unwrap();
        assert_eq!(order(&ring), [kid, before]);
    }

    #[test]
    fn a_travelling_key_is_one_key_of_one_ring() {
        let mut here = Keyring::generate(1);
        let there = here.clone();
        let travelling = here.announce(Purpose::Device, 2).unwrap();
        let refused = |changed: TravellingKey| there.clone().take_over(&changed).unwrap_err();
        assert_eq!(there.clone().take_over(&travelling), Ok(()));
        let mut as_another = travelling.clone();
        as_another.purpose = Purpose::AccessToken;
        assert_eq!(refused(as_another), KeyringError::Unreadable(travelling.kid));
        let mut renumbered = travelling.clone();
        renumbered.kid += 1;
        assert_eq!(refused(renumbered), KeyringError::Unreadable(travelling.kid + 1));
        let mut of_nobody = travelling.clone();
        of_nobody.check.value[0] ^= 1;
        assert_eq!(refused(of_nobody), KeyringError::Mismatch(travelling.kid));
        assert_eq!(
            Keyring::generate(1).take_over(&travelling),
            Err(KeyringError::Unreadable(travelling.kid))
        );
    }

    #[test]
    fn a_document_holds_no_announced_key_and_gives_its_number_to_no_other() {
        let mut ring = Keyring::generate(1);
        let travelling = ring.announce(Purpose::Device, 2).unwrap();
        let mut read = Keyring::from_document(&ring.to_document(), 3).unwrap().ring;
        assert_eq!(read.by_kid(travelling.kid), None);
        assert!(read.announce(Purpose::Device, 3).unwrap().kid > travelling.kid);
        read.take_over(&travelling).unwrap();
        let newest = read.list().last().unwrap().kid;
        // In whatever order they come due, the newest is what new things are made with.
        read.activate(newest).unwrap();
        read.activate(travelling.kid).unwrap();
        assert_eq!(read.active(Purpose::Device).kid, newest);
        assert_eq!(read.by_kid(travelling.kid).unwrap().state, KeyState::Retired);
    }
}
