//! The typed client: what the command line and other programs in Rust use.
//!
//! Retries are the caller's affair, because only the caller knows the intent: send the same request with the same
//! idempotency key again, and it happens once.

use std::{sync::Arc, time::Duration};

use reqwest::{Certificate, Method, RequestBuilder, Url};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Problem,
    accounts::{Account, HistoryLine, OpenAccountFor},
    audit::{NextHead, WitnessedHead},
    money::Page,
    transfers::{CashMovement, MoveCash},
};

/// What all paths begin with.
const PREFIX: &str = "/api/v1";

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused; match on [`Problem::code`].
    #[error("{} ({})", .0.detail, .0.code)]
    Refused(Box<Problem>),
    /// No answer, or none that can be read: for a money verb the outcome is not known, repeat it with its key.
    #[error("no answer from the server: {0}")]
    NoAnswer(#[from] reqwest::Error),
    /// The address of the server, or a body, cannot be written.
    #[error("the request cannot be written")]
    Body,
    /// An answer that is too large, or no answer of this program.
    #[error("the answer cannot be read")]
    Unreadable,
    /// The local authority's certificate cannot be read.
    #[error("the certificate of the local authority cannot be read")]
    Authority,
}

impl ClientError {
    /// Whether the same request may succeed later, with the same idempotency key.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(problem) => {
                matches!(problem.status, 429 | 503) || problem.code == "idempotency_in_progress"
            }
            Self::NoAnswer(_) => true,
            Self::Authority | Self::Body | Self::Unreadable => false,
        }
    }
}

/// What is signed of a request.
#[derive(Debug, Clone, Copy)]
pub struct ToSign<'a> {
    /// The method.
    pub method: &'a str,
    /// Host and port of the server, without a port that goes without saying.
    pub authority: &'a str,
    /// The path.
    pub path: &'a str,
    /// Names in lower case with their values.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// Signs requests with the secret or the key pair of an API key (RFC 9421).
pub trait RequestSigner: Send + Sync + std::fmt::Debug {
    /// Fields to send besides those of the request: the digest of the body, and the signature over all of them.
    fn sign(&self, request: &ToSign<'_>) -> Vec<(&'static str, String)>;
}

/// A client of one server, under one API key.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    authority: String,
    key: String,
    signer: Option<Arc<dyn RequestSigner>>,
}

impl Client {
    /// For a server at `url` that shows a certificate of this authority (PEM), with an API key.
    ///
    /// # Errors
    /// [`ClientError::Authority`] when the PEM cannot be read.
    pub fn new(url: &str, authority: &[u8], key: &str) -> Result<Self, ClientError> {
        let authority = Certificate::from_pem(authority).map_err(|_| ClientError::Authority)?;
        let http = reqwest::Client::builder().tls_certs_only([authority]).build()?;
        Ok(Self {
            http,
            url: url.trim_end_matches('/').to_owned(),
            authority: authority_of(url)?,
            key: key.to_owned(),
            signer: None,
        })
    }

    /// The same client, which signs what it posts: money is moved by signed requests only.
    #[must_use]
    pub fn signing(self, signer: Arc<dyn RequestSigner>) -> Self {
        Self {
            signer: Some(signer),
            ..self
        }
    }

    /// `POST /admin/accounts`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn open_account_for(&self, key: &str, body: &OpenAccountFor) -> Result<Account, ClientError> {
        self.once("/admin/accounts", key, body).await
    }

    /// `POST /deposits`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deposit(&self, key: &str, body: &MoveCash) -> Result<CashMovement, ClientError> {
        self.once("/deposits", key, body).await
    }

    /// `POST /withdrawals`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn withdraw(&self, key: &str, body: &MoveCash) -> Result<CashMovement, ClientError> {
        self.once("/withdrawals", key, body).await
    }

    /// `GET /accounts/{id}/transactions`, one page.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn history(
        &self,
        account: &str,
        cursor: Option<&str>,
    ) -> Result<Page<HistoryLine>, ClientError> {
        let mut query = vec![("limit", "100")];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let path = format!("/accounts/{account}/transactions");
        read(self.request(Method::GET, &path).query(&query)).await
    }

    async fn once<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let path = format!("{PREFIX}{path}");
        let Some(signer) = &self.signer else {
            return read(
                self.keyed(Method::POST, &path)
                    .header("Idempotency-Key", key)
                    .json(body),
            )
            .await;
        };
        // The bytes that are signed are the bytes that are sent.
        let body = serde_json::to_vec(body).map_err(|_| ClientError::Body)?;
        let fields = signer.sign(&ToSign {
            method: Method::POST.as_str(),
            authority: &self.authority,
            path: &path,
            headers: &[("content-type", "application/json"), ("idempotency-key", key)],
            body: &body,
        });
        let request = self
            .http
            .request(Method::POST, format!("{}{path}", self.url))
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", key)
            .body(body);
        read(
            fields
                .into_iter()
                .fold(request, |request, (name, value)| request.header(name, value)),
        )
        .await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.keyed(method, &format!("{PREFIX}{path}"))
    }

    fn keyed(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .header("X-API-Key", &self.key)
    }
}

/// Largest answer about the log that is read, in bytes.
const HEAD_BYTES_MAX: usize = 512 * 1024;
/// Until a server that is asked about its log has answered.
const HEAD_TIME_MAX: Duration = Duration::from_secs(20);

/// A client that follows a server's log. What it shows is its credential.
#[derive(Debug, Clone)]
pub struct LogClient {
    http: reqwest::Client,
    url: String,
}

impl LogClient {
    /// For a server at `url`, which shows a certificate of this authority (PEM), or of one that the system knows.
    ///
    /// # Errors
    /// [`ClientError::Authority`] when the PEM cannot be read, [`ClientError::Body`] for what is no `https` address.
    pub fn new(url: &str, authority: Option<&[u8]>) -> Result<Self, ClientError> {
        if Url::parse(url).map_err(|_| ClientError::Body)?.scheme() != "https" {
            return Err(ClientError::Body);
        }
        let http = reqwest::Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(HEAD_TIME_MAX);
        let http = match authority {
            Some(pem) => {
                let authority = Certificate::from_pem(pem).map_err(|_| ClientError::Authority)?;
                http.tls_certs_only([authority])
            }
            None => http,
        };
        Ok(Self {
            http: http.build()?,
            url: url.trim_end_matches('/').to_owned(),
        })
    }

    /// `POST /log/cosignatures`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn next_head(&self, body: &WitnessedHead) -> Result<NextHead, ClientError> {
        let url = format!("{}{PREFIX}/log/cosignatures", self.url);
        let mut response = self.http.post(url).json(body).send().await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if bytes.len() + chunk.len() > HEAD_BYTES_MAX {
                return Err(ClientError::Unreadable);
            }
            bytes.extend_from_slice(&chunk);
        }
        let unreadable = |_| ClientError::Unreadable;
        if response.status().is_success() {
            return serde_json::from_slice(&bytes).map_err(unreadable);
        }
        Err(ClientError::Refused(
            serde_json::from_slice(&bytes).map_err(unreadable)?,
        ))
    }
}

/// Host and port as a signature names them (RFC 9421, section 2.2.3).
fn authority_of(url: &str) -> Result<String, ClientError> {
    let url = Url::parse(url).map_err(|_| ClientError::Body)?;
    let host = url.host_str().ok_or(ClientError::Body)?;
    Ok(url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, ClientError> {
    let response = request.send().await?;
    if response.status().is_success() {
        return Ok(response.json().await?);
    }
    Err(ClientError::Refused(Box::new(response.json().await?)))
}
