//! The habits of the repository, one verb each: `cargo xtask test`, `gen`, `tidy`, `bench`, `postgres`.
//!
//! Runs on a machine that has Rust and a C compiler and nothing else; what a verb needs beyond that it finds or
//! installs by itself and says so. Nothing here ends up in the product.

mod bench;
mod detection;
mod fraud;
mod generate;
mod matrix;
mod outcome;
mod peers;
mod postgres;
mod run;
mod signature_clients;
mod soak;
mod steps;
mod stories;
mod tidy;

use std::process::ExitCode;

use outcome::Outcome;

const USAGE: &str = "\
cargo xtask <verb>

  test [--only STEP]... [-p CRATE]... [-- FILTER...]
                     everything that has to pass; with a crate or a filter only the tests
                     steps: tidy fmt clippy deny gen tests
  tidy [RULE...]     the rules of the house that no compiler knows; --wrap breaks comments that are too long
  gen [--check]      write the generated files, or fail when they are out of date
  matrix [--accept]  ask every operation in everybody's name and compare with the table, or write the table anew
  bench [ARG...]     build for release, start a private PostgreSQL, run the benchmark with the arguments
  detection FOLDER   detection and false alarms on public collections, as a table
  fraud FOLDER       the same of the rules about fraud on real histories
  soak [STEPS] [--seed N]
                     every verb in random order against a model, on both engines; 2,000,000 steps each
  postgres           a private PostgreSQL in the foreground, as the tests use it; ends with Ctrl-C
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let verb = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let outcome = match verb.as_str() {
        "test" => steps::test(&rest),
        "tidy" => tidy::verb(&rest),
        "gen" => generate::verb(&rest),
        "matrix" => matrix::verb(&rest),
        "bench" => bench::verb(&rest),
        "detection" => detection::verb(&rest),
        "fraud" => fraud::verb(&rest),
        "soak" => soak::verb(&rest),
        "postgres" => postgres::verb(&rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        "" => Err(format!("no verb given\n\n{USAGE}").into()),
        other => Err(format!("`{other}` is no verb\n\n{USAGE}").into()),
    };
    report(outcome)
}

fn report(outcome: Outcome<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
