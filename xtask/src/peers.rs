//! Programs that others wrote and the tests talk to: packages of npm's, installed once into the target folder, exactly
//! as their lock files say, without running anything of theirs.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outcome::Outcome;
use crate::run;

/// A program to talk to.
pub(crate) struct Peer {
    /// What it is.
    what: &'static str,
    /// Tells the tests where it is.
    pub(crate) variable: &'static str,
    /// The package, and its folder in the repository.
    package: &'static str,
    /// Its own files there.
    files: &'static [&'static str],
}

/// All of them.
pub(crate) const PEERS: [Peer; 3] = [
    Peer {
        what: "the certified issuer",
        variable: "STRONGROOM_TEST_ISSUER",
        package: "oidc-provider",
        files: &["package.json", "package-lock.json", "issuer.mjs"],
    },
    Peer {
        what: "the mail server",
        variable: "STRONGROOM_TEST_SMTP",
        package: "smtp-server",
        files: &["package.json", "package-lock.json", "server.mjs"],
    },
    Peer {
        what: "the driver of a browser",
        variable: "STRONGROOM_TEST_BROWSER",
        package: "playwright-core",
        files: &["package.json", "package-lock.json", "walk.mjs"],
    },
];

/// A program of the distribution.
pub(crate) struct Program {
    /// Tells the tests where it is.
    pub(crate) variable: &'static str,
    name: &'static str,
    /// Files that it needs besides; one folder of a path may be a `*`.
    needs: &'static [&'static str],
    packages: &'static [&'static str],
}

/// Those that tests run beside the server, each on ports of its own.
pub(crate) const PROGRAMS: [Program; 4] = [
    Program {
        variable: "STRONGROOM_TEST_REDIS",
        name: "redis-server",
        needs: &["/usr/bin/redis-cli"],
        packages: &["redis-server", "redis-tools"],
    },
    Program {
        variable: "STRONGROOM_TEST_RSYSLOG",
        name: "rsyslogd",
        // TLS by the library that ends connections as both standards ask for.
        needs: &["/usr/lib/*/rsyslog/lmnsd_ossl.so"],
        packages: &["rsyslog", "rsyslog-openssl"],
    },
    Program {
        variable: "STRONGROOM_TEST_PEBBLE",
        name: "pebble",
        needs: &["/usr/bin/pebble-challtestsrv"],
        packages: &["pebble"],
    },
    Program {
        variable: "STRONGROOM_TEST_NGINX",
        name: "nginx",
        needs: &[
            "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so",
            "/usr/share/modsecurity-crs/rules",
        ],
        packages: &["nginx", "libnginx-mod-http-modsecurity", "modsecurity-crs"],
    },
];

/// Tells the tests where the browser is.
pub(crate) const CHROMIUM_VARIABLE: &str = "STRONGROOM_TEST_CHROMIUM";
/// What it is called, by who packs it.
const CHROMIUM: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// The oldest Node.js that all of them run on.
const NODE_MAJOR_MIN: u32 = 18;

impl Peer {
    /// The folder with the installed program; installs it, and Node.js where we may, when something is missing.
    pub(crate) fn find_or_install(&self) -> Outcome<PathBuf> {
        if let Some(folder) = env::var_os(self.variable) {
            return Ok(PathBuf::from(folder));
        }
        node()?;
        let folder = run::target_folder()?.join(self.package);
        fs::create_dir_all(&folder)?;
        let source = run::root().join("crates/strongroom/tests").join(self.package);
        let lock = fs::read(source.join("package-lock.json"))?;
        let installed = folder.join("node_modules").join(self.package).is_dir()
            && fs::read(folder.join("package-lock.json")).is_ok_and(|known| known == lock);
        for file in self.files {
            fs::copy(source.join(file), folder.join(file))?;
        }
        if !installed {
            eprintln!(
                "xtask: installing {} into {} (this once)",
                self.what,
                folder.display()
            );
            let outcome = npm(&folder, self.what);
            if outcome.is_err() {
                // Half of it must not look like all of it the next time.
                let _ = fs::remove_file(folder.join("package-lock.json"));
            }
            outcome?;
        }
        Ok(folder)
    }
}

