//! A rail of folders: files are laid into one and statements fetched from another, by whatever carries files between
//! the bank and its own bank.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use strongroom_crypto::random;

use super::{Arrival, Rail, camt::STATEMENT_BYTES_MAX};

/// Most files that are read in one go.
const ARRIVALS_MAX: usize = 64;
/// A file that is no statement and is younger than this may still be on its way.
const ARRIVING: Duration = Duration::from_secs(60);
/// Where statements go that were read.
const READ: &str = "read";
/// Where files go that are no statements of ours.
const REFUSED: &str = "refused";

/// Two folders.
#[derive(Debug)]
pub struct FolderRail {
    outbox: PathBuf,
    inbox: PathBuf,
}

impl FolderRail {
    /// Over these folders, which are made where they are not there.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn open(outbox: &Path, inbox: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        for folder in [outbox, inbox, &inbox.join(READ), &inbox.join(REFUSED)] {
            fs::DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
        }
        Ok(Self {
            outbox: outbox.to_owned(),
            inbox: inbox.to_owned(),
        })
    }
}

impl Rail for FolderRail {
    /// Whoever watches the folder never sees half a file, and one that is there survives whatever comes.
    fn deliver(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unique: u64 = u64::from_be_bytes(random::bytes());
        let unfinished = self.outbox.join(format!(".{name}.{unique:016x}"));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(&unfinished)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&unfinished, self.outbox.join(name)));
        if let Err(error) = written {
            let _ = fs::remove_file(unfinished);
            return Err(error);
        }
        fs::File::open(&self.outbox)?.sync_all()
    }

    fn arrivals(&self) -> io::Result<Vec<Arrival>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.inbox)? {
            let entry = entry?;
            // Neither folders nor links: what is read lies here.
            if let Ok(name) = entry.file_name().into_string()
                && entry.file_type()?.is_file()
                && !name.starts_with('.')
                && name.to_ascii_lowercase().ends_with(".xml")
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        names.truncate(ARRIVALS_MAX);
        let arrivals = names.into_iter().map(|name| self.arrival(name));
        // A file that somebody else has taken is no failure.
        arrivals
            .filter(|arrival| !matches!(arrival, Err(error) if error.kind() == io::ErrorKind::NotFound))
            .collect()
    }

    fn file_away(&self, name: &str, stamp: i64, read: bool) -> io::Result<()> {
        let folder = if read { READ } else { REFUSED };
        let target = self.inbox.join(folder).join(format!("{stamp}-{name}"));
        match fs::rename(self.inbox.join(name), target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved,
        }
    }
}

impl FolderRail {
    /// One byte more than may be read, so that whoever reads it sees that it is too much.
    fn arrival(&self, name: String) -> io::Result<Arrival> {
        let file = fs::File::open(self.inbox.join(&name))?;
        let age = file.metadata()?.modified()?.elapsed().unwrap_or_default();
        let bytes_max = u64::try_from(STATEMENT_BYTES_MAX).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(Arrival {
            name,
            bytes,
            settled: age >= ARRIVING,
        })
    }
}
