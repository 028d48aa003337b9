//! Defence at the edge: load shedding, limits and client addresses, as plain values and tower layers.
//!
//! The crate knows nothing of problem documents, routes or principals: whoever mounts a guard says how a
//! refusal looks. Everything here is bounded by a number that its caller names.

mod address;
mod limit;
mod shed;

pub use address::{FORWARDED_HOPS_MAX, Network, NetworkError, TrustedProxies};
pub use limit::{
    Exceeded, KEYS_MAX, Limiter, Quota, QuotaError, Standing, Subject, WINDOWS_MAX, Window, WindowStanding,
};
pub use shed::{Entered, Overloaded, Shed, ShedLayer, ShedService};
