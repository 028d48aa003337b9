//! Where spans of requests, and security events as logs, go.

use std::path::PathBuf;

use super::{PublicUrl, Reader};

/// A collector that speaks OTLP.
#[derive(Clone, Debug)]
pub(crate) struct OtlpConfig {
    /// Its scheme, name and port; paths are those of the protocol.
    pub endpoint: PublicUrl,
    /// The only authorities that are believed; unset means those of the system.
    pub ca: Option<PathBuf>,
}

impl Reader<'_> {
    pub(super) fn otlp(&self) -> Option<OtlpConfig> {
        let ca = self.path("otlp.ca_file");
        self.url("otlp.endpoint")
            .map(|endpoint| OtlpConfig { endpoint, ca })
    }
}
