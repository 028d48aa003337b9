//! Stories about certificates and handshakes.

use std::os::unix::fs::MetadataExt;

use rcgen::{CertificateParams, Issuer, KeyPair};

use super::{authority::*, *};

fn data() -> (tempfile::TempDir, DataDir) {
    let parent = tempfile::tempdir().unwrap();
    let data = DataDir::open(&parent.path().join("data")).unwrap();
    (parent, data)
}

fn leaf(certificates: &Certificates) -> CertificateDer<'static> {
    certificates.current.read().unwrap().key.as_ref().unwrap().cert[0].clone()
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
        listener: "all",
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
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() || server.wants_write() {
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

fn client(data: &DataDir, versions: &[&'static rustls::SupportedProtocolVersion]) -> rustls::ClientConfig {
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
    let server = open(&data, &[]).server_config(None).unwrap();
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
    let server = open(&data, &[]).server_config(None).unwrap();
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
    let server = open(&data, &[]).server_config(None).unwrap();
    let config = client(&data, &[&TLS13]);
    let first = handshake(&server, config.clone()).unwrap();
    assert_eq!(first.handshake_kind(), Some(rustls::HandshakeKind::Full));
    let second = handshake(&server, config).unwrap();
    assert_eq!(second.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
}

#[test]
fn a_listener_for_programs_takes_certificates_of_its_authorities_only() {
    let (_parent, data) = data();
    let (_elsewhere, other) = self::data();
    let (certificates, _) = (open(&data, &[]), open(&other, &[]));
    let authority = data.path().join("tls/ca.pem");
    let server = certificates.server_config(Some(&authority)).unwrap();
    // A certificate for clients, by the authority of that directory.
    let shown = |of: &DataDir| {
        let pem = fs::read_to_string(of.path().join("tls/ca.key")).unwrap();
        let key = KeyPair::from_pem(&pem).unwrap();
        let issuer = Issuer::new(authority_params(&[], &key).unwrap(), key);
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        validity(&mut params, today(), days_after(today(), 30));
        let own = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&own, &issuer).unwrap();
        (
            certificate.der().clone(),
            PrivateKeyDer::try_from(own.serialize_der()).unwrap(),
        )
    };
    let with = |(certificate, key): (CertificateDer<'static>, PrivateKeyDer<'static>), versions: &[_]| {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&authority).unwrap())
            .unwrap();
        rustls::ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)
            .unwrap()
    };
    for versions in [[&TLS12], [&TLS13]] {
        let good = with(shown(&data), &versions);
        for _ in 0..2 {
            let connection = handshake(&server, good.clone()).unwrap();
            let kind = connection.handshake_kind();
            assert_eq!(kind, Some(rustls::HandshakeKind::Full), "each shows its own");
        }
        assert!(
            handshake(&server, client(&data, &versions)).is_err(),
            "without one"
        );
        assert!(
            handshake(&server, with(shown(&other), &versions)).is_err(),
            "of another"
        );
    }
    assert!(
        certificates
            .server_config(Some(&data.path().join("tls/ca.key")))
            .is_err()
    );
}
