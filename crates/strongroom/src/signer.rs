//! Signs the requests of our own programs with the secret of their key.

use strongroom_api::client::{RequestSigner, ToSign};
use strongroom_app::{Clock, SystemClock};
use strongroom_crypto::{
    SecretString, SigningSecret,
    http_signature::{Request, SigningKey, content_digest},
    random,
};

/// The secret of an API key, with its id.
#[derive(Debug)]
pub(crate) struct Signer {
    id: String,
    key: SigningKey,
}

impl Signer {
    /// For the key with this id.
    pub(crate) fn new(id: String, secret: SecretString) -> Self {
        Self {
            id,
            key: SigningKey::Shared(SigningSecret::of(&secret)),
        }
    }
}

impl RequestSigner for Signer {
    fn sign(&self, request: &ToSign<'_>) -> Vec<(&'static str, String)> {
        let digest = content_digest(request.body);
        let mut headers: Vec<(&str, &[u8])> = request
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        headers.push(("content-digest", digest.as_bytes()));
        headers.push(("x-api-key-id", self.id.as_bytes()));
        let signed = Request {
            method: request.method,
            authority: request.authority,
            path: request.path,
            query: None,
            headers: &headers,
            body: request.body,
        };
        let created = SystemClock.now().micros().div_euclid(1_000_000);
        let nonce = format!("{:032x}", u128::from_be_bytes(random::bytes()));
        let fields = self.key.sign(&signed, &self.id, created, &nonce);
        let mut all = vec![("x-api-key-id", self.id.clone())];
        all.extend(fields);
        all.push(("content-digest", digest));
        all
    }
}
