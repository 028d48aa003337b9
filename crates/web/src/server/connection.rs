//! One connection: handshake, protocol, requests, end.

use std::{convert::Infallible, io, iter, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use strongroom_app::certificate_thumbprint;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, rustls::server::Acceptor, server::TlsStream};

use super::{
    ProofOf, ServerSettings, Stopped,
    activity::{Activity, Lingering, Place, Watched},
};
use crate::layers::{ClientCertificate, Front};

/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: u32 = 16 * 1024;
/// The read buffer of an HTTP/1.1 connection; a head must fit into it.
const BUFFER_BYTES_MAX: usize = 32 * 1024;
/// How many answers of one HTTP/2 connection wait in memory per stream, in bytes.
const SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// What one stream and one connection of HTTP/2 may send before we have read it, in bytes.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 512 * 1024;
/// Streams that the client reset before we took them (CVE-2023-44487) and that we reset because of the
/// client's mistakes, before the connection ends.
const RESETS_PENDING_MAX: usize = 20;
const RESETS_LOCAL_MAX: usize = 128;
/// HTTP/2 pings: how often, and how long until the answer.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_WAIT: Duration = Duration::from_secs(10);

/// The counter of connections that ended because their client made work without asking for anything.
const FLOODS: &str = "strongroom_http_floods_total";
const ALPN_H2: &[u8] = b"h2";

/// The protocol settings, built once.
pub(super) struct Protocols {
    http1: conn::http1::Builder,
    http2: conn::http2::Builder<TokioExecutor>,
}

impl Protocols {
    pub(super) fn new(settings: &ServerSettings) -> Self {
        let mut http1 = conn::http1::Builder::new();
        http1
            // The activity watch bounds the wait for a head, for both protocols. The number of headers keeps
            // its default of 100: naming one moves the parser's array from the stack to the heap.
            .header_read_timeout(None)
            .max_header_size(HEAD_BYTES_MAX as usize)
            .max_buf_size(BUFFER_BYTES_MAX)
            // No `pipeline_flush`: it loses the answer to a request that ends the connection.
            .half_close(false);
        let mut http2 = conn::http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(settings.streams_max)
            .max_header_list_size(HEAD_BYTES_MAX)
            .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
            .max_local_error_reset_streams(RESETS_LOCAL_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_WAIT);
        Self { http1, http2 }
    }
}

/// What every connection of one server shares.
pub(super) struct Serving {
    pub(super) front: Front,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) proofs: Option<Arc<ProofOf>>,
    pub(super) protocols: Protocols,
    pub(super) settings: ServerSettings,
    pub(super) stopped: Stopped,
    pub(super) cut: Stopped,
}

/// How a connection ended, as far as somebody counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ended,
    HandshakeFailed,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
struct Peer {
    address: IpAddr,
    certificate: Option<ClientCertificate>,
}

impl Peer {
    /// Somebody without a certificate.
    fn at(address: IpAddr) -> Self {
        Self {
            address,
            certificate: None,
        }
    }

    /// Serves a request of theirs.
    async fn served(self, front: &Front, mut request: hyper::Request<Incoming>) -> axum::response::Response {
        if let Some(certificate) = self.certificate {
            request.extensions_mut().insert(certificate);
        }
        front.serve(request, self.address).await
    }
}

impl Serving {
    pub(super) async fn connection(&self, stream: TcpStream, peer: IpAddr, place: Place) -> Outcome {
        let Some(acceptor) = &self.tls else {
            self.http1(stream, Peer::at(peer), place).await;
            return Outcome::Ended;
        };
        let handshake =
            tokio::time::timeout(self.settings.handshake_time_max, self.handshake(acceptor, stream));
        let stream = tokio::select! {
            biased;
            () = wait(&self.cut) => return Outcome::Ended,
            finished = handshake => match finished {
                Ok(Ok(Some(stream))) => stream,
                Ok(Ok(None)) => return Outcome::Ended,
                _ => return Outcome::HandshakeFailed,
            },
        };
        let session = stream.get_ref().1;
        let peer = Peer {
            certificate: session
                .peer_certificates()
                .and_then(<[_]>::first)
                .map(|certificate| ClientCertificate(certificate_thumbprint(certificate))),
            ..Peer::at(peer)
        };
        if session.alpn_protocol() == Some(ALPN_H2) {
            self.http2(stream, peer, place).await;
        } else {
            self.http1(stream, peer, place).await;
        }
        Outcome::Ended
    }

