use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{Request, StatusCode};
use strongroom_guard::TrustedProxies;
use tokio::sync::Notify;

use super::*;
use crate::{
    detection::Detection,
    layers::{Front, FrontSettings, Hsts, Origins},
    suspicion::Watch,
};

const HERE: &str = "192.0.2.1";
const LOGIN: &str = "/api/v1/auth/login";

/// Quotas small enough to be used up by hand.
fn small(class: Class) -> Option<Quota> {
    let text = match class {
        Class::Anonymous => "6/1h, 8/1d",
        Class::Auth => "2/15m",
        _ => "3/1h",
    };
    text.parse().ok()
}

fn front(router: Router) -> Front {
    Front::new(router, settings())
}

fn settings() -> FrontSettings {
    let mark = |text: &str| text.strip_prefix("mark-").map(|number| [number.len() as u8; 16]);
    FrontSettings {
        request_time_max: Duration::from_secs(30),
        concurrency_max: 1024,
        hsts: Hsts::On,
        origins: Origins::default(),
        trusted_proxies: TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]),
        limits: Limits::new(small, None, mark).unwrap(),
        watch: Watch::off(),
        detection: Detection::off(),
    }
}

async fn ask(front: &Front, from: &str, request: http::request::Builder) -> Response {
    let peer: IpAddr = from.parse().unwrap();
    let request = request.header("host", "bank.example").body(Body::empty());
    front.serve(request.unwrap(), peer).await
}

