//! TLS: the local authority, its certificates, certificates from files and of directories, and the protocol settings.
//!
//! Without any configuration the server makes an authority of its own at first start. Clients trust
//! `DATA/tls/ca.pem` instead of switching verification off. The authority is constrained by name (RFC 5280,
//! section 4.2.1.10): whoever steals its key can pretend to be this server and nobody else.

mod acme;
mod authority;
mod validity;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
    time::SystemTime,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache,
        WebPkiClientVerifier,
    },
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use authority::{Files, today};
use validity::Validity;

use crate::{
    config::Tls,
    data_dir::{DataDir, DataDirError},
};

pub(crate) use acme::{Acme, Directory, mac_key};

/// A certificate that lives no longer than this ends soon, in seconds.
const ENDING_SECS: i64 = 6 * 86_400;
/// When the certificate of a listener ends, in seconds since 1970.
const ENDS: &str = "strongroom_tls_certificate_ends_timestamp_seconds";
/// Sessions that can be resumed, kept in memory.
const SESSIONS_MAX: usize = 4096;
/// Tickets per handshake: one connection resumes one other.
const TICKETS: usize = 1;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file of the data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A file cannot be read or written.
    #[error("cannot {what} {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: String,
        /// The reason.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} {reason}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong with it; never what is in it.
        reason: &'static str,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// The library refuses.
    #[error("cannot set up TLS: {0}")]
    Setup(#[from] rustls::Error),
}

/// The certificate of a listener, exchanged while it serves.
pub(crate) struct Certificates {
    /// Of which listener, in figures.
    listener: &'static str,
    source: Source,
    current: RwLock<Current>,
}

enum Source {
    Local {
        directory: PathBuf,
        names: Vec<String>,
    },
    Files {
        certificate: PathBuf,
        key: PathBuf,
    },
    /// Of a directory: whoever has one brings it ([`Certificates::put`]).
    Directory,
}

struct Current {
    /// `None` until there is one: handshakes are refused meanwhile.
    key: Option<Arc<CertifiedKey>>,
    /// When the file was written; a newer one is read again.
    written: Option<SystemTime>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificates")
    }
}

impl Certificates {
    /// The certificate of a listener that clients call by these hosts; `None` where TLS is off.
    pub(crate) fn open(tls: &Tls, data: &DataDir, hosts: &[&str]) -> Result<Option<Arc<Self>>, TlsError> {
        let source = match tls {
            Tls::Off => return Ok(None),
            Tls::Acme { .. } => Source::Directory,
            Tls::Files { certificate, key } => Source::Files {
                certificate: certificate.clone(),
                key: key.clone(),
            },
            Tls::SelfSigned => {
                let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
                for host in hosts {
                    if !names.iter().any(|name| name == host) {
                        names.push((*host).to_owned());
                    }
                }
                Source::Local {
                    directory: data.directory("tls")?,
                    names,
                }
            }
        };
        Self::load("all", source).map(Some)
    }

