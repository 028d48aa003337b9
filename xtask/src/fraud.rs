//! `cargo xtask fraud FOLDER`: detection and false alarms of the rules about fraud on real histories, as a table.

use crate::outcome::Outcome;
use crate::run;

/// Where the measuring test finds the histories; what has to be in the folder is said there.
const FOLDER_VARIABLE: &str = "STRONGROOM_FRAUD_HISTORIES";

/// Measures with the histories in the folder.
pub(crate) fn verb(args: &[String]) -> Outcome<()> {
    let [folder] = args else {
        return Err("`cargo xtask fraud` needs the folder of the histories; \
                    crates/app/tests/fraud.rs says what has to be in it"
            .into());
    };
    let test = [
        "test",
        "--package",
        "strongroom-app",
        "--test",
        "fraud",
        "--",
        "--nocapture",
    ];
    run::succeed(run::cargo().args(test).env(FOLDER_VARIABLE, folder))
}
