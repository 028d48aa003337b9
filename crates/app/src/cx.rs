//! The context of a call: who, with which rights, in which request, when, and under which policies.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use strongroom_crypto::random;
use strongroom_domain::{
    department::Department,
    id::{Id, RequestId, UserId},
    ledger::KeyBounds,
    principal::{Assurance, Caller, Origin, Principal, Role},
    text::check_line,
    time::Timestamp,
};

use crate::{api_keys::signatures::OpenNonce, authority::policy::InForce, error::Error};

/// The longest reason for a read, in characters.
pub const REASON_CHARS_MAX: usize = 200;
/// So much of what a client calls itself is kept.
pub const AGENT_CHARS_MAX: usize = 200;

/// What a principal holds: the input of every decision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// Roles in force.
    pub roles: Vec<Role>,
    /// Scopes, for an integration's key: it may do what its owner may *and* its scopes name. `None` for people.
    pub scopes: Option<Vec<String>>,
    /// Where the person works.
    pub department: Option<Department>,
    /// Those of the roles that count in one department only.
    pub within: Vec<(Role, Department)>,
}

impl Rights {
    /// Whether a role is held.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// The only department that a role counts in; `None` where it counts everywhere.
    pub(crate) fn bound_to(&self, role: Role) -> Option<Department> {
        let found = self.within.iter().find(|(of, _)| *of == role);
        found.map(|(_, department)| *department)
    }

    /// The roles that count everywhere.
    pub(crate) fn everywhere(&self) -> Vec<Role> {
        let all = self.roles.iter().copied();
        all.filter(|role| self.bound_to(*role).is_none()).collect()
    }
}

/// How fresh the proofs are that a session rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proofs {
    /// When the session began, with all factors of a login or with a fresh one.
    pub login_at: Option<Timestamp>,
    /// When a factor was proved again, for changes of settings.
    pub proved_at: Option<Timestamp>,
}

/// How far a call of an operator reached: whether anything was decided about what is not the operator's own. Clones
/// share it.
#[derive(Debug, Clone, Default)]
pub struct Reach(std::sync::Arc<AtomicBool>);

