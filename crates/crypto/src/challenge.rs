//! Challenges: what a fresh factor is asked to approve, sealed and given to the client, so that asking costs no row.
//!
//! A challenge opens in the session that it was made for and nowhere else. It carries a random name, so that each can
//! be used once, the digest of the one request, and its end.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::keyring::Keyring;
use crate::random;
use crate::seal::Place;

/// Longest text that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 512;
const NAME_LEN: usize = 16;
const REQUEST_LEN: usize = 32;
const PLAIN_LEN: usize = NAME_LEN + REQUEST_LEN + 8;

/// What is to be approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Random, or of the bytes of an id: the name of the approval to come.
    pub name: [u8; NAME_LEN],
    /// Digest of the request.
    pub request: [u8; REQUEST_LEN],
    /// The end, Unix microseconds.
    pub expires_at: i64,
}

impl Challenge {
    /// A new one.
    #[must_use]
    pub fn new(request: [u8; REQUEST_LEN], expires_at: i64) -> Self {
        Self {
            name: random::bytes(),
            request,
            expires_at,
        }
    }
}

const fn place(session: &[u8; 16]) -> Place<'_> {
    Place {
        table: "step_ups",
        column: "challenge",
        row: session,
    }
}

impl Keyring {
    /// The text of a challenge for a session.
    #[must_use]
    pub fn seal_challenge(&self, session: [u8; 16], challenge: &Challenge) -> String {
        let mut plain = Vec::with_capacity(PLAIN_LEN);
        plain.extend_from_slice(&challenge.name);
        plain.extend_from_slice(&challenge.request);
        plain.extend_from_slice(&challenge.expires_at.to_be_bytes());
        URL_SAFE_NO_PAD.encode(self.seal(place(&session), &plain))
    }

    /// Reads a challenge of this session; `None` for everything else. It may be over.
    #[must_use]
    pub fn open_challenge(&self, session: [u8; 16], text: &str) -> Option<Challenge> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let plain = self.open(place(&session), &sealed).ok()?;
        let (name, rest) = plain.expose().split_first_chunk()?;
        let (request, end) = rest.split_first_chunk()?;
        Some(Challenge {
            name: *name,
            request: *request,
            expires_at: i64::from_be_bytes(end.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_opens_in_its_session_and_unchanged_only() {
        let ring = Keyring::generate(0);
        let challenge = Challenge::new([7; 32], 1_000);
        let text = ring.seal_challenge([1; 16], &challenge);
        assert_eq!(ring.open_challenge([1; 16], &text), Some(challenge));
        assert_eq!(ring.open_challenge([2; 16], &text), None);
        assert_eq!(
            Keyring::generate(0).open_challenge([1; 16], &text),
            None,
            "another bank's"
        );
        for position in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(ring.open_challenge([1; 16], &changed), None, "{position}");
        }
        for odd in ["", "A", "====", &"A".repeat(10_000)] {
            assert_eq!(ring.open_challenge([1; 16], odd), None);
        }
    }

    #[test]
    fn every_field_of_a_request_and_its_session_are_in_the_digest() {
        let keyed = Keyring::generate(0).idempotency();
        let digest = keyed.request_digest([1; 16], &[b"transfer.create", b"ab", b"c"]);
        assert_eq!(
            digest,
            keyed.request_digest([1; 16], &[b"transfer.create", b"ab", b"c"])
        );
        for other in [
            keyed.request_digest([2; 16], &[b"transfer.create", b"ab", b"c"]),
            keyed.request_digest([1; 16], &[b"transfer.create", b"a", b"bc"]),
            keyed.request_digest([1; 16], &[b"transfer.create", b"ab", b"c", b""]),
            keyed.request_digest([1; 16], &[b"transfer.create", b"ab"]),
            keyed.request_digest([1; 16], &[b"payment.create", b"ab", b"c"]),
        ] {
            assert_ne!(digest, other);
        }
    }
}
