//! `cargo xtask test`: everything that has to pass, step by step, with all the news of one run at its end.
//!
//! A failed step does not hide the next one. A step whose program is missing is named as not run; with `CI=true` it
//! fails, except the one that is documented as optional.

use std::env;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use crate::outcome::Outcome;
use crate::postgres::{Cluster, URL_VARIABLE};
use crate::{generate, peers, run, signature_clients, stories, tidy};

/// How a step came out when it did not fail.
enum Done {
    Passed,
    /// Its program is not here; the sentence says which.
    NotRun(String),
    /// It passed, but these stories only at the second try.
    Unsteady(Vec<String>),
}

/// A step: its name, what it is, and how it is done.
struct Step {
    name: &'static str,
    does: &'static str,
    run: fn(&Plan) -> Outcome<Done>,
}

/// In order; a cheap one first.
const STEPS: [Step; 6] = [
    Step {
        name: "tidy",
        does: "the rules of the house",
        run: |_| tidy::verb(&[]).map(|()| Done::Passed),
    },
    Step {
        name: "fmt",
        does: "formatting (rustfmt)",
        run: fmt,
    },
    Step {
        name: "clippy",
        does: "lints, warnings are errors",
        run: clippy,
    },
    Step {
        name: "deny",
        does: "licences, bans, advisories (cargo-deny)",
        run: deny,
    },
    Step {
        name: "gen",
        does: "everything builds, generated files are up to date",
        run: gen_check,
    },
    Step {
        name: "tests",
        does: "all tests, on SQLite and a private PostgreSQL",
        run: tests,
    },
];

/// What of it to do.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    only: Vec<String>,
    packages: Vec<String>,
    filters: Vec<String>,
}

impl Plan {
    fn from_args(args: &[String]) -> Outcome<Plan> {
        let mut plan = Plan::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || {
                args.next()
                    .cloned()
                    .ok_or_else(|| format!("`{arg}` needs a name after it"))
            };
            match arg.as_str() {
                "--only" => plan.only.push(value()?),
                "-p" | "--package" => plan.packages.push(value()?),
                "--" => plan.filters.extend(args.by_ref().cloned()),
                other => {
                    return Err(
                        format!("`{other}` is no argument of `test`; filters come after `--`").into(),
                    );
                }
            }
        }
        if let Some(unknown) = plan
            .only
            .iter()
            .find(|name| STEPS.iter().all(|step| step.name != **name))
        {
            let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
            return Err(format!("there is no step `{unknown}`; there are {}", names.join(", ")).into());
        }
        if plan.only.is_empty() && !(plan.packages.is_empty() && plan.filters.is_empty()) {
            plan.only.push("tests".to_owned());
        }
        Ok(plan)
    }

    fn wants(&self, step: &Step) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == step.name)
    }
}

/// Runs the steps and fails when one of them failed.
pub(crate) fn test(args: &[String]) -> Outcome<()> {
    let plan = Plan::from_args(args)?;
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for step in STEPS.iter().filter(|step| plan.wants(step)) {
        eprintln!("xtask: {} — {}", step.name, step.does);
        let started = Instant::now();
        let outcome = (step.run)(&plan);
        let took = shown(started.elapsed());
        let word = match outcome {
            Ok(Done::Passed) => "passed".to_owned(),
            Ok(Done::NotRun(why)) => format!("not run: {why}"),
            Ok(Done::Unsteady(stories)) => {
                format!(
                    "passed; at the second try only, wants mending: {}",
                    stories.join(", ")
                )
            }
            Err(failure) => {
                failed.push(step.name);
                eprintln!("xtask: {} failed: {failure}", step.name);
                "FAILED".to_owned()
            }
        };
        lines.push(format!("  {:<8}{took:>9}  {word}", step.name));
    }
    eprintln!("\nxtask: summary\n{}", lines.join("\n"));
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("failed: {}", failed.join(", ")).into())
    }
}

fn fmt(_: &Plan) -> Outcome<Done> {
    if let Some(missing) = missing_component("fmt", "rustfmt")? {
        return Ok(missing);
    }
    run::succeed(run::cargo().args(["fmt", "--all", "--check"])).map(|()| Done::Passed)
}

fn clippy(_: &Plan) -> Outcome<Done> {
    if let Some(missing) = missing_component("clippy", "clippy")? {
        return Ok(missing);
    }
    let mut command = run::cargo();
    command.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]);
    run::succeed(&mut command).map(|()| Done::Passed)
}

/// A toolchain without rustfmt or clippy is completed where rustup can; otherwise the step is not run, or fails in CI.
fn missing_component(subcommand: &str, component: &str) -> Outcome<Option<Done>> {
    if run::works(run::cargo().args([subcommand, "--version"])) {
        return Ok(None);
    }
    let mut rustup = std::process::Command::new("rustup");
    eprintln!("xtask: {component} is missing; asking rustup for it");
    if run::works(rustup.args(["component", "add", component])) {
        return Ok(None);
    }
    let why = format!("{component} is not installed (`rustup component add {component}`)");
    if in_ci() {
        Err(why.into())
    } else {
        Ok(Some(Done::NotRun(why)))
    }
}

