//! Intrusion detection: requests that look like attacks, as points.
//!
//! Nothing here makes a request safe: statements have parameters, pages are escaped, paths are routes. What is found
//! tells who is looking for a hole. Each value is brought into one form, compared with patterns whose work is linear in
//! its length, and read by a tokenizer of SQL and HTML. Each rule that meets gives points; many small signs are as
//! telling as one large one, and one word alone is none.

mod canonical;
mod rules;

use std::{
    borrow::Cow,
    fmt,
    hash::{BuildHasher, RandomState},
};

use canonical::{Canonical, canonical};
use quick_cache::sync::Cache;
use regex::bytes::{RegexSet, RegexSetBuilder};
use rules::{COUNT, Form, RULES, Rule};

/// From so many points on a request is an attack.
pub const ATTACK_FROM: u32 = 5;
/// From so many points in path and query on there is no honest reading left.
pub const CERTAIN_FROM: u32 = 8;
/// How many bytes of one request are looked at.
pub const LOOKED_AT_BYTES_MAX: usize = 64 * 1024;
/// How many values of one request are looked at.
pub const VALUES_MAX: usize = 512;
/// How many bytes the compiled patterns may take.
const PATTERN_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Digits of an id.
const ID_SUFFIX_BYTES: usize = 26;
/// Longest name in front of an id, in bytes.
const ID_PREFIX_BYTES_MAX: usize = 12;
/// Longest value whose hits are remembered, in bytes.
const KNOWN_BYTES_MAX: usize = 256;
/// Most values whose hits are remembered.
const KNOWN_MAX: usize = 4_096;

/// How suspicious the rules are: each level adds rules, with more false alarms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paranoia {
    /// What free text never contains.
    #[default]
    One,
    /// What free text seldom contains.
    Two,
    /// Words of the languages of attacks.
    Three,
    /// Everything that is more than letters, digits and a few marks.
    Four,
}

/// Kinds of attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Text that wants to be a statement (CWE-89).
    Sql,
    /// Text that wants to be a script in a page (CWE-79).
    Script,
    /// Paths to where no path leads (CWE-22).
    Traversal,
    /// Text that wants to be a command of the system (CWE-78).
    Command,
    /// Files from elsewhere, and code of interpreters (CWE-98, CWE-94).
    Inclusion,
}

impl Attack {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Sql,
        Self::Script,
        Self::Traversal,
        Self::Command,
        Self::Inclusion,
    ];

    /// Its name for operators.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::Script => "script",
            Self::Traversal => "traversal",
            Self::Command => "command",
            Self::Inclusion => "inclusion",
        }
    }
}

/// Where a value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The path.
    Path,
    /// A name or value of the query.
    Query,
    /// A header.
    Header,
    /// A text of the body.
    Body,
}

impl Part {
    /// Whether a plus may stand for a space: forms write it so, and who attacks by a cookie writes as in a form.
    const fn has_plus_for_space(self) -> bool {
        !matches!(self, Self::Body)
    }
}

/// The compiled rules of a level.
pub struct Detector {
    paranoia: Paranoia,
    texts: Set,
    bares: Set,
    /// What came of values that were looked at before, by two keyed hashes: agents, paths and usual texts come again
    /// and again, and the rules say the same of them each time. The texts themselves are people's and are not kept.
    known: Cache<[u64; 2], Hits>,
    keys: [RandomState; 2],
}

struct Set {
    set: RegexSet,
    /// Indices of its rules.
    rules: Vec<usize>,
}

impl fmt::Debug for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Detector").field(&self.paranoia).finish()
    }
}

impl Set {
    fn of(is_form: fn(Form) -> bool, paranoia: Paranoia) -> Result<Self, regex::Error> {
        let rules: Vec<usize> = (0..RULES.len())
            .filter(|index| is_form(RULES[*index].form) && RULES[*index].paranoia <= paranoia)
            .collect();
        let set = RegexSetBuilder::new(rules.iter().map(|index| RULES[*index].pattern))
            .unicode(false)
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX)
            .build()?;
        Ok(Self { set, rules })
    }
}

