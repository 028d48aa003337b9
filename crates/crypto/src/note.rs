//! Signed notes and checkpoints of a transparency log.
//!
//! Formats: <https://c2sp.org/signed-note> (Ed25519, signature type 1) and <https://c2sp.org/tlog-checkpoint>. Keys are
//! named by text and a 32-bit id; a verifier key is one line (`name+id+base64`) that an auditor keeps elsewhere.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::keyring::{Key, Keyring, Purpose};

/// Largest note that is read, in bytes (the specification wants room for 16 signatures of 5 kB).
pub const NOTE_BYTES_MAX: usize = 128 * 1024;
/// Most signature lines that are read.
pub const SIGNATURES_MAX: usize = 32;
/// Longest key name or origin in bytes.
pub const NAME_BYTES_MAX: usize = 255;

const TYPE_ED25519: u8 = 1;
const SIGNATURE_MARK: &str = "\u{2014} ";

/// Why a note, key or checkpoint was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A key name or origin is empty, too long, or holds a space, a plus or a control character.
    #[error("not a valid key name or origin")]
    Name,
    /// Not a verifier key line of a known algorithm whose id fits.
    #[error("not a valid verifier key")]
    VerifierKey,
    /// Not a signed note.
    #[error("not a signed note")]
    Malformed,
    /// No signature is by a known key.
    #[error("the note is not signed by a known key")]
    Unsigned,
    /// A signature that names a known key is wrong.
    #[error("a signature of the note is wrong")]
    BadSignature,
    /// The note's text is no checkpoint.
    #[error("the note is not a checkpoint")]
    NotACheckpoint,
    /// The checkpoint is of another log.
    #[error("the checkpoint is of another log")]
    OtherOrigin,
}

/// A public key that may have signed a note; its text form is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    public: [u8; 32],
}

impl VerifierKey {
    /// The key with this name.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self {
            name: name.to_owned(),
            id: key_id(name, TYPE_ED25519, &public),
            public,
        })
    }

    /// Reads `name+id+base64(type ‖ key)`.
    ///
    /// # Errors
    /// [`NoteError::VerifierKey`], [`NoteError::Name`].
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let (name, public) = read_key(line, TYPE_ED25519)?;
        Self::new(name, public)
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

    fn accepts(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.public)
            .verify(text.as_bytes(), signature)
            .is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&key_line(&self.name, TYPE_ED25519, &self.public))
    }
}

/// The first four bytes of SHA-256(name ‖ newline ‖ type ‖ key), big-endian.
pub(crate) fn key_id(name: &str, kind: u8, public: &[u8; 32]) -> u32 {
    let mut hash = Context::new(&SHA256);
    hash.update(name.as_bytes());
    hash.update(&[b'\n', kind]);
    hash.update(public);
    let hash = hash.finish();
    u32::from_be_bytes(*hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes"))
}

/// `name+id+base64(type ‖ key)`.
pub(crate) fn key_line(name: &str, kind: u8, public: &[u8; 32]) -> String {
    let key = [&[kind][..], public].concat();
    format!(
        "{name}+{:08x}+{}",
        key_id(name, kind, public),
        STANDARD.encode(key)
    )
}

/// Name and key of a line of [`key_line`]; the id must fit.
pub(crate) fn read_key(line: &str, kind: u8) -> Result<(&str, [u8; 32]), NoteError> {
    let mut parts = line.splitn(3, '+');
    let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoteError::VerifierKey);
    };
    check_name(name)?;
    let key = STANDARD.decode(key).map_err(|_| NoteError::VerifierKey)?;
    let public = key
        .split_first()
        .filter(|(found, _)| **found == kind)
        .and_then(|(_, public)| public.try_into().ok())
        .ok_or(NoteError::VerifierKey)?;
    if key_line(name, kind, &public) == line {
        Ok((name, public))
    } else {
        Err(NoteError::VerifierKey)
    }
}

/// Signs notes under a name with the ring's checkpoint key. Cheap to clone.
#[derive(Clone)]
pub struct NoteSigner {
    verifier: VerifierKey,
    key: Arc<Key>,
}

impl NoteSigner {
    /// The public half, to be published.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The ring's number of the key.
    #[must_use]
    pub fn kid(&self) -> u32 {
        self.key.kid
    }

    /// The whole note: text, empty line, signature line.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] when the text does not end in a newline or holds control characters.
    pub fn sign(&self, text: &str) -> Result<String, NoteError> {
        check_text(text)?;
        Ok(format!(
            "{text}\n{}",
            signature_line(&self.verifier, &self.key.signing().pair, text)
        ))
    }
}

impl Keyring {
    /// The active checkpoint key under the log's name.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn note_signer(&self, name: &str) -> Result<NoteSigner, NoteError> {
        let key = Arc::clone(self.active_key(Purpose::Checkpoint));
        Ok(NoteSigner {
            verifier: VerifierKey::new(name, key.signing().public)?,
            key,
        })
    }

    /// Every checkpoint key under the log's name, active first.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn note_verifiers(&self, name: &str) -> Result<Vec<VerifierKey>, NoteError> {
        self.public_keys(Purpose::Checkpoint)
            .into_iter()
            .map(|(_, public)| VerifierKey::new(name, public))
            .collect()
    }
}

fn signature_line(verifier: &VerifierKey, pair: &Ed25519KeyPair, text: &str) -> String {
    line_of(&verifier.name, verifier.id, pair.sign(text.as_bytes()).as_ref())
}

/// A signature line.
pub(crate) fn line_of(name: &str, id: u32, signature: &[u8]) -> String {
    let signed = [&id.to_be_bytes()[..], signature].concat();
    format!("{SIGNATURE_MARK}{name} {}\n", STANDARD.encode(signed))
}

