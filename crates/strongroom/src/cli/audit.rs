//! `strongroom audit`: verification of the log and the books, and the newest checkpoint.

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strongroom_api::audit::Verification;
use strongroom_app::{
    Bank, Clock, SystemClock,
    audit::{
        log::{SignedCheckpoint, open_note, read_note},
        verify::{VerifyOptions, verify},
    },
    keys::rotation::with_rotations,
};
use strongroom_crypto::{Keyring, VerifierKey, WitnessKey};
use strongroom_store::{DatabaseUrl, Store};
use strongroom_web::v1::verification;

use super::{Common, Outcome, audit_export::VerifyExport, witness::check_cosigned};
use crate::{
    compose,
    config::{self, Config},
    control::{self, Request},
    data_dir::{DataDir, DataDirError},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Most findings that are said through a running server.
const FINDINGS_SAID_MAX: usize = 100;

/// Verbs about the audit log.
#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Verify the log and the books; exit code 0 only when everything fits
    Verify(VerifyCommand),
    /// Verify exported records offline: needs the file and the log's public key, and nothing of the bank
    VerifyExport(VerifyExport),
    /// Print the newest signed checkpoint of this node
    Checkpoint(CheckpointCommand),
}

/// Arguments of `audit verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyCommand {
    #[command(flatten)]
    common: Common,
    /// Begin at this checkpoint: what it covers was verified before
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// A checkpoint that was kept elsewhere; the log must continue it (may be repeated)
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// The log's public key, as it was kept elsewhere; without it the keyring's (may be repeated)
    #[arg(long, value_name = "VKEY")]
    key: Vec<String>,
    /// A witness's public key: what `--checkpoint` and `--since` name must be cosigned by it (may be repeated)
    #[arg(long, value_name = "VKEY")]
    witness: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `audit checkpoint`.
#[derive(Debug, Args)]
pub(super) struct CheckpointCommand {
    #[command(flatten)]
    common: Common,
}

/// The notes to verify against, as they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notes {
    since: Option<String>,
    checkpoints: Vec<String>,
    keys: Vec<String>,
}

impl Notes {
    /// The notes' checkpoints. One that no known key signed is an error: it may be what somebody wants overlooked.
    fn open(&self, ring: &Keyring, origin: &str) -> Result<VerifyOptions, Failure> {
        let keys = if self.keys.is_empty() {
            ring.note_verifiers(origin)?
        } else {
            self.keys
                .iter()
                .map(|line| VerifierKey::parse(line.trim()))
                .collect::<Result<_, _>>()?
        };
        let open = |note: &String| -> Result<SignedCheckpoint, Failure> {
            Ok(open_note(note, &keys).map_err(|error| format!("a checkpoint cannot be used: {error}"))?)
        };
        Ok(VerifyOptions {
            since: self.since.as_ref().map(open).transpose()?,
            checkpoints: self.checkpoints.iter().map(open).collect::<Result<_, _>>()?,
            ..VerifyOptions::default()
        })
    }

    /// Verifies inside of the running server.
    pub(crate) async fn execute(self, bank: &Bank) -> Result<Value, strongroom_app::Error> {
        let ring = bank.keyring();
        let options = self.open(&ring.now(), bank.log_origin()).map_err(|error| {
            strongroom_app::Error::field("/checkpoint", "invalid_value", error.to_string())
        })?;
        let report = verify(bank.store(), ring, &options, |_| ()).await?;
        let mut said = verification(&report);
        said.findings.truncate(FINDINGS_SAID_MAX);
        serde_json::to_value(said).map_err(strongroom_app::Error::internal)
    }
}

impl Audit {
    /// Does it.
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Verify(command) => command.run(),
            Self::VerifyExport(command) => command.run(),
            Self::Checkpoint(command) => {
                let note = latest(&command.common.data_dir)?.ok_or("no checkpoint was published yet")?;
                Ok(std::io::stdout().write_all(note.as_bytes())?)
            }
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    Ok(read_note(path).map_err(|error| format!("cannot read the checkpoint {}: {error}", path.display()))?)
}

/// The newest checkpoint that this node published.
fn latest(data: &Path) -> Result<Option<String>, Failure> {
    let path = data.join("checkpoints").join("latest");
    if path.exists() {
        read(&path).map(Some)
    } else {
        Ok(None)
    }
}

