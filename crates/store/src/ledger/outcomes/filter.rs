//! Which keys a run may hold: a Bloom filter over keyed tags.

use strongroom_domain::ledger::IdempotencyTag;

/// With 24 bits and 16 probes per key about one absent key in 100,000 passes, so that even a hundred runs cost a
/// batch no statement that the first did not. Ten million keys need 30 MB.
const BITS_PER_KEY: usize = 24;
const PROBES: u64 = 16;

/// The tags' bits are random already: two halves make all probes (Kirsch and Mitzenmacher, 2006).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter(Vec<u8>);

impl Filter {
    /// Empty, with room for this many keys.
    pub(super) fn for_keys(count: usize) -> Self {
        Self(vec![0; (count.max(1) * BITS_PER_KEY).div_ceil(8)])
    }

    pub(super) const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn insert(&mut self, tag: &IdempotencyTag) {
        let bits = self.0.len() as u64 * 8;
        for bit in probes(tag, bits) {
            self.0[bit / 8] |= 1 << (bit % 8);
        }
    }

    pub(super) fn may_contain(&self, tag: &IdempotencyTag) -> bool {
        let bits = self.0.len() as u64 * 8;
        probes(tag, bits).all(|bit| self.0[bit / 8] & (1 << (bit % 8)) != 0)
    }
}

fn probes(tag: &IdempotencyTag, bits: u64) -> impl Iterator<Item = usize> {
    let wide = u128::from_be_bytes(*tag);
    let (high, low) = ((wide >> 64) as u64, (wide as u64) | 1);
    (0..PROBES).map(move |probe| (high.wrapping_add(low.wrapping_mul(probe)) % bits.max(1)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::outcomes::tests::tag;

    #[test]
    fn a_filter_knows_its_keys_and_hardly_any_other() {
        let tags: Vec<_> = (0..10_000).map(tag).collect();
        let mut filter = Filter::for_keys(tags.len());
        tags.iter().for_each(|tag| filter.insert(tag));
        assert!(tags.iter().all(|tag| filter.may_contain(tag)));
        let wrong = (10_000..110_000).filter(|n| filter.may_contain(&tag(*n))).count();
        assert!(wrong < 10, "{wrong} of 100000 absent keys pass");
    }
}
