//! Proofs of the audit log, as somebody outside meets them: made from few stored hashes, good for one leaf at one place
//! of one tree and for nothing else.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a panic is how a test says no"
)]

use std::{collections::HashMap, sync::LazyLock};

use proptest::prelude::*;
use strongroom_domain::audit::{
    CompactRange, Hash, NodeRange, NodeStore, ProofError, TILE_WIDTH, inclusion_proof, leaf_hash,
    nodes_for_inclusion, nodes_for_root, root_from_inclusion, root_of,
};

const LEAVES: u64 = 1_400;

/// A log with everything that is stored of it, and its root at every size.
struct Log {
    stored: HashMap<(u32, u64), Hash>,
    roots: Vec<Hash>,
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let (mut range, mut stored) = (CompactRange::default(), HashMap::new());
    let mut roots = vec![range.root()];
    for number in 0..LEAVES {
        let leaf = leaf_hash(&number.to_be_bytes());
        stored.insert((0, number), leaf);
        range.append(leaf, |node| {
            assert!(
                stored.insert((node.level, node.index), node.hash).is_none(),
                "a node is stored once"
            );
        });
        roots.push(range.root());
    }
    assert_eq!(range.size(), LEAVES);
    Log { stored, roots }
});

impl Log {
    fn load(&self, ranges: &[NodeRange]) -> NodeStore {
        let mut nodes = NodeStore::default();
        for range in ranges {
            assert!(range.count > 0 && range.count <= TILE_WIDTH);
            for index in range.start..range.start.saturating_add(range.count) {
                nodes.insert(range.level, index, self.stored[&(range.level, index)]);
            }
        }
        nodes
    }

    fn root(&self, size: u64) -> Hash {
        self.roots[usize::try_from(size).unwrap()]
    }

    fn proof(&self, leaf: u64, size: u64) -> (Hash, Vec<Hash>) {
        let nodes = self.load(&nodes_for_inclusion(leaf, size));
        let proof = inclusion_proof(leaf, size, &nodes).unwrap();
        (self.stored[&(0, leaf)], proof)
    }
}

fn leaf_and_size() -> impl Strategy<Value = (u64, u64)> {
    (1..=LEAVES).prop_flat_map(|size| (0..size, Just(size)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_leaf_is_proved_from_the_rows_that_are_asked_for((leaf, size) in leaf_and_size()) {
        let (hash, proof) = LOG.proof(leaf, size);
        prop_assert_eq!(root_from_inclusion(leaf, size, hash, &proof), Ok(LOG.root(size)));
        prop_assert!(proof.len() <= 11);
    }

    #[test]
    fn a_proof_holds_at_no_other_place((leaf, size) in leaf_and_size(), other in 0..LEAVES) {
        let (hash, proof) = LOG.proof(leaf, size);
        if other != leaf {
            prop_assert_ne!(root_from_inclusion(other, size, hash, &proof), Ok(LOG.root(size)));
        }
        if other >= size {
            prop_assert_eq!(root_from_inclusion(other, size, hash, &proof), Err(ProofError::OutOfRange));
        }
    }

    #[test]
    fn a_proof_holds_under_no_other_checkpoint((leaf, size) in leaf_and_size(), other in 1..=LEAVES) {
        let (hash, proof) = LOG.proof(leaf, size);
        if other != size {
            prop_assert_ne!(root_from_inclusion(leaf, other, hash, &proof), Ok(LOG.root(other)));
        }
    }

    #[test]
    fn a_proof_that_was_touched_does_not_hold(
        (leaf, size) in leaf_and_size(),
        at in any::<prop::sample::Index>(),
        byte in 0..32_usize,
        bit in 0..8_u8,
    ) {
        let (hash, proof) = LOG.proof(leaf, size);
        let root = Ok(LOG.root(size));
        let mut other = hash;
        other[byte] ^= 1 << bit;
        prop_assert_ne!(root_from_inclusion(leaf, size, other, &proof), root);
        let longer = [&proof[..], &[hash]].concat();
        prop_assert_eq!(root_from_inclusion(leaf, size, hash, &longer), Err(ProofError::Length));
        if !proof.is_empty() {
            let at = at.index(proof.len());
            let mut wrong = proof.clone();
            wrong[at][byte] ^= 1 << bit;
            prop_assert_ne!(root_from_inclusion(leaf, size, hash, &wrong), root);
            wrong = proof.clone();
            wrong.remove(at);
            prop_assert_ne!(root_from_inclusion(leaf, size, hash, &wrong), root);
        }
    }

    #[test]
    fn a_log_goes_on_from_its_stored_edge(size in 0..LEAVES, more in 1..300_u64) {
        let nodes = LOG.load(&nodes_for_root(size));
        prop_assert_eq!(root_of(size, &nodes), Ok(LOG.root(size)));
        let mut range = CompactRange::load(size, &nodes).unwrap();
        let end = size.saturating_add(more).min(LEAVES);
        for number in size..end {
            range.append(LOG.stored[&(0, number)], |node| {
                assert_eq!(LOG.stored[&(node.level, node.index)], node.hash);
            });
        }
        prop_assert_eq!((range.size(), range.root()), (end, LOG.root(end)));
    }

    #[test]
    fn a_missing_row_is_named_not_guessed((leaf, size) in leaf_and_size(), at in any::<prop::sample::Index>()) {
        let mut rows: Vec<(u32, u64)> = nodes_for_inclusion(leaf, size)
            .iter()
            .flat_map(|range| (range.start..range.start.saturating_add(range.count)).map(|index| (range.level, index)))
            .collect();
        let gone = rows.remove(at.index(rows.len()));
        let mut nodes = NodeStore::default();
        for (level, index) in rows {
            nodes.insert(level, index, LOG.stored[&(level, index)]);
        }
        // The leaf's own hash is no part of its proof, and a partial tile may not be needed in full.
        match inclusion_proof(leaf, size, &nodes) {
            Ok(proof) => {
                let hash = LOG.stored[&(0, leaf)];
                prop_assert_eq!(root_from_inclusion(leaf, size, hash, &proof), Ok(LOG.root(size)), "{:?}", gone);
            }
            Err(error) => prop_assert_eq!(error, ProofError::Missing),
        }
    }
}

#[test]
fn nothing_is_proved_in_an_empty_log() {
    assert_eq!(
        inclusion_proof(0, 0, &NodeStore::default()),
        Err(ProofError::OutOfRange)
    );
    assert_eq!(
        root_from_inclusion(0, 0, [0; 32], &[]),
        Err(ProofError::OutOfRange)
    );
    assert!(nodes_for_root(0).is_empty() && nodes_for_inclusion(0, 0).is_empty());
    assert_eq!(
        root_of(0, &NodeStore::default()),
        Ok(CompactRange::default().root())
    );
}

#[test]
fn the_largest_sizes_are_answered_not_crossed() {
    for size in [u64::MAX, u64::MAX - 1, 1 << 63] {
        assert_eq!(root_of(size, &NodeStore::default()), Err(ProofError::Missing));
        for leaf in [0, size - 1] {
            assert!(
                nodes_for_inclusion(leaf, size)
                    .iter()
                    .all(|range| range.count <= TILE_WIDTH)
            );
            assert_eq!(
                inclusion_proof(leaf, size, &NodeStore::default()),
                Err(ProofError::Missing)
            );
            assert!(root_from_inclusion(leaf, size, [0; 32], &vec![[0; 32]; 70]).is_err());
        }
    }
}
