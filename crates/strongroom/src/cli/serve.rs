//! `strongroom serve`.

use clap::Args;

use super::{Common, Outcome};
use crate::serve::{self, Purpose};

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub common: Common,
    /// Where to listen, instead of `server.listen`
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
}

impl Serve {
    /// Serves until a signal.
    pub(super) fn run(self) -> Outcome {
        let flags = self
            .listen
            .clone()
            .map(|address| ("server.listen", "--listen", address));
        serve::run(
            self.common.sources(flags.into_iter().collect()),
            &self.common.data_dir,
            Purpose::Serve,
        )
    }
}
