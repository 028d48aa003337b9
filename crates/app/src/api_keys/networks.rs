//! Networks that a key may be used from.

use std::net::IpAddr;

use ipnet::IpNet;
use strongroom_crypto::{DataKey, Place};
use strongroom_domain::id::ApiKeyId;

use crate::error::Error;

/// Most networks of a key.
pub const NETWORKS_MAX: usize = 20;

/// Addresses and networks, as their owner wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

const fn networks_place(key: &ApiKeyId) -> Place<'_> {
    Place {
        table: "api_keys",
        column: "sealed_networks",
        row: key.as_bytes(),
    }
}

impl Networks {
    /// Reads one: an address (`203.0.113.7`) or a network in CIDR notation (`2001:db8::/48`).
    pub fn parse_one(text: &str) -> Option<IpNet> {
        text.parse::<IpNet>()
            .ok()
            .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
            .map(|net| net.trunc())
    }

    /// These networks; `None` for none.
    pub fn new(networks: Vec<IpNet>) -> Option<Self> {
        (!networks.is_empty()).then_some(Self(networks))
    }

    /// Whether an address lies in one of them. An IPv4 address in IPv6 form is the IPv4 address.
    pub fn hold(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// As text, to be shown.
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    pub(crate) fn seal(&self, key: &DataKey, id: &ApiKeyId) -> Vec<u8> {
        key.seal(networks_place(id), self.texts().join(" ").as_bytes())
    }

    pub(crate) fn open(key: &DataKey, id: &ApiKeyId, sealed: &[u8]) -> Result<Self, Error> {
        let opened = key.open(networks_place(id), sealed).map_err(Error::internal)?;
        let text = std::str::from_utf8(opened.expose()).map_err(Error::internal)?;
        text.split(' ')
            .map(Self::parse_one)
            .collect::<Option<Vec<_>>>()
            .map(Self)
            .ok_or_else(|| Error::broken("networks of a key that cannot be read"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        Networks::new(
            texts
                .iter()
                .map(|text| Networks::parse_one(text).unwrap())
                .collect(),
        )
        .unwrap()
    }

    #[test]
    fn an_address_is_held_by_its_network_in_whatever_form_it_comes() {
        let office = networks(&["203.0.113.9", "198.51.100.128/25", "2001:db8::/48"]);
        for inside in [
            "203.0.113.9",
            "::ffff:203.0.113.9",
            "198.51.100.200",
            "2001:db8:0:1::1",
        ] {
            assert!(office.hold(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["203.0.113.8", "198.51.100.127", "2001:db8:1::1", "::203.0.113.9"] {
            assert!(!office.hold(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn what_is_no_network_is_not_read() {
        for wrong in [
            "",
            "localhost",
            "203.0.113.0/33",
            "203.0.113",
            "1.2.3.4/",
            "::/129",
            " 1.2.3.4",
        ] {
            assert_eq!(Networks::parse_one(wrong), None, "{wrong}");
        }
    }
}
