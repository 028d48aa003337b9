//! `strongroom openapi`.

use std::io::Write;

use strongroom_web::{openapi::SERVER_DEFAULT, v1};

use super::Outcome;
/// Prints the document of the routes that `serve` serves. Needs no data directory.
pub(super) fn run() -> Outcome {
    let document = strongroom_web::document(v1::describe, SERVER_DEFAULT);
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &document)?;
    Ok(writeln!(out)?)
}
