//! Suspicion at the front: strangers who behave like scanners wait, and then are refused for a while.
//!
//! Only requests of nobody in particular are looked at, and only those are refused: whoever shows a session that is
//! valid is served from a blocked address as from any other. What only looks like a credential buys nothing: before
//! anything is done for the request it is verified, by the authenticator that stands before every route that wants
//! somebody, or here ([`Watch::at_route`]) for a route that is open to everybody: what kind of route it is says which
//! ([`Shows`]). Requests that a page of another site makes a browser send add nothing, so that no page can get its
//! visitors blocked; a scanner that claims to be such a page still meets the limits. Proxies that this server trusts
//! are never looked at: their address would be everybody's.

use std::{
    cmp::Reverse,
    collections::HashSet,
    fmt,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{extract::Request, response::Response};
use http::{HeaderMap, Method, StatusCode, header, request::Parts};
use strongroom_api::codes;
use strongroom_guard::{
    Block, Common, Network, Observation, Reputation, SharedBlocks, Shed, TrustedProxies, Verdict,
};

use crate::{
    Problem,
    extract::{Cookie, read_cookie},
    layers::{Record, SIGNED},
    limits::{RouteClass, Shows, Traffic},
};

/// How many requests are made to wait at once; the rest is refused.
const SLEEPERS_MAX: usize = 64;
/// How many blocks operators are shown at once.
const BLOCKS_SHOWN_MAX: usize = 1_000;
/// The counter of blocks that began, by whether they are enforced.
const BLOCKS: &str = "strongroom_blocks_total";
/// The counter of requests that were refused or made to wait because of what their address did before.
const SUSPECTED: &str = "strongroom_http_requests_suspected_total";

/// Beginnings of paths that no page of ours links and scanners ask for.
const HONEYPOTS: &[&str] = &[
    "/.aws",
    "/.env",
    "/.git",
    "/.ssh",
    "/.svn",
    "/actuator",
    "/admin.php",
    "/boaform",
    "/cgi-bin",
    "/config.json",
    "/console",
    "/etc/passwd",
    "/hnap1",
    "/phpmyadmin",
    "/server-status",
    "/solr",
    "/telescope",
    "/vendor/phpunit",
    "/wp-",
    "/xmlrpc.php",
];

/// What follows from suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is remembered.
    Off,
    /// Everything is counted and nobody is refused: a simulation.
    Observe,
    /// Suspects wait, then are refused.
    Enforce,
}

/// How long people of the bank refuse strangers from an address.
type SetBlock = dyn Fn(IpAddr) -> Option<Duration> + Send + Sync;

/// Who is told that an address is blocked, and whether that is enforced.
type TellBlock = dyn Fn(IpAddr, bool) + Send + Sync;

/// Whether the head of a request shows a session that is valid.
type KnowsSession = dyn Fn(Parts) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync;

/// The memory of suspicion. Clones are one.
#[derive(Clone)]
pub struct Watch(Option<Arc<Inner>>);

struct Inner {
    reputation: Reputation,
    mode: Mode,
    set: Box<SetBlock>,
    shared: Option<SharedBlocks>,
    allowed: Vec<Network>,
    proxies: TrustedProxies,
    sleepers: Shed,
    knows_session: OnceLock<Box<KnowsSession>>,
    told: OnceLock<Box<TellBlock>>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.0.is_some()).finish()
    }
}

