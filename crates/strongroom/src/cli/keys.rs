//! `strongroom keys`: the keys of the ring, and new ones, from the host. What the host asks for an administrator
//! decides, as for everybody else.

use std::{io::Write, sync::Arc};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_app::{
    Bank, Error, Purpose,
    keys::rotation::{KeyLine, not_rotated},
};
use strongroom_domain::time::Timestamp;

use super::{
    Outcome,
    administer::{Asking, asked},
};
use crate::control::Request;

const DAY_SECS: i64 = 24 * 60 * 60;

/// Verbs about the keys of the ring.
#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// List the keys: what they are for and in which state, never what they are
    List(ListCommand),
    /// Ask for a new key; an administrator decides
    Rotate(RotateCommand),
}

/// Arguments of `keys list`.
#[derive(Debug, Args)]
pub(super) struct ListCommand {
    #[command(flatten)]
    asking: Asking,
}

/// Arguments of `keys rotate`.
#[derive(Debug, Args)]
pub(super) struct RotateCommand {
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    what: Rotation,
}

/// All keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct All {}

/// A key to be replaced, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
pub(crate) struct Rotation {
    /// What the key is for, as `keys list` calls it
    #[arg(value_name = "PURPOSE")]
    purpose: String,
    /// Why, in a line
    #[arg(long)]
    reason: String,
}

impl Keys {
    /// Asks the bank and prints what came of it.
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::List(command) => command
                .asking
                .ask(Request::KeyList(All {}), |out, value| tell_keys(out, value))
                .map(drop),
            Self::Rotate(command) => command.asking.ask_others(Request::KeyRotate(command.what)),
        }
    }
}

fn tell_keys(out: &mut impl Write, value: &Value) -> Outcome {
    writeln!(
        out,
        "{:>10}  {:12} {:10} {:>5}  {:20} created",
        "kid", "purpose", "state", "days", "algorithm"
    )?;
    for key in value["data"].as_array().into_iter().flatten() {
        let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| key[name].as_i64().unwrap_or_default();
        writeln!(
            out,
            "{:>10}  {:12} {:10} {:>5}  {:20} {}",
            number("kid"),
            text("purpose"),
            text("state"),
            number("age_days"),
            text("algorithm"),
            text("created_at")
        )?;
    }
    Ok(())
}

/// As the API shows it, and its age.
fn shown(line: KeyLine, now: Timestamp) -> Value {
    let info = line.info;
    let created_at = Timestamp::from_micros(info.created_at);
    json!({"kid": info.kid, "purpose": info.purpose.name(), "algorithm": info.purpose.algorithm(),
        "state": info.state.name(), "created_at": created_at.to_string(),
        "active_from": line.active_from.map(|from| from.to_string()),
        "age_days": now.seconds_since(created_at).max(0) / DAY_SECS,
        "rotatable": not_rotated(info.purpose).is_none()})
}

impl All {
    /// Asks the bank for them.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let now = bank.clock().now();
        let found = bank.ring_keys(&cx).await?;
        let data: Vec<Value> = found.into_iter().map(|line| shown(line, now)).collect();
        Ok(json!({"data": data}))
    }
}

impl Rotation {
    /// Asks the bank for it.
    pub(crate) async fn execute(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, Error> {
        let cx = bank.cx_cli(uid).await?;
        let purpose = Purpose::from_name(&self.purpose);
        let approval = bank.ask_for_key_rotation(&cx, purpose, &self.reason).await?;
        Ok(asked(approval))
    }
}
