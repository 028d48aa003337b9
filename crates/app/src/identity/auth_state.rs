//! The one place where a principal is established.
//!
//! A token is verified once and remembered by its fingerprint; a session's state is read once and remembered as
//! long as nothing was revoked. Before anything remembered is trusted, the revocation epoch is asked: unchanged
//! means that all of it is still true, changed means that what was revoked is read and forgotten first. So logout,
//! lock and change of role count from the very next request, on every node, and an ordinary request reads nothing
//! from the tables.
//!
//! What must hold: an entry read before a revocation never survives it. Entries are put in only while the epoch
//! that they were read under is still the one that forgetting has reached; both happen under one lock.

mod epoch;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use quick_cache::sync::Cache;
use strongroom_crypto::{
    ApiKey, ApiKeyHash, TokenError, dpop::thumbprint_of, http_signature::Presented, token::fingerprint,
};
use strongroom_domain::{
    department::Department,
    id::{ApiKeyId, SessionId, UserId},
    ledger::KeyBounds,
    principal::{Assurance, Caller, Principal},
    time::Timestamp,
};
use strongroom_store::{
    Delta, Revoked,
    identity::{ApiKeyRow, KeySigning, SessionRow, UserState},
};

use crate::{
    api_keys::{
        networks::Networks,
        signatures::{OpenNonce, invalid},
    },
    arrival::{Arrival, Credential},
    authority::grants::{GrantRow, bound_at, next_end, roles_at},
    bank::Bank,
    cx::{Cx, Proofs, Rights},
    error::{Error, Kind},
    identity::{
        SESSION_IDLE_SECS,
        possession::{Possession, invalid_proof},
    },
};

/// Most verified tokens that are remembered.
const TOKENS_CACHED_MAX: usize = 50_000;
/// Most sessions that are remembered.
const SESSIONS_CACHED_MAX: usize = 50_000;
/// Most keys that are remembered.
const KEYS_CACHED_MAX: usize = 2_000;
/// Most addresses that are remembered to have to wait.
const WAITING_MAX: usize = 10_000;
/// A session's last use is written when it moved by this much, in seconds.
pub(crate) const SEEN_WRITE_SECS: i64 = 60;
const MICROS: i64 = 1_000_000;

/// What a verified token says, for as long as it is good.
#[derive(Debug, Clone, Copy)]
struct Verified {
    session: SessionId,
    /// The thumbprint of the key that it is bound to.
    holder: Option<[u8; 32]>,
    not_before: i64,
    expires: i64,
}

/// A living session in memory.
#[derive(Debug)]
pub(crate) struct LiveSession {
    id: SessionId,
    person: UserId,
    assurance: Assurance,
    rights: Arc<Rights>,
    /// When the first role ends: then the rights are read anew.
    rights_until: Option<Timestamp>,
    proofs: Proofs,
    expires_at: Timestamp,
    /// The thumbprint of the key that its tokens are bound to.
    holder: Option<[u8; 32]>,
    seen: Seen,
}

/// A living key in memory.
#[derive(Debug)]
struct LiveKey {
    owner: UserId,
    rights: Arc<Rights>,
    /// When the first role of the owner ends: then the rights are read anew.
    rights_until: Option<Timestamp>,
    hash: ApiKeyHash,
    expires_at: Option<Timestamp>,
    networks: Option<Networks>,
    certificate: Option<[u8; 32]>,
    bounds: Arc<KeyBounds>,
    signing: KeySigning,
    seen: Seen,
}

/// Microseconds: last use, and last use as written.
#[derive(Debug)]
struct Seen {
    at: AtomicI64,
    written: AtomicI64,
}

impl Seen {
    fn new(at: Timestamp) -> Self {
        Self {
            at: AtomicI64::new(at.micros()),
            written: AtomicI64::new(at.micros()),
        }
    }

    /// When, where it moved on since it was written.
    fn unwritten(&self) -> Option<Timestamp> {
        let seen = self.at.load(Ordering::Relaxed);
        (seen > self.written.load(Ordering::Relaxed)).then_some(Timestamp::from_micros(seen))
    }
}

