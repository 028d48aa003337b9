//! `cargo xtask gen`: the files that are written by the program itself, committed, and compared in every test run.
//!
//! Each comes from the standard output of one verb of the binary, so that what is published is what runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::outcome::Outcome;
use crate::run;

/// A generated file and the verb of `strongroom` that prints it.
struct Generated {
    file: &'static str,
    verb: &'static [&'static str],
}

/// Every generated file of the repository.
const GENERATED: [Generated; 4] = [
    Generated {
        file: "openapi.json",
        verb: &["openapi"],
    },
    Generated {
        file: "docs/errors.md",
        verb: &["errors"],
    },
    Generated {
        file: "docs/security/events.md",
        verb: &["events"],
    },
    Generated {
        file: "docs/configuration.md",
        verb: &["config", "reference"],
    },
];

/// What the program refuses as a password without anybody's list: the long ones of a dependency's frequency list.
const COMMON_PASSWORDS: &str = "crates/crypto/src/password/common.filter";
/// The package that has the list, the file, and what stands before and after it.
const FREQUENCIES: (&str, &str, &str, &str) = (
    "zxcvbn",
    "src/frequency_lists.rs",
    "const PASSWORDS: &str = \"",
    "\";",
);

/// Lines of a difference that are shown per file.
const SHOWN_LINES_MAX: usize = 60;
/// Unchanged lines around a difference.
const CONTEXT_LINES: usize = 3;

/// Writes the files, or with `--check` fails when one differs from what would be written.
pub(crate) fn verb(args: &[String]) -> Outcome<()> {
    match args {
        [] => write_all(),
        [flag] if flag == "--check" => check_all(&ALONE),
        _ => Err("`gen` takes `--check` or nothing".into()),
    }
}

/// What is built when the files are all that is wanted.
pub(crate) const ALONE: [&str; 2] = ["--package", "strongroom"];
/// What is built when the tests follow: the same as they need, so that nothing is built twice with other features.
pub(crate) const BEFORE_TESTS: [&str; 2] = ["--workspace", "--all-targets"];

/// Fails, with a difference to read, when a committed file is not what the program prints.
pub(crate) fn check_all(built: &[&str]) -> Outcome<()> {
    let program = build(built)?;
    let mut stale = Vec::new();
    for generated in &GENERATED {
        let now = print(&program, generated)?;
        let committed = fs::read_to_string(run::root().join(generated.file)).unwrap_or_default();
        if let Some(difference) = difference(&committed, &now) {
            eprintln!(
                "--- {0} as committed\n+++ {0} as generated\n{difference}",
                generated.file
            );
            stale.push(generated.file);
        }
    }
    if fs::read(run::root().join(COMMON_PASSWORDS))? != common_passwords(&program)? {
        stale.push(COMMON_PASSWORDS);
    }
    if stale.is_empty() {
        Ok(())
    } else {
        Err(format!("out of date: {}; run `cargo xtask gen`", stale.join(", ")).into())
    }
}

fn write_all() -> Outcome<()> {
    let program = build(&ALONE)?;
    for generated in &GENERATED {
        fs::write(run::root().join(generated.file), print(&program, generated)?)?;
        println!("wrote {}", generated.file);
    }
    fs::write(run::root().join(COMMON_PASSWORDS), common_passwords(&program)?)?;
    println!("wrote {COMMON_PASSWORDS}");
    Ok(())
}

