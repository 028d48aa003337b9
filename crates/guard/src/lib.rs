//! Defence at the edge: load shedding and client addresses, as plain values and tower layers.
//!
//! The crate knows nothing of problem documents, routes or principals: whoever mounts a guard says how a
//! refusal looks. Everything here is bounded by a number that its caller names.

mod address;
mod shed;

pub use address::{FORWARDED_HOPS_MAX, Network, NetworkError, TrustedProxies};
pub use shed::{Entered, Overloaded, Shed, ShedLayer, ShedService};
