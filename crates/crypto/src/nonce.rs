//! Names of what is good once: nonces of signed requests, numbers of proofs of possession.

use aws_lc_rs::digest::{SHA256, digest};

/// What makes a signed request or a proof good once: a digest of who made it and of its nonce. It needs no key, which
/// might be rotated while the request can come again: neither part is a secret, and nobody can make the digest of
/// somebody else's.
#[must_use]
pub fn nonce_digest(kind: &str, owner: &[u8], nonce: &str) -> [u8; 16] {
    let mut bytes = Vec::with_capacity(kind.len() + owner.len() + nonce.len() + 2);
    for part in [kind.as_bytes(), owner] {
        bytes.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(part);
    }
    bytes.extend_from_slice(nonce.as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&digest(&SHA256, &bytes).as_ref()[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::nonce_digest;

    #[test]
    fn every_part_tells_nonces_apart_wherever_it_ends() {
        let all = [
            nonce_digest("a", b"bc", "d"),
            nonce_digest("ab", b"c", "d"),
            nonce_digest("a", b"b", "cd"),
            nonce_digest("a", b"bc", "e"),
            nonce_digest("", b"abc", "d"),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(all[0], nonce_digest("a", b"bc", "d"));
    }
}