impl Program {
    /// Where it is; installs it where we may. Without it the stories that need it say that they did not run.
    pub(crate) fn find_or_install(&self) -> Outcome<Option<PathBuf>> {
        if let Some(path) = env::var_os(self.variable) {
            return Ok(Some(PathBuf::from(path)));
        }
        if self.find().is_none() && run::on_path("apt-get").is_some() {
            eprintln!(
                "{} is not installed as a whole: installing the distribution's packages by apt-get (this once)",
                self.name
            );
            apt_get(self.packages)
                .map_err(|failure| failure.during(&format!("apt-get could not install {}", self.name)))?;
        }
        let found = self.find();
        if found.is_none() {
            eprintln!(
                "xtask: there is no whole {}; stories that need it do not run",
                self.name
            );
        }
        Ok(found)
    }

    /// Where it is, if everything that it needs is there.
    fn find(&self) -> Option<PathBuf> {
        run::on_path(self.name).filter(|_| self.needs.iter().all(|path| is_there(path)))
    }
}

fn is_there(path: &str) -> bool {
    match path.split_once("/*/") {
        None => Path::new(path).exists(),
        Some((folder, rest)) => fs::read_dir(folder).is_ok_and(|entries| {
            entries
                .filter_map(Result::ok)
                .any(|entry| entry.path().join(rest).exists())
        }),
    }
}

/// Installs what the lock file of a folder says.
pub(crate) fn npm(folder: &Path, what: &str) -> Outcome<()> {
    let mut command = Command::new("npm");
    command
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .stdout(std::io::stderr());
    run::succeed(&mut command).map_err(|failure| {
        failure.during(&format!(
            "npm could not install {what}; it needs the npm registry, once"
        ))
    })
}

/// The browser; installs it where we may. Without it the walk through the pages says that it did not run.
pub(crate) fn chromium() -> Outcome<Option<PathBuf>> {
    if let Some(path) = env::var_os(CHROMIUM_VARIABLE) {
        return Ok(Some(PathBuf::from(path)));
    }
    let found = || CHROMIUM.into_iter().find_map(run::on_path);
    if found().is_none() && run::on_path("apt-get").is_some() {
        eprintln!("Chromium is not installed: installing the distribution's package by apt-get (this once)");
        apt_get(&["chromium"]).map_err(|failure| failure.during("apt-get could not install Chromium"))?;
    }
    if found().is_none() {
        eprintln!("xtask: there is no Chromium; nobody walks through the pages");
    }
    Ok(found())
}

fn apt_get(packages: &[&str]) -> Outcome<()> {
    let install = [&["install", "-y", "-qq", "--no-install-recommends"], packages].concat();
    for args in [&["update", "-qq"][..], &install] {
        let mut command = Command::new("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        run::succeed(command.stdout(std::io::stderr()))?;
    }
    Ok(())
}

/// Node.js, installed where we may.
pub(crate) fn node() -> Outcome<()> {
    if run::on_path("node").is_none() || run::on_path("npm").is_none() {
        let by_hand = format!("install Node.js {NODE_MAJOR_MIN} or later with npm and run this again");
        if run::on_path("apt-get").is_none() {
            return Err(
                format!("Node.js is not installed and there is no apt-get to install it: {by_hand}").into(),
            );
        }
        eprintln!("Node.js is not installed: installing the distribution's package by apt-get (this once)");
        apt_get(&["nodejs", "npm"])
            .map_err(|failure| failure.during(&format!("apt-get could not install Node.js ({by_hand})")))?;
    }
    let version = run::stdout_of(Command::new("node").arg("--version"))?;
    match major_of(&version) {
        Some(major) if major >= NODE_MAJOR_MIN => Ok(()),
        _ => Err(format!(
            "Node.js is {}; {NODE_MAJOR_MIN} or later is needed",
            version.trim()
        )
        .into()),
    }
}

/// `v20.20.2` is 20.
fn major_of(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_folder_of_a_path_may_be_any() {
        assert!(is_there("/proc/self/status"));
        assert!(is_there("/proc/*/status"));
        assert!(!is_there("/proc/*/no-such-file"));
        assert!(!is_there("/no-such-folder/*/status"));
    }

    #[test]
    fn the_major_version_is_read_from_its_line() {
        assert_eq!(major_of("v20.20.2\n"), Some(20));
        assert_eq!(major_of("20.20.2"), None);
        assert_eq!(major_of(""), None);
    }
}