impl Detector {
    /// Compiles the rules of a level and those below it.
    ///
    /// # Errors
    /// When a rule is no pattern; a test compiles them all.
    pub fn new(paranoia: Paranoia) -> Result<Self, regex::Error> {
        Ok(Self {
            paranoia,
            texts: Set::of(Form::is_text, paranoia)?,
            bares: Set::of(Form::is_bare, paranoia)?,
            known: Cache::new(KNOWN_MAX),
            keys: [RandomState::new(), RandomState::new()],
        })
    }

    /// Begins to look at a request.
    pub const fn inspect(&self) -> Inspection<'_> {
        Inspection {
            detector: self,
            bytes_left: LOOKED_AT_BYTES_MAX,
            values_left: VALUES_MAX,
            hits: Hits::NONE,
            open_hits: Hits::NONE,
        }
    }
}

/// One request while it is looked at.
#[derive(Debug)]
pub struct Inspection<'a> {
    detector: &'a Detector,
    bytes_left: usize,
    values_left: usize,
    hits: Hits,
    /// Those of path and query.
    open_hits: Hits,
}

/// Which rules met. Each counts once however often it meets: a long text is not worse for being long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hits([u64; HIT_WORDS]);

const HIT_WORDS: usize = 4;
const _: () = assert!(COUNT <= HIT_WORDS * 64, "a hit has no place");

impl Hits {
    const NONE: Self = Self([0; HIT_WORDS]);

    const fn add(&mut self, rule: usize) {
        self.0[rule / 64] |= 1 << (rule % 64);
    }

    fn rules(&self) -> impl Iterator<Item = &'static Rule> + use<> {
        let words = self.0;
        let met = move |index: &usize| words[*index / 64] & 1 << (*index % 64) != 0;
        (0..RULES.len()).filter(met).map(|index| &RULES[index])
    }

    fn score(&self) -> u32 {
        self.rules().map(|rule| rule.points).sum()
    }
}

/// What was recognised in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// All points.
    pub score: u32,
    /// Points of path and query.
    pub open_score: u32,
    /// The kind with the most points.
    pub attack: Attack,
    /// The rules that met.
    pub rules: Vec<&'static str>,
}

impl Recognised {
    /// Whether the points of path and query leave no honest reading.
    pub const fn is_certain(&self) -> bool {
        self.open_score >= CERTAIN_FROM
    }
}

impl Inspection<'_> {
    /// Looks at one value, as it was sent. What is beyond the bounds of a request is not looked at.
    pub fn look(&mut self, part: Part, value: &[u8]) {
        if value.len() < 2 || self.values_left == 0 || self.bytes_left == 0 {
            return;
        }
        let value = &value[..value.len().min(self.bytes_left)];
        self.values_left -= 1;
        self.bytes_left -= value.len();
        // Ids and numbers are the most that values are.
        if self.detector.paranoia < Paranoia::Three && is_harmless(value) {
            return;
        }
        let hits = self.detector.look(part, value);
        for (all, new) in self.hits.0.iter_mut().zip(hits.0) {
            *all |= new;
        }
        if matches!(part, Part::Path | Part::Query) {
            for (all, new) in self.open_hits.0.iter_mut().zip(hits.0) {
                *all |= new;
            }
        }
    }

    /// What was recognised; nothing below [`ATTACK_FROM`] points.
    pub fn recognised(&self) -> Option<Recognised> {
        let score = self.hits.score();
        if score < ATTACK_FROM {
            return None;
        }
        let points = |attack: Attack| -> u32 {
            let of_kind = self.hits.rules().filter(|rule| rule.attack == attack);
            of_kind.map(|rule| rule.points).sum()
        };
        let attack = Attack::ALL
            .into_iter()
            .max_by_key(|attack| points(*attack))
            .unwrap_or(Attack::Sql);
        Some(Recognised {
            score,
            open_score: self.open_hits.score(),
            attack,
            rules: self.hits.rules().map(|rule| rule.name).collect(),
        })
    }
}

/// One word without a mark, or an id of ours. Long numbers are looked at: some of them are chosen.
fn is_harmless(value: &[u8]) -> bool {
    let is_word = value
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b',');
    (is_word && !is_chosen_number(value) && !is_telling_name(value)) || is_id(value)
}

