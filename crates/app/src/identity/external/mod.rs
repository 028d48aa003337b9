//! Logins by an issuer elsewhere (OpenID Connect Core 1.0).
//!
//! A person is known by issuer and subject, never by an address: an issuer that says somebody else's address does not
//! get that login. Who is nobody here yet becomes a customer, if the issuer vouches for an address that nobody has;
//! whoever has a login adds the issuer to it from inside, with a fresh factor. Second factors are asked for as after a
//! password.
//!
//! While somebody is at the issuer, nonce and verifier lie sealed in the database, under the state, bound to the
//! browser by a cookie, for minutes; the first answer takes them out, right or wrong.

mod arrive;
mod own;

use std::sync::Arc;

use strongroom_crypto::{
    ExposeSecret, Place, SecretString,
    oidc::{Issuer, IssuerSettings, Kept, OidcError},
    random,
    token::fingerprint,
};
use strongroom_domain::{
    id::{ExternalLoginId, SessionId, UserId},
    time::Timestamp,
};
use strongroom_store::{Scope, identity::ExternalStart};
use tokio::sync::Mutex;

pub use arrive::{Arrived, Returned};
pub use own::ExternalLoginDetails;
pub use strongroom_crypto::oidc::{Fetch, FetchError, Fetched, Incoming, Outgoing};

use crate::{
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
};

/// How long somebody may be at the issuer, in seconds.
pub const START_SECS: i64 = 10 * 60;
/// Longest code, state or issuer that is looked at, in bytes.
pub const ANSWER_BYTES_MAX: usize = 2048;
/// How long an issuer's endpoints and keys are believed, in seconds.
const FRESH_SECS: i64 = 10 * 60;
/// How long they are believed while it does not answer, in seconds.
const STALE_SECS: i64 = 24 * 60 * 60;
/// How long an issuer that did not answer is not asked again, in seconds.
const QUIET_SECS: i64 = 5;
/// How often an issuer is asked for its keys again because one was missing, in seconds.
const KEYS_AGAIN_SECS: i64 = 30;

/// An issuer that people may log in by.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Its name in addresses: lower-case letters, digits, hyphens.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Its identifier, an URL.
    pub issuer: String,
    /// As whom we are known there.
    pub client_id: String,
    /// Proves that it is us.
    pub client_secret: Option<SecretString>,
}

/// Somebody is sent away.
#[derive(Debug)]
pub struct Sent {
    /// Where to.
    pub url: String,
    /// For the browser to keep: it is the one that must come back.
    pub browser: SecretString,
}

/// What is known of an issuer.
#[derive(Debug, Default)]
struct Known {
    issuer: Option<(Timestamp, Arc<Issuer>)>,
    failed_at: Option<Timestamp>,
    again_at: Option<Timestamp>,
}

/// An issuer with what is known of it.
#[derive(Debug)]
struct Provider {
    title: String,
    name: String,
    settings: IssuerSettings,
    known: Mutex<Known>,
}

/// All issuers, and who sends requests to them.
#[derive(Debug, Default)]
pub(crate) struct Providers {
    all: Vec<Provider>,
    fetch: tokio::sync::OnceCell<Arc<dyn Fetch>>,
}

impl Providers {
    pub(crate) fn new(public_url: &str, settings: &[ProviderSettings]) -> Self {
        let all = settings.iter().map(|provider| Provider {
            title: provider.title.clone(),
            name: provider.name.clone(),
            settings: IssuerSettings {
                issuer: provider.issuer.clone(),
                client_id: provider.client_id.clone(),
                client_secret: provider.client_secret.clone(),
                redirect_url: format!("{public_url}/api/v1/auth/oidc/{}/callback", provider.name),
            },
            known: Mutex::default(),
        });
        Self {
            all: all.collect(),
            fetch: tokio::sync::OnceCell::new(),
        }
    }

    fn find(&self, name: &str) -> Result<&Provider, Error> {
        let found = self.all.iter().find(|provider| provider.name == name);
        found.ok_or_else(Error::not_found)
    }

    fn fetch(&self) -> Result<&Arc<dyn Fetch>, Error> {
        self.fetch.get().ok_or_else(away)
    }
}

impl Provider {
    /// Endpoints and keys, not older than [`FRESH_SECS`].
    async fn issuer(&self, fetch: &Arc<dyn Fetch>, now: Timestamp) -> Result<Arc<Issuer>, Error> {
        let mut known = self.known.lock().await;
        self.at_most(&mut known, fetch, now, FRESH_SECS).await
    }

