//! A mail server that nobody here wrote, a process of its own, with certificates that the test chooses.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;

use super::Server;

/// The folder that `cargo xtask test` installed it into.
const FOLDER: &str = "STRONGROOM_TEST_SMTP";
/// The password that it knows, of `bank`.
pub(crate) const PASSWORD: &str = "mail-server-password";
/// Longest wait for a mail, tries included.
const WAIT_SECONDS: u64 = 60;

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
        for (authority, leaf, name) in [
            ("believed", "right", "localhost"),
            ("stranger", "forged", "localhost"),
        ] {
            let issuer = authority_of(folder.path(), authority);
            certificate(folder.path(), leaf, name, &issuer);
            if authority == "believed" {
                certificate(folder.path(), "elsewhere", "mail.example", &issuer);
            }
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        Some(Self { folder, port })
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
        let found = async {
            loop {
                if let Some(mail) = self.taken().iter().find(is_it) {
                    return mail.clone();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(WAIT_SECONDS), found)
            .await
            .unwrap_or_else(|_| panic!("no mail in time: {:?}", self.taken()))
    }
}

/// Waits until the server's log says so.
pub(crate) async fn logged(server: &Server, text: &str) {
    let said = async {
        while !server.logged().contains(text) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(WAIT_SECONDS), said)
        .await
        .unwrap_or_else(|_| panic!("the log never says {text}"));
}

fn authority_of(folder: &Path, name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), issuer.pem()).unwrap();
    issuer
}

fn certificate(folder: &Path, file: &str, name: &str, issuer: &CertifiedIssuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let made = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, issuer)
        .unwrap();
    std::fs::write(folder.join(format!("{file}.pem")), made.pem()).unwrap();
    std::fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
}
