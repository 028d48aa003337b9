//! Personal texts: sealed under the key of the person they belong to.
//!
//! A person's data key is kept wrapped in the database and unwrapped in a bounded memory. Destroying the wrapped key
//! erases the person: names, memos and addresses are noise from then on, while the books and every proof stay as they
//! are.

use std::sync::Arc;

use quick_cache::sync::Cache;
use strongroom_crypto::{DataKey, Place, data_key};
use strongroom_domain::{
    id::{AccountId, TransactionId, UserId},
    ledger::SealedMemo,
};
use strongroom_store::Store;

use crate::{error::Error, keys::LiveRing};

/// Most data keys in memory at a time.
const KEYS_CACHED_MAX: usize = 10_000;
const SALT_BYTES: usize = 16;

/// Seals and opens what belongs to people.
#[derive(Debug)]
pub struct People {
    store: Store,
    ring: LiveRing,
    keys: Cache<UserId, Arc<DataKey>>,
}

impl People {
    /// Over a store and a keyring.
    pub fn new(store: Store, ring: impl Into<LiveRing>) -> Self {
        Self {
            store,
            ring: ring.into(),
            keys: Cache::new(KEYS_CACHED_MAX),
        }
    }

    /// A new person's key and the wrapped form to store with the person.
    pub fn new_key(&self, person: UserId) -> (DataKey, Vec<u8>) {
        let key = DataKey::generate();
        let wrapped = key.wrap(&self.ring.now(), *person.as_bytes());
        (key, wrapped)
    }

    /// A person's key; `None` when the person was erased or never was.
    ///
    /// # Errors
    /// When the database does not answer or the key cannot be unwrapped.
    pub async fn key(&self, person: UserId) -> Result<Option<Arc<DataKey>>, Error> {
        if let Some(key) = self.keys.get(&person) {
            return Ok(Some(key));
        }
        let Some(wrapped) = self.store.data_key(person).await? else {
            return Ok(None);
        };
        let key = Arc::new(
            DataKey::unwrap(&self.ring.now(), *person.as_bytes(), &wrapped).map_err(Error::internal)?,
        );
        self.keys.insert(person, key.clone());
        Ok(Some(key))
    }

    /// Takes a person's key out of memory.
    pub fn forget(&self, person: UserId) {
        self.keys.remove(&person);
    }

    /// Seals the text of a transaction under a person's key, with the commitment that the books keep.
    ///
    /// # Errors
    /// When the person has no key.
    pub async fn seal_memo(
        &self,
        person: UserId,
        transaction: TransactionId,
        text: &str,
    ) -> Result<SealedMemo, Error> {
        let key = self
            .key(person)
            .await?
            .ok_or_else(|| Error::broken("a person without a data key"))?;
        let salt = data_key::new_salt();
        let mut plain = salt.to_vec();
        plain.extend_from_slice(text.as_bytes());
        Ok(SealedMemo {
            commitment: data_key::commitment(salt, text.as_bytes()),
            person,
            sealed: key.seal(memo_place(&transaction), &plain),
        })
    }

    /// Opens the text of a transaction; `None` once its person was erased.
    ///
    /// # Errors
    /// When the sealed bytes are not what was written there.
    pub async fn open_memo(
        &self,
        person: UserId,
        transaction: TransactionId,
        sealed: &[u8],
    ) -> Result<Option<String>, Error> {
        let Some(key) = self.key(person).await? else {
            return Ok(None);
        };
        let plain = key
            .open(memo_place(&transaction), sealed)
            .map_err(Error::internal)?;
        let text = plain.expose().get(SALT_BYTES..).unwrap_or_default();
        Ok(Some(String::from_utf8_lossy(text).into_owned()))
    }

    /// Seals a customer's name for an account.
    ///
    /// # Errors
    /// When the person has no key.
    pub async fn seal_account_name(
        &self,
        owner: UserId,
        account: AccountId,
        name: &str,
    ) -> Result<Vec<u8>, Error> {
        let key = self
            .key(owner)
            .await?
            .ok_or_else(|| Error::broken("a person without a data key"))?;
        Ok(key.seal(account_name_place(&account), name.as_bytes()))
    }

    /// Opens a customer's name for an account; empty once the person was erased.
    ///
    /// # Errors
    /// When the sealed bytes are not what was written there.
    pub async fn open_account_name(
        &self,
        owner: UserId,
        account: AccountId,
        sealed: &[u8],
    ) -> Result<String, Error> {
        let Some(key) = self.key(owner).await? else {
            return Ok(String::new());
        };
        let plain = key
            .open(account_name_place(&account), sealed)
            .map_err(Error::internal)?;
        Ok(plain.expose_str().unwrap_or_default().to_owned())
    }
}

const fn memo_place(transaction: &TransactionId) -> Place<'_> {
    Place {
        table: "memos",
        column: "sealed",
        row: transaction.as_bytes(),
    }
}

const fn account_name_place(account: &AccountId) -> Place<'_> {
    Place {
        table: "account_names",
        column: "sealed",
        row: account.as_bytes(),
    }
}
