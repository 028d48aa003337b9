//! Decision records that are enforced, and claims that a test holds.
//!
//! Both name, in backticks, what keeps them true:
//!
//! | written | means | is there when |
//! |---|---|---|
//! | `a_test_as_a_sentence` | a test | the tests of some Rust file define a function of that name |
//! | `tidy:imports` | a rule of `cargo xtask tidy` | the rule exists |
//! | `lint:unwrap_used` | a lint of rustc or clippy | some manifest sets it |
//! | `pin:rusqlite = "0.39"` | a version in the workspace's manifest | the text stands in Cargo.toml |
//! | `constraint:entries_sum_to_zero` | a constraint or trigger of the database | `store` contains the name |

use std::collections::BTreeMap;

use super::markdown::{column, quoted, section};
use super::repo::Repo;
use super::source::words;
use super::{Finding, is_rule, lints};

/// Where the records lie.
const RECORDS: &str = "docs/adr/";
/// What each of them has, in this order.
const SECTIONS: [&str; 3] = ["Context", "Decision", "Consequences"];
/// What keeps it true.
const ENFORCED_BY: &str = "Enforced by";
/// The page whose tables claim things, and the title of the column that says what holds a claim.
const CLAIMS: &str = "ARCHITECTURE.md";
const HELD_BY: &str = "Held by";
/// The pages whose tables say what shows a requirement, and the title of that column.
const REQUIREMENTS: &str = "docs/security/";
const SHOWN_BY: &str = "shown by";

/// Every record has its parts, a number of its own, and something that exists to enforce it.
pub(super) fn check_records(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut numbers: BTreeMap<&str, &str> = BTreeMap::new();
    let records = repo
        .texts
        .iter()
        .filter(|file| file.path.starts_with(RECORDS) && file.path.ends_with(".md"));
    for file in records {
        let name = &file.path[RECORDS.len()..];
        let number = name.split('-').next().unwrap_or_default();
        if number.len() != 4 || !number.bytes().all(|digit| digit.is_ascii_digit()) {
            findings.push(Finding::new(&file.path, 0, "a record is called NNNN-title.md"));
            continue;
        }
        if let Some(other) = numbers.insert(number, name) {
            findings.push(Finding::new(
                &file.path,
                0,
                format!("{other} has the number {number} too"),
            ));
        }
        if !file.text.starts_with(&format!("# {number} ")) {
            findings.push(Finding::new(
                &file.path,
                1,
                format!("the first line is `# {number} Title`"),
            ));
        }
        for heading in SECTIONS {
            let filled = section(&file.text, heading)
                .is_some_and(|lines| lines.iter().any(|(_, line)| !line.trim().is_empty()));
            if !filled {
                findings.push(Finding::new(
                    &file.path,
                    0,
                    format!("a record has a section `{heading}`"),
                ));
            }
        }
        let enforced = section(&file.text, ENFORCED_BY).unwrap_or_default();
        let names: Vec<(usize, &str)> = enforced
            .iter()
            .flat_map(|(number, line)| quoted(line).map(|name| (*number, name)))
            .collect();
        if names.is_empty() {
            let advice =
                "a record says under `Enforced by` which test, rule, lint, pin or constraint keeps it true";
            findings.push(Finding::new(&file.path, 0, advice));
        }
        for (line, name) in names {
            findings.extend(missing(repo, name).map(|advice| Finding::new(&file.path, line, advice)));
        }
    }
    findings
}

/// Every claim of the architecture names what holds it, and that exists; so does what shows a requirement of security.
pub(super) fn check_claims(repo: &Repo) -> Vec<Finding> {
    let mut findings = check_requirements(repo);
    let Some(page) = repo.text(CLAIMS) else {
        return findings;
    };
    let cells = column(&page.text, HELD_BY);
    if cells.is_empty() {
        let advice = format!("the invariants are a table with a column `{HELD_BY}`");
        findings.push(Finding::new(CLAIMS, 0, advice));
        return findings;
    }
    for (line, cell) in cells {
        if quoted(cell).next().is_none() {
            findings.push(Finding::new(
                CLAIMS,
                line,
                "a claim names in backticks the test that holds it",
            ));
        }
        for name in quoted(cell) {
            findings.extend(missing(repo, name).map(|advice| Finding::new(CLAIMS, line, advice)));
        }
    }
    findings
}

/// What is said to show a requirement exists. A requirement of documentation is shown by words and names nothing.
fn check_requirements(repo: &Repo) -> Vec<Finding> {
    let pages = repo
        .texts
        .iter()
        .filter(|file| file.path.starts_with(REQUIREMENTS));
    let mut findings = Vec::new();
    for page in pages {
        for (line, cell) in column(&page.text, SHOWN_BY) {
            if cell.is_empty() {
                let advice = "a requirement says what shows it";
                findings.push(Finding::new(&page.path, line, advice));
            }
            for name in quoted(cell) {
                findings.extend(missing(repo, name).map(|advice| Finding::new(&page.path, line, advice)));
            }
        }
    }
    findings
}

/// Why what is named does not exist; `None` when it does.
fn missing(repo: &Repo, name: &str) -> Option<String> {
    let (there, what) = match name.split_once(':') {
        Some(("tidy", rule)) => (is_rule(rule), "rule of tidy"),
        Some(("lint", lint)) => (lints::is_set(repo, lint), "lint that a manifest sets"),
        Some(("pin", pin)) => (
            repo.text("Cargo.toml")
                .is_some_and(|file| file.text.contains(pin)),
            "pin in Cargo.toml",
        ),
        Some(("constraint", constraint)) => {
            (in_the_store(repo, constraint), "constraint or trigger of `store`")
        }
        _ => (
            repo.tests.contains(name.rsplit("::").next().unwrap_or(name)),
            "test",
        ),
    };
    (!there).then(|| format!("there is no {what} `{name}`"))
}