impl VerifyCommand {
    fn run(self) -> Outcome {
        let witnesses: Vec<WitnessKey> = self
            .witness
            .iter()
            .map(|line| WitnessKey::parse(line.trim()))
            .collect::<Result<_, _>>()?;
        if !witnesses.is_empty() && self.checkpoint.is_empty() && self.since.is_none() {
            return Err("--witness is about what --checkpoint and --since name: name one".into());
        }
        let mut notes = Notes {
            since: self.since.as_deref().map(read).transpose()?,
            checkpoints: self
                .checkpoint
                .iter()
                .map(|path| read(path))
                .collect::<Result<_, _>>()?,
            keys: self.key.clone(),
        };
        for note in notes.since.iter().chain(&notes.checkpoints) {
            check_cosigned(note, &witnesses)
                .map_err(|error| format!("a checkpoint cannot be used: {error}"))?;
        }
        notes.checkpoints.extend(latest(&self.common.data_dir)?);
        let started = Instant::now();
        let found: Verification = match self.alone(&notes)? {
            Some(found) => found,
            None => {
                serde_json::from_value(control::ask(&self.common.data_dir, &Request::AuditVerify(notes))?)?
            }
        };
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&found)?)?;
        } else {
            say(&mut out, &found, started.elapsed().as_secs_f64())?;
        }
        out.flush()?;
        if found.clean {
            Ok(())
        } else {
            Err(format!("{} rows do not fit", found.findings_count).into())
        }
    }

    /// Verifies in this process; `None` where a running server owns the database.
    fn alone(&self, notes: &Notes) -> Result<Option<Verification>, Failure> {
        let (_, config) = config::load(self.common.sources(Vec::new()), &self.common.data_dir);
        let config = config?;
        let settings = compose::store_settings(&config);
        // A server's database has its own locks; the embedded one belongs to who holds the data directory.
        let _owned = match (&settings.database, DataDir::open(&self.common.data_dir)) {
            (DatabaseUrl::Postgres(_), _) => None,
            (DatabaseUrl::Sqlite(_), Ok(data)) => Some(data),
            (DatabaseUrl::Sqlite(_), Err(DataDirError::InUse { .. })) => return Ok(None),
            (DatabaseUrl::Sqlite(_), Err(error)) => return Err(error.into()),
        };
        drop(crate::tls::provider().install_default());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(verify_alone(&config, notes)).map(Some)
    }
}

async fn verify_alone(config: &Config, notes: &Notes) -> Result<Verification, Failure> {
    let store = Store::open_to_verify(&compose::store_settings(config)).await?;
    let now = SystemClock.now();
    let ring = compose::key_provider(config)?
        .load(now.micros())?
        .ok_or("there is no keyring: without it the signatures of records cannot be verified")?;
    let ring = with_rotations(&store, &ring, now).await?.unwrap_or(ring);
    let bank = store.bank().await?.ok_or("this database holds no bank yet")?;
    let options = notes.open(&ring, &bank.log_origin)?;
    let shows_progress = std::io::stderr().is_terminal();
    let report = verify(&store, Arc::new(ring), &options, |records| {
        if shows_progress {
            eprint!("\r{records} records");
        }
    })
    .await?;
    if shows_progress {
        eprint!("\r");
    }
    Ok(verification(&report))
}

fn say(out: &mut impl Write, found: &Verification, seconds: f64) -> std::io::Result<()> {
    for finding in &found.findings {
        writeln!(
            out,
            "{} {}: {} ({})",
            finding.table, finding.row, finding.detail, finding.code
        )?;
    }
    writeln!(out, "log          {} records, root {}", found.size, found.root)?;
    writeln!(
        out,
        "checked      {} records, {} transactions, {} entries, {} accounts in {seconds:.1} s",
        found.records, found.transactions, found.entries, found.accounts
    )?;
    if found.unsealed > 0 {
        writeln!(out, "not sealed   {} records", found.unsealed)?;
    }
    writeln!(out, "checkpoints  the log continues {}", found.checkpoints)?;
    writeln!(
        out,
        "outcome      {}",
        if found.clean {
            "everything fits"
        } else {
            "NOT CLEAN"
        }
    )
}
