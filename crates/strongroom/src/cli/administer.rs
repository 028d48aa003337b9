//! How an administrating verb reaches the bank: by itself where no server runs, else through the server.

use std::{
    io::{StdoutLock, Write},
    path::Path,
};

use clap::Args;
use serde_json::{Value, json};
use strongroom_domain::id::ApprovalId;

use super::{Common, Outcome};
use crate::{
    compose, config,
    control::{self, Request},
    data_dir::{DataDir, DataDirError},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Arguments of every verb that asks the bank.
#[derive(Debug, Args)]
pub(super) struct Asking {
    #[command(flatten)]
    common: Common,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Asking {
    /// Asks the bank, and prints what came of it: as JSON where that is wanted, else as `tell` does.
    pub(super) fn ask(
        &self,
        request: Request,
        tell: impl FnOnce(&mut StdoutLock<'_>, &Value) -> Outcome,
    ) -> Result<Value, Failure> {
        let value = administer(&self.common, request)?;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{value}")?;
        } else {
            tell(&mut out, &value)?;
        }
        Ok(value)
    }

    /// As [`Self::ask`], of what leaves one sentence.
    pub(super) fn tell(&self, request: Request, sentence: &str) -> Outcome {
        self.ask(request, |out, _| Ok(writeln!(out, "{sentence}")?))
            .map(drop)
    }

    /// As [`Self::ask`], of what somebody else decides.
    pub(super) fn ask_others(&self, request: Request) -> Outcome {
        self.ask(request, tell_asked).map(drop)
    }
}

/// What comes of a request that somebody else decides.
pub(super) fn asked(approval: ApprovalId) -> Value {
    json!({"status": "approval_required", "approval_id": approval.to_string()})
}

/// Prints that somebody else decides.
pub(super) fn tell_asked(out: &mut StdoutLock<'_>, value: &Value) -> Outcome {
    let id = value["approval_id"].as_str().unwrap_or_default();
    Ok(writeln!(out, "An administrator has to approve this: {id}")?)
}

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
