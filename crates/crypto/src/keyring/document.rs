//! The keyring as a document: versioned JSON, the form that providers keep.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::key::MATERIAL_LEN;
use super::{Entry, KEYS_MAX, Key, KeyState, Keyring, Purpose};
use crate::secret::SecretBytes;

/// Largest document in bytes that is read.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

pub(crate) const FORMAT: &str = "strongroom-keyring";
const VERSION: u32 = 1;
/// Generous size of one key in the document: the buffer must not grow, or copies of keys stay in freed memory.
const KEY_BYTES: usize = 256;

/// Why a document is no keyring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON of the known shape; the reason names no content.
    #[error("the keyring document cannot be read (line {line}, column {column})")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Another format or a version of the future.
    #[error("the keyring document has format {format:?} version {version}, which this program does not know")]
    Unknown {
        /// The format named.
        format: String,
        /// The version named.
        version: u32,
    },
    /// The shape is right but the content contradicts itself.
    #[error("the keyring document is inconsistent: {0}")]
    Inconsistent(&'static str),
    /// Larger than any real keyring.
    #[error("the keyring document is too large")]
    TooLarge,
}

impl From<serde_json::Error> for DocumentError {
    /// Keeps the position only: serde's own words may quote the content.
    fn from(error: serde_json::Error) -> Self {
        Self::Syntax {
            line: error.line(),
            column: error.column(),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    version: u32,
    next_kid: u32,
    keys: Vec<DocumentKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentKey {
    kid: u32,
    purpose: Purpose,
    state: KeyState,
    created_at: i64,
    material: Material,
}

/// Key material as base64 text.
struct Material(SecretBytes);

impl Serialize for Material {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(self.0.expose())))
    }
}

impl<'de> Deserialize<'de> for Material {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Material;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("base64 text")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Material, E> {
                let bytes = STANDARD.decode(text).map_err(|_| E::custom("not base64"))?;
                Ok(Material(SecretBytes::new(bytes)))
            }
        }
        deserializer
            .deserialize_str(Text)
            .map_err(|_| D::Error::custom("not base64 text"))
    }
}

/// What every document begins with, to tell plain from wrapped.
#[derive(Deserialize)]
struct Head {
    format: String,
}

/// The format that a document names.
pub(crate) fn format_of(bytes: &[u8]) -> Result<String, DocumentError> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(DocumentError::TooLarge);
    }
    Ok(serde_json::from_slice::<Head>(bytes)?.format)
}

/// A ring read from a document, and whether keys were added to it.
pub(crate) struct Parsed {
    pub(crate) ring: Keyring,
    /// The document was written before some purpose existed; its first key was generated and must be stored before
    /// the ring is used.
    pub(crate) completed: bool,
}

impl Keyring {
    /// The ring as a plain document.
    pub(crate) fn to_document(&self) -> Zeroizing<Vec<u8>> {
        let keys: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| entry.state != KeyState::Announced)
            .map(|Entry { key, state }| DocumentKey {
                kid: key.kid,
                purpose: key.purpose,
                state: *state,
                created_at: key.created_at,
                material: Material(SecretBytes::copy_of(key.material().expose())),
            })
            .collect();
        let capacity = (keys.len() + 1) * KEY_BYTES;
        let document = Document {
            format: FORMAT.to_owned(),
            version: VERSION,
            next_kid: self.next_kid,
            keys,
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
        serde_json::to_writer_pretty(&mut *bytes, &document).expect("numbers and text always serialise");
        debug_assert!(bytes.capacity() == capacity, "the buffer grew");
        bytes
    }

    /// Reads a plain document. Purposes that it does not know yet get their first key, made at `now`.
    pub(crate) fn from_document(bytes: &[u8], now: i64) -> Result<Parsed, DocumentError> {
        let format = format_of(bytes)?;
        if format != FORMAT {
            return Err(DocumentError::Unknown { format, version: 0 });
        }
        let document: Document = serde_json::from_slice(bytes)?;
        if document.version != VERSION {
            return Err(DocumentError::Unknown {
                format: document.format,
                version: document.version,
            });
        }
        read(document, now)
    }
}

