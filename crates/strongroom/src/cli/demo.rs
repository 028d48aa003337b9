//! `strongroom demo`: `serve` with a sample bank, in development only.

use std::path::PathBuf;

use clap::Args;

use super::{Outcome, sources};
use crate::serve::{self, Purpose};

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// The data directory
    #[arg(long, value_name = "DIR", default_value = "strongroom-demo")]
    data_dir: PathBuf,
    /// Where to listen, instead of `server.listen`
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

impl Demo {
    /// Serves until a signal.
    pub(super) fn run(self) -> Outcome {
        let flags = self.listen.map(|address| ("server.listen", "--listen", address));
        serve::run(
            sources(None, flags.into_iter().collect()),
            &self.data_dir,
            Purpose::Demo,
        )
    }
}
