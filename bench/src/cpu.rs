//! What processes use: CPU time and memory, from the kernel's own books.

use std::{fs, path::Path, time::Duration};

use rustix::time::{ClockId, clock_gettime};

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// CPU time of this process, all threads.
pub(crate) fn own() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

/// CPU time of the calling thread.
pub(crate) fn thread() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

/// Everything behind the program's name in `/proc/<pid>/stat`: the name itself may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// CPU time of a process, all threads, also those that ended. Exact to a clock tick (10 ms); 0 when it is gone.
pub(crate) fn of(pid: u32) -> Duration {
    ticks(pid, 11..13)
}

fn ticks(pid: u32, fields: std::ops::Range<usize>) -> Duration {
    let ticks: u64 = stat(pid)
        .and_then(|fields_of| fields_of.get(fields).map(<[String]>::to_vec))
        .unwrap_or_default()
        .iter()
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_micros(ticks * 1_000_000 / per_second)
}

/// CPU time of the children that a process has waited for.
pub(crate) fn of_waited_for(pid: u32) -> Duration {
    ticks(pid, 13..15)
}

/// The parent of a process.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// CPU time of a process, of its living children and of those that it has waited for.
pub(crate) fn of_family(pid: u32) -> Duration {
    let children = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|child| parent(*child) == Some(pid));
    children.map(of).sum::<Duration>() + ticks(pid, 11..15)
}

/// Resident memory of a process, now and at most so far, in bytes.
pub(crate) fn memory(pid: u32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    let kib = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some((kib("VmRSS:")? * 1024, kib("VmHWM:")? * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_time_and_memory_and_has_a_parent() {
        let pid = std::process::id();
        let mut sum = 0_u64;
        while own() < Duration::from_millis(30) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(of(pid) >= Duration::from_millis(10) && of(pid) < own() + Duration::from_millis(30));
        let (now, peak) = memory(pid).expect("the kernel tells our memory");
        assert!(now > 100_000 && peak >= now);
        assert!(parent(pid).is_some());
        assert!(of_family(parent(pid).expect("a parent")) >= of(pid));
    }
}
