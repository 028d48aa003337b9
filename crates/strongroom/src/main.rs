//! The binary: configuration, data directory, TLS, log, figures, and the verbs of the command line.
//!
//! `serve` composes the rest: see [`serve::compose`].

mod checks;
mod cli;
mod compose;
mod config;
mod control;
mod data_dir;
mod demo;
mod egress;
mod front;
mod logging;
mod metrics;
mod otlp;
mod process;
mod serve;
mod shared;
mod siem;
mod signer;
mod smtp;
mod tls;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// The C library's allocator took a sixth of the server's time (record 0063).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
