//! The rsyslog of one story: syslog over TLS alone, every message into a file as it came.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::{
    Server,
    programs::{free_port, make_certificates, program},
};

/// The program that `cargo xtask test` found or installed.
const PROGRAM: &str = "STRONGROOM_TEST_RSYSLOG";
/// Longest wait for a message, tries included.
const WAIT_SECONDS: u64 = 60;

/// The collector, or its place while it does not run.
#[derive(Debug)]
pub(crate) struct Rsyslog {
    program: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Rsyslog {
    /// A place for one; `None` with a notice where there is no rsyslog.
    pub(crate) fn place() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        make_certificates(folder.path());
        Some(Self {
            program: program(PROGRAM)?,
            folder,
            port: free_port(),
            child: None,
        })
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Runs with one of the certificates.
    pub(crate) fn start(&mut self, certificate: &str) {
        self.start_with(certificate, "");
    }

    /// Runs so that it reads at once and writes its first messages alone.
    pub(crate) fn start_forgetful(&mut self) {
        let seldom = "main_queue(queue.type=\"LinkedList\" queue.dequeueBatchSize=\"1\" \
                      queue.dequeueSlowDown=\"600000000\")\n";
        self.start_with("right", seldom);
    }

    fn start_with(&mut self, certificate: &str, queue: &str) {
        assert!(self.child.is_none(), "it runs already");
        let settings = format!(
            "{queue}global(workDirectory=\"{}\" maxMessageSize=\"64k\" defaultNetstreamDriver=\"ossl\" \
               defaultNetstreamDriverCAFile=\"{}\" defaultNetstreamDriverCertFile=\"{}\" \
               defaultNetstreamDriverKeyFile=\"{}\")\n\
             module(load=\"imtcp\" streamDriver.name=\"ossl\" streamDriver.mode=\"1\" streamDriver.authMode=\"anon\")\n\
             input(type=\"imtcp\" port=\"{}\" address=\"127.0.0.1\")\n\
             template(name=\"whole\" type=\"string\" string=\"%rawmsg%\\n\")\n\
             template(name=\"parts\" type=\"string\" \
               string=\"%pri% %protocol-version% %hostname% %app-name% %msgid%\\n\")\n\
             action(type=\"omfile\" file=\"{}\" template=\"parts\")\n\
             action(type=\"omfile\" file=\"{}\" template=\"whole\")\n",
            self.folder.path().display(),
            self.file("believed.pem"),
            self.file(&format!("{certificate}.pem")),
            self.file(&format!("{certificate}.key")),
            self.port,
            self.file("parts"),
            self.file("taken"),
        );
        std::fs::write(self.file("rsyslog.conf"), settings).unwrap();
        let child = Command::new(&self.program)
            .args(["-n", "-f", &self.file("rsyslog.conf"), "-i", &self.file("pid")])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.file("complaints")).unwrap())
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Tells a server to bring its events here from its next start on.
    pub(crate) fn collect_from(&self, server: &mut Server, format: &str) {
        for (name, value) in [
            ("SIEM__HOST", "localhost"),
            ("SIEM__PORT", &self.port.to_string()),
            ("SIEM__CA_FILE", &self.file("believed.pem")),
            ("SIEM__FORMAT", format),
            ("LOG__FORMAT", "json"),
        ] {
            server.set(&format!("STRONGROOM_{name}"), value);
        }
    }

    /// All messages, as they came.
    pub(crate) fn taken(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.file("taken")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What it understood of their heads.
    pub(crate) fn heads(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.file("parts")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The events of all messages, where they are JSON; every number once.
    pub(crate) fn events(&self) -> Vec<Value> {
        let mut seen = BTreeSet::new();
        let mut events: Vec<Value> = self
            .taken()
            .iter()
            .filter_map(|line| serde_json::from_str(line.get(line.find('{')?..)?).ok())
            .collect();
        events.retain(|event| seen.insert(event["metadata"]["uid"].as_str().unwrap_or_default().to_owned()));
        events
    }

    /// Waits until it has so many different events of a kind, and not more.
    pub(crate) async fn has(&self, kind: &str, number: usize) {
        let count = || {
            let events = self.events();
            events
                .iter()
                .filter(|event| event["metadata"]["event_code"] == kind)
                .count()
        };
        let enough = async {
            while count() < number {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let came = tokio::time::timeout(Duration::from_secs(WAIT_SECONDS), enough).await;
        assert!(
            came.is_ok() && count() == number,
            "{} of {number} {kind}",
            count()
        );
    }

    /// Waits for a message with this text.
    pub(crate) async fn message_with(&self, text: &str) -> String {
        let found = async {
            loop {
                if let Some(line) = self.taken().into_iter().find(|line| line.contains(text)) {
                    return line;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(WAIT_SECONDS), found)
            .await
            .unwrap_or_else(|_| panic!("no {text} in {:?}", self.taken()))
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!(
                "{}",
                std::fs::read_to_string(self.file("complaints")).unwrap_or_default()
            );
        }
    }
}
