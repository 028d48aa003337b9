//! The two layers that need the matched route: its name and figures, and its body limit.

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::{DefaultBodyLimit, MatchedPath, Request},
    response::{IntoResponse, Response},
};
use futures::{FutureExt, future::Either};
use http::{Method, StatusCode};
use metrics::Histogram;
use tower::{Layer, Service};

use super::Record;
use crate::{
    Problem,
    limits::{Guess, RouteClass, Traffic},
    suspicion::Head,
};

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
    class: RouteClass,
}

const UNMATCHED: &str = "unmatched";
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl RouteStats {
    pub(crate) fn template(&self) -> &str {
        self.place.get().map_or(UNMATCHED, |place| place.path.as_str())
    }

    pub(crate) fn traffic(&self) -> Option<Traffic> {
        self.class().map(|class| class.traffic)
    }

    pub(crate) fn class(&self) -> Option<RouteClass> {
        self.place.get().map(|place| place.class)
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
            let _ = self.place.set(Place {
                path: path.clone(),
                method: label(request.method()),
                class: RouteClass::of(request.method(), path.as_str()),
            });
        }
    }
}

/// Methods as labels: a closed set, because clients invent methods.
pub(crate) fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// Tells the record of a request which route it met, and asks the limits whether it may come that far.
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

type Boxed<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;

impl<S> Service<Request> for RouteService<S>
where
    S: Service<Request, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    /// Most requests cost no box: a refusal is there at once, and only guesses wait, suspects, and those who ask other
    /// nodes.
    type Future = Either<S::Future, Either<Ready<Result<Response, S::Error>>, Boxed<Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.stats.fill(&request);
        let Some(record) = Record::of(request.extensions()) else {
            return Either::Left(self.inner.call(request));
        };
        record.set_route(&self.stats);
        let traffic = self.stats.traffic().unwrap_or(Traffic::Anonymous);
        if record.is_suspect() || record.limits().is_shared() {
            let (record, inner) = (record.clone(), self.ready());
            return Either::Right(Either::Right(Box::pin(arriving(record, traffic, inner, request))));
        }
        match record
            .limits()
            .arrive(record, traffic, request.headers())
            .now_or_never()
        {
            Some(Ok(None)) => Either::Left(self.inner.call(request)),
            Some(Ok(Some(guess))) => {
                let inner = self.ready();
                Either::Right(Either::Right(Box::pin(guessing(guess, inner, request))))
            }
            Some(Err(problem)) => Either::Right(Either::Left(ready(Ok(problem.into_response())))),
            None => {
                let problem = Problem::internal("counting waits although nobody is asked");
                Either::Right(Either::Left(ready(Ok(problem.into_response()))))
            }
        }
    }
}

impl<S: Clone> RouteService<S> {
    /// The service that is ready; its clone, which may not be, takes its place.
    fn ready(&mut self) -> S {
        let clone = self.inner.clone();
        std::mem::replace(&mut self.inner, clone)
    }
}

/// Finds out first who a suspect is, and asks the limits, which ask other nodes.
async fn arriving<S>(
    record: Record,
    traffic: Traffic,
    mut inner: S,
    request: Request,
) -> Result<Response, S::Error>
where
    S: Service<Request, Response = Response>,
{
    if record.is_suspect() {
        let head = Head::of(&request);
        if let Err(problem) = record.watch().at_route(&record, head).await {
            return Ok(problem.into_response());
        }
    }
    match record.limits().arrive(&record, traffic, request.headers()).await {
        Ok(None) => inner.call(request).await,
        Ok(Some(guess)) => guessing(guess, inner, request).await,
        Err(problem) => Ok(problem.into_response()),
    }
}

async fn guessing<S>(guess: Guess, mut inner: S, request: Request) -> Result<Response, S::Error>
where
    S: Service<Request, Response = Response>,
{
    let undecided = match guess.begin().await {
        Ok(undecided) => undecided,
        Err(problem) => return Ok(problem.into_response()),
    };
    let response = inner.call(request).await?;
    undecided.decide(response.status()).await;
    Ok(response)
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
