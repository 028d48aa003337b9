//! `strongroom receipt verify`: needs the receipt and the log's public key, and nothing of the bank.

use std::{io::Read, path::PathBuf};

use clap::{Args, Subcommand};
use strongroom_api::receipts::Receipt;
use strongroom_crypto::{VerifierKey, receipt};

use super::Outcome;

/// Largest receipt that is read, in bytes.
const RECEIPT_BYTES_MAX: u64 = 256 * 1024;

/// Verbs about receipts.
#[derive(Debug, Subcommand)]
pub(super) enum ReceiptVerb {
    /// Verify a receipt offline
    Verify(Verify),
}

/// Arguments of `receipt verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The receipt as the API gave it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The log's public key, one line (may be repeated)
    #[arg(long, value_name = "VKEY", required = true)]
    key: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ReceiptVerb {
    /// Verifies.
    pub(super) fn run(self) -> Outcome {
        let Self::Verify(verify) = self;
        verify.run()
    }
}

impl Verify {
    fn run(self) -> Outcome {
        let mut text = String::new();
        std::fs::File::open(&self.file)
            .and_then(|file| file.take(RECEIPT_BYTES_MAX).read_to_string(&mut text))
            .map_err(|error| format!("cannot read {}: {error}", self.file.display()))?;
        let keys: Vec<VerifierKey> = self
            .key
            .iter()
            .map(|line| VerifierKey::parse(line.trim()))
            .collect::<Result<_, _>>()?;
        let wire: Receipt =
            serde_json::from_str(&text).map_err(|error| format!("this is no receipt: {error}"))?;
        let checkpoint = receipt::verify(&wire.parts()?, &wire.checkpoint, &keys)?;
        let facts = &wire.transaction;
        if self.json {
            let said = serde_json::json!({
                "valid": true,
                "transaction": facts,
                "log": checkpoint.origin,
                "leaf": wire.leaf,
                "size": checkpoint.size,
            });
            println!("{}", serde_json::to_string_pretty(&said)?);
        } else {
            println!("valid: {} {} is in the log", facts.kind, facts.id);
            println!("  from    {}", facts.from_account_id);
            println!("  to      {}", facts.to_account_id);
            println!(
                "  amount  {} {} (minor units)",
                facts.amount.amount, facts.amount.currency
            );
            println!("  booked  {}", facts.booked_at);
            println!(
                "  log     {}, record {} of {}",
                checkpoint.origin,
                wire.leaf + 1,
                checkpoint.size
            );
        }
        Ok(())
    }
}