/// The list in the form that the program asks.
fn common_passwords(program: &Path) -> Outcome<Vec<u8>> {
    let (package, file, before, after) = FREQUENCIES;
    let metadata = run::stdout_of(run::cargo().args(["metadata", "--format-version", "1", "--locked"]))?;
    let metadata: Value =
        serde_json::from_str(&metadata).map_err(|e| format!("`cargo metadata` cannot be read: {e}"))?;
    let found = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|each| each["name"] == package)
        .and_then(|each| Path::new(each["manifest_path"].as_str()?).parent());
    let folder = found.ok_or_else(|| format!("`{package}` is no dependency any more"))?;
    let source = fs::read_to_string(folder.join(file))?;
    let words = source
        .split_once(before)
        .and_then(|(_, rest)| Some(rest.split_once(after)?.0))
        .ok_or_else(|| format!("`{package}` has its list elsewhere now"))?;
    let target = run::target_folder()?;
    let (list, out) = (target.join("common-passwords.txt"), target.join("common.filter"));
    fs::write(&list, words.replace(',', "\n"))?;
    let mut command = Command::new(program);
    command
        .args(["passwords", "filter", "--json", "--list"])
        .arg(&list);
    run::stdout_of(command.arg("--out").arg(&out))?;
    Ok(fs::read(out)?)
}

/// Builds the binary and says where it lies.
fn build(what: &[&str]) -> Outcome<PathBuf> {
    run::succeed(run::cargo().args(["build", "--quiet"]).args(what))?;
    Ok(run::target_folder()?.join("debug").join("strongroom"))
}

fn print(program: &Path, generated: &Generated) -> Outcome<String> {
    // Nothing that it prints depends on where it is asked or on a configuration.
    let mut command = Command::new(program);
    command.args(generated.verb).current_dir("/");
    let text = run::stdout_of(&mut command)?;
    if text.trim().is_empty() {
        return Err(format!("`strongroom {}` printed nothing", generated.verb.join(" ")).into());
    }
    Ok(format!("{}\n", text.trim_end()))
}

/// What differs between two texts: the lines between their common beginning and their common end, with a little of
/// both; `None` when they are equal.
fn difference(old: &str, new: &str) -> Option<String> {
    if old == new {
        return None;
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same_before = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same_before;
    let same_after = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take(rest)
        .take_while(|(a, b)| a == b)
        .count();
    let first = same_before.saturating_sub(CONTEXT_LINES);
    let mut shown = vec![format!("@@ from line {} @@", first + 1)];
    shown.extend(old[first..same_before].iter().map(|line| format!(" {line}")));
    shown.extend(
        old[same_before..old.len() - same_after]
            .iter()
            .map(|line| format!("-{line}")),
    );
    shown.extend(
        new[same_before..new.len() - same_after]
            .iter()
            .map(|line| format!("+{line}")),
    );
    let after = &new[new.len() - same_after..];
    shown.extend(after.iter().take(CONTEXT_LINES).map(|line| format!(" {line}")));
    let more = shown.len().saturating_sub(SHOWN_LINES_MAX);
    shown.truncate(SHOWN_LINES_MAX);
    if more > 0 {
        shown.push(format!("… and {more} more lines"));
    }
    Some(shown.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_no_difference() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
    }

    #[test]
    fn a_changed_line_is_shown_with_its_neighbours() {
        let shown = difference("1\n2\n3\n4\n5\n6\n7\n", "1\n2\n3\n4\nfive\n6\n7\n").expect("they differ");
        assert_eq!(shown, "@@ from line 2 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7");
    }

    #[test]
    fn a_missing_file_differs_in_every_line() {
        assert_eq!(
            difference("", "a\n").expect("they differ"),
            "@@ from line 1 @@\n+a"
        );
    }

    #[test]
    fn repeated_lines_are_not_counted_twice() {
        assert_eq!(
            difference("a\na\n", "a\na\na\n").expect("they differ"),
            "@@ from line 1 @@\n a\n a\n+a"
        );
    }

    #[test]
    fn a_trailing_newline_is_a_difference() {
        assert!(difference("a", "a\n").is_some());
    }

    #[test]
    fn a_long_difference_is_cut() {
        let long: String = (0..500).map(|n| format!("{n}\n")).collect();
        let shown = difference("", &long).expect("they differ");
        assert!(
            shown.lines().count() == SHOWN_LINES_MAX + 1 && shown.ends_with("more lines"),
            "{shown}"
        );
    }
}
