//! A running server: started, asked, killed, started again on the same data.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use super::{Client, Engine, place::Database};

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
    listen: String,
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
            listen: "127.0.0.1:0".to_owned(),
        };
        server.resume().await;
        server
    }

    /// Starts one more on the same PostgreSQL database: own data directory, same keyring.
    pub(crate) async fn start_beside(&self) -> Self {
        let database = self.database.clone();
        assert!(database.is_some(), "one process owns an embedded database");
        let mut settings = self.settings.clone();
        let keyring = self.data().join("keys").join("keyring");
        settings.push(("STRONGROOM_KEYS__FILE".to_owned(), keyring.display().to_string()));
        let mut server = Self {
            engine: self.engine,
            folder: tempfile::tempdir().unwrap(),
            database,
            settings,
            child: None,
            url: String::new(),
            listen: "127.0.0.1:0".to_owned(),
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
        assert!(self.child.is_none(), "it runs already");
        let mut child = self
            .command()
            .args(["serve", "--listen", &self.listen, "--data-dir"])
            .arg(self.data())
            .env("STRONGROOM_METRICS__LISTEN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(self.log())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        self.child = Some(child);
        let (found, url) = tokio::sync::oneshot::channel();
        // The thread goes on reading, so that the server never waits for its output to be taken.
        std::thread::spawn(move || {
            let mut found = Some(found);
            for line in lines.map_while(Result::ok) {
                if let Some(url) = line.trim().strip_prefix("url ")
                    && let Some(found) = found.take()
                {
                    drop(found.send(url.trim().to_owned()));
                }
            }
        });
        let url = tokio::time::timeout(Duration::from_secs(START_SECONDS), url).await;
        self.url = url
            .expect("the server starts in time")
            .unwrap_or_else(|_| panic!("no start:\n{}", self.logged()));
        if let Some((_, port)) = self.url.rsplit_once(':') {
            self.listen = format!("127.0.0.1:{}", port.trim_end_matches('/'));
        }
        let ready = self.client().get("/readyz").await;
        assert_eq!(ready.status, 200, "{ready:?}");
    }

    /// A command of the binary with this server's settings.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command
            .env_clear()
            .envs(std::env::vars().filter(|(name, _)| !name.starts_with("STRONGROOM_")));
        command.current_dir(self.folder.path());
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

    /// The same from another loopback address, which is another stranger to the server.
    pub(crate) fn client_from(&self, address: &str) -> Client {
        Client::from_address(&self.url, &self.authority(), Some(address.parse().unwrap()))
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
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
