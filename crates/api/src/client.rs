//! The typed client: what the command line and other programs in Rust use.
//!
//! Retries are the caller's affair, because only the caller knows the intent: send the same request with the same
//! idempotency key again, and it happens once.

use reqwest::{Certificate, Method, RequestBuilder};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Problem,
    accounts::{Account, HistoryLine, OpenAccountFor},
    money::Page,
    transfers::{CashMovement, MoveCash},
};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused; match on [`Problem::code`].
    #[error("{} ({})", .0.detail, .0.code)]
    Refused(Box<Problem>),
    /// No answer, or none that can be read: for a money verb the outcome is not known, repeat it with its key.
    #[error("no answer from the server: {0}")]
    NoAnswer(#[from] reqwest::Error),
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
            Self::Authority => false,
        }
    }
}

/// A client of one server, under one API key.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
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
            url: format!("{}/api/v1", url.trim_end_matches('/')),
            key: key.to_owned(),
        })
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
        read(
            self.request(Method::POST, path)
                .header("Idempotency-Key", key)
                .json(body),
        )
        .await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .header("X-API-Key", &self.key)
    }
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, ClientError> {
    let response = request.send().await?;
    if response.status().is_success() {
        return Ok(response.json().await?);
    }
    Err(ClientError::Refused(Box::new(response.json().await?)))
}
