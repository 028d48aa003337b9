//! Where a keyring is kept.
//!
//! The seam is a whole ring, not a file: a provider for a hardware module can unwrap a stored ring with a key that
//! never leaves the module and give the same type.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::OFlags;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::document::DOCUMENT_BYTES_MAX;
use super::{DocumentError, Keyring, envelope};
use crate::random;

/// Why a provider refused. Paths are named, contents never.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file or its directory can be read or changed by others.
    #[error("{path}: {reason}")]
    Insecure {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// The document is no keyring.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The passphrase is wrong, or the wrapped document was changed; which of the two cannot be told.
    #[error("the passphrase does not open the keyring")]
    WrongPassphrase,
    /// Too short to protect a copied file.
    #[error("the passphrase needs at least {} characters", envelope::PASSPHRASE_CHARS_MIN)]
    PassphraseTooShort,
    /// The document is wrapped and no passphrase was given.
    #[error("the keyring is wrapped: a passphrase is needed")]
    PassphraseNeeded,
    /// A passphrase was given but the document is plain.
    #[error("a passphrase was given but the keyring is not wrapped")]
    NotWrapped,
    /// The provider cannot be written to, and something would have to be.
    #[error("the keyring's provider is read-only")]
    ReadOnly,
}

/// Keeps a keyring. Calls block (files, Argon2): use them at start and in administration only.
pub trait KeyProvider: Send + Sync {
    /// Reads the ring, `None` when there is none yet. A purpose that the stored ring does not know yet gets its first
    /// key, made at `now` (Unix microseconds) and stored before this returns.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn load(&self, now: i64) -> Result<Option<Keyring>, ProviderError>;

    /// Replaces the stored ring, durably and all or nothing.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn store(&self, ring: &Keyring) -> Result<(), ProviderError>;

    /// Whether [`Self::store`] can keep a ring at all.
    fn writable(&self) -> bool;

    /// Where the ring is, in words for people; names no secret.
    fn describe(&self) -> String;

    /// Whether the ring at rest is encrypted under a key that is kept elsewhere.
    fn wrapped(&self) -> bool;
}

/// A file, 0600 in a directory that only its owner can write.
#[derive(Debug)]
pub struct FileProvider {
    path: PathBuf,
    passphrase: Option<SecretString>,
}

impl FileProvider {
    /// A plain file: development only.
    #[must_use]
    pub fn plain(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            passphrase: None,
        }
    }

    /// A file wrapped under a passphrase (from a prompt, or a systemd credential).
    #[must_use]
    pub fn wrapped_by(path: impl Into<PathBuf>, passphrase: SecretString) -> Self {
        Self {
            path: path.into(),
            passphrase: Some(passphrase),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    fn check_directory(&self) -> Result<(), ProviderError> {
        let directory = self.directory();
        let metadata = directory.metadata().map_err(at(directory))?;
        if metadata.mode() & 0o022 != 0 {
            return Err(insecure(
                directory,
                "the directory can be written by group or others",
            ));
        }
        Ok(())
    }

    fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, ProviderError> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits() as i32)
            .open(&self.path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Err(insecure(&self.path, "the keyring is a symbolic link"));
            }
            Err(error) => return Err(at(&self.path)(error)),
        };
        self.check_directory()?;
        // Of the open file, not of the name: it cannot be exchanged in between.
        let metadata = file.metadata().map_err(at(&self.path))?;
        if !metadata.is_file() {
            return Err(insecure(&self.path, "the keyring is not a regular file"));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(insecure(
                &self.path,
                "the keyring can be read by group or others (want mode 0600)",
            ));
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(insecure(&self.path, "the keyring belongs to another user"));
        }
        let bound = 2 * DOCUMENT_BYTES_MAX;
        let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        if size > bound {
            return Err(DocumentError::TooLarge.into());
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(size + 1));
        file.take(bound as u64)
            .read_to_end(&mut bytes)
            .map_err(at(&self.path))?;
        Ok(Some(bytes))
    }

    /// Temporary file, fsync, rename, fsync of the directory: a crash leaves the old ring or the new one.
    fn replace(&self, bytes: &[u8]) -> Result<(), ProviderError> {
        let directory = self.directory();
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", hex::encode(random::bytes::<8>())));
        let temporary = directory.join(name);
        let written = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &self.path)?;
            File::open(directory)?.sync_all()
        })();
        written.map_err(|error| {
            let _ = std::fs::remove_file(&temporary);
            at(&self.path)(error)
        })
    }
}

impl KeyProvider for FileProvider {
    fn load(&self, now: i64) -> Result<Option<Keyring>, ProviderError> {
        let Some(bytes) = self.read()? else {
            return Ok(None);
        };
        let parsed = envelope::read(&bytes, self.passphrase.as_ref(), now)?;
        if parsed.completed {
            self.store(&parsed.ring)?;
        }
        Ok(Some(parsed.ring))
    }

    fn store(&self, ring: &Keyring) -> Result<(), ProviderError> {
        let directory = self.directory();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(at(directory))?;
        self.check_directory()?;
        match &self.passphrase {
            Some(passphrase) => self.replace(&envelope::wrap(ring, passphrase)?),
            None => self.replace(&ring.to_document()),
        }
    }

    fn writable(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        let how = if self.wrapped() { "wrapped" } else { "not wrapped" };
        format!("file {} ({how})", self.path.display())
    }

    fn wrapped(&self) -> bool {
        self.passphrase.is_some()
    }
}

/// A document given as the value of a variable, base64. Read-only: rotation means to give another value.
#[derive(Debug)]
pub struct EnvProvider {
    value: SecretString,
    passphrase: Option<SecretString>,
}

impl EnvProvider {
    /// `value` is the base64 text of a plain document, or of a wrapped one when a passphrase is given.
    #[must_use]
    pub fn new(value: SecretString, passphrase: Option<SecretString>) -> Self {
        Self { value, passphrase }
    }

    /// The value for such a variable: `ring` wrapped under `passphrase`, as base64 text.
    ///
    /// # Errors
    /// [`ProviderError::PassphraseTooShort`].
    pub fn value_of(ring: &Keyring, passphrase: &SecretString) -> Result<String, ProviderError> {
        Ok(STANDARD.encode(envelope::wrap(ring, passphrase)?))
    }
}

impl KeyProvider for EnvProvider {
    fn load(&self, now: i64) -> Result<Option<Keyring>, ProviderError> {
        let text = self.value.expose_secret().trim();
        if text.is_empty() {
            return Ok(None);
        }
        if text.len() > 4 * DOCUMENT_BYTES_MAX {
            return Err(DocumentError::TooLarge.into());
        }
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| DocumentError::Inconsistent("not base64"))?;
        let parsed = envelope::read(&Zeroizing::new(bytes), self.passphrase.as_ref(), now)?;
        // A generated key that cannot be stored would be lost with the process.
        if parsed.completed {
            Err(ProviderError::ReadOnly)
        } else {
            Ok(Some(parsed.ring))
        }
    }

    fn store(&self, _ring: &Keyring) -> Result<(), ProviderError> {
        Err(ProviderError::ReadOnly)
    }

    fn writable(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        let how = if self.wrapped() { "wrapped" } else { "not wrapped" };
        format!("environment ({how})")
    }

    fn wrapped(&self) -> bool {
        self.passphrase.is_some()
    }
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> ProviderError {
    let path = path.to_owned();
    move |source| ProviderError::Io { path, source }
}

fn insecure(path: &Path, reason: &'static str) -> ProviderError {
    ProviderError::Insecure {
        path: path.to_owned(),
        reason,
    }
}
