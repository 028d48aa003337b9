//! A server on a free port, and clients that may send what no library would.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, extract::State, routing::get, routing::post};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use strongroom_guard::TrustedProxies;
use strongroom_web::{
    BATCH_BODY_BYTES_MAX, Problem,
    detection::Detection,
    extract::{JsonBody, QueryParams},
    layers::{ClientAddress, Front, FrontSettings, Hsts, Origins, RequestId, body_limit},
    limits::Limits,
    server::{Ended, Server, ServerSettings, Stop, stop_signal},
    suspicion::Watch,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};

/// Longer than anything here takes; a test that meets it fails instead of hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The body that the test routes take.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payment {
    pub(crate) to: String,
    pub(crate) amount: Amount,
    pub(crate) memo: Option<String>,
}

/// Money on the wire.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Amount {
    pub(crate) amount: i64,
    pub(crate) currency: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<u8>,
    cursor: Option<String>,
}

/// Lets a test hold handlers where it wants them.
#[derive(Clone)]
pub(crate) struct Doors {
    /// One permit per handler that has begun.
    begun: Arc<Semaphore>,
    /// Each permit lets one handler finish.
    release: Arc<Semaphore>,
}

impl Default for Doors {
    fn default() -> Self {
        Self {
            begun: Arc::new(Semaphore::new(0)),
            release: Arc::new(Semaphore::new(0)),
        }
    }
}

impl Doors {
    /// Returns once so many handlers are inside.
    pub(crate) async fn entered(&self, handlers: u32) {
        let begun = tokio::time::timeout(PATIENCE, self.begun.acquire_many(handlers)).await;
        begun.expect("nobody entered").unwrap().forget();
    }

    /// How many handlers have begun.
    pub(crate) fn begun(&self) -> usize {
        self.begun.available_permits()
    }

    /// Lets so many handlers finish.
    pub(crate) fn open(&self, handlers: usize) {
        self.release.add_permits(handlers);
    }
}

pub(crate) fn router(doors: Doors) -> Router {
    Router::new()
        .route(
            "/payments",
            post(|JsonBody(payment): JsonBody<Payment>| async { Json(payment) }),
        )
        .route(
            "/batches",
            post(|JsonBody(list): JsonBody<Vec<Payment>>| async move { Json(list.len()) }),
        )
        .route_layer(body_limit(BATCH_BODY_BYTES_MAX))
        .merge(Router::new().route(
            "/small",
            post(|JsonBody(list): JsonBody<Vec<String>>| async move { Json(list.len()) }),
        ))
        .route(
            "/page",
            get(|QueryParams(page): QueryParams<Page>| async { Json(page) }),
        )
        .route(
            "/things/{id}",
            get(|axum::extract::Path(id): axum::extract::Path<u32>| async move { Json(id) }),
        )
        .route("/id", get(|id: RequestId| async move { id.to_string() }))
        .route(
            "/address",
            get(|ClientAddress(address)| async move { address.to_string() }),
        )
        .route(
            "/panic",
            get(|| async {
                if std::hint::black_box(true) {
                    panic!("canary {}", 4711)
                }
            }),
        )
        .route(
            "/failure",
            get(|| async { Problem::internal("canary: the disk is gone") }),
        )
        .route("/never", get(std::future::pending::<()>))
        .route("/held", get(held).with_state(doors))
        .route("/livez", get(|| async { "alive" }))
        .route("/large", get(|| async { vec![b'x'; 8 * 1024 * 1024] }))
}

async fn held(State(doors): State<Doors>) -> &'static str {
    doors.begun.add_permits(1);
    if let Ok(permit) = doors.release.acquire().await {
        permit.forget();
    }
    "done"
}

/// What a test may change.
pub(crate) struct Options {
    pub(crate) tls: bool,
    pub(crate) front: FrontSettings,
    pub(crate) server: ServerSettings,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: false,
            front: FrontSettings {
                request_time_max: PATIENCE,
                concurrency_max: 64,
                hsts: Hsts::Off,
                origins: Origins::default(),
                trusted_proxies: TrustedProxies::default(),
                limits: Limits::off(),
                watch: Watch::off(),
                detection: Detection::off(),
            },
            server: ServerSettings::default(),
        }
    }
}

/// A running server.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) doors: Doors,
    pub(crate) stop: Stop,
    pub(crate) authority: Option<CertificateDer<'static>>,
    task: Mutex<Option<JoinHandle<Ended>>>,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let doors = Doors::default();
        let front = Front::new(router(doors.clone()), options.front.clone());
        Self::serving(front, options, doors).await
    }

    pub(crate) async fn serving(front: Front, options: Options, doors: Doors) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (authority, tls) = if options.tls { certificate() } else { (None, None) };
        let server = Server::new(listener, tls, front, options.server);
        let address = server.local_addr().unwrap();
        let (stop, stopped) = stop_signal();
        let task = Mutex::new(Some(tokio::spawn(server.run(stopped))));
        Self {
            address,
            doors,
            stop,
            authority,
            task,
        }
    }

    /// How the server ended; within the patience of a test.
    pub(crate) async fn ended(&self) -> Ended {
        let task = self.task.lock().unwrap().take().unwrap();
        tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes over a connection of their own and reads the one answer.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect().await;
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(bytes.as_ref()).await;
        Answer::read(&mut stream).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.raw(format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ))
        .await
    }

    pub(crate) async fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.post_as(path, "Content-Type: application/json\r\n", body)
            .await
    }

    pub(crate) async fn post_as(&self, path: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        self.raw(bytes).await
    }

    /// A client that trusts the server's authority and calls it `localhost`.
    pub(crate) fn client(&self) -> reqwest::Client {
        let mut builder = reqwest::Client::builder()
            .resolve("localhost", self.address)
            .timeout(PATIENCE);
        if let Some(authority) = &self.authority {
            builder = builder.tls_certs_only([reqwest::Certificate::from_der(authority).unwrap()]);
        }
        builder.build().unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }
}

type Tls = (Option<CertificateDer<'static>>, Option<Arc<rustls::ServerConfig>>);

fn certificate() -> Tls {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let der = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (Some(der), Some(Arc::new(config)))
}

/// One answer as it came over the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads to the end of the connection.
    pub(crate) async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A reset after the answer is how a server ends a conversation that it does not want to go on with.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
            .await
            .expect("no end of the answer");
        let at = bytes
            .windows(4)
            .position(|it| it == b"\r\n\r\n")
            .expect("no answer");
        let head = String::from_utf8(bytes[..at].to_vec())
            .unwrap()
            .to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            head,
            body: bytes[at + 4..].to_vec(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The problem document, checked against the head.
    pub(crate) fn problem(&self) -> strongroom_api::Problem {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            self.head
        );
        let problem: strongroom_api::Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status);
        assert_eq!(Some(problem.request_id.as_str()), self.header("x-request-id"));
        assert_eq!(problem.kind, format!("urn:strongroom:error:{}", problem.code));
        problem
    }

    /// Status, code of the problem, and pointer and code of its first field.
    pub(crate) fn refusal(&self) -> (u16, String, Option<(String, String)>) {
        let problem = self.problem();
        let field = problem
            .errors
            .first()
            .map(|error| (error.pointer.clone(), error.code.clone()));
        (self.status, problem.code, field)
    }

    pub(crate) fn says(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(text)
    }
}
