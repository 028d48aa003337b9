//! The load generator: its own HTTP/1.1 client with one connection per sender, so that what is measured is the server.

mod connection;
mod load;
mod request;

pub(crate) use connection::{Connection, Target};
pub(crate) use load::{Arrivals, Load, Loaded, Sender};
pub(crate) use request::Request;
