//! `strongroom audit verify-export`: needs the file and the log's public key, and nothing of the bank.
//!
//! Nothing that a line says is believed. A record is read from its canonical bytes, which with the authentication code
//! give the leaf; the leaf leads by its proof to the root; the log's key signed the root. What a line says for people
//! is made again from the bytes and compared. A later section proves that its head continues the one the export began
//! with.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
};

use clap::Args;
use serde::Serialize;
use strongroom_api::audit_export::{
    AuditExportEnd, AuditExportHead, AuditExportLine, EXPORT_FORMAT, ExportedRecord,
};
use strongroom_crypto::{Checkpoint, VerifierKey};
use strongroom_domain::audit::{Hash, check_consistency, root_from_inclusion};
use strongroom_web::v1::audit_record;

use super::Outcome;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Longest line, in bytes: a record's details have at most 64 KiB and stand in it twice.
const LINE_BYTES_MAX: u64 = 512 * 1024;

/// Arguments of `audit verify-export`.
#[derive(Debug, Args)]
pub(super) struct VerifyExport {
    /// The sections as the API gave them, one after the other
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The log's public key, one line (may be repeated)
    #[arg(long, value_name = "VKEY", required = true)]
    key: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was proved.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Proved {
    /// The log's name.
    log: String,
    /// Where the export ends: size of the head that it began with.
    size: u64,
    /// Records, each proved.
    records: u64,
    first: Option<u64>,
    last: Option<u64>,
    /// Whether it is every record of the log up to there: each position was proved.
    complete: bool,
    /// Where it goes on, if it does.
    next_cursor: Option<String>,
}

impl VerifyExport {
    /// Verifies.
    pub(super) fn run(self) -> Outcome {
        let keys: Vec<VerifierKey> = self
            .key
            .iter()
            .map(|line| VerifierKey::parse(line.trim()))
            .collect::<Result<_, _>>()?;
        let file = File::open(&self.file)
            .map_err(|error| format!("cannot read {}: {error}", self.file.display()))?;
        let proved = verify(BufReader::new(file), &keys)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&proved)?);
            return Ok(());
        }
        println!("valid: {} records of {}", proved.records, proved.log);
        if let (Some(first), Some(last)) = (proved.first, proved.last) {
            println!("  positions  {first} to {last} of {}", proved.size);
        }
        println!(
            "  extent     {}",
            if proved.complete {
                "every record of the log up to there"
            } else {
                "a selection: that nothing was left out of it is not proved"
            }
        );
        if let Some(cursor) = &proved.next_cursor {
            println!("  goes on    {cursor}");
        }
        Ok(())
    }
}

/// Verifies sections line by line, in bounded memory.
fn verify(mut lines: impl BufRead, keys: &[VerifierKey]) -> Result<Proved, Failure> {
    let mut walk = Walk::default();
    let mut number = 0_u64;
    while let Some(line) = next_line(&mut lines)? {
        number += 1;
        let read = serde_json::from_slice(&line).map_err(|_| "not a line of an export".into());
        read.and_then(|line| walk.step(line, keys))
            .map_err(|error: Failure| format!("line {number}: {error}"))?;
    }
    walk.end()
}

fn next_line(lines: &mut impl BufRead) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err("a line that is too long or cut off".into()),
    }
}

/// A section that is being read.
struct Section {
    checkpoint: Checkpoint,
    records: u64,
}

#[derive(Default)]
struct Walk {
    section: Option<Section>,
    /// The head that the export began with.
    base: Option<(u64, Hash)>,
    /// Positions without a gap, from the log's beginning.
    gapless: u64,
    sections: u64,
    proved: Proved,
}

impl Walk {
    fn step(&mut self, line: AuditExportLine, keys: &[VerifierKey]) -> Result<(), Failure> {
        match (line, self.section.take()) {
            (AuditExportLine::Head(head), None) => self.begin(&head, keys),
            (AuditExportLine::Record(record), Some(section)) => self.record(&record, section),
            (AuditExportLine::End(end), Some(section)) => self.finish(end, &section),
            (AuditExportLine::Head(_), Some(_)) => Err("a section begins before the last one ended".into()),
            (_, None) => Err("a section begins without its head".into()),
        }
    }

    fn begin(&mut self, head: &AuditExportHead, keys: &[VerifierKey]) -> Result<(), Failure> {
        if head.format != EXPORT_FORMAT {
            return Err("an export of another format".into());
        }
        if self.sections > 0 && self.proved.next_cursor.is_none() {
            return Err("a section follows the end of the export".into());
        }
        let checkpoint = Checkpoint::open(&head.checkpoint, keys)?;
        if self.sections == 0 {
            self.proved.log.clone_from(&checkpoint.origin);
            self.proved.size = head.size;
            if checkpoint.size != head.size {
                return Err("the file does not begin where the export began".into());
            }
            self.base = Some((checkpoint.size, checkpoint.root));
        }
        let (size, root) = self.base.ok_or("a section without a beginning")?;
        if (head.size, &checkpoint.origin) != (size, &self.proved.log) {
            return Err("a section of another export".into());
        }
        check_consistency(
            (size, &root),
            (checkpoint.size, &checkpoint.root),
            &head.consistency()?,
        )
        .map_err(|error| format!("the head does not continue the one before: {error}"))?;
        self.sections += 1;
        self.section = Some(Section {
            checkpoint,
            records: 0,
        });
        Ok(())
    }

    fn record(&mut self, line: &ExportedRecord, mut section: Section) -> Result<(), Failure> {
        if line.leaf >= self.proved.size || self.proved.last.is_some_and(|last| line.leaf <= last) {
            return Err("a record out of its place".into());
        }
        let record = line.signed()?;
        if audit_record(line.leaf, &record) != line.record {
            return Err("what is said of a record is not what its bytes say".into());
        }
        let root = root_from_inclusion(line.leaf, section.checkpoint.size, record.leaf(), &line.proof()?)?;
        if root != section.checkpoint.root {
            return Err("a record that does not lead to the signed root".into());
        }
        if line.leaf == self.gapless {
            self.gapless += 1;
        }
        self.proved.first.get_or_insert(line.leaf);
        self.proved.last = Some(line.leaf);
        self.proved.records += 1;
        section.records += 1;
        self.section = Some(section);
        Ok(())
    }

    fn finish(&mut self, end: AuditExportEnd, section: &Section) -> Result<(), Failure> {
        if u64::from(end.records) != section.records {
            return Err("a section with more or fewer records than it says".into());
        }
        self.proved.next_cursor = end.next_cursor;
        Ok(())
    }

    fn end(mut self) -> Result<Proved, Failure> {
        if self.section.is_some() || self.sections == 0 {
            return Err("the file ends within a section".into());
        }
        self.proved.complete = self.gapless == self.proved.size;
        Ok(self.proved)
    }
}
