//! Who is shown a proof, and what of a directory's certificates is served.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig,
    server::{Acceptor, ClientHello},
};

use super::{proofs::PROTOCOL, *};

const DIGEST: [u8; 32] = [7; 32];
/// id-pe-acmeIdentifier (RFC 8737, section 3), as DER, with its length before it.
const IDENTIFIER: [u8; 10] = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f];

/// What somebody who says hello like this is answered by.
fn answered(proofs: &NameProofs, name: &str, protocols: &[&[u8]]) -> Option<Arc<ServerConfig>> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut wire = Vec::new();
    client.write_tls(&mut wire).unwrap();
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut &wire[..]).unwrap();
    let accepted = acceptor.accept().unwrap().unwrap();
    let hello: ClientHello<'_> = accepted.client_hello();
    proofs.answer(&hello)
}

#[test]
fn a_proof_is_shown_for_its_protocol_and_its_name_alone_and_while_it_is_asked_for() {
    let proofs = Arc::new(NameProofs::default());
    assert!(answered(&proofs, "bank.example", &[PROTOCOL]).is_none(), "before");
    let shown = proofs.show("bank.example", &DIGEST).unwrap();
    for name in ["bank.example", "BANK.example"] {
        let config = answered(&proofs, name, &[PROTOCOL]).unwrap();
        assert_eq!(config.alpn_protocols, [PROTOCOL]);
    }
    for (name, protocols) in [
        ("bank.example", &[][..]),
        ("bank.example", &[b"h2".as_slice()]),
        ("bank.example", &[b"h2", PROTOCOL]),
        ("bank.example", &[PROTOCOL, b"http/1.1"]),
        ("other.example", &[PROTOCOL]),
        ("www.bank.example", &[PROTOCOL]),
        ("192.0.2.1", &[PROTOCOL]),
    ] {
        assert!(
            answered(&proofs, name, protocols).is_none(),
            "{name} {protocols:?}"
        );
    }
    drop(shown);
    assert!(
        answered(&proofs, "bank.example", &[PROTOCOL]).is_none(),
        "afterwards"
    );
}

#[test]
fn a_proof_holds_the_digest_under_the_names_of_the_standard_and_none_of_another_length_is_made() {
    let proofs = Arc::new(NameProofs::default());
    let _shown = proofs.show("bank.example", &DIGEST).unwrap();
    let config = answered(&proofs, "bank.example", &[PROTOCOL]).unwrap();
    let mut client = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(seen::Seen))
        .with_no_client_auth();
    client.alpn_protocols = vec![PROTOCOL.to_vec()];
    let certificate = seen::certificate(&config, client);
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).unwrap();
    let names = parsed.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 1);
    let extensions = parsed.extensions().iter();
    let held: Vec<_> = extensions
        .filter(|extension| extension.oid.as_bytes() == &IDENTIFIER[2..])
        .collect();
    assert_eq!(held.len(), 1);
    assert!(held[0].critical);
    assert_eq!(held[0].value, [&[0x04, 32][..], &DIGEST].concat());
    for wrong in [&DIGEST[..31], &[]] {
        assert!(proofs.show("bank.example", wrong).is_err());
    }
}

/// A handshake of somebody who looks at a certificate and believes it.
mod seen {
    use rustls::{
        DigitallySignedStruct, Error, ServerConnection, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        pki_types::UnixTime,
    };

    use super::*;

    #[derive(Debug)]
    pub(super) struct Seen;

    impl ServerCertVerifier for Seen {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            provider().signature_verification_algorithms.supported_schemes()
        }
    }

    pub(super) fn certificate(server: &Arc<ServerConfig>, client: ClientConfig) -> CertificateDer<'static> {
        let name = "bank.example".try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
        let mut wire = Vec::new();
        while client.is_handshaking() {
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut &wire[..]).unwrap();
            server.process_new_packets().unwrap();
            wire.clear();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut &wire[..]).unwrap();
            client.process_new_packets().unwrap();
            wire.clear();
        }
        assert_eq!(client.alpn_protocol(), Some(PROTOCOL));
        client.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

fn given(names: &[&str], ordered: &[&str], from: i32, until: i32) -> KeptCertificate {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(owned(names)).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    KeptCertificate {
        directory: "https://ca.example/directory".to_owned(),
        names: owned(ordered),
        chain: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

#[test]
fn what_was_not_ordered_is_not_served() {
    let now = now().as_second();
    let both = ["bank.example", "ops.bank.example"];
    check(&given(&both, &both, 2020, 2120), now).unwrap();
    check(&given(&both, &both[..1], 2020, 2120), now).unwrap();
    assert!(
        check(&given(&both[..1], &both, 2020, 2120), now).is_err(),
        "a name less"
    );
    assert!(check(&given(&["evil.example"], &both, 2020, 2120), now).is_err());
    assert!(check(&given(&both, &both, 2000, 2001), now).is_err(), "over");
    assert!(check(&given(&both, &both, 2110, 2120), now).is_err(), "not yet");
    let mut mixed = given(&both, &both, 2020, 2120);
    mixed.key = given(&both, &both, 2020, 2120).key;
    assert!(check(&mixed, now).is_err(), "another key");
    mixed.chain = String::new();
    assert!(check(&mixed, now).is_err(), "nothing");
}

#[test]
fn keys_of_external_accounts_are_read_with_and_without_padding() {
    assert_eq!(mac_key("AAECAwQFBgcICQoLDA0ODw"), Some((0..16).collect()));
    assert_eq!(mac_key("AAECAwQFBgcICQoLDA0ODw=="), Some((0..16).collect()));
    assert_eq!(mac_key("_-8"), Some(vec![0xff, 0xef]));
    assert_eq!(mac_key("not base64!"), None);
}

#[test]
fn a_panic_while_a_directory_is_asked_is_a_failure_like_others() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (good, panics) = runtime.block_on(async {
        let nothing = std::hint::black_box(None::<u8>);
        (
            caught(async { 7_u8 }).await,
            caught(async { nothing.unwrap() }).await,
        )
    });
    assert_eq!((good, panics), (Some(7), None));
}
