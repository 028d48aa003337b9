//! The Merkle tree over the records: hashing by RFC 9162 section 2.1, stored in tiles of 256 leaves (C2SP tlog-tiles).
//!
//! The database keeps every leaf hash, and of the inner nodes only the roots of full subtrees at heights 8, 16, 24 …
//! (one row per 256 leaves). Everything else is computed from those: at most 256 rows per level and edge.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];
/// Leaves per tile; also nodes per tile of the level above.
pub const TILE_WIDTH: u64 = 256;
const TILE_HEIGHT: u32 = 8;
/// Most levels of stored nodes: 256⁸ leaves is beyond any log.
const LEVELS_MAX: u32 = 8;

/// Hash of a leaf (RFC 9162: 0x00 ‖ data).
pub fn leaf_hash(data: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(data)
        .finalize()
        .into()
}

pub(super) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The root of a full subtree of 256^level leaves, to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredNode {
    /// 1 for 256 leaves, 2 for 65,536 …
    pub level: u32,
    /// Position among the nodes of its level.
    pub index: u64,
    /// The hash.
    pub hash: Hash,
}

/// A run of stored hashes: level 0 are leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeRange {
    /// 0 for leaves, else as in [`StoredNode`].
    pub level: u32,
    /// First position.
    pub start: u64,
    /// How many, at most [`TILE_WIDTH`].
    pub count: u64,
}

/// Stored hashes by (level, index), loaded for one computation.
#[derive(Debug, Clone, Default)]
pub struct NodeStore(HashMap<(u32, u64), Hash>);

impl NodeStore {
    /// Adds a loaded hash.
    pub fn insert(&mut self, level: u32, index: u64, hash: Hash) {
        self.0.insert((level, index), hash);
    }

    /// The root of the full subtree of 2^height leaves at `index`, from what is stored.
    pub(super) fn subtree(&self, height: u32, index: u64) -> Result<Hash, ProofError> {
        if height.is_multiple_of(TILE_HEIGHT) {
            let level = height.checked_div(TILE_HEIGHT).unwrap_or(0);
            return self.0.get(&(level, index)).copied().ok_or(ProofError::Missing);
        }
        let below = height.saturating_sub(1);
        let left = index.checked_mul(2).ok_or(ProofError::Missing)?;
        Ok(node_hash(
            &self.subtree(below, left)?,
            &self.subtree(below, left.saturating_add(1))?,
        ))
    }
}

/// Why a proof cannot be made or does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A hash that the computation needs is not stored.
    #[error("a node of the tree is missing")]
    Missing,
    /// The leaf does not lie in a tree of that size.
    #[error("the leaf lies outside the tree")]
    OutOfRange,
    /// The proof has another number of hashes than the tree demands.
    #[error("the proof has a wrong length")]
    Length,
    /// The proof leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// The right edge of a growing tree: enough to append and to know the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompactRange {
    size: u64,
    /// Roots of the full subtrees that make up the tree, left to right, with their heights.
    edge: Vec<(u32, Hash)>,
}

