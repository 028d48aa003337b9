//! Passkeys: WebAuthn (W3C, level 3) as the relying party. The verification steps are those of `webauthn-rs`.
//!
//! User verification is always required, so that a passkey is two factors in one; credentials are discoverable, so that
//! nobody has to type a name. Signature algorithms are those of the library's default: ES256, EdDSA and RS256. What has
//! to be remembered between options and answer is given to the caller as bytes, to be sealed, kept on the server and
//! used once; it is found again by [`ceremony_of`], the digest of the challenge that the answer repeats.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey, PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Url, Uuid, Webauthn, WebauthnBuilder,
};

use crate::token::sha256;

/// Longest answer of an authenticator that is looked at, in bytes of JSON.
pub const CREDENTIAL_BYTES_MAX: usize = 32 * 1024;

/// Why a passkey was refused. Deliberately little; the cause is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the passkey is refused: {0}")]
pub struct PasskeyError(String);

impl PasskeyError {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// What is asked of an authenticator, and what the server must remember until it answers.
#[derive(Debug)]
pub struct Ceremony {
    /// For the browser: `{"publicKey": …}`, binary values in base64url.
    pub options: Value,
    /// Under which the state is found again.
    pub name: [u8; 32],
    /// To be sealed, and used once.
    pub state: Vec<u8>,
}

/// A passkey to be kept: a public key with its flags and counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPasskey {
    /// SHA-256 of the credential's id.
    pub credential: [u8; 32],
    /// To be sealed.
    pub bytes: Vec<u8>,
    /// How often it signed, as far as it says; 0 where it does not count.
    pub counter: u32,
}

/// The relying party: who authenticators know us as.
#[derive(Debug)]
pub struct Passkeys(Webauthn);

impl Passkeys {
    /// For a server under this address: its host is the relying party's id, its origin the only one that counts.
    ///
    /// # Errors
    /// [`PasskeyError`] where the host is an address: an address is no relying party.
    pub fn new(public_url: &str, name: &str) -> Result<Self, PasskeyError> {
        let origin = Url::parse(public_url).map_err(PasskeyError::of)?;
        let host = origin
            .domain()
            .ok_or_else(|| PasskeyError("no host name".to_owned()))?;
        WebauthnBuilder::new(host, &origin)
            .and_then(|builder| builder.rp_name(name).build())
            .map(Self)
            .map_err(PasskeyError::of)
    }

    /// Begins to bind a passkey to a person, who has these already.
    ///
    /// # Errors
    /// [`PasskeyError`] for a stored passkey that cannot be read.
    pub fn start_registration(
        &self,
        person: [u8; 16],
        email: &str,
        full_name: &str,
        known: &[Vec<u8>],
    ) -> Result<Ceremony, PasskeyError> {
        let known = read_all(known)?;
        let exclude = known.iter().map(|passkey| passkey.cred_id().clone()).collect();
        let (options, state) = self
            .0
            .start_passkey_registration(Uuid::from_bytes(person), email, full_name, Some(exclude))
            .map_err(PasskeyError::of)?;
        let mut options = serde_json::to_value(options).map_err(PasskeyError::of)?;
        // Discoverable: found by the relying party's id alone.
        let selection = &mut options["publicKey"]["authenticatorSelection"];
        selection["residentKey"] = Value::from("required");
        selection["requireResidentKey"] = Value::from(true);
        ceremony(options, &state)
    }

    /// Takes the answer to [`Self::start_registration`].
    ///
    /// # Errors
    /// [`PasskeyError`] when any step of the standard's section 7.1 refuses it.
    pub fn finish_registration(
        &self,
        credential: &Value,
        state: &[u8],
    ) -> Result<StoredPasskey, PasskeyError> {
        let answer: RegisterPublicKeyCredential = read(credential)?;
        let state: PasskeyRegistration = serde_json::from_slice(state).map_err(PasskeyError::of)?;
        let passkey = self
            .0
            .finish_passkey_registration(&answer, &state)
            .map_err(PasskeyError::of)?;
        stored(&passkey, 0)
    }

    /// Asks for one of a person's passkeys.
    ///
    /// # Errors
    /// [`PasskeyError`] for a stored passkey that cannot be read.
    pub fn start_known(&self, known: &[Vec<u8>]) -> Result<Ceremony, PasskeyError> {
        let (options, state) = self
            .0
            .start_passkey_authentication(&read_all(known)?)
            .map_err(PasskeyError::of)?;
        ceremony(serde_json::to_value(options).map_err(PasskeyError::of)?, &state)
    }

    /// Takes the answer to [`Self::start_known`] by the passkey that it names.
    ///
    /// # Errors
    /// [`PasskeyError`] when any step of the standard's section 7.2 refuses it.
    pub fn finish_known(
        &self,
        credential: &Value,
        state: &[u8],
        passkey: &[u8],
    ) -> Result<StoredPasskey, PasskeyError> {
        let answer: PublicKeyCredential = read(credential)?;
        let state: PasskeyAuthentication = serde_json::from_slice(state).map_err(PasskeyError::of)?;
        let result = self
            .0
            .finish_passkey_authentication(&answer, &state)
            .map_err(PasskeyError::of)?;
        let mut passkey: Passkey = serde_json::from_slice(passkey).map_err(PasskeyError::of)?;
        passkey
            .update_credential(&result)
            .ok_or_else(|| PasskeyError("another passkey than was asked for".to_owned()))?;
        stored(&passkey, result.counter())
    }

