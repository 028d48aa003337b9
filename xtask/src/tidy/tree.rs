//! What is really built: licences and bans of `deny.toml`, and the pins that correctness leans on.
//!
//! Reads `cargo tree` for this machine, so that the test command needs no further program; cargo-deny, where it is
//! installed, reads the same lists for every platform.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::Finding;
use super::repo::Repo;
use crate::outcome::Outcome;
use crate::run;

/// Packages of which the tree has exactly one, of exactly this release line, and why.
const PINS: [(&str, &str, &str); 2] = [
    (
        "libsqlite3-sys",
        "0.37.",
        "both database libraries share one SQLite, whose older releases lose writes of the WAL",
    ),
    (
        "rusqlite",
        "0.39.",
        "the last release that shares libsqlite3-sys 0.37 with SQLx 0.9",
    ),
];

/// A package of the tree: name, version, licence expression.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    licence: String,
}

pub(super) fn check(repo: &Repo) -> Outcome<Vec<Finding>> {
    let deny = repo.text("deny.toml").ok_or("deny.toml is missing")?;
    let deny: Table = deny
        .text
        .parse()
        .map_err(|e| format!("deny.toml cannot be read: {e}"))?;
    let mut command = run::cargo();
    command.args([
        "tree",
        "--workspace",
        "--edges",
        "normal,build,dev",
        "--prefix",
        "none",
    ]);
    let listed = run::stdout_of(command.args(["--format", "{p}|{l}"]))?;
    Ok(judge(&packages(&listed), &banned(&deny), &licences(&deny)))
}

/// Lines such as `rustix v1.1.6|Apache-2.0 OR MIT`, with marks after the version and the expression.
fn packages(listed: &str) -> BTreeSet<Package> {
    let read = |line: &str| {
        let (package, licence) = line.split_once('|')?;
        // A package of this workspace is followed by its folder.
        let mut words = package.split_whitespace();
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        if words.any(|word| word.starts_with("(/")) {
            return None;
        }
        let licence = licence.trim_end_matches("(*)").trim();
        Some(Package {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: licence.to_owned(),
        })
    };
    listed.lines().filter_map(read).collect()
}

fn banned(deny: &Table) -> Vec<(String, String)> {
    let entries = deny
        .get("bans")
        .and_then(|bans| bans.get("deny"))
        .and_then(Value::as_array);
    let text = |entry: &Value, key| {
        entry
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    entries
        .into_iter()
        .flatten()
        .map(|entry| (text(entry, "crate"), text(entry, "reason")))
        .collect()
}

fn licences(deny: &Table) -> Vec<String> {
    let entries = deny
        .get("licenses")
        .and_then(|licences| licences.get("allow"))
        .and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn judge(packages: &BTreeSet<Package>, banned: &[(String, String)], licences: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let Package {
            name,
            version,
            licence,
        } = package;
        if let Some((_, reason)) = banned.iter().find(|(banned, _)| banned == name) {
            findings.push(Finding::new(
                "Cargo.lock",
                0,
                format!("{name} {version} is banned: {reason}"),
            ));
        }
        if !permits(licence, licences) {
            let advice =
                format!("{name} {version} is under `{licence}`, which the list of licences does not permit");
            findings.push(Finding::new("deny.toml", 0, advice));
        }
    }
    for (pinned, line, why) in PINS {
        let versions: Vec<&str> = packages
            .iter()
            .filter(|p| p.name == pinned)
            .map(|p| p.version.as_str())
            .collect();
        if versions.len() != 1 || !versions[0].starts_with(line) {
            let advice = format!(
                "{pinned} has to be {line}* once, the tree has [{}]: {why}",
                versions.join(", ")
            );
            findings.push(Finding::new("Cargo.lock", 0, advice));
        }
    }
    for licence in licences {
        let others: Vec<String> = licences
            .iter()
            .filter(|other| *other != licence)
            .cloned()
            .collect();
        if packages.iter().all(|package| permits(&package.licence, &others)) {
            findings.push(Finding::new(
                "deny.toml",
                0,
                format!("no package needs `{licence}`: take it from the list"),
            ));
        }
    }
    findings
}

/// Whether a licence expression (SPDX, or the older form with a slash) can be met from the list.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    let permitted = either(&mut rest, allowed);
    permitted && rest.is_empty()
}

