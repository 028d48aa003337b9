//! `strongroom policy simulate`, `explain` and `diff`: what would be decided, why something was, and what would change.
//! Nothing of it is kept.

use std::{io::Write, path::PathBuf, sync::Arc};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_app::{
    Bank, Cx, Error,
    authority::{
        policies::Draft,
        policy::{Explanation, Question},
    },
};
use strongroom_domain::id::DecisionId;

use super::{Outcome, administer::Asking};
use crate::control::Request;

/// Name of a text that is only tried, where none is given.
const TRIED: &str = "tried";

/// Arguments of `policy simulate`.
#[derive(Debug, Args)]
pub(super) struct SimulateCommand {
    #[command(flatten)]
    asking: Asking,
    /// The request, as the API takes it: `principal`, `action`, `resource`, `context` in JSON
    #[arg(long, value_name = "FILE")]
    question: PathBuf,
    /// A text, in Cedar, that is taken as if it was in force
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The policy in whose place that text stands
    #[arg(long, requires = "file")]
    name: Option<String>,
}

/// Arguments of `policy explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainCommand {
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    what: Explain,
}

/// A request that nobody makes.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Simulate {
    question: Question,
    /// Name and text of a draft.
    draft: Option<(String, String)>,
}

/// A recorded decision.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq, Args)]
pub(crate) struct Explain {
    /// The id of the decision
    #[arg(value_name = "ID")]
    decision: String,
}

impl SimulateCommand {
    /// Asks the bank and prints what came of it.
    pub(super) fn run(self) -> Outcome {
        let question = std::fs::read_to_string(&self.question)?;
        let text = self.file.map(std::fs::read_to_string).transpose()?;
        let name = self.name.unwrap_or_else(|| TRIED.to_owned());
        let asked = Simulate {
            question: serde_json::from_str(&question)?,
            draft: text.map(|text| (name, text)),
        };
        let request = Request::PolicySimulate(Box::new(asked));
        self.asking
            .ask(request, |out, value| tell_explained(out, value))
            .map(drop)
    }
}

impl ExplainCommand {
    /// Asks the bank and prints what came of it.
    pub(super) fn run(self) -> Outcome {
        let request = Request::PolicyExplain(self.what);
        let tell = |out: &mut std::io::StdoutLock<'_>, value: &Value| {
            let text = |name: &str| value[name].as_str().unwrap_or_default();
            writeln!(
                out,
                "{} of {} asked for {}",
                text("id"),
                text("at"),
                text("action")
            )?;
            if value["same"] != true {
                writeln!(
                    out,
                    "Recorded as: {}. Decided again it comes out in another way.",
                    text("recorded")
                )?;
            }
            if value["complete"] != true {
                writeln!(out, "Not all facts are there any more: a person of it left.")?;
            }
            tell_explained(out, value)
        };
        self.asking.ask(request, tell).map(drop)
    }
}

fn tell_explained(out: &mut impl Write, value: &Value) -> Outcome {
    let word = value["decision"].as_str().unwrap_or_default();
    writeln!(out, "{word}, under set {}", value["policy_version"])?;
    for reason in value["reasons"].as_array().into_iter().flatten() {
        writeln!(out, "because of  {}", reason.as_str().unwrap_or_default())?;
    }
    for policy in value["applicable"].as_array().into_iter().flatten() {
        let text = |name: &str| policy[name].as_str().unwrap_or_default();
        writeln!(out, "could apply {} ({})", text("name"), text("effect"))?;
    }
    for (name, fact) in value["facts"].as_object().into_iter().flatten() {
        writeln!(out, "fact        {name} = {fact}")?;
    }
    Ok(())
}

/// Prints what would come out in another way.
pub(super) fn tell_difference(out: &mut impl Write, value: &Value) -> Outcome {
    let changed = value["changed"].as_array().map_or(&[][..], Vec::as_slice);
    for decision in changed {
        let text = |name: &str| decision[name].as_str().unwrap_or_default();
        writeln!(
            out,
            "{}  {} -> {}",
            text("decision_id"),
            text("before"),
            text("after")
        )?;
    }
    let (many, of) = (changed.len(), &value["examined"]);
    Ok(writeln!(
        out,
        "{many} of {of} recorded decisions would come out in another way."
    )?)
}

fn word(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}

/// Why it comes out as it does, as the API tells it.
fn explained(allowed: bool, version: i64, explanation: Explanation) -> Value {
    let applicable: Vec<Value> = explanation
        .applicable
        .into_iter()
        .map(|(name, effect)| json!({"name": name, "effect": effect}))
        .collect();
    json!({"decision": word(allowed), "policy_version": version, "reasons": explanation.verdict.reasons,
        "failed": explanation.verdict.failed, "applicable": applicable, "facts": explanation.facts})
}

impl Simulate {
    /// Asks the bank.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let draft = self.draft.map(|(name, text)| Draft {
            name,
            text,
            cases: Vec::new(),
        });
        let found = bank.simulate(&cx, &self.question, draft.as_ref()).await?;
        let allowed = found.explanation.verdict.allowed;
        Ok(explained(allowed, found.version.into(), found.explanation))
    }
}

impl Explain {
    /// Asks the bank.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let id = DecisionId::parse(&self.decision)
            .map_err(|_| Error::field("/id", "invalid_value", "must be the id of a decision"))?;
        let again = bank.decide_again(&cx, id).await?;
        let row = again.decision;
        let mut value = explained(again.allowed, row.version, again.explanation);
        value["id"] = json!(row.id.to_string());
        value["at"] = json!(row.at.to_string());
        value["action"] = json!(row.action);
        value["recorded"] = json!(word(row.allowed));
        value["same"] = json!(again.allowed == row.allowed);
        value["complete"] = json!(again.is_complete);
        Ok(value)
    }
}

/// What would come out in another way with a text in force.
pub(super) async fn difference(bank: &Arc<Bank>, cx: &Cx, draft: &Draft) -> Result<Value, Error> {
    let found = bank.compare_policy(cx, draft).await?;
    let changed: Vec<Value> = found
        .changed
        .iter()
        .map(|changed| {
            let (before, after) = (word(changed.before), word(changed.after));
            json!({"decision_id": changed.decision.to_string(), "before": before, "after": after})
        })
        .collect();
    Ok(json!({"examined": found.examined, "changed": changed}))
}
