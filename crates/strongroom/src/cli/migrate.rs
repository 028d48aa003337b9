//! `strongroom migrate`: the schema, as its owner.

use clap::Args;
use strongroom_store::Store;

use super::{Common, Outcome};
use crate::{compose, config, data_dir::DataDir};

/// Arguments of `migrate`.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    common: Common,
}

impl Migrate {
    /// Runs what is pending. A second run finds nothing to do.
    pub(super) fn run(self) -> Outcome {
        // On the embedded engine the database lies in the data directory: nobody else may be at it meanwhile.
        let data = DataDir::open(&self.common.data_dir)?;
        let (_, config) = config::load(self.common.sources(Vec::new()), data.path());
        let config = config?;
        drop(crate::tls::provider().install_default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let applied = runtime.block_on(Store::migrate(&compose::store_settings(&config)))?;
        println!(
            "{}",
            if applied == 0 {
                "nothing to migrate".to_owned()
            } else {
                format!("migrations applied: {applied}")
            }
        );
        Ok(())
    }
}
