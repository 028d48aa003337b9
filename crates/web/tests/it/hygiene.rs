//! Names, lengths, other origins, and clients that never read.

use std::time::Duration;

use strongroom_web::{
    layers::{Front, Hosts, Origins, Scope},
    server::ServerSettings,
};
use tokio::io::AsyncWriteExt;

use crate::support::{Answer, Doors, Options, PATIENCE, Running, router};

const APP: &str = "https://app.example";

/// A server that is called `bank.example` and lets one other origin in.
async fn bank() -> Running {
    let mut options = Options::default();
    options.front.origins = Origins::new(vec![APP.to_owned()]);
    let doors = Doors::default();
    let front = Front::new(router(doors.clone()), options.front.clone());
    let front = front.scoped(Scope::Everything, Hosts::only(["bank.example".to_owned()]));
    Running::serving(front, options, doors).await
}

async fn ask(server: &Running, line: &str, headers: &str) -> Answer {
    server
        .raw(format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"))
        .await
}

#[tokio::test]
async fn only_the_name_of_the_server_is_answered_to() {
    let server = bank().await;
    for (line, headers, status) in [
        ("GET /page", "Host: bank.example\r\n", 200),
        ("GET /page", "Host: BANK.example:8443\r\n", 200),
        ("GET http://bank.example/page", "Host: bank.example\r\n", 200),
        ("GET /page", "Host: evil.example\r\n", 421),
        ("GET /page", "Host: bank.example.evil.example\r\n", 421),
        (
            "GET /page",
            "Host: evil.example\r\nX-Forwarded-Host: bank.example\r\n",
            421,
        ),
        ("GET /page", "Host: 127.0.0.1\r\n", 421),
        ("GET http://evil.example/page", "Host: bank.example\r\n", 400),
        ("GET /page", "Host: bank.example\r\nHost: evil.example\r\n", 400),
        ("GET /page", "Host: bank.example\r\nHost: bank.example\r\n", 400),
        ("GET /page", "", 400),
        ("GET /page", "Host: \r\n", 421),
        // A balancer asks by address.
        ("GET /livez", "Host: 127.0.0.1\r\n", 200),
    ] {
        let answer = ask(&server, line, headers).await;
        assert_eq!(answer.status, status, "{line} {headers}");
        assert!(
            !String::from_utf8_lossy(&answer.body).contains("evil"),
            "{headers}"
        );
    }
    assert_eq!(
        ask(&server, "GET /page", "Host: evil.example\r\n")
            .await
            .problem()
            .code,
        "misdirected"
    );
}

#[tokio::test]
async fn an_address_is_at_most_eight_kibibytes_long() {
    let server = bank().await;
    let fits = format!("GET /things/7?{}", "x".repeat(8 * 1024 - "/things/7?".len()));
    assert_eq!(ask(&server, &fits, "Host: bank.example\r\n").await.status, 200);
    let answer = ask(&server, &format!("{fits}x"), "Host: bank.example\r\n").await;
    assert_eq!(answer.refusal().0, 414);
    assert_eq!(answer.problem().code, "target_too_long");
}

#[tokio::test]
async fn pages_of_named_origins_may_read_and_those_of_others_may_not() {
    let server = bank().await;
    let host = "Host: bank.example\r\n";
    let preflight =
        "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n";
    let answer = ask(
        &server,
        "OPTIONS /payments",
        &format!("{host}{preflight}Origin: {APP}\r\n"),
    )
    .await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some(APP));
    assert_eq!(
        answer.header("access-control-allow-methods"),
        Some("get, post, put, patch, delete")
    );
    assert!(
        answer
            .header("access-control-allow-headers")
            .unwrap()
            .contains("idempotency-key")
    );
    assert_eq!(answer.header("vary"), Some("origin"));
    let answer = ask(&server, "GET /page", &format!("{host}Origin: {APP}\r\n")).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, Some(APP))
    );
    assert!(
        answer
            .header("access-control-expose-headers")
            .unwrap()
            .contains("ratelimit")
    );
    for other in [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: https://app.example.evil.example\r\n",
        "Origin: http://app.example\r\n",
        "Origin: https://app.example:8443\r\n",
        "Origin: https://APP.example\r\n",
        "Origin: https://app.example\r\nOrigin: https://evil.example\r\n",
        "",
    ] {
        let read = ask(&server, "GET /page", &format!("{host}{other}")).await;
        let asked = ask(&server, "OPTIONS /payments", &format!("{host}{preflight}{other}")).await;
        assert_eq!((read.status, asked.status), (200, 405), "{other}");
        for answer in [read, asked] {
            assert!(
                !answer.head.contains("access-control-"),
                "{other} {}",
                answer.head
            );
            assert_eq!(answer.header("vary"), Some("origin"));
        }
    }
    let credentials = ask(
        &server,
        "GET /page",
        &format!("{host}Origin: {APP}\r\nCookie: a=b\r\n"),
    )
    .await;
    assert_eq!(credentials.header("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn nothing_is_compressed_so_that_no_length_tells_a_secret() {
    let server = bank().await;
    let headers = "Host: bank.example\r\nAccept-Encoding: gzip, br, zstd, deflate\r\n";
    let answer = ask(&server, "GET /large", headers).await;
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.body.len(), 8 * 1024 * 1024);
}

#[tokio::test]
async fn what_two_readers_could_read_as_two_requests_ends_the_connection() {
    let server = bank().await;
    let smuggled = "GET /panic HTTP/1.1\r\nHost: bank.example\r\n\r\n";
    let json = "POST /small HTTP/1.1\r\nHost: bank.example\r\nContent-Type: application/json\r\n";
    for head in [
        format!("{json}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{json}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{json}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{json}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{json}Content-Length: 0\r\nContent-Length: 2\r\n\r\n[]{smuggled}"),
        format!("{json}Content-Length: 0, 2\r\n\r\n[]{smuggled}"),
        format!("{json}Content-Length: 0x2\r\n\r\n[]{smuggled}"),
        format!("{json} Content-Length: 2\r\n\r\n[]{smuggled}"),
        format!("{json}Transfer-Encoding: chunked\r\n\r\n2;\n[]\r\n0\r\n\r\n{smuggled}"),
        format!("{json}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n[]\r\n0\r\n\r\n{smuggled}"),
        format!("{json}Transfer-Encoding: chunked\r\n\r\n-2\r\n[]\r\n0\r\n\r\n{smuggled}"),
    ] {
        let answer = server.raw(&head).await;
        let all = format!("{}{}", answer.head, String::from_utf8_lossy(&answer.body)).to_lowercase();
        assert_eq!(all.matches("http/1.1 ").count(), 1, "{head}\n{all}");
        assert!(!all.contains("500"), "the second request was read: {head}\n{all}");
    }
}

#[tokio::test]
async fn a_client_that_never_reads_gives_its_place_back() {
    let server = Running::with(Options {
        server: ServerSettings {
            connections_max: 1,
            header_time_max: Duration::from_millis(150),
            ..ServerSettings::default()
        },
        ..Options::default()
    })
    .await;
    let mut silent = server.connect().await;
    silent
        .write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let served = async {
        loop {
            let mut stream = server.connect().await;
            let request = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            let mut seen = Vec::new();
            if stream.write_all(request).await.is_ok() {
                drop(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut seen).await);
            }
            if seen.starts_with(b"HTTP/1.1 200") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, served)
        .await
        .expect("the place was never given back");
}