impl Watch {
    /// Remembers nothing.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Looks at everybody but these networks and proxies. Whom people of the bank block (`set`) is refused in any mode.
    /// Blocks are had in common with other nodes (`shared`) where they are enforced: call [`Self::share`].
    pub fn new(
        mode: Mode,
        allowed: Vec<Network>,
        proxies: TrustedProxies,
        shared: Option<SharedBlocks>,
        set: impl Fn(IpAddr) -> Option<Duration> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(Inner {
            reputation: Reputation::default(),
            mode,
            set: Box::new(set),
            shared: shared.filter(|_| mode == Mode::Enforce),
            allowed,
            proxies,
            sleepers: Shed::new(SLEEPERS_MAX),
            knows_session: OnceLock::new(),
            told: OnceLock::new(),
        })))
    }

    /// Asks this whether a request shows a session that is valid. Until then, and without, none does.
    pub fn know_sessions<F>(&self, knows: impl Fn(Parts) -> F + Send + Sync + 'static)
    where
        F: Future<Output = bool> + Send + 'static,
    {
        if let Some(inner) = &self.0 {
            let _ = inner
                .knows_session
                .set(Box::new(move |head| Box::pin(knows(head))));
        }
    }

    /// Tells this of every block that begins here, and whether it is enforced.
    pub fn tell_of_blocks(&self, told: impl Fn(IpAddr, bool) + Send + Sync + 'static) {
        if let Some(inner) = &self.0 {
            let _ = inner.told.set(Box::new(told));
        }
    }

    /// Tells other nodes of blocks and takes over theirs until the task is dropped; ends at once where nothing is had
    /// in common.
    pub async fn share(&self, told: impl Fn(Common)) {
        let Some(inner) = &self.0 else { return };
        if let Some(shared) = &inner.shared {
            shared.run(&inner.reputation, told).await;
        }
    }

    /// Before anything is done for a request: whether its address is under suspicion, and the first decision. Who shows
    /// what may be a credential owes the wait, or is refused, until it is verified.
    pub(crate) async fn at_front(
        &self,
        record: &Record,
        method: &Method,
        headers: &HeaderMap,
        path: &str,
    ) -> Result<(), Problem> {
        let Some(inner) = self
            .0
            .as_ref()
            .filter(|inner| inner.watches(record.client(), path))
        else {
            return Ok(());
        };
        inner.suspect(record);
        if !record.is_suspect() {
            return Ok(());
        }
        let is_undecided = shows_credential(headers) || RouteClass::of(method, path).shows == Shows::Token;
        let standing = match is_undecided {
            true => Standing::Undecided,
            false => Standing::Nobody,
        };
        inner.judge(record, standing).await
    }

    /// Before a route does anything for a suspect who showed what may be a credential. What kind of route it is says
    /// who finds out whose that is.
    pub(crate) async fn at_route(&self, record: &Record, request: Head) -> Result<(), Problem> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let standing = match record.shows().unwrap_or(Shows::Nothing) {
            Shows::Credential | Shows::Token => Standing::Undecided,
            Shows::Session if inner.is_session(request).await => {
                record.vouch();
                Standing::Somebody
            }
            Shows::Session | Shows::Nothing => Standing::Nobody,
        };
        inner.judge(record, standing).await
    }

    /// After the answer: whether somebody was established is known now.
    pub(crate) async fn at_end(&self, record: &Record) -> Result<(), Problem> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let standing = match record.is_somebodys() {
            true => Standing::Somebody,
            false => Standing::Nobody,
        };
        inner.judge(record, standing).await
    }

    /// After the answer: what a stranger asked and got.
    pub(crate) fn observe(&self, record: &Record, headers: &Seen, path: &str, response: &Response) {
        let Some(inner) = self
            .0
            .as_ref()
            .filter(|inner| inner.mode != Mode::Off && inner.watches(record.client(), path))
        else {
            return;
        };
        if record.is_somebodys() {
            return;
        }
        let status = response.status();
        // Whoever logs in is no stranger in the end, and files of a page are asked for by the dozen.
        let is_somebody =
            matches!(record.traffic(), Some(Traffic::Guess | Traffic::Session)) && status.is_success();
        let is_file = matches!(record.traffic(), Some(Traffic::Asset | Traffic::Document));
        if is_somebody || is_file || headers.is_cross_site {
            return;
        }
        let seen = Observation {
            path,
            has_agent: headers.has_agent,
            refused: status.is_client_error(),
            wrong_guess: record.traffic() == Some(Traffic::Guess) && status == StatusCode::UNAUTHORIZED,
            detection: record.recognised().is_some(),
            honeypot: is_honeypot(path),
        };
        if inner
            .reputation
            .observe(record.client(), seen, inner.reputation.now())
        {
            let enforced = if inner.mode == Mode::Enforce {
                "true"
            } else {
                "false"
            };
            metrics::counter!(BLOCKS, "enforced" => enforced).increment(1);
            if let Some(shared) = &inner.shared {
                shared.changed();
            }
            if let Some(told) = inner.told.get() {
                told(record.client(), inner.mode == Mode::Enforce);
            }
        }
    }

    /// The running blocks of all nodes that have them in common, the longest first, and whether they are enforced.
    pub(crate) fn blocks(&self) -> (Vec<Block>, bool) {
        let Some(inner) = &self.0 else {
            return (Vec::new(), false);
        };
        let mut blocks = inner.reputation.blocks(BLOCKS_SHOWN_MAX, inner.reputation.now());
        let own: HashSet<IpAddr> = blocks.iter().map(|block| block.address).collect();
        let others = inner
            .shared
            .as_ref()
            .map(SharedBlocks::blocks)
            .unwrap_or_default();
        blocks.extend(others.into_iter().filter(|block| !own.contains(&block.address)));
        blocks.sort_by_key(|block| (Reverse(block.left), block.address));
        blocks.truncate(BLOCKS_SHOWN_MAX);
        (blocks, inner.mode == Mode::Enforce)
    }

    /// Whether the address is blocked.
    pub(crate) fn is_blocked(&self, address: IpAddr) -> bool {
        self.0
            .as_ref()
            .is_some_and(|inner| matches!(inner.verdict(address), Verdict::Blocked(_)))
    }

    /// Forgets what is held against an address, here and at every node that has blocks in common with this one.
    pub(crate) fn lift(&self, address: IpAddr) {
        if let Some(inner) = &self.0 {
            inner.reputation.lift(address, inner.reputation.now());
            if let Some(shared) = &inner.shared {
                shared.lift(address);
            }
        }
    }
}

