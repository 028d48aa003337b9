//! SQL text lives in `store` alone: what is asked of the database is read in one crate.

use super::Finding;
use super::repo::Repo;
use super::source::{line_at, places};

/// Where SQL is at home: the crate that owns it, and the programs that compare or check from outside.
const AT_HOME: [&str; 3] = ["crates/store/", "bench/", "xtask/"];

/// How far a statement's second keyword may be from its first, in bytes.
const REACH_BYTES: usize = 120;

/// A statement is known by its beginning and by what follows soon.
const STATEMENTS: [(&str, &str); 6] = [
    ("SELECT ", ""),
    ("INSERT INTO ", ""),
    ("UPDATE ", " SET "),
    ("DELETE FROM ", ""),
    ("CREATE TABLE ", ""),
    ("SET LOCAL ", ""),
];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.rust() {
        // Tests tamper with the database on purpose, as its owner.
        if AT_HOME.iter().any(|home| file.path.starts_with(home)) || file.path.contains("/tests/") {
            continue;
        }
        let text = file.source.strings.replace('\n', " ");
        for (first, second) in STATEMENTS {
            for at in places(&text, first) {
                let end = text.len().min(at + REACH_BYTES);
                if String::from_utf8_lossy(&text.as_bytes()[at..end]).contains(second) {
                    let advice = "SQL text belongs to `store`: give it a function there that is named by what is asked";
                    findings.push(Finding::new(&file.path, line_at(&file.text, at), advice));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Repo::of(&[(path, text)]))
            .iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn a_statement_outside_of_the_store_is_found() {
        let text = "fn f() {\n  q(\"SELECT a FROM b\");\n  q(\"UPDATE a\n   SET b = 1\");\n}";
        assert_eq!(lines("crates/app/src/a.rs", text), [2, 3]);
        assert_eq!(lines("crates/store/src/a.rs", text), [0; 0]);
        assert_eq!(lines("crates/strongroom/tests/it/a.rs", text), [0; 0]);
    }

    #[test]
    fn prose_and_comments_are_no_statements() {
        assert_eq!(
            lines(
                "crates/app/src/a.rs",
                "// SELECT a FROM b\nlet a = \"select an account, UPDATE it\";"
            ),
            [0; 0]
        );
    }
}
