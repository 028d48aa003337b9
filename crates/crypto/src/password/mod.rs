//! Passwords: hashing in a bounded pool, and the policy for new ones.
//!
//! Argon2id (RFC 9106) with at least 46 MiB and one pass (OWASP ASVS 5.0, appendix C), a 128-bit salt, and the ring's
//! pepper as Argon2's secret input, so that a copy of the database alone cannot be attacked. Input is normalised to NFC
//! (NIST SP 800-63B-4 §3.1.1.2) and otherwise used as it is: nothing is cut, trimmed or folded.

mod hash;
mod policy;
mod pool;

pub use hash::{Cost, StoredHash};
pub use policy::{CHARS_MAX, CHARS_MIN, OTHER_CHARS_MIN, SCORE_MIN, Violation, WORDS_MAX, check};
pub use pool::{PasswordError, PasswordPool, PoolSize, Verified};
