//! A client as a developer would have one: JSON in and out, a token, an idempotency key.

use std::net::IpAddr;

use reqwest::{Certificate, Method};
use serde_json::Value;

/// What a server answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// Headers, names in lower case.
    pub(crate) headers: reqwest::header::HeaderMap,
    /// Body as JSON; `null` where there is none.
    pub(crate) body: Value,
    /// Body as it was sent.
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    /// The stable code of a refusal.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }

    /// The text of a member.
    pub(crate) fn text(&self, name: &str) -> String {
        self.body[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {self:?}"))
            .to_owned()
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Itself, if it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Itself, if it is this refusal.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code()), (status, code), "{self:?}");
        self
    }
}

/// A connection pool to one server, with or without a token.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
    reason: Option<&'static str>,
}

impl Client {
    pub(crate) fn new(url: &str, authority: &str) -> Self {
        Self::from_address(url, authority, None)
    }

    /// Bound to an address of this machine, where one is named.
    pub(crate) fn from_address(url: &str, authority: &str, address: Option<IpAddr>) -> Self {
        let authority = Certificate::from_pem(authority.as_bytes()).unwrap();
        let http = reqwest::Client::builder()
            .tls_certs_only([authority])
            .local_address(address)
            .user_agent("strongroom-tests")
            .http1_only()
            .build()
            .unwrap();
        Self {
            http,
            url: url.trim_end_matches('/').to_owned(),
            token: None,
            reason: None,
        }
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// The same, which says why it reads, or does not.
    pub(crate) fn with_reason(&self, reason: Option<&'static str>) -> Self {
        Self {
            reason,
            ..self.clone()
        }
    }

    pub(crate) fn token(&self) -> &str {
        self.token.as_deref().unwrap_or("")
    }

    /// A request to a path, to be completed by the caller.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let request = match self.reason {
            Some(reason) => request.header("X-Access-Reason", reason),
            None => request,
        };
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request; `Err` where no answer came.
    pub(crate) async fn try_send(&self, request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await?;
        Ok(Answer {
            status,
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            bytes: bytes.to_vec(),
        })
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.try_send(request).await.unwrap()
    }

    /// Behaves like a scanner: eighty requests at once for forty paths that are not there, without an agent.
    pub(crate) async fn scan(&self) {
        let mut tries = tokio::task::JoinSet::new();
        for number in 0..80 {
            let path = format!("/scan-{}.php", number % 40);
            let request = self.request(Method::GET, &path).header("User-Agent", "");
            let client = self.clone();
            tries.spawn(async move { client.send(request).await.status });
        }
        tries.join_all().await;
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(&body)).await
    }

    /// A money verb under a key.
    pub(crate) async fn post_once(&self, path: &str, key: &str, body: Value) -> Answer {
        self.send(
            self.request(Method::POST, path)
                .header("Idempotency-Key", key)
                .json(&body),
        )
        .await
    }
}
