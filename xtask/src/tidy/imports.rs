//! Who may import whom. The tables of ARCHITECTURE.md and of decision record 0002, as code.
//!
//! Two readings: what the manifests declare (`cargo metadata`), and what the sources name.

use serde_json::Value;

use super::Finding;
use super::repo::{Repo, Text};
use super::source::line_at;
use crate::outcome::Outcome;
use crate::run;

/// A crate of the workspace and everything of the workspace that it may import.
struct Wall {
    /// The package's name.
    name: &'static str,
    /// Its folder.
    folder: &'static str,
    may: &'static [&'static str],
    /// What its tests may import besides.
    may_in_tests: &'static [&'static str],
    /// Packages from outside that it never imports, not even in tests unless they come by another's hand.
    never: &'static [&'static str],
    /// What is lost when it does.
    why: &'static str,
}

#[cfg(test)]
const DATABASES: [&str; 6] = [
    "sea-orm",
    "sea-orm-migration",
    "sea-query",
    "sqlx",
    "rusqlite",
    "libsqlite3-sys",
];

const WALLS: [Wall; 10] = [
    Wall {
        name: "strongroom-domain",
        folder: "crates/domain",
        may: &[],
        may_in_tests: &[],
        never: &[
            "tokio",
            "futures",
            "sea-orm",
            "sqlx",
            "rusqlite",
            "axum",
            "http",
            "hyper",
            "tower",
            "reqwest",
            "rand",
            "getrandom",
            "aws-lc-rs",
            "tracing",
            "metrics",
        ],
        why: "the rules run in property tests, fuzzers and simulation at memory speed",
    },
    Wall {
        name: "strongroom-crypto",
        folder: "crates/crypto",
        may: &["strongroom-domain"],
        may_in_tests: &[],
        never: &[
            "sea-orm",
            "sea-orm-migration",
            "sqlx",
            "rusqlite",
            "axum",
            "http",
            "hyper",
            "tower",
            "reqwest",
        ],
        why: "a security reviewer reads one crate",
    },
    Wall {
        name: "strongroom-store",
        folder: "crates/store",
        may: &["strongroom-domain"],
        may_in_tests: &[],
        never: &[
            "aws-lc-rs",
            "aws-lc-sys",
            "argon2",
            "jsonwebtoken",
            "ring",
            "aes-gcm",
            "hmac",
            "chacha20poly1305",
            "ed25519-dalek",
            "secrecy",
            "rand",
            "totp-rs",
            "axum",
            "http",
            "hyper",
            "tower",
            "reqwest",
        ],
        why: "it only ever sees sealed bytes and ids",
    },
    Wall {
        name: "strongroom-app",
        folder: "crates/app",
        may: &["strongroom-domain", "strongroom-crypto", "strongroom-store"],
        may_in_tests: &[],
        never: &[
            "sea-orm",
            "sea-orm-migration",
            "sea-query",
            "sqlx",
            "rusqlite",
            "libsqlite3-sys",
            "axum",
            "http",
            "hyper",
            "tower",
            "tower-http",
            "aws-lc-rs",
            "argon2",
            "jsonwebtoken",
        ],
        why: "CLI, jobs, JSON and HTML behave the same",
    },
    Wall {
        name: "strongroom-guard",
        folder: "crates/guard",
        may: &[],
        may_in_tests: &[],
        never: &["sea-orm", "sqlx", "rusqlite", "axum", "reqwest"],
        why: "defence at the edge stands before anything that knows the bank",
    },
    Wall {
        name: "strongroom-api",
        folder: "crates/api",
        may: &["strongroom-domain"],
        may_in_tests: &[],
        never: &[
            "axum",
            "hyper",
            "tower",
            "tower-http",
            "utoipa-axum",
            "sea-orm",
            "sqlx",
            "rusqlite",
            "aws-lc-rs",
        ],
        why: "the client builds without the server",
    },
    Wall {
        name: "strongroom-web",
        folder: "crates/web",
        may: &[
            "strongroom-domain",
            "strongroom-api",
            "strongroom-app",
            "strongroom-guard",
        ],
        may_in_tests: &[],
        never: &[
            "sea-orm",
            "sea-orm-migration",
            "sea-query",
            "sqlx",
            "rusqlite",
            "libsqlite3-sys",
            "aws-lc-rs",
            "argon2",
            "jsonwebtoken",
        ],
        why: "a handler cannot issue a query or open a key",
    },
    Wall {
        name: "strongroom",
        folder: "crates/strongroom",
        // `store`, `crypto` and `guard` only to construct them.
        may: &[
            "strongroom-domain",
            "strongroom-api",
            "strongroom-app",
            "strongroom-web",
            "strongroom-store",
            "strongroom-crypto",
            "strongroom-guard",
        ],
        may_in_tests: &[],
        never: &["axum"],
        why: "the binary puts together and decides nothing",
    },
    Wall {
        name: "bench",
        folder: "bench",
        // Below HTTP it measures the lane and the parts of a request by themselves.
        may: &[
            "strongroom-api",
            "strongroom-domain",
            "strongroom-crypto",
            "strongroom-store",
            "strongroom-app",
            "strongroom-guard",
        ],
        may_in_tests: &[],
        never: &["axum"],
        why: "HTTP is measured from outside, with the server as a process of its own",
    },
    Wall {
        name: "xtask",
        folder: "xtask",
        may: &[],
        may_in_tests: &[],
        never: &["tokio"],
        why: "the first command on a new machine builds in seconds",
    },
];

