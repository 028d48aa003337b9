//! An issuer of logins that does as it is told: right, or wrong in one way.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use aws_lc_rs::{
    digest, hmac,
    rand::SystemRandom,
    rsa::{KeySize, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::browser::query_of;

/// As whom the server is known at the issuer.
pub(crate) const CLIENT: &str = "bank";
/// And how it proves to be that.
pub(crate) const SECRET: &str = "a-secret-of-the-client-and-the-issuer";

/// The one thing that is wrong with an ID token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Nothing,
    Nonce,
    NoNonce,
    Audience,
    TwoAudiences,
    Party,
    Issuer,
    Expired,
    IssuedLongAgo,
    IssuedLater,
    Unsigned,
    SharedSecret,
    PublicKeyAsSecret,
    OtherKey,
    UnknownKey,
    Payload,
    AccessToken,
    NoSubject,
    NoIdToken,
}

/// How it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

/// Who logs in there.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) sub: String,
    pub(crate) email: Option<String>,
    pub(crate) verified: bool,
}

impl Subject {
    pub(crate) fn of(sub: &str, email: &str) -> Self {
        Self {
            sub: sub.to_owned(),
            email: Some(email.to_owned()),
            verified: true,
        }
    }
}

/// A code that was not redeemed yet.
struct Code {
    subject: Subject,
    query: BTreeMap<String, String>,
    wrong: Wrong,
}

struct Keys {
    ed25519: Ed25519KeyPair,
    p256: EcdsaKeyPair,
    rsa: RsaKeyPair,
    kid: String,
}

impl Keys {
    fn new(kid: &str) -> Self {
        Self {
            ed25519: Ed25519KeyPair::generate().unwrap(),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            kid: kid.to_owned(),
        }
    }

    fn jwk(&self, algorithm: Algorithm) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match algorithm {
            Algorithm::EdDsa => json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": self.kid,
                "x": text(self.ed25519.public_key().as_ref())}),
            Algorithm::Es256 => {
                let point = &self.p256.public_key().as_ref()[1..];
                json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.kid,
                    "x": text(&point[..32]), "y": text(&point[32..])})
            }
            Algorithm::Rs256 => {
                let public: PublicKeyComponents<Vec<u8>> = self.rsa.public_key().into();
                json!({"kty": "RSA", "use": "sig", "kid": self.kid, "n": text(&public.n), "e": text(&public.e)})
            }
        }
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match algorithm {
            Algorithm::EdDsa => self.ed25519.sign(message).as_ref().to_vec(),
            Algorithm::Es256 => self.p256.sign(&random, message).unwrap().as_ref().to_vec(),
            Algorithm::Rs256 => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa
                    .sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
        }
    }
}

struct State {
    url: String,
    keys: Keys,
    algorithm: Algorithm,
    names_itself: bool,
    codes: BTreeMap<String, Code>,
    redeemed: usize,
    /// Whether it answers at all.
    awake: bool,
    /// What discovery says instead of itself.
    discovery: Value,
    /// What is sent instead of its keys.
    keys_answer: Option<String>,
}

/// An issuer on a port of its own.
#[derive(Clone)]
pub(crate) struct Issuer(Arc<Mutex<State>>);

impl Issuer {
    /// Starts one that signs in this way; `names_itself`: its answers name it (RFC 9207).
    pub(crate) async fn start(algorithm: Algorithm, names_itself: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = Self(Arc::new(Mutex::new(State {
            url: format!("http://{}", listener.local_addr().unwrap()),
            keys: Keys::new("first"),
            algorithm,
            names_itself,
            codes: BTreeMap::new(),
            redeemed: 0,
            awake: true,
            discovery: json!({}),
            keys_answer: None,
        })));
        let serving = issuer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        issuer
    }

    /// Its identifier.
    pub(crate) fn url(&self) -> String {
        self.0.lock().unwrap().url.clone()
    }

    /// Signs with another key from now on.
    pub(crate) fn rotate(&self) {
        self.0.lock().unwrap().keys = Keys::new("second");
    }

    /// Answers, or lets everybody wait for nothing.
    pub(crate) fn awake(&self, awake: bool) {
        self.0.lock().unwrap().awake = awake;
    }

    /// Says this of itself, where it differs.
    pub(crate) fn says(&self, discovery: Value) {
        self.0.lock().unwrap().discovery = discovery;
    }

    /// Sends this instead of its keys.
    pub(crate) fn sends_keys(&self, text: Option<String>) {
        self.0.lock().unwrap().keys_answer = text;
    }

    /// How many codes were redeemed.
    pub(crate) fn redeemed(&self) -> usize {
        self.0.lock().unwrap().redeemed
    }

