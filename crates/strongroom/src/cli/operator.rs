//! `strongroom operator add`.

use std::{io::Write, sync::Arc};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_app::{
    Bank, Error,
    identity::operators::{AddOperator, OperatorAdded},
};
use strongroom_crypto::ExposeSecret;
use strongroom_domain::principal::Role;

use super::{Common, Outcome, administer::administer};
use crate::control::Request;

/// Verbs about operators.
#[derive(Debug, Subcommand)]
pub(super) enum Operator {
    /// Make an operator; prints one-time secrets, good for 24 hours
    Add(AddCommand),
}

/// Arguments of `operator add`.
#[derive(Debug, Args)]
pub(super) struct AddCommand {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    add: Add,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// An operator to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
pub(crate) struct Add {
    /// The address to log in with
    #[arg(long)]
    email: String,
    /// The person's name
    #[arg(long)]
    name: String,
    /// admin, teller, support, compliance or auditor
    #[arg(long)]
    role: String,
    /// Do not wait for another administrator's approval; alerts everyone
    #[arg(long)]
    #[serde(default)]
    break_glass: bool,
}

impl Operator {
    /// Makes the operator and prints what must be handed over.
    pub(super) fn run(self) -> Outcome {
        let Self::Add(command) = self;
        let value = administer(&command.common, Request::OperatorAdd(command.add))?;
        let mut out = std::io::stdout().lock();
        if command.json {
            return Ok(writeln!(out, "{value}")?);
        }
        let text = |name: &str| value[name].as_str().unwrap_or_default();
        if value["status"] == "approval_required" {
            writeln!(
                out,
                "An administrator has to approve this: {}",
                text("approval_id")
            )?;
        } else {
            writeln!(out, "operator  {}\nemail     {}", text("id"), text("email"))?;
            writeln!(
                out,
                "password  {}\ntotp      {}",
                text("password"),
                text("totp_uri")
            )?;
            writeln!(
                out,
                "Shown once, good for 24 hours. The first login asks for a new password and a new device."
            )?;
        }
        Ok(())
    }
}

impl Add {
    /// Asks the bank for it.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let role = Role::parse(&self.role)
            .filter(|role| role.is_operator())
            .ok_or_else(|| {
                Error::field(
                    "/role",
                    "invalid_value",
                    "must be admin, teller, support, compliance or auditor",
                )
            })?;
        let cx = bank.cx_cli(uid).await?;
        let input = AddOperator {
            email: self.email,
            full_name: self.name,
            role,
            break_glass: self.break_glass,
        };
        Ok(match bank.add_operator(&cx, input).await? {
            OperatorAdded::Ready {
                id,
                email,
                password,
                totp_uri,
            } => json!({
                "id": id.to_string(),
                "email": email,
                "password": password.expose_secret(),
                "totp_uri": totp_uri.expose_secret(),
            }),
            OperatorAdded::Requested { approval } => {
                json!({"status": "approval_required", "approval_id": approval.to_string()})
            }
        })
    }
}
