//! Consistency proofs: that a later tree begins with every leaf of an earlier one (RFC 9162 section 2.1.4).

use crate::audit::tree::{
    Hash, NodeRange, NodeStore, ProofError, node_hash, nodes_for_inclusion, nodes_for_root,
};

/// What must be loaded to prove that a tree of `new` leaves continues one of `old` leaves.
pub fn nodes_for_consistency(old: u64, new: u64) -> Vec<NodeRange> {
    let mut out = nodes_for_root(new);
    if let Some(last) = old.min(new).checked_sub(1) {
        for range in nodes_for_inclusion(last, new)
            .into_iter()
            .chain(nodes_for_root(old))
        {
            if !out.contains(&range) {
                out.push(range);
            }
        }
    }
    out
}

/// The proof that a tree of `new` leaves continues one of `old` leaves (RFC 9162 2.1.4.1). Empty for equal sizes and
/// for an empty earlier tree.
///
/// # Errors
/// [`ProofError::OutOfRange`] when the earlier tree is the larger one, [`ProofError::Missing`] for a missing node.
pub fn consistency_proof(old: u64, new: u64, nodes: &NodeStore) -> Result<Vec<Hash>, ProofError> {
    if old > new {
        return Err(ProofError::OutOfRange);
    }
    let mut proof = Vec::new();
    if old > 0 && old < new {
        subproof(old, (0, new), true, nodes, &mut proof)?;
    }
    Ok(proof)
}

/// SUBPROOF of the RFC: `whole` says that the earlier tree's root is known to the verifier at this place.
fn subproof(
    old: u64,
    (start, end): (u64, u64),
    whole: bool,
    nodes: &NodeStore,
    proof: &mut Vec<Hash>,
) -> Result<(), ProofError> {
    if old == end {
        if !whole {
            proof.push(hash_of((start, end), nodes)?);
        }
        return Ok(());
    }
    let middle = split(start, end);
    if old <= middle {
        subproof(old, (start, middle), whole, nodes, proof)?;
        proof.push(hash_of((middle, end), nodes)?);
    } else {
        subproof(old, (middle, end), false, nodes, proof)?;
        proof.push(hash_of((start, middle), nodes)?);
    }
    Ok(())
}

/// Where a range of at least two leaves divides: after the largest power of two that is smaller than its length.
fn split(start: u64, end: u64) -> u64 {
    let last = end.saturating_sub(start).saturating_sub(1);
    let height = last.checked_ilog2().unwrap_or_default();
    start.saturating_add(1_u64.checked_shl(height).unwrap_or_default())
}

/// The hash over the leaves of a range that some step of the division yields.
fn hash_of((start, end): (u64, u64), nodes: &NodeStore) -> Result<Hash, ProofError> {
    let length = end.saturating_sub(start);
    if length.is_power_of_two() {
        let height = length.trailing_zeros();
        return nodes.subtree(height, start.checked_shr(height).unwrap_or_default());
    }
    if length == 0 {
        return Err(ProofError::OutOfRange);
    }
    let middle = split(start, end);
    Ok(node_hash(
        &hash_of((start, middle), nodes)?,
        &hash_of((middle, end), nodes)?,
    ))
}

