//! People prove who they are: registration, login, tokens, sessions, operators, keys.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "../harness/mod.rs"]
mod harness;

mod api_keys;
mod approvals;
mod browsers;
mod credentials;
mod factor_reset;
mod factors;
mod guesses;
mod leaving;
mod login;
mod operators;
mod own_keys;
mod refresh;
mod registration;
mod secrets;
mod security_events;
mod sessions;
mod tokens;
mod upkeep;
