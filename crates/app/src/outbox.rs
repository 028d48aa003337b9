//! The outbox of development: mails as files.

use std::path::PathBuf;

use strongroom_domain::id::MailId;

use crate::mail::{Mail, MailError, MailSink};

/// Lays each mail into a directory as a file of its own (RFC 5322), readable by the owner alone. For development.
#[derive(Debug)]
pub struct MailDirectory {
    path: PathBuf,
    from: String,
}

impl MailDirectory {
    /// Into this directory, from `no-reply` at this host. The directory is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: impl Into<PathBuf>, host: &str) -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = path.into();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)?;
        Ok(Self {
            path,
            from: format!("no-reply@{host}"),
        })
    }

    fn file(&self, id: MailId) -> PathBuf {
        self.path.join(format!("{id}.eml"))
    }

    fn write(&self, mail: &Mail) -> std::io::Result<()> {
        use std::{io::Write, os::unix::fs::OpenOptionsExt};
        let at = jiff::Timestamp::from_microsecond(mail.at.micros()).unwrap_or_default();
        let date = jiff::fmt::rfc2822::to_string(&at.to_zoned(jiff::tz::TimeZone::UTC)).unwrap_or_default();
        let message = format!(
            "From: {} <{}>\r\nTo: <{}>\r\nSubject: {}\r\nDate: {date}\r\nMessage-ID: <{}@strongroom>\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}",
            one_line(&mail.from_name),
            self.from,
            one_line(&mail.to),
            mail.subject,
            mail.id,
            mail.text.replace('\n', "\r\n"),
        );
        let unfinished = self.path.join(format!("{}.tmp", mail.id));
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(message.as_bytes())?;
        file.sync_all()?;
        // Whoever watches the directory never sees half a mail.
        std::fs::rename(unfinished, self.file(mail.id))
    }
}

/// No header may grow a second line.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

impl MailSink for MailDirectory {
    fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.write(mail)
            .map_err(|error| MailError(error.kind().to_string()))
    }

    fn discard(&self, id: MailId) {
        // Somebody may have taken it: then there is nothing to take back.
        let _ = std::fs::remove_file(self.file(id));
    }
}
