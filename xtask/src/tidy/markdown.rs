//! What the rules need of Markdown: sections, tables, links.

use super::Finding;
use super::repo::Repo;

/// The lines of a section, by its heading of the second level, with their numbers from 1.
pub(super) fn section<'a>(text: &'a str, heading: &str) -> Option<Vec<(usize, &'a str)>> {
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    lines.find(|(_, line)| {
        line.strip_prefix("## ")
            .is_some_and(|title| title.trim() == heading)
    })?;
    Some(
        lines
            .take_while(|(_, line)| !line.starts_with("## ") && !line.starts_with("# "))
            .collect(),
    )
}

/// What stands in backticks.
pub(super) fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The cells of a table's column, by its title, with the numbers of their lines; several tables may have one.
pub(super) fn column<'a>(text: &'a str, title: &str) -> Vec<(usize, &'a str)> {
    let mut cells = Vec::new();
    let mut at = None;
    for (number, line) in text.lines().enumerate() {
        let row = line.trim();
        if !row.starts_with('|') {
            at = None;
            continue;
        }
        let mut fields = row.trim_matches('|').split('|').map(str::trim);
        match at {
            None => at = Some(fields.position(|field| field == title)),
            Some(Some(column)) if !row.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ')) => {
                cells.push((number + 1, fields.nth(column).unwrap_or_default()));
            }
            Some(_) => {}
        }
    }
    cells
}

/// Links to files of the repository that are not there.
pub(super) fn check_links(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.texts.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut in_code = false;
        for (number, line) in file.text.lines().enumerate() {
            in_code ^= line.trim_start().starts_with("```");
            for link in line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
                .filter(|_| !in_code)
            {
                let target = link.split('#').next().unwrap_or_default();
                if target.is_empty() || target.contains(':') {
                    continue;
                }
                if resolve(folder, target).is_none_or(|path| !repo.has(&path)) {
                    let advice = format!("the link `{link}` leads nowhere");
                    findings.push(Finding::new(&file.path, number + 1, advice));
                }
            }
        }
    }
    findings
}

/// A relative path from a folder; `None` when it leaves the repository.
fn resolve(folder: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let text = "# T\n## A\none\n\n## B\ntwo\n";
        assert_eq!(section(text, "A").expect("a section"), [(3, "one"), (4, "")]);
        assert_eq!(section(text, "C"), None);
    }

    #[test]
    fn a_column_is_found_by_its_title_in_every_table() {
        let first = "| a | Held by |\n|---|---|\n| 1 | `x` |\n\n";
        let second = "| Held by |\n|--|\n| `y` |\n| z |\n\n| other |\n|-|\n| `w` |\n";
        let text = format!("{first}{second}");
        assert_eq!(column(&text, "Held by"), [(3, "`x`"), (7, "`y`"), (8, "z")]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let text = "[a](adr/1.md) [b](../README.md#x) [c](https://example.com) [d](#here)\n[e](adr/2.md) [f](../../x)\n";
        let repo = Repo::of(&[("docs/a.md", text), ("docs/adr/1.md", ""), ("README.md", "")]);
        let found = check_links(&repo);
        assert_eq!(
            found.iter().map(|finding| finding.line).collect::<Vec<_>>(),
            [2, 2],
            "{found:?}"
        );
    }

    #[test]
    fn what_stands_in_backticks_is_quoted() {
        assert_eq!(quoted("a `b` c `d e` f").collect::<Vec<_>>(), ["b", "d e"]);
    }
}
