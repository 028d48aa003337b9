//! Passwords: hashing in a bounded pool, and the policy for new ones.
//!
//! Argon2id (RFC 9106) with at least 46 MiB and one pass (OWASP ASVS 5.0, appendix C), a 128-bit salt, and the ring's
//! pepper as Argon2's secret input, so that a copy of the database alone cannot be attacked. Input is normalised to NFC
//! (NIST SP 800-63B-4 §3.1.1.2) and otherwise used as it is: nothing is cut, trimmed or folded.

mod breached;
mod hash;
mod policy;
mod pool;
mod stored;

pub use breached::{BreachedFilter, FILTER_BYTES_MAX, FilterBuilder, FilterError};
pub use hash::Cost;
pub use policy::{
    CHARS_MAX, CHARS_MIN, Classes, OTHER_CHARS_MIN, Policy, SCORE_MIN, Strength, Violation, WORDS_MAX,
};
pub use pool::{PasswordError, PasswordPool, PoolSize, Verified};
pub use stored::StoredHash;
