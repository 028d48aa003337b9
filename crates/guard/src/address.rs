//! Whose address a request comes from, when proxies stand in between.
//!
//! `X-Forwarded-For` is written by everybody on the way, the client included. Only what a trusted proxy
//! appended can be believed, so the list is read from the right and the first hop that is no trusted proxy
//! is the client. Host and scheme are never read from forwarded headers.

use std::{fmt, net::IpAddr, str::FromStr};

/// How many forwarded hops are read, counted from the right. A longer chain is somebody's game; the
/// farthest hop that was read then counts as the client.
pub const FORWARDED_HOPS_MAX: usize = 16;

/// A range of addresses in CIDR form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkError {
    /// The part before the slash is no IP address.
    Address,
    /// The part after the slash is no length of a prefix of that kind of address.
    Prefix,
    /// Bits are set behind the prefix, which usually means that one of the two is a slip.
    HostBits,
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "is not an IP address or network",
            Self::Prefix => "has no valid prefix length",
            Self::HostBits => "has bits set behind its prefix",
        })
    }
}

impl std::error::Error for NetworkError {}

/// IPv4 addresses that arrive on an IPv6 socket count as IPv4.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    }
}

fn mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

impl Network {
    /// Whether the address lies in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = plain(address);
        if address.is_ipv4() != self.address.is_ipv4() {
            return false;
        }
        (bits(address).0 ^ bits(self.address).0) & mask(self.prefix) == 0
    }

    /// Whether the network is wider than one organisation plausibly owns: a /8 of IPv4, a /32 of IPv6.
    pub fn is_wide(&self) -> bool {
        self.prefix < if self.address.is_ipv4() { 8 } else { 32 }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// `10.0.0.0/8`, `2001:db8::/32` or one bare address.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address = plain(address.parse().map_err(|_| NetworkError::Address)?);
        let (value, prefix_max) = bits(address);
        let prefix = match prefix {
            None => prefix_max,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|prefix| *prefix <= prefix_max)
                .ok_or(NetworkError::Prefix)?,
            Some(_) => return Err(NetworkError::Prefix),
        };
        if value & !mask(prefix) != 0 {
            return Err(NetworkError::HostBits);
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The proxies whose word about addresses is believed. Empty: nobody's.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// Believes these networks.
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// The client's address: `peer` is the other end of the connection, `forwarded` the values of
    /// `X-Forwarded-For` in the order of the request.
    pub fn client<'a, I>(&self, peer: IpAddr, forwarded: I) -> IpAddr
    where
        I: IntoIterator<Item = &'a str>,
        I::IntoIter: DoubleEndedIterator,
    {
        let mut client = plain(peer);
        if self.0.is_empty() {
            return client;
        }
        let hops = forwarded
            .into_iter()
            .rev()
            .flat_map(|value| value.rsplit(','))
            .take(FORWARDED_HOPS_MAX);
        for hop in hops {
            if !self.trusts(client) {
                break;
            }
            // What a trusted proxy appended but nobody can read stops the walk at that proxy.
            let Some(address) = parse_hop(hop.trim()) else {
                break;
            };
            client = address;
        }
        client
    }

    /// Whether this is one of them.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` or `[2001:db8::1]:4711`.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    hop.parse::<IpAddr>()
        .or_else(|_| hop.parse::<std::net::SocketAddr>().map(|socket| socket.ip()))
        .or_else(|_| hop.trim_start_matches('[').trim_end_matches(']').parse())
        .ok()
        .map(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn proxies(networks: &[&str]) -> TrustedProxies {
        TrustedProxies::new(networks.iter().map(|network| network.parse().unwrap()).collect())
    }

    #[test]
    fn without_trusted_proxies_forwarded_addresses_are_ignored() {
        assert_eq!(
            proxies(&[]).client(ip("192.0.2.1"), ["198.51.100.7"]),
            ip("192.0.2.1")
        );
    }

    #[test]
    fn the_rightmost_untrusted_hop_is_the_client() {
        let trusted = proxies(&["10.0.0.0/8", "2001:db8::/32"]);
        let cases: &[(&str, &[&str], &str)] = &[
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            (
                "10.0.0.1",
                &["203.0.113.9, 198.51.100.7, 10.2.3.4"],
                "198.51.100.7",
            ),
            (
                "10.0.0.1",
                &["203.0.113.9", "198.51.100.7", "10.2.3.4"],
                "198.51.100.7",
            ),
            ("192.0.2.1", &["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.1", &["10.2.3.4"], "10.2.3.4"),
            ("10.0.0.1", &["198.51.100.7, garbage"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("2001:db8::1", &["[2001:dead::7]:4711"], "2001:dead::7"),
            ("10.0.0.1", &["198.51.100.7:80"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
        ];
        for (peer, forwarded, client) in cases {
            assert_eq!(
                trusted.client(ip(peer), forwarded.iter().copied()),
                ip(client),
                "{forwarded:?}"
            );
        }
    }

    #[test]
    fn a_long_chain_is_read_to_its_bound_only() {
        let chain = vec!["10.0.0.2"; 1_000_000].join(",");
        let value = format!("198.51.100.7,{chain}");
        assert_eq!(
            proxies(&["10.0.0.0/8"]).client(ip("10.0.0.1"), [value.as_str()]),
            ip("10.0.0.2")
        );
    }

    #[test]
    fn networks_are_parsed_strictly() {
        assert_eq!("10.0.0.0/8".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
        assert_eq!("::1".parse::<Network>().unwrap().to_string(), "::1/128");
        for (text, error) in [
            ("10.0.0.0/33", NetworkError::Prefix),
            ("10.0.0.0/+8", NetworkError::Prefix),
            ("10.0.0.0/", NetworkError::Prefix),
            ("10.0.0.1/8", NetworkError::HostBits),
            ("proxy.example", NetworkError::Address),
        ] {
            assert_eq!(text.parse::<Network>(), Err(error), "{text}");
        }
    }

    #[test]
    fn wide_networks_are_told_apart() {
        for (text, wide) in [
            ("0.0.0.0/0", true),
            ("10.0.0.0/8", false),
            ("::/0", true),
            ("2001:db8::/32", false),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().is_wide(), wide, "{text}");
        }
    }
}
