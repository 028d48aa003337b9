//! `strongroom grant`: who holds which role of the bank. What the host asks for an administrator decides; what it takes
//! away ends at once.

use std::{io::Write, sync::Arc};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_app::{Bank, Cx, Error, authority::grants::GiveRole};
use strongroom_domain::{department::Department, id::UserId, principal::Role, time::Timestamp};

use super::{
    Outcome,
    administer::{Asking, asked},
};
use crate::control::Request;

/// Verbs about roles of people.
#[derive(Debug, Subcommand)]
pub(super) enum Grant {
    /// List the roles of a person
    List(ListCommand),
    /// Ask for a role to be given to an operator; an administrator decides
    Add(AddCommand),
    /// Take a role away at once
    Take(TakeCommand),
}

/// Arguments of `grant list`.
#[derive(Debug, Args)]
pub(super) struct ListCommand {
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    whose: Whose,
}

/// Arguments of `grant add`.
#[derive(Debug, Args)]
pub(super) struct AddCommand {
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    add: Add,
}

/// Arguments of `grant take`.
#[derive(Debug, Args)]
pub(super) struct TakeCommand {
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    take: Take,
}

/// Whose roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
pub(crate) struct Whose {
    /// The address that the person logs in with
    #[arg(long)]
    email: String,
}

/// A role to be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
pub(crate) struct Add {
    /// The address that the person logs in with
    #[arg(long)]
    email: String,
    /// admin, teller, support, compliance or auditor
    #[arg(long)]
    role: String,
    /// The end, RFC 3339; for good when absent
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The only department that it is to count in, for support and teller; everywhere when absent
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    department: Option<String>,
}

/// A role to be taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
pub(crate) struct Take {
    /// The address that the person logs in with
    #[arg(long)]
    email: String,
    /// Which role
    #[arg(long)]
    role: String,
}

impl Grant {
    /// Asks the bank and prints what came of it.
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::List(command) => command
                .asking
                .ask(Request::GrantList(command.whose), |out, value| {
                    for grant in value["data"].as_array().into_iter().flatten() {
                        let text = |name: &str| grant[name].as_str().unwrap_or("for good").to_owned();
                        writeln!(out, "{:10} {}", text("role"), text("expires_at"))?;
                    }
                    Ok(())
                })
                .map(drop),
            Self::Add(command) => command.asking.ask_others(Request::GrantAdd(command.add)),
            Self::Take(command) => command.asking.tell(
                Request::GrantTake(command.take),
                "The role is taken away from the next request on.",
            ),
        }
    }
}

async fn person(bank: &Arc<Bank>, cx: &Cx, email: &str) -> Result<UserId, Error> {
    let found = bank.users(cx, Some(email), None, 1).await?;
    let found = found.first().ok_or_else(Error::not_found)?;
    Ok(found.profile.id)
}

fn role(name: &str) -> Result<Role, Error> {
    Role::parse(name)
        .filter(|role| role.is_operator())
        .ok_or_else(|| Error::field("/role", "invalid_value", "must be the role of an operator"))
}

impl Whose {
    /// Asks the bank for them.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let person = person(bank, &cx, &self.email).await?;
        let grants = bank.grants(&cx, person).await?;
        let data: Vec<Value> = grants
            .into_iter()
            .map(|grant| {
                let end = grant.expires_at.map(|end| end.to_string());
                json!({"id": grant.id.to_string(), "role": grant.role.name(), "expires_at": end})
            })
            .collect();
        Ok(json!({"data": data}))
    }
}

impl Add {
    /// Asks the bank for it.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let until = self.until.as_deref().map(Timestamp::parse).transpose();
        let known = |name: &str| {
            let wrong = || {
                Error::field(
                    "/department",
                    "invalid_value",
                    "must be lower-case letters, digits, hyphens",
                )
            };
            Department::parse(name).ok_or_else(wrong)
        };
        let wanted = GiveRole {
            user: person(bank, &cx, &self.email).await?,
            role: role(&self.role)?,
            expires_at: until.map_err(|_| Error::field("/until", "invalid_value", "must be RFC 3339"))?,
            department: self.department.as_deref().map(known).transpose()?,
        };
        let approval = bank.ask_for_grant(&cx, wanted).await?;
        Ok(asked(approval))
    }
}

impl Take {
    /// Asks the bank for it.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let (person, role) = (person(bank, &cx, &self.email).await?, role(&self.role)?);
        let grants = bank.grants(&cx, person).await?;
        let held = grants.iter().find(|grant| grant.role == role);
        let held = held.ok_or_else(Error::not_found)?.id;
        bank.take_grant(&cx, person, held).await?;
        Ok(json!({"status": "taken"}))
    }
}