    /// The certificate of the operators' listener, where it has one of its own: beside a directory that cannot see it.
    pub(crate) fn open_for_operators(tls: &Tls) -> Result<Option<Arc<Self>>, TlsError> {
        match tls {
            Tls::Acme {
                operators: Some((certificate, key)),
            } => {
                let source = Source::Files {
                    certificate: certificate.clone(),
                    key: key.clone(),
                };
                Self::load("operators", source).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn load(listener: &'static str, source: Source) -> Result<Arc<Self>, TlsError> {
        let loaded = source.load()?;
        let certificates = Self {
            listener,
            source,
            current: RwLock::new(Current {
                key: None,
                written: None,
            }),
        };
        certificates.take(loaded);
        Ok(Arc::new(certificates))
    }

    /// Serves this from now on.
    fn put(&self, key: CertifiedKey) {
        self.take(Current {
            key: Some(Arc::new(key)),
            written: None,
        });
    }

    fn take(&self, fresh: Current) {
        let leaf = fresh.key.as_ref().and_then(|key| key.cert.first());
        if let Some(validity) = leaf.and_then(Validity::of) {
            // Seconds of this age of the world are exact in it.
            metrics::gauge!(ENDS, "listener" => self.listener).set(validity.until as f64);
        }
        if let Ok(mut current) = self.current.write() {
            *current = fresh;
        }
    }

    /// Whether the certificate that is served ends within [`ENDING_SECS`], or has ended. Of one that lives shortly
    /// anyway: whether the last quarter of its life has begun.
    pub(crate) fn are_ending(&self) -> bool {
        let current = self.current.read();
        let leaf = current.ok().and_then(|current| {
            let leaf = current.key.as_ref()?.cert.first()?;
            Validity::of(leaf)
        });
        leaf.is_some_and(|validity| is_ending(validity, authority::now().as_second()))
    }

    /// Renews or reads again what is due. Says whether the certificate changed.
    pub(crate) fn refresh(&self) -> Result<bool, TlsError> {
        let written = self.current.read().map_or(None, |current| current.written);
        if !self.source.is_due(written) {
            return Ok(false);
        }
        self.take(self.source.load()?);
        Ok(true)
    }

    /// The protocol settings with this certificate.
    ///
    /// With `clients` a client has to show a certificate that one of these authorities signed (RFC 8446, section
    /// 4.4.2.4).
    pub(crate) fn server_config(
        self: &Arc<Self>,
        clients: Option<&Path>,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(path) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(path)?), provider)
                    .build()
                    .map_err(|_| wrong(path, "has no authority that can be used"))?,
            ),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if clients.is_some() {
            // A session that is resumed brings the client's certificate along without looking at it again (RFC 8446,
            // section 2.2): it would count beyond its end, or that of its authority, for as long as somebody resumes.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
            config.send_tls13_tickets = TICKETS;
        }
        // Without it a TLS 1.2 session can be spliced (RFC 7627).
        config.require_ems = true;
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.read().ok()?.key.clone()
    }
}

/// Authenticated ciphers only, the hybrid post-quantum key exchange first (draft-ietf-tls-ecdhe-mlkem).
pub(crate) fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![
        aws_lc_rs::kx_group::X25519MLKEM768,
        aws_lc_rs::kx_group::X25519,
        aws_lc_rs::kx_group::SECP256R1,
        aws_lc_rs::kx_group::SECP384R1,
    ];
    provider
}

impl Source {
    fn load(&self) -> Result<Current, TlsError> {
        match self {
            Self::Directory => Ok(Current {
                key: None,
                written: None,
            }),
            Self::Files { certificate, key } => read(certificate, key, modified(certificate)),
            Self::Local { directory, names } => {
                let files = Files::new(directory);
                if !files.certificate_is_good(names, today()) {
                    files.make_certificate(names, today())?;
                }
                read(&files.certificate, &files.key, None)
            }
        }
    }

    fn is_due(&self, written: Option<SystemTime>) -> bool {
        match self {
            Self::Directory => false,
            Self::Files { certificate, .. } => modified(certificate) != written,
            Self::Local { directory, names } => !Files::new(directory).certificate_is_good(names, today()),
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn read(certificate: &Path, key: &Path, written: Option<SystemTime>) -> Result<Current, TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&read_file(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|_| wrong(certificate, "is not a certificate chain in PEM"))?;
    if chain.is_empty() {
        return Err(wrong(certificate, "has no certificate in PEM"));
    }
    let private = PrivateKeyDer::from_pem_slice(&read_file(key)?)
        .map_err(|_| wrong(key, "has no private key in PEM"))?;
    // Also checks that key and certificate belong together.
    let key = CertifiedKey::from_der(chain, private, &provider())?;
    Ok(Current {
        key: Some(Arc::new(key)),
        written,
    })
}

/// Who signs the certificates of clients.
fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&read_file(path)?) {
        let certificate = certificate.map_err(|_| wrong(path, "is not a list of certificates in PEM"))?;
        roots
            .add(certificate)
            .map_err(|_| wrong(path, "has a certificate that is no authority"))?;
    }
    Ok(roots)
}

fn wrong(path: &Path, reason: &'static str) -> TlsError {
    TlsError::Content {
        path: path.display().to_string(),
        reason,
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::File {
        what: "read",
        path: path.display().to_string(),
        source,
    })
}

/// Whether a certificate has little life left at this moment, in seconds since 1970.
fn is_ending(validity: Validity, now: i64) -> bool {
    let life = validity.until.saturating_sub(validity.from).max(0);
    validity.until.saturating_sub(now) < ENDING_SECS.min(life / 4)
}

#[cfg(test)]
mod tests;
