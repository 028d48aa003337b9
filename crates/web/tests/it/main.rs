//! The server from outside: real sockets, real TLS, a small router behind it.

mod bodies;
mod connections;
mod front;
mod queries;
mod site;
mod stop;
mod support;