impl CompactRange {
    /// The edge of a stored tree of `size` leaves; needs the ranges of [`nodes_for_root`].
    ///
    /// # Errors
    /// [`ProofError::Missing`] when a stored node is absent.
    pub fn load(size: u64, nodes: &NodeStore) -> Result<Self, ProofError> {
        let mut edge = Vec::new();
        for (height, index) in peaks(size) {
            edge.push((height, nodes.subtree(height, index)?));
        }
        Ok(Self { size, edge })
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf; tells of every subtree that became full at a stored height.
    pub fn append(&mut self, leaf: Hash, mut stored: impl FnMut(StoredNode)) {
        let (mut height, mut hash) = (0_u32, leaf);
        while let Some((left_height, left)) = self.edge.last().copied() {
            if left_height != height {
                break;
            }
            self.edge.pop();
            hash = node_hash(&left, &hash);
            height = height.saturating_add(1);
            if height.is_multiple_of(TILE_HEIGHT) {
                let index = self.size.checked_shr(height).unwrap_or(0);
                stored(StoredNode {
                    level: height.checked_div(TILE_HEIGHT).unwrap_or(0),
                    index,
                    hash,
                });
            }
        }
        self.edge.push((height, hash));
        self.size = self.size.saturating_add(1);
    }

    /// The root; for an empty tree the hash of nothing (RFC 9162 2.1.1).
    pub fn root(&self) -> Hash {
        fold_right(self.edge.iter().map(|(_, hash)| *hash))
    }
}

fn fold_right(hashes: impl DoubleEndedIterator<Item = Hash>) -> Hash {
    hashes
        .rev()
        .reduce(|right, left| node_hash(&left, &right))
        .unwrap_or_else(|| Sha256::digest([]).into())
}

/// The full subtrees of a tree, left to right: (height, index among the subtrees of that height).
fn peaks(size: u64) -> Vec<(u32, u64)> {
    let mut out = Vec::new();
    for height in (0..u64::BITS).rev() {
        let width = 1_u64.checked_shl(height).unwrap_or(0);
        if size & width != 0 {
            let before = size.checked_shr(height).unwrap_or(0) & !1;
            out.push((height, before));
        }
    }
    out
}

/// What must be loaded to know the root of a tree of `size` leaves: the last tile of each level.
pub fn nodes_for_root(size: u64) -> Vec<NodeRange> {
    let mut out = Vec::new();
    for level in 0..LEVELS_MAX {
        let width = nodes_at(size, level);
        let start = width
            .checked_div(TILE_WIDTH)
            .unwrap_or(0)
            .saturating_mul(TILE_WIDTH);
        if width > start {
            out.push(NodeRange {
                level,
                start,
                count: width.saturating_sub(start),
            });
        }
    }
    out
}

/// What must be loaded to prove a leaf's place in a tree of `size` leaves.
pub fn nodes_for_inclusion(leaf: u64, size: u64) -> Vec<NodeRange> {
    let mut out = nodes_for_root(size);
    for level in 0..LEVELS_MAX {
        let width = nodes_at(size, level);
        let at = leaf.checked_shr(level.saturating_mul(TILE_HEIGHT)).unwrap_or(0);
        let start = at.checked_div(TILE_WIDTH).unwrap_or(0).saturating_mul(TILE_WIDTH);
        let count = width.saturating_sub(start).min(TILE_WIDTH);
        let range = NodeRange { level, start, count };
        if count > 0 && !out.contains(&range) {
            out.push(range);
        }
    }
    out
}

fn nodes_at(size: u64, level: u32) -> u64 {
    size.checked_shr(level.saturating_mul(TILE_HEIGHT)).unwrap_or(0)
}

/// The root of the first `size` leaves, from stored nodes.
///
/// # Errors
/// [`ProofError::Missing`] when a stored node is absent.
pub fn root_of(size: u64, nodes: &NodeStore) -> Result<Hash, ProofError> {
    Ok(CompactRange::load(size, nodes)?.root())
}

/// The inclusion proof of a leaf (RFC 9162 2.1.3.1), from the leaf's sibling upwards.
///
/// # Errors
/// [`ProofError`] for a leaf outside the tree or a missing node.
pub fn inclusion_proof(leaf: u64, size: u64, nodes: &NodeStore) -> Result<Vec<Hash>, ProofError> {
    if leaf >= size {
        return Err(ProofError::OutOfRange);
    }
    let peaks = peaks(size);
    let own = peaks
        .iter()
        .position(|(height, index)| leaf.checked_shr(*height) == Some(*index))
        .ok_or(ProofError::OutOfRange)?;
    let (peak_height, _) = peaks.get(own).copied().ok_or(ProofError::OutOfRange)?;
    let mut proof = Vec::new();
    for height in 0..peak_height {
        let sibling = leaf.checked_shr(height).unwrap_or(0) ^ 1;
        proof.push(nodes.subtree(height, sibling)?);
    }
    let mut right = Vec::new();
    for (height, index) in peaks.iter().skip(own.saturating_add(1)) {
        right.push(nodes.subtree(*height, *index)?);
    }
    if !right.is_empty() {
        proof.push(fold_right(right.into_iter()));
    }
    for (height, index) in peaks.iter().take(own).rev() {
        proof.push(nodes.subtree(*height, *index)?);
    }
    Ok(proof)
}

/// The root that a proof leads to (RFC 9162 2.1.3.2): the caller compares it with a signed one.
///
/// # Errors
/// [`ProofError`] for a leaf outside the tree or a proof of wrong length.
pub fn root_from_inclusion(leaf: u64, size: u64, hash: Hash, proof: &[Hash]) -> Result<Hash, ProofError> {
    if leaf >= size {
        return Err(ProofError::OutOfRange);
    }
    let (mut first, mut last) = (leaf, size.saturating_sub(1));
    let mut root = hash;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if first & 1 == 1 || first == last {
            root = node_hash(sibling, &root);
            while first & 1 == 0 && first != 0 {
                first >>= 1;
                last >>= 1;
            }
        } else {
            root = node_hash(&root, sibling);
        }
        first >>= 1;
        last >>= 1;
    }
    if last == 0 {
        Ok(root)
    } else {
        Err(ProofError::Length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as RFC 9162 2.1.1 defines it, word for word and slow.
    fn naive_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            many => {
                let mut split = 1;
                while split * 2 < many.len() {
                    split *= 2;
                }
                node_hash(&naive_root(&many[..split]), &naive_root(&many[split..]))
            }
        }
    }

