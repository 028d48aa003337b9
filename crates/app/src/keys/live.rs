//! The ring that is used now. Keys come in force while the server runs, so nobody keeps a ring for long.

use std::sync::{Arc, PoisonError, RwLock};

use strongroom_crypto::Keyring;

/// The ring in use, shared by all who use it.
#[derive(Debug, Clone)]
pub struct LiveRing(Arc<RwLock<Arc<Keyring>>>);

impl LiveRing {
    /// The ring of this moment.
    pub fn now(&self) -> Arc<Keyring> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn put(&self, ring: Arc<Keyring>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ring;
    }
}

impl From<Arc<Keyring>> for LiveRing {
    fn from(ring: Arc<Keyring>) -> Self {
        Self(Arc::new(RwLock::new(ring)))
    }
}

impl From<&Arc<Keyring>> for LiveRing {
    fn from(ring: &Arc<Keyring>) -> Self {
        Arc::clone(ring).into()
    }
}
