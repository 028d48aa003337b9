//! A running server: started, asked, killed, started again on the same data.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};
use strongroom_domain::id::SessionId;

use super::{Client, Engine, place::Database, until};

const BINARY: &str = env!("CARGO_BIN_EXE_strongroom");
/// Longest start, also on a machine that does much else.
const START_SECONDS: u64 = 60;

/// The binary, serving.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its engine.
    pub(crate) engine: Engine,
    folder: tempfile::TempDir,
    database: Option<Arc<Database>>,
    settings: Vec<(String, String)>,
    child: Option<Child>,
    url: String,
    metrics: String,
    listen: String,
    /// Made when somebody first asks, and anew after a start.
    visitor: OnceLock<Client>,
}

/// A session's id as it is written in SQL.
pub(crate) fn literal(engine: Engine, session: &str) -> String {
    let id = SessionId::parse(session).unwrap();
    let digits: String = id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    match engine {
        Engine::Sqlite => format!("x'{digits}'"),
        Engine::Postgres => format!("'{digits}'::uuid"),
    }
}

impl Server {
    /// Starts on new data; `None` where PostgreSQL is asked for and not there.
    pub(crate) async fn start(engine: Engine) -> Option<Self> {
        Self::start_with(engine, &[]).await
    }

    /// Starts on new data with settings beyond the defaults (environment variables).
    pub(crate) async fn start_with(engine: Engine, settings: &[(&str, &str)]) -> Option<Self> {
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Database::create().await?),
        };
        Some(Self::start_on(engine, database, settings).await)
    }

    /// Starts on PostgreSQL on a disk that is soon full; `None` where that cannot be had.
    pub(crate) async fn start_on_small_disk() -> Option<Self> {
        let database = Database::create_on_small_disk().await?;
        Some(Self::start_on(Engine::Postgres, Some(database), super::BUSY).await)
    }

    /// Starts on a database of PostgreSQL that the settings name.
    pub(crate) async fn start_at(settings: &[(&str, &str)]) -> Self {
        Self::start_on(Engine::Postgres, None, settings).await
    }

    /// Makes the schema of the database that the settings name, and nothing else.
    pub(crate) fn migrate_only(settings: &[(&str, &str)]) {
        let folder = tempfile::tempdir().unwrap();
        let ours = |(name, _): &(String, String)| !name.starts_with("STRONGROOM_");
        let output = Command::new(BINARY)
            .env_clear()
            .envs(std::env::vars().filter(ours))
            .envs(settings.iter().copied())
            .arg("migrate")
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    async fn start_on(engine: Engine, database: Option<Database>, settings: &[(&str, &str)]) -> Self {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self {
            engine,
            folder,
            database: database.map(Arc::new),
            settings,
            child: None,
            url: String::new(),
            metrics: String::new(),
            listen: "127.0.0.1:0".to_owned(),
            visitor: OnceLock::new(),
        };
        server.resume().await;
        server
    }

    /// The same, known to clients by the same address, as nodes behind one balancer are; asked at its own.
    pub(crate) async fn start_behind_the_same_name(&self) -> Self {
        let named = ("STRONGROOM_SERVER__PUBLIC_URL".to_owned(), self.url.clone());
        self.start_with_more(vec![named], &free_address()).await
    }

    /// Starts one more on the same PostgreSQL database: own data directory, same keyring.
    pub(crate) async fn start_beside(&self) -> Self {
        self.start_with_more(Vec::new(), "127.0.0.1:0").await
    }

    /// As [`Self::start_behind_the_same_name`], with a copy of the keyring, as on another machine.
    pub(crate) async fn start_with_own_ring(&self) -> Self {
        let folder = self.data().join("copied");
        let copy = folder.join("keyring");
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(self.data().join("keys").join("keyring"), &copy).unwrap();
        let more = [
            ("STRONGROOM_KEYS__FILE", copy.display().to_string()),
            ("STRONGROOM_SERVER__PUBLIC_URL", self.url.clone()),
        ];
        let more = more.map(|(name, value)| (name.to_owned(), value)).to_vec();
        self.start_with_more(more, &free_address()).await
    }

    async fn start_with_more(&self, more: Vec<(String, String)>, listen: &str) -> Self {
        let database = self.database.clone();
        assert!(database.is_some(), "one process owns an embedded database");
        let mut settings = self.settings.clone();
        settings.extend(more);
        let keyring = self.data().join("keys").join("keyring");
        if settings.iter().all(|(name, _)| name != "STRONGROOM_KEYS__FILE") {
            settings.push(("STRONGROOM_KEYS__FILE".to_owned(), keyring.display().to_string()));
        }
        let mut server = Self {
            engine: self.engine,
            folder: tempfile::tempdir().unwrap(),
            database,
            settings,
            child: None,
            url: String::new(),
            metrics: String::new(),
            listen: listen.to_owned(),
            visitor: OnceLock::new(),
        };
        server.resume().await;
        server
    }

    /// Changes a setting (an environment variable) from the next start on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Starts again on the same data and, so that clients and their tokens stay good, on the same port.
    pub(crate) async fn resume(&mut self) {
        self.begin().await;
        until("a server that is ready", async || {
            self.visitor().get("/readyz").await.status == 200
        })
        .await;
    }

    /// The same where nobody can connect yet.
    pub(crate) async fn begin(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        self.visitor.take();
        let mut child = self
            .command()
            .args(["serve", "--listen", &self.listen, "--data-dir"])
            .arg(self.data())
            .stdout(Stdio::piped())
            .stderr(self.log())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        self.child = Some(child);
        let (found, places) = tokio::sync::oneshot::channel();
        // The thread goes on reading, so that the server never waits for its output to be taken.
        std::thread::spawn(move || {
            let (mut found, mut url, mut metrics) = (Some(found), String::new(), String::new());
            for line in lines.map_while(Result::ok) {
                match line.trim().split_once(' ') {
                    Some(("url", place)) => url = place.trim().to_owned(),
                    Some(("metrics", place)) => metrics = place.trim().to_owned(),
                    // Behind both.
                    Some(("data", _)) => {
                        if let Some(found) = found.take() {
                            drop(found.send((url.clone(), metrics.clone())));
                        }
                    }
                    _ => {}
                }
            }
        });
        let places = tokio::time::timeout(Duration::from_secs(START_SECONDS), places).await;
        (self.url, self.metrics) = places
            .expect("the server starts in time")
            .unwrap_or_else(|_| panic!("no start:\n{}", self.logged()));
        // A node behind a shared name prints that name: it is asked where it listens.
        match self.listen.strip_suffix(":0") {
            Some(host) => {
                let (_, port) = self.url.rsplit_once(':').expect("a free port was named");
                self.listen = format!("{host}:{}", port.trim_end_matches('/'));
            }
            None => {
                let (_, port) = self.listen.rsplit_once(':').expect("an address has a port");
                self.url = format!("https://localhost:{port}");
            }
        }
    }

    /// A command of the binary with this server's settings.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command
            .env_clear()
            .envs(std::env::vars().filter(|(name, _)| !name.starts_with("STRONGROOM_")));
        command.current_dir(self.folder.path());
        command.env("STRONGROOM_METRICS__LISTEN", "127.0.0.1:0");
        if let Some(database) = &self.database {
            command.env("STRONGROOM_DATABASE__URL", &database.url);
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a verb of the command line on this server's data directory and gives what it printed.
    pub(crate) fn cli(&self, arguments: &[&str]) -> (bool, String, String) {
        let output = self
            .command()
            .args(arguments)
            .arg("--data-dir")
            .arg(self.data())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Everything that the server wrote to its log.
    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn log(&self) -> Stdio {
        let path = self.folder.path().join("log");
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap()
            .into()
    }

    /// A client that trusts this server's local authority and nobody else.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url, &self.authority())
    }

    /// As [`Self::client`], with connections that everybody shares who comes this way: for what is about no connection.
    /// A handshake costs more than most requests.
    pub(crate) fn visitor(&self) -> Client {
        self.visitor.get_or_init(|| self.client()).clone()
    }

    /// The same from another loopback address, which is another stranger to the server.
    pub(crate) fn client_from(&self, address: &str) -> Client {
        Client::from_address(&self.url, &self.authority(), Some(address.parse().unwrap()))
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What the server has counted under this name since it was started; 0 where it never did.
    pub(crate) async fn counted(&self, name: &str) -> u64 {
        let page = reqwest::get(&self.metrics).await.unwrap().text().await.unwrap();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |count| count.parse().unwrap())
    }

    pub(crate) fn authority(&self) -> String {
        std::fs::read_to_string(self.data().join("tls").join("ca.pem")).unwrap()
    }

    /// Where outgoing mails lie.
    pub(crate) fn outbox(&self) -> PathBuf {
        self.data().join("outbox")
    }

    /// The test's database, on PostgreSQL.
    pub(crate) fn database(&self) -> Option<&Database> {
        self.database.as_deref()
    }

    /// Changes rows as the owner of the database could, while the server is down; how many, statement by statement.
    pub(crate) async fn change_while_down(&mut self, statements: &[String]) -> Vec<u64> {
        assert_eq!(self.stop().await, Some(0));
        let mut changed = Vec::with_capacity(statements.len());
        match self.database() {
            None => {
                let options = SqliteConnectOptions::new().filename(self.data().join("strongroom.db"));
                let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
                for sql in statements {
                    let done = connection.execute(AssertSqlSafe(sql.as_str())).await;
                    changed.push(done.unwrap().rows_affected());
                }
                connection.close().await.unwrap();
            }
            Some(database) => {
                let mut connection = database.connect().await;
                for sql in statements {
                    let done = connection.execute(AssertSqlSafe(sql.as_str())).await;
                    changed.push(done.unwrap().rows_affected());
                }
            }
        }
        self.resume().await;
        changed
    }

    /// Runs a statement as the owner of the database could, under the running server.
    pub(crate) async fn as_owner(&self, sql: &str) {
        match self.database() {
            None => {
                let options = SqliteConnectOptions::new().filename(self.data().join("strongroom.db"));
                let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
                connection.execute(AssertSqlSafe(sql)).await.unwrap();
                connection.close().await.unwrap();
            }
            Some(database) => {
                let mut connection = database.connect().await;
                connection.execute(AssertSqlSafe(sql)).await.unwrap();
            }
        }
    }

    /// Ends the process at once, as a power cut would (`SIGKILL`).
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Asks the process to end (`SIGTERM`) and gives its exit code.
    pub(crate) async fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        let done = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .unwrap();
        assert!(done.success());
        tokio::task::spawn_blocking(move || child.wait().unwrap().code())
            .await
            .unwrap()
    }

    /// The most memory that the process ever held, in MiB.
    pub(crate) fn memory_peak_mib(&self) -> u64 {
        let id = self.child.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        peak.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    }

    /// The folder that the server runs in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}", self.logged());
        }
    }
}

/// An address that nobody listens on. Whoever takes it in between makes the start fail, and nothing else.
fn free_address() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}
