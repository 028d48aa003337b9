//! The outbox of development: mails as files.

use std::path::PathBuf;

use strongroom_domain::id::MailId;

use crate::mail::{Encoding, Mail, MailError, MailSink};

/// Lays each mail into a directory as a file of its own (RFC 5322), readable by the owner alone. For development.
#[derive(Debug)]
pub struct MailDirectory {
    path: PathBuf,
    from: String,
}

impl MailDirectory {
    /// Into this directory, from this address. The directory is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: impl Into<PathBuf>, from: &str) -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = path.into();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)?;
        Ok(Self {
            path,
            from: from.to_owned(),
        })
    }

    fn file(&self, id: MailId) -> PathBuf {
        self.path.join(format!("{id}.eml"))
    }

    fn write(&self, mail: &Mail, message: &[u8]) -> std::io::Result<()> {
        use std::{io::Write, os::unix::fs::OpenOptionsExt};
        let unfinished = self.path.join(format!("{}.tmp", mail.id));
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(message)?;
        file.sync_all()?;
        // Whoever watches the directory never sees half a mail.
        std::fs::rename(unfinished, self.file(mail.id))
    }
}

impl MailSink for MailDirectory {
    fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = mail.message(&self.from, Encoding::Plain)?.formatted();
        self.write(mail, &message)
            .map_err(|error| MailError::Later(error.kind().to_string()))
    }

    fn discard(&self, id: MailId) {
        // Somebody may have taken it: then there is nothing to take back.
        let _ = std::fs::remove_file(self.file(id));
    }
}
