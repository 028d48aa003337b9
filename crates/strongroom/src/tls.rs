//! TLS: the local authority, its certificates, certificates from files, and the protocol settings.
//!
//! Without any configuration the server makes an authority of its own at first start. Clients trust
//! `DATA/tls/ca.pem` instead of switching verification off. The authority is constrained by name (RFC 5280,
//! section 4.2.1.10): whoever steals its key can pretend to be this server and nobody else.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
    time::SystemTime,
};

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use crate::{
    config::Tls,
    data_dir::{DataDir, DataDirError, write_private},
};

/// How long the authority is valid, in days. Clients have to trust a new one by hand.
const AUTHORITY_DAYS: i64 = 3650;
/// How long a certificate is valid, in days.
const CERTIFICATE_DAYS: i64 = 365;
/// A certificate with fewer days left is made anew.
const RENEW_DAYS: i64 = 60;
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
    source: Source,
    current: RwLock<Current>,
}

enum Source {
    Local { directory: PathBuf, names: Vec<String> },
    Files { certificate: PathBuf, key: PathBuf },
}

struct Current {
    key: Arc<CertifiedKey>,
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
        let current = RwLock::new(source.load()?);
        Ok(Some(Arc::new(Self { source, current })))
    }

    /// Renews or reads again what is due. Says whether the certificate changed.
    pub(crate) fn refresh(&self) -> Result<bool, TlsError> {
        let written = self.current.read().map_or(None, |current| current.written);
        if !self.source.is_due(written) {
            return Ok(false);
        }
        let fresh = self.source.load()?;
        if let Ok(mut current) = self.current.write() {
            *current = fresh;
        }
        Ok(true)
    }

    /// The protocol settings with this certificate.
    pub(crate) fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
        config.send_tls13_tickets = TICKETS;
        // Without it a TLS 1.2 session can be spliced (RFC 7627).
        config.require_ems = true;
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.read().ok().map(|current| Arc::clone(&current.key))
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
            Self::Files { certificate, .. } => modified(certificate) != written,
            Self::Local { directory, names } => !Files::new(directory).certificate_is_good(names, today()),
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn read(certificate: &Path, key: &Path, written: Option<SystemTime>) -> Result<Current, TlsError> {
    let wrong = |path: &Path, reason| TlsError::Content {
        path: path.display().to_string(),
        reason,
    };
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
        key: Arc::new(key),
        written,
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::File {
        what: "read",
        path: path.display().to_string(),
        source,
    })
}

fn today() -> Date {
    #[expect(
        clippy::disallowed_methods,
        reason = "certificates live by the world's clock, outside of any call"
    )]
    let now = Timestamp::now();
    now.to_zoned(TimeZone::UTC).date()
}

/// The files of the local authority. Each pair of key and certificate has a note beside it that says for
/// which names and until when, so that nothing has to be parsed out of a certificate; the note is written
/// last, so that a crash in between makes the pair anew.
struct Files {
    authority: PathBuf,
    authority_key: PathBuf,
    authority_note: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    note: PathBuf,
}

impl Files {
    fn new(directory: &Path) -> Self {
        let file = |name| directory.join(name);
        Self {
            authority: file("ca.pem"),
            authority_key: file("ca.key"),
            authority_note: file("ca.note"),
            certificate: file("server.pem"),
            key: file("server.key"),
            note: file("server.note"),
        }
    }

    fn certificate_is_good(&self, names: &[String], today: Date) -> bool {
        self.authority.exists()
            && self.certificate.exists()
            && self.key.exists()
            && Note::read(&self.note)
                .is_some_and(|note| note.covers(names) && note.outlives(today, RENEW_DAYS))
    }

    fn make_certificate(&self, names: &[String], today: Date) -> Result<(), TlsError> {
        let issuer = self.authority(names, today)?;
        let until = days_after(today, CERTIFICATE_DAYS);
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name.push(DnType::CommonName, "Strongroom");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        validity(&mut params, today, until);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        save(&self.key, key.serialize_pem().as_bytes())?;
        save(&self.certificate, certificate.pem().as_bytes())?;
        Note {
            names: names.to_vec(),
            until,
        }
        .write(&self.note)
    }

