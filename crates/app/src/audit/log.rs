//! Checkpoints: the signed heads of the audit log, kept outside the database.
//!
//! What is in the database can be rewritten by whoever owns it. What was signed and handed out cannot be taken back: so
//! this node signs the log's head soon after it grew, keeps the newest one beside the database and every one of them in
//! a file per day, and never signs a head that does not continue the newest. Copy `key` and any line of the history to
//! where the bank's operators cannot write, and nobody can rewrite what came before it unseen.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use strongroom_crypto::{Checkpoint, Keyring, NoteSigner, VerifierKey, note::NOTE_BYTES_MAX};
use strongroom_domain::{
    audit::{Hash, check_consistency, consistency_proof, nodes_for_consistency},
    time::Timestamp,
};
use strongroom_store::{Store, StoreError, audit::LogHead};
use tokio::sync::watch;

use crate::error::Error;

/// Name of the newest checkpoint's file.
const LATEST: &str = "latest";
/// Name of the verifier keys' file.
const KEY: &str = "key";
/// Most files of history that are kept: a year and a day. What is older is covered by what is newer.
const HISTORY_DAYS_MAX: usize = 366;
/// Largest history of one day: further checkpoints of that day go to `latest` only.
const HISTORY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A head of the log that this node vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// Number of leaves.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
    /// The note (C2SP signed-note, tlog-checkpoint).
    pub note: String,
}

/// The checkpoints of one log in one directory.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    signer: NoteSigner,
    verifiers: Vec<VerifierKey>,
    published: watch::Sender<Option<Arc<SignedCheckpoint>>>,
}

impl Checkpoints {
    /// Takes up the newest checkpoint of a directory, which is made when there is none, and writes the log's public
    /// keys.
    ///
    /// # Errors
    /// When the directory cannot be used, or its newest checkpoint is not one of this log.
    pub fn open(folder: &Path, ring: &Keyring, origin: &str) -> Result<Self, Error> {
        let verifiers = ring.note_verifiers(origin).map_err(Error::internal)?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(Error::internal)?;
        let keys: String = verifiers.iter().map(|key| format!("{key}\n")).collect();
        write_whole(&folder.join(KEY), keys.as_bytes()).map_err(Error::internal)?;
        let latest = read_latest(folder, &verifiers)?;
        Ok(Self {
            folder: folder.to_owned(),
            signer: ring.note_signer(origin).map_err(Error::internal)?,
            verifiers,
            published: watch::Sender::new(latest.map(Arc::new)),
        })
    }

    /// The newest checkpoint.
    pub fn latest(&self) -> Option<Arc<SignedCheckpoint>> {
        self.published.borrow().clone()
    }

    /// The newest checkpoint, and every later one.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<SignedCheckpoint>>> {
        self.published.subscribe()
    }

    /// The keys that prove a checkpoint, active first.
    pub fn verifiers(&self) -> &[VerifierKey] {
        &self.verifiers
    }

    /// Signs a head and publishes it. The caller has proved that it continues the newest one; what is smaller, or as
    /// large with another root, is refused here all the same.
    ///
    /// # Errors
    /// When the head lies below or beside the newest checkpoint, or the directory cannot be written.
    pub fn publish(&self, size: u64, root: Hash, now: Timestamp) -> Result<Arc<SignedCheckpoint>, Error> {
        if let Some(latest) = self.latest() {
            if (latest.size, latest.root) == (size, root) {
                return Ok(latest);
            }
            if size <= latest.size {
                return Err(refused(&latest, size));
            }
        }
        let checkpoint = Checkpoint {
            origin: self.signer.verifier().name().to_owned(),
            size,
            root,
            extensions: Vec::new(),
        };
        let note = checkpoint.sign(&self.signer).map_err(Error::internal)?;
        let signed = Arc::new(SignedCheckpoint { size, root, note });
        // Outside first: what nobody can find again was not published.
        write_whole(&self.folder.join(LATEST), signed.note.as_bytes()).map_err(Error::internal)?;
        if let Err(error) = self.append_history(&signed.note, now) {
            tracing::warn!(%error, "the history of checkpoints cannot be written");
        }
        self.published.send_replace(Some(signed.clone()));
        Ok(signed)
    }

    fn append_history(&self, note: &str, now: Timestamp) -> io::Result<()> {
        let moment = now.to_string();
        let day = moment.get(..10).unwrap_or("0000-00-00");
        let path = self.folder.join(format!("{day}.log"));
        let is_new = !path.exists();
        let mut file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)?;
        if file.metadata()?.len() < HISTORY_BYTES_MAX {
            // One write, so that a crash cuts at most the last note.
            file.write_all(format!("{note}\n").as_bytes())?;
        }
        if is_new {
            forget_old_days(&self.folder)?;
        }
        Ok(())
    }
}

