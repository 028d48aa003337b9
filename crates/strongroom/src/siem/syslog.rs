//! Syslog (RFC 5424) over TLS (RFC 5425): messages behind their length, and an end that both sides say.
//!
//! Syslog has no receipts. What stands for one is the end of the connection: we say that nothing more comes, and a
//! collector that answers the same way has read everything before it (RFC 5425, section 4.4). Each batch is one
//! connection, and one that does not end so did not arrive.
//!
//! What was read may still lie in the collector's memory. Whether it dies is seen by a second connection that stands as
//! long as that may be: nothing is said over it, and its end says that what was read lately has to come again.

use std::{fs, io, path::Path, process, sync::Arc, time::Duration};

use rustix::net::sockopt;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use strongroom_app::security::{
    catalogue::Severity,
    export::{ExportFormat, ExportedEvent},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::config::SiemConfig;

/// Until there is a connection, and until it is encrypted.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Until a batch is written, and until the collector has said that it read it.
const BATCH_TIME_MAX: Duration = Duration::from_secs(15);
/// What a collector may say; nobody reads it.
const SAID_BYTES_MAX: usize = 64 << 10;
/// Of a connection over which nothing is said: after so long the machine at its other end is asked whether it is there,
const ASK_AFTER: Duration = Duration::from_secs(5);
/// and is gone once it did not answer so often, as long apart: before anything settles.
const ASK_TIMES: u32 = 4;
/// `authpriv`: messages about security (RFC 5424, section 6.2.1).
const FACILITY: u8 = 10;

/// A collector.
pub(super) struct Collector {
    host: String,
    port: u16,
    name: ServerName<'static>,
    tls: TlsConnector,
    format: ExportFormat,
    /// What we are called.
    from: String,
}

impl Collector {
    /// Reads the authorities; opens no connection.
    pub(super) fn open(config: &SiemConfig, from: &str) -> Result<Self, String> {
        let wrong =
            |path: &Path, why: &dyn std::fmt::Display| format!("{} (siem.ca_file): {why}", path.display());
        let path = config.ca.as_path();
        let pem = fs::read(path).map_err(|error| wrong(path, &error))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|_| wrong(path, &"is no PEM"))?;
            roots
                .add(certificate)
                .map_err(|_| wrong(path, &"holds what is no authority"))?;
        }
        if roots.is_empty() {
            return Err(wrong(path, &"holds no certificate in PEM"));
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(crate::tls::provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name =
            ServerName::try_from(config.host.clone()).map_err(|_| "siem.host is no name".to_owned())?;
        Ok(Self {
            host: config.host.clone(),
            port: config.port,
            name,
            tls: TlsConnector::from(Arc::new(tls)),
            format: config.format,
            from: from.to_owned(),
        })
    }

    /// Brings events; `Ok` once the collector has read all of them.
    pub(super) async fn bring(&self, events: &[ExportedEvent]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for event in events {
            let message = message(event, self.format, &self.from, process::id());
            bytes.extend_from_slice(format!("{} ", message.len()).as_bytes());
            bytes.extend_from_slice(message.as_bytes());
        }
        let mut stream = self.connect().await?;
        timeout(BATCH_TIME_MAX, async {
            stream.write_all(&bytes).await?;
            stream.shutdown().await?;
            let mut said = Vec::new();
            let most = u64::try_from(SAID_BYTES_MAX).unwrap_or(u64::MAX);
            // An end that the other side did not say is an error here.
            stream.take(most).read_to_end(&mut said).await.map(drop)
        })
        .await?
    }

    /// Notices from now on when the collector dies.
    pub(super) async fn attend(&self) -> io::Result<Presence> {
        let mut stream = self.connect().await?;
        let tcp = stream.get_ref().0;
        sockopt::set_socket_keepalive(tcp, true)?;
        sockopt::set_tcp_keepidle(tcp, ASK_AFTER)?;
        sockopt::set_tcp_keepintvl(tcp, ASK_AFTER)?;
        sockopt::set_tcp_keepcnt(tcp, ASK_TIMES)?;
        Ok(Presence(tokio::spawn(async move {
            let mut said = [0; 256];
            while matches!(stream.read(&mut said).await, Ok(1..)) {}
        })))
    }

    async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let address = (self.host.as_str(), self.port);
        let stream = timeout(CONNECT_TIME_MAX, TcpStream::connect(address)).await??;
        let shaking = self.tls.connect(self.name.clone(), stream);
        timeout(CONNECT_TIME_MAX, shaking).await?
    }
}

/// A connection that stands, closed when this is dropped.
#[derive(Debug)]
pub(super) struct Presence(JoinHandle<()>);

impl Presence {
    /// Whether the other side ended it, or is gone.
    pub(super) fn has_ended(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One message: nothing in its head comes from outside.
fn message(event: &ExportedEvent, format: ExportFormat, from: &str, process: u32) -> String {
    let severity = match event.severity() {
        Severity::Info => 6,
        Severity::Low => 5,
        Severity::Medium => 4,
        Severity::High => 3,
        Severity::Critical => 2,
    };
    let kind = event.known_kind().map_or("unknown", |kind| kind.name());
    format!(
        "<{}>1 {} {from} strongroom {process} {kind} - {}",
        FACILITY * 8 + severity,
        event.moment(),
        format.write(event, env!("CARGO_PKG_VERSION"))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_head_of_its_standard_whatever_the_event_says() {
        let event = ExportedEvent {
            id: "sev_01".to_owned(),
            kind: "login_failed x\n<34>1 - - - - - -".to_owned(),
            at: 1_795_132_800_000_000,
            outcome: "refused".to_owned(),
            reason: Some("\n<34>1".to_owned()),
            request_id: None,
            principal: None,
            session_id: None,
            incident_id: None,
            address: None,
            user_agent: Some("]\"\n7 <34>1 forged".to_owned()),
            subject: None,
            object: None,
            policy: None,
            token: None,
        };
        for format in [ExportFormat::Ocsf, ExportFormat::Cef] {
            let text = message(&event, format, "bank.example", 7);
            assert!(
                text.starts_with("<83>1 2026-11-20T00:00:00.000000Z bank.example strongroom 7 unknown - "),
                "{text}"
            );
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
        let known = ExportedEvent {
            kind: "login_failed".to_owned(),
            ..event
        };
        let text = message(&known, ExportFormat::Cef, "bank.example", 7);
        assert!(
            text.starts_with("<85>1 ") && text.contains(" login_failed - CEF:0|"),
            "{text}"
        );
    }
}