    /// The authority, made anew where there is none, where it ends before the next certificate would, or
    /// where it may not sign one of the names.
    fn authority(&self, names: &[String], today: Date) -> Result<Issuer<'static, KeyPair>, TlsError> {
        if let Some(note) = Note::read(&self.authority_note)
            && self.authority.exists()
            && note.covers(names)
            && note.outlives(today, CERTIFICATE_DAYS)
            && let Ok(pem) = fs::read_to_string(&self.authority_key)
            && let Ok(key) = KeyPair::from_pem(&pem)
        {
            return Ok(Issuer::new(authority_params(names, &key)?, key));
        }
        let key = KeyPair::generate()?;
        let mut params = authority_params(names, &key)?;
        let until = days_after(today, AUTHORITY_DAYS);
        validity(&mut params, today, until);
        let certificate = params.self_signed(&key)?;
        save(&self.authority_key, key.serialize_pem().as_bytes())?;
        save(&self.authority, certificate.pem().as_bytes())?;
        Note {
            names: names.to_vec(),
            until,
        }
        .write(&self.authority_note)?;
        Ok(Issuer::new(params, key))
    }
}

fn authority_params(names: &[String], key: &KeyPair) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::new())?;
    // Two authorities of one machine must not have one name: clients look them up by it.
    let mark: String = params
        .key_identifier(key)
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("Strongroom local authority {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let mut permitted = vec![
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
            IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)),
            8,
        )),
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(IpAddr::V6(Ipv6Addr::LOCALHOST), 128)),
    ];
    for name in names {
        permitted.push(match name.parse::<IpAddr>() {
            Ok(address) if address.is_loopback() => continue,
            Ok(address) => {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, bits))
            }
            Err(_) => GeneralSubtree::DnsName(name.clone()),
        });
    }
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: permitted,
        excluded_subtrees: Vec::new(),
    });
    Ok(params)
}

/// From yesterday, because clocks differ.
fn validity(params: &mut CertificateParams, today: Date, until: Date) {
    let date = |date: Date| {
        let part = |value: i8| u8::try_from(value).unwrap_or(1);
        rcgen::date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
    };
    params.not_before = date(today.saturating_sub(1.day()));
    params.not_after = date(until);
}

fn days_after(date: Date, days: i64) -> Date {
    date.saturating_add(days.days())
}

fn save(path: &Path, bytes: &[u8]) -> Result<(), TlsError> {
    write_private(path, bytes).map_err(|source| TlsError::File {
        what: "write",
        path: path.display().to_string(),
        source,
    })
}

/// For which names a pair is good, and until when.
struct Note {
    names: Vec<String>,
    until: Date,
}

