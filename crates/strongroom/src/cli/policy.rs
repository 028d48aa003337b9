//! `strongroom policy`: what an administrator does with policies, from the host; and the way back where a policy locks
//! everybody out. What the host asks to be put in force an administrator decides, as for everybody else.

use std::{io::Write, path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_app::{
    Bank, Cx, Error,
    authority::{policies::Draft, policy::Case},
};
use strongroom_domain::id::PolicyId;

use super::{Common, Outcome, administer::administer};
use crate::control::Request;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Most policies that are listed.
const LISTED_MAX: u32 = 500;

/// Verbs about policies of the bank's own.
#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// List policies
    List(ListCommand),
    /// Tell what is wrong with a text
    Validate(TextCommand),
    /// Keep a text as a draft, or as a further revision of a policy that is there
    Draft(TextCommand),
    /// Ask for a policy to be put in force with its newest text; an administrator decides
    Activate(NameCommand),
    /// Ask for a policy to go back to an earlier text; an administrator decides
    Rollback(RollbackCommand),
    /// Put a policy out of force at once, without the approval of another
    Deactivate(NameCommand),
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

/// Arguments of `policy validate` and `policy draft`.
#[derive(Debug, Args)]
pub(super) struct TextCommand {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    name: Name,
    /// The text, in Cedar
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Test cases, as the API takes them: a JSON array
    #[arg(long, value_name = "FILE")]
    tests: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `policy rollback`.
#[derive(Debug, Args)]
pub(super) struct RollbackCommand {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    name: Name,
    /// Number of the text
    #[arg(long)]
    revision: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `policy activate` and `policy deactivate`.
#[derive(Debug, Args)]
pub(super) struct NameCommand {
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

/// A text with its cases.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Text {
    name: String,
    text: String,
    tests: Vec<Case>,
    /// Whether it is kept.
    keeps: bool,
}

/// A text to be put in force.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Activation {
    name: String,
    /// The newest when absent.
    revision: Option<i64>,
}

impl TextCommand {
    fn read(self, keeps: bool) -> Result<(Common, Text, bool), Failure> {
        let tests = self.tests.map(std::fs::read_to_string).transpose()?;
        let tests = tests.map(|text| serde_json::from_str(&text)).transpose()?;
        let text = Text {
            name: self.name.name,
            text: std::fs::read_to_string(&self.file)?,
            tests: tests.unwrap_or_default(),
            keeps,
        };
        Ok((self.common, text, self.json))
    }
}

/// Prints what came of a text.
fn tell_text(out: &mut impl Write, value: &Value) -> Outcome {
    if let Some(revision) = value["revision"].as_i64() {
        return Ok(writeln!(
            out,
            "Kept as revision {revision}. Nothing is decided under it yet."
        )?);
    }
    for error in value["errors"].as_array().into_iter().flatten() {
        writeln!(out, "{}", error.as_str().unwrap_or_default())?;
    }
    for case in value["tests"].as_array().into_iter().flatten() {
        let word = if case["passed"] == true {
            "passed"
        } else {
            "FAILED"
        };
        writeln!(out, "{word}  {}", case["name"].as_str().unwrap_or_default())?;
    }
    let word = if value["valid"] == true {
        "The text could be in force."
    } else {
        "The text cannot be in force."
    };
    Ok(writeln!(out, "{word}")?)
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
            Self::Validate(command) => {
                let (common, text, json) = command.read(false)?;
                let value = administer(&common, Request::PolicyText(text))?;
                if json {
                    writeln!(out, "{value}")?;
                } else {
                    tell_text(&mut out, &value)?;
                }
                if value["valid"] != true {
                    return Err("the text cannot be in force".into());
                }
            }
            Self::Draft(command) => {
                let (common, text, json) = command.read(true)?;
                let value = administer(&common, Request::PolicyText(text))?;
                if json {
                    return Ok(writeln!(out, "{value}")?);
                }
                tell_text(&mut out, &value)?;
            }
            Self::Activate(command) => {
                let change = Activation {
                    name: command.name.name,
                    revision: None,
                };
                let value = administer(&command.common, Request::PolicyActivate(change))?;
                tell_asked(&mut out, &value, command.json)?;
            }
            Self::Rollback(command) => {
                let change = Activation {
                    name: command.name.name,
                    revision: Some(command.revision),
                };
                let value = administer(&command.common, Request::PolicyActivate(change))?;
                tell_asked(&mut out, &value, command.json)?;
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

/// Prints that somebody else decides.
pub(super) fn tell_asked(out: &mut impl Write, value: &Value, json: bool) -> Outcome {
    if json {
        return Ok(writeln!(out, "{value}")?);
    }
    let id = value["approval_id"].as_str().unwrap_or_default();
    Ok(writeln!(out, "An administrator has to approve this: {id}")?)
}

/// The policy of that name.
async fn named(bank: &Arc<Bank>, cx: &Cx, name: &str) -> Result<Option<PolicyId>, Error> {
    let all = bank.policies(cx, None, LISTED_MAX).await?;
    Ok(all
        .into_iter()
        .find(|policy| policy.name == name)
        .map(|policy| policy.id))
}

impl Text {
    /// Asks the bank what is wrong with it, or to keep it.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let draft = Draft {
            name: self.name,
            text: self.text,
            cases: self.tests,
        };
        if !self.keeps {
            let found = bank.validate_policy(&cx, &draft).await?;
            let valid = found.errors.is_empty() && found.cases.iter().all(|(_, passed)| *passed);
            let tests: Vec<Value> = found
                .cases
                .into_iter()
                .map(|(name, passed)| json!({"name": name, "passed": passed}))
                .collect();
            return Ok(json!({"valid": valid, "errors": found.errors, "tests": tests}));
        }
        let policy = named(bank, &cx, &draft.name).await?;
        let kept = bank.write_policy(&cx, policy, draft).await?;
        Ok(json!({"id": kept.policy.id.to_string(), "revision": kept.policy.newest}))
    }
}

impl Activation {
    /// Asks the bank for it.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let policy = named(bank, &cx, &self.name).await?.ok_or_else(Error::not_found)?;
        let approval = bank
            .ask_for_policy_change(&cx, policy, true, self.revision)
            .await?;
        Ok(json!({"status": "approval_required", "approval_id": approval.to_string()}))
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
