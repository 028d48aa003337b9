//! One text for the many ways to write it: escapes are undone until nothing is left to undo, look-alikes become what
//! they look like, case and white space do not count.

use std::cell::OnceCell;

use unicode_normalization::UnicodeNormalization;

/// How often escapes are undone: whoever escapes three times over hides something.
const ROUNDS_MAX: u8 = 4;

/// A value as the rules see it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Canonical {
    /// Unescaped, in lower case, with single spaces.
    pub text: String,
    /// The same without what shells and databases skip: comments, quotes, backslashes, carets.
    pub bare: String,
    /// How many rounds of escapes were undone.
    pub rounds: u8,
    /// Whether a character was written in more bytes than it needs (RFC 3629 forbids it).
    pub overlong: bool,
    /// Whether there is a byte of nothing, at which C stops reading.
    pub null: bool,
    /// Whether a tokenizer read a statement into it, once one was asked.
    pub sql: OnceCell<bool>,
    /// Whether a tokenizer read a script into it, once one was asked.
    pub script: OnceCell<bool>,
}

/// Undoes what is written differently. In forms and queries a plus is a space.
pub(super) fn canonical(bytes: &[u8], plus_is_space: bool) -> Canonical {
    let mut known = Canonical::default();
    let mut now: Vec<u8> = bytes.to_vec();
    if plus_is_space {
        for byte in &mut now {
            if *byte == b'+' {
                *byte = b' ';
            }
        }
    }
    while known.rounds < ROUNDS_MAX {
        let (next, overlong) = short(&unescape(&now));
        known.overlong |= overlong;
        if next == now {
            break;
        }
        known.rounds += 1;
        now = next;
    }
    known.null = now.contains(&0);
    known.text = plain(&String::from_utf8_lossy(&now));
    known.bare = bare(&known.text);
    known
}

/// Undoes one layer of escapes: percent, HTML, and those of JavaScript.
fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at + 1..).unwrap_or_default();
        let found = match byte {
            b'%' => percent(rest),
            b'&' => entity(rest),
            b'\\' => script(rest),
            _ => None,
        };
        match found {
            Some((Found::Byte(value), length)) => {
                out.push(value);
                at += 1 + length;
            }
            Some((Found::Char(value), length)) => {
                out.extend_from_slice(value.encode_utf8(&mut [0; 4]).as_bytes());
                at += 1 + length;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

enum Found {
    Byte(u8),
    Char(char),
}

/// `%41`, and `%u0041` as old servers read it.
fn percent(rest: &[u8]) -> Option<(Found, usize)> {
    if let [b'u' | b'U', digits @ ..] = rest {
        return Some((Found::Char(hex(digits.get(..4)?)?), 5));
    }
    let value = u32::from(hex(rest.get(..2)?)?);
    Some((Found::Byte(u8::try_from(value).ok()?), 2))
}

/// `\x41`, `\u0041`, `\u{41}`.
fn script(rest: &[u8]) -> Option<(Found, usize)> {
    match rest {
        [b'x', digits @ ..] => Some((Found::Char(hex(digits.get(..2)?)?), 3)),
        [b'u', b'{', digits @ ..] => {
            let end = digits.iter().take(7).position(|byte| *byte == b'}')?;
            Some((Found::Char(hex(digits.get(..end)?)?), end + 3))
        }
        [b'u', digits @ ..] => Some((Found::Char(hex(digits.get(..4)?)?), 5)),
        _ => None,
    }
}

/// Names of characters that attacks are made of.
const ENTITIES: [(&[u8], char); 17] = [
    (b"lt;", '<'),
    (b"gt;", '>'),
    (b"quot;", '"'),
    (b"apos;", '\''),
    (b"amp;", '&'),
    (b"colon;", ':'),
    (b"lpar;", '('),
    (b"rpar;", ')'),
    (b"tab;", '\t'),
    (b"newline;", '\n'),
    (b"sol;", '/'),
    (b"bsol;", '\\'),
    (b"semi;", ';'),
    (b"equals;", '='),
    (b"period;", '.'),
    (b"grave;", '`'),
    (b"nbsp;", ' '),
];

/// `&lt;`, `&#60;`, `&#x3c`, also without the semicolon, as browsers read them.
fn entity(rest: &[u8]) -> Option<(Found, usize)> {
    if let [b'#', b'x' | b'X', digits @ ..] = rest {
        let length = run(digits, |byte| byte.is_ascii_hexdigit());
        let end = usize::from(digits.get(length) == Some(&b';'));
        return Some((Found::Char(hex(digits.get(..length)?)?), 2 + length + end));
    }
    if let [b'#', digits @ ..] = rest {
        let length = run(digits, |byte| byte.is_ascii_digit());
        let number = std::str::from_utf8(digits.get(..length)?).ok()?.parse().ok()?;
        let end = usize::from(digits.get(length) == Some(&b';'));
        return Some((Found::Char(char::from_u32(number)?), 1 + length + end));
    }
    ENTITIES.iter().find_map(|(name, value)| {
        let begin = rest.get(..name.len())?;
        begin
            .eq_ignore_ascii_case(name)
            .then_some((Found::Char(*value), name.len()))
    })
}

/// How many of at most nine bytes are such.
fn run(bytes: &[u8], is: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take(9).take_while(|byte| is(byte)).count()
}

fn hex(digits: &[u8]) -> Option<char> {
    let text = std::str::from_utf8(digits).ok()?;
    let right = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    right.then(|| u32::from_str_radix(text, 16).ok().and_then(char::from_u32))?
}

/// Writes each character in as few bytes as it needs; whether one was longer.
fn short(bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(bytes.len());
    let mut overlong = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let tail = |index: usize| {
            let byte = bytes.get(at + index).filter(|byte| **byte & 0xC0 == 0x80);
            byte.map(|byte| byte & 0x3F)
        };
        let (value, length) = match (byte, tail(1), tail(2)) {
            (0xC0 | 0xC1, Some(one), _) => ((byte & 1) << 6 | one, 2),
            (0xE0, Some(one), Some(two)) if one < 2 => ((one & 1) << 6 | two, 3),
            _ => {
                out.push(byte);
                at += 1;
                continue;
            }
        };
        overlong = true;
        out.push(value);
        at += length;
    }
    (out, overlong)
}

/// Wide and styled letters as plain ones (NFKC), lower case, one space for white space, nothing that is invisible.
fn plain(text: &str) -> String {
    let folded;
    let text = if text.is_ascii() {
        text
    } else {
        folded = text.nfkc().collect::<String>();
        &folded
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' if !out.ends_with('\n') => out.push('\n'),
            '\n' | '\r' => {}
            c if c.is_whitespace() => {
                if !out.ends_with([' ', '\n']) {
                    out.push(' ');
                }
            }
            c if c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{ad}') => {}
            c => out.push(c.to_ascii_lowercase()),
        }
    }
    out
}