async fn statuses(front: &Front, times: usize, request: impl Fn() -> http::request::Builder) -> Vec<u16> {
    let mut all = Vec::new();
    for _ in 0..times {
        all.push(ask(front, HERE, request()).await.status().as_u16());
    }
    all
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn whoever_meets_a_full_server_is_told_the_limits_and_not_counted() {
    let limits = settings().limits;
    let full = |places| {
        let settings = FrontSettings {
            concurrency_max: places,
            limits: limits.clone(),
            ..settings()
        };
        Front::new(Router::new().route("/", get(|| async {})), settings)
    };
    let (full, idle) = (full(0), full(8));
    for _ in 0..20 {
        let refused = ask(&full, HERE, Request::get("/")).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(header(&refused, "ratelimit").contains("r=6"), "{refused:?}");
        assert!(
            header(&refused, "ratelimit-policy").contains("q=6"),
            "{refused:?}"
        );
    }
    let answer = ask(&idle, HERE, Request::get("/none")).await;
    assert!(header(&answer, "ratelimit").contains("r=5"), "{answer:?}");
}

#[tokio::test]
async fn what_is_not_there_is_counted_and_health_keys_and_pages_have_counts_of_their_own() {
    let router = Router::new()
        .route("/livez", get(|| async {}))
        .route("/.well-known/jwks.json", get(|| async {}))
        .route("/api/v1/auth/forgotten", post(|| async {}));
    let front = front(router);
    assert_eq!(
        statuses(&front, 7, || Request::get("/wp-login.php")).await,
        [404, 404, 404, 404, 404, 404, 429]
    );
    assert_eq!(
        statuses(&front, 1, || Request::get("/api/v1/auth/forgotten")).await,
        [429]
    );
    for path in ["/livez", "/.well-known/jwks.json"] {
        assert_eq!(
            statuses(&front, 4, || Request::get(path)).await,
            [200, 200, 200, 429],
            "{path}"
        );
    }
    let elsewhere = ask(&front, "192.0.2.2", Request::get("/wp-login.php")).await;
    assert_eq!(elsewhere.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_credential_or_a_forwarded_address_that_nobody_vouches_for_is_no_way_around() {
    let router = Router::new().route("/api/v1/auth/register", post(|| async {}));
    let front = front(router);
    let number = AtomicUsize::new(0);
    let request = || {
        let number = number.fetch_add(1, Ordering::Relaxed);
        Request::post("/api/v1/auth/register")
            .header("authorization", format!("Bearer {number}"))
            .header("x-api-key", format!("{number}"))
            .header("cookie", format!("a={number}"))
            .header("x-device-token", format!("forged-{number}"))
            .header("x-forwarded-for", format!("198.51.100.{number}"))
    };
    assert_eq!(
        statuses(&front, 7, request).await,
        [200, 200, 200, 200, 200, 200, 429]
    );
    // A trusted proxy is believed, and what its client wrote to the left is not.
    for number in 0..7 {
        let request = Request::post("/api/v1/auth/register")
            .header("x-forwarded-for", format!("203.0.113.{number}, 198.51.100.9"));
        let status = ask(&front, "10.0.0.1", request).await.status().as_u16();
        assert_eq!(status, if number < 6 { 200 } else { 429 });
    }
}

#[tokio::test]
async fn the_headers_say_what_is_allowed_and_left_and_a_refusal_when_it_is_over() {
    let front = front(Router::new().route("/", get(|| async {})));
    let first = ask(&front, HERE, Request::get("/nothing")).await;
    assert_eq!(
        header(&first, "ratelimit-policy"),
        r#""anonymous";q=6;w=3600, "anonymous_86400s";q=8;w=86400"#
    );
    assert_eq!(
        header(&first, "ratelimit"),
        r#""anonymous";r=5;t=600, "anonymous_86400s";r=7;t=10800"#
    );
    statuses(&front, 5, || Request::get("/nothing")).await;
    let refused = ask(&front, HERE, Request::get("/nothing")).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&refused, "retry-after"), "600");
    assert!(header(&refused, "ratelimit").starts_with(r#""anonymous";r=0;t=600, "#));
    assert_eq!(header(&refused, "content-type"), "application/problem+json");
    let body = axum::body::to_bytes(refused.into_body(), 10_000).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert!(
        body.contains("Rate limit exceeded: too many anonymous requests."),
        "{body}"
    );
    assert!(body.contains(r#""code":"rate_limited""#), "{body}");
}

fn wrong() -> Problem {
    Problem::new(&codes::INVALID_CREDENTIALS, "No.")
}

/// A login that says what the header tells it to.
fn logins() -> Router {
    async fn login(headers: HeaderMap) -> Response {
        let status = headers.get("x-status").and_then(|status| status.to_str().ok());
        match status {
            Some("401") => wrong().into_response(),
            Some(status) => StatusCode::from_bytes(status.as_bytes()).unwrap().into_response(),
            None => StatusCode::OK.into_response(),
        }
    }
    Router::new().route(LOGIN, post(login))
}

fn login(status: u16) -> http::request::Builder {
    Request::post(LOGIN).header("x-status", status.to_string())
}

#[tokio::test]
async fn right_logins_use_up_nothing_and_wrong_ones_are_over_soon() {
    let front = front(logins());
    assert_eq!(statuses(&front, 50, || login(200)).await, [200; 50]);
    assert_eq!(statuses(&front, 3, || login(401)).await, [401, 401, 429]);
    let refused = ask(&front, HERE, login(200)).await;
    assert_eq!(
        refused.status(),
        StatusCode::TOO_MANY_REQUESTS,
        "a right one after too many wrong ones"
    );
    assert!(
        header(&refused, "ratelimit").contains(r#""auth";r=0;t=450"#),
        "{refused:?}"
    );
    let elsewhere = ask(&front, "192.0.2.9", login(401)).await;
    assert_eq!(elsewhere.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_malformed_login_and_our_own_failures_are_no_guesses() {
    let front = front(logins());
    assert_eq!(statuses(&front, 2, || login(400)).await, [400; 2]);
    assert_eq!(statuses(&front, 2, || login(503)).await, [503; 2]);
    assert_eq!(statuses(&front, 3, || login(401)).await[..2], [401; 2]);
}

#[tokio::test]
async fn a_known_device_is_not_shut_out_by_its_neighbours() {
    let front = front(logins());
    assert_eq!(statuses(&front, 3, || login(401)).await, [401, 401, 429]);
    let known = || login(401).header("x-device-token", "mark-1");
    assert_eq!(statuses(&front, 3, known).await, [401, 401, 429]);
    let other = || login(200).header("cookie", "__Host-device=mark-22");
    assert_eq!(statuses(&front, 1, other).await, [200]);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_wrong_passwords_at_once_are_two_guesses() {
    let (looked, refused) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let counter = Arc::clone(&looked);
    let slow = move || {
        counter.fetch_add(1, Ordering::Relaxed);
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            wrong()
        }
    };
    let front = front(Router::new().route(LOGIN, post(slow)));
    futures::future::join_all((0..100).map(|_| async {
        let status = ask(&front, HERE, Request::post(LOGIN)).await.status();
        refused.fetch_add(
            usize::from(status == StatusCode::TOO_MANY_REQUESTS),
            Ordering::Relaxed,
        );
    }))
    .await;
    assert_eq!(looked.load(Ordering::Relaxed), 2);
    assert_eq!(refused.load(Ordering::Relaxed), 98);
}

#[tokio::test(start_paused = true)]
async fn people_who_log_in_at_the_same_moment_wait_for_each_other() {
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let front = front(Router::new().route(LOGIN, post(slow)));
    // Six strangers at a time are what the address may have; each of them was right.
    for _ in 0..3 {
        let answers = (0..6).map(|_| ask(&front, HERE, Request::post(LOGIN)));
        for answer in futures::future::join_all(answers).await {
            assert_eq!(answer.status(), StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn whoever_hangs_up_has_guessed() {
    let begun = Arc::new(Notify::new());
    let (waiter, first) = (Arc::clone(&begun), Arc::new(AtomicBool::new(true)));
    let never = move || {
        let (begun, first) = (Arc::clone(&begun), first.swap(false, Ordering::Relaxed));
        async move {
            if first {
                begun.notify_one();
                std::future::pending::<()>().await;
            }
            wrong()
        }
    };
    let front = front(Router::new().route(LOGIN, post(never)));
    tokio::select! {
        _ = ask(&front, HERE, Request::post(LOGIN)) => unreachable!("it never answers"),
        () = waiter.notified() => {}
    }
    assert_eq!(statuses(&front, 2, || Request::post(LOGIN)).await, [401, 429]);
}
