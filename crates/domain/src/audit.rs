//! The audit log: one record for every change and every refusal of money or rights, and a tree over them.

mod record;
mod tree;

pub use record::{Details, Object, Record, SignedRecord};
pub use tree::{
    CompactRange, Hash, NodeRange, NodeStore, ProofError, StoredNode, TILE_WIDTH, inclusion_proof, leaf_hash,
    nodes_for_inclusion, nodes_for_root, root_from_inclusion, root_of,
};