/// Checks that the tree with the root `new_root` continues the one with `old_root` (RFC 9162 2.1.4.2). Nothing but the
/// arguments is trusted: the proof must lead to both roots.
///
/// # Errors
/// [`ProofError`] when it does not.
pub fn check_consistency(
    (old, old_root): (u64, &Hash),
    (new, new_root): (u64, &Hash),
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::OutOfRange);
    }
    if old == 0 || old == new {
        // Everything continues the empty tree; a tree continues itself.
        let same = old == 0 || old_root == new_root;
        return if !proof.is_empty() {
            Err(ProofError::Length)
        } else if same {
            Ok(())
        } else {
            Err(ProofError::Root)
        };
    }
    let mut rest = proof.iter();
    let (mut first, mut last) = (old.saturating_sub(1), new.saturating_sub(1));
    while first & 1 == 1 {
        first >>= 1;
        last >>= 1;
    }
    // An earlier tree that is full is a node of the later one, and not repeated in the proof.
    let begin = if old.is_power_of_two() {
        old_root
    } else {
        rest.next().ok_or(ProofError::Length)?
    };
    let (mut from_old, mut from_new) = (*begin, *begin);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if first & 1 == 1 || first == last {
            from_old = node_hash(sibling, &from_old);
            from_new = node_hash(sibling, &from_new);
            while first & 1 == 0 && first != 0 {
                first >>= 1;
                last >>= 1;
            }
        } else {
            from_new = node_hash(&from_new, sibling);
        }
        first >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if &from_old == old_root && &from_new == new_root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::audit::tree::{CompactRange, leaf_hash};

    /// Every root of a growing tree, and what a database would hold of the last one.
    fn grow(size: u64) -> (Vec<Hash>, HashMap<(u32, u64), Hash>) {
        let (mut range, mut stored) = (CompactRange::default(), HashMap::new());
        let mut roots = vec![range.root()];
        for number in 0..size {
            let leaf = leaf_hash(&number.to_be_bytes());
            stored.insert((0, number), leaf);
            range.append(leaf, |node| {
                stored.insert((node.level, node.index), node.hash);
            });
            roots.push(range.root());
        }
        (roots, stored)
    }

    fn load(ranges: &[NodeRange], stored: &HashMap<(u32, u64), Hash>) -> NodeStore {
        let mut nodes = NodeStore::default();
        for range in ranges {
            for index in range.start..range.start + range.count {
                nodes.insert(range.level, index, stored[&(range.level, index)]);
            }
        }
        nodes
    }

    fn root(roots: &[Hash], size: u64) -> &Hash {
        &roots[usize::try_from(size).unwrap()]
    }

    #[test]
    fn every_small_tree_continues_every_smaller_one() {
        let (roots, stored) = grow(80);
        for new in 0..=80_u64 {
            for old in 0..=new {
                let nodes = load(&nodes_for_consistency(old, new), &stored);
                let proof = consistency_proof(old, new, &nodes).unwrap();
                let (before, after) = ((old, root(&roots, old)), (new, root(&roots, new)));
                assert_eq!(check_consistency(before, after, &proof), Ok(()), "{old} {new}");
                if old == 0 || old == new {
                    continue;
                }
                let wrong = [7; 32];
                assert!(check_consistency((old, &wrong), after, &proof).is_err());
                assert!(check_consistency(before, (new, &wrong), &proof).is_err());
                assert!(check_consistency(before, after, &proof[1..]).is_err());
                assert!(check_consistency(before, after, &[&proof[..], &[wrong]].concat()).is_err());
                for place in 0..proof.len() {
                    let mut changed = proof.clone();
                    changed[place][0] ^= 1;
                    assert!(
                        check_consistency(before, after, &changed).is_err(),
                        "{old} {new} {place}"
                    );
                }
            }
        }
    }

    #[test]
    fn proofs_over_several_levels_of_tiles_need_few_rows() {
        let new = 66_000;
        let (roots, stored) = grow(new);
        for old in [
            1, 255, 256, 257, 511, 512, 1_000, 65_535, 65_536, 65_537, 65_900, 65_999, 66_000,
        ] {
            let ranges = nodes_for_consistency(old, new);
            assert!(ranges.iter().map(|range| range.count).sum::<u64>() <= 9 * 256);
            let nodes = load(&ranges, &stored);
            let proof = consistency_proof(old, new, &nodes).unwrap();
            assert!(proof.len() <= 20);
            let (before, after) = ((old, root(&roots, old)), (new, root(&roots, new)));
            assert_eq!(check_consistency(before, after, &proof), Ok(()), "{old}");
        }
    }

    #[test]
    fn a_log_that_was_cut_or_rewritten_continues_nothing() {
        let (roots, stored) = grow(300);
        let nodes = load(&nodes_for_consistency(290, 300), &stored);
        assert_eq!(consistency_proof(300, 290, &nodes), Err(ProofError::OutOfRange));
        let (long, short) = ((300, root(&roots, 300)), (290, root(&roots, 290)));
        assert_eq!(check_consistency(long, short, &[]), Err(ProofError::OutOfRange));
        assert_eq!(
            check_consistency(long, (300, &[1; 32]), &[]),
            Err(ProofError::Root)
        );
        // The same leaves but one, in the part that the checkpoint covers.
        let mut other = stored;
        other.insert((0, 288), [9; 32]);
        let nodes = load(&nodes_for_consistency(290, 300), &other);
        let proof = consistency_proof(290, 300, &nodes).unwrap();
        let rewritten = crate::audit::tree::root_of(300, &nodes).unwrap();
        assert_eq!(
            check_consistency(short, (300, &rewritten), &proof),
            Err(ProofError::Root)
        );
    }
}
