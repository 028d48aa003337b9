//! Where events wait for a collector: files of this node, written at once and deleted once they have arrived.
//!
//! A record is its length and its bytes, sealed by the bank. One call writes it, so that a kill leaves it whole or not
//! at all; what a power cut leaves of a file is read up to the first record that is not whole. The place up to which
//! everything has arrived is a file of its own, replaced as a whole. What was carried and may still be lost elsewhere
//! stays where it is, behind that place, and is read again when somebody asks for it or another process begins.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use strongroom_app::security::{catalogue::Severity, export::EventSpool};
use tokio::sync::Notify;

/// One part of so many is for what somebody should act on: a flood of the rest leaves it room.
const RESERVED_PART: u64 = 8;
/// So many bytes beside the reserve have to be free before there is room again: more than the largest record, so that a
/// small one that still fits does not end what is full for others.
const ROOM_AGAIN_BYTES: u64 = 128 << 10;
/// Bytes of a file; the next one is begun behind them.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// The largest record, in bytes.
const RECORD_BYTES_MAX: usize = 64 << 10;
const CURSOR: &str = "delivered";
const LENGTH_BYTES: usize = 4;

/// Up to where everything has arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: u64,
    pub(super) offset: u64,
}

/// The files.
pub(crate) struct Spool {
    folder: PathBuf,
    /// Bytes that wait at most.
    bytes_max: u64,
    state: Mutex<State>,
    /// Something waits.
    waits: Notify,
    /// What it is called in figures.
    name: &'static str,
    /// Told when there is no more room, and not again until there was some.
    full: Box<dyn Fn() + Send + Sync>,
}

struct State {
    number: u64,
    file: File,
    /// Bytes of the file that is written.
    written: u64,
    /// Bytes of all files.
    waiting: u64,
    is_full: bool,
    delivered: Place,
    /// Up to where it was carried; never before `delivered`.
    carried: Place,
}

/// Records that wait, and the place behind them.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) records: Vec<Vec<u8>>,
    pub(super) upto: Place,
}

fn file_name(number: u64) -> String {
    format!("{number:020}.events")
}

fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_suffix(".events"))
            .and_then(|number| number.parse::<u64>().ok());
        found.extend(number);
    }
    found.sort_unstable();
    Ok(found)
}

fn begin(folder: &Path, number: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create_new(true).append(true).mode(0o600);
    options.open(folder.join(file_name(number)))
}

