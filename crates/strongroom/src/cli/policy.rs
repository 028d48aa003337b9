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

use super::{
    Outcome,
    administer::{Asking, asked},
    policy_tries::{ExplainCommand, SimulateCommand, difference, tell_difference},
};
use crate::control::Request;

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Most policies that are listed.
const LISTED_MAX: u32 = 500;

/// Verbs about policies of the bank's own.
#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// List policies
    List(ListCommand),
    /// Tell what is wrong with a text
    Validate(TextCommand),
    /// Tell what would be decided about a request that nobody makes, and why
    Simulate(SimulateCommand),
    /// Take a recorded decision again, and tell which policies and facts it came from
    Explain(ExplainCommand),
    /// Tell which recorded decisions would come out in another way if a text was in force
    Diff(TextCommand),
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
    asking: Asking,
}

/// Arguments of `policy validate`, `policy draft` and `policy diff`.
#[derive(Debug, Args)]
pub(super) struct TextCommand {
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    name: Name,
    /// The text, in Cedar
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Test cases, as the API takes them: a JSON array
    #[arg(long, value_name = "FILE")]
    tests: Option<PathBuf>,
}

/// Arguments of `policy rollback`.
#[derive(Debug, Args)]
pub(super) struct RollbackCommand {
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    name: Name,
    /// Number of the text
    #[arg(long)]
    revision: i64,
}

/// Arguments of `policy activate` and `policy deactivate`.
#[derive(Debug, Args)]
pub(super) struct NameCommand {
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    name: Name,
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
    use_of: Use,
}

/// What is done with a text.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Use {
    /// It is looked at.
    Validate,
    /// It is kept.
    Keep,
    /// Recorded decisions are taken again with it.
    Diff,
}

impl Text {
    fn draft(self) -> Draft {
        Draft {
            name: self.name,
            text: self.text,
            cases: self.tests,
        }
    }
}

/// A text to be put in force.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Activation {
    name: String,
    /// The newest when absent.
    revision: Option<i64>,
}

impl TextCommand {
    fn read(self, use_of: Use) -> Result<(Asking, Text), Failure> {
        let tests = self.tests.map(std::fs::read_to_string).transpose()?;
        let tests = tests.map(|text| serde_json::from_str(&text)).transpose()?;
        let text = Text {
            name: self.name.name,
            text: std::fs::read_to_string(&self.file)?,
            tests: tests.unwrap_or_default(),
            use_of,
        };
        Ok((self.asking, text))
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
        match self {
            Self::List(command) => command
                .asking
                .ask(Request::PolicyList(All {}), |out, value| {
                    for policy in value["data"].as_array().into_iter().flatten() {
                        let text = |name: &str| policy[name].as_str().unwrap_or_default().to_owned();
                        writeln!(out, "{:8} {}  {}", text("state"), text("id"), text("name"))?;
                    }
                    Ok(())
                })
                .map(drop),
            Self::Validate(command) => {
                let (asking, text) = command.read(Use::Validate)?;
                let value = asking.ask(Request::PolicyText(text), |out, value| tell_text(out, value))?;
                match value["valid"] == true {
                    true => Ok(()),
                    false => Err("the text cannot be in force".into()),
                }
            }
            Self::Simulate(command) => command.run(),
            Self::Explain(command) => command.run(),
            Self::Diff(command) => {
                let (asking, text) = command.read(Use::Diff)?;
                asking
                    .ask(Request::PolicyText(text), |out, value| {
                        tell_difference(out, value)
                    })
                    .map(drop)
            }
            Self::Draft(command) => {
                let (asking, text) = command.read(Use::Keep)?;
                asking
                    .ask(Request::PolicyText(text), |out, value| tell_text(out, value))
                    .map(drop)
            }
            Self::Activate(command) => command.asking.ask_others(Request::PolicyActivate(Activation {
                name: command.name.name,
                revision: None,
            })),
            Self::Rollback(command) => command.asking.ask_others(Request::PolicyActivate(Activation {
                name: command.name.name,
                revision: Some(command.revision),
            })),
            Self::Deactivate(command) => command.asking.tell(
                Request::PolicyDeactivate(command.name),
                "The policy is out of force from the next request on.",
            ),
        }
    }
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
    /// Asks the bank what is wrong with it or would change with it, or to keep it.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let use_of = self.use_of;
        let draft = self.draft();
        match use_of {
            Use::Validate => return validated(bank, &cx, &draft).await,
            Use::Diff => return difference(bank, &cx, &draft).await,
            Use::Keep => {}
        }
        let policy = named(bank, &cx, &draft.name).await?;
        let kept = bank.write_policy(&cx, policy, draft).await?;
        Ok(json!({"id": kept.policy.id.to_string(), "revision": kept.policy.newest}))
    }
}

async fn validated(bank: &Arc<Bank>, cx: &Cx, draft: &Draft) -> Result<Value, Error> {
    let found = bank.validate_policy(cx, draft).await?;
    let valid = found.errors.is_empty() && found.cases.iter().all(|(_, passed)| *passed);
    let tests: Vec<Value> = found
        .cases
        .into_iter()
        .map(|(name, passed)| json!({"name": name, "passed": passed}))
        .collect();
    Ok(json!({"valid": valid, "errors": found.errors, "tests": tests}))
}

impl Activation {
    /// Asks the bank for it.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let policy = named(bank, &cx, &self.name).await?.ok_or_else(Error::not_found)?;
        let approval = bank
            .ask_for_policy_change(&cx, policy, true, self.revision)
            .await?;
        Ok(asked(approval))
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
