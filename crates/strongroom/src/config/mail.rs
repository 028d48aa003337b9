//! How mails leave.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::Reader;

/// Port of submission with TLS from the first byte (RFC 8314, section 3.3).
const PORT_IMPLICIT: u16 = 465;
/// Port of submission (RFC 6409).
const PORT_STARTTLS: u16 = 587;

/// How mails leave.
#[derive(Clone, Debug)]
pub(crate) struct MailConfig {
    /// The server that takes them; none means files.
    pub smtp: Option<SmtpConfig>,
    /// The sender's address.
    pub from: Option<String>,
    /// Wait after the first try that failed, in seconds.
    pub retry_secs: u32,
}

/// A mail server.
#[derive(Clone, Debug)]
pub(crate) struct SmtpConfig {
    /// Its name, as in its certificate.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS from the first byte, in place of STARTTLS.
    pub implicit: bool,
    /// The only authorities that are believed; unset means those of the system.
    pub ca: Option<PathBuf>,
    /// Who we are there.
    pub login: Option<(SecretString, SecretString)>,
    /// Bound of a connection and of each answer.
    pub time_max: Duration,
}

impl Reader<'_> {
    pub(super) fn mail(&self) -> MailConfig {
        let smtp = self.smtp();
        MailConfig {
            smtp: self.is("mail.transport", "smtp").then_some(smtp),
            from: self.text("mail.from"),
            retry_secs: u32::try_from(self.count("mail.retry_seconds")).unwrap_or(u32::MAX),
        }
    }

    fn smtp(&self) -> SmtpConfig {
        let implicit = self.is("smtp.tls", "implicit");
        let usual = if implicit { PORT_IMPLICIT } else { PORT_STARTTLS };
        let port = self.number("smtp.port").and_then(|port| u16::try_from(port).ok());
        SmtpConfig {
            host: self.text("smtp.host").unwrap_or_default(),
            port: port.unwrap_or(usual),
            implicit,
            ca: self.path("smtp.ca_file"),
            login: self.secret("smtp.username").zip(self.secret("smtp.password")),
            time_max: self.seconds("smtp.timeout_seconds"),
        }
    }
}
