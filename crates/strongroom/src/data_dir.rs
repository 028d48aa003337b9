//! The data directory: made on first use, closed to everybody else, owned by one process at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// A data directory that this process owns while the value lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    // The lock ends with the file, also when the process is killed.
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// Another process owns it.
    #[error(
        "the data directory {path} is in use by another strongroom{by}; stop it first, or use another --data-dir"
    )]
    InUse {
        /// The directory.
        path: String,
        /// `" (process 4711)"`, or nothing.
        by: String,
    },
    /// Somebody else could read or change what is in it.
    #[error("the data directory {path} is open to group or others; close it with: chmod 700 {path}")]
    Open {
        /// The directory.
        path: String,
    },
    /// The system refused.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: String,
        /// The reason.
        source: io::Error,
    },
}

impl DataDir {
    /// Makes the directory if there is none, and takes it.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |what, path: &Path| {
            let path = path.display().to_string();
            move |source| DataDirError::Io { what, path, source }
        };
        make_private(path).map_err(failed("make the data directory", path))?;
        let path = path
            .canonicalize()
            .map_err(failed("find the data directory", path))?;
        let metadata = fs::metadata(&path).map_err(failed("look at the data directory", &path))?;
        if metadata.mode() & 0o077 != 0 {
            // A directory that was just made by hand is closed here; in one with content somebody may have
            // read or changed something already, and it may not be meant for this at all.
            let is_empty = fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_none());
            if !is_empty {
                return Err(DataDirError::Open {
                    path: path.display().to_string(),
                });
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
                .map_err(failed("close the data directory", &path))?;
        }
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(failed("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::InUse {
                    path: path.display().to_string(),
                    by: holder(&mut lock),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", &lock_path)(source)),
        }
        // For people only: the lock itself is what counts.
        let note = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()));
        note.map_err(failed("write", &lock_path))?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is, absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A directory in it, closed to everybody else, made if there is none.
    pub(crate) fn directory(&self, name: &str) -> Result<PathBuf, DataDirError> {
        let path = self.path.join(name);
        make_private(&path).map_err(|source| DataDirError::Io {
            what: "make",
            path: path.display().to_string(),
            source,
        })?;
        Ok(path)
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.take(20).read_to_string(&mut text);
    match text.trim().parse::<u32>() {
        Ok(id) if read.is_ok() => format!(" (process {id})"),
        _ => String::new(),
    }
}

/// Writes a file that only the owner may read, whole or not at all: a crash leaves the old one.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    // A leftover of a crash may have other rights; it is never reused.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_directory_is_closed_to_everybody_else() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let data = DataDir::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(path.join("lock")).unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            fs::metadata(data.directory("tls").unwrap()).unwrap().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn a_second_owner_is_refused_until_the_first_is_gone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let first = DataDir::open(&path).unwrap();
        let refusal = DataDir::open(&path).unwrap_err().to_string();
        assert!(
            refusal.contains(&format!(
                "in use by another strongroom (process {})",
                std::process::id()
            )),
            "{refusal}"
        );
        drop(first);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_read_is_refused_with_the_remedy() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(path.join("something"), "x").unwrap();
        assert!(
            DataDir::open(&path)
                .unwrap_err()
                .to_string()
                .contains("chmod 700")
        );
        fs::remove_file(path.join("something")).unwrap();
        DataDir::open(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().mode() & 0o777,
            0o700,
            "an empty one is closed"
        );
    }

    #[test]
    fn a_private_file_is_private_and_replaces_the_old_one_whole() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("secret");
        write_private(&path, b"old").unwrap();
        write_private(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
