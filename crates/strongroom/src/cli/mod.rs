//! The command line. A verb is a file here: its arguments, and what it does with them.

mod administer;
pub(crate) mod api_key;
pub(crate) mod audit;
mod audit_export;
mod config;
pub(crate) mod customer;
mod demo;
mod errors;
mod events;
pub(crate) mod grant;
mod import;
pub(crate) mod incident;
pub(crate) mod keys;
mod migrate;
mod openapi;
pub(crate) mod operator;
mod passwords;
pub(crate) mod policy;
pub(crate) mod policy_tries;
mod receipt;
mod serve;
mod witness;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

use crate::{config::Sources, process};

/// How a verb ends.
pub(crate) type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Strongroom: a secure banking and payments backend in one binary.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, about, propagate_version = true)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the server
    Serve(serve::Serve),
    /// Run the server on a demo data directory with a sample bank
    Demo(demo::Demo),
    /// Look at the configuration
    #[command(subcommand)]
    Config(config::Config),
    /// Run the pending migrations of the database
    Migrate(migrate::Migrate),
    /// Make operators
    #[command(subcommand)]
    Operator(operator::Operator),
    /// Write, check and ask for policies, or put one out of force
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Give and take roles of operators
    #[command(subcommand)]
    Grant(grant::Grant),
    /// Bring in customers
    #[command(subcommand)]
    Customer(customer::Customer),
    /// Prepare what passwords are checked against
    #[command(subcommand)]
    Passwords(passwords::Passwords),
    /// Make keys for integrations
    #[command(subcommand)]
    ApiKey(api_key::ApiKey),
    /// Verify the audit log and the books
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Follow the audit log of a server elsewhere, and cosign it
    #[command(subcommand)]
    Witness(witness::WitnessVerb),
    /// Act against an incident
    #[command(subcommand)]
    Incident(incident::Incident),
    /// List the keys of the ring, and ask for new ones
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Verify receipts
    #[command(subcommand)]
    Receipt(receipt::ReceiptVerb),
    /// Replay real histories through the API and compare
    #[command(subcommand)]
    Import(import::Import),
    /// Print the OpenAPI document
    Openapi,
    /// Print the error reference
    Errors,
    /// Print the catalogue of security events and alerts
    Events,
}

/// Where the configuration comes from; most verbs take these.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The configuration file; without it `strongroom.toml` in the current directory, if there is one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory
    #[arg(long, value_name = "DIR", default_value = "strongroom-data")]
    pub data_dir: PathBuf,
}

impl Common {
    /// The sources of a configuration, with flags on top.
    pub(crate) fn sources(&self, flags: Vec<(&'static str, &'static str, String)>) -> Sources {
        sources(self.config.as_deref(), flags)
    }
}

/// The file in the current directory when nobody names another.
const FILE_DEFAULT: &str = "strongroom.toml";

fn sources(file: Option<&Path>, flags: Vec<(&'static str, &'static str, String)>) -> Sources {
    let file = match file {
        Some(path) => (path.to_owned(), true),
        None => (FILE_DEFAULT.into(), false),
    };
    // A variable that is not UTF-8 is none of ours, or will fail as the value it is taken for.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .collect();
    Sources {
        file: Some(file),
        variables,
        flags,
    }
}

/// Reads the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    let command = Command::parse();
    let outcome = process::harden()
        .map_err(Into::into)
        .and_then(|()| match command.verb {
            Verb::Serve(verb) => verb.run(),
            Verb::Demo(verb) => verb.run(),
            Verb::Config(verb) => verb.run(),
            Verb::Migrate(verb) => verb.run(),
            Verb::Operator(verb) => verb.run(),
            Verb::Policy(verb) => verb.run(),
            Verb::Grant(verb) => verb.run(),
            Verb::Customer(verb) => verb.run(),
            Verb::Passwords(verb) => verb.run(),
            Verb::ApiKey(verb) => verb.run(),
            Verb::Audit(verb) => verb.run(),
            Verb::Witness(verb) => verb.run(),
            Verb::Incident(verb) => verb.run(),
            Verb::Keys(verb) => verb.run(),
            Verb::Receipt(verb) => verb.run(),
            Verb::Import(verb) => verb.run(),
            Verb::Openapi => openapi::run(),
            Verb::Errors => errors::run(),
            Verb::Events => events::run(),
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&*error);
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes, each said once.
fn report(error: &(dyn Error + 'static)) {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    eprintln!("strongroom: {text}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Command::command().debug_assert();
    }

    #[test]
    fn serve_takes_the_flags_of_the_contract() {
        let line = [
            "strongroom",
            "serve",
            "--config",
            "a.toml",
            "--data-dir",
            "d",
            "--listen",
            "127.0.0.1:1",
        ];
        let Verb::Serve(serve) = Command::try_parse_from(line).unwrap().verb else {
            panic!("another verb")
        };
        assert_eq!(serve.common.data_dir, Path::new("d"));
        assert!(Command::try_parse_from(["strongroom", "config", "check", "--json"]).is_ok());
    }
}
