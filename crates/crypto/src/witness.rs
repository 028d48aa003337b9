//! Witnesses: they sign beside the log that its head continued what they had seen before.
//!
//! Format: <https://c2sp.org/tlog-cosignature>, the Ed25519 form `cosignature/v1` (signature type 4): 8 bytes of time in
//! seconds, then the signature over `cosignature/v1`, the time and the note's text. A cosignature is a further line of
//! the note; whoever does not know the witness ignores it.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::{
    note::{Checkpoint, NoteError, check_name, key_id, key_line, line_of, read_key, split},
    secret::SecretBytes,
};

const TYPE_COSIGNATURE: u8 = 4;
/// First part of a witness's secret key as text, which is otherwise like a verifier key's.
const SECRET_MARK: &str = "PRIVATE+KEY+";
const SEED_BYTES: usize = 32;

/// The public key of a witness; its text form is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    id: u32,
    public: [u8; 32],
}

impl WitnessKey {
    /// Reads `name+id+base64(type ‖ key)`.
    ///
    /// # Errors
    /// [`NoteError::VerifierKey`], [`NoteError::Name`]. A log's key is none: its signatures say something else.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let (name, public) = read_key(line, TYPE_COSIGNATURE)?;
        Ok(Self::of(name, public))
    }

    fn of(name: &str, public: [u8; 32]) -> Self {
        Self {
            name: name.to_owned(),
            id: key_id(name, TYPE_COSIGNATURE, &public),
            public,
        }
    }

    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of the key's hash, big-endian.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&key_line(&self.name, TYPE_COSIGNATURE, &self.public))
    }
}

/// Who cosigns.
pub struct Witness {
    verifier: WitnessKey,
    pair: Ed25519KeyPair,
    seed: SecretBytes,
}

impl Witness {
    /// A new witness.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn generate(name: &str) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self::of(name, SecretBytes::random(SEED_BYTES)))
    }

    /// The head of a log that nobody has seen yet, cosigned: what a witness begins with.
    ///
    /// # Errors
    /// [`NoteError::Name`] for what is no log's name.
    pub fn cosign_nothing(
        &self,
        origin: &str,
        empty_root: [u8; 32],
        seconds: u64,
    ) -> Result<String, NoteError> {
        let nothing = Checkpoint {
            origin: origin.to_owned(),
            size: 0,
            root: empty_root,
            extensions: Vec::new(),
        };
        let text = nothing.to_text()?;
        Ok(format!("{text}\n{}", self.line(&text, seconds)))
    }

    fn line(&self, text: &str, seconds: u64) -> String {
        let mut signature = seconds.to_be_bytes().to_vec();
        signature.extend_from_slice(self.pair.sign(message(text, seconds).as_bytes()).as_ref());
        line_of(&self.verifier.name, self.verifier.id, &signature)
    }

    /// Reads what [`Self::to_secret_text`] wrote.
    ///
    /// # Errors
    /// [`NoteError::VerifierKey`], [`NoteError::Name`].
    pub fn parse(line: &SecretBytes) -> Result<Self, NoteError> {
        let refused = NoteError::VerifierKey;
        let text = line.expose_str().ok_or(refused)?.trim_end_matches('\n');
        let mut parts = text.strip_prefix(SECRET_MARK).ok_or(refused)?.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refused);
        };
        check_name(name)?;
        let key = Zeroizing::new(STANDARD.decode(key).map_err(|_| refused)?);
        let seed = match key.split_first() {
            Some((&TYPE_COSIGNATURE, seed)) if seed.len() == SEED_BYTES => SecretBytes::copy_of(seed),
            _ => return Err(refused),
        };
        let witness = Self::of(name, seed);
        if format!("{:08x}", witness.verifier.id) == id {
            Ok(witness)
        } else {
            Err(refused)
        }
    }

    fn of(name: &str, seed: SecretBytes) -> Self {
        let pair =
            Ed25519KeyPair::from_seed_unchecked(seed.expose()).expect("any 32 bytes are an Ed25519 seed");
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .expect("an Ed25519 public key has 32 bytes");
        Self {
            verifier: WitnessKey::of(name, public),
            pair,
            seed,
        }
    }

    /// The secret key as one line: `PRIVATE+KEY+name+id+base64(type ‖ seed)`.
    #[must_use]
    pub fn to_secret_text(&self) -> SecretBytes {
        let key = Zeroizing::new([&[TYPE_COSIGNATURE][..], self.seed.expose()].concat());
        let encoded = Zeroizing::new(STANDARD.encode(key.as_slice()));
        let name = &self.verifier.name;
        let head = format!("{SECRET_MARK}{name}+{:08x}+", self.verifier.id);
        SecretBytes::new([head.as_bytes(), encoded.as_bytes(), b"\n"].concat())
    }

    /// The public half, to be given to those who are to believe this witness.
    #[must_use]
    pub fn verifier(&self) -> &WitnessKey {
        &self.verifier
    }

    /// The note with this witness's line at its end, in place of one that it had. The caller has verified that the
    /// checkpoint continues whatever was cosigned before.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] for what is no note.
    pub fn cosign(&self, note: &str, seconds: u64) -> Result<String, NoteError> {
        let (text, lines) = split(note)?;
        let others = lines
            .into_iter()
            .filter(|(name, id, _)| (*name, *id) != (self.verifier.name.as_str(), self.verifier.id))
            .map(|(name, id, signature)| line_of(name, id, &signature));
        let mut cosigned = format!("{text}\n");
        cosigned.extend(others);
        cosigned.push_str(&self.line(text, seconds));
        Ok(cosigned)
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness")
            .field("verifier", &self.verifier.to_string())
            .finish_non_exhaustive()
    }
}

