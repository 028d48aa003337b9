//! XAES-256-GCM: AES-256-GCM with 192-bit random nonces, after <https://c2sp.org/XAES-256-GCM>.
//!
//! A NIST SP 800-108r1 counter KDF over CMAC-AES256 derives a key per message from the first half of the nonce; the
//! second half is the nonce of a standard AES-256-GCM call. 2^80 messages under one key keep the collision risk of
//! random nonces below 2^-32, so nobody has to count uses. It is not key-committing: [`crate::seal`] adds that.
//!
//! The library offers the bare AES block only as "ECB"; here it computes the CMAC of single, distinct blocks and
//! never encrypts data.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use zeroize::Zeroizing;

/// Length of a key in bytes.
pub(crate) const KEY_LEN: usize = 32;
/// Length of a nonce in bytes.
pub(crate) const NONCE_LEN: usize = 24;
/// Length of the authentication tag in bytes.
pub(crate) const TAG_LEN: usize = 16;

/// A key with its CMAC subkey prepared.
pub(crate) struct Xaes {
    block: EncryptingKey,
    k1: Zeroizing<[u8; 16]>,
}

/// The ciphertext was not made by this key, nonce and associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

impl Xaes {
    /// Prepares a key.
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        let unbound = UnboundCipherKey::new(&AES_256, key).expect("a 256-bit key fits AES-256");
        let block = EncryptingKey::ecb(unbound).expect("AES-256 has the block mode");
        let mut l = Zeroizing::new([0u8; 16]);
        block.encrypt(&mut *l).expect("one whole block");
        // CMAC subkey K1 (NIST SP 800-38B §6.1), without a branch on secret bits.
        let value = u128::from_be_bytes(*l);
        let k1 = Zeroizing::new(((value << 1) ^ ((value >> 127) * 0b1000_0111)).to_be_bytes());
        Self { block, k1 }
    }

    fn message_key(&self, nonce: &[u8; NONCE_LEN]) -> (LessSafeKey, Nonce) {
        let mut derived = Zeroizing::new([0u8; 32]);
        for (index, block) in derived.chunks_exact_mut(16).enumerate() {
            block[1] = index as u8 + 1;
            block[2] = b'X';
            block[4..].copy_from_slice(&nonce[..12]);
            for (byte, mask) in block.iter_mut().zip(self.k1.iter()) {
                *byte ^= mask;
            }
        }
        self.block.encrypt(&mut *derived).expect("two whole blocks");
        let key = UnboundKey::new(&AES_256_GCM, &*derived).expect("a 256-bit key fits AES-256-GCM");
        let nonce = Nonce::try_assume_unique_for_key(&nonce[12..]).expect("half of 24 bytes are 12");
        (LessSafeKey::new(key), nonce)
    }

    /// Encrypts `in_out` in place and gives the tag. The caller draws `nonce` at random for each call.
    pub(crate) fn seal(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], in_out: &mut [u8]) -> [u8; TAG_LEN] {
        let (key, nonce) = self.message_key(nonce);
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(aad), in_out)
            .expect("a message below AES-GCM's 64 GiB");
        tag.as_ref().try_into().expect("GCM tags have 16 bytes")
    }

    /// Decrypts `in_out` (ciphertext then tag) in place and gives the plaintext part.
    pub(crate) fn open<'a>(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &'a mut [u8],
    ) -> Result<&'a mut [u8], Refused> {
        let (key, nonce) = self.message_key(nonce);
        key.open_in_place(nonce, Aad::from(aad), in_out)
            .map_err(|_| Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(key: u8, aad: &str, expected: &str) {
        let nonce: [u8; NONCE_LEN] = *b"ABCDEFGHIJKLMNOPQRSTUVWX";
        let xaes = Xaes::new(&[key; KEY_LEN]);
        let mut message = b"XAES-256-GCM".to_vec();
        let tag = xaes.seal(&nonce, aad.as_bytes(), &mut message);
        message.extend_from_slice(&tag);
        assert_eq!(hex::encode(&message), expected);
        assert_eq!(
            xaes.open(&nonce, aad.as_bytes(), &mut message).unwrap(),
            b"XAES-256-GCM"
        );
    }

    #[test]
    fn first_published_vector() {
        vector(1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271");
    }

    #[test]
    fn second_published_vector() {
        vector(
            3,
            "c2sp.org/XAES-256-GCM",
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
        );
    }

    #[test]
    fn any_changed_bit_is_refused() {
        let nonce = [7u8; NONCE_LEN];
        let xaes = Xaes::new(&[9; KEY_LEN]);
        let mut sealed = b"42".to_vec();
        let tag = xaes.seal(&nonce, b"here", &mut sealed);
        sealed.extend_from_slice(&tag);
        assert!(xaes.open(&nonce, b"here", &mut sealed.clone()).is_ok());
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(xaes.open(&nonce, b"here", &mut changed), Err(Refused));
        }
        assert_eq!(xaes.open(&nonce, b"there", &mut sealed.clone()), Err(Refused));
        assert_eq!(
            xaes.open(&[8; NONCE_LEN], b"here", &mut sealed.clone()),
            Err(Refused)
        );
        assert_eq!(
            Xaes::new(&[8; KEY_LEN]).open(&nonce, b"here", &mut sealed),
            Err(Refused)
        );
    }
}
