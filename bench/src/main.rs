//! The benchmark behind `cargo xtask bench`: the server from outside, its parts one by one, and what others would build
//! instead.

mod client;
mod cpu;
mod customers;
mod disk;
mod draw;
mod floor;
mod lane;
mod machine;
mod outcome;
mod parts;
mod place;
mod report;
mod rivals;
mod scenario;
mod server;
mod settings;

use std::{path::PathBuf, process::ExitCode};

use outcome::Outcome;
use report::Report;
use settings::Settings;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(floor::ARGUMENT) {
        return told(floor::serve());
    }
    let mut report = Report::default();
    let outcome = measure(&mut report);
    // What was measured before something failed is shown all the same.
    print!("{}", report.table());
    let missed = report.missed();
    if outcome.is_ok() && missed > 0 {
        eprintln!("bench: {missed} gates were missed");
        return ExitCode::FAILURE;
    }
    told(outcome)
}

fn told(outcome: Outcome<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(report: &mut Report) -> Outcome<()> {
    let settings = Settings::read(std::env::args().skip(1))?;
    // One thread: the generator must not take both cores from the server.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let machine = machine::describe()?;
    let outcome = runtime.block_on(run(&settings, report));
    let folder = PathBuf::from("target").join("bench");
    let file = settings
        .json
        .clone()
        .unwrap_or_else(|| folder.join(format!("{}.json", machine::now())));
    report.write(&file, &machine)?;
    report.write(&folder.join("latest.json"), &machine)?;
    eprintln!("bench: every round is in {}", file.display());
    outcome
}

async fn run(settings: &Settings, report: &mut Report) -> Outcome<()> {
    for name in settings::NAMES {
        if !settings.wants(name) {
            continue;
        }
        eprintln!("bench: {name}");
        match name {
            "parts" => parts::run(settings, report)?,
            "lane" => lane::run(settings, report).await?,
            "growth" => lane::growth(settings, report).await?,
            "start" => scenario::start(settings, report).await?,
            "lone" => scenario::lone(settings, report).await?,
            "reads" => scenario::reads(settings, report).await?,
            "logins" => scenario::logins(settings, report).await?,
            "sessions" => scenario::sessions(settings, report).await?,
            "transfers" => scenario::transfers(settings, report).await?,
            _ => scenario::open(settings, report).await?,
        }
    }
    Ok(())
}