/// What is remembered about who may come in.
#[derive(Debug)]
pub(crate) struct AuthState {
    tokens: Cache<[u8; 32], Verified>,
    sessions: Cache<SessionId, Arc<LiveSession>>,
    keys: Cache<ApiKeyId, Arc<LiveKey>>,
    /// Addresses that showed too many wrong keys, and until when they are not looked up again.
    pub(crate) waiting: Cache<[u8; 16], Timestamp>,
    /// The epoch up to which everything revoked was forgotten.
    forgotten: AtomicI64,
    /// Held while entries are put in and while they are forgotten.
    order: Mutex<()>,
}

impl Default for AuthState {
    fn default() -> Self {
        Self {
            tokens: Cache::new(TOKENS_CACHED_MAX),
            sessions: Cache::new(SESSIONS_CACHED_MAX),
            keys: Cache::new(KEYS_CACHED_MAX),
            waiting: Cache::new(WAITING_MAX),
            forgotten: AtomicI64::new(0),
            order: Mutex::new(()),
        }
    }
}

impl AuthState {
    /// Puts an entry in, unless something was revoked since it was read.
    fn remember(&self, epoch: i64, put: impl FnOnce(&Self)) {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if self.forgotten.load(Ordering::Acquire) == epoch {
            put(self);
        }
    }

    fn forget(&self, from: i64, upto: i64, delta: &Delta) {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let reached = self.forgotten.load(Ordering::Acquire);
        if reached >= upto {
            return;
        }
        match delta {
            // Somebody else forgot a part meanwhile: forgetting it twice does no harm, a gap would.
            Delta::Revoked(revoked) if from <= reached => revoked.iter().for_each(|what| self.drop_one(what)),
            _ => {
                self.sessions.clear();
                self.keys.clear();
            }
        }
        self.forgotten.store(upto, Ordering::Release);
    }

    fn drop_one(&self, what: &Revoked) {
        match *what {
            Revoked::Session(id) => {
                self.sessions.remove(&id);
            }
            Revoked::User(person) => {
                self.sessions.retain(|_, session| session.person != person);
                self.keys.retain(|_, key| key.owner != person);
            }
            Revoked::ApiKey(id) => {
                self.keys.remove(&id);
            }
            Revoked::Everybody => self.sessions.clear(),
            // Nothing that is remembered of anybody depends on them.
            Revoked::Policies | Revoked::Keys | Revoked::FraudRules => {}
        }
    }

    /// Sessions whose last use moved on since it was written.
    pub(crate) fn unwritten(&self) -> Vec<(SessionId, Timestamp)> {
        self.sessions
            .iter()
            .filter_map(|(id, session)| session.seen.unwritten().map(|at| (id, at)))
            .collect()
    }

    /// Keys whose last use moved on since it was written.
    pub(crate) fn unwritten_keys(&self) -> Vec<(ApiKeyId, Timestamp)> {
        self.keys
            .iter()
            .filter_map(|(id, key)| key.seen.unwritten().map(|at| (id, at)))
            .collect()
    }

    /// When a key was last used, as far as this process knows.
    pub(crate) fn key_seen(&self, key: ApiKeyId) -> Option<Timestamp> {
        let live = self.keys.get(&key)?;
        let seen = live.seen.at.load(Ordering::Relaxed);
        (seen > 0).then_some(Timestamp::from_micros(seen))
    }

    /// When a session was last used, as far as this process knows.
    pub(crate) fn seen(&self, session: SessionId) -> Option<Timestamp> {
        let live = self.sessions.get(&session)?;
        Some(Timestamp::from_micros(live.seen.at.load(Ordering::Relaxed)))
    }