fn message(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// Who of `witnesses` cosigned a note, and when, in seconds since 1970. Lines of others are ignored.
///
/// # Errors
/// [`NoteError::Malformed`] for what is no note, [`NoteError::BadSignature`] when a line that names one of them is
/// wrong.
pub fn cosigned_by<'k>(
    note: &str,
    witnesses: &'k [WitnessKey],
) -> Result<Vec<(&'k WitnessKey, u64)>, NoteError> {
    let (text, lines) = split(note)?;
    let mut found = Vec::new();
    for (name, id, stamped) in lines {
        for key in witnesses.iter().filter(|key| key.name == name && key.id == id) {
            let (seconds, signature) = stamped.split_first_chunk::<8>().ok_or(NoteError::BadSignature)?;
            let seconds = u64::from_be_bytes(*seconds);
            UnparsedPublicKey::new(&ED25519, key.public)
                .verify(message(text, seconds).as_bytes(), signature)
                .map_err(|_| NoteError::BadSignature)?;
            found.push((key, seconds));
        }
    }
    Ok(found)
}

/// A head that a witness vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned<'k> {
    /// The head. Whether the log signed it is not looked at.
    pub checkpoint: Checkpoint,
    /// By whom.
    pub witness: &'k WitnessKey,
    /// When, in seconds since 1970.
    pub seconds: u64,
}

