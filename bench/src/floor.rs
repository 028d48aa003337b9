//! The floor: a server that does TLS and HTTP and nothing else. It runs as a process of its own, so that its CPU time
//! is known.

use std::{
    convert::Infallible,
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::Arc,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{client::Target, outcome::Outcome};

/// The argument that makes this program the floor's server.
pub(crate) const ARGUMENT: &str = "--floor";
/// About as long as a balance.
const ANSWER: &str =
    r#"{"account_id":"acct_01jabcdefghjkmnpqrstvwxyz0","currency":"EUR","posted":100000,"available":100000}"#;

/// Serves until standard input ends: that is, until whoever started us is gone.
pub(crate) fn serve() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let private = rustls::pki_types::PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        print!("{}", key.cert.pem());
        println!();
        std::io::stdout().flush()?;
        tokio::spawn(accept(listener, acceptor));
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        Ok(())
    })
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if stream.set_nodelay(true).is_err() {
                return;
            }
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            // A connection that ends is a client that went away.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
        });
    }
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
    response.headers_mut().insert(
        "content-type",
        hyper::header::HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

/// The running floor. It ends with this value.
pub(crate) struct Floor {
    child: Child,
    _input: ChildStdin,
    pub(crate) target: Target,
}

impl Floor {
    /// Starts this program once more. Its certificate is put into the folder.
    pub(crate) fn start(folder: &Path) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("the floor has no input")?;
        let output = child.stdout.take().ok_or("the floor has no output")?;
        let mut lines = BufReader::new(output).lines();
        let address: SocketAddr = lines.next().ok_or("the floor ended at once")??.parse()?;
        let mut pem = String::new();
        for line in lines {
            let line = line?;
            if line.is_empty() {
                break;
            }
            pem.push_str(&line);
            pem.push('\n');
        }
        let file = folder.join("floor.pem");
        std::fs::write(&file, pem)?;
        Ok(Self {
            child,
            _input: input,
            target: Target::new(address, &file)?,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It holds nothing that has to be put in order.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
