//! `strongroom customer import`: customers of another system, with the hashes of their passwords.
//!
//! Each line of the file is a JSON object `{"email","full_name","password_hash"}`. A line that is refused stops no
//! other; it is named, and the verb fails in the end.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    sync::Arc,
};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_app::{
    Bank, Error,
    identity::customers::{AddCustomer, FirstPassword},
};

use super::{Common, Outcome, administer::administer};
use crate::control::{Request, describe};

/// Most bytes of lines that go to the bank at once: half of what a conversation takes.
const PORTION_BYTES_MAX: usize = 32 * 1024;

/// Verbs about customers.
#[derive(Debug, Subcommand)]
pub(super) enum Customer {
    /// Bring in customers with the bcrypt hashes of their passwords
    Import(ImportCommand),
}

/// Arguments of `customer import`.
#[derive(Debug, Args)]
pub(super) struct ImportCommand {
    #[command(flatten)]
    common: Common,
    /// A JSON object in each line: `email`, `full_name`, `password_hash`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Some lines of the file, the first of which has a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Portion {
    first: u64,
    lines: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    email: String,
    full_name: String,
    password_hash: String,
}

impl Customer {
    /// Brings them in, portion after portion.
    pub(super) fn run(self) -> Outcome {
        let Self::Import(command) = self;
        let (mut made, mut refused) = (0, Vec::new());
        let mut portion = Portion {
            first: 1,
            lines: Vec::new(),
        };
        let mut bytes = 0;
        let mut send = |portion: Portion| -> Outcome {
            let answer = administer(&command.common, Request::CustomerImport(portion))?;
            made += answer["made"].as_u64().unwrap_or_default();
            refused.extend(answer["refused"].as_array().cloned().unwrap_or_default());
            Ok(())
        };
        for line in BufReader::new(File::open(&command.file)?).lines() {
            let line = line?;
            if line.len() > PORTION_BYTES_MAX {
                return Err("a line is longer than any customer".into());
            }
            if bytes + line.len() > PORTION_BYTES_MAX {
                let next = portion.first + portion.lines.len() as u64;
                let rest = Portion {
                    first: next,
                    lines: Vec::new(),
                };
                send(std::mem::replace(&mut portion, rest))?;
                bytes = 0;
            }
            bytes += line.len() + 8;
            portion.lines.push(line);
        }
        send(portion)?;
        let mut out = std::io::stdout().lock();
        if command.json {
            writeln!(out, "{}", json!({"made": made, "refused": refused}))?;
        } else {
            writeln!(out, "{made} customers")?;
            for each in &refused {
                writeln!(
                    out,
                    "line {}: {}",
                    each["line"],
                    each["reason"].as_str().unwrap_or_default()
                )?;
            }
        }
        if refused.is_empty() {
            Ok(())
        } else {
            Err(format!("{} lines were refused", refused.len()).into())
        }
    }
}

impl Portion {
    /// Makes the customers of some lines.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let (mut made, mut refused) = (0_u64, Vec::new());
        for (line, number) in self.lines.into_iter().zip(self.first..) {
            if line.trim().is_empty() {
                continue;
            }
            let reason = match serde_json::from_str::<Line>(&line) {
                Ok(line) => {
                    let input = AddCustomer {
                        email: line.email,
                        full_name: line.full_name,
                        password: FirstPassword::Imported(line.password_hash.into()),
                    };
                    bank.add_customer(&cx, input)
                        .await
                        .err()
                        .map(|error| describe(&error))
                }
                // What stands there may be a secret.
                Err(_) => Some("is no object with email, full_name and password_hash".to_owned()),
            };
            match reason {
                Some(reason) => refused.push(json!({"line": number, "reason": reason})),
                None => made += 1,
            }
        }
        Ok(json!({"made": made, "refused": refused}))
    }
}
