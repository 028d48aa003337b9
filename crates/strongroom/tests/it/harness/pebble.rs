//! A certificate directory of one story: Debian's `pebble`, with names that lead where the story says.
//!
//! Whenever it starts it is a new directory: another root, no accounts. It refuses nonces that are right by itself.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use reqwest::Certificate;
use serde_json::json;
use tokio::net::TcpStream;

use super::{
    Server,
    programs::{free_port, make_certificates, program},
    until,
};

/// The program that `cargo xtask test` found or installed.
const PROGRAM: &str = "STRONGROOM_TEST_PEBBLE";
/// The one beside it that answers for every name.
const NAMES: &str = "pebble-challtestsrv";
/// Nonces that are right and refused, of a hundred.
const NONCES_REFUSED: &str = "15";
/// An account that the bank has there already, and its key.
const ACCOUNT: (&str, &str) = (
    "the-bank",
    "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W",
);

/// The directory, or its place while it does not run.
#[derive(Debug)]
pub(crate) struct Pebble {
    program: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    management: u16,
    names_port: u16,
    child: Option<Child>,
    names: Option<Child>,
}

impl Pebble {
    /// Runs for a server, whose certificates will live for so many seconds; `None` with a notice where there is none.
    pub(crate) async fn start(server: &Server, seconds: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        make_certificates(folder.path());
        let mut pebble = Self {
            program: program(PROGRAM)?,
            folder,
            port: free_port(),
            management: free_port(),
            names_port: free_port(),
            child: None,
            names: None,
        };
        let (_, tls) = server.url().trim_end_matches('/').rsplit_once(':').unwrap();
        let settings = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{}", pebble.port),
            "managementListenAddress": format!("127.0.0.1:{}", pebble.management),
            "certificate": pebble.file("right.pem"),
            "privateKey": pebble.file("right.key"),
            "httpPort": 1,
            "tlsPort": tls.parse::<u16>().unwrap(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": true,
            "externalAccountMACKeys": {ACCOUNT.0: ACCOUNT.1},
            "certificateValidityPeriod": seconds,
        }});
        fs::write(pebble.file("pebble.json"), settings.to_string()).unwrap();
        pebble.lead_to(Ipv4Addr::LOCALHOST).await;
        pebble.resume().await;
        Some(pebble)
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Every name leads there from now on.
    pub(crate) async fn lead_to(&mut self, place: Ipv4Addr) {
        if let Some(mut child) = self.names.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let at = format!("127.0.0.1:{}", self.names_port);
        let management = format!("127.0.0.1:{}", free_port());
        let child = Command::new(self.program.with_file_name(NAMES))
            .args(["-dns01", &at, "-management", &management])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-defaultIPv4", &place.to_string(), "-defaultIPv6", ""])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.names = Some(child);
        reached(self.names_port).await;
    }

    /// Runs again, as a new directory.
    pub(crate) async fn resume(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = fs::File::create(self.file("log")).unwrap();
        let child = Command::new(&self.program)
            .args(["-strict", "-config", &self.file("pebble.json")])
            .args(["-dnsserver", &format!("127.0.0.1:{}", self.names_port)])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", NONCES_REFUSED)
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        reached(self.port).await;
        reached(self.management).await;
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Its root of now.
    pub(crate) async fn root(&self) -> Certificate {
        let believed = fs::read(self.file("believed.pem")).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(&believed).unwrap()])
            .resolve(
                "localhost",
                (IpAddr::V4(Ipv4Addr::LOCALHOST), self.management).into(),
            )
            .build()
            .unwrap();
        let root = format!("https://localhost:{}/roots/0", self.management);
        let answer = client.get(root).send().await.unwrap();
        Certificate::from_pem(&answer.bytes().await.unwrap()).unwrap()
    }

    /// What it wrote since it runs.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap()
    }

    /// Tells a server to have its certificates from here from its next start on.
    pub(crate) fn certify(&self, server: &mut Server) {
        let directory = format!("https://localhost:{}/dir", self.port);
        for (name, value) in [
            ("STRONGROOM_SERVER__TLS", "acme"),
            ("STRONGROOM_ACME__DIRECTORY_URL", &directory),
            ("STRONGROOM_ACME__CONTACT", "certificates@bank.example"),
            ("STRONGROOM_ACME__TERMS_AGREED", "true"),
            ("STRONGROOM_ACME__CA_FILE", &self.file("believed.pem")),
            ("STRONGROOM_ACME__EAB_KEY_ID", ACCOUNT.0),
            ("STRONGROOM_ACME__EAB_KEY", ACCOUNT.1),
            ("STRONGROOM_ACME__RETRY_SECONDS", "1"),
        ] {
            server.set(name, value);
        }
    }
}

/// Waits until somebody listens there.
async fn reached(port: u16) {
    let listens = async || TcpStream::connect(("127.0.0.1", port)).await.is_ok();
    until("the directory listens", listens).await;
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.kill();
        if let Some(mut names) = self.names.take() {
            names.kill().unwrap();
            names.wait().unwrap();
        }
        if std::thread::panicking() {
            eprintln!("--- log of the directory ---\n{}", self.log());
        }
    }
}
