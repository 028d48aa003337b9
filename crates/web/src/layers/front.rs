//! The one service in front of the router. See the module above for why it is one.

use std::{
    future::{Future, poll_fn},
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    body::HttpBody,
    extract::DefaultBodyLimit,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderName, Request, StatusCode, header};
use metrics::Gauge;
use strongroom_api::codes;
use strongroom_guard::{Shed, TrustedProxies};
use tower::Service;

use super::{
    Hosts, Hsts, Origins, Record, RequestId, RouteLayer, access_log::Line, gate, route::RouteStats,
    security_headers::SecurityHeaders,
};
use crate::{
    BODY_BYTES_MAX, Problem, ShownAsPage,
    detection::Detection,
    limits::{self, Limits},
    suspicion::{Seen, Watch},
    views,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// The gauge of requests that are being served.
const IN_FLIGHT: &str = "strongroom_http_requests_in_flight";
/// The counter of requests that were refused because the server is full.
const SHED: &str = "strongroom_http_requests_shed_total";
/// The counter of handlers that panicked.
const PANICS: &str = "strongroom_http_handler_panics_total";

/// What is ours to answer for, by its code. What says that there is too much, or that it took too long, is none of it:
/// a client that is many, or slow, brings that about.
const FAILURES: [&str; 3] = ["internal", "unavailable", "commit_unknown"];

/// A request that ended with an error of ours.
#[derive(Clone, Debug)]
pub struct Failed {
    /// From where, behind trusted proxies.
    pub client: IpAddr,
    /// What the client calls itself; may be empty.
    pub agent: String,
    /// The number of the request.
    pub request: [u8; 16],
    /// Who it was, by id, where somebody is known.
    pub principal: Option<String>,
    /// The code of the answer.
    pub code: &'static str,
}

/// Who is told of it.
type TellFailure = dyn Fn(Failed) + Send + Sync;

/// The bounds of a front.
#[derive(Clone, Debug)]
pub struct FrontSettings {
    /// How long a request may take from its head to the head of its answer.
    pub request_time_max: Duration,
    /// How many requests are served at once; the rest is refused with `overloaded`.
    pub concurrency_max: usize,
    /// What browsers are told about plain HTTP.
    pub hsts: Hsts,
    /// Whose pages may call this server from a browser.
    pub origins: Origins,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// How often somebody may ask.
    pub limits: Limits,
    /// What follows from how an address behaves.
    pub watch: Watch,
    /// What looks for attacks.
    pub detection: Detection,
}

/// Which part of the routes a listener serves. The rest is not there at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Everything on one listener.
    #[default]
    Everything,
    /// Everything but the operators' interface.
    Customers,
    /// The operators' interface, and what operators need to log in and to see that the server lives.
    Operators,
}

/// Where the operators' interface is mounted.
const OPERATORS: &str = "/api/v1/admin";
/// What the operators' listener serves besides.
const FOR_OPERATORS: [&str; 7] = [
    "/api/v1/auth",
    "/api/v1/me",
    "/api/v1/deposits",
    "/api/v1/withdrawals",
    "/.well-known",
    "/livez",
    "/readyz",
];

