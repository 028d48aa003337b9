//! Who is counted.

use std::net::IpAddr;

/// Who is counted: never a name that the caller can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The client's address, as far as trusted proxies can tell it.
    Address(IpAddr),
    /// A device that this server marked, at an address. It has a count of its own there, so that neighbours
    /// behind one address do not lock it out; all marks at an address together have ten times the quota, so
    /// that a collection of marks is no way around the limit.
    Device {
        /// What names the mark.
        mark: [u8; 16],
        /// From where it was shown.
        address: IpAddr,
    },
    /// A principal that has proved who it is.
    Principal([u8; 16]),
}

/// The most counters that one subject has.
pub(super) const KEYS_PER_SUBJECT_MAX: usize = 4;

/// Of an IPv6 customer's /64, a site's /56 and a provider's /48: prefix and how many times the quota it gets.
/// Somebody with a whole /48 has 65,536 networks and sixteen times the quota of one.
const IPV6_WIDTHS: [(u8, u32); 3] = [(64, 1), (56, 4), (48, 16)];
/// How many times the quota all marked devices of an address have together.
const DEVICES_PER_ADDRESS: u32 = 10;

const PRINCIPAL: u8 = 0;
const DEVICE: u8 = 1;
const IPV4: u8 = 4;
/// Added to the kind of an address where its marked devices are counted.
const OF_DEVICES: u8 = 128;

/// The name of one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    kind: u8,
    name: [u8; 16],
}

impl Key {
    /// The name as bytes, unlike those of all other counters.
    pub(super) fn bytes(&self) -> [u8; 17] {
        let mut bytes = [self.kind; 17];
        bytes[1..].copy_from_slice(&self.name);
        bytes
    }
}

/// The counters of a subject, each with the multiple of the quota that it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    keys: [(Key, u32); KEYS_PER_SUBJECT_MAX],
    len: usize,
}

impl Keys {
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Key, u32)> {
        self.keys[..self.len].iter()
    }

    fn push(&mut self, kind: u8, name: [u8; 16], scale: u32) {
        if let Some(place) = self.keys.get_mut(self.len) {
            *place = (Key { kind, name }, scale);
            self.len += 1;
        }
    }

    fn push_address(&mut self, address: IpAddr, offset: u8, scale: u32) {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let mut name = [0; 16];
                name[..4].copy_from_slice(&v4.octets());
                self.push(IPV4 + offset, name, scale);
            }
            IpAddr::V6(v6) => {
                for (width, multiple) in IPV6_WIDTHS {
                    let bits = u128::from(v6) & (u128::MAX << (128 - u32::from(width)));
                    self.push(width + offset, bits.to_be_bytes(), scale.saturating_mul(multiple));
                }
            }
        }
    }
}

impl Subject {
    /// What all subjects with a counter in common have in common, so that one lock covers all of them.
    pub(super) fn place(self) -> [u8; 16] {
        match self {
            Self::Principal(name) => name,
            Self::Address(address) | Self::Device { address, .. } => match address.to_canonical() {
                IpAddr::V4(v4) => u128::from(u32::from(v4)).to_be_bytes(),
                IpAddr::V6(v6) => (u128::from(v6) & (u128::MAX << 80)).to_be_bytes(),
            },
        }
    }

    pub(super) fn keys(self) -> Keys {
        let empty = Key {
            kind: 0,
            name: [0; 16],
        };
        let mut keys = Keys {
            keys: [(empty, 1); KEYS_PER_SUBJECT_MAX],
            len: 0,
        };
        match self {
            Self::Principal(name) => keys.push(PRINCIPAL, name, 1),
            Self::Address(address) => keys.push_address(address, 0, 1),
            Self::Device { mark, address } => {
                keys.push(DEVICE, mark, 1);
                keys.push_address(address, OF_DEVICES, DEVICES_PER_ADDRESS);
            }
        }
        keys
    }
}
