//! A Redis of one story, with the file of `deploy/redis`: only addresses, places and the password are changed.

use std::{
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    Server,
    programs::{free_port, make_certificates, program},
};

/// The program that `cargo xtask test` found or installed.
const PROGRAM: &str = "STRONGROOM_TEST_REDIS";
/// The password of the bank's login.
pub(crate) const PASSWORD: &str = "redis-canary-4471-of-the-bank";
const KEEPER: &str = "redis-password-of-the-keeper";
/// Longest start.
const START_SECONDS: u64 = 20;

/// The server, or its place while it does not run.
#[derive(Debug)]
pub(crate) struct Redis {
    program: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Redis {
    /// Runs with the certificate that it should have; `None` with a notice where there is no Redis.
    pub(crate) fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        make_certificates(folder.path());
        let mut redis = Self {
            program: program(PROGRAM)?,
            folder,
            port: free_port(),
            child: None,
        };
        redis.resume("right");
        Some(redis)
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Runs with one of the certificates.
    pub(crate) fn resume(&mut self, certificate: &str) {
        assert!(self.child.is_none(), "it runs already");
        let mut settings = include_str!("../../../../../deploy/redis/redis.conf").to_owned();
        // The logins that the file describes, with a password that is known here, and one that may look at everything.
        let described = |start: &str| {
            let line = settings.lines().find_map(|line| line.strip_prefix(start));
            let line = line.unwrap_or_else(|| panic!("deploy/redis says no more {start}"));
            format!("{}{line}\n", start.trim_start_matches(['#', ' ']))
        };
        let bank = described("#   user bank ").replace("#SHA256-OF-THE-PASSWORD", &format!(">{PASSWORD}"));
        assert!(bank.contains(PASSWORD), "{bank}");
        let logins = described("#   user default ") + &bank + &format!("user keeper on >{KEEPER} ~* +@all\n");
        std::fs::write(self.file("users.acl"), logins).unwrap();
        for (what, instead) in [
            ("bind 10.0.0.21", "bind 127.0.0.1".to_owned()),
            ("tls-port 6379", format!("tls-port {}", self.port)),
            (
                "/etc/redis/certificate.pem",
                self.file(&format!("{certificate}.pem")),
            ),
            ("/etc/redis/key.pem", self.file(&format!("{certificate}.key"))),
            ("/etc/redis/ca.pem", self.file("believed.pem")),
            ("/etc/redis/users.acl", self.file("users.acl")),
        ] {
            assert!(settings.contains(what), "deploy/redis says {what} no more");
            settings = settings.replace(what, &instead);
        }
        settings.push_str(&format!("dir {}\n", self.folder.path().display()));
        std::fs::write(self.file("redis.conf"), settings).unwrap();
        let child = Command::new(&self.program)
            .arg(self.file("redis.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let end = Instant::now() + Duration::from_secs(START_SECONDS);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < end, "Redis starts in time");
            std::thread::yield_now();
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Tells a server to count here from its next start on.
    pub(crate) fn count_for(&self, server: &mut Server) {
        self.count_for_login(server, PASSWORD);
    }

    /// The same with another password.
    pub(crate) fn count_for_login(&self, server: &mut Server, password: &str) {
        let url = format!("rediss://bank:{password}@localhost:{}", self.port);
        server.set("STRONGROOM_REDIS__URL", &url);
        server.set("STRONGROOM_REDIS__CA_FILE", &self.file("believed.pem"));
    }

    /// What Redis answers whoever may do everything.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args([
                "--tls",
                "--no-auth-warning",
                "-h",
                "localhost",
                "--user",
                "keeper",
            ])
            .args([
                "--cacert",
                &self.file("believed.pem"),
                "-p",
                &self.port.to_string(),
            ])
            .args(words)
            .env("REDISCLI_AUTH", KEEPER)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
