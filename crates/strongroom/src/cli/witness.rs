//! `strongroom witness`: follows the audit log of a server elsewhere, believes nothing of it, and cosigns what
//! continues what it saw before.
//!
//! All it knows lies in one directory, which must not be the bank's: its key, the head that it saw last, and evidence.
//! A head is on the disk before its cosignature is handed out, so that no crash makes it cosign two histories. Once it
//! has seen a head that does not fit it signs nothing any more until a person has looked at the evidence.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand};
use strongroom_api::{
    audit::{NextHead, WitnessedHead},
    client::{ClientError, LogClient},
};
use strongroom_app::{Clock, SystemClock, audit::log::read_note};
use strongroom_crypto::{Checkpoint, SecretBytes, VerifierKey, Witness, note::NOTE_BYTES_MAX, witness};
use strongroom_domain::audit::{CompactRange, check_consistency};

use super::Outcome;
use crate::data_dir::write_private;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The secret key.
const KEY: &str = "key";
/// The head that was seen last, cosigned.
const SEEN: &str = "seen";
/// What did not fit.
const EVIDENCE: &str = "evidence";

/// Most looks in a row at a log that grows meanwhile.
const LOOKS_MAX: usize = 4;

/// Verbs of a witness.
#[derive(Debug, Subcommand)]
pub(super) enum WitnessVerb {
    /// Print the witness's public key, for `audit.witnesses` and for those who verify; makes it at first
    Key(KeyCommand),
    /// Follow a server's log; ends with an error as soon as the log does not fit
    Follow(Follow),
}

/// Arguments of `witness key`.
#[derive(Debug, Args)]
pub(super) struct KeyCommand {
    /// The witness's own directory
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Its name, such as `witness.example/bank`: for a new key
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Arguments of `witness follow`.
#[derive(Debug, Args)]
pub(super) struct Follow {
    /// The witness's own directory
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Where the server is, such as `https://bank.example`
    #[arg(long, value_name = "URL")]
    server: String,
    /// The log's public key, one line, as it was handed over by people (may be repeated)
    #[arg(long, value_name = "VKEY", required = true)]
    key: Vec<String>,
    /// The authority of the server's certificate, in PEM; without it those of the system
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A checkpoint that was kept: the first head must continue it
    #[arg(long, value_name = "FILE")]
    begin: Option<PathBuf>,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Look once and end
    #[arg(long)]
    once: bool,
}

impl WitnessVerb {
    /// Does it.
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Key(command) => command.run(),
            Self::Follow(command) => command.run(),
        }
    }
}

impl KeyCommand {
    fn run(self) -> Outcome {
        let state = State::open(&self.state)?;
        let witness = match (state.witness()?, self.name) {
            (Some(witness), None) => witness,
            (Some(witness), Some(name)) if witness.verifier().name() == name => witness,
            (Some(_), Some(_)) => {
                return Err("this witness has another name; a new name is a new directory".into());
            }
            (None, None) => return Err("there is no key yet: name the witness with --name".into()),
            (None, Some(name)) => {
                let witness = Witness::generate(&name)?;
                state.write(KEY, witness.to_secret_text().expose())?;
                witness
            }
        };
        println!("{}", witness.verifier());
        Ok(())
    }
}

/// The witness's directory, which this process owns.
struct State {
    folder: PathBuf,
    // The lock ends with the file, also when the process is killed.
    _lock: File,
}

