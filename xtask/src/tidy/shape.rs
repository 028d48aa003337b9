//! Files and lines of a size that a reader can hold.

use super::Finding;
use super::repo::Repo;

/// Lines of a Rust file.
const FILE_LINES_MAX: usize = 600;
/// Columns of a line of Rust; rustfmt breaks code long before, this is for comments and texts.
pub(super) const LINE_COLUMNS_MAX: usize = 120;
/// Columns of a line with a literal in it: a statement or a sentence that is broken can no longer be found.
const LITERAL_COLUMNS_MAX: usize = 160;

/// Files that are longer for now, with the lines that they have. A number may only go down, and an entry goes when its
/// file fits.
const LONGER_FOR_NOW: [(&str, usize); 0] = [];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    check_with(repo, &LONGER_FOR_NOW)
}

fn check_with(repo: &Repo, longer: &[(&str, usize)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.rust() {
        let lines = file.text.lines().count();
        let allowed = longer
            .iter()
            .find(|(path, _)| *path == file.path)
            .map(|(_, lines)| *lines);
        let advice = match allowed {
            None if lines > FILE_LINES_MAX => Some(format!(
                "{lines} lines, at most {FILE_LINES_MAX}: split it by noun"
            )),
            Some(before) if lines > before => {
                Some(format!("{lines} lines, {before} before: it may only shrink"))
            }
            Some(before) if lines < before => Some(format!(
                "{lines} lines, {before} before: write down the new number"
            )),
            Some(_) if lines <= FILE_LINES_MAX => Some("it fits now: take it from the list".to_owned()),
            _ => None,
        };
        findings.extend(advice.map(|advice| Finding::new(&file.path, 0, advice)));
        let literals = file.source.strings.lines().map(|line| !line.trim().is_empty());
        for (at, (line, literal)) in file.text.lines().zip(literals).enumerate() {
            let columns = line.chars().count();
            let columns_max = if literal {
                LITERAL_COLUMNS_MAX
            } else {
                LINE_COLUMNS_MAX
            };
            // A link cannot be broken.
            if columns > columns_max && !line.contains("://") {
                let advice = format!("{columns} columns, at most {columns_max}");
                findings.push(Finding::new(&file.path, at + 1, advice));
            }
        }
    }
    for (path, _) in longer.iter().filter(|(path, _)| repo.text(path).is_none()) {
        findings.push(Finding::new(
            path,
            0,
            "it is gone: take it from the list of xtask/src/tidy/shape.rs",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found_and_a_full_one_is_not() {
        let repo = |lines| Repo::of(&[("a.rs", &*"\n".repeat(lines))]);
        assert_eq!(check(&repo(FILE_LINES_MAX)), []);
        assert_eq!(check(&repo(FILE_LINES_MAX + 1)).len(), 1);
    }

    #[test]
    fn the_list_of_long_files_only_shrinks() {
        let repo = |lines| Repo::of(&[("a.rs", &*"\n".repeat(lines))]);
        let listed = [("a.rs", 700)];
        assert_eq!(check_with(&repo(700), &listed), []);
        assert!(check_with(&repo(701), &listed)[0].advice.contains("only shrink"));
        assert!(check_with(&repo(650), &listed)[0].advice.contains("new number"));
        assert!(check_with(&Repo::default(), &listed)[0].advice.contains("gone"));
        assert!(
            check_with(&repo(500), &[("a.rs", 500)])[0]
                .advice
                .contains("fits now")
        );
    }

    #[test]
    fn a_line_with_a_literal_may_be_longer_but_not_endless() {
        let literal = |columns| format!("q(\"{}\");", "x".repeat(columns - 6));
        assert_eq!(check(&Repo::of(&[("a.rs", &*literal(LITERAL_COLUMNS_MAX))])), []);
        assert_eq!(
            check(&Repo::of(&[("a.rs", &*literal(LITERAL_COLUMNS_MAX + 1))])).len(),
            1
        );
    }

    #[test]
    fn a_long_line_is_found_unless_a_link_makes_it_long() {
        let long = "x".repeat(LINE_COLUMNS_MAX + 1);
        let found = check(&Repo::of(&[("a.rs", &*format!("fn a() {{}}\n// {long}"))]));
        assert_eq!(found[0].line, 2);
        assert_eq!(
            check(&Repo::of(&[("a.rs", &*format!("// https://a/{long}"))])),
            []
        );
        assert_eq!(check(&Repo::of(&[("a.rs", &*"→".repeat(LINE_COLUMNS_MAX))])), []);
    }
}