impl Note {
    fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let (until, names) = text.trim_end().split_once('\n')?;
        Some(Self {
            until: until.parse().ok()?,
            names: names.lines().map(str::to_owned).collect(),
        })
    }

    fn write(&self, path: &Path) -> Result<(), TlsError> {
        save(
            path,
            format!("{}\n{}\n", self.until, self.names.join("\n")).as_bytes(),
        )
    }

    fn covers(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.names.contains(name))
    }

    fn outlives(&self, today: Date, days: i64) -> bool {
        self.until >= days_after(today, days)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn data() -> (tempfile::TempDir, DataDir) {
        let parent = tempfile::tempdir().unwrap();
        let data = DataDir::open(&parent.path().join("data")).unwrap();
        (parent, data)
    }

    fn leaf(certificates: &Certificates) -> CertificateDer<'static> {
        certificates.current.read().unwrap().key.cert[0].clone()
    }

    fn open(data: &DataDir, hosts: &[&str]) -> Arc<Certificates> {
        Certificates::open(&Tls::SelfSigned, data, hosts)
            .unwrap()
            .unwrap()
    }

    /// Whether a client that trusts `ca.pem` accepts the certificate for that host.
    fn accepts(data: &DataDir, certificates: &Certificates, host: &str) -> bool {
        use rustls::client::{WebPkiServerVerifier, danger::ServerCertVerifier};
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(data.path().join("tls/ca.pem")).unwrap())
            .unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider()))
            .build()
            .unwrap();
        let name = rustls::pki_types::ServerName::try_from(host.to_owned()).unwrap();
        verifier
            .verify_server_cert(
                &leaf(certificates),
                &[],
                &name,
                &[],
                rustls::pki_types::UnixTime::now(),
            )
            .is_ok()
    }

    #[test]
    fn the_first_start_makes_an_authority_whose_certificate_clients_accept() {
        let (_parent, data) = data();
        let certificates = open(&data, &["bank.test", "192.0.2.7"]);
        for host in ["localhost", "127.0.0.1", "::1", "bank.test", "192.0.2.7"] {
            assert!(accepts(&data, &certificates, host), "{host}");
        }
        assert!(!accepts(&data, &certificates, "other.test"));
        for file in ["ca.key", "server.key"] {
            assert_eq!(
                fs::metadata(data.path().join("tls").join(file)).unwrap().mode() & 0o777,
                0o600
            );
        }
    }

    #[test]
    fn a_later_start_keeps_authority_and_certificate() {
        let (_parent, data) = data();
        let first = leaf(&open(&data, &[]));
        let authority = fs::read(data.path().join("tls/ca.pem")).unwrap();
        assert_eq!(leaf(&open(&data, &["localhost"])), first);
        assert_eq!(fs::read(data.path().join("tls/ca.pem")).unwrap(), authority);
    }

    /// What a thief of the authority's key could present for that host.
    fn forged(data: &DataDir, host: &str) -> Certificates {
        let files = Files::new(&data.path().join("tls"));
        let stolen = KeyPair::from_pem(&fs::read_to_string(&files.authority_key).unwrap()).unwrap();
        let issuer = Issuer::new(authority_params(&[], &stolen).unwrap(), stolen);
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        validity(&mut params, today(), days_after(today(), 30));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        fs::write(&files.certificate, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        let current = RwLock::new(read(&files.certificate, &files.key, None).unwrap());
        Certificates {
            source: Source::Files {
                certificate: files.certificate,
                key: files.key,
            },
            current,
        }
    }

    #[test]
    fn a_thief_of_the_authority_can_only_pretend_to_be_this_server() {
        let (_parent, data) = data();
        open(&data, &[]);
        assert!(accepts(&data, &forged(&data, "localhost"), "localhost"));
        assert!(!accepts(&data, &forged(&data, "bank.example"), "bank.example"));
        assert!(!accepts(&data, &forged(&data, "192.0.2.7"), "192.0.2.7"));
    }

    #[test]
    fn a_certificate_near_its_end_is_renewed_by_the_same_authority() {
        let (_parent, data) = data();
        let certificates = open(&data, &[]);
        let first = leaf(&certificates);
        assert!(!certificates.refresh().unwrap(), "a fresh one stays");
        let files = Files::new(&data.path().join("tls"));
        let mut note = Note::read(&files.note).unwrap();
        note.until = days_after(today(), RENEW_DAYS - 1);
        note.write(&files.note).unwrap();
        let authority = fs::read(&files.authority).unwrap();
        assert!(certificates.refresh().unwrap());
        assert_ne!(leaf(&certificates), first);
        assert_eq!(fs::read(&files.authority).unwrap(), authority);
        assert!(accepts(&data, &certificates, "localhost"));
    }

    #[test]
    fn a_new_host_gets_a_new_authority_because_the_old_one_may_not_sign_for_it() {
        let (_parent, data) = data();
        open(&data, &[]);
        let authority = fs::read(data.path().join("tls/ca.pem")).unwrap();
        let certificates = open(&data, &["bank.test"]);
        assert!(accepts(&data, &certificates, "bank.test"));
        assert_ne!(fs::read(data.path().join("tls/ca.pem")).unwrap(), authority);
    }

    #[test]
    fn files_are_served_and_read_again_when_they_change() {
        let (_parent, data) = data();
        open(&data, &[]);
        let files = Files::new(&data.path().join("tls"));
        let tls = Tls::Files {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
        };
        let certificates = Certificates::open(&tls, &data, &[]).unwrap().unwrap();
        let first = leaf(&certificates);
        assert!(!certificates.refresh().unwrap());
        files.make_certificate(&["localhost".into()], today()).unwrap();
        let later = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
        fs::File::options()
            .write(true)
            .open(&files.certificate)
            .unwrap()
            .set_modified(later)
            .unwrap();
        assert!(certificates.refresh().unwrap());
        assert_ne!(leaf(&certificates), first);
    }

    #[test]
    fn a_key_that_does_not_fit_is_refused() {
        let (_parent, data) = data();
        open(&data, &[]);
        let files = Files::new(&data.path().join("tls"));
        let tls = Tls::Files {
            certificate: files.certificate.clone(),
            key: files.authority_key.clone(),
        };
        assert!(Certificates::open(&tls, &data, &[]).is_err());
        let tls = Tls::Files {
            certificate: files.key.clone(),
            key: files.key.clone(),
        };
        assert!(Certificates::open(&tls, &data, &[]).is_err());
    }

    /// A handshake in memory; the client's end afterwards.
    fn handshake(
        server: &Arc<ServerConfig>,
        client: rustls::ClientConfig,
    ) -> Result<rustls::ClientConnection, rustls::Error> {
        let name = "localhost".try_into().unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(client), name)?;
        let mut server = rustls::ServerConnection::new(Arc::clone(server))?;
        let mut wire = Vec::new();
        while client.is_handshaking()
            || server.is_handshaking()
            || client.wants_write()
            || server.wants_write()
        {
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut &wire[..]).unwrap();
            wire.clear();
            server.process_new_packets()?;
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut &wire[..]).unwrap();
            wire.clear();
            client.process_new_packets()?;
        }
        Ok(client)
    }

    fn client(
        data: &DataDir,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(data.path().join("tls/ca.pem")).unwrap())
            .unwrap();
        rustls::ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    #[test]
    fn a_modern_client_gets_tls_1_3_with_the_hybrid_key_exchange() {
        let (_parent, data) = data();
        let server = open(&data, &[]).server_config().unwrap();
        let mut modern = client(&data, &[&TLS12, &TLS13]);
        modern.alpn_protocols = vec![b"h2".to_vec()];
        let connection = handshake(&server, modern).unwrap();
        assert_eq!(
            connection.protocol_version(),
            Some(rustls::ProtocolVersion::TLSv1_3)
        );
        let group = connection.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
        assert_eq!(connection.alpn_protocol(), Some(&b"h2"[..]));
    }

    #[test]
    fn an_older_client_gets_tls_1_2_with_an_authenticated_cipher() {
        let (_parent, data) = data();
        let server = open(&data, &[]).server_config().unwrap();
        let connection = handshake(&server, client(&data, &[&TLS12])).unwrap();
        assert_eq!(
            connection.protocol_version(),
            Some(rustls::ProtocolVersion::TLSv1_2)
        );
        let suites = provider().cipher_suites;
        assert!(suites.iter().all(|suite| {
            let name = format!("{:?}", suite.suite());
            name.contains("GCM") || name.contains("POLY1305")
        }));
    }

    #[test]
    fn a_second_connection_resumes_the_session_of_the_first() {
        let (_parent, data) = data();
        let server = open(&data, &[]).server_config().unwrap();
        let config = client(&data, &[&TLS13]);
        let first = handshake(&server, config.clone()).unwrap();
        assert_eq!(first.handshake_kind(), Some(rustls::HandshakeKind::Full));
        let second = handshake(&server, config).unwrap();
        assert_eq!(second.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
    }
}
