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
    let watch = Watch::new(Mode::Enforce, Vec::new(), proxies(), None, |_| None);
    watch.know_sessions(|head| {
        let shown = head.headers.get("authorization");
        std::future::ready(shown.is_some_and(|shown| shown == "Bearer right"))
    });
    let routes = Router::new()
        .route("/", get(|| async {}))
        .route("/api/v1/accounts", get(|| async { StatusCode::UNAUTHORIZED }));
    Front::new(
        routes,
        FrontSettings {
            request_time_max: Duration::from_secs(5),
            concurrency_max: 256,
            hsts: Hsts::Off,
            origins: Origins::default(),
            trusted_proxies: proxies(),
            limits: Limits::off(),
            watch,
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

/// Makes an address suspicious, but not so much that it is blocked: many paths that are not there, no agent.
async fn look_around(front: &Front, peer: IpAddr) {
    for number in 0..30 {
        let request = Request::get(format!("/none-{number}")).header("host", "x");
        front.serve(request.body(Body::empty()).unwrap(), peer).await;
    }
}

fn request(path: &str, header: (&'static str, &'static str)) -> Request<Body> {
    let request = Request::get(path).header("host", "x").header(header.0, header.1);
    request.body(Body::empty()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn suspects_wait_whatever_they_show_unless_it_is_a_session() {
    let front = front();
    let (suspect, other): (IpAddr, IpAddr) = ("192.0.2.7".parse().unwrap(), "192.0.2.8".parse().unwrap());
    look_around(&front, suspect).await;
    let served = async |path: &str, header, peer| {
        let begun = tokio::time::Instant::now();
        let status = front.serve(request(path, header), peer).await.status();
        (status, begun.elapsed())
    };
    for header in [
        ("accept", "*/*"),
        ("cookie", "a=b"),
        ("cookie", "__Host-sid=junk"),
        ("authorization", "Bearer junk"),
        ("x-api-key", "junk"),
    ] {
        for path in ["/", "/api/v1/accounts", "/none"] {
            let (_, waited) = served(path, header, suspect).await;
            let bounds = Duration::from_millis(100)..Duration::from_secs(3);
            assert!(bounds.contains(&waited), "{path} {header:?}: {waited:?}");
        }
    }
    let session = ("authorization", "Bearer right");
    assert_eq!(
        served("/", session, suspect).await,
        (StatusCode::OK, Duration::ZERO)
    );
    let nobody = served("/", ("accept", "*/*"), other).await;
    assert_eq!(nobody, (StatusCode::OK, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_at_once_than_there_are_places() {
    let front = front();
    let suspect: IpAddr = "192.0.2.7".parse().unwrap();
    look_around(&front, suspect).await;
    let crowd = (0..SLEEPERS_MAX + 16).map(|_| front.serve(request("/", ("cookie", "a=b")), suspect));
    let answers = futures::future::join_all(crowd).await;
    let refused = answers
        .iter()
        .filter(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.count(), 16);
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