    pub(crate) fn mark_keys_written(&self, written: &[(ApiKeyId, Timestamp)]) {
        for (id, at) in written {
            if let Some(key) = self.keys.get(id) {
                key.seen.written.fetch_max(at.micros(), Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn mark_written(&self, written: &[(SessionId, Timestamp)]) {
        for (id, at) in written {
            if let Some(session) = self.sessions.get(id) {
                session.seen.written.fetch_max(at.micros(), Ordering::Relaxed);
            }
        }
    }
}

/// Whether rights that were read before are still those of this moment.
fn is_of_now(until: Option<Timestamp>, now: Timestamp) -> bool {
    until.is_none_or(|end| now < end)
}

impl LiveSession {
    fn of(row: &SessionRow, grants: &[GrantRow], department: Option<Department>, now: Timestamp) -> Self {
        Self {
            id: row.id,
            person: row.person,
            assurance: row.assurance,
            rights: Arc::new(Rights {
                roles: roles_at(grants, now),
                scopes: None,
                department,
                within: bound_at(grants, now),
            }),
            rights_until: next_end(grants, now),
            proofs: Proofs {
                login_at: Some(row.created_at),
                proved_at: row.proved_at,
            },
            expires_at: row.expires_at,
            holder: row.holder,
            seen: Seen::new(row.last_seen_at),
        }
    }

    fn idle(&self, now: Timestamp) -> bool {
        now.micros().saturating_sub(self.seen.at.load(Ordering::Relaxed)) > SESSION_IDLE_SECS * MICROS
    }
}

/// Whether a session counts at this moment, as the tables tell it.
pub(crate) fn is_live(row: &SessionRow, now: Timestamp) -> bool {
    !row.ended
        && row.user == UserState::Active
        && now < row.expires_at
        && now.micros().saturating_sub(row.last_seen_at.micros()) <= SESSION_IDLE_SECS * MICROS
}

/// A token or key that is not, or not any more, good for anything. The same whatever the reason.
pub(crate) fn refused() -> Error {
    Error::new(
        Kind::Unauthenticated,
        "token_invalid",
        "Authentication is required: the token is not valid, or its session has ended.",
    )
}

fn expired() -> Error {
    Error::new(
        Kind::Unauthenticated,
        "token_expired",
        "Authentication is required: the token has expired.",
    )
}

impl Bank {
    /// Establishes who calls.
    ///
    /// # Errors
    /// `token_invalid`, `token_expired`; `unavailable` when it cannot be asked what was revoked.
    pub async fn authenticate(&self, credential: Credential<'_>, arrival: Arrival) -> Result<Cx, Error> {
        let now = self.clock.now();
        match credential {
            Credential::Bearer(text) => {
                let verified = self.verified(text, now)?;
                // A token that is bound to a key is nothing without a proof of it.
                if verified.holder.is_some() {
                    return Err(invalid_proof());
                }
                self.enter_session(verified.session, arrival, now, Possession::Bearer)
                    .await
            }
            Credential::Bound(text, parts) => {
                let verified = self.verified(text, now)?;
                let proof = self.shown_proof(&parts, Some(text))?;
                if verified.holder != Some(proof.holder) {
                    return Err(invalid_proof());
                }
                let possession = Possession::Key(proof.holder);
                let cx = self
                    .enter_session(verified.session, arrival, now, possession)
                    .await?;
                Ok(cx.with_nonce(Arc::new(OpenNonce::new(proof.nonce))))
            }
            Credential::Browser(text) => {
                let session = self.store.browser_session(&fingerprint(text)).await?;
                let session = session.ok_or_else(refused)?;
                self.enter_session(session, arrival, now, Possession::Bearer)
                    .await
            }
            Credential::ApiKey(text) => {
                let entered = self.enter_by_key(text, arrival, now).await;
                self.charged(entered, arrival.address, now).await
            }
            Credential::Signed(parts) => {
                // What is wrong with the form of a signature is no guess at a key.
                let presented = self.presented(&parts, now)?;
                let entered = self.enter_signed(&presented, arrival, now).await;
                self.charged(entered, arrival.address, now).await
            }
        }
    }

    async fn enter_by_key(&self, text: &str, arrival: Arrival, now: Timestamp) -> Result<Cx, Error> {
        let shown = ApiKey::parse(text)
            .filter(|key| key.environment() == self.identity.settings.key_environment)
            .ok_or_else(refused)?;
        let id = ApiKeyId::from_bytes(shown.id());
        let (epoch, key) = self.live_key(id, now).await?;
        if !self.ring().api_key_matches(&shown, &key.hash) || !key.is_open_to(&arrival) {
            return Err(refused());
        }
        key.seen.at.fetch_max(now.micros(), Ordering::Relaxed);
        Ok(key_cx(id, &key, arrival, now, epoch).under(self.policies.current()))
    }

    pub(crate) async fn enter_by_signature(
        &self,
        id: ApiKeyId,
        presented: &Presented,
        arrival: Arrival,
        now: Timestamp,
    ) -> Result<Cx, Error> {
        let (epoch, key) = match self.live_key(id, now).await {
            Err(error) if error.kind == Kind::Unauthenticated => return Err(invalid()),
            found => found?,
        };
        if !self.is_signed_by(id, &key.signing, presented)? || !key.is_open_to(&arrival) {
            return Err(invalid());
        }
        key.seen.at.fetch_max(now.micros(), Ordering::Relaxed);
        Ok(key_cx(id, &key, arrival, now, epoch).under(self.policies.current()))
    }

    /// The same call under the rights that are in force now.
    ///
    /// # Errors
    /// `token_invalid` when the session or the key is gone.
    pub async fn renew(&self, cx: &Cx) -> Result<Cx, Error> {
        let renewed = self.enter_anew(cx).await?.by_agent_of(cx);
        match cx.beside {
            // Where somebody belongs may have changed as well.
            Some((owner, _)) => Ok(self.beside(&renewed, owner).await?.into_owned()),
            None => Ok(renewed),
        }
    }

    async fn enter_anew(&self, cx: &Cx) -> Result<Cx, Error> {
        let arrival = Arrival {
            request: cx.request,
            origin: cx.caller.origin,
            address: cx.address,
            certificate: None,
        };
        match (cx.caller.principal, cx.caller.session) {
            (Principal::User(_), Some(session)) => {
                self.enter_session(session, arrival, cx.now(), Possession::Established)
                    .await
            }
            (Principal::ApiKey { key, .. }, _) => {
                let (epoch, live) = self.live_key(key, cx.now()).await?;
                Ok(key_cx(key, &live, arrival, cx.now(), epoch).under(self.policies.current()))
            }
            (principal @ (Principal::Job | Principal::Cli(_)), _) => {
                Ok(cx.at_epoch(self.reached_by(principal).await?))
            }
            (Principal::User(_) | Principal::Anonymous, _) => Err(Error::unauthenticated()),
        }
    }

    fn verified(&self, text: &str, now: Timestamp) -> Result<Verified, Error> {
        let state = &self.identity.state;
        let name = fingerprint(text);
        if let Some(known) = state.tokens.get(&name) {
            // Verified once: only time can have changed what it says.
            if now.micros() >= known.expires {
                return Err(expired());
            }
            if now.micros() >= known.not_before {
                return Ok(known);
            }
        }
        let claims = self
            .identity
            .tokens
            .verify(&self.ring(), text, now.micros())
            .map_err(|error| match error {
                TokenError::Expired => expired(),
                _ => refused(),
            })?;
        let holder = match &claims.cnf {
            Some(bound) => Some(thumbprint_of(&bound.jkt).ok_or_else(refused)?),
            None => None,
        };
        let session = SessionId::parse(&claims.sid).map_err(|_| refused())?;
        let verified = Verified {
            session,
            holder,
            not_before: claims.nbf.saturating_mul(MICROS),
            expires: claims.exp.saturating_mul(MICROS),
        };
        state.tokens.insert(name, verified);
        Ok(verified)
    }

    async fn enter_session(
        &self,
        session: SessionId,
        arrival: Arrival,
        now: Timestamp,
        possession: Possession,
    ) -> Result<Cx, Error> {
        let epoch = self.caught_up().await?;
        let state = &self.identity.state;
        let live = match state.sessions.get(&session) {
            // Another node may have seen it used since: ask before calling it idle.
            Some(live) if !live.idle(now) && is_of_now(live.rights_until, now) => live,
            _ => {
                let row = self.store.session(session).await?.ok_or_else(refused)?;
                if !is_live(&row, now) {
                    return Err(refused());
                }
                let grants = self.store.grants(row.person).await?;
                let department = self.store.department(row.person).await?;
                let live = Arc::new(LiveSession::of(&row, &grants, department, now));
                state.remember(epoch, |state| state.sessions.insert(session, live.clone()));
                live
            }
        };
        if now >= live.expires_at {
            return Err(refused());
        }
        if !possession.suffices(live.holder) {
            return Err(invalid_proof());
        }
        live.seen.at.fetch_max(now.micros(), Ordering::Relaxed);
        let caller = Caller {
            principal: Principal::User(live.person),
            session: Some(live.id),
            origin: arrival.origin,
        };
        let rights = live.rights.clone();
        Ok(
            Cx::new(caller, rights, live.assurance, arrival.request, now, epoch)
                .with_proofs(live.proofs)
                .at_address(arrival.address, self.network_of(arrival.address))
                .under(self.policies.current()),
        )
    }

    async fn live_key(&self, id: ApiKeyId, now: Timestamp) -> Result<(i64, Arc<LiveKey>), Error> {
        let epoch = self.caught_up().await?;
        let state = &self.identity.state;
        let live = match state.keys.get(&id) {
            Some(live) if is_of_now(live.rights_until, now) => live,
            _ => {
                let row = self.store.api_key(id).await?.ok_or_else(refused)?;
                if row.revoked || row.user != UserState::Active {
                    return Err(refused());
                }
                let networks = match &row.sealed_networks {
                    Some(sealed) => Some(Networks::open(
                        &*self.people.key_of(row.owner).await?,
                        &id,
                        sealed,
                    )?),
                    None => None,
                };
                let grants = self.store.grants(row.owner).await?;
                let department = self.store.department(row.owner).await?;
                let live = Arc::new(LiveKey::of(row, networks, (&grants, department), now));
                state.remember(epoch, |state| state.keys.insert(id, live.clone()));
                live
            }
        };
        if live.expires_at.is_some_and(|end| now >= end) {
            return Err(refused());
        }
        Ok((epoch, live))
    }
}

impl LiveKey {
    /// Whether it may be used from there, by a client with that certificate. Both are refused as a wrong key is: a
    /// thief does not learn that it is a right one.
    fn is_open_to(&self, arrival: &Arrival) -> bool {
        let of_network = self
            .networks
            .as_ref()
            .is_none_or(|networks| arrival.address.is_some_and(|address| networks.hold(address)));
        of_network && (self.certificate.is_none() || self.certificate == arrival.certificate)
    }

    fn of(
        row: ApiKeyRow,
        networks: Option<Networks>,
        (grants, department): (&[GrantRow], Option<Department>),
        now: Timestamp,
    ) -> Self {
        Self {
            owner: row.owner,
            rights: Arc::new(Rights {
                roles: roles_at(grants, now),
                scopes: Some(row.scopes),
                department,
                within: bound_at(grants, now),
            }),
            rights_until: next_end(grants, now),
            hash: ApiKeyHash {
                kid: row.hash_key,
                hash: row.hash,
            },
            expires_at: row.expires_at,
            networks,
            certificate: row.certificate,
            bounds: Arc::new(row.bounds),
            signing: row.signing,
            seen: Seen::new(row.last_used_at.unwrap_or_default()),
        }
    }
}

/// A key was made by somebody with two factors and is bounded by its scopes: it counts as sure as that.
fn key_cx(key: ApiKeyId, live: &LiveKey, arrival: Arrival, now: Timestamp, epoch: i64) -> Cx {
    let caller = Caller {
        principal: Principal::ApiKey {
            key,
            owner: live.owner,
        },
        session: None,
        origin: arrival.origin,
    };
    let rights = live.rights.clone();
    Cx::new(caller, rights, Assurance::Aal2, arrival.request, now, epoch)
        .with_bounds(live.bounds.clone())
        .at_address(arrival.address, None)
}
