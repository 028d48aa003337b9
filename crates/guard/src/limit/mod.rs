//! Limits: how often somebody may do something, counted in this process, and for several nodes in Redis besides.
//!
//! The algorithm is GCRA, the leaky bucket that needs one number per window instead of a list of moments:
//! when the bucket of a window will be empty again. It allows a burst at once and after that an even pace,
//! so within the first period after a rest up to twice the count can pass (a burst and what flows back
//! meanwhile), and never more than the count per period in the long run.

mod limiter;
mod quota;
mod shared;
mod subject;

pub use limiter::{Exceeded, KEYS_MAX, Limiter, Standing, WindowStanding};
pub use quota::{Quota, QuotaError, WINDOWS_MAX, Window};
pub use shared::{Away, RedisPlace, RedisPlaceError, SharedCount, SharedCounters, SharedQuestion, Together};
pub use subject::Subject;
