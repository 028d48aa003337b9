//! Clients that take their time and clients that flood, all at once, from many addresses: whoever means well is
//! answered.
//!
//! `cargo test --workspace --test it -- slow:: --nocapture` prints what it measured.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::harness::{Engine, Server};

/// Slow clients of each kind.
const SLOW: u8 = 60;
/// Connections that flood at any time, of each kind.
const FLOODS: usize = 2;
/// What the well-behaved client asks for.
const ASKED: usize = 100;
/// Longest answer: a client would have given up before, and what is to be shown is that nobody waits for others' time.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// What all of them together may cost, in MiB.
const MEMORY_MIB_MAX: u64 = 128;
/// Longest wait for the end of somebody who was given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pace of the slow: a byte each.
const PACE: Duration = Duration::from_millis(200);

const SETTINGS: &[(&str, &str)] = &[
    ("STRONGROOM_LIMITS__API_READ", "1000000/1h"),
    ("STRONGROOM_LIMITS__DOCUMENT", "1000000/1h"),
    ("STRONGROOM_BLOCKS__MODE", "observe"),
    ("STRONGROOM_SERVER__HEADER_SECONDS_MAX", "5"),
    ("STRONGROOM_SERVER__REQUEST_SECONDS_MAX", "5"),
];

/// The bytes of one more of whatever a flood is made of.
type Endless = fn(u32) -> Vec<u8>;

/// Those who mean no good.
#[derive(Clone)]
struct Crowd {
    server: SocketAddr,
    tls: Arc<ClientConfig>,
    tls_2: Arc<ClientConfig>,
    over: Arc<AtomicBool>,
    sent_away: Arc<AtomicUsize>,
}

