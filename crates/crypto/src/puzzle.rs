//! Puzzles: a little work that whoever guesses has to do, too.
//!
//! A puzzle is a text that this bank made and keeps no copy of: its number of bits, its time, luck, and a keyed digest
//! over these and over what it is about. Solved is it by a short text such that SHA-256 of `puzzle:answer` begins with
//! that many zero bits. Solving takes 2^bits digests on average, checking takes one.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{keyring::Keyring, random, token::fingerprint};

/// Longest answer, in characters.
pub const ANSWER_CHARS_MAX: usize = 20;
/// Most bits that a puzzle may have.
pub const BITS_MAX: u8 = 32;
/// Name of the keyed digest.
const INDEX: &str = "puzzles";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 1 + 8 + 16;
const TAG_BYTES: usize = 16;

/// A puzzle that was solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solved {
    /// Names it: it counts once.
    pub digest: [u8; 32],
    /// When it was made, in microseconds.
    pub made_at: i64,
    /// How much work it was.
    pub bits: u8,
}

impl Keyring {
    /// A puzzle of so many bits about something, made now (microseconds).
    #[must_use]
    pub fn puzzle(&self, about: &[u8; 16], bits: u8, now: i64) -> String {
        let mut bytes = vec![VERSION, bits.min(BITS_MAX)];
        bytes.extend_from_slice(&now.to_be_bytes());
        bytes.extend_from_slice(&random::bytes::<16>());
        let tag = self.blind_index(INDEX, &[bytes.as_slice(), about].concat());
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// A puzzle of ours about this, with its answer; `None` where it is anything else. Its age is for callers to judge.
    #[must_use]
    pub fn solved_puzzle(&self, about: &[u8; 16], puzzle: &str, answer: &str) -> Option<Solved> {
        if answer.is_empty() || answer.len() > ANSWER_CHARS_MAX || puzzle.len() > 2 * (HEAD_BYTES + TAG_BYTES)
        {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(puzzle).ok()?;
        let (head, tag) = bytes.split_at_checked(HEAD_BYTES)?;
        // Digests are compared, so that the time says nothing about the tag.
        let shown = digest(&SHA256, tag);
        let known = self.blind_indexes(INDEX, &[head, about].concat());
        if !known
            .iter()
            .any(|ours| digest(&SHA256, ours).as_ref() == shown.as_ref())
        {
            return None;
        }
        let (&[VERSION, bits], rest) = head.split_first_chunk::<2>()? else {
            return None;
        };
        let (made_at, _) = rest.split_first_chunk::<8>()?;
        let work = fingerprint(&format!("{puzzle}:{answer}"));
        (zero_bits(&work) >= u32::from(bits)).then(|| Solved {
            digest: fingerprint(puzzle),
            made_at: i64::from_be_bytes(*made_at),
            bits,
        })
    }
}

fn zero_bits(work: &[u8; 32]) -> u32 {
    let mut bits = 0;
    for byte in work {
        bits += byte.leading_zeros();
        if *byte != 0 {
            break;
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_132_800_000_000;
    const ABOUT: [u8; 16] = [7; 16];

    fn solve(puzzle: &str, bits: u32) -> String {
        (0_u64..)
            .map(|number| number.to_string())
            .find(|answer| zero_bits(&fingerprint(&format!("{puzzle}:{answer}"))) >= bits)
            .unwrap()
    }

    #[test]
    fn a_puzzle_is_solved_by_work_and_says_when_it_was_made() {
        let ring = Keyring::generate(NOW);
        let puzzle = ring.puzzle(&ABOUT, 10, NOW);
        let answer = solve(&puzzle, 10);
        let solved = ring.solved_puzzle(&ABOUT, &puzzle, &answer).unwrap();
        assert_eq!((solved.made_at, solved.bits), (NOW, 10));
        assert_eq!(solved.digest, fingerprint(&puzzle));
        // What is one bit too easy does not do, nor does nothing, nor something long.
        let easy = (0_u64..)
            .map(|number| number.to_string())
            .find(|answer| zero_bits(&fingerprint(&format!("{puzzle}:{answer}"))) == 9)
            .unwrap();
        for wrong in [easy.as_str(), "", "000000000000000000000"] {
            assert_eq!(ring.solved_puzzle(&ABOUT, &puzzle, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_puzzle_about_something_else_or_of_somebody_else_or_changed_is_none() {
        let ring = Keyring::generate(NOW);
        let puzzle = ring.puzzle(&ABOUT, 0, NOW);
        assert!(ring.solved_puzzle(&ABOUT, &puzzle, "0").is_some());
        assert_eq!(ring.solved_puzzle(&[8; 16], &puzzle, "0"), None);
        assert_eq!(Keyring::generate(NOW).solved_puzzle(&ABOUT, &puzzle, "0"), None);
        let bytes = URL_SAFE_NO_PAD.decode(&puzzle).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(ring.solved_puzzle(&ABOUT, &changed, "0"), None, "{at}");
        }
        for cut in 0..puzzle.len() {
            assert_eq!(ring.solved_puzzle(&ABOUT, &puzzle[..cut], "0"), None);
        }
    }
}
