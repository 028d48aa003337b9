//! `strongroom openapi`.

use std::io::Write;

use strongroom_web::{health::Readiness, openapi::SERVER_DEFAULT};

use super::Outcome;
use crate::serve;

/// Prints the document of the routes that `serve` serves. Needs no data directory.
pub(super) fn run() -> Outcome {
    let document = strongroom_web::document(serve::routes(), Readiness::new(Vec::new()), SERVER_DEFAULT);
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &document)?;
    Ok(writeln!(out)?)
}