    fn tree(size: u64) -> (Vec<Hash>, CompactRange, HashMap<(u32, u64), Hash>) {
        let (mut range, mut stored, mut leaves) = (CompactRange::default(), HashMap::new(), Vec::new());
        for number in 0..size {
            let leaf = leaf_hash(&number.to_be_bytes());
            leaves.push(leaf);
            stored.insert((0, number), leaf);
            range.append(leaf, |node| {
                stored.insert((node.level, node.index), node.hash);
            });
        }
        (leaves, range, stored)
    }

    fn load(ranges: &[NodeRange], stored: &HashMap<(u32, u64), Hash>) -> NodeStore {
        let mut nodes = NodeStore::default();
        for range in ranges {
            assert!(range.count <= TILE_WIDTH);
            for index in range.start..range.start + range.count {
                nodes.insert(range.level, index, stored[&(range.level, index)]);
            }
        }
        nodes
    }

    #[test]
    fn hashes_follow_the_published_vectors() {
        let hex = |hash: Hash| hash.iter().map(|b| format!("{b:02x}")).collect::<String>();
        // Certificate Transparency's reference vectors: the empty tree, and the leaf of an empty entry.
        assert_eq!(
            hex(CompactRange::default().root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex(leaf_hash(b"")),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }

    #[test]
    fn roots_and_proofs_of_every_small_tree_match_the_definition() {
        let (leaves, _, stored) = tree(600);
        for size in (0..70).chain([255, 256, 257, 511, 512, 513, 600]) {
            let expected = naive_root(&leaves[..usize::try_from(size).unwrap()]);
            let nodes = load(&nodes_for_root(size), &stored);
            assert_eq!(root_of(size, &nodes), Ok(expected), "size {size}");
            for leaf in (0..size).step_by(if size > 100 { 17 } else { 1 }) {
                let nodes = load(&nodes_for_inclusion(leaf, size), &stored);
                let proof = inclusion_proof(leaf, size, &nodes).unwrap();
                let hash = leaves[usize::try_from(leaf).unwrap()];
                assert_eq!(
                    root_from_inclusion(leaf, size, hash, &proof),
                    Ok(expected),
                    "{leaf} of {size}"
                );
                if let Some(first) = proof.first() {
                    let mut wrong = proof.clone();
                    wrong[0][0] ^= 1;
                    assert_ne!(
                        root_from_inclusion(leaf, size, hash, &wrong),
                        Ok(expected),
                        "{first:?}"
                    );
                    assert!(root_from_inclusion(leaf, size, hash, &proof[1..]) != Ok(expected));
                }
            }
        }
    }

    #[test]
    fn a_log_over_two_levels_of_tiles_is_reopened_and_proved_from_few_rows() {
        let size = 66_000;
        let (leaves, range, stored) = tree(size);
        let ranges = nodes_for_root(size);
        assert!(ranges.iter().map(|r| r.count).sum::<u64>() <= 3 * TILE_WIDTH);
        let mut reopened = CompactRange::load(size, &load(&ranges, &stored)).unwrap();
        assert_eq!(reopened, range);
        for leaf in [0, 255, 256, 65_535, 65_536, 65_999] {
            let nodes = load(&nodes_for_inclusion(leaf, size), &stored);
            let proof = inclusion_proof(leaf, size, &nodes).unwrap();
            let hash = leaves[usize::try_from(leaf).unwrap()];
            assert_eq!(root_from_inclusion(leaf, size, hash, &proof), Ok(range.root()));
        }
        reopened.append(leaf_hash(b"next"), |_| ());
        assert_ne!(reopened.root(), range.root());
        assert_eq!(
            inclusion_proof(size, size, &NodeStore::default()),
            Err(ProofError::OutOfRange)
        );
        assert_eq!(root_of(size, &NodeStore::default()), Err(ProofError::Missing));
    }
}
