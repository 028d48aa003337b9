//! The table as people read it: under each operation, answers and who got them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::PathBuf,
};

use crate::harness::Answer;

const HEAD: &str = "\
# Who is answered what. Under each operation: the answers about an object of one's own, of another customer, and about
# one that does not exist (one answer where the operation is about no object), and the callers who got them. Who owns
# nothing asks about a customer's object as \"own\". Compared in every test run on both databases; written anew by
# `cargo xtask matrix --accept` and by nothing else.
";
/// Longest line of names.
const LINE_CHARS_MAX: usize = 120;

/// The answers of one operation.
#[derive(Debug)]
pub(crate) struct Row {
    operation: String,
    cells: Vec<(&'static str, Vec<String>)>,
}

/// What a cell keeps of an answer: its status, and its code where it is a refusal.
pub(crate) fn cell(answer: &Answer) -> String {
    format!("{} {}", answer.status, answer.code())
        .trim_end()
        .to_owned()
}

impl Row {
    pub(crate) fn new(operation: &str) -> Self {
        Self {
            operation: operation.to_owned(),
            cells: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, caller: &'static str, cells: Vec<String>) {
        self.cells.push((caller, cells));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Whether somebody's request about an own object was granted.
    pub(crate) fn was_granted(&self) -> bool {
        self.cells
            .iter()
            .any(|(_, cells)| cells.first().is_some_and(|own| own.starts_with('2')))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (caller, cells) in &self.cells {
            groups.entry(cells.join(" | ")).or_default().push(caller);
        }
        writeln!(out, "\n{}", self.operation)?;
        for (answers, callers) in groups {
            writeln!(out, "  {answers}")?;
            let mut line = String::new();
            for caller in callers {
                if !line.is_empty() && line.len() + caller.len() + 6 > LINE_CHARS_MAX {
                    writeln!(out, "    {line}")?;
                    line.clear();
                }
                line.push_str(if line.is_empty() { "" } else { "; " });
                line.push_str(caller);
            }
            writeln!(out, "    {line}")?;
        }
        Ok(())
    }
}

/// All rows.
pub(crate) fn render(rows: &[Row]) -> String {
    rows.iter()
        .fold(HEAD.to_owned(), |text, row| format!("{text}{row}"))
}

fn file() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/security/authorization-matrix.txt"
    ))
}

/// Replaces the table of the repository.
pub(crate) fn write(found: &str) {
    fs::write(file(), found).unwrap();
}

/// What differs from the table of the repository, by operation.
pub(crate) fn differences(found: &str) -> Vec<String> {
    let expected = fs::read_to_string(file()).unwrap_or_default();
    let by_operation = |text: &str| -> BTreeMap<String, String> {
        text.split("\n\n")
            .skip(1)
            .filter_map(|row| {
                row.trim()
                    .split_once('\n')
                    .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
            })
            .collect()
    };
    let (expected, found) = (by_operation(&expected), by_operation(found));
    let names: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let nothing = String::new();
    names
        .into_iter()
        .filter_map(|name| {
            let (old, new) = (expected.get(name), found.get(name));
            (old != new).then(|| {
                let (old, new) = (old.unwrap_or(&nothing), new.unwrap_or(&nothing));
                format!("{name}\n  --- the table says\n{old}\n  +++ found\n{new}")
            })
        })
        .collect()
}
