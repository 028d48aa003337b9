//! The nginx of one story, with the file of `deploy/nginx`: only names, addresses and places are changed.

use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    Client, Server,
    browser::Browser,
    programs::{free_port, make_certificates, program},
};

/// The program that `cargo xtask test` found or installed.
const PROGRAM: &str = "STRONGROOM_TEST_NGINX";
/// Where Debian has the module that looks for attacks, and its rules.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so";
const RULES: &str = "/usr/share/modsecurity-crs/rules";
/// Longest start.
const START_SECONDS: u64 = 30;

/// Running in front of two nodes.
#[derive(Debug)]
pub(crate) struct Nginx {
    folder: tempfile::TempDir,
    port: u16,
    plain: u16,
    child: Child,
    looks: bool,
}

fn deployed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy/nginx")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Puts what this machine has in the place of what the file names; everything that is named must be there.
fn put(text: String, what: &str, instead: &str) -> String {
    assert!(text.contains(what), "deploy/nginx says {what} no more");
    text.replace(what, instead)
}

impl Nginx {
    /// Before these nodes; `None` with a notice where there is no nginx.
    pub(crate) fn start(nodes: [&Server; 2]) -> Option<Self> {
        let program = program(PROGRAM)?;
        let folder = tempfile::tempdir().unwrap();
        make_certificates(folder.path());
        let file = |name: &str| folder.path().join(name).display().to_string();
        let authorities: String = nodes.iter().map(|node| node.authority()).collect();
        std::fs::write(file("nodes-ca.pem"), authorities).unwrap();
        let (port, plain) = (free_port(), free_port());
        let address = |node: &Server| node.url().replace("https://localhost:", "127.0.0.1:");
        let mut site = deployed("strongroom.conf");
        for (what, instead) in [
            ("10.0.0.11:8443", address(nodes[0])),
            ("10.0.0.12:8443", address(nodes[1])),
            (
                "listen 443 ssl http2",
                format!("listen 127.0.0.1:{port} ssl http2"),
            ),
            (
                "listen 80 default_server",
                format!("listen 127.0.0.1:{plain} default_server"),
            ),
            ("bank.example", "localhost".to_owned()),
            ("/var/log/nginx/strongroom.log", file("access")),
            ("/var/log/nginx/strongroom-errors.log", file("errors")),
            ("/etc/nginx/strongroom/certificate.pem", file("right.pem")),
            ("/etc/nginx/strongroom/key.pem", file("right.key")),
            ("/etc/nginx/strongroom/nodes-ca.pem", file("nodes-ca.pem")),
        ] {
            site = put(site, what, &instead);
        }
        let looks = Path::new(MODULE).exists() && Path::new(RULES).exists();
        let mut modules = String::new();
        if looks {
            let rules = put(
                deployed("modsecurity.conf"),
                "/var/log/nginx/modsecurity.log",
                &file("attacks"),
            );
            let rules = put(rules, "unicode.mapping", "/etc/nginx/unicode.mapping");
            std::fs::write(file("modsecurity.conf"), rules).unwrap();
            modules = format!("load_module {MODULE};");
            let on = format!(
                "modsecurity on; modsecurity_rules_file {};",
                file("modsecurity.conf")
            );
            site = put(site, "server_tokens off;", &format!("server_tokens off; {on}"));
        } else {
            eprintln!("the Core Rule Set is not installed: nginx runs without it");
        }
        let whole = format!(
            "{modules}\ndaemon off;\nworker_processes 2;\npid {};\nerror_log {} warn;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\nclient_body_temp_path {};\nproxy_temp_path {};\nfastcgi_temp_path {};\nuwsgi_temp_path {};\n\
             scgi_temp_path {};\n{site}\n}}\n",
            file("pid"),
            file("error"),
            file("body"),
            file("proxy"),
            file("fastcgi"),
            file("uwsgi"),
            file("scgi"),
        );
        std::fs::write(file("nginx.conf"), whole).unwrap();
        // Its workers run as somebody else, who has to reach the folder.
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), everybody).unwrap();
        let child = Command::new(program)
            .args(["-c", &file("nginx.conf"), "-p", &file("")])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(file("complaints")).unwrap())
            .spawn()
            .unwrap();
        let mut nginx = Self {
            folder,
            port,
            plain,
            child,
            looks,
        };
        let end = Instant::now() + Duration::from_secs(START_SECONDS);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = nginx.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < end, "{}", nginx.said());
            std::thread::yield_now();
        }
        Some(nginx)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A client from an address of this machine that trusts nginx's certificate.
    pub(crate) fn client_from(&self, address: &str) -> Client {
        let authority = std::fs::read_to_string(self.file("believed.pem")).unwrap();
        let url = format!("https://localhost:{}", self.port);
        Client::from_address(&url, &authority, Some(address.parse().unwrap()))
    }

    /// Somebody who comes without TLS and is led nowhere.
    pub(crate) fn plain_browser(&self) -> Browser {
        Browser::elsewhere(&format!("http://localhost:{}", self.plain))
    }

    /// Whether the Core Rule Set looks at requests.
    pub(crate) fn looks(&self) -> bool {
        self.looks
    }

    /// What it recognised, as it wrote it down.
    pub(crate) fn attacks(&self) -> String {
        std::fs::read_to_string(self.file("attacks")).unwrap_or_default() + &self.said()
    }

    /// A line for each request.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.file("access")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn said(&self) -> String {
        ["complaints", "error", "errors"]
            .map(|name| std::fs::read_to_string(self.file(name)).unwrap_or_default())
            .concat()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A master that is killed leaves its workers behind.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- nginx ---\n{}", self.said());
        }
    }
}
