//! Somebody's collector of OpenTelemetry: takes what the protocol says over TLS, by the messages of its own definition.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    logs::v1::LogRecord,
    trace::v1::Span,
};
use prost::Message;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::{Server, awaited, programs::make_certificates};

/// The collector.
#[derive(Clone)]
pub(crate) struct Collector(Arc<Inner>);

struct Inner {
    folder: tempfile::TempDir,
    port: u16,
    acceptor: Mutex<TlsAcceptor>,
    takes: AtomicBool,
    /// Paths and bodies.
    taken: Mutex<Vec<(String, Vec<u8>)>>,
}

/// What shows this certificate of [`make_certificates`].
pub(crate) fn acceptor(folder: &Path, certificate: &str) -> TlsAcceptor {
    let file = |end: &str| folder.join(format!("{certificate}.{end}"));
    let chain = CertificateDer::pem_file_iter(file("pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key);
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

/// Attributes whose values are texts or numbers, by name.
pub(crate) fn attributes(of: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |one: &KeyValue| match one.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{}: {other:?}", one.key),
    };
    of.iter().map(|one| (one.key.clone(), text(one))).collect()
}

impl Collector {
    /// Runs, and refuses everything until it is told to take it.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_certificates(folder.path());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let made = Self(Arc::new(Inner {
            port: listener.local_addr().unwrap().port(),
            acceptor: Mutex::new(acceptor(folder.path(), "right")),
            folder,
            takes: AtomicBool::new(false),
            taken: Mutex::default(),
        }));
        let collector = made.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let collector = collector.clone();
                tokio::spawn(async move { collector.serve(stream).await });
            }
        });
        made
    }

    /// Tells a server of it from its next start on.
    pub(crate) fn collect_from(&self, server: &mut Server) {
        let authority = self.0.folder.path().join("believed.pem").display().to_string();
        server.set(
            "STRONGROOM_OTLP__ENDPOINT",
            &format!("https://localhost:{}", self.0.port),
        );
        server.set("STRONGROOM_OTLP__CA_FILE", &authority);
    }

    /// From now on it takes messages, or answers 503.
    pub(crate) fn take(&self, takes: bool) {
        self.0.takes.store(takes, Ordering::SeqCst);
    }

    /// From now on it shows this certificate.
    pub(crate) fn show(&self, certificate: &str) {
        *self.0.acceptor.lock().unwrap() = acceptor(self.0.folder.path(), certificate);
    }

    /// The bodies of everything that it took.
    pub(crate) fn taken(&self) -> Vec<Vec<u8>> {
        let taken = self.0.taken.lock().unwrap();
        taken.iter().map(|(_, body)| body.clone()).collect()
    }

    fn messages<M: Message + Default>(&self, path: &str) -> Vec<M> {
        let taken = self.0.taken.lock().unwrap();
        let of_path = taken.iter().filter(|(known, _)| known == path);
        of_path
            .map(|(_, body)| M::decode(body.as_slice()).unwrap())
            .collect()
    }

    /// Every log record, as often as it came.
    pub(crate) fn logs(&self) -> Vec<LogRecord> {
        let all = self.messages::<ExportLogsServiceRequest>("/v1/logs");
        let resources = all.into_iter().flat_map(|message| message.resource_logs);
        let scopes = resources.flat_map(|resource| resource.scope_logs);
        scopes.flat_map(|scope| scope.log_records).collect()
    }

    /// Events of a kind by their number, once there are so many.
    pub(crate) async fn events(&self, kind: &str, number: usize) -> BTreeMap<String, LogRecord> {
        let name = format!("strongroom.{kind}");
        let events = || -> BTreeMap<String, LogRecord> {
            let logs = self.logs().into_iter().filter(|record| record.event_name == name);
            logs.map(|record| (attributes(&record.attributes)["log.record.uid"].clone(), record))
                .collect()
        };
        awaited(kind, async || {
            Some(events()).filter(|found| found.len() >= number)
        })
        .await
    }

    /// Every span that came.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let all = self.messages::<ExportTraceServiceRequest>("/v1/traces");
        let resources = all.into_iter().flat_map(|message| message.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    async fn serve(&self, stream: TcpStream) -> Option<()> {
        let acceptor = self.0.acceptor.lock().unwrap().clone();
        let mut stream = acceptor.accept(stream).await.ok()?;
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        assert!(text.contains("content-type: application/x-protobuf"), "{text}");
        let length = text.split("content-length: ").nth(1)?.lines().next()?;
        let length: usize = length.trim().parse().unwrap();
        while bytes.len() < head + length {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        let takes = self.0.takes.load(Ordering::SeqCst);
        if takes {
            let path = text.split(' ').nth(1)?.to_owned();
            let body = bytes[head..head + length].to_vec();
            self.0.taken.lock().unwrap().push((path, body));
        }
        // The answer that says that everything was taken is an empty message.
        let status = if takes {
            "200 OK"
        } else {
            "503 Service Unavailable"
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok()?;
        stream.shutdown().await.ok()
    }
}
