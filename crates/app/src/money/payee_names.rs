//! How a name that somebody typed compares with the name of an account's holder.
//!
//! As in the field's Verification of Payee: the same name, nearly the same, or another one. Order, case, accents,
//! punctuation and forms of address make no difference; an initial, a middle name left out or a slip of the pen is
//! nearly. The answer is all that is told: never the name, nor what of it differs.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Smallest likeness of two words that are nearly the same (Jaro and Winkler, 0 to 1).
const LIKENESS_MIN: f64 = 0.9;
/// Most words of a name that are looked at.
const WORDS_MAX: usize = 16;
/// Forms of address and titles, which names are written with or without.
const TITLES: &[&str] = &[
    "mr", "mrs", "ms", "miss", "dr", "prof", "herr", "frau", "m", "mme", "mlle", "sr", "sra", "ing",
];

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameMatch {
    /// The same name.
    Match,
    /// Nearly the same.
    Close,
    /// Another name, or no such account.
    None,
    /// Nothing is known here of accounts of other banks.
    Impossible,
}

impl NameMatch {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Close => "close_match",
            Self::None => "no_match",
            Self::Impossible => "not_possible",
        }
    }
}

/// The words of a name in one order, without what makes no difference.
fn words(name: &str) -> Vec<String> {
    let mut plain = String::with_capacity(name.len());
    for letter in name.nfkd().filter(|letter| !is_combining_mark(*letter)) {
        match letter {
            'ß' => plain.push_str("ss"),
            'æ' | 'Æ' => plain.push_str("ae"),
            'œ' | 'Œ' => plain.push_str("oe"),
            'ø' | 'Ø' => plain.push('o'),
            'ł' | 'Ł' => plain.push('l'),
            '\'' | '’' => {}
            letter if letter.is_alphanumeric() => plain.extend(letter.to_lowercase()),
            _ => plain.push(' '),
        }
    }
    let all: Vec<&str> = plain.split_whitespace().collect();
    let mut words: Vec<String> = all
        .iter()
        .filter(|word| !TITLES.contains(word))
        .take(WORDS_MAX)
        .map(|word| (*word).to_owned())
        .collect();
    words.sort_unstable();
    words
}

/// Compares a name that was typed with the one that is known.
pub fn compare(typed: &str, known: &str) -> NameMatch {
    let (typed, known) = (words(typed), words(known));
    if typed.is_empty() || known.is_empty() {
        return NameMatch::None;
    }
    if typed == known {
        return NameMatch::Match;
    }
    // Every word of the shorter name is one of the longer, nearly, and one of them is whole.
    let (fewer, mut more) = match typed.len() <= known.len() {
        true => (typed, known),
        false => (known, typed),
    };
    let missing = more.len().saturating_sub(fewer.len());
    let mut whole = 0_usize;
    for word in &fewer {
        let found = more
            .iter()
            .enumerate()
            .map(|(at, other)| (at, likeness(word, other)))
            .max_by(|(_, one), (_, other)| one.total_cmp(other));
        match found {
            Some((at, like)) if like >= LIKENESS_MIN => {
                whole = whole.saturating_add(usize::from(more.swap_remove(at).len() > 1 && word.len() > 1));
            }
            _ => return NameMatch::None,
        }
    }
    // A single given name is nobody's name nearly.
    if whole > 0 && (missing == 0 || fewer.len() > 1) {
        NameMatch::Close
    } else {
        NameMatch::None
    }
}

/// An initial is like every name that begins with it.
fn likeness(one: &str, other: &str) -> f64 {
    let (short, long) = match one.chars().count() <= other.chars().count() {
        true => (one, other),
        false => (other, one),
    };
    if short.chars().count() == 1 && long.starts_with(short) {
        LIKENESS_MIN
    } else {
        strsim::jaro_winkler(one, other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_difference_makes_none() {
        for (typed, known) in [
            ("Alice Example", "alice example"),
            ("Example, Alice", "Alice Example"),
            ("Dr. Alice Example", "Alice Example"),
            ("Jose Garcia", "José García"),
            ("Sean OBrien", "Seán O'Brien"),
            ("Anna-Maria Grosse", "Anna Maria Große"),
        ] {
            assert_eq!(compare(typed, known), NameMatch::Match, "{typed} {known}");
        }
    }

    #[test]
    fn nearly_the_same_is_said_to_be_nearly_the_same() {
        for (typed, known) in [
            ("A. Example", "Alice Example"),
            ("Alice Exampel", "Alice Example"),
            ("Alice Marie Example", "Alice Example"),
            ("Alice Example", "Alice Marie Example"),
            ("Corner Bakery", "Corner Bakery Ltd"),
        ] {
            assert_eq!(compare(typed, known), NameMatch::Close, "{typed} {known}");
        }
    }

    #[test]
    fn another_name_is_another_name() {
        for (typed, known) in [
            ("Bob Example", "Alice Example"),
            ("Alice", "Alice Example"),
            ("A", "Alice Example"),
            ("A E", "Alice Example"),
            ("Example", "Alice Example"),
            ("", "Alice Example"),
            ("Dr.", "Alice Example"),
            ("...", "Alice Example"),
            ("Alice Example", ""),
            (
                "a b c d e f g h i j k l m n o p q r s t u v w x y z",
                "Alice Example",
            ),
        ] {
            assert_eq!(compare(typed, known), NameMatch::None, "{typed} {known}");
        }
    }
}
