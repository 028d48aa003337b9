//! What one flush of this disk takes: the floor under every acknowledged commit.

use std::{
    fs::OpenOptions,
    io::{Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, Instant},
};

use crate::{outcome::Outcome, report::median};

/// Bytes written before each flush: as much as a small commit writes.
const WRITE_BYTES: usize = 1_024;

/// Median milliseconds of write and `fdatasync` at the end of a growing file in this folder.
pub(crate) fn flush_ms(folder: &Path, time: Duration) -> Outcome<f64> {
    let path = folder.join("flush");
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(&path)?;
    file.seek(SeekFrom::Start(0))?;
    let bytes = [0x5a_u8; WRITE_BYTES];
    let mut millis = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time {
        let one = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        millis.push(one.elapsed().as_secs_f64() * 1e3);
    }
    drop(file);
    std::fs::remove_file(path)?;
    Ok(median(&millis))
}
