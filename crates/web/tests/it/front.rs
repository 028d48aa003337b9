//! What every answer has, and what happens when a handler fails, hangs or is one too many.

use std::{collections::HashSet, time::Duration};

use strongroom_guard::TrustedProxies;
use strongroom_web::layers::Hsts;

use crate::support::{Answer, Options, Running};

#[tokio::test]
async fn every_answer_has_its_number_and_the_headers_of_a_careful_server() {
    let server = Running::start().await;
    let mut numbers = HashSet::new();
    let mut missing_host = Vec::new();
    for path in [
        "/livez",
        "/nothing",
        "/page?x=1",
        "/panic",
        "/failure",
        "/things/x",
    ] {
        let answer = server.get(path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-embedder-policy", "require-corp"),
            ("x-frame-options", "deny"),
            ("x-xss-protection", "0"),
        ] {
            if answer.header(name) != Some(value) {
                missing_host.push((path, name));
            }
        }
        assert!(
            answer
                .header("content-security-policy")
                .unwrap()
                .starts_with("default-src 'none'"),
            "{path}"
        );
        assert_eq!(
            answer.header("strict-transport-security"),
            None,
            "HSTS is for TLS"
        );
        assert_eq!(answer.header("server"), None);
        assert!(
            numbers.insert(answer.header("x-request-id").unwrap().to_owned()),
            "{path}"
        );
    }
    assert!(missing_host.is_empty(), "{missing_host:?}");
}

#[tokio::test]
async fn hsts_is_on_every_answer_over_tls() {
    for (hsts, value) in [
        (Hsts::On, "max-age=63072000; includeSubDomains"),
        (Hsts::Preload, "max-age=63072000; includeSubDomains; preload"),
    ] {
        let mut options = Options {
            tls: true,
            ..Options::default()
        };
        options.front.hsts = hsts;
        let server = Running::with(options).await;
        for path in ["/livez", "/nothing", "/panic"] {
            let answer = server.client().get(server.url(path)).send().await.unwrap();
            assert_eq!(answer.headers()["strict-transport-security"], value);
        }
    }
}

#[tokio::test]
async fn the_number_of_a_request_is_never_taken_from_the_client() {
    let server = Running::start().await;
    let theirs = "req_01jd3vw4ezfkx8y0q4sfcmj2t9";
    let answer = server
        .raw(format!(
            "GET /id HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: {theirs}\r\n\r\n"
        ))
        .await;
    let number = answer.header("x-request-id").unwrap();
    assert_ne!(number, theirs);
    assert!(answer.says(number), "the handler sees the number of the answer");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_and_methods_are_named() {
    let server = Running::start().await;
    assert_eq!(
        server.get("/nothing").await.refusal(),
        (404, "not_found".into(), None)
    );
    assert_eq!(server.get("/metrics").await.status, 404);
    for method in ["DELETE", "TRACE", "PROPFIND", "OPTIONS"] {
        let answer = server
            .raw(format!(
                "{method} /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(
            answer.refusal(),
            (405, "method_not_allowed".into(), None),
            "{method}"
        );
        assert_eq!(answer.header("allow"), Some("get,head"), "{method}");
    }
}

#[tokio::test]
async fn a_panic_is_a_problem_that_says_nothing_and_the_connection_goes_on() {
    let server = Running::with(Options {
        tls: true,
        ..Options::default()
    })
    .await;
    let client = server.client();
    for _ in 0..3 {
        let answer = client.get(server.url("/panic")).send().await.unwrap();
        assert_eq!(answer.status(), 500);
        let problem: strongroom_api::Problem = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(problem.code, "internal");
        assert!(!problem.detail.contains("canary"));
        assert_eq!(
            client.get(server.url("/livez")).send().await.unwrap().status(),
            200
        );
    }
}

#[tokio::test]
async fn the_cause_of_a_failure_stays_inside() {
    let answer = Running::start().await.get("/failure").await;
    assert_eq!(answer.refusal(), (500, "internal".into(), None));
    assert!(!answer.says("canary") && !answer.says("disk"));
}

#[tokio::test]
async fn a_handler_that_hangs_is_given_up() {
    let mut options = Options::default();
    options.front.request_time_max = Duration::from_millis(50);
    let server = Running::with(options).await;
    let answer = server.get("/never").await;
    assert_eq!(answer.refusal(), (503, "timed_out".into(), None));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_body_that_never_arrives_is_given_up() {
    let mut options = Options::default();
    options.front.request_time_max = Duration::from_millis(50);
    let server = Running::with(options).await;
    let head = "POST /payments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    assert_eq!(server.raw(head).await.refusal(), (503, "timed_out".into(), None));
}

#[tokio::test]
async fn one_request_too_many_is_refused_at_once_while_life_can_still_be_asked_for() {
    let mut options = Options::default();
    options.front.concurrency_max = 2;
    let server = Running::with(options).await;
    let held = ["/held", "/held"].map(|path| {
        let url = server.url(path);
        let client = server.client();
        tokio::spawn(async move { client.get(url).send().await.unwrap().status() })
    });
    server.doors.entered(2).await;
    let refused = server.get("/page").await;
    assert_eq!(refused.refusal(), (503, "overloaded".into(), None));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(server.get("/livez").await.status, 200);
    server.doors.open(2);
    for held in held {
        assert_eq!(held.await.unwrap(), 200);
    }
    assert_eq!(server.get("/page").await.status, 200);
}

async fn address(server: &Running, forwarded: &str) -> String {
    let answer: Answer = server
        .raw(format!(
            "GET /address HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{forwarded}\r\n"
        ))
        .await;
    String::from_utf8(answer.body).unwrap()
}

#[tokio::test]
async fn forwarded_addresses_are_believed_from_trusted_proxies_only() {
    let server = Running::start().await;
    assert_eq!(
        address(&server, "X-Forwarded-For: 192.0.2.7\r\n").await,
        "127.0.0.1"
    );
    let mut options = Options::default();
    options.front.trusted_proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let server = Running::with(options).await;
    let forged = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 192.0.2.7, 127.0.0.5\r\n";
    assert_eq!(address(&server, forged).await, "192.0.2.7");
}
