//! On what was measured: figures without their machine mean nothing.

use std::fs;

use serde_json::{Value, json};
use strongroom_app::{Clock, SystemClock};

use crate::outcome::Outcome;

/// Processors, memory, kernel, disk, and what else the machine is doing.
pub(crate) fn describe() -> Outcome<Value> {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned());
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Ok(json!({
        "at": now(),
        "processors": std::thread::available_parallelism()?.get(),
        "model": model,
        "memory": memory.map(str::trim),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "load at start": load.trim(),
        "sqlite": rusqlite::version(),
    }))
}

/// Now, as a name for files.
pub(crate) fn now() -> String {
    SystemClock.now().to_string().replace(':', "-")
}