pub(crate) fn check_name(name: &str) -> Result<(), NoteError> {
    let good = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name
            .chars()
            .any(|c| c == '+' || c.is_whitespace() || c.is_control());
    if good { Ok(()) } else { Err(NoteError::Name) }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    let good = text.ends_with('\n')
        && text.len() <= NOTE_BYTES_MAX / 2
        && !text.chars().any(|c| c < ' ' && c != '\n');
    if good { Ok(()) } else { Err(NoteError::Malformed) }
}

/// Verifies a note and gives its text. At least one signature must be by one of `keys`; signatures by other keys are
/// ignored, a wrong one by a known key refuses the whole note.
///
/// # Errors
/// [`NoteError::Malformed`], [`NoteError::Unsigned`], [`NoteError::BadSignature`].
pub fn open<'a>(note: &'a str, keys: &[VerifierKey]) -> Result<&'a str, NoteError> {
    Ok(open_with(note, keys)?.0)
}

/// The text and the keys whose signatures were verified, at least one.
fn open_with<'a, 'k>(
    note: &'a str,
    keys: &'k [VerifierKey],
) -> Result<(&'a str, Vec<&'k VerifierKey>), NoteError> {
    let (text, signatures) = split(note)?;
    let mut verified = Vec::new();
    for (name, id, signature) in signatures {
        for key in keys.iter().filter(|key| key.name == name && key.id == id) {
            if !key.accepts(text, &signature) {
                return Err(NoteError::BadSignature);
            }
            verified.push(key);
        }
    }
    if verified.is_empty() {
        Err(NoteError::Unsigned)
    } else {
        Ok((text, verified))
    }
}

pub(crate) type SignatureLine<'a> = (&'a str, u32, Vec<u8>);

/// Text (with its final newline) and signature lines of a well-formed note; nothing is verified.
pub(crate) fn split(note: &str) -> Result<(&str, Vec<SignatureLine<'_>>), NoteError> {
    if note.len() > NOTE_BYTES_MAX || note.chars().any(|c| c < ' ' && c != '\n') {
        return Err(NoteError::Malformed);
    }
    let empty_line = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
    let (text, lines) = (&note[..=empty_line], &note[empty_line + 2..]);
    let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed)?;
    let signatures: Vec<_> = lines
        .split('\n')
        .take(SIGNATURES_MAX + 1)
        .map(|line| signature_of(line).ok_or(NoteError::Malformed))
        .collect::<Result<_, _>>()?;
    if signatures.len() > SIGNATURES_MAX {
        Err(NoteError::Malformed)
    } else {
        Ok((text, signatures))
    }
}

fn signature_of(line: &str) -> Option<SignatureLine<'_>> {
    let (name, encoded) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
    check_name(name).ok()?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    (!signature.is_empty()).then(|| (name, u32::from_be_bytes(*id), signature.to_vec()))
}

/// The head of a log: which log, how many leaves, which root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log; also the name of the key that signs it.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Root of the RFC 6962 Merkle tree of that size.
    pub root: [u8; 32],
    /// Further lines, each non-empty and without a newline; best none, monitors cannot audit them.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// The note's text.
    ///
    /// # Errors
    /// [`NoteError::Name`] for a bad origin, [`NoteError::NotACheckpoint`] for a bad extension line.
    pub fn to_text(&self) -> Result<String, NoteError> {
        check_name(&self.origin)?;
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root));
        for line in &self.extensions {
            if line.is_empty() || line.chars().any(char::is_control) {
                return Err(NoteError::NotACheckpoint);
            }
            text.push_str(line);
            text.push('\n');
        }
        Ok(text)
    }

    /// Reads a note's text. One checkpoint has one text: leading zeros and other variants are refused.
    ///
    /// # Errors
    /// [`NoteError::NotACheckpoint`].
    pub fn from_text(text: &str) -> Result<Self, NoteError> {
        let refused = NoteError::NotACheckpoint;
        let body = text.strip_suffix('\n').ok_or(refused)?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(refused);
        };
        let root = STANDARD
            .decode(root)
            .ok()
            .and_then(|root| root.try_into().ok())
            .ok_or(refused)?;
        let size = size.parse().map_err(|_| refused)?;
        let extensions = lines.map(str::to_owned).collect();
        let parsed = Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions,
        };
        if parsed.to_text().as_deref() == Ok(text) {
            Ok(parsed)
        } else {
            Err(refused)
        }
    }

    /// The signed note.
    ///
    /// # Errors
    /// As [`Self::to_text`]; [`NoteError::OtherOrigin`] when the signer has another name than the log.
    pub fn sign(&self, signer: &NoteSigner) -> Result<String, NoteError> {
        if signer.verifier.name != self.origin {
            return Err(NoteError::OtherOrigin);
        }
        signer.sign(&self.to_text()?)
    }

    /// Verifies a signed note and reads its checkpoint, which must be of the log that signed it.
    ///
    /// # Errors
    /// As [`open`] and [`Self::from_text`]; [`NoteError::OtherOrigin`] when no verified key has the checkpoint's origin
    /// as its name.
    pub fn open(note: &str, keys: &[VerifierKey]) -> Result<Self, NoteError> {
        let (text, signed_by) = open_with(note, keys)?;
        let checkpoint = Self::from_text(text)?;
        // A witness's signature alone does not make a checkpoint: the log itself must have signed.
        if signed_by.iter().any(|key| key.name == checkpoint.origin) {
            Ok(checkpoint)
        } else {
            Err(NoteError::OtherOrigin)
        }
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoteSigner")
            .field("verifier", &self.verifier.to_string())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "note_tests.rs"]
mod tests;
