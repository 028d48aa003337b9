//! The two layers that need the matched route: its name and figures, and its body limit.

use std::{
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use http::{Method, StatusCode};
use metrics::Histogram;
use tower::{Layer, Service};

use super::Record;

/// The latency histogram, in seconds, by route template, method and class of status.
pub(crate) const REQUEST_SECONDS: &str = "strongroom_http_request_duration_seconds";

/// The figures of one method of one route. Filled by its first request: a router does not tell a layer
/// where it is mounted.
#[derive(Default)]
pub(crate) struct RouteStats {
    place: OnceLock<Place>,
    /// By the first digit of the status, from 1xx.
    seconds: [OnceLock<Histogram>; 5],
}

struct Place {
    path: MatchedPath,
    method: &'static str,
}

const UNMATCHED: &str = "unmatched";
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl RouteStats {
    pub(crate) fn template(&self) -> &str {
        self.place.get().map_or(UNMATCHED, |place| place.path.as_str())
    }

    pub(crate) fn observe(&self, status: StatusCode, elapsed: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.seconds[class]
            .get_or_init(|| {
                metrics::histogram!(
                    REQUEST_SECONDS,
                    "route" => self.template().to_owned(),
                    "method" => self.place.get().map_or("any", |place| place.method),
                    "status" => CLASSES[class],
                )
            })
            .record(elapsed.as_secs_f64());
    }

    fn fill(&self, request: &Request) {
        if self.place.get().is_none()
            && let Some(path) = request.extensions().get::<MatchedPath>()
        {
            let method = label(request.method());
            let _ = self.place.set(Place {
                path: path.clone(),
                method,
            });
        }
    }
}

/// Methods as labels: a closed set, because clients invent methods.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// Tells the record of a request which route it met.
#[derive(Clone, Copy, Debug, Default)]
pub struct RouteLayer;

impl<S> Layer<S> for RouteLayer {
    type Service = RouteService<S>;

    fn layer(&self, inner: S) -> RouteService<S> {
        RouteService {
            inner,
            stats: Arc::default(),
        }
    }
}

/// The service of [`RouteLayer`].
#[derive(Clone)]
pub struct RouteService<S> {
    inner: S,
    stats: Arc<RouteStats>,
}

impl<S: Service<Request>> Service<Request> for RouteService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> S::Future {
        self.stats.fill(&request);
        if let Some(record) = Record::of(request.extensions()) {
            record.set_route(&self.stats);
        }
        self.inner.call(request)
    }
}

/// Sets the largest body of the routes behind it, in bytes, instead of [`crate::BODY_BYTES_MAX`].
pub fn body_limit(bytes_max: usize) -> BodyLimitLayer {
    BodyLimitLayer { bytes_max }
}

/// The layer of [`body_limit`].
#[derive(Clone, Copy, Debug)]
pub struct BodyLimitLayer {
    bytes_max: usize,
}

impl<S> Layer<S> for BodyLimitLayer {
    type Service = BodyLimitService<S>;

    fn layer(&self, inner: S) -> BodyLimitService<S> {
        BodyLimitService {
            inner,
            bytes_max: self.bytes_max,
        }
    }
}

/// The service of [`BodyLimitLayer`].
#[derive(Clone, Debug)]
pub struct BodyLimitService<S> {
    inner: S,
    bytes_max: usize,
}

impl<S: Service<Request>> Service<Request> for BodyLimitService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> S::Future {
        if let Some(record) = Record::of(request.extensions()) {
            record.set_body_bytes_max(self.bytes_max);
        }
        // The framework's own extractors obey the same bound.
        DefaultBodyLimit::max(self.bytes_max).apply(&mut request);
        self.inner.call(request)
    }
}
