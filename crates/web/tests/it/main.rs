//! The server from outside: real sockets, real TLS, a small router behind it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at the first surprise"
)]

mod bodies;
mod connections;
mod floods;
mod front;
mod hygiene;
mod queries;
mod site;
mod stop;
mod support;