fn either(tokens: &mut &[&str], allowed: &[String]) -> bool {
    let mut permitted = both(tokens, allowed);
    while tokens.first() == Some(&"OR") {
        *tokens = &tokens[1..];
        permitted |= both(tokens, allowed);
    }
    permitted
}

fn both(tokens: &mut &[&str], allowed: &[String]) -> bool {
    let mut permitted = one(tokens, allowed);
    while tokens.first() == Some(&"AND") {
        *tokens = &tokens[1..];
        permitted &= one(tokens, allowed);
    }
    permitted
}

fn one(tokens: &mut &[&str], allowed: &[String]) -> bool {
    let Some((first, rest)) = tokens.split_first() else {
        return false;
    };
    *tokens = rest;
    if *first == "(" {
        let permitted = either(tokens, allowed);
        let closed = tokens.first() == Some(&")");
        *tokens = tokens.get(1..).unwrap_or_default();
        return permitted && closed;
    }
    // An exception only adds permissions.
    if tokens.first() == Some(&"WITH") {
        *tokens = tokens.get(2..).unwrap_or_default();
    }
    allowed.iter().any(|licence| licence == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(licences: &[&str]) -> Vec<String> {
        licences.iter().map(|licence| (*licence).to_owned()).collect()
    }

    const TREE: &str = "\
strongroom v0.1.0 (/somewhere/strongroom)|Apache-2.0
libsqlite3-sys v0.37.0|MIT
rusqlite v0.39.1|MIT
zeroize_derive v1.5.0 (proc-macro)|Apache-2.0 OR MIT
rusqlite v0.39.1|MIT (*)
";

    fn advice(tree: &str, licences: &[&str]) -> Vec<String> {
        let banned = [("openssl".to_owned(), "TLS is rustls".to_owned())];
        judge(&packages(tree), &banned, &allowed(licences))
            .into_iter()
            .map(|finding| finding.advice)
            .collect()
    }

    #[test]
    fn a_good_tree_has_nothing_to_tidy() {
        assert_eq!(advice(TREE, &["MIT"]), [""; 0]);
    }

    #[test]
    fn a_banned_package_is_found_with_the_reason() {
        let found = advice(&format!("{TREE}openssl v1.0.0|MIT\n"), &["MIT"]);
        assert_eq!(found, ["openssl 1.0.0 is banned: TLS is rustls"]);
    }

    #[test]
    fn a_second_sqlite_or_another_release_of_it_is_found() {
        assert_eq!(
            advice(&format!("{TREE}libsqlite3-sys v0.36.0|MIT\n"), &["MIT"]).len(),
            1
        );
        assert_eq!(
            advice(&TREE.replace("sys v0.37.0", "sys v0.38.0"), &["MIT"]).len(),
            1
        );
    }

    #[test]
    fn a_licence_that_is_not_on_the_list_is_found_and_so_is_one_that_nobody_needs() {
        assert_eq!(
            advice(&format!("{TREE}copied v1.0.0|GPL-3.0-only\n"), &["MIT"]).len(),
            1
        );
        assert_eq!(advice(&format!("{TREE}unclear v1.0.0|\n"), &["MIT"]).len(), 1);
        assert!(advice(TREE, &["MIT", "ISC"])[0].contains("no package needs `ISC`"));
    }

    #[test]
    fn licence_expressions_are_read_as_written() {
        let list = allowed(&["MIT", "ISC"]);
        for good in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "Apache-2.0/MIT",
            "ISC AND (Apache-2.0 OR ISC)",
            "MIT WITH x-exception",
        ] {
            assert!(permits(good, &list), "{good}");
        }
        for bad in [
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "(MIT OR ISC) AND Zlib",
            "",
            "MIT MIT",
            "(MIT",
        ] {
            assert!(!permits(bad, &list), "{bad}");
        }
    }
}