impl Spool {
    /// Goes on where the process before ended. At most so many bytes wait; `full` is called when there is no more room.
    pub(super) fn open(
        folder: PathBuf,
        name: &'static str,
        bytes_max: u64,
        full: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let known = numbers(&folder)?;
        let mut waiting = 0;
        for number in &known {
            waiting += fs::metadata(folder.join(file_name(*number)))?.len();
        }
        let delivered = match fs::read_to_string(folder.join(CURSOR)) {
            Ok(text) => read_place(&text).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Place::default(),
            Err(error) => return Err(error),
        };
        // Behind what was there and behind what was delivered: a place never means two records.
        let number = known.last().copied().unwrap_or_default().max(delivered.file) + 1;
        Ok(Self {
            state: Mutex::new(State {
                number,
                file: begin(&folder, number)?,
                written: 0,
                waiting,
                is_full: false,
                delivered,
                carried: delivered,
            }),
            folder,
            bytes_max,
            name,
            waits: Notify::new(),
            full: Box::new(full),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that wait.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.state().waiting
    }

    /// Ends when something may wait, or after that time.
    pub(super) async fn wait(&self, most: Duration) {
        let _ = tokio::time::timeout(most, self.waits.notified()).await;
    }

    /// The next records that were not carried, at most so many bytes of them and at least one where there is one.
    pub(super) fn read(&self, bytes_max: usize) -> io::Result<Waiting> {
        let (number, carried) = {
            let state = self.state();
            (state.number, state.carried)
        };
        let mut found = Waiting {
            records: Vec::new(),
            upto: carried,
        };
        let files = numbers(&self.folder)?;
        let mut left = bytes_max;
        for file in files.into_iter().filter(|file| *file >= carried.file) {
            let offset = if file == carried.file { carried.offset } else { 0 };
            let mut reader = File::open(self.folder.join(file_name(file)))?;
            reader.seek(SeekFrom::Start(offset))?;
            found.upto = Place { file, offset };
            while let Some(record) = read_record(&mut reader)? {
                if record.len() > left && !found.records.is_empty() {
                    return Ok(found);
                }
                left = left.saturating_sub(record.len());
                found.upto.offset += u64::try_from(LENGTH_BYTES + record.len()).unwrap_or(u64::MAX);
                found.records.push(record);
            }
            if file < number && found.records.is_empty() {
                // Nothing whole is left of it.
                found.upto = Place {
                    file: file + 1,
                    offset: 0,
                };
            }
        }
        Ok(found)
    }

    /// Everything up to there was carried, and is kept until it is [delivered](Self::delivered).
    pub(super) fn carried(&self, upto: Place) {
        self.state().carried = upto;
    }

    /// What was carried and is not delivered comes again.
    pub(super) fn carry_again(&self) {
        let mut state = self.state();
        state.carried = state.delivered;
    }

    /// Everything up to there has arrived.
    pub(super) fn delivered(&self, upto: Place) -> io::Result<()> {
        let partial = self.folder.join("delivered.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        file.write_all(format!("{} {}\n", upto.file, upto.offset).as_bytes())?;
        file.sync_data()?;
        fs::rename(&partial, self.folder.join(CURSOR))?;
        let mut state = self.state();
        state.delivered = upto;
        state.carried = state.carried.max(upto);
        for number in numbers(&self.folder)? {
            let path = self.folder.join(file_name(number));
            if number < upto.file && number != state.number {
                let bytes = fs::metadata(&path)?.len();
                fs::remove_file(&path)?;
                state.waiting = state.waiting.saturating_sub(bytes);
            }
        }
        // A file that has arrived as a whole is replaced before it is full, or its bytes would wait for ever.
        if state.written > 0 && upto.file == state.number && upto.offset == state.written {
            self.next_file(&mut state)?;
        }
        Ok(())
    }

    fn next_file(&self, state: &mut State) -> io::Result<()> {
        let number = state.number + 1;
        state.file = begin(&self.folder, number)?;
        (state.number, state.written) = (number, 0);
        Ok(())
    }

    fn try_put(&self, record: &[u8], severity: Severity) -> io::Result<()> {
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        let bytes = [length.to_be_bytes().as_slice(), record].concat();
        let size = u64::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut state = self.state();
        let for_all = self.bytes_max - self.bytes_max / RESERVED_PART;
        let is_crowded = state.waiting + size > for_all;
        let has_room = if severity >= Severity::High {
            state.waiting + size <= self.bytes_max
        } else {
            !is_crowded
        };
        if record.len() > RECORD_BYTES_MAX || !has_room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if state.written >= FILE_BYTES_MAX {
            self.next_file(&mut state)?;
        }
        if let Err(error) = state.file.write_all(&bytes) {
            // A part of it may be there: nothing may stand behind that.
            self.next_file(&mut state)?;
            return Err(error);
        }
        state.written += size;
        state.waiting += size;
        // While little but the reserve is left it is full for the rest, who has heard so.
        state.is_full &= state.waiting + ROOM_AGAIN_BYTES > for_all;
        Ok(())
    }
}

impl EventSpool for Spool {
    fn put(&self, sealed: &[u8], severity: Severity) {
        match self.try_put(sealed, severity) {
            Ok(()) => self.waits.notify_one(),
            Err(_) => {
                metrics::counter!("strongroom_siem_events_lost_total", "collector" => self.name).increment(1);
                let was_full = std::mem::replace(&mut self.state().is_full, true);
                if !was_full {
                    (self.full)();
                }
            }
        }
    }
}

fn read_place(text: &str) -> Option<Place> {
    let (file, offset) = text.trim().split_once(' ')?;
    Some(Place {
        file: file.parse().ok()?,
        offset: offset.parse().ok()?,
    })
}

/// The next record; `None` where there is none that is whole.
fn read_record(reader: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; LENGTH_BYTES];
    if !fill(reader, &mut length)? {
        return Ok(None);
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > RECORD_BYTES_MAX {
        return Ok(None);
    }
    let mut record = vec![0; length];
    Ok(fill(reader, &mut record)?.then_some(record))
}

fn fill(reader: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    const WAITING_BYTES_MAX: u64 = 64 << 20;

    fn open(folder: &Path) -> Spool {
        Spool::open(folder.to_owned(), "siem", WAITING_BYTES_MAX, || {}).unwrap()
    }

    fn all(spool: &Spool, bytes_max: usize) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        loop {
            let waiting = spool.read(bytes_max).unwrap();
            spool.delivered(waiting.upto).unwrap();
            if waiting.records.is_empty() {
                return found;
            }
            found.extend(waiting.records);
        }
    }

    #[test]
    fn what_was_put_comes_in_order_until_it_was_delivered_also_in_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let spool = open(folder.path());
        for number in 0..10_u8 {
            spool.put(&[number; 3], Severity::Low);
        }
        let first = spool.read(9).unwrap();
        assert_eq!(first.records, [[0; 3], [1; 3], [2; 3]]);
        assert_eq!(
            spool.read(9).unwrap().records,
            first.records,
            "nobody said that they arrived"
        );
        spool.delivered(first.upto).unwrap();
        drop(spool);
        let spool = open(folder.path());
        spool.put(&[10; 3], Severity::Low);
        let rest: Vec<u8> = all(&spool, 5).iter().map(|record| record[0]).collect();
        assert_eq!(rest, (3..=10).collect::<Vec<_>>());
        assert!(all(&spool, 5).is_empty());
        spool.put(&[11; 3], Severity::Low);
        assert_eq!(all(&open(folder.path()), 100), [[11; 3]]);
    }

    #[test]
    fn what_was_carried_is_kept_until_it_is_delivered_and_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        let spool = open(folder.path());
        for number in 0..4_u8 {
            spool.put(&[number; 3], Severity::Low);
        }
        let first = spool.read(6).unwrap();
        spool.carried(first.upto);
        let second = spool.read(6).unwrap();
        assert_eq!(second.records, [[2; 3], [3; 3]]);
        spool.carried(second.upto);
        assert!(spool.read(6).unwrap().records.is_empty());
        // The first is safe, the second was lost elsewhere.
        spool.delivered(first.upto).unwrap();
        assert!(
            spool.read(6).unwrap().records.is_empty(),
            "what is delivered says nothing about the rest"
        );
        spool.carry_again();
        assert_eq!(spool.read(6).unwrap().records, second.records);
        spool.carried(second.upto);
        // Another process does not know what this one carried.
        drop(spool);
        let spool = open(folder.path());
        assert_eq!(all(&spool, 6), [[2; 3], [3; 3]]);
    }

