//! `strongroom api-key add`: a key for an integration of the bank's own.

use std::{io::Write, sync::Arc};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_app::{
    Bank, Error,
    api_keys::{AddApiKey, KeyOwner},
};
use strongroom_crypto::ExposeSecret;
use strongroom_domain::principal::Role;

use super::{Common, Outcome, administer::administer};
use crate::control::Request;

const SECONDS_PER_HOUR: i64 = 3_600;
/// Longest life of a key that is made here, in hours.
const HOURS_MAX: i64 = 24 * 366;

/// Verbs about keys of integrations.
#[derive(Debug, Subcommand)]
pub(super) enum ApiKey {
    /// Make a key for a technical user with a role; prints it once
    Add(AddCommand),
}

/// Arguments of `api-key add`.
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

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
pub(crate) struct Add {
    /// What it is for, in words
    #[arg(long)]
    name: String,
    /// The role of the technical user it belongs to
    #[arg(long, default_value = "teller")]
    role: String,
    /// What it may do at most, such as `accounts:read`; several by commas
    #[arg(long, value_delimiter = ',', required = true)]
    scopes: Vec<String>,
    /// Hours that it lives
    #[arg(long, default_value_t = 24)]
    hours: i64,
}

impl ApiKey {
    /// Makes the key and prints it.
    pub(super) fn run(self) -> Outcome {
        let Self::Add(command) = self;
        let value = administer(&command.common, Request::ApiKeyAdd(command.add))?;
        let mut out = std::io::stdout().lock();
        if command.json {
            return Ok(writeln!(out, "{value}")?);
        }
        let text = |name: &str| value[name].as_str().unwrap_or_default();
        writeln!(
            out,
            "id              {}\nowner           {}\nkey             {}\nsigning secret  {}",
            text("id"),
            text("owner_id"),
            text("key"),
            text("signing_secret")
        )?;
        Ok(writeln!(out, "Shown once.")?)
    }
}

impl Add {
    /// A key of the bank's own programs.
    pub(super) fn service(name: &str, scopes: &[&str], hours: i64) -> Self {
        Self {
            name: name.to_owned(),
            role: Role::Teller.name().to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            hours,
        }
    }

    /// Asks the bank for it.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let role = Role::parse(&self.role)
            .filter(|role| role.is_operator())
            .ok_or_else(|| Error::field("/role", "invalid_value", "must be the role of an operator"))?;
        if !(1..=HOURS_MAX).contains(&self.hours) {
            return Err(Error::field(
                "/hours",
                "out_of_range",
                "must lie between 1 and 8784",
            ));
        }
        let cx = bank.cx_cli(uid).await?;
        let scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        let input = AddApiKey {
            expires_at: Some(cx.now().plus_seconds(self.hours * SECONDS_PER_HOUR)),
            ..AddApiKey::new(KeyOwner::Technical(role), &self.name, &scopes)
        };
        let added = bank.add_api_key(&cx, input).await?;
        Ok(json!({
            "id": added.id.to_string(),
            "owner_id": added.owner.to_string(),
            "key": added.key.expose_secret(),
            "signing_secret": added.signing_secret.as_ref().map(|secret| secret.expose_secret()),
        }))
    }
}
