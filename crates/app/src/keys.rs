//! The keyring of this node, and whether it is the one that the database was written with.

mod files;
mod live;
pub mod rotation;

use strongroom_crypto::{KeyCheck, KeyProvider, Keyring, Purpose};
use strongroom_domain::time::Timestamp;
use strongroom_store::{KeyCheckRow, Store, StoreError};

pub use self::live::LiveRing;
use self::rotation::with_rotations;
use crate::{bank::Bank, error::Error};

/// Loads the keyring, or makes one for an empty database, and holds it against the database's check values.
///
/// # Errors
/// When the keyring cannot be read, is missing although the database was written with one, or is another one: such a
/// node must not start, for what it writes nobody else could read.
pub async fn load_keyring(
    store: &Store,
    provider: &dyn KeyProvider,
    now: Timestamp,
) -> Result<Keyring, Error> {
    let known: Vec<KeyCheck> = store
        .key_checks()
        .await?
        .into_iter()
        .map(check_of)
        .collect::<Result<_, _>>()?;
    let ring = match provider.load(now.micros()).map_err(Error::internal)? {
        Some(ring) => ring,
        None if known.is_empty() => {
            let ring = Keyring::generate(now.micros());
            provider.store(&ring).map_err(Error::internal)?;
            tracing::info!(
                place = provider.describe(),
                "made a new keyring for an empty database"
            );
            ring
        }
        None => {
            return Err(Error::internal(StoreError::Setup(format!(
                "there is no keyring at {}, but this database was written with one",
                provider.describe()
            ))));
        }
    };
    // What two people brought in force while this node was away, or in the moment in which it was killed.
    let ring = match with_rotations(store, &ring, now).await? {
        Some(next) => next,
        None => ring,
    };
    let new = ring.verify_check_values(&known).map_err(Error::internal)?;
    let rows: Vec<KeyCheckRow> = new
        .iter()
        .map(|check| KeyCheckRow {
            kid: check.kid,
            purpose: check.purpose.name().to_owned(),
            value: check.value,
        })
        .collect();
    if !rows.is_empty() {
        store.add_key_checks(&rows).await?;
        // Another node may have been faster with another ring: then this one must not go on.
        let stored: Vec<KeyCheck> = store
            .key_checks()
            .await?
            .into_iter()
            .map(check_of)
            .collect::<Result<_, _>>()?;
        ring.verify_check_values(&stored).map_err(Error::internal)?;
    }
    Ok(ring)
}

impl Bank {
    /// Whether this node has every key that the database was written with.
    ///
    /// # Errors
    /// When a key is missing or another one, and when the database does not answer.
    pub async fn check_keys(&self) -> Result<(), Error> {
        let stored = self.store().key_checks().await?;
        let stored: Vec<KeyCheck> = stored.into_iter().map(check_of).collect::<Result<_, _>>()?;
        self.ring()
            .verify_check_values(&stored)
            .map(drop)
            .map_err(Error::internal)
    }
}

fn check_of(row: KeyCheckRow) -> Result<KeyCheck, Error> {
    let purpose =
        Purpose::from_name(&row.purpose).ok_or_else(|| Error::broken("a key of an unknown purpose"))?;
    Ok(KeyCheck {
        kid: row.kid,
        purpose,
        value: row.value,
    })
}
