//! `strongroom events`.

use std::io::Write;

use super::Outcome;

/// Prints the catalogue of security events and alerts in Markdown.
pub(super) fn run() -> Outcome {
    let text = strongroom_app::security::catalogue::reference();
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
