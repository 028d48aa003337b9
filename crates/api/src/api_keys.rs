//! Keys of integrations on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::money::Money;

/// How much an integration may move in each window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": {"amount": 100_000, "currency": "EUR"}, "window_secs": 86_400}))]
pub struct Budget {
    /// Most that all movements of a window move together; nothing of another currency is moved.
    pub amount: Money,
    /// Length of a window in seconds, 60 to 2678400. The first movement after the end of one opens the next.
    pub window_secs: i64,
}

/// What a key may move at most, checked in the commit of each movement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"max_amount": {"amount": 5_000, "currency": "EUR"}, "allowed_beneficiaries": null, "budget": null}))]
pub struct Caveats {
    /// Most that one movement moves. When absent, what you may move without a fresh factor.
    pub max_amount: Option<Money>,
    /// The only accounts that may be credited, 1 to 50 ids.
    pub allowed_beneficiaries: Option<Vec<String>>,
    /// Most that is moved in a window.
    pub budget: Option<Budget>,
}

/// Body of `POST /api-keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Bookkeeping", "scopes": ["accounts:read", "transfers:read"],
    "expires_at": "2027-11-20T00:00:00Z", "allowed_ips": ["203.0.113.0/24"]}))]
pub struct CreateApiKey {
    /// What it is for, 1 to 100 characters.
    pub name: String,
    /// What it may do at most.
    pub scopes: Vec<String>,
    /// RFC 3339; no end when absent.
    pub expires_at: Option<String>,
    /// Addresses and networks (CIDR) that it may be used from, at most 20; any when absent.
    pub allowed_ips: Option<Vec<String>>,
    /// What it may move at most.
    pub caveats: Option<Caveats>,
    /// The Ed25519 public key of its requests, 32 bytes in base64url; without one they are signed with a secret.
    pub public_key: Option<String>,
    /// `rfc9421` (default), `plain`.
    pub signature_schemes: Option<Vec<String>>,
    /// The certificate of the client that uses it: the SHA-256 of its DER form, 32 bytes in base64url (`x5t#S256` of
    /// RFC 8705). Without that certificate in the connection's handshake (mutual TLS) the key is refused; any will do
    /// when absent.
    pub certificate_thumbprint: Option<String>,
}

/// Body of `POST /api-keys/{id}/rotate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"overlap_secs": 3_600}))]
pub struct RotateApiKey {
    /// How long the old key still counts, in seconds, 0 to 604800; a day when absent.
    pub overlap_secs: Option<i64>,
    /// Another public key, 32 bytes in base64url; the old one's when absent.
    pub public_key: Option<String>,
    /// Another certificate, by its thumbprint; the old one's when absent.
    pub certificate_thumbprint: Option<String>,
}

/// A key that was made. Its secrets are shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "key_01jd3vw4ezfkx8y0q4sfcmj2t9", "key": "sr_test_…", "signing_secret": "srs_…"}))]
pub struct ApiKeyMade {
    /// The id.
    pub id: String,
    /// The key, for `X-API-Key`.
    pub key: String,
    /// What requests are signed with; absent where the public key alone is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<String>,
}

/// A key, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "key_01jd3vw4ezfkx8y0q4sfcmj2t9", "name": "Bookkeeping", "scopes": ["accounts:read"],
    "created_at": "2026-11-20T11:00:00.000000Z", "expires_at": null, "last_used_at": null, "allowed_ips": null,
    "caveats": {"max_amount": null, "allowed_beneficiaries": null, "budget": null}, "public_key": null,
    "signature_schemes": ["rfc9421"], "certificate_thumbprint": null, "replaced_by": null}))]
pub struct ApiKey {
    /// The id.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do at most.
    pub scopes: Vec<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; `null` for none.
    pub expires_at: Option<String>,
    /// To about a minute; `null` when it never was.
    pub last_used_at: Option<String>,
    /// Where it may be used.
    pub allowed_ips: Option<Vec<String>>,
    /// What it may move at most.
    pub caveats: Caveats,
    /// The public key of its requests.
    pub public_key: Option<String>,
    /// How they may be signed.
    pub signature_schemes: Vec<String>,
    /// The certificate that it is bound to, by its thumbprint.
    pub certificate_thumbprint: Option<String>,
    /// The key that takes its place.
    pub replaced_by: Option<String>,
}

/// Body of `POST /admin/api-keys`: a key of one of the bank's own programs, once another administrator agrees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Card processor", "scopes": ["cards:authorize"], "allowed_ips": ["203.0.113.0/24"]}))]
pub struct NewTechnicalKey {
    /// What it is for, 1 to 100 characters.
    pub name: String,
    /// The role of the technical user that is made with it: `teller` (when absent), `support`, `compliance` or
    /// `auditor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What it may do at most.
    pub scopes: Vec<String>,
    /// RFC 3339; no end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Addresses and networks (CIDR) that it may be used from, at most 20; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_ips: Option<Vec<String>>,
    /// What it may move at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caveats: Option<Caveats>,
    /// The Ed25519 public key of its requests, 32 bytes in base64url; without one they are signed with a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// `rfc9421` (default), `plain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_schemes: Option<Vec<String>>,
    /// The certificate of the client that uses it, as in `POST /api-keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_thumbprint: Option<String>,
}

/// A key of one of the bank's own programs, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"owner_id": "user_01kaggvh4tfs8rm9wpsh5d0a3e", "roles": ["teller"],
    "id": "key_01jd3vw4ezfkx8y0q4sfcmj2t9", "name": "Card processor", "scopes": ["cards:authorize"],
    "created_at": "2026-11-20T11:00:00.000000Z", "expires_at": null, "last_used_at": null, "allowed_ips": null,
    "caveats": {"max_amount": null, "allowed_beneficiaries": null, "budget": null}, "public_key": null,
    "signature_schemes": ["rfc9421"], "certificate_thumbprint": null, "replaced_by": null}))]
pub struct TechnicalKey {
    /// The technical user.
    pub owner_id: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// The key.
    #[serde(flatten)]
    pub key: ApiKey,
}
