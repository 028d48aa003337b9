//! How many connections an address has: one alone must not hold all of them.
//!
//! An IPv4 address is one; of an IPv6 address its /64, which is what one customer has. Proxies that this server trusts
//! are everybody, and bounded by the number of connections alone.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use strongroom_guard::TrustedProxies;

/// The connections of every address that has some: never more addresses than connections.
pub(super) struct Addresses {
    max: usize,
    proxies: TrustedProxies,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One of an address's connections; dropping it gives it back.
pub(super) struct OfAddress {
    addresses: Arc<Addresses>,
    /// `None` of a proxy.
    network: Option<IpAddr>,
}

impl Addresses {
    /// At most `max` of each address but these proxies.
    pub(super) fn new(max: usize, proxies: TrustedProxies) -> Arc<Self> {
        Arc::new(Self {
            max,
            proxies,
            open: Mutex::default(),
        })
    }

    /// One connection more of an address; nothing where it has as many as it may.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<OfAddress> {
        let network = (!self.proxies.trusts(peer)).then(|| network_of(peer));
        if let Some(network) = network {
            let mut open = self.open();
            let count = open.entry(network).or_insert(0);
            if *count >= self.max {
                return None;
            }
            *count += 1;
        }
        Some(OfAddress {
            addresses: Arc::clone(self),
            network,
        })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OfAddress {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        let mut open = self.addresses.open();
        if let Some(count) = open.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&network);
            }
        }
    }
}

fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_has_its_places_and_gives_them_back_and_proxies_have_all() {
        let proxies = TrustedProxies::new(vec!["10.0.0.1".parse().unwrap()]);
        let addresses = Addresses::new(2, proxies);
        let enter = |text: &str| addresses.enter(text.parse().unwrap());
        for (first, neighbour, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
        ] {
            let held = [enter(first).unwrap(), enter(neighbour).unwrap()];
            assert!(enter(first).is_none() && enter(neighbour).is_none());
            let another = enter(other).unwrap();
            drop(held);
            drop((enter(first).unwrap(), another));
        }
        let crowd: Vec<_> = (0..5).map(|_| enter("10.0.0.1").unwrap()).collect();
        assert!(addresses.open().is_empty(), "nothing is kept of whoever is gone");
        drop(crowd);
    }
}
