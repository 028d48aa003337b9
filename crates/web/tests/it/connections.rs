//! Connections: protocols, bounds, and clients that take their time.

use std::time::Duration;

use strongroom_web::server::ServerSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Answer, Options, PATIENCE, Running};

fn impatient() -> Options {
    let server = ServerSettings {
        header_time_max: Duration::from_millis(150),
        handshake_time_max: Duration::from_millis(150),
        ..ServerSettings::default()
    };
    Options {
        server,
        ..Options::default()
    }
}

/// Reads until the server closes; what it sent.
async fn until_closed(stream: &mut tokio::net::TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("still open");
    bytes
}

#[tokio::test]
async fn both_protocols_are_spoken_over_tls() {
    let server = Running::with(Options {
        tls: true,
        ..Options::default()
    })
    .await;
    let answer = server.client().get(server.url("/livez")).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, reqwest::Version::HTTP_2)
    );
    let old = reqwest::Client::builder()
        .resolve("localhost", server.address)
        .tls_certs_only([reqwest::Certificate::from_der(server.authority.as_ref().unwrap()).unwrap()])
        .http1_only()
        .build()
        .unwrap();
    let answer = old.get(server.url("/livez")).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, reqwest::Version::HTTP_11)
    );
}

#[tokio::test]
async fn many_requests_go_over_one_connection_at_once() {
    let options = Options {
        tls: true,
        ..Options::default()
    };
    let one = ServerSettings {
        connections_max: 1,
        ..ServerSettings::default()
    };
    let server = Running::with(Options {
        server: one,
        ..options
    })
    .await;
    let client = server.client();
    client.get(server.url("/livez")).send().await.unwrap();
    let held: Vec<_> = (0..20)
        .map(|_| tokio::spawn(client.get(server.url("/held")).send()))
        .collect();
    server.doors.entered(20).await;
    server.doors.open(20);
    for task in held {
        assert_eq!(task.await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Running::start().await;
    let two = "GET /things/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /things/2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut stream = server.connect().await;
    stream.write_all(two.as_bytes()).await.unwrap();
    let text = String::from_utf8(until_closed(&mut stream).await).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200").count(), 2, "{text}");
    assert!(text.ends_with("\r\n\r\n2"), "{text}");
}

#[tokio::test]
async fn a_silent_client_is_sent_away() {
    let server = Running::with(impatient()).await;
    assert!(until_closed(&mut server.connect().await).await.is_empty());
}

#[tokio::test]
async fn a_client_that_falls_silent_after_a_request_is_sent_away() {
    let server = Running::with(impatient()).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let bytes = until_closed(&mut stream).await;
    assert!(bytes.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_head_that_trickles_in_does_not_buy_time() {
    let server = Running::with(impatient()).await;
    let mut stream = server.connect().await;
    let (mut reader, mut writer) = stream.split();
    let trickle = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        writer.write_all(b"GET /livez HTTP/1.1\r\n").await?;
        loop {
            tick.tick().await;
            writer.write_all(b"x-slow: 1\r\n").await?;
        }
        #[expect(unreachable_code, reason = "gives the block its type")]
        Ok::<(), std::io::Error>(())
    };
    let mut bytes = Vec::new();
    tokio::select! {
        _ = trickle => {}
        read = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut bytes)) => { let _ = read.expect("still open"); }
    }
    assert!(!bytes.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_handshake_that_never_happens_is_given_up() {
    let server = Running::with(Options {
        tls: true,
        ..impatient()
    })
    .await;
    assert!(until_closed(&mut server.connect().await).await.is_empty());
    // Nonsense in place of a handshake ends as well, and the server goes on.
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    until_closed(&mut stream).await;
    assert_eq!(
        server
            .client()
            .get(server.url("/livez"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn a_running_request_is_not_idle() {
    let server = Running::with(impatient()).await;
    let held = tokio::spawn({
        let client = server.client();
        let url = server.url("/held");
        async move { client.get(url).send().await.unwrap().status() }
    });
    server.doors.entered(1).await;
    // Others come and go for longer than the bound on idleness.
    let mut silent = server.connect().await;
    until_closed(&mut silent).await;
    server.doors.open(1);
    assert_eq!(held.await.unwrap(), 200);
}

#[tokio::test]
async fn a_client_that_takes_its_answer_slowly_gets_all_of_it() {
    let server = Running::with(impatient()).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut buffer = vec![0; 256 * 1024];
    let mut total = 0;
    loop {
        tick.tick().await;
        let read = stream.read(&mut buffer).await.unwrap();
        if read == 0 {
            break;
        }
        total += read;
    }
    assert!(total > 8 * 1024 * 1024, "{total} bytes");
}

#[tokio::test]
async fn heads_are_bounded_in_size_and_number() {
    let server = Running::start().await;
    let long = format!(
        "GET /livez HTTP/1.1\r\nHost: x\r\nx: {}\r\nConnection: close\r\n\r\n",
        "y".repeat(40_000)
    );
    assert_eq!(server.raw(long).await.status, 431);
    let many = format!(
        "GET /livez HTTP/1.1\r\nHost: x\r\n{}Connection: close\r\n\r\n",
        "x: y\r\n".repeat(120)
    );
    assert_eq!(server.raw(many).await.status, 431);
    let path = format!(
        "GET /{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "a".repeat(70_000)
    );
    assert!(matches!(server.raw(path).await.status, 414 | 431));
    assert_eq!(server.raw("NONSENSE\r\n\r\n").await.status, 400);
}

#[tokio::test]
async fn requests_that_two_readers_could_read_differently_are_refused() {
    let server = Running::start().await;
    let json = "Content-Type: application/json\r\nHost: x\r\n";
    for head in [
        format!("POST /small HTTP/1.1\r\n{json}Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]]"),
        format!("POST /small HTTP/1.1\r\n{json}Content-Length: +2\r\n\r\n[]"),
        format!("POST /small HTTP/1.1\r\n{json}Transfer-Encoding: gzip\r\n\r\n[]"),
    ] {
        let answer = server.raw(&head).await;
        assert_eq!(answer.status, 400, "{head}");
    }
}

#[tokio::test]
async fn one_address_does_not_hold_all_connections() {
    let server = Running::with(Options {
        server: ServerSettings {
            connections_max: 5,
            connections_per_address_max: 3,
            ..ServerSettings::default()
        },
        ..Options::default()
    })
    .await;
    let from = async |address: [u8; 4]| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        socket.connect(server.address).await.unwrap()
    };
    let ask = async |stream: &mut tokio::net::TcpStream| {
        let head = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(head).await.is_ok() && stream.read_exact(&mut [0; 12]).await.is_ok()
    };
    let greedy = [127, 0, 0, 2];
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = from(greedy).await;
        assert!(ask(&mut stream).await);
        open.push(stream);
    }
    assert!(!ask(&mut from(greedy).await).await);
    let mut other = from([127, 0, 0, 3]).await;
    assert!(ask(&mut other).await, "somebody else is served");
    open.pop();
    // The server notices the closed connection a moment later.
    let again = async {
        while !ask(&mut from(greedy).await).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again)
        .await
        .expect("a place that comes free is given again");
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_a_place_that_comes_free_is_taken() {
    let server = Running::with(Options {
        server: ServerSettings {
            connections_max: 2,
            ..ServerSettings::default()
        },
        ..Options::default()
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        open.push(stream);
    }
    assert!(until_closed(&mut server.connect().await).await.is_empty());
    open.pop();
    let mut status = None;
    // The server notices the closed connection a moment later.
    for _ in 0..50 {
        let mut stream = server.connect().await;
        let _ = stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await;
        let bytes = until_closed(&mut stream).await;
        if bytes.starts_with(b"HTTP/1.1 200") {
            status = Some(200);
            break;
        }
    }
    assert_eq!(status, Some(200));
}

#[tokio::test]
async fn head_and_keep_alive_work() {
    let server = Running::start().await;
    let answer: Answer = server
        .raw("HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}
