//! The policy for new passwords.
//!
//! Length, guessability and what is known from breaches, no composition rules: NIST SP 800-63B-4 §3.1.1.2 and OWASP
//! ASVS 5.0 6.2.5 forbid those. Who has to have them all the same can ask for them. Twelve characters suffice because
//! a second factor is the rule.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;
use zxcvbn::{Score, zxcvbn};

use super::breached::BreachedFilter;

/// Fewest characters (code points after NFC).
pub const CHARS_MIN: usize = 12;
/// Most characters (code points after NFC).
pub const CHARS_MAX: usize = 128;
/// Least zxcvbn score, of 4: at least 10^8 guesses.
pub const SCORE_MIN: u8 = 3;
/// Most of the user's own words that are looked at.
pub const WORDS_MAX: usize = 16;
/// Characters of a word that are looked at.
const WORD_CHARS_MAX: usize = 64;
/// Characters of the password that zxcvbn sees: its cost grows fast with length.
const GUESSED_CHARS_MAX: usize = 100;
/// Shorter parts of a word are no information.
const PART_CHARS_MIN: usize = 3;
/// Letters and digits that a password must have beside the user's own words.
pub const OTHER_CHARS_MIN: usize = 6;

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Fewer than [`CHARS_MIN`] characters.
    TooShort,
    /// More than [`CHARS_MAX`] characters.
    TooLong,
    /// Little more than the user's own words: without them fewer than [`OTHER_CHARS_MIN`] letters and digits are left.
    OwnWords,
    /// Too easily guessed; with advice in fixed words that never quote the password.
    Guessable(String),
    /// Known from a breach.
    Breached,
    /// No lower-case letter, where one is asked for.
    NoLowerCase,
    /// No upper-case letter, likewise.
    NoUpperCase,
    /// No digit, likewise.
    NoDigit,
    /// Nothing but letters, digits and spaces, likewise.
    NoSpecial,
}

impl Violation {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooShort => "password_too_short",
            Self::TooLong => "password_too_long",
            Self::OwnWords => "password_is_own_words",
            Self::Guessable(_) => "password_too_guessable",
            Self::Breached => "password_breached",
            Self::NoLowerCase => "password_no_lower_case",
            Self::NoUpperCase => "password_no_upper_case",
            Self::NoDigit => "password_no_digit",
            Self::NoSpecial => "password_no_special",
        }
    }

    /// A sentence for people.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::TooShort => format!("Use at least {CHARS_MIN} characters."),
            Self::TooLong => format!("Use at most {CHARS_MAX} characters."),
            Self::OwnWords => "Do not build it from your name or address.".to_owned(),
            Self::Guessable(advice) => format!("This password is too easily guessed. {advice}"),
            Self::Breached => "This password is known from a breach: choose another.".to_owned(),
            Self::NoLowerCase => "Use a lower-case letter.".to_owned(),
            Self::NoUpperCase => "Use an upper-case letter.".to_owned(),
            Self::NoDigit => "Use a digit.".to_owned(),
            Self::NoSpecial => "Use a character that is neither letter nor digit nor space.".to_owned(),
        }
    }
}

/// Which classes of characters a password has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classes {
    /// A lower-case letter.
    pub lower_case: bool,
    /// An upper-case letter.
    pub upper_case: bool,
    /// A digit.
    pub digit: bool,
    /// Neither letter nor digit nor space.
    pub special: bool,
}

impl Classes {
    fn of(password: &str) -> Self {
        Self {
            lower_case: password.chars().any(char::is_lowercase),
            upper_case: password.chars().any(char::is_uppercase),
            digit: password.chars().any(char::is_numeric),
            special: password
                .chars()
                .any(|c| !c.is_alphanumeric() && !c.is_whitespace()),
        }
    }

    fn missing(self) -> impl Iterator<Item = Violation> {
        [
            (self.lower_case, Violation::NoLowerCase),
            (self.upper_case, Violation::NoUpperCase),
            (self.digit, Violation::NoDigit),
            (self.special, Violation::NoSpecial),
        ]
        .into_iter()
        .filter_map(|(has, missing)| (!has).then_some(missing))
    }
}

/// How good a password is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strength {
    /// zxcvbn's score, 0 to 4.
    pub score: u8,
    /// Every broken rule.
    pub violations: Vec<Violation>,
    /// How to make it better, in fixed words that never quote the password.
    pub advice: Option<String>,
    /// What it is made of: advice, unless the policy asks for it.
    pub classes: Classes,
}

/// The rules of one bank.
#[derive(Clone, Debug)]
pub struct Policy {
    complexity: bool,
    breached: Vec<BreachedFilter>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            complexity: false,
            breached: vec![BreachedFilter::common()],
        }
    }
}

impl Policy {
    /// The same, asking for a character of each class.
    #[must_use]
    pub fn with_complexity(self) -> Self {
        Self {
            complexity: true,
            ..self
        }
    }

