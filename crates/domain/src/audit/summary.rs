//! What a block of the log may hold: so that a search for one person or one thing passes over most of a long log.
//!
//! A summary is a Bloom filter (Burton H. Bloom, 1970) of the principals, objects, actions and outcomes of a block. It
//! never denies what is there; one block in some hundreds is looked at in vain. It is derived and proves nothing.

use sha2::{Digest, Sha256};

use crate::audit::tree::TILE_WIDTH;

/// Bytes of a summary: for a block of 256 records with about two ids each, some 14 bits an id.
const SUMMARY_BYTES: usize = 1_024;
/// Bits that one thing sets.
const BITS_EACH: usize = 7;
/// Of sixteen bits of a hash, those that name a bit of a summary.
const BIT_MASK: u16 = 0x1fff;

/// Something that a record is searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark([u16; BITS_EACH]);

impl Mark {
    /// By whom.
    pub fn principal(id: &[u8; 16]) -> Self {
        Self::of(1, id)
    }

    /// To what.
    pub fn object(id: &[u8; 16]) -> Self {
        Self::of(2, id)
    }

    /// What was done or refused.
    pub fn action(name: &str) -> Self {
        Self::of(3, name.as_bytes())
    }

    /// With which outcome.
    pub fn outcome(code: &str) -> Self {
        Self::of(4, code.as_bytes())
    }

    fn of(kind: u8, value: &[u8]) -> Self {
        let hash: [u8; 32] = Sha256::new()
            .chain_update([kind])
            .chain_update(value)
            .finalize()
            .into();
        let (pairs, _) = hash.as_chunks::<2>();
        let mut bits = [0; BITS_EACH];
        for (bit, pair) in bits.iter_mut().zip(pairs) {
            *bit = u16::from_be_bytes(*pair) & BIT_MASK;
        }
        Self(bits)
    }
}

/// What of a record a search can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked<'a> {
    /// Who.
    pub principal_id: &'a [u8; 16],
    /// To what.
    pub object_id: &'a [u8; 16],
    /// What was done.
    pub action: &'a str,
    /// How it ended.
    pub outcome: &'a str,
}

impl Marked<'_> {
    fn marks(&self) -> [Mark; 4] {
        [
            Mark::principal(self.principal_id),
            Mark::object(self.object_id),
            Mark::action(self.action),
            Mark::outcome(self.outcome),
        ]
    }
}

/// What a block of the log may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary(Vec<u8>);

impl Default for Summary {
    /// Of no record.
    fn default() -> Self {
        Self(vec![0; SUMMARY_BYTES])
    }
}

impl Summary {
    /// Records of one block.
    pub const LEAVES: u64 = TILE_WIDTH;

    /// Of one record more.
    pub fn add(&mut self, record: &Marked<'_>) {
        for bit in record.marks().iter().flat_map(|mark| mark.0) {
            let (place, mask) = place_of(bit);
            if let Some(byte) = self.0.get_mut(place) {
                *byte |= mask;
            }
        }
    }

    /// Takes stored bytes back; `None` for what is no summary.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() == SUMMARY_BYTES).then_some(Self(bytes))
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether a record of the block may have this. `false` is certain.
    pub fn may_hold(&self, mark: &Mark) -> bool {
        mark.0.iter().all(|bit| {
            let (place, mask) = place_of(*bit);
            self.0.get(place).is_some_and(|byte| byte & mask != 0)
        })
    }
}

fn place_of(bit: u16) -> (usize, u8) {
    let mask = 1_u8.checked_shl(u32::from(bit & 7)).unwrap_or(0);
    (usize::from(bit.checked_shr(3).unwrap_or(0)), mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(number: u64) -> ([u8; 16], [u8; 16]) {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let mut object = id;
        object[15] = 9;
        (id, object)
    }

    fn record<'a>((principal_id, object_id): &'a ([u8; 16], [u8; 16])) -> Marked<'a> {
        Marked {
            principal_id,
            object_id,
            action: "transfer.create",
            outcome: "ok",
        }
    }

    #[test]
    fn a_summary_never_denies_what_is_there_and_seldom_claims_what_is_not() {
        let all: Vec<_> = (0..256).map(ids).collect();
        let mut summary = Summary::default();
        all.iter().for_each(|ids| summary.add(&record(ids)));
        for ids in &all {
            assert!(record(ids).marks().iter().all(|mark| summary.may_hold(mark)));
        }
        let strangers = 10_000;
        let claimed = (1_000..1_000 + strangers)
            .filter(|number| summary.may_hold(&Mark::principal(&ids(*number).0)))
            .count();
        assert!(
            claimed < 100,
            "{claimed} of {strangers} blocks would be read in vain"
        );
        // What is searched as one thing is not found as another.
        assert!(!summary.may_hold(&Mark::outcome("transfer.create")));
        let stored = Summary::from_bytes(summary.as_bytes().to_vec());
        assert_eq!(stored, Some(summary));
        assert_eq!(Summary::from_bytes(vec![0; 5]), None);
    }
}
