//! People prove who they are: registration, login, tokens, sessions, operators, keys.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "../harness/mod.rs"]
mod harness;

mod api_keys;
mod approvals;
mod blocked_networks;
mod browsers;
mod credentials;
mod factor_reset;
mod factors;
mod feed;
mod floor;
mod guesses;
mod leaving;
mod login;
mod operators;
mod own_keys;
mod refresh;
mod registration;
mod rotations;
mod secrets;
mod security_events;
mod sessions;
mod tokens;
mod upkeep;
