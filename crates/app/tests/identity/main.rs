//! People prove who they are: registration, login, tokens, sessions, operators, keys.

#[path = "../common/mod.rs"]
mod common;

mod api_keys;
mod credentials;
mod login;
mod operators;
mod refresh;
mod registration;
mod secrets;
mod sessions;
mod tokens;
