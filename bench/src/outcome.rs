//! How a measurement ends: well, or with a sentence for the person who ran it.

/// What a step gives back. Sentences, because whoever reads them runs a program and does not match on them.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