fn client_config(server: &Server, protocol: &[u8]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(server.authority().as_bytes()) {
        roots.add(authority.unwrap()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// `GET /livez` in HPACK without its tables (RFC 7541, section 6.2.2).
fn get() -> Vec<u8> {
    let mut block = vec![0x82, 0x87];
    for (name, value) in [(4, "/livez"), (1, "localhost")] {
        block.push(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend_from_slice(value.as_bytes());
    }
    block
}

/// A request that is taken back at once (RST_STREAM).
fn taken_back(number: u32) -> Vec<u8> {
    let stream = (number * 2 + 1) & 0x7fff_ffff;
    let mut pair = frame(1, 5, stream, &get());
    pair.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    pair
}

/// A ping.
fn ping(number: u32) -> Vec<u8> {
    frame(6, 0, 0, &u64::from(number).to_be_bytes())
}

/// A head that goes on and on (CONTINUATION).
fn endless(number: u32) -> Vec<u8> {
    match number {
        0 => frame(1, 1, 1, &get()),
        _ => frame(9, 0, 1, b"\x00\x01x\x01y"),
    }
}

impl Crowd {
    fn of(server: &Server) -> Self {
        let (_, port) = server.url().rsplit_once(':').unwrap();
        Self {
            server: SocketAddr::from(([127, 0, 0, 1], port.trim_end_matches('/').parse().unwrap())),
            tls: client_config(server, b"http/1.1"),
            tls_2: client_config(server, b"h2"),
            over: Arc::default(),
            sent_away: Arc::default(),
        }
    }

    /// A connection from an address of its own; `None` where the server has no place.
    async fn connect(&self, tls: &Arc<ClientConfig>, from: [u8; 2]) -> Option<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind(SocketAddr::from(([127, 1, from[0], from[1]], 0)))
            .unwrap();
        let stream = socket.connect(self.server).await.ok()?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::clone(tls))
            .connect(name, stream)
            .await
            .ok()
    }

    /// Brings the beginning, then a byte at a time, until the server has enough of it.
    async fn trickle(self, from: [u8; 2], beginning: &'static str) {
        let Some(mut stream) = self.connect(&self.tls, from).await else {
            return;
        };
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let trickling = async {
            loop {
                tokio::time::sleep(PACE).await;
                if writer.write_all(b"x").await.is_err() || writer.flush().await.is_err() {
                    return;
                }
            }
        };
        let ended = async {
            let mut said = [0; 1024];
            while matches!(reader.read(&mut said).await, Ok(bytes) if bytes > 0) {}
        };
        tokio::select! {
            () = trickling => {}
            () = ended => {}
        }
        self.sent_away.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks for what is large, many times, and reads nothing.
    async fn never_read(self, from: [u8; 2]) {
        let Some(mut stream) = self.connect(&self.tls, from).await else {
            return;
        };
        let request = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50);
        let _ = stream.write_all(request.as_bytes()).await;
        while !self.over.load(Ordering::Relaxed) {
            tokio::time::sleep(PACE).await;
        }
    }

    /// Sends frames as fast as they are taken, and comes again whenever it is sent away.
    async fn flood(self, from: [u8; 2], next: Endless, sent_away: Arc<AtomicUsize>) {
        while !self.over.load(Ordering::Relaxed) {
            let Some(mut stream) = self.connect(&self.tls_2, from).await else {
                continue;
            };
            let hello = [
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
                &frame(4, 0, 0, &[]),
            ]
            .concat();
            let mut open = stream.write_all(&hello).await.is_ok();
            let (mut reader, mut writer) = tokio::io::split(stream);
            let reading = tokio::spawn(async move {
                let mut said = vec![0; 64 << 10];
                while matches!(reader.read(&mut said).await, Ok(bytes) if bytes > 0) {}
            });
            let mut number = 0;
            while open && !self.over.load(Ordering::Relaxed) {
                let some: Vec<u8> = (number..number + 50).flat_map(next).collect();
                number += 50;
                open = writer.write_all(&some).await.is_ok() && !reading.is_finished();
            }
            reading.abort();
            if !open {
                sent_away.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

// What is in front of the bank is the same whatever is behind it. Before PostgreSQL it ends well alone; beside another
// story an answer can be `503`, which `docs/security/edge.md` tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_means_well_is_answered_among_slow_clients_and_floods() {
    let server = Server::start_with(Engine::Sqlite, SETTINGS).await.unwrap();
    let alice = server.customer("alice").await;
    alice.client.get("/api/v1/me").await.expect(200);
    let before = server.memory_peak_mib();
    let crowd = Crowd::of(&server);
    let (mut slow, mut rest) = (JoinSet::new(), JoinSet::new());
    for number in 0..SLOW {
        slow.spawn(
            crowd
                .clone()
                .trickle([1, number], "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: "),
        );
        slow.spawn(crowd.clone().trickle(
            [2, number],
            "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: 5000\r\n\r\n",
        ));
        rest.spawn(crowd.clone().never_read([3, number]));
    }
    let kinds: [(&str, Endless); 3] = [
        ("taken back", taken_back),
        ("pings", ping),
        ("endless heads", endless),
    ];
    let floods = kinds.map(|_| Arc::new(AtomicUsize::new(0)));
    for (place, (_, next)) in (0_u8..).zip(kinds) {
        for number in 0..FLOODS {
            let from = [4 + place, u8::try_from(number).unwrap()];
            rest.spawn(
                crowd
                    .clone()
                    .flood(from, next, Arc::clone(&floods[usize::from(place)])),
            );
        }
    }

    let mut took = Vec::new();
    let everybody_was_met = || floods.iter().all(|count| count.load(Ordering::Relaxed) > 0);
    let begun = Instant::now();
    while took.len() < ASKED || !everybody_was_met() {
        assert!(
            begun.elapsed() < 2 * PATIENCE,
            "no flood is sent away: {floods:?}"
        );
        let started = Instant::now();
        let answer = timeout(ANSWER_TIME_MAX, alice.client.get("/api/v1/accounts")).await;
        answer.expect("an answer in time").expect(200);
        took.push(started.elapsed());
    }
    // Each slow client is given up in the end, by itself.
    let all = async { while slow.join_next().await.transpose().unwrap().is_some() {} };
    timeout(PATIENCE, all).await.expect("everybody slow is given up");
    assert_eq!(
        crowd.sent_away.load(Ordering::Relaxed),
        2 * usize::from(SLOW),
        "each had a place"
    );
    let after = server.memory_peak_mib();
    crowd.over.store(true, Ordering::Relaxed);
    timeout(PATIENCE, async { while rest.join_next().await.is_some() {} })
        .await
        .expect("the crowd goes home");
    took.sort_unstable();
    println!(
        "{} answers among {} slow clients and {} floods at a time: median {:?}, 99 of 100 {:?}, worst {:?}; \
         memory {before} to {after} MiB; floods sent away: {}",
        took.len(),
        3 * usize::from(SLOW),
        3 * FLOODS,
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        took.last().unwrap(),
        kinds
            .iter()
            .zip(&floods)
            .map(|((name, _), count)| format!("{name} {}", count.load(Ordering::Relaxed)))
            .collect::<Vec<_>>()
            .join(", "),
    );
    assert!(after < before + MEMORY_MIB_MAX, "{before} to {after} MiB");
}
