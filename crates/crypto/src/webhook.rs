//! What a request to somebody else's program is signed with: HMAC-SHA256 over id, time and body, as Standard Webhooks
//! 1.0 has it.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    mac::{MacKey, hmac_of},
    secret::{ExposeSecret, SecretString},
};

/// The value of `webhook-signature` for a message sent at `at` (Unix seconds).
#[must_use]
pub fn webhook_signature(secret: &SecretString, id: &str, at: i64, body: &[u8]) -> String {
    let key = MacKey::new(secret.expose_secret().as_bytes());
    let tag = hmac_of(
        &key,
        &[id.as_bytes(), b".", at.to_string().as_bytes(), b".", body],
    );
    format!("v1,{}", STANDARD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_the_specification() {
        // Computed by another program: printf '%s' 'msg_1.1700000000.{}' | openssl dgst -sha256 -hmac
        // a-secret-of-some-length -binary
        let secret = SecretString::from("a-secret-of-some-length".to_owned());
        let signature = webhook_signature(&secret, "msg_1", 1_700_000_000, b"{}");
        assert_eq!(signature, "v1,QAA0rT4jJ+SiwFMpl/yIa89sDUEvm94rwwNyqvPDqXI=");
        assert_ne!(
            signature,
            webhook_signature(&secret, "msg_1", 1_700_000_001, b"{}")
        );
        assert_ne!(
            signature,
            webhook_signature(&secret, "msg_2", 1_700_000_000, b"{}")
        );
    }
}
