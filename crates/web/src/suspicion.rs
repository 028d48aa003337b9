//! Suspicion at the front: strangers who behave like scanners wait, and then are refused for a while.
//!
//! Only requests of nobody in particular are looked at, and only those are refused: whoever shows a session that is
//! valid is served from a blocked address as from any other. What only looks like a credential buys nothing: before
//! anything is done for the request it is verified, by the authenticator that stands before every route that wants
//! somebody, or here ([`Watch::stands`]) for a route that is open to everybody. Requests that a page of another site
//! makes a browser send add nothing, so that no page can get its visitors blocked; a scanner that claims to be such a
//! page still meets the limits. Proxies that this server trusts are never looked at: their address would be
//! everybody's.

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
use http::{HeaderMap, StatusCode, header, request::Parts};
use strongroom_api::codes;
use strongroom_guard::{
    Block, Common, Network, Observation, Reputation, SharedBlocks, Shed, TrustedProxies, Verdict,
};

use crate::{
    Problem,
    extract::{Cookie, read_cookie},
    layers::{Record, SIGNED},
    limits::Traffic,
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

/// Routes that verify the token of a session that is in their body.
const WITH_TOKEN: [&str; 2] = ["/api/v1/auth/refresh", "/api/v1/auth/logout"];
/// What is open to strangers and is done within a session, too.
const WITHIN_SESSION: [&str; 1] = ["/api/v1/auth/password/change"];

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

    /// Before anything is done for a request: a suspect waits or is refused. Who shows what may be a credential owes
    /// the wait, or is refused, until it is verified.
    pub(crate) async fn admit(
        &self,
        record: &Record,
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
        if let Some(left) = (inner.set)(record.client()) {
            metrics::counter!(SUSPECTED, "verdict" => "network", "enforced" => "true").increment(1);
            record.block(left);
            return if may_be_somebody(headers, path) {
                Ok(())
            } else {
                Err(refused(left))
            };
        }
        if inner.mode == Mode::Off {
            return Ok(());
        }
        match inner.verdict(record.client()) {
            Verdict::Pass => Ok(()),
            verdict if inner.mode != Mode::Enforce => {
                let what = if matches!(verdict, Verdict::Slow(_)) {
                    "slow"
                } else {
                    "block"
                };
                metrics::counter!(SUSPECTED, "verdict" => what, "enforced" => "false").increment(1);
                Ok(())
            }
            Verdict::Blocked(left) => {
                metrics::counter!(SUSPECTED, "verdict" => "block", "enforced" => "true").increment(1);
                record.block(left);
                if may_be_somebody(headers, path) {
                    Ok(())
                } else {
                    Err(refused(left))
                }
            }
            Verdict::Slow(delay) => {
                record.owe(delay);
                if may_be_somebody(headers, path) {
                    Ok(())
                } else {
                    inner.pay(record).await
                }
            }
        }
    }

    /// Before a route does anything for a suspect who showed what may be a credential. Routes that want somebody find
    /// out first whether it is one; at the others it is found out here, or was no reason to be let through.
    pub(crate) async fn stands(
        &self,
        record: &Record,
        traffic: Traffic,
        request: Head,
    ) -> Result<(), Problem> {
        let Some(inner) = &self.0 else { return Ok(()) };
        if matches!(traffic, Traffic::Principal | Traffic::Upload) || WITH_TOKEN.contains(&request.path()) {
            return Ok(());
        }
        let within = traffic == Traffic::Session || WITHIN_SESSION.contains(&request.path());
        if within
            && let Some(knows) = inner.knows_session.get()
            && knows(request.0).await
        {
            record.vouch();
            return Ok(());
        }
        match record.blocked() {
            Some(left) => Err(refused(left)),
            None => inner.pay(record).await,
        }
    }

    /// After the answer to a request that nobody was established in: the wait that is still owed.
    pub(crate) async fn settle(&self, record: &Record) -> Result<(), Problem> {
        match &self.0 {
            Some(inner) if !record.is_somebodys() => inner.pay(record).await,
            _ => Ok(()),
        }
    }

    /// After the answer: what a stranger asked and got. A refusal where the address is blocked and nobody was
    /// established.
    pub(crate) fn observe(
        &self,
        record: &Record,
        headers: &Seen,
        path: &str,
        response: &Response,
    ) -> Result<(), Problem> {
        let Some(inner) = self
            .0
            .as_ref()
            .filter(|inner| inner.watches(record.client(), path))
        else {
            return Ok(());
        };
        if record.is_somebodys() {
            return Ok(());
        }
        if let Some(left) = record.blocked() {
            return Err(refused(left));
        }
        if inner.mode == Mode::Off {
            return Ok(());
        }
        let status = response.status();
        // Whoever logs in is no stranger in the end, and files of a page are asked for by the dozen.
        let is_somebody =
            matches!(record.traffic(), Some(Traffic::Guess | Traffic::Session)) && status.is_success();
        let is_file = matches!(record.traffic(), Some(Traffic::Asset | Traffic::Document));
        if is_somebody || is_file || headers.is_cross_site {
            return Ok(());
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
        Ok(())
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

    fn path(&self) -> &str {
        self.0.uri.path()
    }
}

/// Whether somebody says who they are in a way of ours: a credential, the cookie of a session, or a token in the body.
fn may_be_somebody(headers: &HeaderMap, path: &str) -> bool {
    headers.contains_key(header::AUTHORIZATION)
        || headers.contains_key("x-api-key")
        || SIGNED.iter().any(|name| headers.contains_key(name))
        || read_cookie(headers, Cookie::Session).is_some()
        || WITH_TOKEN.contains(&path)
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
