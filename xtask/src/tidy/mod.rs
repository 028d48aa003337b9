//! `cargo xtask tidy`: the rules of the house that no compiler knows.
//!
//! Each rule reads the tree and says what breaks it, where, and what to do instead. A rule that a decision record or a
//! claim in ARCHITECTURE.md leans on is named there as `tidy:<name>`, and exists under that name in the table below.
//! Each has a test that shows it to a bad sample: a rule that cannot fail holds nothing.

mod hygiene;
mod imports;
mod lints;
mod markdown;
mod records;
mod repo;
mod shape;
mod source;
mod sql;
mod tree;
mod words;
mod wrap;

use std::fmt;

use crate::outcome::Outcome;
use repo::Repo;

/// A rule: the name that records refer to, what it keeps, and the check.
struct Rule {
    name: &'static str,
    keeps: &'static str,
    check: fn(&Repo) -> Outcome<Vec<Finding>>,
}

const RULES: [Rule; 10] = [
    Rule {
        name: "imports",
        keeps: "the table of who may import whom",
        check: imports::check,
    },
    Rule {
        name: "sql",
        keeps: "SQL text in `store` alone",
        check: |repo| Ok(sql::check(repo)),
    },
    Rule {
        name: "lints",
        keeps: "the lints that every crate promises",
        check: lints::check,
    },
    Rule {
        name: "tree",
        keeps: "licences, bans and pins of dependencies",
        check: tree::check,
    },
    Rule {
        name: "words",
        keeps: "one word per thing",
        check: |repo| Ok(words::check(repo)),
    },
    Rule {
        name: "shape",
        keeps: "files and lines that a reader can hold",
        check: |repo| Ok(shape::check(repo)),
    },
    Rule {
        name: "hygiene",
        keeps: "nothing in the tree that is not the project",
        check: |repo| Ok(hygiene::check(repo)),
    },
    Rule {
        name: "records",
        keeps: "decision records that are enforced",
        check: |repo| Ok(records::check_records(repo)),
    },
    Rule {
        name: "claims",
        keeps: "claims that a test holds",
        check: |repo| Ok(records::check_claims(repo)),
    },
    Rule {
        name: "links",
        keeps: "documents whose links lead somewhere",
        check: |repo| Ok(markdown::check_links(repo)),
    },
];

/// One place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The file, relative to the root.
    file: String,
    /// The line, from 1; 0 when it is about the file as a whole.
    line: usize,
    /// What is wrong and what to do instead.
    advice: String,
}

impl Finding {
    fn new(file: &str, line: usize, advice: impl Into<String>) -> Finding {
        Finding {
            file: file.to_owned(),
            line,
            advice: advice.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.advice),
            line => write!(f, "{}:{line}: {}", self.file, self.advice),
        }
    }
}

/// Whether a rule of that name exists.
fn is_rule(name: &str) -> bool {
    RULES.iter().any(|rule| rule.name == name)
}

/// Checks every rule, or those that are named; with `--wrap` breaks comments that are too long instead.
pub(crate) fn verb(args: &[String]) -> Outcome<()> {
    if args == ["--wrap"] {
        return wrap::verb();
    }
    if let Some(unknown) = args.iter().find(|name| !is_rule(name)) {
        let names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        return Err(format!("tidy has no rule `{unknown}`; it has {}", names.join(", ")).into());
    }
    let repo = Repo::load()?;
    let mut found = 0_usize;
    for rule in RULES
        .iter()
        .filter(|rule| args.is_empty() || args.iter().any(|name| name == rule.name))
    {
        let findings =
            (rule.check)(&repo).map_err(|failure| failure.during(&format!("tidy:{}", rule.name)))?;
        if !findings.is_empty() {
            eprintln!("tidy:{} keeps {}", rule.name, rule.keeps);
        }
        for finding in &findings {
            eprintln!("  {finding}");
        }
        found += findings.len();
    }
    if found == 0 {
        Ok(())
    } else {
        Err(format!("{found} places to tidy").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_name_of_its_own() {
        for (at, rule) in RULES.iter().enumerate() {
            assert!(
                RULES[at + 1..].iter().all(|other| other.name != rule.name),
                "{}",
                rule.name
            );
        }
    }

    #[test]
    fn an_unknown_rule_is_refused() {
        assert!(verb(&["no-such-rule".to_owned()]).is_err());
    }
}