/// `tidy` holds bans and licences without it; what it adds (advisories, duplicates) needs the program and the network,
/// so that it is optional everywhere.
fn deny(_: &Plan) -> Outcome<Done> {
    if run::on_path("cargo-deny").is_none() {
        return Ok(Done::NotRun(
            "cargo-deny is not installed; bans and licences are held by `tidy`".to_owned(),
        ));
    }
    run::succeed(run::cargo().args(["deny", "--workspace", "check", "bans", "licenses", "sources"]))?;
    if run::works(run::cargo().args(["deny", "fetch", "db"])) {
        run::succeed(run::cargo().args(["deny", "--workspace", "check", "--disable-fetch", "advisories"]))?;
    } else {
        eprintln!("xtask: the advisory database is out of reach; advisories were not checked");
    }
    Ok(Done::Passed)
}

fn gen_check(plan: &Plan) -> Outcome<Done> {
    // Built with what the tests need where they follow; alone as `cargo xtask gen` builds it.
    let what = if plan.only.is_empty() {
        generate::BEFORE_TESTS
    } else {
        generate::ALONE
    };
    generate::check_all(&what).map(|()| Done::Passed)
}

fn tests(plan: &Plan) -> Outcome<Done> {
    // Kept until the tests have ended; dropping it stops the server.
    let cluster = if env::var_os(URL_VARIABLE).is_some() {
        eprintln!("xtask: using the PostgreSQL that {URL_VARIABLE} names");
        None
    } else {
        let cluster = Cluster::start(&[])?;
        eprintln!(
            "xtask: PostgreSQL {} runs in {}",
            cluster.major(),
            cluster.folder().display()
        );
        Some(cluster)
    };
    let peers = peers_of(plan)?;
    let command = |args: &[&str]| {
        let mut command = run::cargo();
        if let Some(cluster) = &cluster {
            cluster.export_to(&mut command);
        }
        // Here a missing engine is a failure: half of the tests would otherwise be silent.
        command.env("STRONGROOM_REQUIRE_POSTGRES", "1");
        command.envs(peers.iter().map(|(name, value)| (name, value)));
        command.arg("test").args(args);
        if plan.packages.is_empty() {
            command.arg("--workspace");
        }
        for package in &plan.packages {
            command.args(["--package", package]);
        }
        command
    };
    let mut all = command(&["--no-fail-fast"]);
    if !plan.filters.is_empty() {
        all.arg("--").args(&plan.filters);
    }
    let unsteady = stories::run(&mut all, || {
        let mut again = command(&["--tests", "--no-fail-fast"]);
        again.arg("--");
        again
    })?;
    Ok(if unsteady.is_empty() {
        Done::Passed
    } else {
        Done::Unsteady(unsteady)
    })
}

/// Where others' programs are, by the variables that name them. The stories that talk to them are in one package:
/// whoever runs others needs neither Node.js nor Python.
fn peers_of(plan: &Plan) -> Outcome<Vec<(&'static str, OsString)>> {
    let mut found = Vec::new();
    if plan.packages.is_empty() || plan.packages.iter().any(|package| package == "strongroom") {
        for peer in &peers::PEERS {
            found.push((peer.variable, peer.find_or_install()?.into()));
        }
        for program in &peers::PROGRAMS {
            if let Some(path) = program.find_or_install()? {
                found.push((program.variable, path.into()));
            }
        }
        let clients = signature_clients::find_or_install()?;
        found.push((signature_clients::FOLDER_VARIABLE, clients.into()));
        if let Some(browser) = peers::chromium()? {
            found.push((peers::CHROMIUM_VARIABLE, browser.into()));
        }
    }
    Ok(found)
}

fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false")
}

/// `4.2 s`, from a minute on `3 m 07 s`.
fn shown(took: Duration) -> String {
    if took.as_secs() < 60 {
        return format!("{:.1} s", took.as_secs_f64());
    }
    format!("{} m {:02} s", took.as_secs() / 60, took.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(args: &[&str]) -> Outcome<Plan> {
        Plan::from_args(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    fn wanted(args: &[&str]) -> Vec<&'static str> {
        let plan = plan(args).expect("a plan");
        STEPS
            .iter()
            .filter(|step| plan.wants(step))
            .map(|step| step.name)
            .collect()
    }

    #[test]
    fn without_arguments_every_step_is_wanted() {
        assert_eq!(wanted(&[]).len(), STEPS.len());
    }

    #[test]
    fn a_filter_or_a_crate_means_the_tests_alone() {
        assert_eq!(wanted(&["--", "freeze"]), ["tests"]);
        assert_eq!(wanted(&["-p", "strongroom-store"]), ["tests"]);
        assert_eq!(wanted(&["--only", "tidy", "--only", "fmt"]), ["tidy", "fmt"]);
    }

    #[test]
    fn what_follows_the_dashes_is_passed_on_as_it_is() {
        let plan = plan(&["-p", "a", "--", "--only", "x"]).expect("a plan");
        assert_eq!(plan.filters, ["--only", "x"]);
        assert_eq!(plan.packages, ["a"]);
    }

    #[test]
    fn an_unknown_step_or_argument_is_refused() {
        assert!(plan(&["--only", "everything"]).is_err());
        assert!(plan(&["--only"]).is_err());
        assert!(plan(&["freeze"]).is_err());
    }

    #[test]
    fn durations_are_shown_in_the_unit_a_person_reads() {
        assert_eq!(shown(Duration::from_millis(4_240)), "4.2 s");
        assert_eq!(shown(Duration::from_secs(187)), "3 m 07 s");
    }
}
