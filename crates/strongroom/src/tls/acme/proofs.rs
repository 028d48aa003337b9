//! Proofs that a name leads here (tls-alpn-01, RFC 8737): a certificate that says nothing but the directory's own
//! number.
//!
//! It is shown to whoever asks for the protocol `acme-tls/1` alone, for a name that is being proven at that moment, and
//! for no other handshake; the connection ends with the handshake, so that nothing is ever served under it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::PrivateKeyDer,
    server::{ClientHello, NoServerSessionStorage},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};

use crate::tls::{TlsError, provider};

/// The protocol of proofs (RFC 8737, section 6.2).
pub(super) const PROTOCOL: &[u8] = b"acme-tls/1";
/// Bytes of the digest that a proof holds: SHA-256.
const DIGEST_BYTES: usize = 32;

/// What is being proven.
#[derive(Default)]
pub(crate) struct NameProofs {
    open: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl NameProofs {
    /// Proves a name until the value is dropped. `digest` is the SHA-256 of the key authorization.
    pub(super) fn show(self: &Arc<Self>, name: &str, digest: &[u8]) -> Result<Shown, TlsError> {
        let config = proof(name, digest)?;
        let name = name.to_ascii_lowercase();
        self.open().insert(name.clone(), Arc::new(config));
        Ok(Shown {
            of: Arc::clone(self),
            name,
        })
    }

    /// The protocol settings of this handshake, if it asks for a proof and for nothing else; `None` for every other.
    pub(crate) fn answer(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut protocols = hello.alpn()?;
        if protocols.next() != Some(PROTOCOL) || protocols.next().is_some() {
            return None;
        }
        let name = hello.server_name()?.to_ascii_lowercase();
        self.open().get(&name).cloned()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Arc<ServerConfig>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name that is being proven.
pub(super) struct Shown {
    of: Arc<NameProofs>,
    name: String,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.of.open().remove(&self.name);
    }
}

fn proof(name: &str, digest: &[u8]) -> Result<ServerConfig, TlsError> {
    // The library panics where it is of another length.
    if digest.len() != DIGEST_BYTES {
        return Err(rustls::Error::General("a proof is not of this length".into()).into());
    }
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let private = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|reason| rustls::Error::General(reason.to_owned()))?;
    let provider = provider();
    // Not by the way of every other certificate: whoever parses this one stumbles over what makes it a proof.
    let key = CertifiedKey::new(
        vec![certificate.der().clone()],
        provider.key_provider.load_private_key(private)?,
    );
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