fn in_the_store(repo: &Repo, name: &str) -> bool {
    let inside = |path: &str| path.starts_with("crates/store/") && !path.ends_with(".md");
    let mut files = repo.texts.iter().filter(|file| inside(&file.path));
    files.any(|file| words(&file.text).any(|(_, word)| word == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "# 0007 A title\n\n## Context\n\nWhy.\n\n## Decision\n\nWhat.\n\n## Consequences\n\nSo.\n\n\
                          ## Enforced by\n\n- `a_test`, `tidy:imports`\n";

    fn advice(findings: Vec<Finding>) -> Vec<String> {
        findings.into_iter().map(|finding| finding.advice).collect()
    }

    fn records(files: &[(&str, &str)]) -> Vec<String> {
        let mut all = vec![("crates/app/tests/a.rs", "fn a_test() {} // fn in_prose")];
        all.extend(files);
        advice(check_records(&Repo::of(&all)))
    }

    #[test]
    fn a_whole_record_passes() {
        assert_eq!(records(&[("docs/adr/0007-a-title.md", RECORD)]), [""; 0]);
    }

    #[test]
    fn a_record_without_one_of_its_parts_is_found() {
        for part in SECTIONS {
            let found = records(&[(
                "docs/adr/0007-a.md",
                &*RECORD.replace(&format!("## {part}"), "## Other"),
            )]);
            assert_eq!(found, [format!("a record has a section `{part}`")]);
        }
        let found = records(&[("docs/adr/0007-a.md", &*RECORD.replace("Why.", ""))]);
        assert_eq!(found, ["a record has a section `Context`"]);
    }

    #[test]
    fn a_record_that_nothing_enforces_is_found() {
        assert_eq!(
            records(&[("docs/adr/0007-a.md", &*RECORD.replace('`', ""))]).len(),
            1
        );
        let found = records(&[("docs/adr/0007-a.md", &*RECORD.replace("a_test", "in_prose"))]);
        assert_eq!(found, ["there is no test `in_prose`"]);
        let found = records(&[(
            "docs/adr/0007-a.md",
            &*RECORD.replace("tidy:imports", "tidy:nothing"),
        )]);
        assert_eq!(found, ["there is no rule of tidy `tidy:nothing`"]);
    }

    #[test]
    fn two_records_of_one_number_and_a_wrong_title_are_found() {
        assert_eq!(
            records(&[("docs/adr/0007-a.md", RECORD), ("docs/adr/0007-b.md", RECORD)]).len(),
            1
        );
        assert_eq!(records(&[("docs/adr/0008-a.md", RECORD)]).len(), 1);
        assert_eq!(records(&[("docs/adr/notes.md", RECORD)]).len(), 1);
    }

    #[test]
    fn lints_pins_and_constraints_are_looked_up_where_they_live() {
        let repo = Repo::of(&[
            (
                "Cargo.toml",
                "[workspace.dependencies]\nrusqlite = \"0.39\"\n[workspace.lints.clippy]\ntodo = \"deny\"\n",
            ),
            (
                "crates/store/src/a.rs",
                "const A: &str = \"CREATE TRIGGER entries_stay\";",
            ),
            ("crates/app/src/a.rs", "const A: &str = \"elsewhere\";"),
        ]);
        for there in ["pin:rusqlite = \"0.39\"", "lint:todo", "constraint:entries_stay"] {
            assert_eq!(missing(&repo, there), None);
        }
        for gone in [
            "pin:rusqlite = \"0.40\"",
            "lint:unwrap_used",
            "constraint:elsewhere",
            "constraint:entries",
        ] {
            assert!(missing(&repo, gone).is_some(), "{gone}");
        }
    }

    #[test]
    fn a_page_that_is_not_written_yet_claims_nothing() {
        assert_eq!(check_claims(&Repo::of(&[])), []);
    }

    #[test]
    fn a_requirement_that_nothing_shows_is_found() {
        let page = "| requirement | shown by |\n|---|---|\n| A-1 | `a_test`, `gone` |\n| A-2 | this page |\n| A-3 | |\n";
        let found = check_claims(&Repo::of(&[
            ("docs/security/a.md", page),
            ("docs/other.md", page),
            ("a/tests.rs", "fn a_test() {}"),
        ]));
        let places: Vec<_> = found
            .iter()
            .map(|finding| (finding.file.as_str(), finding.line))
            .collect();
        assert_eq!(
            places,
            [("docs/security/a.md", 3), ("docs/security/a.md", 5)],
            "{found:?}"
        );
    }

    #[test]
    fn a_function_of_the_program_is_no_test() {
        let page =
            "| requirement | shown by |\n|---|---|\n| A-1 | `checks_it` |\n| A-2 | `it_is_checked` |\n";
        let file = "fn checks_it() {}\n#[cfg(test)]\nmod tests {\n    fn it_is_checked() {}\n}\n";
        let found = check_claims(&Repo::of(&[
            ("docs/security/a.md", page),
            ("crates/app/src/a.rs", file),
        ]));
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_claim_that_no_test_holds_is_found() {
        let page = "| Invariant | Held by |\n|---|---|\n| a | `a_test` |\n| b | `gone` |\n| c | trust |\n";
        let found = check_claims(&Repo::of(&[
            ("ARCHITECTURE.md", page),
            ("a/tests.rs", "fn a_test() {}"),
        ]));
        assert_eq!(
            found.iter().map(|finding| finding.line).collect::<Vec<_>>(),
            [4, 5],
            "{found:?}"
        );
        assert_eq!(
            check_claims(&Repo::of(&[("ARCHITECTURE.md", "# No table")])).len(),
            1
        );
    }
}
