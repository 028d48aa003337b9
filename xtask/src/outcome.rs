//! How a verb ends: well, or with a sentence for the person who ran it.

use std::fmt;

/// What a verb gives back.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Why a verb could not do its work, in words that say what to do next.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// The same failure with what was being done put before it.
    pub(crate) fn during(self, what: &str) -> Failure {
        Failure(format!("{what}: {}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Failure {
    fn from(sentence: String) -> Failure {
        Failure(sentence)
    }
}

impl From<&str> for Failure {
    fn from(sentence: &str) -> Failure {
        Failure(sentence.to_owned())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure(error.to_string())
    }
}
