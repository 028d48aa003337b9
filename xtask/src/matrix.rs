//! `cargo xtask matrix`: who is answered what, for every operation of the API.
//!
//! The table is `docs/security/authorization-matrix.txt`. Nothing writes it by the way: `gen` does not know it, and a
//! machine that only checks may not accept what it found.

use std::env;

use crate::outcome::Outcome;
use crate::run;

/// Tells the test to write the table in place of comparing it.
const ACCEPT_VARIABLE: &str = "STRONGROOM_MATRIX_ACCEPT";
const TEST: &str = "matrix::sqlite";

/// Compares with the table, or with `--accept` writes it anew for a person to read.
pub(crate) fn verb(args: &[String]) -> Outcome<()> {
    let accept = match args {
        [] => false,
        [flag] if flag == "--accept" => true,
        _ => return Err("`matrix` takes `--accept` or nothing".into()),
    };
    if accept && env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false") {
        return Err("a person accepts the table, not a machine that checks it".into());
    }
    let mut command = run::cargo();
    command.args(["test", "--package", "strongroom", "--test", "it", "--", TEST]);
    command.env_remove(ACCEPT_VARIABLE);
    if accept {
        command.env(ACCEPT_VARIABLE, "1");
    }
    run::succeed(&mut command)?;
    if accept {
        eprintln!("xtask: wrote the table; read its difference as an attacker would");
    }
    Ok(())
}
