//! The audit log: one record for every change and every refusal of money or rights, and a tree over them.
//!
//! * [`Record`], [`SignedRecord`]: what is written, and its canonical bytes
//! * [`leaf`]: what of a record the tree covers, so that a part can be shown without the rest
//! * [`CompactRange`], [`inclusion_proof`], [`consistency_proof`]: the tree
//! * [`Receipt`]: a transaction's way to a signed root, for somebody without database or server
//! * [`Summary`]: what a block of the log may hold, so that a search passes over the rest
//! * [`replay`]: the books rebuilt from the log, and what does not fit

mod consistency;
pub mod leaf;
mod receipt;
mod record;
pub mod replay;
mod summary;
mod tree;

pub use consistency::{check_consistency, consistency_proof, nodes_for_consistency};
pub use receipt::{Receipt, ReceiptError};
pub use record::{Details, Object, Opening, Record, SignedRecord, Stated, facts_digest, number_digest};
pub use summary::{Mark, Marked, Summary};
pub use tree::{
    CompactRange, Hash, NodeRange, NodeStore, ProofError, StoredNode, TILE_WIDTH, inclusion_proof, leaf_hash,
    nodes_for_inclusion, nodes_for_root, root_from_inclusion, root_of,
};
