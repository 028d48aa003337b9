//! What is asked for when a key is made, and what of it is refused.

use ipnet::IpNet;
use strongroom_domain::{
    id::{AccountId, ApiKeyId, UserId},
    ledger::{BUDGET_WINDOW_SECS_MAX, BUDGET_WINDOW_SECS_MIN, Budget, KEY_PAYEES_MAX, KeyBounds},
    money::{Amount, Currency},
    principal::Role,
    text::{NAME_CHARS_MAX, check_line},
    time::Timestamp,
};

use crate::{
    api_keys::networks::{NETWORKS_MAX, Networks},
    error::{Error, FieldError},
    identity::registration::wrong,
};

/// Every scope that a key can have.
pub const SCOPES: &[&str] = &[
    "accounts:read",
    "accounts:write",
    "transfers:read",
    "transfers:write",
    "deposits:write",
    "payments:write",
    "cards:authorize",
    "webhooks:manage",
    "statements:read",
];

/// How long a replaced key counts when nothing else is asked for, in seconds.
pub const OVERLAP_SECS: i64 = 24 * 60 * 60;
/// The longest that a replaced key can count, in seconds.
pub const OVERLAP_SECS_MAX: i64 = 7 * 24 * 60 * 60;

/// Whose integration a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOwner {
    /// A person who is there.
    User(UserId),
    /// A new technical user with this role, which nobody can log in as.
    Technical(Role),
}

/// A way to sign requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP Message Signatures (RFC 9421).
    Rfc9421,
    /// `X-Signature` over fixed lines, for clients that can do no better.
    Plain,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Rfc9421, Self::Plain];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rfc9421 => "rfc9421",
            Self::Plain => "plain",
        }
    }

    /// Reads the stable name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    pub(crate) fn join(schemes: &[Self]) -> String {
        schemes
            .iter()
            .map(|scheme| scheme.name())
            .collect::<Vec<_>>()
            .join(" ")
    }

    pub(crate) fn split(names: &str) -> Vec<Self> {
        names.split(' ').filter_map(Self::parse).collect()
    }
}

/// What a key may move at most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caveats {
    /// With one movement.
    pub max_amount: Option<(Amount, Currency)>,
    /// To whom.
    pub payees: Option<Vec<AccountId>>,
    /// In each window.
    pub budget: Option<Budget>,
}

impl Caveats {
    pub(crate) fn bounds(&self, integration: ApiKeyId) -> KeyBounds {
        KeyBounds {
            integration,
            max_amount: self.max_amount,
            payees: self.payees.clone(),
            budget: self.budget,
        }
    }
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct AddApiKey {
    /// Whose.
    pub owner: KeyOwner,
    /// What for, in words.
    pub name: String,
    /// What it may do at most.
    pub scopes: Vec<String>,
    /// The end, if there is one.
    pub expires_at: Option<Timestamp>,
    /// Where it may be used; everywhere when absent.
    pub networks: Option<Networks>,
    /// The thumbprint of the certificate without which it is nothing; none needed when absent.
    pub certificate: Option<[u8; 32]>,
    /// What it may move at most.
    pub caveats: Caveats,
    /// The Ed25519 public key of its requests; without one they are signed with a shared secret.
    pub public_key: Option<[u8; 32]>,
    /// How its requests may be signed.
    pub schemes: Vec<Scheme>,
}

impl AddApiKey {
    /// A key without caveats whose requests are signed with a shared secret after RFC 9421.
    pub fn new(owner: KeyOwner, name: &str, scopes: &[&str]) -> Self {
        Self {
            owner,
            name: name.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            expires_at: None,
            networks: None,
            certificate: None,
            caveats: Caveats::default(),
            public_key: None,
            schemes: vec![Scheme::Rfc9421],
        }
    }
}

/// How a key is replaced.
#[derive(Debug, Clone, Copy)]
pub struct RotateApiKey {
    /// How long the old one still counts, in seconds, 0 to [`OVERLAP_SECS_MAX`].
    pub overlap_secs: i64,
    /// Another public key; the old one's when absent.
    pub public_key: Option<[u8; 32]>,
    /// Another certificate, by its thumbprint; the old one's when absent. A binding is never taken away.
    pub certificate: Option<[u8; 32]>,
}

/// Reads networks, each refused one by its place.
///
/// # Errors
/// `validation_failed`.
pub fn parse_networks(texts: &[String]) -> Result<Option<Networks>, Error> {
    let mut fields = Vec::new();
    if texts.len() > NETWORKS_MAX {
        let detail = format!("must be at most {NETWORKS_MAX}");
        fields.push(wrong("/allowed_ips", "too_many", &detail));
    }
    let mut networks: Vec<IpNet> = Vec::new();
    for (index, text) in texts.iter().take(NETWORKS_MAX).enumerate() {
        match Networks::parse_one(text) {
            Some(network) => networks.push(network),
            None => fields.push(wrong(
                &format!("/allowed_ips/{index}"),
                "invalid_value",
                "must be an address or a network in CIDR notation",
            )),
        }
    }
    done(fields).map(|()| Networks::new(networks))
}

pub(crate) fn check_key(input: &AddApiKey, now: Timestamp) -> Result<(), Error> {
    let mut fields = Vec::new();
    if let Err(error) = check_line(&input.name, NAME_CHARS_MAX, true) {
        fields.push(wrong("/name", "invalid_value", &error.to_string()));
    }
    if input.scopes.is_empty() {
        fields.push(wrong("/scopes", "required", "must name at least one scope"));
    }
    for (index, scope) in input.scopes.iter().enumerate() {
        if !SCOPES.contains(&scope.as_str()) || input.scopes.iter().take(index).any(|other| other == scope) {
            fields.push(wrong(
                &format!("/scopes/{index}"),
                "invalid_value",
                "must be a known scope, named once",
            ));
        }
    }
    if input.expires_at.is_some_and(|end| end <= now) {
        fields.push(wrong("/expires_at", "invalid_value", "must be in the future"));
    }
    if input.schemes.is_empty() {
        fields.push(wrong(
            "/signature_schemes",
            "required",
            "must name at least one scheme",
        ));
    }
    check_caveats(&input.caveats, &mut fields);
    done(fields)
}

fn check_caveats(caveats: &Caveats, fields: &mut Vec<FieldError>) {
    if caveats
        .payees
        .as_ref()
        .is_some_and(|payees| payees.is_empty() || payees.len() > KEY_PAYEES_MAX)
    {
        let detail = format!("must be 1 to {KEY_PAYEES_MAX} accounts");
        fields.push(wrong("/caveats/allowed_beneficiaries", "out_of_range", &detail));
    }
    let window = BUDGET_WINDOW_SECS_MIN..=BUDGET_WINDOW_SECS_MAX;
    if caveats
        .budget
        .is_some_and(|budget| !window.contains(&budget.window_secs))
    {
        let detail = format!("must lie between {BUDGET_WINDOW_SECS_MIN} and {BUDGET_WINDOW_SECS_MAX}");
        fields.push(wrong("/caveats/budget/window_secs", "out_of_range", &detail));
    }
}

fn done(fields: Vec<FieldError>) -> Result<(), Error> {
    if fields.is_empty() {
        Ok(())
    } else {
        Err(Error::invalid(fields))
    }
}