    /// The same where a key was missing: asked for anew, unless that was done lately.
    async fn issuer_again(&self, fetch: &Arc<dyn Fetch>, now: Timestamp) -> Result<Arc<Issuer>, Error> {
        let mut known = self.known.lock().await;
        let lately = known
            .again_at
            .is_some_and(|at| now.seconds_since(at) < KEYS_AGAIN_SECS);
        if lately {
            return self.at_most(&mut known, fetch, now, FRESH_SECS).await;
        }
        known.again_at = Some(now);
        self.at_most(&mut known, fetch, now, 0).await
    }

    async fn at_most(
        &self,
        known: &mut Known,
        fetch: &Arc<dyn Fetch>,
        now: Timestamp,
        secs: i64,
    ) -> Result<Arc<Issuer>, Error> {
        let age = known.issuer.as_ref().map(|(at, _)| now.seconds_since(*at));
        if let (Some(age), Some((_, issuer))) = (age, &known.issuer)
            && age < secs
        {
            return Ok(issuer.clone());
        }
        let resting = known
            .failed_at
            .is_some_and(|at| now.seconds_since(at) < QUIET_SECS);
        let asked = if resting {
            Err(OidcError::Unavailable("it was just asked".to_owned()))
        } else {
            Issuer::discover(&self.settings, fetch).await.map(Arc::new)
        };
        match (asked, &known.issuer) {
            (Ok(issuer), _) => {
                known.issuer = Some((now, issuer.clone()));
                known.failed_at = None;
                Ok(issuer)
            }
            (Err(error), stale) => {
                let stale = stale.as_ref().filter(|_| age.is_some_and(|age| age < STALE_SECS));
                let stale = stale.map(|(_, issuer)| issuer.clone());
                if !resting {
                    tracing::warn!(provider = self.name, %error, "an issuer of logins does not answer");
                    known.failed_at = Some(now);
                }
                stale.ok_or_else(away)
            }
        }
    }
}

impl Bank {
    /// Lets requests to issuers be sent. Once, before the first request is served.
    pub fn fetch_by(&self, fetch: Arc<dyn Fetch>) {
        let _ = self.identity.external.fetch.set(fetch);
    }

    /// The issuers that people may log in by: name in addresses, and what people call it.
    pub fn login_providers(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.identity.external.all.iter();
        all.map(|provider| (provider.name.as_str(), provider.title.as_str()))
    }

    /// Sends somebody to an issuer to log in.
    ///
    /// # Errors
    /// `not_found` for an issuer that is not configured; `unavailable` where it does not answer.
    pub async fn start_external(self: &Arc<Self>, cx: &Cx, provider: &str) -> Result<Sent, Error> {
        let (cx, provider) = (cx.clone(), provider.to_owned());
        self.detached(move |bank| async move { bank.send_away(&cx, &provider, None).await })
            .await
    }

    async fn send_away(
        &self,
        cx: &Cx,
        provider: &str,
        adds_to: Option<(UserId, SessionId)>,
    ) -> Result<Sent, Error> {
        let external = &self.identity.external;
        let found = external.find(provider)?;
        let issuer = found.issuer(external.fetch()?, cx.now()).await?;
        let departure = issuer.depart();
        let (browser, hash) = (random::token(), fingerprint(departure.state.expose_secret()));
        let start = ExternalStart {
            hash,
            provider: provider.to_owned(),
            browser: fingerprint(browser.expose_secret()),
            adds_to,
            sealed: self.ring().seal(start_place(&hash), &kept_text(&departure.kept)),
            created_at: cx.now(),
            expires_at: cx.now().plus_seconds(START_SECS),
        };
        let tx = self.store.write(Scope::System).await?;
        tx.insert_external_start(&start).await?;
        tx.commit().await?;
        Ok(Sent {
            url: departure.url,
            browser,
        })
    }
}

/// Nonce and verifier with a space between: neither holds one.
fn kept_text(kept: &Kept) -> Vec<u8> {
    let (nonce, verifier) = (kept.nonce.expose_secret(), kept.verifier.expose_secret());
    format!("{nonce} {verifier}").into_bytes()
}

fn read_kept(text: &str) -> Option<Kept> {
    let (nonce, verifier) = text.split_once(' ')?;
    Some(Kept {
        nonce: SecretString::from(nonce),
        verifier: SecretString::from(verifier),
    })
}

/// The issuer, or whoever sends to it, is not there.
fn away() -> Error {
    Error::new(
        Kind::Unavailable,
        "unavailable",
        "This way to log in is not available at the moment.",
    )
    .retry_after(std::time::Duration::from_secs(QUIET_SECS.unsigned_abs()))
}

const fn start_place(hash: &[u8; 32]) -> Place<'_> {
    Place {
        table: "external_starts",
        column: "sealed",
        row: hash,
    }
}

const fn login_place(login: &ExternalLoginId) -> Place<'_> {
    Place {
        table: "external_logins",
        column: "sealed",
        row: login.as_bytes(),
    }
}
