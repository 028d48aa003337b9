//! `strongroom api-key`: keys of the bank's own programs. What the host asks for an administrator decides, outside
//! development; what it takes away ends at once.

use std::{io::Write, sync::Arc};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_app::{
    Bank, Error,
    api_keys::{AddApiKey, KeyOwner, technical::ApiKeyWish},
};
use strongroom_crypto::ExposeSecret;
use strongroom_domain::{id::ApiKeyId, principal::Role};

use super::{
    Outcome,
    administer::{Asking, asked, tell_asked},
};
use crate::control::Request;

const SECONDS_PER_HOUR: i64 = 3_600;
/// Longest life of a key that is made here, in hours.
const HOURS_MAX: i64 = 24 * 366;

/// Keys that are read at a time.
const PAGE: u32 = 100;
/// Most keys that are listed.
const LISTED_MAX: usize = 10_000;

/// Verbs about keys of integrations.
#[derive(Debug, Subcommand)]
pub(super) enum ApiKey {
    /// Make a key for a technical user with a role, in development; elsewhere ask for one, and an administrator decides
    Add(AddCommand),
    /// List the keys of technical users, newest first
    List(ListCommand),
    /// Take a key away at once
    Revoke(RevokeCommand),
}

/// Arguments of `api-key list`.
#[derive(Debug, Args)]
pub(super) struct ListCommand {
    #[command(flatten)]
    asking: Asking,
}

/// Arguments of `api-key revoke`.
#[derive(Debug, Args)]
pub(super) struct RevokeCommand {
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    what: Revoke,
}

/// All keys of technical users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct All {}

/// A key to be taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
pub(crate) struct Revoke {
    /// The id of the key
    #[arg(value_name = "ID")]
    id: String,
}

/// Arguments of `api-key add`.
#[derive(Debug, Args)]
pub(super) struct AddCommand {
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    add: Add,
}

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
pub(crate) struct Add {
    /// What it is for, in words
    #[arg(long)]
    name: String,
    /// The role of the technical user it belongs to: teller, support, compliance or auditor
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
    /// Asks the bank and prints what came of it.
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Add(command) => command
                .asking
                .ask(Request::ApiKeyAdd(command.add), |out, value| {
                    if value["status"] == "approval_required" {
                        return tell_asked(out, value);
                    }
                    tell_key(out, value)
                })
                .map(drop),
            Self::List(command) => command
                .asking
                .ask(Request::ApiKeyList(All {}), |out, value| {
                    for key in value["data"].as_array().into_iter().flatten() {
                        let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
                        writeln!(out, "{}  {:10}  {}", text("id"), text("role"), text("name"))?;
                    }
                    Ok(())
                })
                .map(drop),
            Self::Revoke(command) => command.asking.tell(
                Request::ApiKeyRevoke(command.what),
                "The key opens nothing any more.",
            ),
        }
    }
}

fn tell_key(out: &mut impl Write, value: &Value) -> Outcome {
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

impl All {
    /// Asks the bank for them, a page after the other.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let (mut data, mut before) = (Vec::new(), None);
        loop {
            let page = bank.technical_keys(&cx, before, PAGE).await?;
            before = page.last().map(|last| last.key.id);
            data.extend(page.into_iter().map(|found| {
                let roles: Vec<&str> = found.roles.iter().map(|role| role.name()).collect();
                let end = found.key.expires_at.map(|end| end.to_string());
                json!({"id": found.key.id.to_string(), "owner_id": found.owner.to_string(), "role": roles.join(" "),
                    "name": found.key.name, "scopes": found.key.scopes, "expires_at": end})
            }));
            if before.is_none() || data.len() >= LISTED_MAX {
                return Ok(json!({"data": data}));
            }
        }
    }
}

impl Revoke {
    /// Asks the bank for it.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let id = ApiKeyId::parse(&self.id)
            .map_err(|_| Error::field("/id", "invalid_value", "must be the id of a key"))?;
        bank.revoke_api_key(&cx, id).await?;
        Ok(json!({"status": "revoked"}))
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
        let added = match bank.wish_for_api_key(&cx, input).await? {
            ApiKeyWish::Made(added) => added,
            ApiKeyWish::Requested { approval } => {
                return Ok(asked(approval));
            }
        };
        Ok(json!({
            "id": added.id.to_string(),
            "owner_id": added.owner.to_string(),
            "key": added.key.expose_secret(),
            "signing_secret": added.signing_secret.as_ref().map(|secret| secret.expose_secret()),
        }))
    }
}
