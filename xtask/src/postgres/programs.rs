//! Finding `initdb` and `postgres`, and installing them where they are missing.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outcome::{Failure, Outcome};
use crate::run;

/// The oldest version that the product supports, and the one that the tests prefer when several are there.
const MAJOR_MIN: u32 = 15;

/// Where distributions put versions side by side: `<folder>/<major>/bin`.
const VERSIONED: [&str; 3] = [
    "/usr/lib/postgresql",
    "/usr/local/lib/postgresql",
    "/opt/postgresql",
];

/// A folder with `initdb` and `postgres` of a supported version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Programs {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
}

/// Finds the programs, or installs the distribution's package when we may.
pub(super) fn find_or_install() -> Outcome<Programs> {
    if let Some(programs) = find() {
        return Ok(programs);
    }
    install()?;
    find().ok_or_else(|| {
        Failure::from(format!(
            "the installed package brought no PostgreSQL {MAJOR_MIN} or later; install one by hand"
        ))
    })
}

fn find() -> Option<Programs> {
    let mut folders: Vec<PathBuf> = Vec::new();
    // A link on the path leads to the folder where the other programs of that version are.
    folders.extend(
        run::on_path("postgres")
            .and_then(|file| fs::canonicalize(file).ok()?.parent().map(Path::to_path_buf)),
    );
    for place in VERSIONED {
        let versions = fs::read_dir(place).into_iter().flatten().flatten();
        folders.extend(versions.map(|version| version.path().join("bin")));
    }
    let found = folders
        .into_iter()
        .filter(|folder| folder.join("initdb").is_file());
    choose(found.filter_map(|folder| {
        Some(Programs {
            major: major_of(&folder)?,
            folder,
        })
    }))
}

/// The oldest supported version: what works there works on every later one that we promise.
fn choose(found: impl Iterator<Item = Programs>) -> Option<Programs> {
    found
        .filter(|programs| programs.major >= MAJOR_MIN)
        .min_by_key(|programs| programs.major)
}

fn major_of(folder: &Path) -> Option<u32> {
    let output = Command::new(folder.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    parse_major(&String::from_utf8(output.stdout).ok()?)
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` is 15; a development version `17devel` is 17.
fn parse_major(line: &str) -> Option<u32> {
    let version = line.split("(PostgreSQL)").nth(1)?.trim_start();
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn install() -> Outcome<()> {
    let by_hand =
        format!("install PostgreSQL {MAJOR_MIN} or later (its `initdb` and `postgres`) and run this again");
    if run::on_path("apt-get").is_none() {
        return Err(
            format!("PostgreSQL is not installed and there is no apt-get to install it: {by_hand}").into(),
        );
    }
    if !super::cluster::we_are_root() {
        return Err(format!("PostgreSQL is not installed and only root may install it: {by_hand}").into());
    }
    eprintln!("PostgreSQL is not installed: installing the distribution's package by apt-get (this once)");
    apt_get(&["update", "-qq"])?;
    // `postgresql-common` would create and start a cluster of its own on the standard port; we want the programs only.
    let keep_quiet = Path::new("/etc/postgresql-common/createcluster.conf");
    if !keep_quiet.exists() {
        fs::create_dir_all("/etc/postgresql-common")?;
        fs::write(keep_quiet, "create_main_cluster = false\n")?;
    }
    apt_get(&[
        "install",
        "-y",
        "-qq",
        "--no-install-recommends",
        "-o",
        "Dpkg::Use-Pty=0",
        "postgresql",
    ])
    .map_err(|failure| failure.during(&format!("apt-get could not install PostgreSQL ({by_hand})")))
}

fn apt_get(args: &[&str]) -> Outcome<()> {
    let mut command = Command::new("apt-get");
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    // What it writes belongs to the log of the step, not to our standard output.
    command.stdout(std::io::stderr());
    run::succeed(&mut command)
}

/// The search path of a child with the programs before everything else, so that it finds `psql` and `pgbench` of the
/// same version.
pub(super) fn path_with(folder: &Path) -> std::ffi::OsString {
    let rest = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_path_buf()).chain(env::split_paths(&rest));
    env::join_paths(folders).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_form_of_the_line() {
        assert_eq!(
            parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(parse_major("postgres (PostgreSQL) 17devel\n"), Some(17));
        assert_eq!(parse_major("mysqld 8.0"), None);
    }

    #[test]
    fn the_oldest_supported_version_is_chosen_and_older_ones_never() {
        let at = |major| Programs {
            folder: PathBuf::from(format!("/pg/{major}")),
            major,
        };
        assert_eq!(choose([at(17), at(15), at(16)].into_iter()), Some(at(15)));
        assert_eq!(choose([at(13), at(14)].into_iter()), None);
    }

    #[test]
    fn the_programs_come_first_on_the_search_path() {
        let path = path_with(Path::new("/pg/bin"));
        assert_eq!(env::split_paths(&path).next(), Some(PathBuf::from("/pg/bin")));
    }
}
