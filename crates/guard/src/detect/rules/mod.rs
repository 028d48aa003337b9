//! The rules: a table, so that what is looked for can be read in one place.
//!
//! A pattern is what an attack needs and a sentence does not: the union *and* its select, the quote *and* the
//! comparison behind it. Patterns run over text in lower case with single spaces (see `canonical`), by an engine
//! without backtracking. What people may write in a memo (`order by 12`, `sum (total)`) has two rules: a narrow one
//! that counts everywhere, and a wide one for places where programs write.

mod code;
mod command;
mod levels;
mod path;
mod script;
mod sql;
mod sql_words;

use std::panic::catch_unwind;

use super::{Attack, Paranoia, Part, canonical::Canonical};

/// How much of one value the tokenizers read, in bytes.
const TOKENS_BYTES_MAX: usize = 4 * 1024;

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// The canonical text.
    Text,
    /// The text without comments, quotes, backslashes and carets.
    Bare,
    /// Something that is no pattern.
    Sign(fn(&Canonical) -> bool),
}

impl Form {
    pub(super) const fn is_text(self) -> bool {
        matches!(self, Self::Text)
    }

    pub(super) const fn is_bare(self) -> bool {
        matches!(self, Self::Bare)
    }
}

/// Where a rule counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Places {
    /// Everywhere.
    All,
    /// Not in texts of bodies: people may write it, programs have no reason to.
    NotTexts,
    /// In path and query only: people may write it, and headers have it.
    Open,
}

impl Places {
    /// Whether a place is among them.
    pub(super) const fn have(self, part: Part) -> bool {
        match self {
            Self::All => true,
            Self::NotTexts => !matches!(part, Part::Body),
            Self::Open => matches!(part, Part::Path | Part::Query),
        }
    }
}

/// One rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub name: &'static str,
    pub attack: Attack,
    pub paranoia: Paranoia,
    pub points: u32,
    pub form: Form,
    pub places: Places,
    pub pattern: &'static str,
}

const fn rule(name: &'static str, attack: Attack, points: u32, form: Form, pattern: &'static str) -> Rule {
    Rule {
        name,
        attack,
        paranoia: Paranoia::One,
        points,
        form,
        places: Places::All,
        pattern,
    }
}

impl Rule {
    const fn from(mut self, paranoia: Paranoia) -> Self {
        self.paranoia = paranoia;
        self
    }

    const fn open_only(mut self) -> Self {
        self.places = Places::Open;
        self
    }

    const fn not_in_texts(mut self) -> Self {
        self.places = Places::NotTexts;
        self
    }
}

/// All rules, by what they are against. Each has a line in `rules.txt`: what it is for, and what it must leave alone.
const KINDS: [&[Rule]; 7] = [
    sql::RULES,
    sql_words::RULES,
    script::RULES,
    path::RULES,
    command::RULES,
    code::RULES,
    levels::RULES,
];

/// How many rules there are.
pub(super) const COUNT: usize = {
    let (mut kind, mut count) = (0, 0);
    while kind < KINDS.len() {
        count += KINDS[kind].len();
        kind += 1;
    }
    count
};

/// All rules of all levels.
pub(super) static RULES: [Rule; COUNT] = {
    let mut all = [KINDS[0][0]; COUNT];
    let (mut kind, mut at) = (0, 0);
    while kind < KINDS.len() {
        let mut index = 0;
        while index < KINDS[kind].len() {
            all[at] = KINDS[kind][index];
            at += 1;
            index += 1;
        }
        kind += 1;
    }
    all
};

/// Whether a tokenizer of SQL reads a statement into the value, as text or inside quotes.
fn is_sql(known: &Canonical) -> bool {
    *known.sql.get_or_init(|| {
        let text = first(&known.text);
        // A parser of input that somebody chose: if it fails, it has seen nothing.
        catch_unwind(|| libinjectionrs::detect_sqli(text).is_injection()).unwrap_or(false)
    })
}

/// Whether a tokenizer of HTML reads a script into the value.
fn is_script(known: &Canonical) -> bool {
    *known.script.get_or_init(|| {
        let text = first(&known.text);
        catch_unwind(|| libinjectionrs::detect_xss(text).is_injection()).unwrap_or(false)
    })
}

fn first(text: &str) -> &[u8] {
    &text.as_bytes()[..text.len().min(TOKENS_BYTES_MAX)]
}

/// A quote that nothing closes. Names and short forms of words have one between letters.
fn has_open_quote(known: &Canonical) -> bool {
    let bytes = known.text.as_bytes();
    let marks = |mark: u8| {
        let is_word = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
        (0..bytes.len())
            .filter(|at| bytes[*at] == mark && !(*at > 0 && is_word(at - 1) && is_word(at + 1)))
            .count()
    };
    marks(b'\'') % 2 == 1 || marks(b'"') % 2 == 1
}
