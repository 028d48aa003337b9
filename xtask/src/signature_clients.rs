//! Clients of HTTP Message Signatures that nobody here wrote: one of PyPI's, one of npm's, installed once into the
//! target folder, exactly as their lock files say.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outcome::Outcome;
use crate::peers::{node, npm};
use crate::run;

/// Tells the tests where they are.
pub(crate) const FOLDER_VARIABLE: &str = "STRONGROOM_TEST_SIGNATURE_CLIENTS";
/// Their files in the repository.
const SOURCE: &str = "crates/strongroom/tests/http-signatures";
const PACKAGE: &str = "package.json";
const CLIENTS: [&str; 2] = ["client.mjs", "client.py"];
/// What says which versions are installed.
const LOCKS: [&str; 2] = ["package-lock.json", "requirements.txt"];

/// The folder with the installed clients; installs them, and what they run on where we may, when something is missing.
pub(crate) fn find_or_install() -> Outcome<PathBuf> {
    if let Some(folder) = env::var_os(FOLDER_VARIABLE) {
        return Ok(PathBuf::from(folder));
    }
    node()?;
    let folder = run::target_folder()?.join("http-signatures");
    fs::create_dir_all(&folder)?;
    let source = run::root().join(SOURCE);
    for file in CLIENTS.iter().chain([&PACKAGE]) {
        fs::copy(source.join(file), folder.join(file))?;
    }
    let mut installed = true;
    for lock in LOCKS {
        let wanted = fs::read(source.join(lock))?;
        installed &= fs::read(folder.join(lock)).is_ok_and(|known| known == wanted);
    }
    if installed {
        return Ok(folder);
    }
    eprintln!(
        "xtask: installing clients of HTTP signatures into {} (this once)",
        folder.display()
    );
    for lock in LOCKS {
        fs::copy(source.join(lock), folder.join(lock))?;
    }
    let outcome = npm(&folder, "clients of HTTP signatures").and_then(|()| pip(&folder));
    if outcome.is_err() {
        // Half of it must not look like all of it the next time.
        for lock in LOCKS {
            let _ = fs::remove_file(folder.join(lock));
        }
    }
    outcome.map(|()| folder)
}

/// An environment of its own with what the list names, by its hashes, as it was built.
fn pip(folder: &Path) -> Outcome<()> {
    let python = folder.join("python");
    let make = |python: &Path| {
        let mut command = Command::new("python3");
        command
            .args(["-m", "venv", "--clear"])
            .arg(python)
            .stdout(std::io::stderr());
        run::succeed(&mut command)
    };
    if make(&python).is_err() {
        let by_hand = "install Python 3.10 or later with its module venv and run this again";
        if run::on_path("apt-get").is_none() {
            return Err(
                format!("Python is not installed and there is no apt-get to install it: {by_hand}").into(),
            );
        }
        eprintln!("Python is not complete: installing the distribution's package by apt-get (this once)");
        for args in [
            &["update", "-qq"][..],
            &[
                "install",
                "-y",
                "-qq",
                "--no-install-recommends",
                "python3",
                "python3-venv",
            ],
        ] {
            let mut command = Command::new("apt-get");
            command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
            command.stdout(std::io::stderr());
            run::succeed(&mut command).map_err(|failure| {
                failure.during(&format!("apt-get could not install Python ({by_hand})"))
            })?;
        }
        make(&python)?;
    }
    let mut command = Command::new(python.join("bin").join("python"));
    command
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
        ])
        .args(["--only-binary", ":all:", "-r", "requirements.txt"])
        .current_dir(folder)
        .stdout(std::io::stderr());
    run::succeed(&mut command)
        .map_err(|failure| failure.during("pip could not install what the tests need; it asks PyPI, once"))
}
