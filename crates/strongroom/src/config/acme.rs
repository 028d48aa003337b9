//! Who gives this server its certificate.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::Reader;

/// A certificate directory (RFC 8555).
#[derive(Clone, Debug)]
pub(crate) struct AcmeConfig {
    /// The address of the directory; checked to be set.
    pub directory: String,
    /// Whom the directory writes to.
    pub contact: Option<String>,
    /// Whether somebody agreed to its terms; checked to be so.
    pub terms_agreed: bool,
    /// The only authorities that may vouch for the directory; unset means those of the system.
    pub ca: Option<PathBuf>,
    /// An account there that the new one is bound to (RFC 8555, section 7.3.4): its name and its key, base64url.
    pub binding: Option<(String, SecretString)>,
    /// Wait after the first failure, and at least between two orders.
    pub retry: Duration,
}

impl Reader<'_> {
    pub(super) fn acme(&self) -> Option<AcmeConfig> {
        let config = AcmeConfig {
            directory: self.text("acme.directory_url").unwrap_or_default(),
            contact: self.text("acme.contact"),
            terms_agreed: self.flag("acme.terms_agreed").unwrap_or_default(),
            ca: self.path("acme.ca_file"),
            binding: self.text("acme.eab_key_id").zip(self.secret("acme.eab_key")),
            retry: self.seconds("acme.retry_seconds"),
        };
        self.is("server.tls", "acme").then_some(config)
    }
}
