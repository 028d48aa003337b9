//! Witnesses: somebody elsewhere who follows the log, and what they signed beside it.
//!
//! A witness shows the head that it saw last, cosigned anew: that is its credential, and its cosignature for us. It is
//! told the newest head and the proof that one continues the other. Nothing of the bank changes by it; what was
//! cosigned lies beside the checkpoints, outside of the database, and is no record of the log, which would grow by
//! being watched. A head that a witness saw and our log does not have says that the log was rewritten or cut: somebody
//! is told.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use strongroom_crypto::{Checkpoint, WitnessKey, witness};
use strongroom_domain::{
    action::Action,
    audit::{Hash, check_consistency, consistency_proof, nodes_for_consistency, root_of},
};
use strongroom_store::audit::LogSnapshot;

use crate::{
    audit::{
        log::{SignedCheckpoint, read_note, write_whole},
        records::continued,
    },
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    security::{events::SecurityEventKind, stream::Line},
};

/// How far a witness's clock may be off, in seconds; also how long what it showed can be shown again.
const MOMENT_SECS_MAX: u64 = 300;

/// The witnesses of the log, and what each cosigned last.
#[derive(Debug)]
pub struct Witnesses {
    folder: PathBuf,
    keys: Vec<WitnessKey>,
    /// By key: size and note.
    newest: Mutex<BTreeMap<u32, (u64, Arc<str>)>>,
}

/// What a witness is told.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The newest signed head.
    pub checkpoint: Arc<SignedCheckpoint>,
    /// Proof between that head and the one that the witness showed, whichever is the larger. Empty where there is none.
    pub consistency: Vec<Hash>,
}

impl Witnesses {
    /// Takes up what these witnesses cosigned before, from a directory.
    pub(crate) fn open(folder: &Path, keys: &[WitnessKey]) -> Self {
        let mut newest = BTreeMap::new();
        for key in keys {
            if let Ok(note) = read_note(&file_of(folder, key))
                && let Ok(cosigned) = witness::open(&note, std::slice::from_ref(key))
            {
                newest.insert(key.id(), (cosigned.checkpoint.size, note.into()));
            }
        }
        Self {
            folder: folder.to_owned(),
            keys: keys.to_vec(),
            newest: Mutex::new(newest),
        }
    }

    /// The newest head that each witness cosigned.
    pub(crate) fn newest(&self) -> Vec<Arc<str>> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.values().map(|(_, note)| note.clone()).collect()
    }

    /// Keeps what a witness cosigned, unless it is older than what is there.
    fn keep(&self, key: &WitnessKey, size: u64, note: &str) -> Result<(), Error> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.get(&key.id()).is_some_and(|(known, _)| *known > size) {
            return Ok(());
        }
        write_whole(&file_of(&self.folder, key), note.as_bytes()).map_err(Error::internal)?;
        newest.insert(key.id(), (size, note.into()));
        Ok(())
    }
}

fn file_of(folder: &Path, key: &WitnessKey) -> PathBuf {
    folder.join(format!("cosigned-{:08x}", key.id()))
}

/// Whether the log and what a witness saw are one.
enum Fits {
    /// They are, with the proof.
    Yes(Vec<Hash>),
    /// They are not; with what our log has to say, if anything.
    No(Vec<Hash>),
}

impl Bank {
    /// Takes what a witness cosigned, and tells it how the log went on.
    ///
    /// # Errors
    /// `not_found` where nobody watches this log; `unauthenticated` for whoever is none of its witnesses, or was so
    /// minutes ago; `unavailable` while nothing is sealed.
    pub async fn meet_witness(&self, cx: &Cx, note: &str) -> Result<Shown, Error> {
        if self.witnesses.keys.is_empty() {
            return Err(Error::not_found());
        }
        let cosigned = witness::open(note, &self.witnesses.keys).map_err(|_| Error::unauthenticated())?;
        let now = u64::try_from(cx.now().micros() / 1_000_000).unwrap_or_default();
        let seen = &cosigned.checkpoint;
        if now.abs_diff(cosigned.seconds) > MOMENT_SECS_MAX || seen.origin != self.log_origin() {
            return Err(Error::unauthenticated());
        }
        let checkpoint = self.checkpoints.latest().ok_or_else(Error::overloaded)?;
        let snapshot = self.store.log_snapshot().await?;
        let consistency = match fits(&snapshot, seen, &checkpoint).await? {
            Fits::Yes(proof) => {
                if Checkpoint::open(note, self.checkpoints.verifiers()).is_ok() {
                    let (witnesses, note) = (self.witnesses.clone(), note.to_owned());
                    let (key, size) = (cosigned.witness.clone(), seen.size);
                    tokio::task::spawn_blocking(move || witnesses.keep(&key, size, &note))
                        .await
                        .map_err(Error::internal)??;
                }
                proof
            }
            Fits::No(proof) => {
                tracing::error!(
                    witness = cosigned.witness.name(),
                    size = seen.size,
                    "a witness saw a head of the audit log that this log does not continue"
                );
                self.security
                    .note(&Line::of(SecurityEventKind::LogUnproven, cx.now()));
                proof
            }
        };
        Ok(Shown {
            checkpoint,
            consistency,
        })
    }

    /// The newest head that each witness cosigned.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn cosigned_heads(&self, cx: &Cx) -> Result<Vec<String>, Error> {
        authorize(cx, Action::AuditRead, Resource::Bank)?;
        let newest = self.witnesses.newest();
        Ok(newest.iter().map(|note| note.to_string()).collect())
    }
}

async fn fits(snapshot: &LogSnapshot, seen: &Checkpoint, latest: &SignedCheckpoint) -> Result<Fits, Error> {
    if seen.size <= latest.size {
        let (root, proof) = continued(snapshot, seen.size, latest).await?;
        // Everything continues the empty log, whatever its root is said to be.
        let same = seen.size == 0 || root == seen.root;
        return Ok(if same { Fits::Yes(proof) } else { Fits::No(proof) });
    }
    // Another node may have signed more than this one: its leaves are in the database that both have.
    if snapshot.position().await?.size < seen.size {
        return Ok(Fits::No(Vec::new()));
    }
    let nodes = snapshot
        .nodes(&nodes_for_consistency(latest.size, seen.size))
        .await?;
    let root = root_of(seen.size, &nodes).map_err(Error::internal)?;
    let proof = consistency_proof(latest.size, seen.size, &nodes).map_err(Error::internal)?;
    let fits = root == seen.root
        && check_consistency((latest.size, &latest.root), (seen.size, &seen.root), &proof).is_ok();
    Ok(if fits { Fits::Yes(proof) } else { Fits::No(proof) })
}
