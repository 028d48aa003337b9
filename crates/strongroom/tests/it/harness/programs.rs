//! What programs that others wrote need to run beside a test: themselves, a port, certificates.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// A program that `cargo xtask test` found or installed and names by this variable; `None` with a notice elsewhere.
pub(crate) fn program(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        eprintln!("not run: {variable} names no program");
    }
    path
}

/// A port that nobody listens on. Whoever takes it in between makes a start fail, and nothing else.
pub(crate) fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// Makes an authority that a server is told to believe (`believed.pem`) and another (`stranger.pem`), and certificates
/// (`.pem`, `.key`): `right` for this machine, `elsewhere` of the first for another one, `forged` of the second.
pub(crate) fn make_certificates(folder: &Path) {
    for (authority, leaf, name) in [
        ("believed", "right", "localhost"),
        ("stranger", "forged", "localhost"),
    ] {
        let issuer = authority_of(folder, authority);
        certificate(folder, leaf, name, &issuer);
        if authority == "believed" {
            certificate(folder, "elsewhere", "mail.example", &issuer);
        }
    }
}

fn authority_of(folder: &Path, name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, format!("{name} authority"));
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), issuer.pem()).unwrap();
    issuer
}

fn certificate(folder: &Path, file: &str, name: &str, issuer: &CertifiedIssuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    // Not the issuer's: OpenSSL takes a certificate whose names are the same for one that signed itself.
    params.distinguished_name.push(DnType::CommonName, file);
    let made = params.signed_by(&key, issuer).unwrap();
    std::fs::write(folder.join(format!("{file}.pem")), made.pem()).unwrap();
    std::fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
}
