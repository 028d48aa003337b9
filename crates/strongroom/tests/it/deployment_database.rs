//! PostgreSQL with the settings of `deploy/`, started for real: a bank runs on it with its three logins, over TLS that
//! it verifies, and nobody comes in otherwise.

use std::{
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::harness::{
    BUSY, Server, awaited,
    people::{new_key, transfer_body},
    programs::{free_port, make_certificates},
};

/// Where `cargo xtask test` found `initdb` and `postgres`.
const PROGRAMS: &str = "STRONGROOM_TEST_POSTGRES_PROGRAMS";
const PASSWORD: &str = "a-password-of-a-story";
/// What somebody writes who should be in no log.
const CANARY: &str = "canary-memo-4711";

/// A cluster of this story.
struct Cluster {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    child: Option<Child>,
}

/// Whoever may run PostgreSQL: not root.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

fn id_of_postgres() -> u32 {
    let id = Command::new("id").args(["-u", "postgres"]).output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().parse().unwrap()
}

/// The lines of `pg_hba.conf` that the deployed file asks for, for this machine.
fn admitted(deployed: &str) -> String {
    let lines = deployed.lines().filter_map(|line| {
        let line = line.strip_prefix("#   ")?;
        line.starts_with("host")
            .then(|| line.replace("10.0.0.11", "127.0.0.1"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl Cluster {
    fn place() -> Option<Self> {
        let Some(programs) = std::env::var_os(PROGRAMS) else {
            eprintln!("not run: {PROGRAMS} names no folder with PostgreSQL");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        Some(Self {
            folder,
            programs: programs.into(),
            port: free_port(),
            child: None,
        })
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    }

    async fn start(&mut self) {
        let deployed = include_str!("../../../../deploy/postgresql/strongroom.conf");
        let own = self.folder.path().join("own");
        std::fs::create_dir(&own).unwrap();
        make_certificates(self.folder.path());
        for (from, to) in [("right.pem", "certificate.pem"), ("right.key", "key.pem")] {
            std::fs::copy(self.file(from), own.join(to)).unwrap();
            std::fs::set_permissions(own.join(to), PermissionsExt::from_mode(0o600)).unwrap();
        }
        std::fs::write(own.join("password"), PASSWORD).unwrap();
        if is_root() {
            let id = id_of_postgres();
            for path in ["", "certificate.pem", "key.pem", "password"].map(|name| own.join(name)) {
                chown(&path, Some(id), None).unwrap();
            }
        }
        let data = self.file("own/data");
        let mut initdb = self.command("initdb");
        let made = initdb.args([
            "-D",
            &data,
            "-U",
            "postgres",
            "-A",
            "scram-sha-256",
            "--pwfile",
            &self.file("own/password"),
        ]);
        assert!(made.stdout(Stdio::null()).status().unwrap().success());
        let settings = deployed
            .replace("10.0.0.31", "127.0.0.1")
            .replace("/etc/postgresql/strongroom", &self.file("own"));
        // The story's own: the port, and whoever sets the cluster up comes in by a file.
        let more = format!(
            "{settings}\nport = {}\nunix_socket_directories = '{}'\n",
            self.port,
            self.file("own")
        );
        let conf = Path::new(&data).join("postgresql.auto.conf");
        let hba = format!("{}\nlocal all postgres scram-sha-256\n", admitted(deployed));
        assert_eq!(hba.matches("hostssl").count(), 3, "{hba}");
        std::fs::write(conf, more).unwrap();
        std::fs::write(Path::new(&data).join("pg_hba.conf"), hba).unwrap();
        let log = std::fs::File::create(self.file("log")).unwrap();
        let mut postgres = self.command("postgres");
        postgres.args(["-D", &data]).stdout(Stdio::null()).stderr(log);
        self.child = Some(postgres.spawn().unwrap());
    }

    fn inside(&self, database: &str) -> String {
        let socket = self.file("own").replace('/', "%2F");
        format!("postgres://postgres:{PASSWORD}@{socket}:{}/{database}", self.port)
    }

    fn url(&self, login: &str, mode: &str) -> String {
        format!(
            "postgres://strongroom_{login}_login:{PASSWORD}@localhost:{}/strongroom?sslmode={mode}&sslrootcert={}",
            self.port,
            self.file("believed.pem")
        )
    }

    /// As an administrator does once.
    async fn set_up(&self) {
        let mut root = awaited("a database", async || {
            PgConnection::connect(&self.inside("postgres")).await.ok()
        })
        .await;
        for sql in [
            format!("CREATE ROLE strongroom_owner_login LOGIN CREATEROLE PASSWORD '{PASSWORD}'"),
            format!("CREATE ROLE strongroom_ledger_login LOGIN NOINHERIT PASSWORD '{PASSWORD}'"),
            format!("CREATE ROLE strongroom_app_login LOGIN NOINHERIT PASSWORD '{PASSWORD}'"),
            "CREATE DATABASE strongroom OWNER strongroom_owner_login".to_owned(),
        ] {
            root.execute(AssertSqlSafe(sql)).await.unwrap();
        }
    }

    async fn give_roles(&self) {
        let mut root = PgConnection::connect(&self.inside("postgres")).await.unwrap();
        for sql in [
            "GRANT strongroom_app, strongroom_reader TO strongroom_app_login",
            "GRANT strongroom_ledger_writer TO strongroom_ledger_login",
        ] {
            root.execute(sql).await.unwrap();
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.file("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(self.file("own/data/postmaster.pid")).unwrap_or_default();
        if let (Some(pid), Some(mut child)) = (pid.lines().next(), self.child.take()) {
            // Its own word for an end at once; `runuser` ends with it.
            let _ = Command::new("kill").args(["-QUIT", pid]).status();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of the database ---\n{}", self.log());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_runs_on_the_deployed_settings_and_nobody_comes_in_without_tls() {
    let Some(mut cluster) = Cluster::place() else {
        return;
    };
    cluster.start().await;
    cluster.set_up().await;
    let verified = "verify-full";
    let (app, ledger) = (cluster.url("app", verified), cluster.url("ledger", verified));
    let owner = cluster.url("owner", verified);
    let mut settings = BUSY.to_vec();
    settings.push(("STRONGROOM_DATABASE__URL", &app));
    settings.push(("STRONGROOM_DATABASE__LEDGER_URL", &ledger));
    settings.push(("STRONGROOM_DATABASE__MIGRATE_URL", &owner));
    Server::migrate_only(&settings);
    cluster.give_roles().await;
    let server = Server::start_at(&settings).await;
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let (from, to) = (alice.account("Savings").await, bob.account("Shop").await);
    let teller = server.operator("teller").await;
    teller.deposit(&from, 10_000).await.expect(201);
    let mut body = transfer_body(&from, &to, 100);
    body["description"] = json!(CANARY);
    let key = new_key();
    let path = "/api/v1/transfers";
    let client = &alice.client;
    let request = client
        .request(reqwest::Method::POST, path)
        .header("Idempotency-Key", &key);
    client.send(request.json(&body)).await.expect(201);

    // What the ledger needs is so, and the connections of the bank are encrypted.
    let mut root = PgConnection::connect(&cluster.inside("strongroom"))
        .await
        .unwrap();
    for (name, value) in [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("ssl_min_protocol_version", "TLSv1.2"),
        ("password_encryption", "scram-sha-256"),
        ("log_statement", "none"),
    ] {
        let row = root
            .fetch_one(AssertSqlSafe(format!("SHOW {name}")))
            .await
            .unwrap();
        assert_eq!(row.get::<String, _>(0), value, "{name}");
    }
    let plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE application_name = 'strongroom' AND NOT ssl";
    assert_eq!(root.fetch_one(plain).await.unwrap().get::<i64, _>(0), 0);
    let all = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl";
    assert!(root.fetch_one(all).await.unwrap().get::<i64, _>(0) > 1);

    // Nobody comes in without TLS, with another password, or as the superuser from the network.
    for (url, why) in [
        (cluster.url("app", "disable"), "no pg_hba.conf entry"),
        (
            cluster.url("app", verified).replace(PASSWORD, "another"),
            "password authentication failed",
        ),
        (
            cluster
                .url("app", verified)
                .replace("strongroom_app_login", "postgres"),
            "no pg_hba.conf entry",
        ),
        (
            cluster.url("app", verified).replace("/strongroom?", "/postgres?"),
            "no pg_hba.conf entry",
        ),
    ] {
        let refused = tokio::time::timeout(Duration::from_secs(20), PgConnection::connect(&url)).await;
        let refused = refused.unwrap().unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    PgConnection::connect(&cluster.url("app", verified))
        .await
        .unwrap();
    // A server that is not the named one is not talked to.
    let elsewhere = cluster
        .url("app", verified)
        .replace("believed.pem", "stranger.pem");
    PgConnection::connect(&elsewhere).await.unwrap_err();

    // What goes wrong is on the log, without values.
    let wrong = "SELECT * FROM users WHERE full_name = $1";
    sqlx::query(wrong)
        .bind(CANARY)
        .execute(&mut root)
        .await
        .unwrap_err();
    let log = cluster.log();
    assert!(log.contains("full_name") && !log.contains(CANARY), "{log}");
    assert!(!log.contains(&alice.email), "{log}");
}