/// Proves from stored hashes that a head continues a checkpoint.
///
/// # Errors
/// [`StoreError::Setup`], with the reason, when it does not; other errors when the database does not answer.
pub async fn prove_continues(
    store: &Store,
    checkpoint: &SignedCheckpoint,
    head: &LogHead,
) -> Result<(), Error> {
    let (old, new) = (checkpoint.size, head.range.size());
    if old > new {
        return Err(refused(checkpoint, new));
    }
    let nodes = store
        .log_snapshot()
        .await?
        .nodes(&nodes_for_consistency(old, new))
        .await?;
    let root = head.range.root();
    consistency_proof(old, new, &nodes)
        .and_then(|proof| check_consistency((old, &checkpoint.root), (new, &root), &proof))
        .map_err(|_| refused(checkpoint, new))
}

fn refused(checkpoint: &SignedCheckpoint, size: u64) -> Error {
    let text = if size < checkpoint.size {
        format!(
            "the audit log has {size} records, but a checkpoint of {} was published: its end was cut off, or an old copy of \
             the database was put back. Nothing is signed. Run `strongroom audit verify`; after a deliberate restore see \
             docs/security/audit-log.md",
            checkpoint.size
        )
    } else {
        format!(
            "the audit log does not continue the published checkpoint of {} records: it was rewritten. Nothing is signed. \
             Run `strongroom audit verify`",
            checkpoint.size
        )
    };
    Error::internal(StoreError::Setup(text))
}

/// The newest checkpoint of a directory, if there is one.
fn read_latest(folder: &Path, verifiers: &[VerifierKey]) -> Result<Option<SignedCheckpoint>, Error> {
    let path = folder.join(LATEST);
    match read_note(&path) {
        Ok(note) => match open_note(&note, verifiers) {
            Ok(signed) => Ok(Some(signed)),
            Err(error) => Err(Error::internal(StoreError::Setup(format!(
                "{} is not a checkpoint of this log: {error}",
                path.display()
            )))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::internal(error)),
    }
}

/// Reads a note from a file.
///
/// # Errors
/// When the file cannot be read, is too large or not text.
pub fn read_note(path: &Path) -> io::Result<String> {
    use io::Read;
    let mut note = String::new();
    let limit = u64::try_from(NOTE_BYTES_MAX).unwrap_or(u64::MAX);
    fs::File::open(path)?.take(limit).read_to_string(&mut note)?;
    Ok(note)
}

/// Opens a checkpoint's note.
///
/// # Errors
/// When it is not a checkpoint that one of the keys signed.
pub fn open_note(
    note: &str,
    verifiers: &[VerifierKey],
) -> Result<SignedCheckpoint, strongroom_crypto::NoteError> {
    let checkpoint = Checkpoint::open(note, verifiers)?;
    Ok(SignedCheckpoint {
        size: checkpoint.size,
        root: checkpoint.root,
        note: note.to_owned(),
    })
}

/// Whole or not at all, for the owner alone. The directory is not synced: after a crash the file before may stand
/// there, which the log continues as well.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&temporary, path)
}

fn forget_old_days(folder: &Path) -> io::Result<()> {
    let mut days: Vec<PathBuf> = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    days.sort();
    let surplus = days.len().saturating_sub(HISTORY_DAYS_MAX);
    days.iter().take(surplus).try_for_each(fs::remove_file)
}
