//! Keys of the bank's own programs: the card processor, a till, an import.
//!
//! Such a key belongs to a technical user that is made with it, holds one role and has no login. It gives power, so it
//! takes two people: one asks, an administrator decides, and whoever decides is shown the secrets, once. Nothing of
//! them exists before. No such key is an administrator's.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_domain::{
    action::Action,
    audit::Details,
    id::{AccountId, ApiKeyId, ApprovalId, UserId},
    ledger::{Budget, Refusal},
    money::{Amount, Currency},
    principal::Role,
    text::{from_hex, hex},
    time::Timestamp,
};
use strongroom_store::WriteTx;

use crate::{
    api_keys::{
        AddApiKey, ApiKeyAdded, ApiKeyDetails, Caveats, KeyOwner, PreparedKey, Scheme,
        input::{check_key, parse_networks},
    },
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::step_up::require_recent_login,
};

/// Bytes of a public key, and of the thumbprint of a certificate.
const KEY_BYTES: usize = 32;

/// What became of a wish for a key.
#[derive(Debug)]
pub enum ApiKeyWish {
    /// It is there, and shown this once.
    Made(ApiKeyAdded),
    /// Somebody else has to approve.
    Requested {
        /// The request.
        approval: ApprovalId,
    },
}

/// A key of a technical user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TechnicalKey {
    /// The technical user.
    pub owner: UserId,
    /// Its roles in force.
    pub roles: Vec<Role>,
    /// The key.
    pub key: ApiKeyDetails,
}

#[derive(Serialize, Deserialize)]
struct MoneyRequest {
    amount: i64,
    currency: String,
}

#[derive(Serialize, Deserialize)]
struct BudgetRequest {
    amount: MoneyRequest,
    window_secs: i64,
}

/// What somebody who asks for a key says about it, as whoever decides reads it.
#[derive(Serialize, Deserialize)]
struct KeyRequest {
    name: String,
    role: String,
    scopes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allowed_ips: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_amount: Option<MoneyRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_beneficiaries: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<BudgetRequest>,
    /// Hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    signature_schemes: Vec<String>,
    /// Hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_thumbprint: Option<String>,
}

/// The roles that a technical user can have: whoever administrates does it in person.
pub const fn is_technical(role: Role) -> bool {
    role.is_operator() && !matches!(role, Role::Admin)
}

/// The role of the technical user, checked.
fn role_of(input: &AddApiKey) -> Result<Role, Error> {
    match input.owner {
        KeyOwner::Technical(role) if is_technical(role) => Ok(role),
        KeyOwner::Technical(_) | KeyOwner::User(_) => Err(Error::field(
            "/role",
            "invalid_value",
            "must be support, teller, compliance or auditor",
        )),
    }
}

fn unhex(text: &str) -> Result<[u8; KEY_BYTES], Error> {
    let wrong = || Error::broken("a request for a key that cannot be read");
    let bytes = from_hex(text).ok_or_else(wrong)?;
    bytes.try_into().map_err(|_| wrong())
}

fn written((amount, currency): (Amount, Currency)) -> MoneyRequest {
    MoneyRequest {
        amount: amount.minor(),
        currency: currency.code().to_owned(),
    }
}

fn read(money: &MoneyRequest) -> Result<(Amount, Currency), Error> {
    let amount = Amount::new(money.amount).map_err(Error::internal)?;
    Ok((amount, Currency::parse(&money.currency).map_err(Error::internal)?))
}

impl KeyRequest {
    fn of(input: &AddApiKey, role: Role) -> Self {
        let caveats = &input.caveats;
        Self {
            name: input.name.clone(),
            role: role.name().to_owned(),
            scopes: input.scopes.clone(),
            expires_at: input.expires_at.map(|end| end.to_string()),
            allowed_ips: input
                .networks
                .as_ref()
                .map(|networks| networks.texts())
                .unwrap_or_default(),
            max_amount: caveats.max_amount.map(written),
            allowed_beneficiaries: caveats
                .payees
                .as_ref()
                .map(|payees| payees.iter().map(ToString::to_string).collect()),
            budget: caveats.budget.map(|budget| BudgetRequest {
                amount: written((budget.amount, budget.currency)),
                window_secs: budget.window_secs,
            }),
            public_key: input.public_key.as_ref().map(|key| hex(key)),
            signature_schemes: input
                .schemes
                .iter()
                .map(|scheme| scheme.name().to_owned())
                .collect(),
            certificate_thumbprint: input.certificate.as_ref().map(|thumbprint| hex(thumbprint)),
        }
    }

    fn input(&self) -> Result<AddApiKey, Error> {
        let role = Role::parse(&self.role).ok_or_else(|| Error::broken("a request for no role"))?;
        let payees = self.allowed_beneficiaries.as_ref().map(|ids| {
            let ids = ids.iter().map(|id| AccountId::parse(id));
            ids.collect::<Result<Vec<_>, _>>().map_err(Error::internal)
        });
        let budget = self.budget.as_ref().map(|budget| {
            let (amount, currency) = read(&budget.amount)?;
            Ok::<_, Error>(Budget {
                amount,
                currency,
                window_secs: budget.window_secs,
            })
        });
        let end = self.expires_at.as_deref().map(Timestamp::parse).transpose();
        Ok(AddApiKey {
            owner: KeyOwner::Technical(role),
            name: self.name.clone(),
            scopes: self.scopes.clone(),
            expires_at: end.map_err(Error::internal)?,
            networks: parse_networks(&self.allowed_ips)?,
            certificate: self.certificate_thumbprint.as_deref().map(unhex).transpose()?,
            caveats: Caveats {
                max_amount: self.max_amount.as_ref().map(read).transpose()?,
                payees: payees.transpose()?,
                budget: budget.transpose()?,
            },
            public_key: self.public_key.as_deref().map(unhex).transpose()?,
            schemes: Scheme::split(&self.signature_schemes.join(" ")),
        })
    }
}

