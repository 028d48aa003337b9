//! All payments to one account as one value, whatever their number and order.

use sha2::{Digest, Sha256};

use crate::payment::Payment;

/// Words of a digest.
const WORDS: usize = 4;

/// How many payments there are and the sum of their digests: equal for equal sets of payments. Whoever changes rows of
/// the database so that the sum stays the same would have to find digests that add up to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PaymentSum {
    count: u64,
    words: [u64; WORDS],
}

impl PaymentSum {
    /// Takes a payment in.
    pub fn add(&mut self, payment: &Payment) {
        self.count = self.count.wrapping_add(1);
        for (word, digest) in self.words.iter_mut().zip(digest(payment)) {
            *word = word.wrapping_add(digest);
        }
    }

    /// A payment that is new, or was another one before. Changes may come in any order.
    pub(super) fn change(&mut self, before: Option<&Payment>, after: &Payment) {
        self.add(after);
        if let Some(before) = before {
            self.count = self.count.wrapping_sub(1);
            for (word, digest) in self.words.iter_mut().zip(digest(before)) {
                *word = word.wrapping_sub(digest);
            }
        }
    }
}

fn digest(payment: &Payment) -> [u64; WORDS] {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(b"strongroom/payment/v1")
        .chain_update(payment.bytes())
        .finalize()
        .into();
    let mut words = [0; WORDS];
    let (chunks, _) = digest.as_chunks::<8>();
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_be_bytes(*chunk);
    }
    words
}
