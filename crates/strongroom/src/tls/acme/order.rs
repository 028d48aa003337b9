//! One conversation with a directory: account, order, proofs, certificate (RFC 8555, section 7).

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, ExternalAccountKey, Identifier, NewAccount, NewOrder,
    Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use secrecy::ExposeSecret;

use super::{
    AcmeError,
    directory::Directory,
    kept::{Kept, KeptAccount, KeptCertificate},
    proofs::NameProofs,
};
use crate::config::AcmeConfig;

/// How often an order is looked at, and for how long: first after this, then after half as long again each time.
const LOOK_FIRST: Duration = Duration::from_millis(250);
const LOOK_GROWTH: f32 = 1.5;
const LOOK_FOR: Duration = Duration::from_secs(90);
/// What a directory says when it does not know an account, or no longer (RFC 8555, section 6.7).
const NO_SUCH_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// The account that was kept, or a new one.
pub(super) async fn account(
    config: &AcmeConfig,
    directory: &Directory,
    kept: &Kept,
) -> Result<Account, AcmeError> {
    let contact = config.contact.as_ref().map(|address| format!("mailto:{address}"));
    let contacts: Vec<&str> = contact.as_deref().into_iter().collect();
    let builder = Account::builder_with_http(Box::new(directory.clone()));
    if let Some(known) = kept.account().filter(|known| known.directory == config.directory) {
        let account = builder.from_credentials(known.credentials).await?;
        if known.contact != config.contact {
            account.update_contacts(&contacts).await?;
            // Read again: the library has used the credentials up.
            if let Some(changed) = kept.account() {
                kept.keep_account(&KeptAccount {
                    contact: config.contact.clone(),
                    ..changed
                })?;
            }
        }
        return Ok(account);
    }
    let wanted = NewAccount {
        contact: &contacts,
        terms_of_service_agreed: config.terms_agreed,
        only_return_existing: false,
    };
    let binding = config.binding.as_ref().map(|(id, key)| {
        let key = mac_key(key.expose_secret()).ok_or(AcmeError::Binding)?;
        Ok::<_, AcmeError>(ExternalAccountKey::new(id.clone(), &key))
    });
    let binding = binding.transpose()?;
    let made = builder.create(&wanted, config.directory.clone(), binding.as_ref());
    let (account, credentials) = made.await?;
    kept.keep_account(&KeptAccount {
        directory: config.directory.clone(),
        contact: config.contact.clone(),
        credentials,
    })?;
    tracing::info!(target: "strongroom", account = account.id(), "a new account at the certificate directory");
    Ok(account)
}

/// The key of an external account as directories write it: base64url, with or without padding.
pub(crate) fn mac_key(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// Whether the directory does not know this account.
pub(super) fn is_of_unknown_account(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if problem.r#type.as_deref() == Some(NO_SUCH_ACCOUNT))
}

/// Orders a certificate for these names, proves them, and gives it with its new key.
pub(super) async fn certificate(
    account: &Account,
    directory: &str,
    names: &[String],
    proofs: &Arc<NameProofs>,
) -> Result<KeptCertificate, AcmeError> {
    let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let policy = RetryPolicy::new()
        .initial_delay(LOOK_FIRST)
        .backoff(LOOK_GROWTH)
        .timeout(LOOK_FOR);
    let mut shown = Vec::with_capacity(names.len());
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            // Proven lately.
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            _ => {
                return Err(AcmeError::Unexpected(
                    "an authorization is neither open nor given",
                ));
            }
        }
        let mut challenge = authorization
            .challenge(ChallengeType::TlsAlpn01)
            .ok_or(AcmeError::Unexpected("the directory does not take tls-alpn-01"))?;
        // The directory says which name to prove; others than our own are not proven for anybody.
        let name = match challenge.identifier().identifier {
            Identifier::Dns(name) => names.iter().find(|known| known.eq_ignore_ascii_case(name)),
            _ => None,
        };
        let name = name.ok_or(AcmeError::Unexpected("the directory asks about another name"))?;
        let digest = challenge.key_authorization().digest();
        shown.push(proofs.show(name, digest.as_ref())?);
        challenge.set_ready().await?;
    }
    let status = match order.poll_ready(&policy).await {
        Ok(status) => status,
        // The order says that it failed, its authorizations say why.
        Err(error @ Error::Api(_)) => return Err(refusal(&mut order).await.unwrap_or(error.into())),
        Err(error) => return Err(error.into()),
    };
    if status != OrderStatus::Ready {
        let refused = refusal(&mut order).await;
        return Err(refused.unwrap_or(AcmeError::Unexpected("the order was refused")));
    }
    drop(shown);
    let key = KeyPair::generate().map_err(super::TlsError::from)?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(super::TlsError::from)?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(super::TlsError::from)?;
    order.finalize_csr(request.der()).await?;
    Ok(KeptCertificate {
        directory: directory.to_owned(),
        names: names.to_vec(),
        chain: order.poll_certificate(&policy).await?,
        key: key.serialize_pem(),
    })
}

/// Why a name was not believed, as the directory tells.
async fn refusal(order: &mut Order) -> Option<AcmeError> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let state = authorization.refresh().await.ok()?;
        let told = state
            .challenges
            .iter()
            .find_map(|challenge| challenge.error.clone());
        if let Some(problem) = told {
            return Some(Error::Api(problem).into());
        }
    }
    None
}
