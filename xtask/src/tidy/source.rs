//! Rust source taken apart into code, comments and literals, so that a rule about code is not deceived by a sentence
//! in a comment, nor one about text by a name.
//!
//! Not a parser: it knows comments (nested), strings (plain, raw, byte, C), characters and lifetimes, and keeps every
//! byte at its place, so that positions are those of the file.

/// A file in three layers of equal length; what belongs to another layer is blank.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) code: String,
    pub(super) comments: String,
    pub(super) strings: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

impl Source {
    pub(super) fn of(text: &str) -> Source {
        let kinds = kinds(text.as_bytes());
        let layer = |kind| {
            let bytes = text.bytes().zip(&kinds);
            let kept = bytes.map(|(byte, of)| if byte == b'\n' || *of == kind { byte } else { b' ' });
            // A character lies in one layer as a whole, so that blanking never cuts one.
            String::from_utf8_lossy(&kept.collect::<Vec<_>>()).into_owned()
        };
        Source {
            code: layer(Kind::Code),
            comments: layer(Kind::Comment),
            strings: layer(Kind::Literal),
        }
    }

    /// The identifiers of the code with their positions.
    pub(super) fn identifiers(&self) -> impl Iterator<Item = (usize, &str)> {
        words(&self.code).filter(|(_, word)| !word.starts_with(|first: char| first.is_ascii_digit()))
    }
}

/// The line of a position, from 1.
pub(super) fn line_at(text: &str, position: usize) -> usize {
    text.as_bytes()[..position]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// Runs of letters, digits and underscores, with their positions.
pub(super) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text[rest..].find(is_word)?;
        let end = text[start..]
            .find(|c| !is_word(c))
            .map_or(text.len(), |length| start + length);
        rest = end;
        Some((start, &text[start..end]))
    })
}

/// Every place of a text within another.
pub(super) fn places<'a>(text: &'a str, wanted: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(wanted).map(|(at, _)| at)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn kinds(text: &[u8]) -> Vec<Kind> {
    let mut kinds = Vec::with_capacity(text.len());
    while kinds.len() < text.len() {
        let at = kinds.len();
        let (kind, length) = next(text, at);
        kinds.resize((at + length).min(text.len()), kind);
    }
    kinds
}

/// What begins here and how many bytes it takes.
fn next(text: &[u8], at: usize) -> (Kind, usize) {
    let here = &text[at..];
    if here.starts_with(b"//") {
        return (
            Kind::Comment,
            here.iter().position(|byte| *byte == b'\n').unwrap_or(here.len()),
        );
    }
    if here.starts_with(b"/*") {
        return (Kind::Comment, block_comment(here));
    }
    let inside_a_word = at > 0 && (text[at - 1].is_ascii_alphanumeric() || text[at - 1] == b'_');
    if !inside_a_word && let Some(length) = raw_string(here) {
        return (Kind::Literal, length);
    }
    match here[0] {
        b'"' => (Kind::Literal, quoted(here, b'"')),
        b'\'' => character(here).map_or((Kind::Code, 1), |length| (Kind::Literal, length)),
        _ => (Kind::Code, 1),
    }
}

fn block_comment(text: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        if text[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#`, and the same after `b` or `c`.
fn raw_string(text: &[u8]) -> Option<usize> {
    let prefix = usize::from(matches!(text[0], b'b' | b'c'));
    if *text.get(prefix)? != b'r' {
        return None;
    }
    let hashes = text[prefix + 1..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    let open = prefix + 1 + hashes;
    if *text.get(open)? != b'"' {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"')
        .chain(std::iter::repeat_n(b'#', hashes))
        .collect();
    let body = &text[open + 1..];
    let length = body.windows(close.len()).position(|window| window == close);
    Some(length.map_or(text.len(), |length| open + 1 + length + close.len()))
}

/// From an opening quote to the closing one that no backslash precedes.
fn quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// A character literal; a lifetime is none.
fn character(text: &[u8]) -> Option<usize> {
    match text.get(1)? {
        b'\\' => Some(quoted(text, b'\'')),
        b'\'' => None,
        first => {
            let width = match first {
                0..=0x7f => 1,
                0xc0..=0xdf => 2,
                0xe0..=0xef => 3,
                _ => 4,
            };
            (text.get(1 + width) == Some(&b'\'')).then_some(width + 2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        let text = "let a = \"two // words\"; // three /* four\nlet b = 5;";
        let source = Source::of(text);
        let names: Vec<&str> = source.identifiers().map(|(_, name)| name).collect();
        assert_eq!(names, ["let", "a", "let", "b"]);
        assert!(source.strings.contains("two // words") && source.comments.contains("three /* four"));
        assert_eq!(
            (source.code.len(), source.strings.len()),
            (text.len(), text.len())
        );
    }

    #[test]
    fn raw_strings_end_only_at_their_own_mark() {
        let source = Source::of(r###"f(r#"in "quotes" here"#, br"\", tail)"###);
        let names: Vec<&str> = source.identifiers().map(|(_, name)| name).collect();
        assert_eq!(names, ["f", "tail"]);
    }

    #[test]
    fn a_lifetime_opens_nothing_and_a_quote_character_closes_itself() {
        let source = Source::of(r#"fn f<'a>(x: &'a str) { g('"', '\'', '→', b'\\'); after }"#);
        let names: Vec<&str> = source.identifiers().map(|(_, name)| name).collect();
        assert_eq!(names, ["fn", "f", "a", "x", "a", "str", "g", "b", "after"]);
    }

    #[test]
    fn block_comments_nest() {
        let source = Source::of("a /* b /* c */ d */ e");
        let names: Vec<&str> = source.identifiers().map(|(_, name)| name).collect();
        assert_eq!(names, ["a", "e"]);
    }

    #[test]
    fn a_word_that_ends_in_r_opens_no_raw_string() {
        let source = Source::of("bar#\"x\"# ; r#type");
        assert!(source.code.contains("bar#") && source.code.contains("type"));
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!(line_at("a\nb\nc", 0), 1);
        assert_eq!(line_at("a\nb\nc", 4), 3);
    }
}