impl Reach {
    /// Whether it did.
    pub fn is_beyond_own(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn goes_beyond_own(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The context of one call. Made where a principal is established, and nowhere else.
#[derive(Debug, Clone)]
pub struct Cx {
    /// Who acts, in which session, from where.
    pub caller: Caller,
    /// What they hold.
    pub rights: std::sync::Arc<Rights>,
    /// How sure we are.
    pub assurance: Assurance,
    /// The request.
    pub request: RequestId,
    /// When it arrived.
    received: Timestamp,
    /// The revocation epoch that the rights were read under.
    pub(crate) epoch: i64,
    /// How fresh the proofs are.
    pub(crate) proofs: Proofs,
    /// What stands for the network that the request came from, where that is known.
    pub(crate) network: Option<u32>,
    /// Where the request came from, where that is known.
    pub(crate) address: Option<IpAddr>,
    /// What the client calls itself, cut; events are told with it.
    agent: Option<std::sync::Arc<str>>,
    /// The policies that decide. `None` for the host and for jobs: an author's policies are about people and
    /// integrations, so that a wrong one can be taken back.
    pub(crate) in_force: Option<std::sync::Arc<InForce>>,
    /// What the integration's key may move, for an integration.
    pub(crate) bounds: Option<std::sync::Arc<KeyBounds>>,
    /// What makes the request good once, where it was signed or came with a proof.
    pub(crate) nonce: Option<std::sync::Arc<OpenNonce>>,
    /// Why whoever works for the bank says that this has to be, where it was said.
    pub(crate) reason: Option<std::sync::Arc<str>>,
    /// Whose thing the call is about and where that person belongs, where whoever works for the bank makes it.
    pub(crate) beside: Option<(UserId, Option<Department>)>,
    /// How far the call reached, where whoever works for the bank makes it.
    reach: Option<Reach>,
}

impl Cx {
    /// Puts a context together. Only the authenticator, the command line and jobs do.
    pub const fn new(
        caller: Caller,
        rights: std::sync::Arc<Rights>,
        assurance: Assurance,
        request: RequestId,
        received: Timestamp,
        epoch: i64,
    ) -> Self {
        Self {
            caller,
            rights,
            assurance,
            request,
            received,
            epoch,
            proofs: Proofs {
                login_at: None,
                proved_at: None,
            },
            network: None,
            address: None,
            agent: None,
            in_force: None,
            bounds: None,
            nonce: None,
            reason: None,
            beside: None,
            reach: None,
        }
    }

    /// The same call in a session with these proofs.
    #[must_use]
    pub const fn with_proofs(mut self, proofs: Proofs) -> Self {
        self.proofs = proofs;
        self
    }

    /// The same call, decided under these policies.
    #[must_use]
    pub(crate) fn under(mut self, policies: std::sync::Arc<InForce>) -> Self {
        let is_operator = self.rights.roles.iter().any(|role| role.is_operator());
        self.reach = is_operator.then(Reach::default);
        self.in_force = Some(policies);
        self
    }

    /// The same call from this address, in a network that the number stands for.
    #[must_use]
    pub(crate) const fn at_address(mut self, address: Option<IpAddr>, network: Option<u32>) -> Self {
        self.address = address;
        self.network = network;
        self
    }

    /// The same call by a client that calls itself so; only the first [`AGENT_CHARS_MAX`] characters are kept.
    #[must_use]
    pub fn by_agent(mut self, agent: &str) -> Self {
        let end = agent.char_indices().nth(AGENT_CHARS_MAX).map(|(end, _)| end);
        let kept = end.and_then(|end| agent.get(..end)).unwrap_or(agent);
        self.agent = (!kept.is_empty()).then(|| kept.into());
        self
    }

    /// The same call by the client of another one.
    #[must_use]
    pub(crate) fn by_agent_of(mut self, other: &Self) -> Self {
        self.agent.clone_from(&other.agent);
        self
    }

    /// What the client calls itself; empty where it does not say.
    pub fn agent(&self) -> &str {
        self.agent.as_deref().unwrap_or_default()
    }

    /// The same call by an integration whose key has these caveats.
    #[must_use]
    pub fn with_bounds(mut self, bounds: std::sync::Arc<KeyBounds>) -> Self {
        self.bounds = Some(bounds);
        self
    }

    /// The same call, signed with this nonce.
    #[must_use]
    pub(crate) fn with_nonce(mut self, nonce: std::sync::Arc<OpenNonce>) -> Self {
        self.nonce = Some(nonce);
        self
    }

    /// The same call about something of this person's, who belongs there.
    #[must_use]
    pub(crate) const fn about(mut self, owner: UserId, department: Option<Department>) -> Self {
        self.beside = Some((owner, department));
        self
    }

    /// The same call for a reason: 1 to [`REASON_CHARS_MAX`] printable characters. Customers need none and have none.
    ///
    /// # Errors
    /// `validation_failed` for what is no reason.
    pub fn for_reason(mut self, reason: &str) -> Result<Self, Error> {
        if self.reach.is_some() {
            check_line(reason, REASON_CHARS_MAX, true)
                .map_err(|error| Error::field("X-Access-Reason:", "invalid_value", error.to_string()))?;
            self.reason = Some(reason.into());
        }
        Ok(self)
    }

    /// Whether the request was signed by the key that calls.
    pub const fn is_signed(&self) -> bool {
        self.nonce.is_some() && matches!(self.caller.principal, Principal::ApiKey { .. })
    }

    /// Whose idempotency keys the caller names: a person's, or an integration's, whatever key it shows today.
    ///
    /// # Errors
    /// `unauthenticated` when there is nobody.
    pub(crate) fn key_owner(&self) -> Result<[u8; 16], Error> {
        match &self.bounds {
            Some(bounds) => Ok(*bounds.integration.as_bytes()),
            None => Ok(*self.person()?.as_bytes()),
        }
    }

    /// Nobody yet.
    pub fn anonymous(request: RequestId, received: Timestamp, origin: Origin) -> Self {
        let caller = Caller {
            principal: Principal::Anonymous,
            session: None,
            origin,
        };
        Self::new(
            caller,
            std::sync::Arc::default(),
            Assurance::None,
            request,
            received,
            0,
        )
    }

    /// The same call with rights that were read under another epoch.
    #[must_use]
    pub fn at_epoch(&self, epoch: i64) -> Self {
        Self {
            epoch,
            ..self.clone()
        }
    }

    /// How far the call reached, where whoever works for the bank makes it.
    pub const fn reach(&self) -> Option<&Reach> {
        self.reach.as_ref()
    }

    /// When the request arrived.
    pub const fn now(&self) -> Timestamp {
        self.received
    }

    /// A new id that sorts by time.
    pub fn new_id<K>(&self) -> Id<K> {
        Id::from_bytes(random::uuid_v7(self.received.micros()))
    }

    /// The person acting or acted for.
    ///
    /// # Errors
    /// `unauthenticated` when there is none.
    pub fn person(&self) -> Result<UserId, Error> {
        self.caller.principal.owner().ok_or_else(Error::unauthenticated)
    }
}

/// The smallest id that something of this moment could have (UUID version 7, RFC 9562), to the millisecond.
pub(crate) fn first_id_at<K>(at: Timestamp) -> Id<K> {
    let millis = u64::try_from(at.micros().max(0) / 1_000).unwrap_or_default();
    let mut bytes = [0; 16];
    let [_, _, time @ ..] = millis.to_be_bytes();
    bytes[..6].copy_from_slice(&time);
    Id::from_bytes(bytes)
}
