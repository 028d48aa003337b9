//! What the server asks of others: issuers of logins. TLS verified, no redirect followed, no proxy, everything bounded.

use std::time::Duration;

use reqwest::{Client, Method, Url, redirect};
use strongroom_app::identity::external::{Fetch, FetchError, Fetched, Incoming, Outgoing};
use tokio::sync::Semaphore;

/// From the first byte to the last.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Until there is a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
/// The largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Requests at once; more are refused.
const AT_ONCE_MAX: usize = 32;

/// Sends requests out.
#[derive(Debug)]
pub(crate) struct Egress {
    client: Client,
    places: Semaphore,
    /// Whether issuers on this machine may be spoken to without TLS: outside production.
    plain_loopback: bool,
}

impl Egress {
    pub(crate) fn new(plain_loopback: bool) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(TIME_MAX)
            .connect_timeout(CONNECT_TIME_MAX)
            .user_agent("strongroom")
            .build()?;
        Ok(Self {
            client,
            places: Semaphore::new(AT_ONCE_MAX),
            plain_loopback,
        })
    }

    async fn send(&self, outgoing: Outgoing) -> Result<Incoming, FetchError> {
        let _place = self
            .places
            .try_acquire()
            .map_err(|_| failed("too many at once"))?;
        let url: Url = outgoing.url.parse().map_err(|_| failed("not a URL"))?;
        let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() != "https" && !(self.plain_loopback && loopback && url.scheme() == "http") {
            return Err(failed("not https"));
        }
        let method = if outgoing.post { Method::POST } else { Method::GET };
        let mut request = self.client.request(method, url);
        for (name, value) in &outgoing.headers {
            request = request.header(name, value);
        }
        let mut response = request.body(outgoing.body).send().await.map_err(cause)?;
        let status = response.status().as_u16();
        let content_type = response
            .headers()
            .get("content-type")
            .and_then(|media| media.to_str().ok())
            .map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(cause)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(failed("an answer that is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Incoming {
            status,
            content_type,
            body,
        })
    }
}

impl Fetch for Egress {
    fn fetch(&self, request: Outgoing) -> Fetched<'_> {
        Box::pin(self.send(request))
    }
}

fn failed(what: &str) -> FetchError {
    FetchError(what.to_owned())
}

/// Without the address: its query may hold what is nobody's business.
fn cause(error: reqwest::Error) -> FetchError {
    FetchError(error.without_url().to_string())
}
