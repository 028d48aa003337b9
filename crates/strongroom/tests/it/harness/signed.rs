//! Requests that are signed as an integration signs them, and answers as it verifies them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::Value;
use strongroom_crypto::{
    SecretString, SigningSecret,
    http_signature::{self, Request, SigningKey, content_digest, plain_lines, verify_answer},
    random,
};

use super::{Answer, Server, people::new_key};

/// A request that was signed and can be sent as it is, again, or changed.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

#[expect(clippy::disallowed_methods, reason = "a client has a clock of its own")]
pub(crate) fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_secs()).unwrap()
}

pub(crate) fn nonce() -> String {
    format!("{:032x}", u128::from_be_bytes(random::bytes()))
}

impl Signed {
    pub(crate) fn new(method: Method, path: &str, body: Option<&Value>, id: &str) -> Self {
        let mut headers = vec![("x-api-key-id".to_owned(), id.to_owned())];
        let body = body
            .map(|body| serde_json::to_vec(body).unwrap())
            .unwrap_or_default();
        if !body.is_empty() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
            headers.push(("idempotency-key".to_owned(), new_key()));
        }
        Self {
            method,
            path: path.to_owned(),
            headers,
            body,
        }
    }

    pub(crate) fn look<T>(&self, server: &Server, look: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let (path, query) = match self.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.path.as_str(), None),
        };
        look(&Request {
            method: self.method.as_str(),
            authority: server.url().trim_start_matches("https://"),
            path,
            query,
            headers: &headers,
            body: &self.body,
        })
    }

    /// After RFC 9421.
    pub(crate) fn by(mut self, server: &Server, key: &SigningKey, id: &str) -> Self {
        if !self.body.is_empty() {
            let digest = content_digest(&self.body);
            self.headers.push(("content-digest".to_owned(), digest));
        }
        let fields = self.look(server, |request| key.sign(request, id, now(), &nonce()));
        self.headers
            .extend(fields.map(|(name, value)| (name.to_owned(), value)));
        self
    }

    /// Whether an answer to this request is signed with a key that the server publishes, and bound to the request.
    pub(crate) async fn is_answered_by(&self, server: &Server, answer: &Answer) -> bool {
        let published = server.visitor().get("/.well-known/jwks.json").await.expect(200);
        let keys = published.body["keys"].as_array().unwrap();
        let named = answer.header("signature-input").unwrap_or_default();
        let key = keys
            .iter()
            .find(|key| named.contains(&format!("keyid=\"{}\"", key["kid"].as_str().unwrap())));
        let Some(key) = key else { return false };
        let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
        let headers: Vec<(&str, &[u8])> = answer
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        self.look(server, |request| {
            let told = http_signature::Answer {
                request: *request,
                status: answer.status,
                headers: &headers,
                body: &answer.bytes,
            };
            verify_answer(&told, &public).is_some_and(|made| made.abs_diff(now()) < 60)
        })
    }

    /// By the plain scheme.
    pub(crate) fn plainly(mut self, server: &Server, secret: &str, id: &str) -> Self {
        let (timestamp, nonce) = (now().to_string(), nonce());
        let lines = self.look(server, |request| {
            plain_lines(request, id, &timestamp, &nonce).unwrap()
        });
        let mac = shared(secret).sign(lines.as_bytes());
        let signature = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        for (name, value) in [
            ("x-timestamp", timestamp),
            ("x-nonce", nonce),
            ("x-signature", signature),
        ] {
            self.headers.push((name.to_owned(), value));
        }
        self
    }

    pub(crate) async fn send(&self, server: &Server) -> Answer {
        let client = server.visitor();
        let request = client
            .request(self.method.clone(), &self.path)
            .body(self.body.clone());
        let request = self
            .headers
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value));
        client.send(request).await
    }
}

pub(crate) fn shared(secret: &str) -> SigningSecret {
    SigningSecret::of(&SecretString::from(secret.to_owned()))
}