/// What the domain never names, although no manifest shows it.
const IMPURE: [(&str, &str); 8] = [
    ("SystemTime", "the time comes in as a value"),
    ("Instant", "the time comes in as a value"),
    ("std::fs", "no I/O in the rules"),
    ("std::io", "no I/O in the rules"),
    ("std::net", "no I/O in the rules"),
    ("std::env", "what the rules depend on is an argument"),
    ("std::thread", "the rules run where they are called"),
    ("std::process", "the rules run where they are called"),
];

pub(super) fn check(repo: &Repo) -> Outcome<Vec<Finding>> {
    let metadata = run::stdout_of(run::cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value =
        serde_json::from_str(&metadata).map_err(|e| format!("`cargo metadata` cannot be read: {e}"))?;
    let mut findings = manifests(&metadata);
    findings.extend(sources(repo));
    Ok(findings)
}

/// What the manifests declare.
fn manifests(metadata: &Value) -> Vec<Finding> {
    let packages: Vec<&Value> = metadata["packages"].as_array().into_iter().flatten().collect();
    let ours: Vec<&str> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    let mut findings = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(wall) = WALLS.iter().find(|wall| wall.name == name) else {
            let advice =
                format!("`{name}` is not in the table of xtask/src/tidy/imports.rs: say what it may import");
            findings.push(Finding::new("Cargo.toml", 0, advice));
            continue;
        };
        let manifest = format!("{}/Cargo.toml", wall.folder);
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let other = dependency["name"].as_str().unwrap_or_default();
            let for_tests = dependency["kind"].as_str() == Some("dev");
            if ours.contains(&other) && !allowed(wall, other, for_tests) {
                let advice = format!("{name} must not import {other}: {}", wall.why);
                findings.push(Finding::new(&manifest, 0, advice));
            }
            if wall.never.contains(&other) {
                let advice = format!("{name} never imports {other}, so that {}", wall.why);
                findings.push(Finding::new(&manifest, 0, advice));
            }
            if name == "strongroom-domain" && other == "uuid" && makes_ids(dependency) {
                findings.push(Finding::new(
                    &manifest,
                    0,
                    "the domain takes ids, it does not make them: no v4, v7 or rng",
                ));
            }
        }
    }
    findings
}

fn makes_ids(dependency: &Value) -> bool {
    let features = dependency["features"].as_array().into_iter().flatten();
    features
        .filter_map(Value::as_str)
        .any(|feature| matches!(feature, "v4" | "v7" | "rng" | "fast-rng"))
}

fn allowed(wall: &Wall, other: &str, for_tests: bool) -> bool {
    other == wall.name || wall.may.contains(&other) || (for_tests && wall.may_in_tests.contains(&other))
}

/// What the sources name.
fn sources(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.rust() {
        let Some(wall) = WALLS.iter().find(|wall| is_inside(&file.path, wall.folder)) else {
            continue;
        };
        for (at, name) in file
            .source
            .identifiers()
            .filter(|(_, name)| name.starts_with("strongroom_"))
        {
            let package = name.replace('_', "-");
            let known = WALLS.iter().any(|other| other.name == package);
            if known && !allowed(wall, &package, file.is_test(at)) {
                let advice = format!("{} must not name {package}: {}", wall.name, wall.why);
                findings.push(Finding::new(&file.path, line_at(&file.text, at), advice));
            }
        }
        for (at, name) in file.source.identifiers() {
            if wall.never.iter().any(|never| never.replace('-', "_") == name) && starts_a_path(file, at, name)
            {
                let advice = format!("{} never names {name}, so that {}", wall.name, wall.why);
                findings.push(Finding::new(&file.path, line_at(&file.text, at), advice));
            }
        }
        if wall.name == "strongroom-domain" {
            findings.extend(impure(file));
        }
    }
    findings
}