    /// The same, refusing also what this filter knows.
    #[must_use]
    pub fn with_breached(mut self, filter: BreachedFilter) -> Self {
        self.breached.push(filter);
        self
    }

    /// Checks a new password; `words` are the user's own (e-mail address, name, the bank's name). CPU-bound, up to some
    /// milliseconds: call it off the asynchronous threads.
    ///
    /// # Errors
    /// Every broken rule at once.
    pub fn check(&self, password: &str, words: &[&str]) -> Result<(), Vec<Violation>> {
        let violations = self.strength(password, words).violations;
        if violations.is_empty() {
            Ok(())
        } else {
            Err(violations)
        }
    }

    /// How good a password is; otherwise as [`Self::check`].
    #[must_use]
    pub fn strength(&self, password: &str, words: &[&str]) -> Strength {
        let mut violations = Vec::new();
        let mut normal = Zeroizing::new(String::with_capacity(4 * CHARS_MAX + 4));
        normal.extend(password.nfc().take(CHARS_MAX + 1));
        let length = normal.chars().count();
        if length < CHARS_MIN {
            violations.push(Violation::TooShort);
        } else if length > CHARS_MAX {
            violations.push(Violation::TooLong);
        }
        let guessed = normal
            .char_indices()
            .nth(GUESSED_CHARS_MAX)
            .map_or(&normal[..], |(end, _)| &normal[..end]);
        let words = own_words(words);
        if is_own_words(guessed, &words) {
            violations.push(Violation::OwnWords);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let estimate = zxcvbn(guessed, &words);
        let score = u8::from(estimate.score());
        let advice = (score < SCORE_MIN).then(|| advice(&estimate));
        violations.extend(advice.clone().map(Violation::Guessable));
        if self.breached.iter().any(|filter| filter.contains(&normal)) {
            violations.push(Violation::Breached);
        }
        let classes = Classes::of(&normal);
        if self.complexity {
            violations.extend(classes.missing());
        }
        Strength {
            score,
            violations,
            advice,
            classes,
        }
    }
}

const _: () = assert!(Score::Three as u8 == SCORE_MIN);

/// The words and their parts: `alice.miller@example.org` also counts as `alice`, `miller` and `example`.
fn own_words(words: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for word in words.iter().take(WORDS_MAX) {
        let word: String = word.chars().take(WORD_CHARS_MAX).collect();
        let parts = word.split(|c: char| !c.is_alphanumeric());
        all.extend(
            parts
                .filter(|part| part.chars().count() >= PART_CHARS_MIN)
                .map(str::to_owned),
        );
        all.push(word);
    }
    all
}

/// zxcvbn alone is too kind here: three matches in a row already count as 10^8 guesses, whatever they are.
fn is_own_words(password: &str, words: &[String]) -> bool {
    let mut words: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let mut rest = Zeroizing::new(password.to_lowercase());
    let mut found = false;
    for word in words
        .iter()
        .filter(|word| word.trim().chars().count() >= PART_CHARS_MIN)
    {
        if rest.contains(word.as_str()) {
            // A space keeps the two sides from joining to a new word.
            let shorter = Zeroizing::new(rest.replace(word.as_str(), " "));
            rest = shorter;
            found = true;
        }
    }
    found && rest.chars().filter(|c| c.is_alphanumeric()).count() < OTHER_CHARS_MIN
}

fn advice(estimate: &zxcvbn::Entropy) -> String {
    let Some(feedback) = estimate.feedback() else {
        return "Use several uncommon words.".to_owned();
    };
    let warning = feedback.warning().map(|warning| warning.to_string());
    let suggestion = feedback.suggestions().first().map(ToString::to_string);
    let sentences: Vec<_> = warning.into_iter().chain(suggestion).collect();
    if sentences.is_empty() {
        "Use several uncommon words.".to_owned()
    } else {
        sentences.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;
    use crate::secret::ExposeSecret;

    fn codes(password: &str, words: &[&str]) -> Vec<&'static str> {
        codes_of(&Policy::default(), password, words)
    }

    fn codes_of(policy: &Policy, password: &str, words: &[&str]) -> Vec<&'static str> {
        policy
            .check(password, words)
            .err()
            .unwrap_or_default()
            .iter()
            .map(Violation::code)
            .collect()
    }

    #[test]
    fn a_long_uncommon_password_passes_without_any_class_of_characters() {
        assert_eq!(codes("grumpy lantern orbit seven", &[]), [""; 0]);
        assert_eq!(codes("müßige Kröten tanzen", &[]), [""; 0]);
    }

