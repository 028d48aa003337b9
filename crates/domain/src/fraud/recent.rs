//! Whom one had to do with lately, in a list of fixed length, the newest first.

use super::window::chunk;

/// 32 bits that stand for an account or a network; 0 stands for nothing.
///
/// Ids of accounts are drawn by the bank, so nobody chooses one that looks like another.
pub fn tag_of(bytes: &[u8]) -> u32 {
    // FNV-1a: spreads the few bits in which ids drawn in one moment differ.
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    hash.max(1)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recent<const N: usize>([u32; N]);

impl<const N: usize> Default for Recent<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Recent<N> {
    pub(super) fn has(&self, tag: u32) -> bool {
        self.0.contains(&tag)
    }

    /// Puts a tag in front; tells whether it was not there before.
    pub(super) fn meet(&mut self, tag: u32) -> bool {
        let known = self.0.iter().position(|other| *other == tag);
        let end = known.unwrap_or(N.saturating_sub(1));
        if let Some(moved) = self.0.get_mut(..=end) {
            moved.rotate_right(1);
        }
        if let Some(first) = self.0.first_mut() {
            *first = tag;
        }
        known.is_none()
    }

    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        self.0
            .iter()
            .for_each(|tag| bytes.extend_from_slice(&tag.to_be_bytes()));
    }

    pub(super) fn take(rest: &mut &[u8]) -> Option<Self> {
        let mut tags = [0; N];
        for tag in &mut tags {
            *tag = u32::from_be_bytes(chunk(rest)?);
        }
        Some(Self(tags))
    }
}