fn impure(file: &Text) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, advice) in IMPURE {
        for at in super::source::places(&file.source.code, name) {
            let before = file.source.code[..at].chars().next_back();
            let after = file.source.code[at + name.len()..].chars().next();
            let whole = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            if whole(before) && whole(after) {
                findings.push(Finding::new(
                    &file.path,
                    line_at(&file.text, at),
                    format!("`{name}`: {advice}"),
                ));
            }
        }
    }
    findings
}

/// `axum::` or `use axum;` but not a field or a function that is called `http`.
fn starts_a_path(file: &Text, at: usize, name: &str) -> bool {
    let code = &file.source.code;
    let before = code[..at].trim_end();
    let after = code[at + name.len()..].trim_start();
    let continues_a_path = before.ends_with("::") && !before.ends_with("use ::") && !before.ends_with("(::");
    let in_use = before.ends_with("use") && (after.starts_with(';') || after.starts_with("as "));
    !continues_a_path && (after.starts_with("::") || in_use)
}

pub(super) fn is_inside(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn declared(name: &str, dependencies: &Value) -> Vec<Finding> {
        let all: Vec<Value> = WALLS
            .iter()
            .filter(|wall| wall.name != name)
            .map(|wall| json!({"name": wall.name}))
            .collect();
        let mut packages = vec![json!({"name": name, "dependencies": dependencies})];
        packages.extend(all);
        manifests(&json!({ "packages": packages }))
    }

    #[test]
    fn an_edge_that_is_not_in_the_table_is_found() {
        assert_eq!(
            declared(
                "strongroom-web",
                &json!([{"name": "strongroom-app", "kind": null}])
            ),
            []
        );
        let found = declared(
            "strongroom-web",
            &json!([{"name": "strongroom-store", "kind": null}]),
        );
        assert!(
            found[0]
                .advice
                .contains("strongroom-web must not import strongroom-store"),
            "{found:?}"
        );
    }

    #[test]
    fn a_dependency_of_tests_is_an_edge_too() {
        assert_eq!(
            declared(
                "strongroom-domain",
                &json!([{"name": "strongroom-crypto", "kind": "dev"}])
            )
            .len(),
            1
        );
    }

    #[test]
    fn a_package_that_the_crate_never_imports_is_found() {
        for (name, never) in [
            ("strongroom-domain", "tokio"),
            ("strongroom-app", "axum"),
            ("strongroom-store", "argon2"),
        ] {
            let found = declared(name, &json!([{"name": never, "kind": null}]));
            assert!(
                found[0].advice.contains(&format!("never imports {never}")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_domain_that_makes_ids_is_found() {
        assert_eq!(
            declared(
                "strongroom-domain",
                &json!([{"name": "uuid", "features": ["std"]}])
            ),
            []
        );
        assert_eq!(
            declared(
                "strongroom-domain",
                &json!([{"name": "uuid", "features": ["v7"]}])
            )
            .len(),
            1
        );
    }

    #[test]
    fn a_new_crate_must_enter_the_table() {
        assert!(
            declared("strongroom-surprise", &json!([]))[0]
                .advice
                .contains("not in the table")
        );
    }

    #[test]
    fn a_source_that_names_a_crate_beyond_its_wall_is_found_at_its_line() {
        let repo = Repo::of(&[
            (
                "crates/web/src/a.rs",
                "// strongroom_store\nuse strongroom_app::Bank;\nuse strongroom_store::Db;\n",
            ),
            ("crates/store/src/b.rs", "use strongroom_domain::Money;"),
        ]);
        let found = sources(&repo);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].file.as_str(), found[0].line),
            ("crates/web/src/a.rs", 3)
        );
    }

    #[test]
    fn a_path_of_a_forbidden_package_is_found_but_a_field_of_that_name_is_not() {
        let repo = Repo::of(&[(
            "crates/app/src/a.rs",
            "fn f(http: u8) { self.http; g::http::X; }\nuse http::StatusCode;",
        )]);
        let found = sources(&repo);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].line, 2);
    }

    #[test]
    fn a_domain_that_reads_the_clock_or_a_file_is_found() {
        let repo = Repo::of(&[(
            "crates/domain/src/a.rs",
            "let t = SystemTime::now();\nuse std::fs;\nstruct Instantly;",
        )]);
        let found: Vec<usize> = sources(&repo).iter().map(|finding| finding.line).collect();
        assert_eq!(found, [1, 2]);
    }

    #[test]
    fn the_tables_agree_with_each_other() {
        for wall in &WALLS {
            assert!(
                wall.may
                    .iter()
                    .all(|other| WALLS.iter().any(|known| known.name == *other)),
                "{}",
                wall.name
            );
        }
        for name in ["strongroom-app", "strongroom-web"] {
            let wall = WALLS.iter().find(|wall| wall.name == name).expect("a wall");
            assert!(
                DATABASES.iter().all(|database| wall.never.contains(database)),
                "{name} may reach a database"
            );
        }
    }
}