/// Reads a head that one of `witnesses` cosigned.
///
/// # Errors
/// As [`cosigned_by`]; [`NoteError::Unsigned`] when none of them did, [`NoteError::NotACheckpoint`].
pub fn open<'k>(note: &str, witnesses: &'k [WitnessKey]) -> Result<Cosigned<'k>, NoteError> {
    let (witness, seconds) = cosigned_by(note, witnesses)?
        .into_iter()
        .next()
        .ok_or(NoteError::Unsigned)?;
    let (text, _) = split(note)?;
    Ok(Cosigned {
        checkpoint: Checkpoint::from_text(text)?,
        witness,
        seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keyring::Keyring, note::VerifierKey};

    const ORIGIN: &str = "bank.example/log";

    fn note(ring: &Keyring) -> String {
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size: 11,
            root: [7; 32],
            extensions: Vec::new(),
        };
        checkpoint.sign(&ring.note_signer(ORIGIN).unwrap()).unwrap()
    }

    #[test]
    fn a_cosignature_is_a_line_of_the_note_that_names_its_moment() {
        let (ring, witness) = (
            Keyring::generate(0),
            Witness::generate("witness.example/w1").unwrap(),
        );
        let plain = note(&ring);
        let cosigned = witness.cosign(&plain, 1_679_315_147).unwrap();
        assert!(cosigned.starts_with(&plain), "{cosigned}");
        let keys = [WitnessKey::parse(&witness.verifier().to_string()).unwrap()];
        assert_eq!(
            cosigned_by(&cosigned, &keys).unwrap(),
            [(&keys[0], 1_679_315_147)]
        );
        assert_eq!(cosigned_by(&plain, &keys).unwrap(), []);
        // The log's own signature still counts, and a witness alone makes no checkpoint.
        let log = ring.note_verifiers(ORIGIN).unwrap();
        assert_eq!(Checkpoint::open(&cosigned, &log).unwrap().size, 11);
        let later = witness.cosign(&cosigned, 1_679_315_148).unwrap();
        assert_eq!(cosigned_by(&later, &keys).unwrap(), [(&keys[0], 1_679_315_148)]);
        assert_eq!(open(&later, &keys).unwrap().checkpoint.size, 11);
        let begin = witness.cosign_nothing(ORIGIN, [1; 32], 7).unwrap();
        assert_eq!(open(&begin, &keys).unwrap().checkpoint.size, 0);
        assert_eq!(open(&plain, &keys), Err(NoteError::Unsigned));
        let second = Witness::generate("witness.example/w2").unwrap();
        let both = second.cosign(&later, 5).unwrap();
        let keys = [keys[0].clone(), second.verifier().clone()];
        assert_eq!(cosigned_by(&both, &keys).unwrap().len(), 2);
    }

    #[test]
    fn whatever_is_changed_a_cosignature_does_not_count() {
        let (ring, witness) = (
            Keyring::generate(0),
            Witness::generate("witness.example/w1").unwrap(),
        );
        let cosigned = witness.cosign(&note(&ring), 1_000).unwrap();
        let keys = [witness.verifier().clone()];
        assert!(cosigned_by(&cosigned, &keys).is_ok());
        let other_size = cosigned.replace("\n11\n", "\n12\n");
        assert_eq!(cosigned_by(&other_size, &keys), Err(NoteError::BadSignature));
        // Another moment under the same signature.
        let line = cosigned.lines().last().unwrap();
        let (_, encoded) = line.rsplit_once(' ').unwrap();
        let mut bytes = STANDARD.decode(encoded).unwrap();
        bytes[11] ^= 1;
        let moved = cosigned.replace(encoded, &STANDARD.encode(&bytes));
        assert_eq!(cosigned_by(&moved, &keys), Err(NoteError::BadSignature));
        // A namesake with another key is a stranger.
        let namesake = Witness::generate("witness.example/w1").unwrap();
        assert_eq!(
            cosigned_by(&cosigned, &[namesake.verifier().clone()]).unwrap(),
            []
        );
        // The key of a log is no key of a witness, nor the other way round.
        let log = ring.note_signer(ORIGIN).unwrap().verifier().to_string();
        assert_eq!(WitnessKey::parse(&log), Err(NoteError::VerifierKey));
        assert_eq!(
            VerifierKey::parse(&witness.verifier().to_string()),
            Err(NoteError::VerifierKey)
        );
    }

    #[test]
    fn the_secret_key_is_read_back_and_not_shown() {
        let witness = Witness::generate("witness.example/w1").unwrap();
        let text = witness.to_secret_text();
        let again = Witness::parse(&text).unwrap();
        assert_eq!(again.verifier(), witness.verifier());
        let shown = format!("{witness:?}");
        let line = text.expose_str().unwrap().trim_end().to_owned();
        let (_, seed) = line.rsplit_once('+').unwrap();
        assert!(!shown.contains(seed) && shown.contains("witness.example/w1"));
        for broken in [
            line.replace("w1", "w2"),
            line[12..].to_owned(),
            format!("{line}AAAA"),
        ] {
            assert!(Witness::parse(&SecretBytes::copy_of(broken.as_bytes())).is_err());
        }
        assert!(Witness::generate("a name").is_err());
    }

    /// The example of the specification's page.
    #[test]
    fn a_published_line_is_read_as_id_time_and_signature() {
        let line = "witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==";
        let note = format!(
            "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\u{2014} {line}\n"
        );
        let (_, lines) = split(&note).unwrap();
        let (name, id, stamped) = &lines[0];
        assert_eq!((*name, *id), ("witness.example.com/w1", 0x8d66_cf3f));
        let (seconds, signature) = stamped.split_first_chunk::<8>().unwrap();
        assert_eq!(
            (u64::from_be_bytes(*seconds), signature.len()),
            (1_679_315_147, 64)
        );
    }
}
