//! `pgbench` on the private cluster: sixteen clients, prepared statements, a commit and nine round trips per transfer.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Executor, Row};

use super::{ACCOUNTS, Managed};
use crate::{
    cpu,
    draw::Spread,
    outcome::Outcome,
    place::{Kind, Place},
};

/// What each account has at first: more than a measurement can spend.
const OPENING: i64 = 1_000_000_000;
const CLIENTS: &str = "16";
const THREADS: &str = "2";
const TRANSFER: &str = include_str!("transfer.pgbench");
const HOT: &str = include_str!("hot.pgbench");
const SCHEMA: &str = include_str!("schema.postgres.sql");
/// Lines of the script that draw the accounts.
const DRAWING: usize = 3;

/// The rival's database, and its scripts.
pub(crate) struct Pgbench {
    place: Place,
    uniform: PathBuf,
    hot: PathBuf,
    url: String,
}

impl Pgbench {
    pub(crate) async fn make(cluster: &str) -> Outcome<Self> {
        let place = Place::make(Kind::Postgres, cluster).await?;
        let mut root = place.root().await?;
        root.execute(SCHEMA).await?;
        let fill = format!(
            "INSERT INTO accounts (id, balance) SELECT n, {OPENING} FROM generate_series(1, {ACCOUNTS}) n; ANALYZE"
        );
        root.execute(AssertSqlSafe(fill)).await?;
        let (uniform, hot) = (place.folder().join("uniform"), place.folder().join("hot"));
        // As literals: a variable would travel as text and be read again for every transfer.
        let script = TRANSFER
            .replace(":fingerprint", &format!("'\\x{}'", "5a".repeat(56)))
            .replace(":details", &format!("'\\x{}'", "a5".repeat(32)));
        std::fs::write(&uniform, &script)?;
        let rest = script.lines().skip(DRAWING).collect::<Vec<_>>().join("\n");
        std::fs::write(&hot, format!("{HOT}{rest}\n"))?;
        let url = place.root_url(cluster)?;
        Ok(Self {
            place,
            uniform,
            hot,
            url,
        })
    }

    /// Runs for so long and checks the sums.
    pub(crate) async fn run(&self, spread: Spread, time: Duration) -> Outcome<Managed> {
        self.place.settle().await?;
        let script = if spread == Spread::Hot {
            &self.hot
        } else {
            &self.uniform
        };
        let mut command = self.command()?;
        command
            .args([
                "--no-vacuum",
                "--protocol=prepared",
                "--client",
                CLIENTS,
                "--jobs",
                THREADS,
            ])
            .args(["--define", &format!("accounts={ACCOUNTS}")])
            .args(["--time", &time.as_secs().max(1).to_string()])
            .arg("--file")
            .arg(script)
            .stdin(Stdio::null());
        let (start, server, us) = (Instant::now(), self.place.server_cpu(), children());
        // Nothing else runs in this process meanwhile: there is nothing to keep alive.
        let output = command.output()?;
        let used = self.place.server_cpu().saturating_sub(server) + children().saturating_sub(us);
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(format!("pgbench failed: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let figure = |name: &str| -> Outcome<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let word = line.and_then(|rest| rest.split_whitespace().next());
            Ok(word
                .ok_or_else(|| format!("pgbench did not tell `{name}`"))?
                .parse()?)
        };
        let done = figure("number of transactions actually processed: ")?;
        if figure("number of failed transactions: ")? > 0.0 {
            return Err("transactions of pgbench failed".into());
        }
        self.check_sums().await?;
        let managed = Managed {
            rate: figure("tps = ")?,
            mean_ms: figure("latency average = ")?,
            cpu_us: used.as_secs_f64() * 1e6 / done.max(1.0),
        };
        debug_assert!(start.elapsed() >= time.min(Duration::from_secs(1)));
        Ok(managed)
    }

    /// The program with the way to the database; the password is on no command line.
    fn command(&self) -> Outcome<Command> {
        let options: sqlx::postgres::PgConnectOptions = self.url.parse()?;
        let mut command = Command::new("pgbench");
        let (_, rest) = self
            .url
            .split_once("://")
            .ok_or("the cluster's URL has no scheme")?;
        let (login, _) = rest.split_once('@').ok_or("the cluster's URL names no login")?;
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        command
            .env("PGHOST", options.get_host())
            .env("PGPORT", options.get_port().to_string())
            .env("PGUSER", user)
            .env("PGPASSWORD", password)
            .env("PGDATABASE", options.get_database().unwrap_or("postgres"));
        Ok(command)
    }

    async fn check_sums(&self) -> Outcome<()> {
        let mut root = self.place.root().await?;
        let row = root
            .fetch_one(
                "SELECT (SELECT sum(balance)::bigint FROM accounts), (SELECT coalesce(sum(amount), 0)::bigint FROM entries), \
                 (SELECT count(*) FROM transfers) * 2 - (SELECT count(*) FROM entries)",
            )
            .await?;
        let (money, entries, lines): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if money == OPENING * i64::try_from(ACCOUNTS)? && entries == 0 && lines == 0 {
            Ok(())
        } else {
            Err("pgbench left books that do not balance".into())
        }
    }

    pub(crate) async fn remove(self) -> Outcome<()> {
        self.place.remove().await
    }
}

/// CPU time of the children that this process has waited for.
fn children() -> Duration {
    cpu::of_waited_for(std::process::id())
}
