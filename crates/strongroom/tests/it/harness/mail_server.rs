//! A mail server that nobody here wrote, a process of its own, with certificates that the test chooses.

use crate::harness::wait::{awaited, until};
use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use serde_json::Value;

use super::{
    Server,
    programs::{free_port, make_certificates},
};

/// The folder that `cargo xtask test` installed it into.
const FOLDER: &str = "STRONGROOM_TEST_SMTP";
/// The password that it knows, of `bank`.
pub(crate) const PASSWORD: &str = "mail-server-password";

/// What it offers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    /// TLS after a first exchange.
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// No TLS.
    Plain,
}

/// Authorities and certificates of a test, and a port for its mail server.
#[derive(Debug)]
pub(crate) struct Place {
    folder: tempfile::TempDir,
    port: u16,
}

/// The server, running; ended with its test.
#[derive(Debug)]
pub(crate) struct MailServer {
    child: Child,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Place {
    /// With an authority that Strongroom believes and one that it does not; `None` where no mail server is installed.
    pub(crate) fn new() -> Option<Self> {
        if std::env::var_os(FOLDER).is_none() {
            eprintln!("not run: {FOLDER} names no folder with a mail server");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        make_certificates(folder.path());
        Some(Self {
            folder,
            port: free_port(),
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a server again that sends its mails here.
    pub(crate) async fn send_from(&self, server: &mut Server, implicit: bool) {
        let (port, ca) = (self.port.to_string(), self.file("believed.pem"));
        for (name, value) in [
            ("MAIL__TRANSPORT", "smtp"),
            ("MAIL__FROM", "no-reply@bank.example"),
            ("MAIL__RETRY_SECONDS", "1"),
            ("SMTP__HOST", "localhost"),
            ("SMTP__PORT", &port),
            ("SMTP__TLS", if implicit { "implicit" } else { "starttls" }),
            ("SMTP__CA_FILE", ca.to_str().unwrap()),
            ("SMTP__USERNAME", "bank"),
            ("SMTP__PASSWORD", PASSWORD),
            ("SMTP__TIMEOUT_SECONDS", "5"),
        ] {
            server.set(&format!("STRONGROOM_{name}"), value);
        }
        server.kill();
        server.resume().await;
    }

    /// Starts the mail server with one of the certificates.
    pub(crate) fn start(&self, mode: Mode, certificate: &str) -> MailServer {
        let mode = match mode {
            Mode::StartTls => "starttls",
            Mode::Implicit => "implicit",
            Mode::Plain => "plain",
        };
        let mut child = Command::new("node")
            .args(["server.mjs", &self.port.to_string(), mode])
            .arg(self.file(&format!("{certificate}.pem")))
            .arg(self.file(&format!("{certificate}.key")))
            .current_dir(std::env::var(FOLDER).unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("the mail server starts").unwrap();
        assert!(first.contains("port"), "{first}");
        let taken = Arc::new(Mutex::new(Vec::new()));
        let into = taken.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                into.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        MailServer { child, taken }
    }
}

impl MailServer {
    /// All mails that it took.
    pub(crate) fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }

    /// Waits for a mail to an address that holds this text, and gives it.
    pub(crate) async fn mail_with(&self, email: &str, text: &str) -> Value {
        let is_it = |mail: &&Value| {
            mail["to"][0] == email
                && mail["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(text))
        };
        awaited("a mail", async || self.taken().iter().find(is_it).cloned()).await
    }
}

/// Waits until the server's log says so.
pub(crate) async fn logged(server: &Server, text: &str) {
    until(text, async || server.logged().contains(text)).await;
}
