//! A receipt: everything between the facts of one transaction and a root that the log has signed.
//!
//! Whoever holds a receipt and the log's public key checks it without database and server: the facts give the
//! transaction's digest, the digest stands in the audit record, the record is a leaf, the leaf leads to the root, the
//! root is signed. The last step needs a signature and is the caller's: compare [`Receipt::root`] with the
//! checkpoint's.

use crate::{
    audit::{
        leaf::{self, PublicRecord},
        tree::{Hash, ProofError, root_from_inclusion},
    },
    transaction::Facts,
};

/// Most hashes of an inclusion proof: a tree of 2⁶⁴ leaves has no longer path.
const PROOF_HASHES_MAX: usize = 64;

/// The parts of a receipt below its checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// What is proved.
    pub facts: Facts,
    /// Salted digest of the transaction's entries: bound, and not to be guessed from.
    pub entries: Hash,
    /// The public part of the audit record.
    pub record: Vec<u8>,
    /// Commitment to who acted.
    pub caller: Hash,
    /// The record's place in the log, from 0.
    pub leaf: u64,
    /// Hashes from the leaf's sibling upwards.
    pub proof: Vec<Hash>,
}

/// Where a receipt breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The record's bytes are not those of a record.
    #[error("the audit record cannot be read")]
    Record,
    /// The record is about something else, or about something that was refused.
    #[error("the audit record is not about this transaction")]
    OtherTransaction,
    /// The facts are not those that were recorded.
    #[error("the facts are not the recorded ones")]
    Facts,
    /// The proof does not lead from the leaf to a root of that size.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl Receipt {
    /// The root of the log of `size` leaves that this receipt leads to. Only where it equals the root of a signed
    /// checkpoint of that size is anything proved.
    ///
    /// # Errors
    /// [`ReceiptError`] where the chain breaks before.
    pub fn root(&self, size: u64) -> Result<Hash, ReceiptError> {
        let record = PublicRecord::parse(&self.record).ok_or(ReceiptError::Record)?;
        if record.object_kind != "transaction"
            || record.object_id != *self.facts.id.as_bytes()
            || record.outcome != "ok"
        {
            return Err(ReceiptError::OtherTransaction);
        }
        if record.details.transaction_digest() != Some(self.facts.digest(&self.entries)) {
            return Err(ReceiptError::Facts);
        }
        if self.proof.len() > PROOF_HASHES_MAX {
            return Err(ProofError::Length.into());
        }
        let leaf = leaf::of_parts(&self.record, &self.caller);
        Ok(root_from_inclusion(self.leaf, size, leaf, &self.proof)?)
    }
}
