//! A password's hash as the database keeps it: ours, or one that came with its owner from elsewhere.
//!
//! `1:<kid of the pepper>:<PHC string>` is Argon2id under the ring's pepper. `2:<bcrypt>` was imported: it lets its
//! owner in once and is replaced by one of ours then. bcrypt looks at 72 bytes and no more, one of which ends the
//! text; a longer password matches no imported hash, so that two which differ beyond are never the same.

use std::fmt;

use super::hash::{ArgonHash, TEXT_BYTES_MAX};

const IMPORTED: &str = "2:";
/// Length of a bcrypt hash in characters.
const BCRYPT_CHARS: usize = 60;
/// Most rounds that are computed for an imported hash, as a power of two: about a second.
const BCRYPT_COST_MAX: u32 = 14;
const BCRYPT_COST_MIN: u32 = 4;

/// A bcrypt hash (`$2a$`, `$2b$`, `$2y$`) that was made elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct BcryptHash(String);

impl BcryptHash {
    fn parse(text: &str) -> Option<Self> {
        let (version, rest) = text.strip_prefix("$2")?.split_once('$')?;
        let (cost, rest) = rest.split_once('$')?;
        let cost_fits = (BCRYPT_COST_MIN..=BCRYPT_COST_MAX).any(|fits| cost == format!("{fits:02}"));
        let alphabet = |c: u8| c.is_ascii_alphanumeric() || c == b'.' || c == b'/';
        (text.len() == BCRYPT_CHARS
            && ["a", "b", "y"].contains(&version)
            && cost_fits
            && rest.bytes().all(alphabet))
        .then(|| Self(text.to_owned()))
    }

    pub(super) fn matches(&self, password: &str) -> bool {
        bcrypt::non_truncating_verify(password, &self.0).unwrap_or(false)
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Form {
    Own(ArgonHash),
    Imported(BcryptHash),
}

/// A password's hash as the database keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredHash(pub(super) Form);

impl StoredHash {
    /// Reads the stored text; `None` for anything that [`Self::to_text`] would not write, or beyond the bounds of
    /// [`Cost`](super::Cost).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        match text.strip_prefix(IMPORTED) {
            Some(bcrypt) => Self::import(bcrypt),
            None => ArgonHash::parse(text).map(|own| Self(Form::Own(own))),
        }
    }

    /// Takes over a hash that was made elsewhere: bcrypt, 2^4 to 2^14 rounds. `None` for anything else.
    #[must_use]
    pub fn import(text: &str) -> Option<Self> {
        BcryptHash::parse(text).map(|bcrypt| Self(Form::Imported(bcrypt)))
    }

    /// The stored text.
    #[must_use]
    pub fn to_text(&self) -> String {
        match &self.0 {
            Form::Own(own) => own.to_text(),
            Form::Imported(BcryptHash(text)) => format!("{IMPORTED}{text}"),
        }
    }

    /// The pepper's key number; none where there is no pepper.
    #[must_use]
    pub fn kid(&self) -> Option<u32> {
        match &self.0 {
            Form::Own(own) => Some(own.kid()),
            Form::Imported(_) => None,
        }
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Own(own) => own.fmt(f),
            Form::Imported(_) => f.write_str("StoredHash(imported)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported(password: &str) -> StoredHash {
        StoredHash::import(&bcrypt::hash(password, BCRYPT_COST_MIN).unwrap()).unwrap()
    }

    fn matches(stored: &StoredHash, password: &str) -> bool {
        match &stored.0 {
            Form::Imported(hash) => hash.matches(password),
            Form::Own(_) => panic!("not imported"),
        }
    }

    #[test]
    fn an_imported_hash_is_kept_and_matches_its_password() {
        let stored = imported("correct horse battery");
        let again = StoredHash::parse(&stored.to_text()).unwrap();
        assert!(stored.to_text().starts_with("2:$2b$04$"));
        assert!(matches(&again, "correct horse battery"));
        assert!(!matches(&again, "correct horse batterz"));
        assert_eq!(format!("{stored:?}"), "StoredHash(imported)");
        // Published with the algorithm's reference code.
        let known =
            StoredHash::import("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW").unwrap();
        assert!(matches(&known, "U*U"));
    }

    #[test]
    fn passwords_that_differ_beyond_what_bcrypt_sees_are_not_the_same() {
        let seen = "x".repeat(71);
        let stored = imported(&seen);
        assert!(matches(&stored, &seen));
        assert!(!matches(&stored, &format!("{seen}y")));
    }

    #[test]
    fn what_is_no_bcrypt_or_too_dear_is_not_imported() {
        let good = bcrypt::hash("x", BCRYPT_COST_MIN).unwrap();
        assert!(StoredHash::import(&good).is_some());
        for bad in [
            String::new(),
            good[..59].to_owned(),
            format!("{good}a"),
            good.replacen("$2b$", "$2x$", 1),
            good.replacen("$2b$", "$1$", 1),
            good.replacen("$04$", "$15$", 1),
            good.replacen("$04$", "$03$", 1),
            good.replacen("$04$", "$+4$", 1),
            format!("{}!", &good[..59]),
        ] {
            assert!(StoredHash::import(&bad).is_none(), "{bad}");
        }
    }
}
