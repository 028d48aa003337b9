//! Suspicion at the front: strangers who behave like scanners wait, and then are refused for a while.
//!
//! Only requests of nobody in particular are looked at, and only those are refused: whoever shows a session that is
//! valid is served from a blocked address as from any other. Requests that a page of another site makes a browser send
//! add nothing, so that no page can get its visitors blocked; a scanner that claims to be such a page still meets the
//! limits. Proxies that this server trusts are never looked at: their address would be everybody's.

use std::{cmp::Reverse, collections::HashSet, fmt, net::IpAddr, sync::Arc, time::Duration};

use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use strongroom_api::codes;
use strongroom_guard::{
    Block, Common, Network, Observation, Reputation, SharedBlocks, Shed, TrustedProxies, Verdict,
};

use crate::{
    Problem,
    layers::Record,
    limits::{Traffic, shows_credential},
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
        })))
    }

    /// Tells other nodes of blocks and takes over theirs until the task is dropped; ends at once where nothing is had
    /// in common.
    pub async fn share(&self, told: impl Fn(Common)) {
        let Some(inner) = &self.0 else { return };
        if let Some(shared) = &inner.shared {
            shared.run(&inner.reputation, told).await;
        }
    }

    /// Before anything is done for a request: a suspect waits or is refused. Who shows a credential may try it once.
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
            return if shows_credential(headers) {
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
                if shows_credential(headers) {
                    Ok(())
                } else {
                    Err(refused(left))
                }
            }
            Verdict::Slow(_) if shows_credential(headers) => Ok(()),
            Verdict::Slow(delay) => {
                metrics::counter!(SUSPECTED, "verdict" => "slow", "enforced" => "true").increment(1);
                let _sleeper = inner.sleepers.enter().map_err(|_| refused(delay))?;
                tokio::time::sleep(delay).await;
                Ok(())
            }
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
        if record.principal().is_some() {
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
            tracing::warn!(
                target: "strongroom_web",
                request_id = %record.id(),
                enforced = inner.mode == Mode::Enforce,
                "an address is blocked for a while"
            );
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
mod tests {
    use axum::{Router, body::Body, routing::get};
    use http::Request;

    use super::*;
    use crate::{
        detection::Detection,
        layers::{Front, FrontSettings, Hsts, Origins},
        limits::Limits,
    };

    const PROXY: &str = "10.0.0.1";

    fn front() -> Front {
        let proxies = || TrustedProxies::new(vec![PROXY.parse().unwrap()]);
        Front::new(
            Router::new().route("/", get(|| async {})),
            FrontSettings {
                request_time_max: Duration::from_secs(5),
                concurrency_max: 64,
                hsts: Hsts::Off,
                origins: Origins::default(),
                trusted_proxies: proxies(),
                limits: Limits::off(),
                watch: Watch::new(Mode::Enforce, Vec::new(), proxies(), None, |_| None),
                detection: Detection::off(),
            },
        )
    }

    /// Behaves like a scanner; how it is answered in the end.
    async fn scan(front: &Front, forwarded: Option<&str>, site: &str) -> StatusCode {
        let mut last = StatusCode::OK;
        for number in 0..80 {
            let mut request = Request::get(format!("/{}", number % 40)).header("host", "x");
            if let Some(address) = forwarded {
                request = request.header("x-forwarded-for", address);
            }
            let request = request
                .header("sec-fetch-site", site)
                .body(Body::empty())
                .unwrap();
            last = front.serve(request, PROXY.parse().unwrap()).await.status();
        }
        last
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_blocked_through_a_proxy_that_is_trusted() {
        let front = front();
        assert_eq!(
            scan(&front, Some("192.0.2.1"), "none").await,
            StatusCode::TOO_MANY_REQUESTS
        );
        assert_eq!(
            scan(&front, Some("192.0.2.2"), "cross-site").await,
            StatusCode::NOT_FOUND
        );
        // Without a client's address the proxy's own is all that is known.
        assert_eq!(scan(&front, None, "none").await, StatusCode::NOT_FOUND);
        assert_eq!(scan(&front, Some("garbage"), "none").await, StatusCode::NOT_FOUND);
    }

    #[test]
    fn honeypots_are_found_whatever_the_case_and_no_path_of_ours_is_one() {
        for path in [
            "/.env",
            "/.ENV.bak",
            "/wp-login.php",
            "/Wp-admin/",
            "/cgi-bin/x",
            "/.git/config",
        ] {
            assert!(is_honeypot(path), "{path}");
        }
        for path in [
            "/",
            "/api/v1/accounts",
            "/docs",
            "/.well-known/security.txt",
            "/livez",
            "/wp",
            "",
        ] {
            assert!(!is_honeypot(path), "{path}");
        }
    }
}
