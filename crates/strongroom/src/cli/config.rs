//! `strongroom config`.

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Common, Outcome};
use crate::config::{self, Shown};

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Show the configuration with secrets redacted, and everything that is wrong with it
    Check(Check),
    /// Print the configuration reference
    Reference,
}

/// Arguments of `config check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    common: Common,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Config {
    /// Shows what was asked for.
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Check(check) => check.run(),
            Self::Reference => Ok(std::io::stdout().write_all(config::reference().as_bytes())?),
        }
    }
}

impl Check {
    fn run(self) -> Outcome {
        let (shown, result) = config::load(self.common.sources(Vec::new()), &self.common.data_dir);
        let errors = result.err().map_or_else(Vec::new, |errors| errors.0);
        let mut out = std::io::stdout().lock();
        if self.json {
            let settings: serde_json::Map<_, _> = shown
                .iter()
                .map(|it| {
                    (
                        it.key.to_owned(),
                        json!({"value": it.value, "origin": it.origin.to_string(), "variable": it.variable}),
                    )
                })
                .collect();
            let errors: Vec<_> = errors
                .iter()
                .map(|it| json!({"key": it.key, "origin": it.origin.to_string(), "message": it.message}))
                .collect();
            let all = json!({"ok": errors.is_empty(), "settings": settings, "errors": errors});
            writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
        } else {
            let width = shown.iter().map(|it| it.key.len()).max().unwrap_or_default();
            for Shown {
                key, value, origin, ..
            } in &shown
            {
                writeln!(
                    out,
                    "{key:width$}  {}  ({origin})",
                    value.as_deref().unwrap_or("-")
                )?;
            }
        }
        out.flush()?;
        if errors.is_empty() {
            Ok(())
        } else {
            Err(config::ConfigErrors(errors).into())
        }
    }
}
