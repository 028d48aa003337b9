//! What establishing a principal needs: settings, keys of tokens, the pool that hashes passwords, and what is
//! remembered.

pub(crate) mod agent;
pub mod auth_state;
pub mod browser;
pub mod closing;
pub mod credentials;
pub mod customers;
pub mod devices;
pub mod email;
pub mod email_change;
pub(crate) mod export;
pub mod external;
pub(crate) mod factor_reset;
pub mod factors;
pub(crate) mod guess;
pub mod harder;
pub(crate) mod last_seen;
pub mod login;
pub mod mfa;
pub mod operators;
pub mod passkeys;
pub mod passwords;
pub mod people;
pub mod personal;
pub mod possession;
pub mod refresh;
pub mod registration;
pub mod sessions;
pub mod step_up;
pub mod token_set;
pub mod users;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use strongroom_crypto::{
    AccessTokens, KeyEnvironment, Keyring, Passkeys, PasswordPool,
    password::{Cost, Policy, PoolSize},
};
use strongroom_domain::{
    id::RequestId,
    principal::{Assurance, Caller, Origin, Principal},
};

use crate::{
    authority::readers::ReadersRule,
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::{
        auth_state::AuthState,
        external::{ProviderSettings, Providers},
    },
    mail::{MAIL_RETRY_SECS, MailSink},
};

/// Lifetime of an access token, in seconds.
pub const ACCESS_TOKEN_SECS: u32 = 900;
/// A session that is not used for so long is over, in seconds.
pub const SESSION_IDLE_SECS: i64 = 15 * 60;
/// A customer's session ends after so long, however much it is used, in seconds.
pub const SESSION_CUSTOMER_SECS: i64 = 12 * 60 * 60;
/// An operator's session ends after so long, in seconds.
pub const SESSION_OPERATOR_SECS: i64 = 8 * 60 * 60;
/// Passwords that are measured at a time for people who think of one; more are told to come back.
const METERS: usize = 8;
/// How many logins read or write at once. A flood of them waits here, and not in front of the database among those who
/// are in already; passwords are looked at far slower than so few write.
const DOOR: usize = 4;
/// The client that access tokens are issued to: ours.
const CLIENT: &str = "strongroom";

/// How people log in here.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// What clients call this server: the issuer of its tokens and the base of links in mails.
    pub public_url: String,
    /// What operators call it, where they have a listener and a name of their own.
    pub operators_url: Option<String>,
    /// For whom access tokens are issued.
    pub audience: String,
    /// The environment that API keys are for.
    pub key_environment: KeyEnvironment,
    /// Operators work at once, without the approval of another: development only.
    pub operators_at_once: bool,
    /// New operators decide about requests of others at once: development only.
    pub approvals_bootstrap: bool,
    /// How much an operator reads before somebody is told.
    pub readers: ReadersRule,
    /// How long decisions are kept, in days; the database keeps them for 400 at least.
    pub decisions_kept_days: u32,
    /// What a new password must be.
    pub password_policy: Policy,
    /// What a password hash costs.
    pub password_cost: Cost,
    /// How many hashes are computed and wait at a time.
    pub password_pool: PoolSize,
    /// Transfers above so many whole units of their currency need a fresh factor of a customer who has one.
    pub step_up_transfer_over: u64,
    /// Customers without a second factor are asked for one, too, so that they must bind one first.
    pub customer_mfa_required: bool,
    /// Wrong tries of everybody in five minutes from which on unknown devices solve a puzzle first; 0 for never.
    pub puzzle_after: u32,
    /// Issuers elsewhere that people may log in by.
    pub providers: Vec<ProviderSettings>,
    /// The sender's name in mails and authenticator apps.
    pub bank_name: String,
    /// Wait after the first try at a mail that failed, in seconds; twice as long after each further one.
    pub mail_retry_secs: u32,
}

impl IdentitySettings {
    /// How long decisions are kept where nobody says otherwise, in days: ten years.
    pub const DECISIONS_KEPT_DAYS: u32 = 3_653;

    /// Threads that hash passwords, 46 MiB each.
    pub const PASSWORD_WORKERS: usize = 2;
    /// Passwords that wait to be hashed.
    pub const PASSWORD_QUEUE: usize = 64;
    /// Places of the queue that are kept for known devices.
    pub const PASSWORD_RESERVED: usize = 16;

    /// Wrong tries in five minutes.
    pub const PUZZLE_AFTER: u32 = 300;

    /// Whole units of the currency.
    pub const STEP_UP_TRANSFER_OVER: u64 = 10_000;

