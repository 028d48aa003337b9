//! How an administrating verb reaches the bank: by itself where no server runs, else through the server.

use std::path::Path;

use serde_json::Value;

use super::Common;
use crate::{
    compose, config,
    control::{self, Request},
    data_dir::{DataDir, DataDirError},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Does what is asked, and gives what came of it.
pub(super) fn administer(common: &Common, request: Request) -> Result<Value, Failure> {
    match DataDir::open(&common.data_dir) {
        Ok(data) => alone(common, &data, request),
        Err(DataDirError::InUse { .. }) => control::ask(&common.data_dir, &request),
        Err(error) => Err(error.into()),
    }
}

/// With the lock in hand.
fn alone(common: &Common, data: &DataDir, request: Request) -> Result<Value, Failure> {
    let (_, config) = config::load(common.sources(Vec::new()), Path::new(data.path()));
    let config = config?;
    drop(crate::tls::provider().install_default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (bank, _) = compose::bank(&config, &config.server.public_url, data).await?;
        let uid = rustix::process::getuid().as_raw();
        let outcome = request
            .run(&bank, uid)
            .await
            .map_err(|error| control::describe(&error));
        bank.writer().close().await;
        Ok(outcome?)
    })
}
