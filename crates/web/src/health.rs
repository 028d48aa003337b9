//! Liveness and readiness.
//!
//! `/livez`: the process turns. `/readyz`: every check passes and the server is not stopping. The public
//! answer names the checks and nothing else; what went wrong is in the log. Checks run at most every
//! [`FRESH_FOR`], however often somebody asks, so that asking is no way to load the database.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Json, extract::State, response::IntoResponse, response::Response};
use http::StatusCode;
use serde::Serialize;
use tokio::{sync::Mutex, time::Instant};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// How long an answer of the checks counts.
pub const FRESH_FOR: Duration = Duration::from_millis(500);
/// How long the checks may take, all together.
const CHECK_TIME_MAX: Duration = Duration::from_secs(2);

type Running = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// One named condition of readiness.
pub struct Check {
    name: &'static str,
    run: Box<dyn Fn() -> Running + Send + Sync>,
}

impl Check {
    /// A check; its error text goes to the log only.
    pub fn new<F, R>(name: &'static str, run: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self {
            name,
            run: Box::new(move || Box::pin(run())),
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Whether this server should get requests. Clones share it.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    checks: Vec<Check>,
    stopping: AtomicBool,
    last: Mutex<Option<(Instant, Report)>>,
}

type Report = Vec<CheckResult>;

/// How one check ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CheckResult {
    /// The name of the check.
    #[schema(example = "database")]
    name: &'static str,
    /// Whether it passed.
    ok: bool,
}

/// The answer of `/livez` and `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Health {
    /// `ok`, `stopping` or `failing`.
    #[schema(example = "ok")]
    status: &'static str,
    /// Every check by its name, in a fixed order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checks: Vec<CheckResult>,
}

impl Readiness {
    /// Ready while all of these pass.
    pub fn new(checks: Vec<Check>) -> Self {
        let inner = Inner {
            checks,
            stopping: AtomicBool::new(false),
            last: Mutex::new(None),
        };
        Self(Arc::new(inner))
    }

    /// From now on not ready: load balancers send new requests elsewhere while the old ones finish.
    pub fn stopping(&self) {
        self.0.stopping.store(true, Ordering::Release);
    }

    /// Runs the checks, or repeats their answer while it is fresh. Askers at the same time share one run.
    async fn report(&self) -> Report {
        let mut last = self.0.last.lock().await;
        if let Some((at, report)) = &*last
            && at.elapsed() < FRESH_FOR
        {
            return report.clone();
        }
        let mut report = Report::with_capacity(self.0.checks.len());
        let end = Instant::now() + CHECK_TIME_MAX;
        for check in &self.0.checks {
            // What is over time is asked all the same: a check that needs not wait is answered.
            let outcome = match tokio::time::timeout_at(end, (check.run)()).await {
                Ok(outcome) => outcome,
                Err(_) => Err(format!("no answer within {} s", CHECK_TIME_MAX.as_secs())),
            };
            if let Err(reason) = &outcome {
                tracing::warn!(target: "strongroom_web", check = check.name, reason, "not ready");
            }
            report.push(CheckResult {
                name: check.name,
                ok: outcome.is_ok(),
            });
        }
        *last = Some((Instant::now(), report.clone()));
        report
    }
}

/// Whether the process is alive
///
/// Answers as long as the process can answer anything; it does not look at the database.
#[utoipa::path(get, path = "/livez", tag = "health", security(()), responses((status = 200, body = Health)))]
async fn livez() -> Json<Health> {
    Json(Health {
        status: "ok",
        checks: Vec::new(),
    })
}

/// Whether the server should get requests
///
/// Names every check and whether it passes. Answers 503 while one fails and once the server is stopping.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, body = Health), (status = 503, description = "Not ready", body = Health))
)]
async fn readyz(State(readiness): State<Readiness>) -> Response {
    let checks = readiness.report().await;
    let status = if readiness.0.stopping.load(Ordering::Acquire) {
        "stopping"
    } else if checks.iter().all(|check| check.ok) {
        "ok"
    } else {
        "failing"
    };
    let code = if status == "ok" {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, Json(Health { status, checks })).into_response()
}

/// The two routes.
pub(crate) fn routes(readiness: Readiness) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(livez))
        .routes(routes!(readyz))
        .with_state(readiness)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn counted(outcome: Result<(), String>) -> (Arc<AtomicUsize>, Readiness) {
        let runs = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&runs);
        let check = Check::new("database", move || {
            counter.fetch_add(1, Ordering::Relaxed);
            std::future::ready(outcome.clone())
        });
        (runs, Readiness::new(vec![check]))
    }

    #[tokio::test(start_paused = true)]
    async fn many_askers_cost_one_run() {
        let (runs, readiness) = counted(Ok(()));
        for _ in 0..100 {
            assert_eq!(readyz(State(readiness.clone())).await.status(), StatusCode::OK);
        }
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        tokio::time::advance(FRESH_FOR).await;
        readyz(State(readiness)).await;
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_failing_check_is_named_without_its_reason() {
        let (_, readiness) = counted(Err("canary: connection to db-7 refused".into()));
        let response = readyz(State(readiness)).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        let text = std::str::from_utf8(&body).unwrap();
        assert_eq!(
            text,
            r#"{"status":"failing","checks":[{"name":"database","ok":false}]}"#
        );
    }

    #[tokio::test(start_paused = true)]
    async fn checks_that_hang_fail_within_one_bound_and_the_others_are_asked() {
        let hung = |name| Check::new(name, std::future::pending::<Result<(), String>>);
        let quick = Check::new("redis", || std::future::ready(Ok(())));
        let begun = Instant::now();
        let readiness = Readiness::new(vec![hung("database"), hung("keys"), quick]);
        let response = readyz(State(readiness)).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(begun.elapsed(), CHECK_TIME_MAX);
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(
            text.contains(r#"{"name":"keys","ok":false},{"name":"redis","ok":true}"#),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_stopping_server_is_not_ready_and_still_alive() {
        let (_, readiness) = counted(Ok(()));
        readiness.stopping();
        assert_eq!(
            readyz(State(readiness)).await.status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(livez().await.into_response().status(), StatusCode::OK);
    }
}
