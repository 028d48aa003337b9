//! The server under test: its release build, started as anybody starts it, on a data directory of its own.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    client::{Request, Target},
    outcome::Outcome,
    place::Place,
};

/// How long a start may take before it is given up.
const READY_SECS_MAX: u64 = 30;
/// How long it may take to stop.
const STOP_SECS_MAX: u64 = 20;
/// The classes that are under load here.
const CLASSES: [&str; 6] = ["ANONYMOUS", "AUTH", "SESSION", "API_READ", "API_WRITE", "HEALTH"];
const PLENTY: &str = "1000000000/1h";
/// Between two looks whether it is ready.
const LOOK: Duration = Duration::from_millis(1);

/// A running server. It is stopped when the value goes.
pub(crate) struct Server {
    child: Child,
    pub(crate) target: Target,
    /// From the start of the process to the first 200 of `/readyz`.
    pub(crate) ready: Duration,
}

/// A server's program with its data directory.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    data: PathBuf,
    /// The same at every start: tokens are bound to the server's address.
    address: SocketAddr,
    environment: Vec<(&'static str, String)>,
}

impl Program {
    pub(crate) fn new(path: &Path, place: &Place) -> Outcome<Self> {
        Ok(Self {
            path: path.to_owned(),
            data: place.folder().join("data"),
            address: TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?,
            environment: place.environment(),
        })
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// What its clients call it.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// A verb of the command line on this data directory.
    pub(crate) fn verb(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(words)
            .arg("--data-dir")
            .arg(&self.data)
            .envs(
                self.environment
                    .iter()
                    .map(|(name, value)| (*name, value.as_str())),
            )
            // Where the measurement is about the server, its log goes where a service's goes.
            .env("STRONGROOM_LOG__FORMAT", "json")
            .env("STRONGROOM_LOG__LEVEL", "warn")
            .env("STRONGROOM_METRICS__LISTEN", "127.0.0.1:0")
            .env("STRONGROOM_APPROVALS__BOOTSTRAP", "true")
            // Requests are counted as always, only that nobody ever has too many.
            .envs(CLASSES.map(|class| (format!("STRONGROOM_LIMITS__{class}"), PLENTY)))
            .stdin(Stdio::null());
        command
    }

    /// Starts `serve` and waits until it is ready.
    pub(crate) async fn start(&self) -> Outcome<Server> {
        let address = self.address;
        let log = std::fs::File::create(self.data.with_extension("log"))?;
        let begun = Instant::now();
        let child = self
            .verb(&["serve", "--listen", &address.to_string()])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut child = Waiting(Some(child));
        let mut request = Vec::new();
        Request::new("GET", "/readyz", None).empty(&mut request);
        let authority = self.data.join("tls").join("ca.pem");
        while begun.elapsed() < Duration::from_secs(READY_SECS_MAX) {
            if let Some(target) = self.ready(address, &authority, &request).await {
                return Ok(Server {
                    ready: begun.elapsed(),
                    child: child.0.take().ok_or("the server is gone")?,
                    target,
                });
            }
            if let Some(status) = child.0.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                let log = std::fs::read_to_string(self.data.with_extension("log")).unwrap_or_default();
                return Err(format!("the server ended with {status}:\n{log}").into());
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(format!("the server was not ready within {READY_SECS_MAX} s").into())
    }

    async fn ready(&self, address: SocketAddr, authority: &Path, request: &[u8]) -> Option<Target> {
        let target = Target::new(address, authority).ok()?;
        let mut connection = target.connect().await.ok()?;
        let reply = connection.exchange(request).await.ok()?;
        (reply.status == 200).then_some(target)
    }
}

/// A child that is not left behind.
struct Waiting(Option<Child>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it politely and waits until it is gone.
    pub(crate) async fn stop(mut self) -> Outcome<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let pid = pid.ok_or("the server has no process id")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(STOP_SECS_MAX) {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    Err(format!("the server ended with {status}").into())
                };
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err("the server did not stop".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
