//! The certified issuer that logins by issuers are tested against: a package of npm's, installed once into the target
//! folder, exactly as its lock file says, without running anything of it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outcome::Outcome;
use crate::run;

/// Tells the tests where it is.
pub(crate) const FOLDER_VARIABLE: &str = "STRONGROOM_TEST_ISSUER";
/// Its files in the repository.
const SOURCE: &str = "crates/strongroom/tests/oidc-provider";
const FILES: [&str; 3] = ["package.json", "package-lock.json", "issuer.mjs"];
/// The oldest Node.js that it runs on.
const NODE_MAJOR_MIN: u32 = 18;

/// The folder with the installed issuer; installs it, and Node.js where we may, when something is missing.
pub(crate) fn find_or_install() -> Outcome<PathBuf> {
    if let Some(folder) = env::var_os(FOLDER_VARIABLE) {
        return Ok(PathBuf::from(folder));
    }
    node()?;
    let folder = run::target_folder()?.join("oidc-provider");
    fs::create_dir_all(&folder)?;
    let source = run::root().join(SOURCE);
    let lock = fs::read(source.join("package-lock.json"))?;
    let installed = folder.join("node_modules").join("oidc-provider").is_dir()
        && fs::read(folder.join("package-lock.json")).is_ok_and(|known| known == lock);
    for file in FILES {
        fs::copy(source.join(file), folder.join(file))?;
    }
    if !installed {
        eprintln!(
            "xtask: installing the certified issuer into {} (this once)",
            folder.display()
        );
        let outcome = npm(&folder);
        if outcome.is_err() {
            // Half of it must not look like all of it the next time.
            let _ = fs::remove_file(folder.join("package-lock.json"));
        }
        outcome?;
    }
    Ok(folder)
}

/// Installs what the lock file of a folder says.
pub(crate) fn npm(folder: &Path) -> Outcome<()> {
    let mut command = Command::new("npm");
    command
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .stdout(std::io::stderr());
    run::succeed(&mut command).map_err(|failure| {
        failure.during("npm could not install what the tests need; it asks the npm registry, once")
    })
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
        for args in [
            &["update", "-qq"][..],
            &["install", "-y", "-qq", "--no-install-recommends", "nodejs", "npm"],
        ] {
            let mut command = Command::new("apt-get");
            command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
            command.stdout(std::io::stderr());
            run::succeed(&mut command).map_err(|failure| {
                failure.during(&format!("apt-get could not install Node.js ({by_hand})"))
            })?;
        }
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
    fn the_major_version_is_read_from_its_line() {
        assert_eq!(major_of("v20.20.2\n"), Some(20));
        assert_eq!(major_of("20.20.2"), None);
        assert_eq!(major_of(""), None);
    }
}