/// The head of a request on its way to a route.
pub(crate) struct Head(Parts);

impl Head {
    /// Of this request, which goes on without it.
    pub(crate) fn of(request: &Request) -> Self {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.method = request.method().clone();
        head.uri = request.uri().clone();
        head.headers = request.headers().clone();
        head.extensions = request.extensions().clone();
        Self(head)
    }
}

/// Who a suspect is, as far as is known at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Established, or a session was proved.
    Somebody,
    /// Something was shown, and whoever verifies it comes next.
    Undecided,
    /// A stranger.
    Nobody,
}

/// Whether somebody says who they are in a way of ours: a credential, or the cookie of a session.
fn shows_credential(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION)
        || headers.contains_key("x-api-key")
        || SIGNED.iter().any(|name| headers.contains_key(name))
        || read_cookie(headers, Cookie::Session).is_some()
}

/// What the headers of a request say about its sender; kept until the answer is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    has_agent: bool,
    is_cross_site: bool,
}

impl Seen {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self {
            has_agent: headers
                .get(header::USER_AGENT)
                .is_some_and(|agent| !agent.is_empty()),
            is_cross_site: headers
                .get("sec-fetch-site")
                .is_some_and(|site| site == "cross-site"),
        }
    }
}

impl Inner {
    /// Remembers what is held against the address of a request: a block, or a wait that it owes.
    fn suspect(&self, record: &Record) {
        let count = |verdict, enforced| {
            metrics::counter!(SUSPECTED, "verdict" => verdict, "enforced" => enforced).increment(1);
        };
        if let Some(left) = (self.set)(record.client()) {
            count("network", "true");
            return record.block(left);
        }
        let enforces = match self.mode {
            Mode::Off => return,
            Mode::Observe => false,
            Mode::Enforce => true,
        };
        match self.verdict(record.client()) {
            Verdict::Pass => {}
            Verdict::Blocked(_) if !enforces => count("block", "false"),
            Verdict::Slow(_) if !enforces => count("slow", "false"),
            Verdict::Blocked(left) => {
                count("block", "true");
                record.block(left);
            }
            // Counted when it is paid.
            Verdict::Slow(delay) => record.owe(delay),
        }
    }

    /// The one decision about a suspect, at each moment at which more is known: strangers are refused where their
    /// address is blocked, and pay the wait that they owe, once; nobody else does either.
    async fn judge(&self, record: &Record, standing: Standing) -> Result<(), Problem> {
        match (standing, record.blocked()) {
            (Standing::Somebody | Standing::Undecided, _) => Ok(()),
            (Standing::Nobody, Some(left)) => Err(refused(left)),
            (Standing::Nobody, None) => self.pay(record).await,
        }
    }

    async fn is_session(&self, request: Head) -> bool {
        match self.knows_session.get() {
            Some(knows) => knows(request.0).await,
            None => false,
        }
    }

    /// Waits for as long as is owed, once; a refusal where too many wait already.
    async fn pay(&self, record: &Record) -> Result<(), Problem> {
        let Some(delay) = record.pay() else { return Ok(()) };
        metrics::counter!(SUSPECTED, "verdict" => "slow", "enforced" => "true").increment(1);
        let _sleeper = self.sleepers.enter().map_err(|_| refused(delay))?;
        tokio::time::sleep(delay).await;
        Ok(())
    }

    /// What this node holds against an address, or another one.
    fn verdict(&self, address: IpAddr) -> Verdict {
        let own = self.reputation.verdict(address, self.reputation.now());
        let left = || self.shared.as_ref().and_then(|shared| shared.blocked(address));
        match own {
            Verdict::Blocked(_) => own,
            _ => left().map_or(own, Verdict::Blocked),
        }
    }

    fn watches(&self, address: IpAddr, path: &str) -> bool {
        !matches!(path, "/livez" | "/readyz")
            && !self.proxies.trusts(address)
            && !self.allowed.iter().any(|network| network.contains(address))
    }
}

fn is_honeypot(path: &str) -> bool {
    HONEYPOTS.iter().any(|start| {
        let begin = path.as_bytes().get(..start.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(start.as_bytes()))
    })
}

/// The same words whatever the reason: a scanner learns nothing about its mistake.
pub(crate) fn refused(left: Duration) -> Problem {
    let detail = "Rate limit exceeded: too many requests from this address.";
    Problem::new(&codes::RATE_LIMITED, detail).with_retry_after(left)
}

#[cfg(test)]
mod tests;
