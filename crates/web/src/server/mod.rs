//! The server loop: accepts connections, speaks TLS and HTTP over them, stops when told.
//!
//! Everything is bounded: connections by a semaphore, the handshake and every wait for a request by a time,
//! streams and header blocks by the protocol settings, the stop by [`ServerSettings::shutdown_time_max`].
//! Connections that find no place wait in the accept queue of the kernel for a moment and are then closed:
//! a client should see a refusal, not a hang.

mod activity;
mod addresses;
mod connection;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use metrics::{Counter, Gauge};
use strongroom_guard::TrustedProxies;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, server::ClientHello},
};

use self::{
    activity::{Held, Place},
    addresses::Addresses,
};
use crate::layers::Front;

/// How long an accepted connection waits for a place before it is closed.
const PLACE_WAIT: Duration = Duration::from_millis(250);
/// How long the loop rests when the system refuses to accept (no descriptors left, for example).
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// The bounds of a server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// How many connections are open at once.
    pub connections_max: usize,
    /// How many of them are open at once from one address (IPv6: from one /64).
    pub connections_per_address_max: usize,
    /// Whose connections are those of many, and not bounded by address.
    pub trusted_proxies: TrustedProxies,
    /// How long a TLS handshake may take.
    pub handshake_time_max: Duration,
    /// How long a connection may take to bring the head of its next request, idle time included.
    pub header_time_max: Duration,
    /// How long requests in flight may take to finish once the server stops.
    pub shutdown_time_max: Duration,
    /// How many streams one HTTP/2 connection may have open.
    pub streams_max: u32,
    /// How much a connection may send between two requests and with each of them, in bytes: bodies, and the pings and
    /// settings of HTTP/2, each of which wants an answer.
    pub unasked_bytes_max: u64,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            connections_per_address_max: 1_024,
            trusted_proxies: TrustedProxies::default(),
            handshake_time_max: Duration::from_secs(10),
            header_time_max: Duration::from_secs(30),
            shutdown_time_max: Duration::from_secs(30),
            streams_max: 128,
            // The largest body of any route and half of it again.
            unasked_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// The two ends of the word "stop".
pub fn stop_signal() -> (Stop, Stopped) {
    let (sender, receiver) = watch::channel(false);
    (Stop(Arc::new(sender)), Stopped(receiver))
}

/// Says the word.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// Tells every holder of the other end to stop. Saying it twice is saying it once.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// Hears the word.
#[derive(Clone, Debug)]
pub struct Stopped(watch::Receiver<bool>);

impl Stopped {
    /// Returns once the word was said, or once nobody is left who could say it.
    pub async fn wait(&mut self) {
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether the word was said.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }
}

/// What a server did when it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every request in flight was answered.
    Drained,
    /// Time ran out; so many connections were cut.
    Cut(usize),
}

impl Ended {
    /// How two servers that stopped together ended.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Drained, other) => other,
            (cut, Self::Drained) => cut,
            (Self::Cut(one), Self::Cut(other)) => Self::Cut(one + other),
        }
    }
}

/// Says whether a handshake asks for a proof that its name leads here (RFC 8737), and by which settings it is proven.
pub type ProofOf = dyn Fn(&ClientHello<'_>) -> Option<Arc<ServerConfig>> + Send + Sync;

/// A bound listener with everything that it needs to serve.
pub struct Server {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    proofs: Option<Arc<ProofOf>>,
    front: Front,
    settings: ServerSettings,
}

struct Figures {
    connections: Gauge,
    refused: Counter,
    handshakes_failed: Counter,
}

static FIGURES: LazyLock<Figures> = LazyLock::new(|| Figures {
    connections: metrics::gauge!("strongroom_http_connections"),
    refused: metrics::counter!("strongroom_http_connections_refused_total"),
    handshakes_failed: metrics::counter!("strongroom_tls_handshakes_failed_total"),
});

impl Server {
    /// Serves `front` on `listener`: over TLS with that configuration, else in the clear.
    pub fn new(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        front: Front,
        settings: ServerSettings,
    ) -> Self {
        Self {
            listener,
            tls,
            proofs: None,
            front,
            settings,
        }
    }

    /// Answers handshakes that ask for a proof by its own settings, and ends them there: nothing is served over them.
    pub fn proving(self, proofs: Option<Arc<ProofOf>>) -> Self {
        Self { proofs, ..self }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the word is said, then lets requests in flight finish within the bound.
    pub async fn run(self, mut stopped: Stopped) -> Ended {
        let Self {
            listener,
            tls,
            proofs,
            front,
            settings,
        } = self;
        let places = Arc::new(Semaphore::new(settings.connections_max));
        let addresses = Addresses::new(
            settings.connections_per_address_max,
            settings.trusted_proxies.clone(),
        );
        let (cut, cut_heard) = stop_signal();
        let serving = Arc::new(connection::Serving {
            front,
            tls: tls.map(TlsAcceptor::from),
            proofs,
            protocols: connection::Protocols::new(&settings),
            settings: settings.clone(),
            stopped: stopped.clone(),
            cut: cut_heard,
        });
        loop {
            let accepted = tokio::select! {
                biased;
                () = stopped.wait() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // Whoever has too many waits for nothing, and keeps nobody else waiting.
                    let Some(of_address) = addresses.enter(peer.ip()) else {
                        FIGURES.refused.increment(1);
                        continue;
                    };
                    let Some(place) = place(&places).await else {
                        FIGURES.refused.increment(1);
                        continue;
                    };
                    let place = Arc::new(Held::new(place, of_address));
                    tokio::spawn(serve(Arc::clone(&serving), stream, peer, place));
                }
                // A connection that died in the queue; the next one is fine.
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    tracing::warn!(target: "strongroom_web", %error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
        drop(listener);
        let all = u32::try_from(settings.connections_max).unwrap_or(u32::MAX);
        let drained = tokio::time::timeout(settings.shutdown_time_max, places.acquire_many(all)).await;
        if drained.is_ok() {
            return Ended::Drained;
        }
        let open = settings.connections_max - places.available_permits();
        cut.stop();
        let _ = places.acquire_many(all).await;
        Ended::Cut(open)
    }
}

async fn place(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Some(place);
    }
    tokio::time::timeout(PLACE_WAIT, Arc::clone(places).acquire_owned())
        .await
        .ok()?
        .ok()
}

async fn serve(serving: Arc<connection::Serving>, stream: TcpStream, peer: SocketAddr, place: Place) {
    FIGURES.connections.increment(1.0);
    // Answers are small and complete: waiting for more to send only adds latency.
    let _ = stream.set_nodelay(true);
    if serving.connection(stream, peer.ip(), place).await == connection::Outcome::HandshakeFailed {
        FIGURES.handshakes_failed.increment(1);
    }
    FIGURES.connections.decrement(1.0);
}

fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
