//! Where security events go.

use std::path::PathBuf;

use strongroom_app::security::export::ExportFormat;

use super::Reader;

/// A collector of security events.
#[derive(Clone, Debug)]
pub(crate) struct SiemConfig {
    /// Its name, as in its certificate.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The only authorities that are believed; checked to be set.
    pub ca: PathBuf,
    /// How events are written.
    pub format: ExportFormat,
}

impl Reader<'_> {
    pub(super) fn siem(&self) -> Option<SiemConfig> {
        let (port, ca) = (self.number("siem.port"), self.path("siem.ca_file"));
        let is_cef = self.is("siem.format", "cef");
        self.text("siem.host").map(|host| SiemConfig {
            host,
            port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
            ca: ca.unwrap_or_default(),
            format: if is_cef {
                ExportFormat::Cef
            } else {
                ExportFormat::Ocsf
            },
        })
    }
}
