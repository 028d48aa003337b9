//! `cargo xtask tidy --wrap`: breaks comments that are too long for a line, the one finding that a program can mend.
//!
//! A paragraph is filled again from its first line that is too long. Lists keep their hanging indent; tables, headings,
//! code blocks and lines with an address are left to their author.

use std::fs;

use super::repo::Repo;
use super::shape::LINE_COLUMNS_MAX;
use crate::outcome::Outcome;
use crate::run;

/// Wraps every Rust file in place and says which were changed.
pub(super) fn verb() -> Outcome<()> {
    let repo = Repo::load()?;
    for file in repo.rust() {
        let wrapped = wrap(&file.text, &file.source.strings);
        if wrapped != file.text {
            fs::write(run::root().join(&file.path), wrapped)?;
            println!("wrapped {}", file.path);
        }
    }
    Ok(())
}

/// A line of a comment that stands alone.
struct Comment<'a> {
    /// Indentation, marker and the spaces behind it.
    prefix: &'a str,
    text: &'a str,
}

impl Comment<'_> {
    fn is_plain(&self) -> bool {
        let own = ["|", "#", "```", "<"]
            .iter()
            .any(|start| self.text.starts_with(start));
        let reference = self.text.starts_with('[') && self.text.contains("]:");
        !self.text.is_empty() && !own && !reference && !self.text.contains("://")
    }

    /// How far a list item's further lines are indented; 0 when it is none.
    fn hanging(&self) -> usize {
        let marker = self.text.split(' ').next().unwrap_or_default();
        let numbered = marker
            .strip_suffix('.')
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if matches!(marker, "-" | "*") || numbered {
            marker.len() + 1
        } else {
            0
        }
    }
}

fn comment(line: &str) -> Option<Comment<'_>> {
    let body = line.trim_start();
    let marker = ["///", "//!", "//"]
        .into_iter()
        .find(|marker| body.starts_with(marker))?;
    let text = body[marker.len()..].trim_start();
    let prefix = &line[..line.len() - text.len()];
    Some(Comment { prefix, text })
}

fn wrap(text: &str, strings: &str) -> String {
    // What looks like a comment inside a literal that spans lines is none.
    let in_literal: Vec<bool> = strings.lines().map(|line| !line.trim().is_empty()).collect();
    let lines: Vec<&str> = text.lines().collect();
    let mut wrapped: Vec<String> = Vec::with_capacity(lines.len());
    let mut in_code = false;
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let found = comment(line).filter(|_| !in_literal.get(at).copied().unwrap_or_default());
        at += 1;
        in_code = match &found {
            Some(comment) => in_code ^ comment.text.starts_with("```"),
            None => false,
        };
        let too_long = line.chars().count() > LINE_COLUMNS_MAX;
        let Some(first) = found.filter(|first| too_long && !in_code && first.is_plain()) else {
            wrapped.push(line.to_owned());
            continue;
        };
        let next_prefix = format!("{}{}", first.prefix, " ".repeat(first.hanging()));
        let mut words: Vec<&str> = first.text.split(' ').collect();
        while let Some(next) = lines.get(at).and_then(|line| comment(line)) {
            if next.prefix != next_prefix || !next.is_plain() || next.hanging() != 0 {
                break;
            }
            words.extend(next.text.split(' '));
            at += 1;
        }
        wrapped.extend(fill(first.prefix, &next_prefix, &words));
    }
    let mut wrapped = wrapped.join("\n");
    if text.ends_with('\n') {
        wrapped.push('\n');
    }
    wrapped
}

fn fill(first_prefix: &str, next_prefix: &str, words: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = first_prefix.to_owned();
    let mut empty = true;
    for word in words {
        let space = usize::from(!empty);
        if !empty && line.chars().count() + space + word.chars().count() > LINE_COLUMNS_MAX {
            lines.push(std::mem::replace(&mut line, next_prefix.to_owned()));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::*;

    fn wrapped(text: &str) -> String {
        wrap(text, &Source::of(text).strings)
    }

    fn words(count: usize) -> String {
        vec!["word"; count].join(" ")
    }

    #[test]
    fn a_long_comment_is_filled_again_with_the_rest_of_its_paragraph() {
        let text = format!(
            "    /// {}\n    /// tail\n    ///\n    /// other\n    fn a() {{}}\n",
            words(25)
        );
        let expected = format!(
            "    /// {}\n    /// {} tail\n    ///\n    /// other\n    fn a() {{}}\n",
            words(22),
            words(3)
        );
        assert_eq!(wrapped(&text), expected);
        assert_eq!(wrapped(&expected), expected);
    }

    #[test]
    fn a_list_keeps_its_indent_and_its_next_item() {
        let text = format!("//! * {}\n//!   more\n//! * next\n", words(25));
        let expected = format!("//! * {}\n//!   {} more\n//! * next\n", words(23), words(2));
        assert_eq!(wrapped(&text), expected);
    }

    #[test]
    fn tables_code_addresses_and_literals_are_left_alone() {
        for text in [
            format!("//! | {} |\n", words(30)),
            format!("//! ```text\n//! {}\n//! ```\n", words(30)),
            format!("// https://a/{}\n", words(30)),
            format!("let a = \"\n// {}\";\n", words(30)),
            format!("let {} = 1;\n", words(30)),
        ] {
            assert_eq!(wrapped(&text), text);
        }
    }

    #[test]
    fn what_fits_is_not_touched() {
        let text = "// short\n// lines\n// stay\n";
        assert_eq!(wrapped(text), text);
    }
}