    #[test]
    fn every_broken_rule_is_listed_at_once() {
        assert_eq!(
            codes("password1", &[]),
            ["password_too_short", "password_too_guessable"]
        );
        assert_eq!(codes("", &[]), ["password_too_short", "password_too_guessable"]);
        assert_eq!(
            codes(&"a".repeat(CHARS_MAX + 1), &[]),
            ["password_too_long", "password_too_guessable"]
        );
        assert_eq!(
            codes("password1234", &[]),
            ["password_too_guessable", "password_breached"]
        );
        assert_eq!(codes("Password1234!", &[]), ["password_too_guessable"]);
    }

    #[test]
    fn a_breached_password_is_refused_as_such() {
        assert_eq!(
            codes("chickenwing101", &[]),
            ["password_too_guessable", "password_breached"]
        );
        // One that nothing else is said against, from a list of the operator's.
        let leaked = "grumpy lantern orbit seven";
        let mut builder = super::super::FilterBuilder::default();
        assert!(builder.add_line(leaked));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list");
        std::fs::write(&file, builder.finish().0).unwrap();
        let policy = Policy::default().with_breached(BreachedFilter::open(&file).unwrap());
        assert_eq!(codes(leaked, &[]), [""; 0]);
        assert_eq!(codes_of(&policy, leaked, &[]), ["password_breached"]);
        assert_eq!(codes_of(&policy, "grumpy lantern orbit eight", &[]), [""; 0]);
    }

    #[test]
    fn classes_are_asked_for_where_the_policy_says_so() {
        let policy = Policy::default().with_complexity();
        let plain = "qzkvwxjbnmtr";
        assert_eq!(codes(plain, &[]), [""; 0]);
        assert_eq!(
            codes_of(&policy, plain, &[]),
            [
                "password_no_upper_case",
                "password_no_digit",
                "password_no_special"
            ]
        );
        assert_eq!(
            codes_of(&policy, "QZKV WXJB 4711 !", &[]),
            ["password_no_lower_case"]
        );
        assert_eq!(
            codes_of(&policy, "Grumpy lantern orbit 7", &[]),
            ["password_no_special"]
        );
        assert_eq!(codes_of(&policy, "Grumpy-lantern-orbit-7", &[]), [""; 0]);
    }

    #[test]
    fn the_meter_tells_score_advice_and_classes() {
        let weak = Policy::default().strength("Password1234!", &[]);
        assert!(weak.score < SCORE_MIN && weak.advice.is_some() && !weak.violations.is_empty());
        let classes = weak.classes;
        assert!(classes.lower_case && classes.upper_case && classes.digit && classes.special);
        let strong = Policy::default().strength("grumpy lantern orbit seven", &[]);
        assert_eq!(
            (strong.score, strong.advice, strong.violations),
            (4, None, vec![])
        );
        assert!(strong.classes.lower_case && !strong.classes.special);
    }

    #[test]
    fn bounds_are_twelve_and_128_characters() {
        assert_eq!(codes("zK7#qLw9&vX", &[]), ["password_too_short"]);
        assert_eq!(codes("zK7#qLw9&vXp", &[]), [""; 0]);
        let sentence = "grumpy lantern orbit seven ".repeat(5);
        assert_eq!(codes(&sentence[..CHARS_MAX], &[]), [""; 0]);
        assert_eq!(codes(&sentence[..=CHARS_MAX], &[]), ["password_too_long"]);
    }

    #[test]
    fn a_password_of_the_user_s_own_words_is_refused() {
        let words = &["Wilhelmina.Krautwurst@example.org", "Strongroom"];
        for password in [
            "wilhelmina.krautwurst",
            "KrautwurstWilhelmina1977!",
            "strongroom-krautwurst-example",
        ] {
            assert_eq!(codes(password, &[]), [""; 0], "{password}");
            assert!(
                codes(password, words).contains(&"password_is_own_words"),
                "{password}"
            );
        }
        assert_eq!(codes("krautwurst grumpy lantern orbit", words), [""; 0]);
    }

    #[test]
    fn words_too_short_to_mean_anything_change_nothing() {
        let password = "anna eats nine nuts";
        assert_eq!(codes(password, &[]), [""; 0]);
        assert_eq!(codes(password, &["", "   ", "a", "n", "e", "s", "t"]), [""; 0]);
    }

    #[test]
    fn generated_passwords_pass() {
        for _ in 0..5 {
            assert_eq!(
                codes(random::password().expose_secret(), &["alice@example.org"]),
                [""; 0]
            );
        }
    }

    #[test]
    fn advice_never_quotes_the_password_or_the_words() {
        for violation in Policy::default()
            .check("wilhelmina12", &["wilhelmina"])
            .unwrap_err()
        {
            let detail = violation.detail();
            assert!(!detail.contains("wilhelmina"), "{detail}");
        }
    }

    #[test]
    fn a_huge_input_is_cut_before_work_is_done() {
        let huge = "0".repeat(1_000_000);
        assert_eq!(
            codes(&huge, &[huge.as_str(); 1000]),
            ["password_too_long", "password_too_guessable"]
        );
    }
}
