//! `strongroom import`: real histories, through the public API of a running server.

mod berka;
mod replay;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Common, Outcome};

/// Verbs about other people's data.
#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Replay the transactions of a Czech bank (PKDD'99) and compare every balance with the bank's own
    Berka(Berka),
}

/// Arguments of `import berka`.
#[derive(Debug, Args)]
pub(super) struct Berka {
    #[command(flatten)]
    common: Common,
    /// The file `transactions.csv`
    file: PathBuf,
    /// Requests at a time; the order within an account is kept
    #[arg(long, default_value_t = 64)]
    parallel: usize,
    /// Where the server is, instead of `server.public_url`
    #[arg(long)]
    url: Option<String>,
}

impl Import {
    /// Replays, compares, and fails on any difference.
    pub(super) fn run(self) -> Outcome {
        let Self::Berka(import) = self;
        let history = berka::read(&import.file)?;
        replay::run(
            &import.common,
            import.url.as_deref(),
            import.parallel.clamp(1, 512),
            history,
        )
    }
}
