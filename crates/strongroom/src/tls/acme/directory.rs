//! Requests to a directory: TLS verified, no redirect followed, no proxy, everything bounded.

use std::{
    error::Error as _,
    fs,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header::RETRY_AFTER};
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use reqwest::{Certificate, Client, redirect};

use super::{AcmeError, schedule::RETRY_AFTER_LONGEST};
use crate::config::AcmeConfig;

/// From the first byte of a request to the last of its answer.
const TIME_MAX: Duration = Duration::from_secs(20);
/// Until there is a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// The largest answer, in bytes: a chain of certificates is a tenth of it.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The way to a directory.
#[derive(Clone)]
pub(crate) struct Directory {
    client: Client,
    retry_after: Arc<Mutex<Option<Duration>>>,
}

impl Directory {
    /// Asks nobody; an error is one of the configuration.
    pub(crate) fn open(config: &AcmeConfig) -> Result<Self, AcmeError> {
        let mut client = Client::builder()
            .https_only(true)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(TIME_MAX)
            .connect_timeout(CONNECT_TIME_MAX);
        if let Some(path) = &config.ca {
            let pem = fs::read(path).map_err(|error| AcmeError::authorities(path, error))?;
            let authorities =
                Certificate::from_pem_bundle(&pem).map_err(|error| AcmeError::authorities(path, error))?;
            client = client.tls_certs_only(authorities);
        }
        Ok(Self {
            client: client.build().map_err(AcmeError::Client)?,
            retry_after: Arc::default(),
        })
    }

    /// How long the directory wants to be left alone, if it said so since this was asked last (RFC 8555, section 6.6).
    pub(super) fn take_retry_after(&self) -> Option<Duration> {
        self.asked_for().take()
    }

    fn asked_for(&self) -> std::sync::MutexGuard<'_, Option<Duration>> {
        self.retry_after.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        let asked = self.client.request(parts.method, parts.uri.to_string());
        let mut response = asked
            .headers(parts.headers)
            .body(body.to_bytes())
            .send()
            .await
            .map_err(failed)?;
        if matches!(
            response.status(),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            *self.asked_for() = seconds(response.headers());
        }
        bound_wait(response.headers_mut());
        let mut answer = Response::new(());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Error::Other("an answer that is too large".into()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(BytesResponse {
            parts: answer.into_parts().0,
            body: Box::new(Bytes::from(body)),
        })
    }
}

impl HttpClient for Directory {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let this = self.clone();
        Box::pin(async move { this.send(request).await })
    }
}

/// In seconds; a date is not read, our own patience is long.
fn seconds(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Nobody is told a longer wait than we would ever keep: the library adds what it reads to the time of day and panics
/// where the sum is none.
fn bound_wait(headers: &mut HeaderMap) {
    if seconds(headers).is_some_and(|asked| asked > RETRY_AFTER_LONGEST) {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_LONGEST.as_secs()));
    }
}

/// With its causes: that a connection failed is no news to whoever has to repair it.
fn failed(error: reqwest::Error) -> Error {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    Error::Other(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_that_a_directory_asks_for_is_handed_on_unbounded() {
        for (told, handed_on) in [
            ("5", "5"),
            ("86400", "86400"),
            ("86401", "86400"),
            (" 18446744073709551615 ", "86400"),
            ("Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 1999 23:59:59 GMT"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(told));
            bound_wait(&mut headers);
            assert_eq!(headers[RETRY_AFTER], handed_on);
        }
        let mut none = HeaderMap::new();
        bound_wait(&mut none);
        assert!(none.is_empty());
    }
}
