//! `strongroom passwords filter`: a list of breached passwords in the form that the server asks.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use serde_json::json;
use strongroom_crypto::password::FilterBuilder;

use super::Outcome;

/// Longest line of a list, in bytes; what is longer is no password that anybody may have.
const LINE_BYTES_MAX: usize = 4096;

/// Verbs about passwords.
#[derive(Debug, Subcommand)]
pub(super) enum Passwords {
    /// Make the file of `auth.breached_passwords` out of a list
    Filter(Filter),
}

/// Arguments of `passwords filter`.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// The list: a password or a SHA-1 in each line, with or without `:COUNT`; `-` is the standard input
    #[arg(long, value_name = "FILE")]
    list: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Passwords {
    /// Reads the list and writes the filter.
    pub(super) fn run(self) -> Outcome {
        let Self::Filter(command) = self;
        let mut list: Box<dyn BufRead> = if command.list.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            Box::new(BufReader::new(File::open(&command.list)?))
        };
        let (mut builder, mut line, mut lines) = (FilterBuilder::default(), Vec::new(), 0_u64);
        while list.read_until(b'\n', &mut line)? > 0 {
            lines += 1;
            // Lists hold what people typed, in whatever encoding: what is no text is left out.
            let text = std::str::from_utf8(&line)
                .ok()
                .filter(|text| text.len() <= LINE_BYTES_MAX);
            if text.is_some_and(|text| !builder.add_line(text)) {
                return Err("the list is too long: take its commonest part".into());
            }
            line.clear();
        }
        let (bytes, entries) = builder.finish();
        std::fs::write(&command.out, &bytes)?;
        let mut out = io::stdout().lock();
        if command.json {
            let told = json!({"lines": lines, "passwords": entries, "bytes": bytes.len()});
            return Ok(writeln!(out, "{told}")?);
        }
        writeln!(
            out,
            "{lines} lines, {entries} passwords of a length that is taken, {} bytes",
            bytes.len()
        )?;
        Ok(())
    }
}
