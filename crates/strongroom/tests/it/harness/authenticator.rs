//! A software authenticator (WebAuthn level 3, ES256, attestation `none`) with the browser around it, which does what
//! it is told, also what no honest one would do. It shares no code with the server's verification.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::{SystemRandom, fill},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const HAS_CREDENTIAL: u8 = 0x40;

/// What is to be wrong with an answer; nothing by default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spoil {
    /// Another origin.
    pub(crate) origin: Option<String>,
    /// Another relying party.
    pub(crate) rp_id: Option<&'static str>,
    /// Another challenge, base64url.
    pub(crate) challenge: Option<String>,
    /// Another type of client data.
    pub(crate) kind: Option<&'static str>,
    /// Flags that are not set.
    pub(crate) no_user_present: bool,
    /// As above.
    pub(crate) no_user_verified: bool,
    /// Another counter.
    pub(crate) counter: Option<u32>,
    /// Another user handle, base64url.
    pub(crate) user: Option<String>,
    /// A bit of the signature.
    pub(crate) signature: bool,
    /// A signature over other client data.
    pub(crate) client_data_after: bool,
}

/// One authenticator with one credential.
pub(crate) struct Authenticator {
    key: EcdsaKeyPair,
    id: Vec<u8>,
    origin: String,
    rp_id: String,
    /// What the server called the user, base64url.
    pub(crate) user: String,
    /// How often it has signed.
    pub(crate) counter: u32,
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

impl Authenticator {
    /// A new one, in a browser that shows the server under this address.
    pub(crate) fn new(url: &str) -> Self {
        let mut id = vec![0; 24];
        fill(&mut id).unwrap();
        let origin = url.trim_end_matches('/').to_owned();
        let host = origin.strip_prefix("https://").unwrap();
        Self {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            id,
            rp_id: host.split(':').next().unwrap().to_owned(),
            origin,
            user: String::new(),
            counter: 0,
        }
    }

    fn client_data(&self, kind: &str, options: &Value, spoil: &Spoil) -> Vec<u8> {
        let challenge = options["publicKey"]["challenge"].as_str().unwrap();
        let data = json!({
            "type": spoil.kind.unwrap_or(kind),
            "challenge": spoil.challenge.as_deref().unwrap_or(challenge),
            "origin": spoil.origin.as_ref().unwrap_or(&self.origin),
            "crossOrigin": false,
        });
        serde_json::to_vec(&data).unwrap()
    }

    fn data(&self, spoil: &Spoil, more_flags: u8) -> Vec<u8> {
        let mut flags = more_flags;
        if !spoil.no_user_present {
            flags |= USER_PRESENT;
        }
        if !spoil.no_user_verified {
            flags |= USER_VERIFIED;
        }
        let mut data = sha256(spoil.rp_id.unwrap_or(&self.rp_id).as_bytes());
        data.push(flags);
        data.extend_from_slice(&spoil.counter.unwrap_or(self.counter).to_be_bytes());
        data
    }

    /// Answers `navigator.credentials.create()`.
    pub(crate) fn create(&mut self, options: &Value, spoil: &Spoil) -> Value {
        self.user = options["publicKey"]["user"]["id"].as_str().unwrap().to_owned();
        let mut data = self.data(spoil, HAS_CREDENTIAL);
        data.extend_from_slice(&[0; 16]);
        data.extend_from_slice(&u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend_from_slice(&self.id);
        // COSE key (RFC 9052): EC2, ES256, P-256, x, y.
        let point = self.key.public_key().as_ref();
        data.extend_from_slice(&[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend_from_slice(&point[1..33]);
        data.extend_from_slice(&[0x22, 0x58, 0x20]);
        data.extend_from_slice(&point[33..]);
        // {"fmt": "none", "attStmt": {}, "authData": …} in CBOR (RFC 8949).
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).unwrap());
        object.extend_from_slice(&data);
        let client_data = self.client_data("webauthn.create", options, spoil);
        json!({
            "id": b64(&self.id), "rawId": b64(&self.id), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {"clientDataJSON": b64(&client_data), "attestationObject": b64(&object), "transports": ["internal"]},
        })
    }

    /// Answers `navigator.credentials.get()`.
    pub(crate) fn get(&mut self, options: &Value, spoil: &Spoil) -> Value {
        self.counter += 1;
        let data = self.data(spoil, 0);
        let mut client_data = self.client_data("webauthn.get", options, spoil);
        let mut signed = data.clone();
        signed.extend_from_slice(&sha256(&client_data));
        let mut signature = self
            .key
            .sign(&SystemRandom::new(), &signed)
            .unwrap()
            .as_ref()
            .to_vec();
        if spoil.signature {
            let last = signature.len() - 1;
            signature[last] ^= 1;
        }
        if spoil.client_data_after {
            client_data.splice(1..1, b" ".iter().copied());
        }
        let user = spoil.user.as_ref().unwrap_or(&self.user);
        json!({
            "id": b64(&self.id), "rawId": b64(&self.id), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {"clientDataJSON": b64(&client_data), "authenticatorData": b64(&data),
                "signature": b64(&signature), "userHandle": user},
        })
    }
}
