//! People prove who they are: registration, login, tokens, sessions, operators, keys.

#[path = "../harness/mod.rs"]
mod harness;

mod api_keys;
mod credentials;
mod login;
mod operators;
mod refresh;
mod registration;
mod secrets;
mod sessions;
mod tokens;