    /// The stream behind the handshake; `None` where it was a proof and nothing follows.
    async fn handshake(
        &self,
        acceptor: &TlsAcceptor,
        stream: TcpStream,
    ) -> io::Result<Option<TlsStream<TcpStream>>> {
        let Some(proofs) = &self.proofs else {
            return acceptor.accept(stream).await.map(Some);
        };
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        match proofs(&start.client_hello()) {
            None => start.into_stream(Arc::clone(acceptor.config())).await.map(Some),
            Some(config) => {
                start.into_stream(config).await?.shutdown().await?;
                Ok(None)
            }
        }
    }

    async fn http1<T: Lingering>(&self, stream: T, peer: Peer, place: Place) {
        let activity = Activity::new();
        let io = TokioIo::new(Watched::new(
            stream,
            activity.clone(),
            place,
            self.settings.unasked_bytes_max,
        ));
        let service = service_fn(|request| self.request(request, peer, &activity));
        let mut connection = pin!(self.protocols.http1.serve_connection(io, service));
        // Looked at when it was woken, and not with every step of every request: it waits for what all connections
        // share.
        let mut ending: FuturesUnordered<_> = iter::once(self.ending(&activity)).collect();
        tokio::select! {
            biased;
            // An error of a connection is the client's business: it left, or did not speak HTTP.
            _ = connection.as_mut() => return,
            _ = ending.next() => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            _ = connection => {}
            () = self.cut(&activity) => {}
        }
    }

    async fn http2<T: Lingering>(&self, stream: T, peer: Peer, place: Place) {
        let activity = Activity::new();
        let io = TokioIo::new(Watched::new(
            stream,
            activity.clone(),
            place,
            self.settings.unasked_bytes_max,
        ));
        let (front, streams) = (self.front.clone(), activity.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let (front, running) = (front.clone(), streams.begin());
            async move {
                let answer = peer.served(&front, request).await;
                running.answered();
                Ok::<_, Infallible>(answer)
            }
        });
        let mut connection = pin!(self.protocols.http2.serve_connection(io, service));
        tokio::select! {
            biased;
            () = activity.flooded() => {
                metrics::counter!(FLOODS).increment(1);
                return;
            }
            _ = connection.as_mut() => return,
            () = self.ending(&activity) => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            () = activity.flooded() => metrics::counter!(FLOODS).increment(1),
            _ = connection => {}
            () = self.cut(&activity) => {}
        }
    }

    async fn request(
        &self,
        request: hyper::Request<Incoming>,
        peer: Peer,
        activity: &Activity,
    ) -> Result<axum::response::Response, Infallible> {
        let running = activity.begin();
        let answer = peer.served(&self.front, request).await;
        running.answered();
        Ok(answer)
    }

    /// The server stops, or the connection has been idle for too long.
    async fn ending(&self, activity: &Activity) {
        tokio::select! {
            () = wait(&self.stopped) => {}
            () = activity.idle_for(self.settings.header_time_max) => {}
        }
    }

    /// After the farewell: the server's patience ends, or the client does not take the hint.
    async fn cut(&self, activity: &Activity) {
        tokio::select! {
            () = wait(&self.cut) => {}
            () = activity.idle_for(self.settings.header_time_max) => {}
        }
    }
}

async fn wait(stopped: &Stopped) {
    stopped.clone().wait().await;
}
