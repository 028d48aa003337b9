//! `strongroom policy`: the way back where a policy locks everybody out.

use std::{io::Write, sync::Arc};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_app::{Bank, Error};

use super::{Common, Outcome, administer::administer};
use crate::control::Request;

/// Most policies that are listed.
const LISTED_MAX: u32 = 500;

/// Verbs about policies of the bank's own.
#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// List policies
    List(ListCommand),
    /// Put a policy out of force at once, without the approval of another
    Deactivate(DeactivateCommand),
}

/// Arguments of `policy list`.
#[derive(Debug, Args)]
pub(super) struct ListCommand {
    #[command(flatten)]
    common: Common,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `policy deactivate`.
#[derive(Debug, Args)]
pub(super) struct DeactivateCommand {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    name: Name,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// All policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct All {}

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
pub(crate) struct Name {
    /// What it is called
    #[arg(long)]
    name: String,
}

impl Policy {
    /// Asks the bank and prints what came of it.
    pub(super) fn run(self) -> Outcome {
        let mut out = std::io::stdout().lock();
        match self {
            Self::List(command) => {
                let value = administer(&command.common, Request::PolicyList(All {}))?;
                if command.json {
                    return Ok(writeln!(out, "{value}")?);
                }
                for policy in value["data"].as_array().into_iter().flatten() {
                    let text = |name: &str| policy[name].as_str().unwrap_or_default().to_owned();
                    writeln!(out, "{:8} {}  {}", text("state"), text("id"), text("name"))?;
                }
            }
            Self::Deactivate(command) => {
                let value = administer(&command.common, Request::PolicyDeactivate(command.name))?;
                if command.json {
                    return Ok(writeln!(out, "{value}")?);
                }
                writeln!(out, "The policy is out of force from the next request on.")?;
            }
        }
        Ok(())
    }
}

impl All {
    /// Asks the bank for them.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let found = bank.policies(&cx, None, LISTED_MAX).await?;
        let data: Vec<Value> = found
            .into_iter()
            .map(|policy| {
                let state = if policy.active.is_some() {
                    "active"
                } else {
                    "draft"
                };
                json!({"id": policy.id.to_string(), "name": policy.name, "state": state})
            })
            .collect();
        Ok(json!({"data": data}))
    }
}

impl Name {
    /// Asks the bank to put it out of force.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let version = bank.take_policy_back(&cx, &self.name).await?;
        Ok(json!({"policy_version": version}))
    }
}
