//! Clients that make work without asking for anything, over HTTP/2 frame by frame.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use strongroom_web::server::ServerSettings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::{Options, PATIENCE, Running};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// So much of anything has no client that means well.
const FRAMES: u32 = 200_000;

type Half = (ReadHalf<TlsStream<TcpStream>>, WriteHalf<TlsStream<TcpStream>>);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// `GET path` in HPACK without its tables (RFC 7541, section 6.2.2).
fn get(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x87];
    for (name, value) in [(4, path), (1, "localhost")] {
        block.push(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend_from_slice(value.as_bytes());
    }
    block
}

async fn server() -> Running {
    Running::with(Options {
        tls: true,
        server: ServerSettings {
            unasked_bytes_max: 256 * 1024,
            ..ServerSettings::default()
        },
        ..Options::default()
    })
    .await
}

/// A connection that has said hello.
async fn connect(server: &Running) -> Half {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(server.authority.clone().unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, server.connect().await).await.unwrap();
    let (reader, mut writer) = tokio::io::split(stream);
    writer
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    writer.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    (reader, writer)
}

/// Sends frames until the server has enough; how many it took. Meanwhile somebody else is served all the time.
async fn flood(server: &Running, next: impl Fn(u32) -> Vec<u8>) -> u32 {
    let (mut reader, mut writer) = connect(server).await;
    let reading = tokio::spawn(async move {
        let mut scratch = vec![0; 64 * 1024];
        while matches!(reader.read(&mut scratch).await, Ok(bytes) if bytes > 0) {}
    });
    let (client, url) = (server.client(), server.url("/livez"));
    let others = tokio::spawn(async move {
        for _ in 0..50 {
            assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
        }
    });
    let flooding = async {
        for number in 0..FRAMES {
            if writer.write_all(&next(number)).await.is_err() || reading.is_finished() {
                return number;
            }
        }
        FRAMES
    };
    let sent = tokio::time::timeout(PATIENCE, flooding)
        .await
        .expect("neither taken nor refused");
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("still open")
        .unwrap();
    others.await.unwrap();
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_over_http_2_are_served_frame_by_frame() {
    let server = server().await;
    let (mut reader, mut writer) = connect(&server).await;
    writer
        .write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &get("/livez")))
        .await
        .unwrap();
    let mut seen = Vec::new();
    let found = async {
        while !seen.windows(5).any(|part| part == b"alive") {
            let bytes = reader.read_buf(&mut seen).await.unwrap();
            assert!(bytes > 0, "closed after {seen:?}");
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("no answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_back_every_request_is_sent_away() {
    let server = server().await;
    let sent = flood(&server, |number| {
        let stream = number * 2 + 1;
        let mut pair = frame(HEADERS, END_STREAM | END_HEADERS, stream, &get("/held"));
        pair.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        pair
    })
    .await;
    assert!(sent < FRAMES, "{sent} requests were taken back");
    assert!(
        server.doors.begun() < 1_000,
        "{} handlers began",
        server.doors.begun()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_back_requests_one_by_one_once_they_run_is_sent_away() {
    let server = server().await;
    let (mut reader, mut writer) = connect(&server).await;
    let mut reading = tokio::spawn(async move {
        let mut scratch = vec![0; 64 * 1024];
        while matches!(reader.read(&mut scratch).await, Ok(bytes) if bytes > 0) {}
    });
    let mut taken_back = 0;
    for number in 0..1_000_u32 {
        let stream = number * 2 + 1;
        let asked = frame(HEADERS, END_STREAM | END_HEADERS, stream, &get("/held"));
        let sent = writer.write_all(&asked).await;
        let begun = tokio::select! {
            () = server.doors.entered(1) => true,
            _ = &mut reading => false,
        };
        if !begun || sent.is_err() {
            break;
        }
        taken_back += 1;
        if writer
            .write_all(&frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()))
            .await
            .is_err()
        {
            break;
        }
    }
    assert!((100..1_000).contains(&taken_back), "{taken_back}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_without_end_is_given_up() {
    let server = server().await;
    let sent = flood(&server, |number| match number {
        0 => frame(HEADERS, END_STREAM, 1, &get("/livez")),
        _ => frame(CONTINUATION, 0, 1, b"\x00\x01x\x01y"),
    })
    .await;
    assert!(sent < FRAMES, "{sent} continuations");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_and_settings_without_end_are_given_up() {
    let server = server().await;
    let pings = flood(&server, |number| {
        frame(PING, 0, 0, &u64::from(number).to_be_bytes())
    })
    .await;
    assert!(pings < FRAMES, "{pings} pings");
    let settings = flood(&server, |_| frame(SETTINGS, 0, 0, &[])).await;
    assert!(settings < FRAMES, "{settings} settings");
}