    /// Somebody agreed at the issuer: the path that the browser goes back to.
    pub(crate) fn agree(&self, authorization: &str, subject: &Subject, wrong: Wrong) -> String {
        let mut state = self.0.lock().unwrap();
        assert!(authorization.starts_with(&format!("{}/authorize?", state.url)));
        let query = query_of(authorization);
        assert_eq!(query["client_id"], CLIENT);
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["code_challenge_method"], "S256");
        let code = format!("code-{}-{}", state.codes.len(), state.redeemed);
        let back: reqwest::Url = query["redirect_uri"].parse().unwrap();
        let mut path = format!("{}?code={code}&state={}", back.path(), query["state"]);
        if state.names_itself {
            path.push_str(&format!(
                "&iss={}",
                state.url.replace(':', "%3A").replace('/', "%2F")
            ));
        }
        let subject = subject.clone();
        state.codes.insert(
            code,
            Code {
                subject,
                query,
                wrong,
            },
        );
        path
    }

    async fn serve(self, mut stream: TcpStream) {
        let Some((head, body)) = read_request(&mut stream).await else {
            return;
        };
        if !self.0.lock().unwrap().awake {
            return;
        }
        let (status, answer) = self.answer(&head, &body);
        let text = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
            answer.len()
        );
        drop(stream.write_all(text.as_bytes()).await);
    }

    fn answer(&self, head: &str, body: &str) -> (u16, String) {
        let mut state = self.0.lock().unwrap();
        let path = head.split(' ').nth(1).unwrap_or_default();
        match path {
            "/.well-known/openid-configuration" => {
                let mut known = json!({
                    "issuer": state.url,
                    "authorization_endpoint": format!("{}/authorize", state.url),
                    "token_endpoint": format!("{}/token", state.url),
                    "jwks_uri": format!("{}/keys", state.url),
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    // More than the server may take.
                    "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA", "HS256", "none"],
                    "authorization_response_iss_parameter_supported": state.names_itself,
                });
                for (name, value) in state.discovery.as_object().unwrap() {
                    known[name] = value.clone();
                }
                (200, known.to_string())
            }
            "/keys" => {
                let keys = json!({"keys": [state.keys.jwk(state.algorithm)]}).to_string();
                (200, state.keys_answer.clone().unwrap_or(keys))
            }
            "/token" => state
                .redeem(head, body)
                .map_or((400, json!({"error": "invalid_grant"}).to_string()), |answer| {
                    (200, answer.to_string())
                }),
            _ => (404, "{}".to_owned()),
        }
    }
}

impl State {
    fn redeem(&mut self, head: &str, body: &str) -> Option<Value> {
        let asked = query_of(&format!("http://x/?{body}"));
        let proof = STANDARD.encode(format!("{CLIENT}:{SECRET}"));
        assert!(head.to_lowercase().contains("authorization: basic"), "{head}");
        assert!(head.contains(&proof), "{head}");
        assert_eq!(asked["grant_type"], "authorization_code");
        let code = self.codes.remove(asked.get("code")?)?;
        assert_eq!(asked["redirect_uri"], code.query["redirect_uri"]);
        let digest = digest::digest(&digest::SHA256, asked["code_verifier"].as_bytes());
        assert_eq!(code.query["code_challenge"], URL_SAFE_NO_PAD.encode(digest));
        self.redeemed += 1;
        let mut answer = json!({"access_token": "at-1", "token_type": "Bearer", "expires_in": 60});
        if code.wrong != Wrong::NoIdToken {
            answer["id_token"] = Value::from(self.id_token(&code));
        }
        Some(answer)
    }

    fn id_token(&self, code: &Code) -> String {
        let now = now();
        let half_hash = |text: &str| {
            // EdDSA's hash is SHA-512, the others' SHA-256 (Core 1.0, section 3.1.3.6).
            let algorithm = match self.algorithm {
                Algorithm::EdDsa => &digest::SHA512,
                _ => &digest::SHA256,
            };
            let whole = digest::digest(algorithm, text.as_bytes());
            URL_SAFE_NO_PAD.encode(&whole.as_ref()[..whole.as_ref().len() / 2])
        };
        let mut claims = json!({"iss": self.url, "sub": code.subject.sub, "aud": CLIENT, "iat": now, "exp": now + 300,
            "nonce": code.query["nonce"], "name": "Alice Elsewhere", "email_verified": code.subject.verified});
        if self.algorithm != Algorithm::EdDsa {
            claims["at_hash"] = Value::from(half_hash("at-1"));
        }
        if let Some(email) = &code.subject.email {
            claims["email"] = Value::from(email.as_str());
        }
        match code.wrong {
            Wrong::Nonce => claims["nonce"] = json!("another"),
            Wrong::NoNonce => drop(claims.as_object_mut().unwrap().remove("nonce")),
            Wrong::Audience => claims["aud"] = json!("another"),
            Wrong::TwoAudiences => claims["aud"] = json!([CLIENT, "another"]),
            Wrong::Party => claims["azp"] = json!("another"),
            Wrong::Issuer => claims["iss"] = json!("https://another.example"),
            Wrong::Expired => claims["exp"] = json!(now - 1),
            Wrong::IssuedLongAgo => claims["iat"] = json!(now - 3600),
            Wrong::IssuedLater => claims["iat"] = json!(now + 600),
            Wrong::AccessToken => claims["at_hash"] = json!(half_hash("at-2")),
            Wrong::NoSubject => claims["sub"] = json!(""),
            _ => {}
        }
        let alg = match self.algorithm {
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
        };
        let mut header = json!({"alg": alg, "kid": self.keys.kid, "typ": "JWT"});
        match code.wrong {
            Wrong::Unsigned => header["alg"] = json!("none"),
            Wrong::SharedSecret | Wrong::PublicKeyAsSecret => header["alg"] = json!("HS256"),
            Wrong::UnknownKey => header["kid"] = json!("nobody's"),
            _ => {}
        }
        let message = format!("{}.{}", part(&header), part(&claims));
        let mac = |key: &[u8]| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes())
                .as_ref()
                .to_vec()
        };
        let signature = match code.wrong {
            Wrong::Unsigned => Vec::new(),
            Wrong::SharedSecret => mac(SECRET.as_bytes()),
            Wrong::PublicKeyAsSecret => mac(self.keys.jwk(self.algorithm).to_string().as_bytes()),
            Wrong::OtherKey => Keys::new(&self.keys.kid).sign(self.algorithm, message.as_bytes()),
            _ => self.keys.sign(self.algorithm, message.as_bytes()),
        };
        let message = if code.wrong == Wrong::Payload {
            claims["sub"] = json!("somebody-else");
            format!("{}.{}", part(&header), part(&claims))
        } else {
            message
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[expect(clippy::disallowed_methods, reason = "an issuer has a clock of its own")]
fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
    }
}