/// Without comments and what shells drop. A comment with a version (`/*!50000 … */`) is no comment to MySQL.
fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("/*!") {
            rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
            out.push(' ');
        } else if let Some(after) = rest.strip_prefix("/*") {
            rest = after.split_once("*/").map_or("", |(_, after)| after);
            out.push(' ');
        } else {
            rest = &rest[c.len_utf8()..];
            if !matches!(c, '\'' | '"' | '\\' | '^') {
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(written: &str) -> String {
        canonical(written.as_bytes(), false).text
    }

    #[test]
    fn the_same_text_is_found_however_it_is_written() {
        for written in [
            "<script>",
            "%3Cscript%3E",
            "%253Cscript%253e",
            "%25253cSCRIPT%3E",
            "%u003cscript%u003E",
            "&lt;script&gt;",
            "&#60;script&#x3e;",
            "&#0000060script&#62",
            "\\x3cscript\\u003e",
            "\\u{3c}script>",
            "＜ｓｃｒｉｐｔ＞",
            "<scr\u{200b}ipt\0>",
            "%EF%BC%9Cscript%3E",
        ] {
            assert_eq!(text(written), "<script>", "{written}");
        }
        for written in [b"\xC0\xAF".as_slice(), b"%c0%af", b"\xE0\x80\xAF", b"%25c0%25af"] {
            let known = canonical(written, false);
            assert_eq!((known.text.as_str(), known.overlong), ("/", true));
        }
    }

    #[test]
    fn honest_text_stays_as_it_is_but_for_case_and_spaces() {
        for (written, read) in [
            ("100% of 5 & 6", "100% of 5 & 6"),
            ("O'Brien  \t& Sons", "o'brien & sons"),
            ("Größe 5 €", "größe 5 €"),
            ("C:\\users", "c:\\users"),
            ("&", "&"),
            ("%", "%"),
            ("\\", "\\"),
        ] {
            let known = canonical(written.as_bytes(), false);
            assert_eq!(
                (known.text.as_str(), known.rounds, known.overlong),
                (read, 0, false)
            );
        }
        assert_eq!(canonical(b"a+b", true).text, "a b");
    }

    #[test]
    fn comments_and_quotes_hide_nothing() {
        assert_eq!(
            canonical(b"un/**/ion/*!50000select*/", false).bare,
            "un ion select*/"
        );
        assert_eq!(
            canonical(b"c'a't /et\\c/pa\"ss\"wd", false).bare,
            "cat /etc/passwd"
        );
    }
}
