//! Stories of the whole server, told over HTTPS on both databases.

mod audit;
mod harness;
mod identity;
mod import;
mod process;
mod transfers;
