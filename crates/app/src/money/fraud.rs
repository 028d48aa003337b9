//! The rules about fraud that are in force on this node.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use strongroom_domain::fraud::{FraudRules, tag_of};

use crate::bank::Bank;

/// The rules that the lane decides by, which change while it runs.
#[derive(Debug, Clone, Default)]
pub struct FraudInForce(Arc<RwLock<Arc<FraudRules>>>);

impl FraudInForce {
    /// These rules.
    pub fn new(rules: FraudRules) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(rules))))
    }

    /// The rules of now.
    pub fn now(&self) -> Arc<FraudRules> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a set in, unless a newer one is here already: revisions only grow.
    pub(crate) fn put(&self, rules: FraudRules) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if rules.revision > current.revision {
            *current = Arc::new(rules);
        }
    }
}

/// Leading bits of an address that are one network: coarse, because providers move their customers about.
const NETWORK_BYTES_V4: usize = 2;
const NETWORK_BYTES_V6: usize = 4;

impl Bank {
    /// What stands for the network of an address: keyed, so that the books tell nobody where a customer was.
    pub(crate) fn network_of(&self, address: Option<IpAddr>) -> Option<u32> {
        let index = |bytes: &[u8]| tag_of(&self.ring().blind_index("fraud.network", bytes));
        match address?.to_canonical() {
            IpAddr::V4(address) => address.octets().get(..NETWORK_BYTES_V4).map(index),
            IpAddr::V6(address) => address.octets().get(..NETWORK_BYTES_V6).map(index),
        }
    }
}
