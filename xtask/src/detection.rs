//! `cargo xtask detection FOLDER`: detection and false alarms on public collections, as a table.

use crate::outcome::Outcome;
use crate::run;

/// Where the measuring test finds the collections; what has to be in the folder is said there.
const FOLDER_VARIABLE: &str = "STRONGROOM_DETECTION_CORPUS";

/// Measures with the collections in the folder.
pub(crate) fn verb(args: &[String]) -> Outcome<()> {
    let [folder] = args else {
        return Err("`cargo xtask detection` needs the folder of the collections; \
                    crates/guard/tests/corpus/main.rs says what has to be in it"
            .into());
    };
    let test = [
        "test",
        "--package",
        "strongroom-guard",
        "--test",
        "corpus",
        "--",
        "--nocapture",
    ];
    run::succeed(run::cargo().args(test).env(FOLDER_VARIABLE, folder))
}