    #[test]
    fn what_is_not_whole_ends_its_file_and_hides_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let spool = open(folder.path());
        spool.put(b"one", Severity::Low);
        let torn = folder.path().join(file_name(1));
        let mut file = OpenOptions::new().append(true).open(&torn).unwrap();
        file.write_all(&[0, 0, 0, 9, 1]).unwrap();
        drop(spool);
        let spool = open(folder.path());
        spool.put(b"two", Severity::Low);
        assert_eq!(all(&spool, 1), [b"one", b"two"]);
        assert!(!torn.exists(), "what arrived is deleted");
        let files = numbers(folder.path()).unwrap();
        assert!(files.len() <= 2, "{files:?}");
    }

    #[test]
    fn there_is_a_bound_and_somebody_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        let spool = Spool::open(folder.path().to_owned(), "siem", WAITING_BYTES_MAX, move || {
            count.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
        let record = vec![7; RECORD_BYTES_MAX];
        for _ in 0..1_100 {
            spool.put(&record, Severity::Low);
        }
        assert!(spool.waiting_bytes() <= WAITING_BYTES_MAX);
        assert_eq!(told.load(Ordering::Relaxed), 1);
        let kept = all(&spool, 1 << 20).len();
        assert!((850..900).contains(&kept), "{kept}");
        assert!(
            spool.waiting_bytes() <= FILE_BYTES_MAX + 70_000,
            "{}",
            spool.waiting_bytes()
        );
        spool.put(b"again", Severity::Low);
        assert_eq!(all(&spool, 1), [b"again"]);
    }

    #[test]
    fn a_flood_of_harmless_events_leaves_room_for_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        let spool = Spool::open(folder.path().to_owned(), "siem", WAITING_BYTES_MAX, move || {
            count.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
        let flood = vec![7; RECORD_BYTES_MAX];
        for number in 0..1_000_u32 {
            spool.put(&flood, Severity::Medium);
            if number % 10 == 9 {
                spool.put(&number.to_be_bytes(), Severity::High);
            }
        }
        assert_eq!(
            told.load(Ordering::Relaxed),
            1,
            "what finds room does not end the flood"
        );
        // The reserve has a bound as well.
        for _ in 0..200 {
            spool.put(&flood, Severity::Critical);
        }
        assert!(spool.waiting_bytes() <= WAITING_BYTES_MAX);
        let found = all(&spool, 1 << 20);
        let high = found.iter().filter(|record| record.len() == 4).count();
        assert_eq!(high, 100, "none of the others is lost");
    }
}