impl Bank {
    /// Asks for a key of a technical user. Another administrator decides.
    ///
    /// # Errors
    /// `validation_failed`, also for the role of whoever administrates; `forbidden` for whom the rules do not allow it;
    /// `step_up_required` without a fresh login.
    pub async fn ask_for_api_key(self: &Arc<Self>, cx: &Cx, input: AddApiKey) -> Result<ApprovalId, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            authorize(&cx, Action::ApiKeyCreate, Resource::Bank)?;
            require_recent_login(&cx)?;
            let role = role_of(&input)?;
            check_key(&input, cx.now())?;
            let text = serde_json::to_vec(&KeyRequest::of(&input, role)).map_err(Error::internal)?;
            let details = Details::json(&format!(
                r#"{{"role":"{}","scopes":"{}"}}"#,
                role.name(),
                input.scopes.join(" ")
            ));
            bank.request_approval(&cx, Action::ApiKeyCreate, &text, details)
                .await
        })
        .await
    }

    /// The wish of whoever holds the data directory: granted at once where operators are, else asked of an
    /// administrator.
    ///
    /// # Errors
    /// Those of [`Bank::ask_for_api_key`].
    pub async fn wish_for_api_key(self: &Arc<Self>, cx: &Cx, input: AddApiKey) -> Result<ApiKeyWish, Error> {
        role_of(&input)?;
        if self.identity.settings.operators_at_once {
            return self.add_api_key(cx, input).await.map(ApiKeyWish::Made);
        }
        let approval = self.ask_for_api_key(cx, input).await?;
        Ok(ApiKeyWish::Requested { approval })
    }

    /// What an approved request for a key needs before its transaction.
    ///
    /// # Errors
    /// `approval_stale` where its end is over.
    pub(crate) async fn prepare_requested_key(&self, cx: &Cx, text: &[u8]) -> Result<PreparedKey, Error> {
        let request: KeyRequest = serde_json::from_slice(text).map_err(Error::internal)?;
        let input = request.input()?;
        // Not more than what may be asked for, whoever filed the request.
        role_of(&input)?;
        if input.expires_at.is_some_and(|end| end <= cx.now()) {
            return Err(Refusal::ApprovalStale.into());
        }
        self.prepare_key(cx, &input).await
    }

    /// Makes the key and its technical user inside the transaction that approves the request.
    pub(crate) async fn insert_requested_key(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        prepared: &PreparedKey,
        approval: ApprovalId,
    ) -> Result<(), Error> {
        let permit = authorize(cx, Action::ApiKeyCreate, Resource::Bank)?;
        self.insert_key(tx, cx, &permit, prepared, Some(approval)).await
    }

    /// Keys of technical users that were not taken away, newest first, below an id.
    ///
    /// # Errors
    /// `forbidden` for others than administrators and auditors.
    pub async fn technical_keys(
        &self,
        cx: &Cx,
        before: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<TechnicalKey>, Error> {
        authorize(cx, Action::ApiKeyRead, Resource::Bank)?;
        let found = self.store.technical_api_keys(before, limit).await?;
        let mut all = Vec::with_capacity(found.len());
        for row in found {
            let data_key = self.people.key_of(row.owner).await?;
            all.push(TechnicalKey {
                owner: row.owner,
                roles: row.roles.clone(),
                key: self.key_details(&data_key, row)?,
            });
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_everything_about_the_key_that_is_made_of_it() {
        let networks = ["203.0.113.0/24".to_owned(), "2001:db8::/48".to_owned()];
        let full = AddApiKey {
            expires_at: Some(Timestamp::from_micros(1_800_000_000_000_000)),
            networks: parse_networks(&networks).unwrap(),
            certificate: Some([0xab; 32]),
            caveats: Caveats {
                max_amount: Some((Amount::new(5_000).unwrap(), Currency::EUR)),
                payees: Some(vec![AccountId::from_bytes([7; 16])]),
                budget: Some(Budget {
                    amount: Amount::new(9_000).unwrap(),
                    currency: Currency::EUR,
                    window_secs: 3_600,
                }),
            },
            public_key: Some([9; 32]),
            schemes: vec![Scheme::Rfc9421, Scheme::Plain],
            ..AddApiKey::new(KeyOwner::Technical(Role::Teller), "Till", &["deposits:write"])
        };
        let bare = AddApiKey::new(KeyOwner::Technical(Role::Auditor), "Books", &["accounts:read"]);
        for input in [full, bare] {
            let text = serde_json::to_vec(&KeyRequest::of(&input, role_of(&input).unwrap())).unwrap();
            let read: KeyRequest = serde_json::from_slice(&text).unwrap();
            assert_eq!(format!("{:?}", read.input().unwrap()), format!("{input:?}"));
        }
    }

    #[test]
    fn no_key_administrates_or_is_a_customers() {
        for role in Role::ALL {
            let input = AddApiKey::new(KeyOwner::Technical(role), "Any", &["accounts:read"]);
            let refused = matches!(role, Role::Admin | Role::Customer);
            assert_eq!(role_of(&input).is_err(), refused, "{role:?}");
        }
        let person = AddApiKey::new(
            KeyOwner::User(UserId::from_bytes([1; 16])),
            "Any",
            &["accounts:read"],
        );
        assert!(role_of(&person).is_err());
    }
}