fn read(document: Document, now: i64) -> Result<Parsed, DocumentError> {
    use DocumentError::Inconsistent;
    let mut next_kid = document.next_kid;
    let mut entries: Vec<Entry> = Vec::with_capacity(document.keys.len());
    let mut active: [Option<Arc<Key>>; Purpose::ALL.len()] = Default::default();
    if document.keys.len() > KEYS_MAX {
        return Err(Inconsistent("too many keys"));
    }
    for DocumentKey {
        kid,
        purpose,
        state,
        created_at,
        material,
    } in document.keys
    {
        if material.0.len() != MATERIAL_LEN {
            return Err(Inconsistent("a key does not have 256 bits"));
        }
        if material.0.ct_eq(&[0; MATERIAL_LEN]) {
            return Err(Inconsistent("a key is all zeros"));
        }
        if entries.last().is_some_and(|last| last.key.kid >= kid) || kid == 0 || kid >= next_kid {
            return Err(Inconsistent("kids are not ascending from 1 below next_kid"));
        }
        let key = Arc::new(Key::new(kid, purpose, created_at, material.0));
        if state == KeyState::Active && active[purpose.index()].replace(Arc::clone(&key)).is_some() {
            return Err(Inconsistent("two active keys for one purpose"));
        }
        entries.push(Entry { key, state });
    }
    let mut completed = false;
    for purpose in Purpose::ALL {
        let slot = &mut active[purpose.index()];
        if slot.is_some() {
            continue;
        }
        if entries.iter().any(|entry| entry.key.purpose == purpose) {
            return Err(Inconsistent("a purpose has retired keys but no active one"));
        }
        let key = Arc::new(Key::generate(next_kid, purpose, now));
        next_kid = next_kid.checked_add(1).ok_or(Inconsistent("kids are used up"))?;
        *slot = Some(Arc::clone(&key));
        entries.push(Entry {
            key,
            state: KeyState::Active,
        });
        completed = true;
    }
    let active = active.map(|key| key.expect("every purpose was just given a key"));
    Ok(Parsed {
        ring: Keyring {
            entries,
            active,
            next_kid,
        },
        completed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn document() -> Value {
        let mut ring = Keyring::generate(5);
        ring.rotate(Purpose::Seal, 6).unwrap();
        serde_json::from_slice(&ring.to_document()).unwrap()
    }

    fn parse(document: &Value) -> Result<Parsed, DocumentError> {
        Keyring::from_document(&serde_json::to_vec(document).unwrap(), 9)
    }

    #[test]
    fn a_ring_survives_its_document() {
        let mut ring = Keyring::generate(5);
        ring.rotate(Purpose::Seal, 6).unwrap();
        let parsed = Keyring::from_document(&ring.to_document(), 9).unwrap();
        assert!(!parsed.completed);
        assert_eq!(parsed.ring.list(), ring.list());
        assert_eq!(parsed.ring.check_values(), ring.check_values());
        assert_eq!(parsed.ring.next_kid, ring.next_kid);
    }

    #[test]
    fn a_full_ring_fits_the_bounds_of_its_document() {
        let mut ring = Keyring::generate(i64::MIN);
        while ring.rotate(Purpose::Idempotency, i64::MIN).is_ok() {}
        let bytes = ring.to_document();
        assert!(bytes.len() <= DOCUMENT_BYTES_MAX);
        assert_eq!(
            Keyring::from_document(&bytes, 0).unwrap().ring.list().len(),
            KEYS_MAX
        );
    }

    #[test]
    fn a_purpose_of_the_future_gets_its_first_key_and_a_new_kid() {
        let mut document = document();
        let keys = document["keys"].as_array_mut().unwrap();
        keys.retain(|key| key["purpose"] != "device");
        let next_kid = document["next_kid"].as_u64().unwrap();
        let parsed = parse(&document).unwrap();
        assert!(parsed.completed);
        let info = parsed.ring.active(Purpose::Device);
        assert_eq!((u64::from(info.kid), info.created_at), (next_kid, 9));
    }

    #[test]
    fn contradictions_are_refused() {
        let good = document();
        assert!(parse(&good).is_ok());
        let refused = |path: &str, value: Value| {
            let mut changed = good.clone();
            *changed.pointer_mut(path).unwrap() = value;
            assert!(parse(&changed).is_err(), "{path}");
        };
        refused("/format", json!("strongroom-keyring-wrapped"));
        refused("/version", json!(2));
        refused("/next_kid", json!(11));
        refused("/keys/1/kid", json!(1));
        refused("/keys/0/kid", json!(0));
        refused("/keys/0/purpose", json!("everything"));
        refused("/keys/0/state", json!("active"));
        refused("/keys/10/state", json!("retired"));
        refused("/keys/0/material", json!(STANDARD.encode([0u8; 32])));
        refused("/keys/0/material", json!(STANDARD.encode([1u8; 31])));
        refused("/keys/0/material", json!("%"));
        let mut extra = good.clone();
        extra["comment"] = json!("hello");
        assert!(matches!(parse(&extra), Err(DocumentError::Syntax { .. })));
    }

    #[test]
    fn errors_do_not_quote_the_document() {
        let text = br#"{"format":"strongroom-keyring","version":1,"next_kid":2,"keys":"c2VjcmV0"}"#;
        let error = Keyring::from_document(text, 0).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("c2VjcmV0"));
    }
}