/// Names of one word that only databases and interpreters have.
const TELLING_NAMES: [&str; 30] = [
    "sysobjects",
    "syscolumns",
    "sysusers",
    "sysdatabases",
    "syslogins",
    "schemata",
    "tempdb",
    "msdb",
    "rownum",
    "xtype",
    "attrelid",
    "nvarchar",
    "msysaces",
    "msysobjects",
    "msysqueries",
    "msysrelationships",
    "msysaccessobjects",
    "msysaccessxml",
    "msysaccessstorage",
    "msysmodules",
    "phpinfo",
    "phpversion",
    "passthru",
    "fsockopen",
    "unserialize",
    "readgzfile",
    "gzinflate",
    "gzuncompress",
    "gzdecode",
    "bzopen",
];

fn is_telling_name(value: &[u8]) -> bool {
    TELLING_NAMES
        .iter()
        .any(|name| value.eq_ignore_ascii_case(name.as_bytes()))
}

/// A long number, one of base 16, or one with a large exponent: some of them are chosen for where they overflow.
fn is_chosen_number(value: &[u8]) -> bool {
    match value {
        [b'0', b'x' | b'X', ..] => true,
        [b'0'..=b'9', .., b'0'..=b'9'] => {
            let rest = value.iter().filter(|byte| !byte.is_ascii_digit());
            let rest: Vec<_> = rest.take(2).collect();
            matches!(rest.as_slice(), [b'e' | b'E']) || (rest.is_empty() && value.len() >= 10)
        }
        _ => false,
    }
}

/// A short word, an underscore and 26 digits of base 32 (TypeID): no language says anything with it.
fn is_id(value: &[u8]) -> bool {
    let Some(at) = value.len().checked_sub(ID_SUFFIX_BYTES + 1) else {
        return false;
    };
    let (prefix, suffix) = value.split_at(at);
    (1..=ID_PREFIX_BYTES_MAX).contains(&prefix.len())
        && prefix.iter().all(u8::is_ascii_lowercase)
        && suffix.first() == Some(&b'_')
        && suffix[1..]
            .iter()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

/// A path with one word in the place of each id of ours: of a route that is all there is to know, and it is known. A
/// path that is more than words is looked at as it is, for what stands beside an id may be read together with it.
fn without_ids(path: &[u8]) -> Cow<'_, [u8]> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-');
    let segments = || path.split(|byte| *byte == b'/');
    if !path.iter().all(is_plain) || !segments().any(is_id) {
        return Cow::Borrowed(path);
    }
    let mut known = Vec::with_capacity(path.len());
    for (number, segment) in segments().enumerate() {
        if number > 0 {
            known.push(b'/');
        }
        known.extend_from_slice(if is_id(segment) { b"id" } else { segment });
    }
    Cow::Owned(known)
}

impl Detector {
    fn look(&self, part: Part, value: &[u8]) -> Hits {
        let without = match part {
            Part::Path if self.paranoia < Paranoia::Three => without_ids(value),
            _ => Cow::Borrowed(value),
        };
        let value = &*without;
        if value.len() > KNOWN_BYTES_MAX {
            return self.hits(part, &canonical(value, part.has_plus_for_space()));
        }
        let name = self.keys.each_ref().map(|key| key.hash_one((part, value)));
        if let Some(hits) = self.known.get(&name) {
            return hits;
        }
        let hits = self.hits(part, &canonical(value, part.has_plus_for_space()));
        self.known.insert(name, hits);
        hits
    }

    fn hits(&self, part: Part, known: &Canonical) -> Hits {
        let mut hits = Hits::NONE;
        for (set, text) in [(&self.texts, &known.text), (&self.bares, &known.bare)] {
            for met in set.set.matches(text.as_bytes()) {
                let index = set.rules[met];
                if RULES[index].places.have(part) {
                    hits.add(index);
                }
            }
        }
        for (index, rule) in RULES.iter().enumerate() {
            if let Form::Sign(sign) = rule.form
                && rule.paranoia <= self.paranoia
                && rule.places.have(part)
                && sign(known)
            {
                hits.add(index);
            }
        }
        hits
    }
}

#[cfg(test)]
mod tests;