impl Scope {
    /// Routers match the path as it was sent, so comparing it as it was sent cannot be tricked by escapes.
    fn has(self, path: &str) -> bool {
        let below = |root: &str| {
            path.strip_prefix(root)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match self {
            Self::Everything => true,
            Self::Customers => !below(OPERATORS),
            Self::Operators => below(OPERATORS) || FOR_OPERATORS.into_iter().any(below),
        }
    }

    /// Whether a person's session counts here: where operators have a listener of their own, a stolen session of one
    /// side is worth nothing on the other.
    pub(crate) const fn lets_in(self, operator: bool) -> bool {
        match self {
            Self::Everything => true,
            Self::Customers => !operator,
            Self::Operators => operator,
        }
    }
}

/// The front. Clones share everything.
#[derive(Clone)]
pub struct Front(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    router: Router,
    scope: Scope,
    hosts: Hosts,
    settings: FrontSettings,
    security: SecurityHeaders,
    shed: Shed,
    unmatched: Arc<RouteStats>,
    in_flight: Gauge,
    tell_failure: Arc<OnceLock<Box<TellFailure>>>,
}

impl Front {
    /// Puts the front before these routes. Whatever the router has no route for is answered here.
    pub fn new(router: Router, settings: FrontSettings) -> Self {
        // `with_state` turns handlers into finished services; without it the router would build the layers
        // of a route again for every request.
        let router = router
            .route_layer(RouteLayer)
            .fallback(unknown_path)
            .with_state(());
        let shed = Shed::new(settings.concurrency_max);
        Self(Arc::new(Inner {
            router,
            scope: Scope::default(),
            hosts: Hosts::any(),
            security: SecurityHeaders::new(settings.hsts),
            settings,
            shed,
            unmatched: Arc::default(),
            in_flight: metrics::gauge!(IN_FLIGHT),
            tell_failure: Arc::default(),
        }))
    }

    /// Tells this of every request that ended with an error of ours. Health checks are none: they are asked for it.
    pub fn tell_of_failures(&self, told: impl Fn(Failed) + Send + Sync + 'static) {
        let _ = self.0.tell_failure.set(Box::new(told));
    }

    /// The same routes, limits and figures behind another listener, which serves only that part of them and answers
    /// to these names only.
    pub fn scoped(&self, scope: Scope, hosts: Hosts) -> Self {
        Self(Arc::new(Inner {
            scope,
            hosts,
            ..Inner::clone(&self.0)
        }))
    }

    /// Serves one request that came over a connection from `peer`.
    pub async fn serve<B>(&self, mut request: Request<B>, peer: IpAddr) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let inner = &*self.0;
        let client = inner.client(&request, peer);
        let record = Record::new(
            RequestId::next(),
            client,
            inner.settings.limits.clone(),
            inner.settings.watch.clone(),
            inner.settings.detection.clone(),
        );
        let method = request.method().clone();
        let line = Line::begin(&record, &inner.unmatched, &method);
        let _in_flight = InFlight::enter(&inner.in_flight);

        if let Some(agent) = request.headers().get(header::USER_AGENT) {
            record.set_agent(agent.clone());
        }
        request.extensions_mut().insert(record.clone());
        request.extensions_mut().insert(inner.scope);
        DefaultBodyLimit::max(BODY_BYTES_MAX).apply(&mut request);

        let origin = inner.settings.origins.of(request.headers());
        let (seen, path) = (Seen::of(request.headers()), request.uri().path().to_owned());
        let mut response = match inner
            .settings
            .watch
            .at_front(&record, &method, request.headers(), &path)
            .await
        {
            Ok(()) => inner.answer(request, &record).await,
            Err(problem) => problem.into_response(),
        };
        // Paths and methods that are not there, and whatever else met nobody who counts: strangers. A server
        // that has all hands full does not count whom it sent away.
        if response.status() != StatusCode::SERVICE_UNAVAILABLE
            && let Err(problem) = inner.settings.limits.stranger(&record, None).await
        {
            response = problem.into_response();
        }
        match inner.settings.watch.at_end(&record).await {
            Ok(()) => inner.settings.watch.observe(&record, &seen, &path, &response),
            Err(problem) => response = problem.into_response(),
        }
        inner.settings.detection.end(&record);
        let mut response = inner.finish(response, &record);
        inner.settings.origins.add(origin, response.headers_mut());
        if let Some(proved) = record.proved() {
            response = proved.sign(response).await;
        }
        line.end(response.status());
        response
    }
}

