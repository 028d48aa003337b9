//! What the command line asks for.

use std::path::PathBuf;

use crate::{outcome::Outcome, place::Kind};

/// How to use the program, for people.
pub(crate) const USAGE: &str = "\
cargo xtask bench [--quick] [--rounds N] [--engine sqlite|postgres] [--only NAME]... [--json FILE]

  --quick        shorter runs, one round, no million of transfers: three minutes at most, figures rough
  --rounds N     rounds that are interleaved and of which the median counts (5; 1 when quick)
  --engine E     one engine only
  --only NAME    one measurement only; may be repeated
                 parts      what each step of a transfer costs, one by one
                 lane       the ledger lane without HTTP, by size of a batch
                 growth     bytes, statements and pages per transfer as the books grow
                 transfers  transfers over HTTPS beside pgbench and SQLite doing the same, one commit each
                 open       latency at a constant rate of arrivals
                 reads      balances over HTTPS beside the HTTPS floor
                 lone       one connection alone beside one flush of the disk
                 logins     logins and refreshes, and what a flood of logins does to everybody else
                 sessions   who calls, remembered, and the question whether anything was revoked
                 start      ready time and idle memory
  --json FILE    where the figures are written (target/bench/<time>.json, and latest.json beside it)
";

/// Where the cluster's superuser is told, as the tests are told.
const URL_VARIABLE: &str = "STRONGROOM_TEST_POSTGRES";

/// All measurements, in the order in which they run.
pub(crate) const NAMES: [&str; 10] = [
    "parts",
    "lane",
    "growth",
    "start",
    "lone",
    "reads",
    "logins",
    "sessions",
    "transfers",
    "open",
];

/// The command line, read.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// URL of the private cluster's superuser.
    pub(crate) postgres: String,
    /// The server's program.
    pub(crate) server: PathBuf,
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    only: Vec<String>,
    engine: Option<Kind>,
    pub(crate) json: Option<PathBuf>,
}

impl Settings {
    /// Reads the environment and the arguments; where the server's program is comes from the verb that started us.
    pub(crate) fn read(args: impl Iterator<Item = String>) -> Outcome<Self> {
        let postgres = std::env::var(URL_VARIABLE);
        let postgres =
            postgres.map_err(|_| "start this by `cargo xtask bench`, which brings a PostgreSQL along")?;
        Self::parse(postgres, args)
    }

    fn parse(postgres: String, mut args: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut settings = Self {
            postgres,
            server: PathBuf::new(),
            quick: false,
            rounds: 0,
            only: Vec::new(),
            engine: None,
            json: None,
        };
        while let Some(arg) = args.next() {
            let mut value = || {
                args.next()
                    .ok_or_else(|| format!("{arg} wants a value\n\n{USAGE}"))
            };
            match arg.as_str() {
                "--server" => settings.server = value()?.into(),
                "--quick" => settings.quick = true,
                "--rounds" => settings.rounds = value()?.parse()?,
                "--json" => settings.json = Some(value()?.into()),
                "--engine" => {
                    settings.engine = Some(match value()?.as_str() {
                        "sqlite" => Kind::Sqlite,
                        "postgres" => Kind::Postgres,
                        other => return Err(format!("no engine is called {other}\n\n{USAGE}").into()),
                    });
                }
                "--only" => {
                    let name = value()?;
                    if !NAMES.contains(&name.as_str()) {
                        return Err(format!("no measurement is called {name}\n\n{USAGE}").into());
                    }
                    settings.only.push(name);
                }
                other => return Err(format!("`{other}` is not known\n\n{USAGE}").into()),
            }
        }
        if settings.rounds == 0 {
            settings.rounds = if settings.quick { 1 } else { 5 };
        }
        Ok(settings)
    }

    /// Whether a measurement is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// The engines asked for.
    pub(crate) fn engines(&self) -> Vec<Kind> {
        self.engine
            .map_or_else(|| vec![Kind::Sqlite, Kind::Postgres], |kind| vec![kind])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Outcome<Settings> {
        Settings::parse(
            "postgres://x".to_owned(),
            args.iter().map(|arg| (*arg).to_owned()),
        )
    }

    #[test]
    fn without_arguments_everything_is_measured_in_five_rounds() {
        let settings = parse(&[]).expect("the defaults are good");
        assert!(settings.rounds == 5 && NAMES.iter().all(|name| settings.wants(name)));
        assert_eq!(settings.engines().len(), 2);
    }

    #[test]
    fn only_keeps_what_it_names() {
        let settings = parse(&["--only", "lane", "--quick"]).expect("a known name");
        assert!(settings.wants("lane") && !settings.wants("reads") && settings.rounds == 1);
    }

    #[test]
    fn a_wrong_name_shows_the_usage() {
        let error = parse(&["--only", "lanes"]).expect_err("there is no such measurement");
        assert!(error.to_string().contains("growth"));
    }
}