    /// For a server at this address, with the defaults for everything else.
    pub fn new(public_url: &str) -> Self {
        Self {
            public_url: public_url.trim_end_matches('/').to_owned(),
            operators_url: None,
            audience: public_url.trim_end_matches('/').to_owned(),
            key_environment: KeyEnvironment::Test,
            operators_at_once: false,
            approvals_bootstrap: false,
            readers: ReadersRule::default(),
            decisions_kept_days: Self::DECISIONS_KEPT_DAYS,
            password_policy: Policy::default(),
            password_cost: Cost::DEFAULT,
            password_pool: PoolSize {
                workers: Self::PASSWORD_WORKERS,
                queue: Self::PASSWORD_QUEUE,
                reserved: Self::PASSWORD_RESERVED,
            },
            step_up_transfer_over: Self::STEP_UP_TRANSFER_OVER,
            customer_mfa_required: false,
            puzzle_after: Self::PUZZLE_AFTER,
            providers: Vec::new(),
            bank_name: "Strongroom".to_owned(),
            mail_retry_secs: MAIL_RETRY_SECS,
        }
    }
}

/// The part of the bank that knows people.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) settings: IdentitySettings,
    /// Host and port of the public address, as signatures name them.
    pub(crate) authority: String,
    /// The same of the operators' address.
    pub(crate) operators_authority: Option<String>,
    pub(crate) tokens: AccessTokens,
    pub(crate) passwords: PasswordPool,
    pub(crate) policy: Arc<Policy>,
    /// Places of those who measure a password that they think of.
    pub(crate) meters: tokio::sync::Semaphore,
    /// Places of logins that read or write at this moment.
    pub(crate) door: tokio::sync::Semaphore,
    /// None where the server's address has no host name: then there are no passkeys.
    pub(crate) passkeys: Option<Passkeys>,
    pub(crate) state: AuthState,
    pub(crate) external: Providers,
    /// Tries that a secret was looked at for.
    pub(crate) guesses: AtomicU64,
    pub(crate) wrong_tries: harder::Failures,
    pub(crate) mail: tokio::sync::OnceCell<Arc<dyn MailSink>>,
    pub(crate) mail_waits: tokio::sync::Notify,
}

impl Identity {
    pub(crate) fn new(ring: &Keyring, settings: &IdentitySettings) -> Result<Self, Error> {
        Ok(Self {
            tokens: AccessTokens::new(&settings.public_url, &settings.audience, CLIENT),
            passwords: PasswordPool::start(ring, settings.password_cost, settings.password_pool)
                .map_err(Error::internal)?,
            policy: Arc::new(settings.password_policy.clone()),
            meters: tokio::sync::Semaphore::new(METERS),
            door: tokio::sync::Semaphore::new(DOOR),
            passkeys: Passkeys::new(&settings.public_url, &settings.bank_name).ok(),
            state: AuthState::default(),
            external: Providers::new(&settings.public_url, &settings.providers),
            guesses: AtomicU64::new(0),
            wrong_tries: harder::Failures::default(),
            settings: settings.clone(),
            authority: authority_of(&settings.public_url),
            operators_authority: settings.operators_url.as_deref().map(authority_of),
            mail: tokio::sync::OnceCell::new(),
            mail_waits: tokio::sync::Notify::new(),
        })
    }
}

impl Bank {
    /// The context of a call by somebody who holds the data directory, by numeric user id of the host.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn cx_cli(&self, uid: u32) -> Result<Cx, Error> {
        self.cx_of(Principal::Cli(uid), Origin::Cli).await
    }

    /// The context of a background job.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn cx_job(&self) -> Result<Cx, Error> {
        self.cx_of(Principal::Job, Origin::Job).await
    }

    async fn cx_of(&self, principal: Principal, origin: Origin) -> Result<Cx, Error> {
        let now = self.clock.now();
        let caller = Caller {
            principal,
            session: None,
            origin,
        };
        let request = RequestId::from_bytes(strongroom_crypto::random::uuid_v7(now.micros()));
        let epoch = self.reached_by(principal).await?;
        Ok(Cx::new(
            caller,
            Arc::default(),
            Assurance::None,
            request,
            now,
            epoch,
        ))
    }

    /// Password hashes computed so far: whoever asks for the wrong secret must cost as many as who asks for the
    /// right one.
    pub fn password_hashes(&self) -> u64 {
        self.identity.passwords.computed()
    }

    /// Tries that were let through to a secret so far: many at once must not be more than one after another would be.
    pub fn guesses_made(&self) -> u64 {
        self.identity.guesses.load(Ordering::Relaxed)
    }

    /// Runs a use case that writes to its end, whether or not its caller still waits: a client that goes away must
    /// not leave half an answer behind.
    pub(crate) async fn detached<T, F>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        tokio::spawn(work(self.clone())).await.map_err(Error::internal)?
    }
}

/// Host in lower case, port where it is not the usual one (RFC 9421, section 2.2.3).
fn authority_of(public_url: &str) -> String {
    let rest = public_url.split_once("://").map_or(public_url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default().to_ascii_lowercase();
    authority
        .strip_suffix(":443")
        .map_or_else(|| authority.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::authority_of;

    #[test]
    fn the_authority_is_the_host_and_an_unusual_port() {
        for (url, authority) in [
            ("https://localhost:8443", "localhost:8443"),
            ("https://Bank.Example", "bank.example"),
            ("https://bank.example:443", "bank.example"),
        ] {
            assert_eq!(authority_of(url), authority);
        }
    }
}
