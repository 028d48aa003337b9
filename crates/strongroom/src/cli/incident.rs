//! `strongroom incident`: what can be done against an incident from the host.

use std::{io::Write, net::IpAddr, sync::Arc};

use clap::{Args, Subcommand};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_app::{
    Bank, Error,
    security::incident_actions::{Deed, IncidentAction},
};
use strongroom_domain::id::{AccountId, ApiKeyId, IncidentActionId};

use super::{Common, Outcome, administer::administer};
use crate::control::Request;

/// Most actions that are listed.
const LISTED_MAX: u32 = 100;

/// Verbs of an incident.
#[derive(Debug, Subcommand)]
pub(super) enum Incident {
    /// Move no money until it is lifted
    ReadOnly(TakeCommand<Reason>),
    /// Make everybody log in again
    EndSessions(TakeCommand<Reason>),
    /// Freeze an account on behalf of the bank
    FreezeAccount(TakeCommand<OnAccount>),
    /// Take the key of an integration away
    RevokeKey(TakeCommand<OnKey>),
    /// Refuse strangers from a network for a while
    BlockNetwork(TakeCommand<OnNetwork>),
    /// Take `read-only` or `block-network` back
    Lift(TakeCommand<Lift>),
    /// List what was done
    List(TakeCommand<List>),
}

/// Arguments of every verb.
#[derive(Debug, Args)]
pub(super) struct TakeCommand<T: Args> {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    what: T,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Why.
#[derive(Debug, Clone, Args)]
pub(super) struct Reason {
    /// Why, in a line
    #[arg(long)]
    reason: String,
}

/// An account, and why.
#[derive(Debug, Clone, Args)]
pub(super) struct OnAccount {
    /// The id of the account
    #[arg(long)]
    account: String,
    /// Why, in a line
    #[arg(long)]
    reason: String,
}

/// A key, and why.
#[derive(Debug, Clone, Args)]
pub(super) struct OnKey {
    /// The id of the key
    #[arg(long)]
    key: String,
    /// Why, in a line
    #[arg(long)]
    reason: String,
}

/// A network, how long, and why.
#[derive(Debug, Clone, Args)]
pub(super) struct OnNetwork {
    /// An address or network in CIDR form
    #[arg(long)]
    network: String,
    /// How long, in minutes
    #[arg(long, default_value_t = 60)]
    minutes: u32,
    /// Why, in a line
    #[arg(long)]
    reason: String,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
pub(crate) struct Lift {
    /// The id of the action
    #[arg(long)]
    id: String,
}

/// All actions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
pub(crate) struct List {}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Take {
    what: What,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    ReadOnly,
    EndSessions,
    FreezeAccount(String),
    RevokeKey(String),
    BlockNetwork(String, u32),
}

impl Incident {
    /// Asks the bank and prints what came of it.
    pub(super) fn run(self) -> Outcome {
        let take = |what, reason| Request::IncidentTake(Take { what, reason });
        let (common, json, request) = match self {
            Self::ReadOnly(it) => (it.common, it.json, take(What::ReadOnly, it.what.reason)),
            Self::EndSessions(it) => (it.common, it.json, take(What::EndSessions, it.what.reason)),
            Self::FreezeAccount(it) => {
                let what = What::FreezeAccount(it.what.account);
                (it.common, it.json, take(what, it.what.reason))
            }
            Self::RevokeKey(it) => {
                let what = What::RevokeKey(it.what.key);
                (it.common, it.json, take(what, it.what.reason))
            }
            Self::BlockNetwork(it) => {
                let what = What::BlockNetwork(it.what.network, it.what.minutes);
                (it.common, it.json, take(what, it.what.reason))
            }
            Self::Lift(it) => (it.common, it.json, Request::IncidentLift(it.what)),
            Self::List(it) => (it.common, it.json, Request::IncidentList(it.what)),
        };
        let value = administer(&common, request)?;
        let mut out = std::io::stdout().lock();
        if json {
            return Ok(writeln!(out, "{value}")?);
        }
        let one = std::slice::from_ref(&value);
        for action in value["data"].as_array().map_or(one, Vec::as_slice) {
            let text = |name: &str| action[name].as_str().unwrap_or_default().to_owned();
            writeln!(
                out,
                "{} {} {} {}",
                text("id"),
                text("action"),
                text("target"),
                text("state")
            )?;
        }
        Ok(())
    }
}

fn shown(done: &IncidentAction) -> Value {
    let state = match done.lifted_at {
        Some(_) => "lifted",
        None => "done",
    };
    json!({"id": done.id.to_string(), "action": done.action.name(), "target": done.target, "state": state,
        "taken_by": done.taken_by, "ends_at": done.ends_at.map(|at| at.to_string())})
}

fn wrong(pointer: &'static str) -> Error {
    Error::field(pointer, "invalid_value", "must be valid")
}

impl Take {
    /// Asks the bank to do it.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let deed = match self.what {
            What::ReadOnly => Deed::ReadOnly,
            What::EndSessions => Deed::EndSessions,
            What::FreezeAccount(id) => {
                Deed::FreezeAccount(AccountId::parse(&id).map_err(|_| wrong("--account"))?)
            }
            What::RevokeKey(id) => Deed::RevokeKey(ApiKeyId::parse(&id).map_err(|_| wrong("--key"))?),
            What::BlockNetwork(network, minutes) => {
                let address = || network.parse::<IpAddr>().ok().map(IpNet::from);
                let network = network.parse().ok().or_else(address);
                let until = bank.clock().now().plus_seconds(i64::from(minutes) * 60);
                Deed::BlockNetwork(network.ok_or_else(|| wrong("--network"))?, until)
            }
        };
        let done = bank.take_incident_action(&cx, deed, &self.reason).await?;
        Ok(shown(&done))
    }
}

impl Lift {
    /// Asks the bank to take it back.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let id = IncidentActionId::parse(&self.id).map_err(|_| wrong("--id"))?;
        bank.lift_incident_action(&cx, id).await?;
        Ok(json!({"id": self.id, "state": "lifted"}))
    }
}

impl List {
    /// Asks the bank for them.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let found = bank.incident_actions(&cx, None, LISTED_MAX).await?;
        Ok(json!({"data": found.iter().map(shown).collect::<Vec<_>>()}))
    }
}
