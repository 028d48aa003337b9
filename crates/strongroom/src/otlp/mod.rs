//! A collector that speaks the protocol of OpenTelemetry (OTLP 1, protobuf over HTTP): it gets security events as logs,
//! from their spool, and a span for each request.

mod logs;
mod traces;

use std::{error::Error, fs, io, time::Duration};

use reqwest::{Certificate, Client, redirect};

pub(crate) use self::{logs::Events, traces::Traces};
use crate::config::OtlpConfig;

/// From the first byte to the last.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Until there is a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// What a collector may say, in bytes.
const SAID_BYTES_MAX: usize = 64 << 10;
/// What we are, in the words of the collector.
const SERVICE: &str = "strongroom";
/// What a message is written in.
const PROTOBUF: &str = "application/x-protobuf";

/// A collector.
#[derive(Clone, Debug)]
struct Collector {
    client: Client,
    endpoint: String,
}

impl Collector {
    /// Reads the authorities; opens no connection.
    fn open(config: &OtlpConfig) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(TIME_MAX)
            .connect_timeout(CONNECT_TIME_MAX)
            .https_only(config.endpoint.https)
            .user_agent(SERVICE);
        if let Some(path) = &config.ca {
            let wrong = |why: &dyn std::fmt::Display| format!("{} (otlp.ca_file): {why}", path.display());
            let pem = fs::read(path).map_err(|error| wrong(&error))?;
            let authorities = Certificate::from_pem_bundle(&pem).map_err(|_| wrong(&"is no PEM"))?;
            if authorities.is_empty() {
                return Err(wrong(&"holds no certificate in PEM").into());
            }
            client = client.tls_certs_only(authorities);
        }
        Ok(Self {
            client: client.build()?,
            endpoint: config.endpoint.to_string(),
        })
    }

    /// Brings a message to a path of the protocol, and gives the answer of a collector that took it.
    async fn bring(&self, path: &str, message: Vec<u8>) -> io::Result<Vec<u8>> {
        let request = self.client.post(format!("{}{path}", self.endpoint));
        let request = request.header("content-type", PROTOBUF).body(message);
        let mut response = request.send().await.map_err(cause)?;
        if !response.status().is_success() {
            let status = response.status().as_u16();
            return Err(io::Error::other(format!("the collector answered {status}")));
        }
        let mut said = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(cause)? {
            if said.len() + chunk.len() > SAID_BYTES_MAX {
                return Err(io::Error::other("the collector said too much"));
            }
            said.extend_from_slice(&chunk);
        }
        Ok(said)
    }
}

/// The innermost reason, which says what was wrong with a certificate.
fn cause(error: reqwest::Error) -> io::Error {
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    io::Error::other(cause.to_string())
}