impl Inner {
    async fn answer<B>(&self, request: Request<B>, record: &Record) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        // Whether the process lives must be answerable while it is full.
        let _place = match self.shed.enter() {
            Ok(place) => Some(place),
            Err(_) if matches!(request.uri().path(), "/livez" | "/readyz") => None,
            Err(overloaded) => {
                metrics::counter!(SHED).increment(1);
                self.settings.limits.show(record);
                return Problem::new(&codes::OVERLOADED, "The server has all hands full.")
                    .with_retry_after(overloaded.retry_after)
                    .into_response();
            }
        };
        if let Err(problem) = gate::check(&request, &self.hosts) {
            return problem.into_response();
        }
        if let Some(answer) = self.settings.origins.preflight(&request) {
            return match self.settings.limits.preflight(record).await {
                Ok(()) => answer,
                Err(problem) => problem.into_response(),
            };
        }
        let detection = &self.settings.detection;
        if let Err(problem) = detection.begin(record, request.uri(), request.headers()) {
            return problem.into_response();
        }
        if !self.scope.has(request.uri().path()) {
            return Problem::not_found().into_response();
        }
        let handler = caught(self.router.clone().call(request));
        match tokio::time::timeout(self.settings.request_time_max, handler).await {
            Ok(Some(Ok(response))) => response,
            Ok(Some(Err(never))) => match never {},
            Ok(None) => {
                metrics::counter!(PANICS).increment(1);
                Problem::internal(format!(
                    "the handler of {} panicked",
                    record.route().unwrap_or("no route")
                ))
                .into_response()
            }
            Err(_) => Problem::new(
                &codes::TIMED_OUT,
                "The request took too long and was given up here.",
            )
            .into_response(),
        }
    }

    /// Gives refusals their document, and every answer its number and headers.
    fn finish(&self, mut response: Response, record: &Record) -> Response {
        let id = record.id();
        views::finish(&mut response, record.reader());
        if let Some(problem) = response
            .extensions_mut()
            .remove::<Problem>()
            .or_else(|| foreign(&response))
        {
            if let Some(cause) = problem.cause() {
                log_cause(&id, record.route(), cause);
            }
            self.tell(&problem, record);
            // What the handler added (a cookie, a rate limit) stays; the document's own headers win.
            response = problem.render(&id, std::mem::take(response.headers_mut()));
        }
        if let Some(ShownAsPage(problem)) = response.extensions_mut().remove::<ShownAsPage>() {
            if let Some(cause) = problem.cause() {
                log_cause(&id, record.route(), cause);
            }
            self.tell(&problem, record);
        }
        let headers = response.headers_mut();
        self.security.add(headers);
        limits::write(&self.settings.limits, record, headers);
        headers.insert(X_REQUEST_ID, id.header());
        if let Some(nonce) = record.proof_nonce() {
            headers.insert(DPOP_NONCE, nonce.clone());
        }
        response
    }

    fn tell(&self, problem: &Problem, record: &Record) {
        let code = problem.code().name;
        if let Some(told) = self.tell_failure.get()
            && FAILURES.contains(&code)
            && record.traffic() != Some(limits::Traffic::Health)
        {
            told(Failed {
                client: record.client(),
                agent: record.agent().to_owned(),
                request: record.id().bytes(),
                principal: record.principal().map(str::to_owned),
                code,
            });
        }
    }

    fn client<B>(&self, request: &Request<B>, peer: IpAddr) -> IpAddr {
        let forwarded: Vec<&str> = request
            .headers()
            .get_all(X_FORWARDED_FOR)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        self.settings.trusted_proxies.client(peer, forwarded)
    }
}

/// A refusal of some library: its status without its text, which may repeat input. Pages answer their
/// errors as HTML and pass.
fn foreign(response: &Response) -> Option<Problem> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    let plain = match response.headers().get(header::CONTENT_TYPE) {
        None => true,
        Some(value) => value.as_bytes().starts_with(b"text/plain"),
    };
    plain.then(|| Problem::from_foreign(status, response.headers()))
}

/// The whole chain of causes under the number of the request.
fn log_cause(id: &RequestId, route: Option<&str>, cause: &(dyn std::error::Error + Send + Sync + 'static)) {
    let mut text = cause.to_string();
    let mut next = cause.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    tracing::error!(target: "strongroom_web", request_id = %id, route, cause = text, "a request failed");
}

async fn unknown_path() -> Problem {
    Problem::not_found()
}

/// `None` where the future panicked; the panic hook has written the place down.
async fn caught<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => std::task::Poll::Ready(None),
        },
    )
    .await
}

struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    fn enter(gauge: &'a Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use http_body_util::BodyExt;

    use super::*;

    fn settings() -> FrontSettings {
        FrontSettings {
            request_time_max: Duration::from_secs(5),
            concurrency_max: 1,
            hsts: Hsts::On,
            origins: Origins::default(),
            trusted_proxies: TrustedProxies::default(),
            limits: Limits::off(),
            watch: Watch::off(),
            detection: Detection::off(),
        }
    }

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn a_client_that_leaves_gives_its_place_back() {
        let router = Router::new().route("/slow", get(std::future::pending::<()>));
        let front = Front::new(router, settings());
        {
            let mut request = pin!(
                front.serve(
                    Request::get("https://bank.example/slow")
                        .body(Body::empty())
                        .unwrap(),
                    PEER
                )
            );
            let first = poll_fn(|cx| std::task::Poll::Ready(request.as_mut().poll(cx))).await;
            assert!(first.is_pending());
            let refused = front
                .serve(
                    Request::get("https://bank.example/other")
                        .body(Body::empty())
                        .unwrap(),
                    PEER,
                )
                .await;
            assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
        let served = front
            .serve(
                Request::get("https://bank.example/other")
                    .body(Body::empty())
                    .unwrap(),
                PEER,
            )
            .await;
        assert_eq!(served.status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn text_of_a_library_never_reaches_the_client() {
        let router = Router::new()
            .route(
                "/plain",
                get(|| async { (StatusCode::BAD_REQUEST, "canary-value is no number") }),
            )
            .route(
                "/page",
                get(|| async { (StatusCode::NOT_FOUND, axum::response::Html("<h1>gone</h1>")) }),
            );
        let front = Front::new(router, settings());
        let response = front
            .serve(
                Request::get("https://bank.example/plain")
                    .body(Body::empty())
                    .unwrap(),
                PEER,
            )
            .await;
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json"
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(!String::from_utf8_lossy(&body).contains("canary"));
        let page = front
            .serve(
                Request::get("https://bank.example/page")
                    .body(Body::empty())
                    .unwrap(),
                PEER,
            )
            .await;
        assert_eq!(
            page.into_body().collect().await.unwrap().to_bytes(),
            "<h1>gone</h1>"
        );
    }

    #[tokio::test]
    async fn what_a_handler_adds_to_a_refusal_survives() {
        let router = Router::new().route(
            "/",
            get(|| async {
                (
                    [("ratelimit", "r=1"), ("set-cookie", "a=b")],
                    Problem::new(&codes::FORBIDDEN, "No."),
                )
            }),
        );
        let response = Front::new(router, settings())
            .serve(
                Request::get("https://bank.example/").body(Body::empty()).unwrap(),
                PEER,
            )
            .await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(response.headers()["ratelimit"], "r=1");
        assert_eq!(response.headers()["set-cookie"], "a=b");
    }

    #[tokio::test]
    async fn a_listener_serves_its_part_of_the_routes_only() {
        let mut router = Router::new();
        let paths = [
            "/api/v1/admin",
            "/api/v1/admin/users",
            "/api/v1/administrate",
            "/api/v1/accounts",
            "/livez",
        ];
        for path in paths {
            router = router.route(path, get(|| async {}));
        }
        let front = Front::new(router, settings());
        for (scope, served) in [
            (Scope::Everything, [true, true, true, true, true]),
            (Scope::Customers, [false, false, true, true, true]),
            (Scope::Operators, [true, true, false, false, true]),
        ] {
            let front = front.scoped(scope, Hosts::any());
            for (path, served) in paths.into_iter().zip(served) {
                let request = Request::get(format!("https://bank.example{path}"))
                    .body(Body::empty())
                    .unwrap();
                let status = front.serve(request, PEER).await.status();
                assert_eq!(
                    status,
                    if served {
                        StatusCode::OK
                    } else {
                        StatusCode::NOT_FOUND
                    },
                    "{scope:?} {path}"
                );
            }
        }
    }
}
