//! `cargo xtask soak [STEPS] [--seed N]`: every verb in random order against the model, on both engines, for as many
//! steps as there is patience for. A failure names its seed; the same seed plays the same steps.

use std::process::Command;

use crate::outcome::Outcome;
use crate::postgres::Cluster;
use crate::run;

/// Steps on each engine where nobody says how many.
const STEPS: u64 = 2_000_000;
const STEPS_VARIABLE: &str = "STRONGROOM_SOAK_OPS";
const SEED_VARIABLE: &str = "STRONGROOM_SOAK_SEED";
const USAGE: &str = "`cargo xtask soak [STEPS] [--seed N]`: both are whole numbers";

/// Plays on a private PostgreSQL and on SQLite.
pub(crate) fn verb(args: &[String]) -> Outcome<()> {
    let (steps, seed) = read(args)?;
    let cluster = Cluster::start(&[])?;
    let test = [
        "test",
        "--release",
        "--package",
        "strongroom-store",
        "--test",
        "it",
        "--",
        "--nocapture",
        "--test-threads=2",
        "soak::",
    ];
    let mut command: Command = run::cargo();
    command.args(test).env(STEPS_VARIABLE, steps.to_string());
    if let Some(seed) = seed {
        command.env(SEED_VARIABLE, seed.to_string());
    }
    cluster.export_to(&mut command);
    run::succeed(&mut command)
}

fn read(args: &[String]) -> Outcome<(u64, Option<u64>)> {
    let (mut steps, mut seed) = (None, None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let slot = if arg == "--seed" { &mut seed } else { &mut steps };
        let text = if arg == "--seed" { args.next() } else { Some(arg) };
        let number = text.and_then(|text| text.replace('_', "").parse().ok());
        if number.is_none() || slot.is_some() {
            return Err(USAGE.into());
        }
        *slot = number;
    }
    Ok((steps.unwrap_or(STEPS), seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(args: &[&str]) -> Option<(u64, Option<u64>)> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        read(&args).ok()
    }

    #[test]
    fn steps_and_seed_are_whole_numbers_said_once() {
        assert_eq!(told(&[]), Some((STEPS, None)));
        assert_eq!(told(&["5_000_000", "--seed", "7"]), Some((5_000_000, Some(7))));
        assert_eq!(told(&["--seed", "7"]), Some((STEPS, Some(7))));
        for wrong in [&["x"][..], &["--seed"], &["1", "2"], &["--seed", "y"]] {
            assert_eq!(told(wrong), None, "{wrong:?}");
        }
    }
}
