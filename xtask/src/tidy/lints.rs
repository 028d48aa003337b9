//! The lints that every crate promises. A manifest either inherits the workspace's table or, where it needs more,
//! repeats it in full (cargo cannot mix the two); this keeps the copies from drifting.

use toml::{Table, Value};

use super::Finding;
use super::repo::Repo;
use crate::outcome::Outcome;

/// What a crate promises beyond the workspace: the crate's folder, the lint, the level.
const BEYOND: [(&str, &str, &str); 12] = [
    ("crates/domain", "arithmetic_side_effects", "deny"),
    ("crates/domain", "float_arithmetic", "deny"),
    ("crates/domain", "as_conversions", "deny"),
    ("crates/domain", "cast_possible_truncation", "deny"),
    ("crates/domain", "unwrap_used", "deny"),
    ("crates/domain", "expect_used", "deny"),
    ("crates/domain", "panic", "deny"),
    ("crates/domain", "indexing_slicing", "deny"),
    ("crates/app", "unwrap_used", "deny"),
    ("crates/app", "expect_used", "deny"),
    ("crates/web", "unwrap_used", "deny"),
    ("crates/web", "expect_used", "deny"),
];

pub(super) fn check(repo: &Repo) -> Outcome<Vec<Finding>> {
    let Some(root) = table(repo, "Cargo.toml")? else {
        return Ok(Vec::new());
    };
    let workspace = root.get("workspace").and_then(|workspace| workspace.get("lints"));
    let promised = flat(workspace);
    let mut findings = Vec::new();
    if !promised.contains(&("rust.unsafe_code".to_owned(), "forbid".to_owned())) {
        findings.push(Finding::new(
            "Cargo.toml",
            0,
            "the workspace forbids `unsafe_code`",
        ));
    }
    for manifest in repo
        .texts
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"))
    {
        let folder = manifest.path.trim_end_matches("/Cargo.toml");
        let Some(table) = table(repo, &manifest.path)? else {
            continue;
        };
        let lints = table.get("lints");
        let inherits = lints
            .and_then(|lints| lints.get("workspace"))
            .and_then(Value::as_bool)
            == Some(true);
        let own = if inherits { promised.clone() } else { flat(lints) };
        let beyond = BEYOND.iter().filter(|(of, _, _)| *of == folder);
        let beyond = beyond.map(|(_, lint, level)| (format!("clippy.{lint}"), (*level).to_owned()));
        for (lint, level) in promised.iter().cloned().chain(beyond) {
            if !own.contains(&(lint.clone(), level.clone())) {
                findings.push(Finding::new(
                    &manifest.path,
                    0,
                    format!("`{lint}` has to be \"{level}\" here"),
                ));
            }
        }
    }
    Ok(findings)
}

/// Whether some manifest sets the lint, by its name with or without `clippy::`.
pub(super) fn is_set(repo: &Repo, name: &str) -> bool {
    let wanted = name.rsplit("::").next().unwrap_or(name);
    let manifests = repo.texts.iter().filter(|file| file.path.ends_with("Cargo.toml"));
    let mut tables = manifests.filter_map(|file| file.text.parse::<Table>().ok());
    tables.any(|table| {
        let workspace = table
            .get("workspace")
            .and_then(|workspace| workspace.get("lints"));
        let mut set = flat(workspace).into_iter().chain(flat(table.get("lints")));
        set.any(|(lint, level)| lint.rsplit('.').next() == Some(wanted) && level != "allow")
    })
}

fn table(repo: &Repo, path: &str) -> Outcome<Option<Table>> {
    let Some(file) = repo.text(path) else {
        return Ok(None);
    };
    file.text
        .parse::<Table>()
        .map(Some)
        .map_err(|e| format!("{path} cannot be read: {e}").into())
}

/// `[lints.clippy] todo = "deny"` is (`clippy.todo`, `deny`), in whichever of the two ways it is written.
fn flat(lints: Option<&Value>) -> Vec<(String, String)> {
    let mut flat = Vec::new();
    for (tool, lints) in lints.and_then(Value::as_table).into_iter().flatten() {
        for (lint, level) in lints.as_table().into_iter().flatten() {
            let level = level.get("level").unwrap_or(level);
            flat.extend(
                level
                    .as_str()
                    .map(|level| (format!("{tool}.{lint}"), level.to_owned())),
            );
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str =
        "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n[workspace.lints.clippy]\ntodo = \"deny\"\n";

    fn advice(files: &[(&str, &str)]) -> Vec<String> {
        let found = check(&Repo::of(files)).expect("manifests that can be read");
        found.into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_crate_that_inherits_keeps_every_promise() {
        assert_eq!(
            advice(&[
                ("Cargo.toml", ROOT),
                ("crates/api/Cargo.toml", "[lints]\nworkspace = true\n")
            ]),
            [""; 0]
        );
    }

    #[test]
    fn a_crate_without_lints_is_found() {
        assert_eq!(
            advice(&[("Cargo.toml", ROOT), ("crates/api/Cargo.toml", "[package]\n")]).len(),
            2
        );
    }

    #[test]
    fn a_copy_that_drifted_is_found() {
        let drifted =
            "[lints]\nrust.unsafe_code = \"forbid\"\nclippy.todo = { level = \"warn\", priority = 1 }\n";
        let found = advice(&[("Cargo.toml", ROOT), ("crates/api/Cargo.toml", drifted)]);
        assert_eq!(
            found,
            ["crates/api/Cargo.toml: `clippy.todo` has to be \"deny\" here"]
        );
    }

    #[test]
    fn the_domain_promises_more_than_the_others() {
        let found = advice(&[
            ("Cargo.toml", ROOT),
            ("crates/domain/Cargo.toml", "[lints]\nworkspace = true\n"),
        ]);
        assert!(
            found.iter().any(|line| line.contains("clippy.float_arithmetic")),
            "{found:?}"
        );
    }

    #[test]
    fn a_workspace_that_permits_unsafe_code_is_found() {
        assert_eq!(
            advice(&[("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"warn\"\n")]).len(),
            1
        );
    }

    #[test]
    fn a_lint_is_known_by_its_name_and_not_when_it_is_allowed() {
        let repo = Repo::of(&[
            ("Cargo.toml", ROOT),
            ("a/Cargo.toml", "[lints.clippy]\npanic = \"allow\"\n"),
        ]);
        assert!(is_set(&repo, "clippy::todo") && is_set(&repo, "unsafe_code"));
        assert!(!is_set(&repo, "clippy::panic") && !is_set(&repo, "clippy::nothing"));
    }
}