    /// Asks for any passkey that is known here, whoever has it.
    ///
    /// # Errors
    /// [`PasskeyError`] when the library refuses, which it does not.
    pub fn start_anybody(&self) -> Result<Ceremony, PasskeyError> {
        let (options, state) = self
            .0
            .start_discoverable_authentication()
            .map_err(PasskeyError::of)?;
        let mut options = serde_json::to_value(options).map_err(PasskeyError::of)?;
        // How the browser shows its list is the page's affair.
        if let Some(members) = options.as_object_mut() {
            members.remove("mediation");
        }
        ceremony(options, &state)
    }

    /// Takes the answer to [`Self::start_anybody`] by the passkey that it names.
    ///
    /// # Errors
    /// [`PasskeyError`] when any step of the standard's section 7.2 refuses it.
    pub fn finish_anybody(
        &self,
        credential: &Value,
        state: &[u8],
        passkey: &[u8],
    ) -> Result<StoredPasskey, PasskeyError> {
        let answer: PublicKeyCredential = read(credential)?;
        let state: DiscoverableAuthentication = serde_json::from_slice(state).map_err(PasskeyError::of)?;
        let mut passkey: Passkey = serde_json::from_slice(passkey).map_err(PasskeyError::of)?;
        let result = self
            .0
            .finish_discoverable_authentication_v2(&answer, state, &passkey)
            .map_err(PasskeyError::of)?;
        passkey
            .update_credential(&result)
            .ok_or_else(|| PasskeyError("another passkey than was asked for".to_owned()))?;
        stored(&passkey, result.counter())
    }
}

/// Under which name the state of the ceremony is kept that an answer belongs to; `None` for what is no answer.
#[must_use]
pub fn ceremony_of(credential: &Value) -> Option<[u8; 32]> {
    #[derive(Deserialize)]
    struct ClientData {
        challenge: String,
    }
    let encoded = credential["response"]["clientDataJSON"].as_str()?;
    if encoded.len() > CREDENTIAL_BYTES_MAX {
        return None;
    }
    let json = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?;
    let data: ClientData = serde_json::from_slice(&json).ok()?;
    Some(name_of(&data.challenge))
}

/// SHA-256 of the id of the credential that an answer names.
#[must_use]
pub fn credential_of(credential: &Value) -> Option<[u8; 32]> {
    let id = credential["rawId"].as_str()?;
    let raw = URL_SAFE_NO_PAD.decode(id.trim_end_matches('=')).ok()?;
    Some(sha256(&raw))
}

/// The person whom an answer claims to be of: 16 bytes of an id.
#[must_use]
pub fn person_of(credential: &Value) -> Option<[u8; 16]> {
    let handle = credential["response"]["userHandle"].as_str()?;
    let raw = URL_SAFE_NO_PAD.decode(handle.trim_end_matches('=')).ok()?;
    raw.try_into().ok()
}

fn name_of(challenge: &str) -> [u8; 32] {
    sha256(challenge.trim_end_matches('=').as_bytes())
}

fn ceremony(options: Value, state: &impl serde::Serialize) -> Result<Ceremony, PasskeyError> {
    let challenge = options["publicKey"]["challenge"]
        .as_str()
        .ok_or_else(|| PasskeyError("no challenge".to_owned()))?;
    Ok(Ceremony {
        name: name_of(challenge),
        state: serde_json::to_vec(state).map_err(PasskeyError::of)?,
        options,
    })
}

fn stored(passkey: &Passkey, counter: u32) -> Result<StoredPasskey, PasskeyError> {
    Ok(StoredPasskey {
        credential: sha256(passkey.cred_id()),
        bytes: serde_json::to_vec(passkey).map_err(PasskeyError::of)?,
        counter,
    })
}

fn read<T: serde::de::DeserializeOwned>(credential: &Value) -> Result<T, PasskeyError> {
    serde_json::from_value(credential.clone()).map_err(|_| PasskeyError("not an answer".to_owned()))
}

fn read_all(known: &[Vec<u8>]) -> Result<Vec<Passkey>, PasskeyError> {
    known
        .iter()
        .map(|bytes| serde_json::from_slice(bytes).map_err(PasskeyError::of))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_is_no_relying_party() {
        assert!(Passkeys::new("https://localhost:8443", "Bank").is_ok());
        assert!(Passkeys::new("https://bank.example", "Bank").is_ok());
        for bad in ["https://127.0.0.1:8443", "https://[::1]:8443", "bank", ""] {
            assert!(Passkeys::new(bad, "Bank").is_err(), "{bad}");
        }
    }

    #[test]
    fn options_want_a_verified_user_and_a_discoverable_credential() {
        let party = Passkeys::new("https://bank.example", "Bank").unwrap();
        let new = party
            .start_registration([7; 16], "a@b.example", "Alice", &[])
            .unwrap();
        let options = &new.options["publicKey"];
        assert_eq!(options["rp"]["id"], "bank.example");
        assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
        assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
        assert_eq!(options["attestation"], "none");
        let asked = party.start_anybody().unwrap();
        assert_eq!(asked.options["publicKey"]["userVerification"], "required");
        assert_eq!(asked.options["publicKey"]["allowCredentials"], json!([]));
        assert!(asked.options.get("mediation").is_none());
        assert_ne!(new.name, asked.name);
    }

    #[test]
    fn what_is_no_answer_names_nothing() {
        for odd in [
            json!(null),
            json!([]),
            json!({"response": {"clientDataJSON": 7}}),
            json!({"response": {"clientDataJSON": "!!"}}),
            json!({"response": {"clientDataJSON": "e30"}, "rawId": "!", "id": ""}),
        ] {
            assert_eq!(
                (ceremony_of(&odd), credential_of(&odd), person_of(&odd)),
                (None, None, None),
                "{odd}"
            );
        }
    }
}
