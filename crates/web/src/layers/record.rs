//! What is known about a request while it is served: the front layer makes the record, the router, the
//! authenticator and the body extractors add to it, the access log reads it at the end.

use std::{
    convert::Infallible,
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::extract::FromRequestParts;
use http::{Extensions, HeaderValue, request::Parts};

use strongroom_guard::Recognised;

use super::{Proved, RequestId, route::RouteStats};
use crate::{
    BODY_BYTES_MAX, Problem,
    detection::{self, Detection},
    limits::{Charge, Limits, Shows, Traffic},
    suspicion::Watch,
    views::Reader,
};

/// In how many classes one request is counted at most.
const CHARGES_MAX: usize = 4;

/// The record of one request. Clones share it; it travels as a request extension.
#[derive(Clone)]
pub struct Record(Arc<Inner>);

struct Inner {
    id: RequestId,
    client: IpAddr,
    limits: Limits,
    watch: Watch,
    detection: Detection,
    recognised: Mutex<Option<Recognised>>,
    refused_as_attack: OnceLock<()>,
    blocked: OnceLock<Duration>,
    owed: Mutex<Option<Duration>>,
    vouched: OnceLock<()>,
    agent: OnceLock<HeaderValue>,
    charges: Mutex<[Option<Charge>; CHARGES_MAX]>,
    body_bytes_max: AtomicUsize,
    route: OnceLock<Arc<RouteStats>>,
    principal: OnceLock<Box<str>>,
    proved: OnceLock<Box<Proved>>,
    proof_nonce: OnceLock<HeaderValue>,
    reader: OnceLock<Reader>,
}

impl Record {
    pub(crate) fn new(
        id: RequestId,
        client: IpAddr,
        limits: Limits,
        watch: Watch,
        detection: Detection,
    ) -> Self {
        Self(Arc::new(Inner {
            id,
            client,
            limits,
            watch,
            detection,
            recognised: Mutex::default(),
            refused_as_attack: OnceLock::new(),
            blocked: OnceLock::new(),
            owed: Mutex::default(),
            vouched: OnceLock::new(),
            agent: OnceLock::new(),
            charges: Mutex::default(),
            body_bytes_max: AtomicUsize::new(BODY_BYTES_MAX),
            route: OnceLock::new(),
            principal: OnceLock::new(),
            proved: OnceLock::new(),
            proof_nonce: OnceLock::new(),
            reader: OnceLock::new(),
        }))
    }

    /// The record of the request with these extensions; `None` only where no front layer stands.
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// The number of the request.
    pub fn id(&self) -> RequestId {
        self.0.id
    }

    /// The client's address, behind trusted proxies.
    pub fn client(&self) -> IpAddr {
        self.0.client
    }

    /// Names the principal for the access log, by its id, never by a name or an address. The
    /// authenticator calls this once; later calls change nothing.
    pub fn set_principal(&self, id: impl Into<Box<str>>) {
        let _ = self.0.principal.set(id.into());
    }

    /// Remembers that the request was signed by a key that counts: so is its answer.
    pub(crate) fn set_proved(&self, proved: Proved) {
        let _ = self.0.proved.set(Box::new(proved));
    }

    /// Remembers the nonce for the client's next proof of possession.
    pub(crate) fn set_proof_nonce(&self, nonce: HeaderValue) {
        let _ = self.0.proof_nonce.set(nonce);
    }

    /// The nonce for the client's next proof, where it sends proofs.
    pub(crate) fn proof_nonce(&self) -> Option<&HeaderValue> {
        self.0.proof_nonce.get()
    }

    /// What the answer has to be bound to, where the request was signed.
    pub(crate) fn proved(&self) -> Option<&Proved> {
        self.0.proved.get().map(|proved| &**proved)
    }

    /// Remembers who reads the answer.
    pub(crate) fn set_reader(&self, reader: Reader) {
        let _ = self.0.reader.set(reader);
    }

    /// Who reads the answer, where somebody is known.
    pub(crate) fn reader(&self) -> Option<&Reader> {
        self.0.reader.get()
    }

    /// The principal, once known.
    pub fn principal(&self) -> Option<&str> {
        self.0.principal.get().map(|id| &**id)
    }

    /// The template of the matched route, such as `/api/v1/accounts/{id}`.
    pub fn route(&self) -> Option<&str> {
        self.0.route.get().map(|stats| stats.template())
    }

    /// The largest body that this route takes, in bytes.
    pub fn body_bytes_max(&self) -> usize {
        self.0.body_bytes_max.load(Ordering::Relaxed)
    }

    /// The limits that this request is counted against.
    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The memory of suspicion.
    pub(crate) fn watch(&self) -> &Watch {
        &self.0.watch
    }

    /// What looks for attacks.
    pub(crate) fn detection(&self) -> &Detection {
        &self.0.detection
    }

    /// Remembers that the request looks like an attack.
    pub(crate) fn recognise(&self, found: Recognised) {
        let mut known = self.0.recognised.lock().unwrap_or_else(PoisonError::into_inner);
        detection::join(&mut known, found);
    }

    /// What was recognised in the request.
    pub(crate) fn recognised(&self) -> Option<Recognised> {
        let known = self.0.recognised.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    /// Remembers that the request is refused for what was recognised.
    pub(crate) fn refuse_as_attack(&self) {
        let _ = self.0.refused_as_attack.set(());
    }

    /// Whether it was.
    pub(crate) fn is_refused_as_attack(&self) -> bool {
        self.0.refused_as_attack.get().is_some()
    }

    /// Remembers that the address is blocked: only a principal that is established is served.
    pub(crate) fn block(&self, left: Duration) {
        let _ = self.0.blocked.set(left);
    }

    /// How long the address is still blocked.
    pub(crate) fn blocked(&self) -> Option<Duration> {
        self.0.blocked.get().copied()
    }

    /// Remembers that the request waits for so long before anything is done for a stranger.
    pub(crate) fn owe(&self, delay: Duration) {
        *self.0.owed.lock().unwrap_or_else(PoisonError::into_inner) = Some(delay);
    }

    /// How long it has to wait still; whoever asks lets it wait.
    pub(crate) fn pay(&self) -> Option<Duration> {
        self.0.owed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether the address of the request is under suspicion.
    pub(crate) fn is_suspect(&self) -> bool {
        let owed = self.0.owed.lock().unwrap_or_else(PoisonError::into_inner);
        owed.is_some() || self.blocked().is_some()
    }

    /// Remembers what the client calls itself.
    pub(crate) fn set_agent(&self, agent: HeaderValue) {
        let _ = self.0.agent.set(agent);
    }

    /// What the client calls itself; empty where it does not say, or not in ASCII.
    pub(crate) fn agent(&self) -> &str {
        let agent = self.0.agent.get().and_then(|agent| agent.to_str().ok());
        agent.unwrap_or_default()
    }

    /// Remembers that a session was proved, whoever's it is.
    pub(crate) fn vouch(&self) {
        let _ = self.0.vouched.set(());
    }

    /// Whether somebody was established in the request: a principal, or a session.
    pub(crate) fn is_somebodys(&self) -> bool {
        self.principal().is_some() || self.0.vouched.get().is_some()
    }

    /// What the matched route is to the limits.
    pub(crate) fn traffic(&self) -> Option<Traffic> {
        self.0.route.get().and_then(|stats| stats.traffic())
    }

    /// By what somebody may be known at the matched route.
    pub(crate) fn shows(&self) -> Option<Shows> {
        let class = self.0.route.get().and_then(|stats| stats.class());
        class.map(|class| class.shows)
    }

    /// Remembers how the request stands with a class; the last word on a class counts.
    pub(crate) fn count(&self, charge: Charge) {
        let mut charges = self.0.charges.lock().unwrap_or_else(PoisonError::into_inner);
        let place = charges
            .iter_mut()
            .find(|known| known.is_none_or(|known| known.class() == charge.class()));
        if let Some(place) = place {
            *place = Some(charge);
        }
    }

    /// Whether the request was counted anywhere.
    pub(crate) fn was_counted(&self) -> bool {
        let charges = self.0.charges.lock().unwrap_or_else(PoisonError::into_inner);
        charges.iter().any(Option::is_some)
    }

    /// Every class that the request was counted in.
    pub(crate) fn each_charge(&self, mut see: impl FnMut(&Charge)) {
        let charges = *self.0.charges.lock().unwrap_or_else(PoisonError::into_inner);
        charges.iter().flatten().for_each(&mut see);
    }

    pub(crate) fn set_body_bytes_max(&self, bytes: usize) {
        self.0.body_bytes_max.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn set_route(&self, stats: &Arc<RouteStats>) {
        let _ = self.0.route.set(Arc::clone(stats));
    }

    pub(crate) fn stats(&self) -> Option<&Arc<RouteStats>> {
        self.0.route.get()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("id", &self.0.id)
            .finish_non_exhaustive()
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    /// The number of this request. Without a front layer (a handler called in a unit test) a new one.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Record::of(&parts.extensions).map_or_else(Self::next, Record::id))
    }
}

/// The client's address as far as trusted proxies can tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The thumbprint of the certificate that the client proved to have in its handshake with this listener (RFC 8705,
/// section 3.1). It is a property of the connection: no header says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientCertificate(pub [u8; 32]);

impl<S: Sync> FromRequestParts<S> for Record {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let record = Self::of(&parts.extensions).cloned();
        record.ok_or_else(|| {
            Problem::internal("a handler that needs the request's record runs without a front")
        })
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let record = Record::from_request_parts(parts, state).await?;
        Ok(Self(record.client()))
    }
}
