//! Spans of requests, and security events as logs, reach a collector of OpenTelemetry.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use reqwest::Method;
use serde_json::json;

use crate::harness::{
    Answer, BUSY, Server,
    mail_server::logged,
    otlp::{Collector, attributes},
    people::new_key,
    stories,
};

const LOGIN: &str = "/api/v1/auth/login";
const AWAY: &str = "the collector of security events is away";
/// What a client calls itself that would like to be more than that.
const AGENT: &str = r#"a|b=c\d ]"}{ <34>1 %20%0a"#;
const PASSWORD: &str = "wrong-canary-2761-horse";
/// The names of everything that a span says.
const SAID: [&str; 4] = [
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "strongroom.request_id",
];

stories! {
    with BUSY;
    every_event_arrives_as_a_log_whoever_is_killed_meanwhile,
    each_request_is_a_span_that_names_nobody,
    a_collector_with_another_certificate_gets_nothing,
}

async fn started(server: &mut Server) -> Collector {
    let collector = Collector::start().await;
    server.stop().await;
    collector.collect_from(server);
    server.resume().await;
    collector
}

async fn guess(server: &Server) -> Answer {
    let client = server.client();
    let body = json!({"email": format!("nobody-canary-{}@example.com", new_key()), "password": PASSWORD});
    let request = client
        .request(Method::POST, LOGIN)
        .header("User-Agent", AGENT)
        .json(&body);
    client.send(request).await.expect(401)
}

fn number(answer: &Answer) -> String {
    answer.header("x-request-id").unwrap().to_owned()
}

async fn every_event_arrives_as_a_log_whoever_is_killed_meanwhile(mut server: Server) {
    let collector = started(&mut server).await;
    let mut requests = BTreeSet::new();
    for _ in 0..5 {
        requests.insert(number(&guess(&server).await));
    }
    logged(&server, AWAY).await;
    assert!(collector.taken().is_empty(), "it refuses");
    // Killed with the answer: what was answered is known.
    server.kill();
    server.resume().await;
    collector.take(true);
    collector.events("login_failed", 5).await;
    for _ in 0..3 {
        collector.take(false);
        requests.insert(number(&guess(&server).await));
        collector.take(true);
        requests.insert(number(&guess(&server).await));
    }
    let events = collector.events("login_failed", 11).await;
    assert_eq!(events.len(), 11);
    let mut named = BTreeSet::new();
    for event in events.values() {
        let said = attributes(&event.attributes);
        assert_eq!(said["user_agent.original"], AGENT);
        assert_eq!(said["client.address"], "127.0.0.1");
        assert_eq!(said["strongroom.outcome"], "refused");
        assert_eq!(said["strongroom.reason"], "invalid_credentials");
        // INFO2, which is what a notice of syslog is there.
        assert_eq!((event.severity_number, event.severity_text.as_str()), (10, "low"));
        assert!(event.time_unix_nano > 1_700_000_000_000_000_000);
        named.insert(said["strongroom.request_id"].clone());
    }
    assert_eq!(named, requests, "each request is one event");
    for body in collector.taken() {
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(
            !text.contains(PASSWORD) && !text.contains("nobody-canary"),
            "{text}"
        );
    }
    // What waits is sealed.
    for entry in std::fs::read_dir(server.data().join("otlp")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("login_failed"));
    }
}

/// The span of a request, after the server has ended and left nothing behind.
fn span_of<'a>(spans: &'a [Span], request: &str) -> &'a Span {
    let mut found = spans
        .iter()
        .filter(|span| attributes(&span.attributes)["strongroom.request_id"] == request);
    let span = found.next().unwrap_or_else(|| panic!("no span of {request}"));
    assert!(found.next().is_none(), "two spans of {request}");
    span
}

async fn each_request_is_a_span_that_names_nobody(mut server: Server) {
    let collector = started(&mut server).await;
    collector.take(true);
    let alice = server.customer("alice").await;
    let account = alice.account("Savings").await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/accounts/{account}");
    let claimed = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = alice.client.request(Method::GET, &format!("{path}?canary=5512"));
    let request = request.header("traceparent", format!("00-{claimed}-00f067aa0ba902b7-01"));
    let read = number(&alice.client.send(request).await);
    let wrong = number(&guess(&server).await);
    let unknown = number(&server.client().get("/canary-path-5512").await.expect(404));
    let odd = server
        .client()
        .request(Method::from_bytes(b"CANARY5512").unwrap(), LOGIN);
    let odd = number(&server.client().send(odd).await.expect(405));
    let address = alice.email.clone();
    assert_eq!(server.stop().await, Some(0));

    let spans = collector.spans();
    let read = span_of(&spans, &read);
    assert_eq!(read.name, "GET /api/v1/accounts/{id}");
    assert_eq!(read.kind(), SpanKind::Server);
    assert!(read.parent_span_id.is_empty() && read.end_time_unix_nano >= read.start_time_unix_nano);
    let wrong = span_of(&spans, &wrong);
    assert_eq!(wrong.name, "POST /api/v1/auth/login");
    assert_eq!(attributes(&wrong.attributes)["http.response.status_code"], "401");
    let unknown = span_of(&spans, &unknown);
    assert_eq!(attributes(&unknown.attributes)["http.route"], "unmatched");
    assert_eq!(
        attributes(&span_of(&spans, &odd).attributes)["http.request.method"],
        "other"
    );
    let traces: BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(traces.len(), spans.len(), "each is a trace of its own");
    for span in &spans {
        let names: Vec<String> = attributes(&span.attributes).into_keys().collect();
        assert_eq!(names, SAID, "{span:?}");
        assert!(span.events.is_empty() && span.links.is_empty(), "{span:?}");
        let text = format!("{span:?}").to_ascii_lowercase();
        let id = alice.email.split('@').next().unwrap();
        for person in ["canary", "127.0.0.1", id, &account, &address, AGENT, claimed] {
            assert!(!text.contains(&person.to_ascii_lowercase()), "{person} in {text}");
        }
    }
}

async fn a_collector_with_another_certificate_gets_nothing(mut server: Server) {
    let collector = started(&mut server).await;
    collector.take(true);
    for certificate in ["forged", "elsewhere"] {
        server.kill();
        collector.show(certificate);
        let before = collector.taken().len();
        std::fs::write(server.folder().join("log"), "").unwrap();
        server.resume().await;
        guess(&server).await;
        logged(&server, "invalid peer certificate").await;
        assert_eq!(collector.taken().len(), before, "{certificate}");
    }
    collector.show("right");
    collector.events("login_failed", 2).await;
}
