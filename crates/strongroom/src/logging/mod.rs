//! The log: one line per event, as JSON or for people, to standard error.
//!
//! Strongroom's own events by the configured level, libraries' warnings, and nothing from database drivers,
//! whose events quote statements and values. Lines go through a bounded buffer and one writer thread, so that
//! a slow terminal or pipe can never hold up a request; what finds the buffer full is dropped and counted.
//! An event that belongs to a request names its number as a field: spans of requests (see [`crate::otlp`]) are for a
//! collector of traces, and no line names them.

mod buffer;
mod format;

use std::panic::PanicHookInfo;

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    config::{LogConfig, LogFormat},
    otlp::Traces,
};

pub(crate) use buffer::{LogBuffer, LogGuard};
use format::LineFormat;

/// Targets of the program itself: its crates, and the two logs that have names of their own.
const OWN: [&str; 3] = ["strongroom", "access", "security"];
/// Libraries whose events may quote statements, values or protocol frames.
const SILENT: [&str; 7] = [
    "sqlx",
    "sea_orm",
    "sea_orm_migration",
    "h2",
    "hyper",
    "hyper_util",
    "tracing",
];

/// Starts the log, and traces where there are some. The guard writes out what is left when it is dropped.
pub(crate) fn start(config: LogConfig, traces: Option<&Traces>) -> std::io::Result<(LogBuffer, LogGuard)> {
    let (buffer, guard) = buffer::start(std::io::stderr())?;
    let layer = fmt::layer()
        .event_format(match config.format {
            LogFormat::Json => LineFormat::Json,
            LogFormat::Text => LineFormat::Text,
        })
        .with_writer(buffer.clone())
        .with_filter(targets(config.level));
    // A second subscriber can only come from a test harness that has its own.
    let _ = tracing_subscriber::registry()
        .with(layer)
        .with(traces.map(Traces::layer))
        .try_init();
    std::panic::set_hook(Box::new(log_panic));
    Ok((buffer, guard))
}

fn targets(level: Level) -> Targets {
    Targets::new()
        .with_default(LevelFilter::WARN)
        .with_targets(SILENT.map(|target| (target, LevelFilter::OFF)))
        .with_targets(OWN.map(|target| (target, LevelFilter::from_level(level))))
        // Who wants to hear little still has to be able to say what happened.
        .with_target("security", LevelFilter::INFO)
}

/// The place of a panic, and its message only where it is a literal of the code: a formatted message may
/// contain what somebody sent.
fn log_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let message = info
        .payload()
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("(message withheld)");
    tracing::error!(target: "strongroom", place, message, "panic");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_for_our_own_targets_only() {
        let targets = targets(Level::DEBUG);
        assert!(targets.would_enable("strongroom_app::lane", &Level::DEBUG));
        assert!(targets.would_enable("access", &Level::INFO));
        assert!(!targets.would_enable("strongroom_app", &Level::TRACE));
        assert!(!targets.would_enable("rustls", &Level::INFO));
        assert!(targets.would_enable("rustls", &Level::WARN));
        assert!(!targets.would_enable("sqlx::query", &Level::ERROR));
        assert!(super::targets(Level::ERROR).would_enable("security", &Level::INFO));
        assert!(!targets.would_enable("sea_orm", &Level::ERROR));
    }
}