impl State {
    fn open(folder: &Path) -> Result<Self, Failure> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                folder: folder.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err("another witness works in this directory".into()),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    fn witness(&self) -> Result<Option<Witness>, Failure> {
        match fs::read(self.folder.join(KEY)) {
            Ok(text) => Ok(Some(Witness::parse(&SecretBytes::new(text))?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn seen(&self) -> Result<Option<String>, Failure> {
        match read_note(&self.folder.join(SEEN)) {
            Ok(note) => Ok(Some(note)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whole or not at all, and on the disk when it returns: file, then name.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        write_private(&self.folder.join(name), bytes)
    }
}

/// How a look ended.
enum Looked {
    /// The server shows what was seen before.
    Same,
    /// It shows an older head that what was seen continues: another node, or one that is behind.
    Behind(u64),
    /// It shows a later head that continues what was seen.
    Later(Checkpoint),
}

/// Why a look came to nothing.
enum Refused {
    /// Later perhaps: the server is away, or does not know this witness yet.
    Away(String),
    /// What was shown does not fit: kept, and never cosigned.
    DoesNotFit(String),
    /// The witness itself cannot go on.
    Broken(Failure),
}

impl<E: Into<Failure>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

struct Follower {
    state: State,
    witness: Witness,
    keys: Vec<VerifierKey>,
    client: LogClient,
    /// The head that was seen last, and its note; none at first.
    seen: Option<(Checkpoint, String)>,
}

impl Follow {
    fn run(self) -> Outcome {
        let state = State::open(&self.state)?;
        let evidence = state.folder.join(EVIDENCE);
        if evidence.exists() {
            return Err(format!(
                "this witness saw a log that does not fit: read {}; it cosigns again once that file is moved away",
                evidence.display()
            )
            .into());
        }
        let witness = state
            .witness()?
            .ok_or("there is no key yet: make it with `strongroom witness key`")?;
        let keys: Vec<VerifierKey> = self
            .key
            .iter()
            .map(|line| VerifierKey::parse(line.trim()))
            .collect::<Result<_, _>>()?;
        let note = match (state.seen()?, &self.begin) {
            (Some(seen), _) => Some(seen),
            (None, Some(path)) => Some(read_note(path)?),
            (None, None) => None,
        };
        let seen = note
            .map(|note| Checkpoint::open(&note, &keys).map(|head| (head, note)))
            .transpose()
            .map_err(|error| format!("the head that this witness begins with: {error}"))?;
        drop(crate::tls::provider().install_default());
        let authority = self.ca.as_ref().map(fs::read).transpose()?;
        let mut follower = Follower {
            client: LogClient::new(&self.server, authority.as_deref())?,
            state,
            witness,
            keys,
            seen,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(follower.follow(Duration::from_secs(self.every), self.once))
    }
}

impl Follower {
    async fn follow(&mut self, every: Duration, once: bool) -> Outcome {
        loop {
            match self.look_and_tell().await {
                Ok(()) if once => return Ok(()),
                Ok(()) => {}
                Err(Refused::Away(why)) if once => return Err(why.into()),
                Err(Refused::Away(why)) => eprintln!("strongroom: nothing was seen: {why}"),
                Err(Refused::DoesNotFit(why)) => {
                    return Err(format!(
                        "THE LOG DOES NOT FIT: {why}. Nothing is cosigned. What was seen lies in {}",
                        self.state.folder.join(EVIDENCE).display()
                    )
                    .into());
                }
                Err(Refused::Broken(error)) => return Err(error),
            }
            tokio::time::sleep(every).await;
        }
    }

    /// Looks, and where there is news gives the cosignature back at once, by looking again.
    async fn look_and_tell(&mut self) -> Result<(), Refused> {
        for _ in 0..LOOKS_MAX {
            match self.look().await? {
                Looked::Same => break,
                Looked::Behind(size) => {
                    println!("behind {size}");
                    io::stdout().flush()?;
                    break;
                }
                Looked::Later(head) => {
                    println!("cosigned {}", head.size);
                    io::stdout().flush()?;
                }
            }
        }
        Ok(())
    }

    async fn look(&mut self) -> Result<Looked, Refused> {
        let now = u64::try_from(SystemClock.now().micros() / 1_000_000).unwrap_or_default();
        let shown = match &self.seen {
            Some((_, note)) => self.witness.cosign(note, now)?,
            None => {
                let origin = self.keys.first().map_or("", VerifierKey::name);
                self.witness
                    .cosign_nothing(origin, CompactRange::default().root(), now)?
            }
        };
        let body = WitnessedHead { cosigned: shown };
        let next = self.client.next_head(&body).await.map_err(|error| match error {
            ClientError::Refused(problem) if problem.status == 401 || problem.status == 404 => Refused::Away(
                "the server does not know this witness: `audit.witnesses` must name its key, and the clocks must agree".to_owned(),
            ),
            error => Refused::Away(error.to_string()),
        })?;
        self.judge(&next, now)
    }

    fn judge(&mut self, next: &NextHead, now: u64) -> Result<Looked, Refused> {
        match self.fits(next) {
            Ok(Looked::Later(head)) => {
                let note = self.witness.cosign(&next.checkpoint, now)?;
                self.state.write(SEEN, note.as_bytes())?;
                self.seen = Some((head.clone(), note));
                Ok(Looked::Later(head))
            }
            Ok(looked) => Ok(looked),
            Err(why) => {
                self.state.write(EVIDENCE, self.evidence(&why, next).as_bytes())?;
                Err(Refused::DoesNotFit(why))
            }
        }
    }

    /// What an answer is, or in words why it does not fit.
    fn fits(&self, next: &NextHead) -> Result<Looked, String> {
        if next.checkpoint.len() > NOTE_BYTES_MAX {
            return Err("the server shows a note that is too long".to_owned());
        }
        let head = Checkpoint::open(&next.checkpoint, &self.keys)
            .map_err(|error| format!("the server shows a head that the log did not sign ({error})"))?;
        let proof = next
            .proof()
            .ok_or_else(|| "the server shows a proof that cannot be read".to_owned())?;
        let Some((seen, _)) = &self.seen else {
            return Ok(Looked::Later(head));
        };
        if head.origin != seen.origin {
            return Err("the server shows a head of another log".to_owned());
        }
        let (was, is) = ((seen.size, &seen.root), (head.size, &head.root));
        if head.size == seen.size {
            return if head.root == seen.root {
                Ok(Looked::Same)
            } else {
                Err(format!(
                    "there are two heads of {} records with different roots",
                    head.size
                ))
            };
        }
        if head.size > seen.size {
            return check_consistency(was, is, &proof)
                .map(|()| Looked::Later(head.clone()))
                .map_err(|error| {
                    format!(
                        "the head of {} records does not continue that of {}: {error}",
                        head.size, seen.size
                    )
                });
        }
        check_consistency(is, was, &proof)
            .map(|()| Looked::Behind(head.size))
            .map_err(|error| {
                format!(
                    "the log had {} records and has {}, of which it is not shown that they are the first of those: {error}",
                    seen.size, head.size
                )
            })
    }

    /// Both heads as they were signed: whoever has the log's key can see that it signed both.
    fn evidence(&self, why: &str, next: &NextHead) -> String {
        let seen = self
            .seen
            .as_ref()
            .map_or("(nothing)\n", |(_, note)| note.as_str());
        format!(
            "{why}\nat {}\n\n--- seen before\n{seen}\n--- shown now\n{}\n--- proof shown\n{}\n",
            SystemClock.now(),
            next.checkpoint,
            next.consistency.join("\n")
        )
    }
}

/// What a head that a witness cosigned must have, for those who verify: a line of each of these witnesses.
pub(super) fn check_cosigned(note: &str, witnesses: &[strongroom_crypto::WitnessKey]) -> Result<(), Failure> {
    let cosigned = witness::cosigned_by(note, witnesses)?;
    for key in witnesses {
        if !cosigned.iter().any(|(by, _)| *by == key) {
            return Err(format!("not cosigned by {}", key.name()).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use strongroom_crypto::Keyring;
    use strongroom_domain::audit::{NodeStore, consistency_proof, leaf_hash};

    use super::*;

    const ORIGIN: &str = "bank.example/log";

    /// A log of so many leaves; those from `fork` on are another history's.
    fn log(size: u64, fork: u64) -> (CompactRange, NodeStore) {
        let (mut range, mut nodes) = (CompactRange::default(), NodeStore::default());
        for place in 0..size {
            let hash = leaf_hash(&[place.to_be_bytes(), u64::from(place >= fork).to_be_bytes()].concat());
            nodes.insert(0, place, hash);
            range.append(hash, |_| ());
        }
        (range, nodes)
    }

    fn head(ring: &Keyring, origin: &str, range: &CompactRange) -> String {
        let checkpoint = Checkpoint {
            origin: origin.to_owned(),
            size: range.size(),
            root: range.root(),
            extensions: Vec::new(),
        };
        checkpoint.sign(&ring.note_signer(origin).unwrap()).unwrap()
    }

    /// What a server with this log answers to a witness that saw `seen` leaves.
    fn next(ring: &Keyring, seen: u64, (range, nodes): &(CompactRange, NodeStore)) -> NextHead {
        let (old, new) = (seen.min(range.size()), seen.max(range.size()));
        let proof = consistency_proof(old, new, nodes).unwrap_or_default();
        NextHead {
            checkpoint: head(ring, ORIGIN, range),
            consistency: proof.iter().map(|hash| STANDARD.encode(hash)).collect(),
        }
    }

    fn follower(folder: &Path, ring: &Keyring) -> Follower {
        Follower {
            state: State::open(folder).unwrap(),
            witness: Witness::generate("witness.example/w1").unwrap(),
            keys: ring.note_verifiers(ORIGIN).unwrap(),
            client: LogClient::new("https://bank.example", None).unwrap(),
            seen: None,
        }
    }

    #[test]
    fn what_continues_is_on_the_disk_before_it_is_cosigned_and_what_does_not_never_is() {
        drop(crate::tls::provider().install_default());
        let (folder, ring) = (tempfile::tempdir().unwrap(), Keyring::generate(0));
        let mut witness = follower(folder.path(), &ring);
        let seen_on_disk = || std::fs::read_to_string(folder.path().join(SEEN)).unwrap();
        for size in [3, 11, 12, 40] {
            let seen = witness.seen.as_ref().map_or(0, |(head, _)| head.size);
            let looked = witness.judge(&next(&ring, seen, &log(size, u64::MAX)), 1_000 + size);
            assert!(matches!(looked, Ok(Looked::Later(head)) if head.size == size));
            let keys = [witness.witness.verifier().clone()];
            let kept = strongroom_crypto::witness::open(&seen_on_disk(), &keys)
                .map(|cosigned| (cosigned.checkpoint.size, cosigned.seconds));
            assert_eq!(kept, Ok((size, 1_000 + size)));
        }
        let whole = log(60, u64::MAX);
        let mut same = next(&ring, 40, &log(40, u64::MAX));
        assert!(matches!(witness.judge(&same, 5), Ok(Looked::Same)));
        // Another node that has signed less: the proof runs the other way.
        let behind = NextHead {
            checkpoint: head(&ring, ORIGIN, &log(12, u64::MAX).0),
            consistency: next(&ring, 12, &log(40, u64::MAX)).consistency,
        };
        assert!(matches!(witness.judge(&behind, 5), Ok(Looked::Behind(12))));

        let kept = seen_on_disk();
        same.checkpoint = head(&ring, ORIGIN, &log(40, 39).0);
        let unproved = NextHead {
            consistency: Vec::new(),
            ..next(&ring, 40, &whole)
        };
        let no_text = NextHead {
            consistency: vec!["?".to_owned()],
            ..next(&ring, 40, &whole)
        };
        let cut = NextHead {
            checkpoint: head(&ring, ORIGIN, &log(12, u64::MAX).0),
            consistency: Vec::new(),
        };
        let other_past = NextHead {
            checkpoint: head(&ring, ORIGIN, &log(12, 5).0),
            consistency: behind.consistency.clone(),
        };
        let stranger = next(&Keyring::generate(0), 40, &whole);
        let other_log = NextHead {
            checkpoint: head(&ring, "other.example/log", &whole.0),
            ..next(&ring, 40, &whole)
        };
        let unsigned = NextHead {
            checkpoint: witness.witness.cosign_nothing(ORIGIN, [0; 32], 5).unwrap(),
            consistency: Vec::new(),
        };
        let cases: [(&str, NextHead, &str); 10] = [
            ("two heads of one size", same, "different roots"),
            (
                "a later head of another history",
                next(&ring, 40, &log(60, 39)),
                "does not continue",
            ),
            (
                "a later head of a history that forked early",
                next(&ring, 40, &log(60, 0)),
                "does not continue",
            ),
            ("a later head without a proof", unproved, "does not continue"),
            ("a proof that is none", no_text, "cannot be read"),
            ("a log that was cut", cut, "had 40 records and has 12"),
            (
                "an older head of another history",
                other_past,
                "had 40 records and has 12",
            ),
            ("a head that a stranger signed", stranger, "did not sign"),
            ("a head of another log", other_log, "did not sign"),
            ("a head that a witness alone signed", unsigned, "did not sign"),
        ];
        for (what, shown, why) in cases {
            let Err(Refused::DoesNotFit(said)) = witness.judge(&shown, 6) else {
                panic!("{what} was taken");
            };
            assert!(said.contains(why), "{what}: {said}");
            let evidence = std::fs::read_to_string(folder.path().join(EVIDENCE)).unwrap();
            assert!(
                evidence.contains(&kept) && evidence.contains(&shown.checkpoint),
                "{what}"
            );
            assert_eq!(seen_on_disk(), kept, "{what}");
        }
        assert!(matches!(
            witness.judge(&next(&ring, 40, &whole), 7),
            Ok(Looked::Later(_))
        ));
    }

    #[test]
    fn one_process_is_the_witness() {
        let folder = tempfile::tempdir().unwrap();
        let first = State::open(folder.path()).unwrap();
        assert!(State::open(folder.path()).is_err());
        drop(first);
        assert!(State::open(folder.path()).is_ok());
    }
}
