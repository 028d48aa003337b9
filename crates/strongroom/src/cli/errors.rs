//! `strongroom errors`.

use std::io::Write;

use super::Outcome;

/// Prints the error reference in Markdown.
pub(super) fn run() -> Outcome {
    Ok(std::io::stdout().write_all(strongroom_web::error_reference().as_bytes())?)
}
