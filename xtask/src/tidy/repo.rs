//! The tree as the rules see it: every file that is tracked or would be, read once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::source::Source;
use crate::outcome::Outcome;
use crate::run;

/// Folders that a walk without git leaves out.
const NOT_OURS: [&str; 3] = [".git", "target", "strongroom-data"];

/// One file that is text.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) path: String,
    pub(super) text: String,
    /// The layers of a Rust file; empty for others.
    pub(super) source: Source,
}

impl Text {
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// A file of tests, or the part of a file below its `#[cfg(test)]` or its first test.
    pub(super) fn is_test(&self, at: usize) -> bool {
        self.first_test().is_some_and(|first| first <= at)
    }

    /// Where tests begin, if there are any.
    fn first_test(&self) -> Option<usize> {
        let path = &self.path;
        let by_name = path.contains("/tests/") || path.ends_with("/tests.rs") || path.contains("/benches/");
        if by_name {
            Some(0)
        } else {
            // A module of tests in a file of its own is marked where it is named.
            let marks = ["#[cfg(test)]", "#[test]"].iter();
            marks.filter_map(|mark| self.source.code.find(mark)).min()
        }
    }
}

/// The files of the repository.
#[derive(Debug, Default)]
pub(super) struct Repo {
    /// Files that are UTF-8, in order of their paths.
    pub(super) texts: Vec<Text>,
    /// The size of every file in bytes, by path.
    pub(super) sizes: BTreeMap<String, u64>,
    /// Names of all functions defined among the tests of Rust files.
    pub(super) tests: BTreeSet<String>,
}

impl Repo {
    /// Reads the work tree: what git tracks or would track; without git, every file outside of what is built.
    pub(super) fn load() -> Outcome<Repo> {
        let root = run::root();
        let mut command = std::process::Command::new("git");
        command
            .current_dir(&root)
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
        let paths: Vec<String> = match command.output() {
            Ok(listed) if listed.status.success() => {
                let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
                listed
                    .split('\0')
                    .filter(|path| !path.is_empty())
                    .map(str::to_owned)
                    .collect()
            }
            _ => {
                let mut paths = Vec::new();
                walk(&root, "", &mut paths)?;
                paths
            }
        };
        let mut repo = Repo::default();
        for path in paths {
            // A file that was deleted but is still in git's index is not there; a link is judged where it points.
            let Ok(bytes) = fs::read(root.join(&path)) else {
                continue;
            };
            repo.add(path, bytes);
        }
        repo.texts.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(repo)
    }

    fn add(&mut self, path: String, bytes: Vec<u8>) {
        self.sizes.insert(path.clone(), bytes.len() as u64);
        let Ok(text) = String::from_utf8(bytes) else {
            return;
        };
        let source = if path.ends_with(".rs") {
            Source::of(&text)
        } else {
            Source::default()
        };
        let file = Text { path, text, source };
        let first = file.first_test().unwrap_or(usize::MAX);
        let mut after_fn = false;
        for (at, word) in file.source.identifiers() {
            if after_fn && first <= at {
                self.tests.insert(word.to_owned());
            }
            after_fn = word == "fn";
        }
        self.texts.push(file);
    }

    pub(super) fn text(&self, path: &str) -> Option<&Text> {
        self.texts.iter().find(|text| text.path == path)
    }

    pub(super) fn rust(&self) -> impl Iterator<Item = &Text> {
        self.texts.iter().filter(|text| text.is_rust())
    }

    /// Whether the path is a file, or a folder with a file in it.
    pub(super) fn has(&self, path: &str) -> bool {
        let inside = format!("{path}/");
        path.is_empty()
            || self.sizes.contains_key(path)
            || self.sizes.keys().any(|file| file.starts_with(&inside))
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Repo {
        let mut repo = Repo::default();
        for (path, text) in files {
            repo.add((*path).to_owned(), text.as_bytes().to_vec());
        }
        repo
    }
}

fn walk(root: &Path, inside: &str, paths: &mut Vec<String>) -> Outcome<()> {
    for entry in fs::read_dir(root.join(inside))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if inside.is_empty() {
            name.clone()
        } else {
            format!("{inside}/{name}")
        };
        let kind = entry.file_type()?;
        if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) {
            walk(root, &path, paths)?;
        } else if kind.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_tree_is_read_with_its_tests() {
        let repo = Repo::load().expect("the repository");
        assert!(repo.text("xtask/src/main.rs").is_some());
        assert!(repo.tests.contains("the_work_tree_is_read_with_its_tests"));
        assert!(!repo.tests.contains("is_rust"));
        assert!(repo.has("xtask/src") && repo.has("Cargo.toml") && !repo.has("xtask/sr"));
    }

    #[test]
    fn a_walk_without_git_finds_the_sources_and_not_what_is_built() {
        let mut paths = Vec::new();
        walk(&run::root(), "", &mut paths).expect("a walk");
        assert!(paths.iter().any(|path| path == "xtask/src/main.rs"));
        assert!(
            paths
                .iter()
                .all(|path| !path.starts_with("target/") && !path.starts_with(".git/"))
        );
    }
}
