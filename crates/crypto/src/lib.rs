//! The only crate that touches secret bytes: keyring, sealing, tokens, passwords, signatures.
//!
//! Rules of the crate:
//! * Luck comes from [`random`], time is an argument (`i64`, Unix microseconds).
//! * A secret type has no readable `Debug` ([`secret`]).
//! * Every key has one purpose and a number (kid) that everything made with it names ([`keyring`]).
//! * Secrets are compared in constant time; refusals say little and the same for every cause.
//! * Primitives come from AWS-LC (and Argon2 from RustCrypto); nothing is invented except the composition, which the
//!   module pages and `docs/security/cryptography.md` spell out.

pub mod api_key;
pub mod challenge;
pub mod data_key;
pub mod device;
pub mod dpop;
pub mod http_signature;
pub mod keyring;
pub mod mac;
mod nonce;
pub mod note;
pub mod oidc;
pub mod passkey;
pub mod password;
pub mod puzzle;
pub mod random;
pub mod receipt;
pub mod recovery;
pub mod refresh;
pub mod seal;
pub mod secret;
pub mod signing_secret;
pub mod token;
pub mod totp;
mod webhook;
pub mod witness;

mod self_test;
#[cfg(test)]
mod wycheproof_tests;
mod xaes;

pub use api_key::{ApiKey, ApiKeyHash, KeyEnvironment, certificate_thumbprint};
pub use challenge::Challenge;
pub use data_key::DataKey;
pub use device::DeviceMark;
pub use keyring::{
    DocumentError, EnvProvider, FileProvider, KeyCheck, KeyInfo, KeyProvider, KeyState, Keyring,
    KeyringError, ProviderError, Purpose, TravellingKey,
};
pub use mac::{AuditMac, Idempotency};
pub use nonce::nonce_digest;
pub use note::{Checkpoint, NoteError, NoteSigner, VerifierKey};
pub use passkey::Passkeys;
pub use password::{PasswordError, PasswordPool, StoredHash};
pub use recovery::RecoveryCode;
pub use refresh::RefreshToken;
pub use seal::{OpenError, Place};
pub use secret::{ExposeSecret, SecretBytes, SecretString};
pub use self_test::{SelfTestError, self_test};
pub use signing_secret::SigningSecret;
pub use token::{AccessTokens, Claims, NewToken, TokenError};
pub use webhook::webhook_signature;
pub use witness::{Witness, WitnessKey};
