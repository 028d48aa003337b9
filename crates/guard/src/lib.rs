//! Defence at the edge: load shedding, limits, suspicion, detection and client addresses, as plain values and tower
//! layers.
//!
//! The crate knows nothing of problem documents, routes or principals: whoever mounts a guard says how a
//! refusal looks. Everything here is bounded by a number that its caller names.

mod address;
mod detect;
mod limit;
mod reputation;
mod shed;

pub use address::{FORWARDED_HOPS_MAX, Network, NetworkError, TrustedProxies};
pub use detect::{
    ATTACK_FROM, Attack, CERTAIN_FROM, Detector, Inspection, LOOKED_AT_BYTES_MAX, Paranoia, Part, Recognised,
    VALUES_MAX,
};
pub use limit::{
    Away, Exceeded, KEYS_MAX, Limiter, Quota, QuotaError, RedisPlace, RedisPlaceError, SharedCount,
    SharedCounters, SharedQuestion, Standing, Subject, Together, WINDOWS_MAX, Window, WindowStanding,
};
pub use reputation::{
    BLOCK_ABOVE, BLOCK_FIRST, BLOCK_LONGEST, Block, BlockSeal, Common, DELAY_LONGEST, KINDS_MIN, Observation,
    Reputation, SHARED_BLOCKS_MAX, SLOW_ABOVE, SUSPECTS_MAX, SharedBlocks, Signal, Verdict,
};
pub use shed::{Entered, Overloaded, Shed, ShedLayer, ShedService};
