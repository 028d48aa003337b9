//! Idempotency keys: the client's name for one intent.
//!
//! What must hold (decided in the books, in the same commit as the money): one key of one owner does one thing, and
//! every retry gets the same answer. The scope is the owner: a person, or an integration whatever its key is, so
//! that a replaced key cannot pay twice. A request's content is kept as keyed digests of its fields, so that a mismatch
//! can name the field and the table tells nothing.

use strongroom_crypto::Idempotency as Keyed;
use strongroom_domain::ledger::{Fingerprint, Idempotency, IdempotencyTag};

/// Fields of a request in the order of its fingerprint. Position 0 is always the verb with the ids of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields(pub &'static [&'static str]);

impl Fields {
    /// JSON pointer of the field at a position of the fingerprint.
    pub fn name(&self, position: usize) -> &'static str {
        self.0.get(position).copied().unwrap_or("")
    }
}

/// A client's idempotency key with its owner.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    owner: [u8; 16],
    text: String,
}

impl IdempotencyKey {
    /// Longest key, in characters.
    pub const CHARS_MAX: usize = 255;

    /// Takes 1 to 255 printable ASCII characters.
    pub fn new(owner: [u8; 16], text: &str) -> Option<Self> {
        let fits = !text.is_empty()
            && text.len() <= Self::CHARS_MAX
            && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        fits.then(|| Self {
            owner,
            text: text.to_owned(),
        })
    }

    /// The key of one item behind the first of a request with many: no client can send it.
    pub(crate) fn item(mut self, number: usize) -> Self {
        self.text.push('\n');
        self.text.push_str(&number.to_string());
        self
    }

    /// The tag under a key of the ring.
    pub fn tag(&self, keyed: &Keyed) -> IdempotencyTag {
        keyed.tag(self.owner, &self.text)
    }

    /// What the books compare: the tag and the digests of all fields.
    pub fn bind(&self, keyed: &Keyed, fields: &[&[u8]]) -> Idempotency {
        let tag = self.tag(keyed);
        let mut digests = Vec::with_capacity(fields.len() * Fingerprint::FIELD_BYTES);
        for (number, field) in (0_u8..).zip(fields) {
            digests.extend_from_slice(&keyed.field_digest(tag, number, field));
        }
        Idempotency {
            tag,
            fingerprint: Fingerprint::from_bytes(digests),
        }
    }
}
