//! Refusals on the wire. The only file with status codes of errors.
//!
//! A handler returns a [`Problem`]; the front layer writes the body, because only there the number of the
//! request is known. What a handler returns is therefore never rendered twice and never without a number.

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use strongroom_api::{
    FieldError, PROBLEM_JSON,
    codes::{self, Code, Kind},
};

use crate::layers::RequestId;

/// `Retry-After` where an error of a kind that needs one does not name its own.
pub const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// The status code of a kind of refusal.
pub fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated | Kind::StepUp => StatusCode::UNAUTHORIZED,
        // RFC 6585, section 3.
        Kind::Puzzle => StatusCode::PRECONDITION_REQUIRED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::TargetTooLong => StatusCode::URI_TOO_LONG,
        Kind::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        Kind::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::Rejected => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Throttled => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A refusal on its way out. Small to return: one pointer.
#[derive(Clone)]
pub struct Problem(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: &'static Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    challenge: Option<String>,
    confirmation: Option<String>,
    resource: Option<String>,
    incident_id: Option<String>,
    allow: Option<HeaderValue>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    /// A refusal with a code of the table and a sentence for people.
    pub fn new(code: &'static Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            challenge: None,
            confirmation: None,
            resource: None,
            incident_id: None,
            allow: None,
            source: None,
        }))
    }

    /// `validation_failed` with the refused fields.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.len() {
            0 => "The request cannot be read.".into(),
            1 => "One field is not valid.".into(),
            count => Cow::Owned(format!("{count} fields are not valid.")),
        };
        let mut problem = Self::new(&codes::VALIDATION_FAILED, detail);
        problem.0.errors = errors;
        problem
    }

    /// `internal`; the source goes to the log under the number of the request, never to the client.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let mut problem = Self::new(
            &codes::INTERNAL,
            "Something went wrong. The request number helps to find out what.",
        );
        problem.0.source = Some(Arc::from(source.into()));
        problem
    }

    /// Nothing is here.
    pub fn not_found() -> Self {
        Self::new(&codes::NOT_FOUND, "There is nothing under this address.")
    }

    /// Adds refused fields.
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Tells the client when to come back; rounded up to whole seconds.
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Adds what a second factor has to approve.
    pub fn with_challenge(mut self, challenge: String) -> Self {
        self.0.challenge = Some(challenge);
        self
    }

    /// Adds what confirms a suspected duplicate.
    pub fn with_confirmation(mut self, confirmation: String) -> Self {
        self.0.confirmation = Some(confirmation);
        self
    }

    /// Names the earlier resource.
    pub fn with_resource(mut self, resource: String) -> Self {
        self.0.resource = Some(resource);
        self
    }

    /// Adds the number under which operators find the incident.
    pub fn with_incident(mut self, incident_id: String) -> Self {
        self.0.incident_id = Some(incident_id);
        self
    }

    /// Adds the cause for the log.
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    pub(crate) fn with_allow(mut self, allow: Option<HeaderValue>) -> Self {
        self.0.allow = allow;
        self
    }

    /// The code.
    pub fn code(&self) -> &'static Code {
        self.0.code
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        status_of(self.0.code.kind)
    }

    /// The cause, for the log.
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.0.source.as_deref()
    }

    /// The document as it goes over the wire; also what one item of a batch answers.
    pub fn document(&self, request_id: &RequestId) -> strongroom_api::Problem {
        let inner = &*self.0;
        strongroom_api::Problem {
            kind: inner.code.urn(),
            title: inner.code.title.to_owned(),
            status: self.status().as_u16(),
            detail: inner.detail.clone().into_owned(),
            code: inner.code.name.to_owned(),
            request_id: request_id.to_string(),
            errors: inner.errors.clone(),
            challenge: inner.challenge.clone(),
            confirmation: inner.confirmation.clone(),
            resource: inner.resource.clone(),
            incident_id: inner.incident_id.clone(),
        }
    }

    /// The whole answer, with `headers` that the handler set. Only the front layer calls this.
    pub(crate) fn render(&self, request_id: &RequestId, mut headers: HeaderMap) -> Response {
        let body = serde_json::to_vec(&self.document(request_id)).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        headers.remove(header::CONTENT_LENGTH);
        self.write_headers(&mut headers);
        *response.headers_mut() = headers;
        response
    }

    fn write_headers(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        let wait = match self.0.code.kind {
            Kind::Throttled | Kind::Unavailable => Some(self.0.retry_after.unwrap_or(RETRY_AFTER_DEFAULT)),
            _ => self.0.retry_after,
        };
        if let Some(wait) = wait {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        // RFC 9110, section 15.5.2 wants a challenge with every 401; RFC 6750 and RFC 9470 name its errors.
        let challenge = match self.0.code {
            code if code.kind == Kind::StepUp => {
                Some("Bearer realm=\"strongroom\", error=\"insufficient_user_authentication\"")
            }
            code if code == &codes::INVALID_DPOP_PROOF => {
                Some("DPoP realm=\"strongroom\", error=\"invalid_dpop_proof\", algs=\"ES256 EdDSA\"")
            }
            code if code == &codes::USE_DPOP_NONCE => {
                Some("DPoP realm=\"strongroom\", error=\"use_dpop_nonce\", algs=\"ES256 EdDSA\"")
            }
            code if code == &codes::TOKEN_EXPIRED || code == &codes::TOKEN_INVALID => {
                Some("Bearer realm=\"strongroom\", error=\"invalid_token\"")
            }
            code if code.kind == Kind::Unauthenticated => Some("Bearer realm=\"strongroom\""),
            _ => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(allow) = &self.0.allow {
            headers.insert(header::ALLOW, allow.clone());
        }
        // The rest of the body is not read, so this connection ends: a client that is not told puts it back into its
        // pool and loses its next request. (RFC 9110, section 15.5.14. HTTP/2 has no such header and drops it.)
        if self.0.code.kind == Kind::TooLarge {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// What an answer of some library with this status becomes: its text may repeat input, so only the
    /// status survives.
    pub(crate) fn from_foreign(status: StatusCode, headers: &HeaderMap) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                &codes::METHOD_NOT_ALLOWED,
                "The resource does not know this method.",
            )
            .with_allow(headers.get(header::ALLOW).cloned()),
            StatusCode::PAYLOAD_TOO_LARGE => Self::body_too_large(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::new(
                &codes::UNSUPPORTED_MEDIA_TYPE,
                "The body is in a form that this route does not read.",
            ),
            StatusCode::SERVICE_UNAVAILABLE => Self::new(&codes::UNAVAILABLE, "Not available at the moment."),
            status if status.is_client_error() => Self::invalid(Vec::new()),
            status => Self::internal(format!("a handler answered {status} without a problem")),
        }
    }

    /// `body_too_large`.
    pub(crate) fn body_too_large() -> Self {
        Self::new(
            &codes::BODY_TOO_LARGE,
            "The body is larger than this route takes.",
        )
    }
}

impl fmt::Debug for Problem {
    /// Code and cause; field errors and challenges stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("code", &self.0.code.name)
            .field("source", &self.0.source)
            .finish()
    }
}

/// A refusal that was answered with a page: the front writes its cause into the log and leaves the page alone.
#[derive(Clone, Debug)]
pub(crate) struct ShownAsPage(pub(crate) Problem);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status();
        response.extensions_mut().insert(self);
        response
    }
}

/// The error reference in Markdown, generated from the table.
pub fn error_reference() -> String {
    let mut text = String::from(
        "# Errors\n\n\
         Every refusal is a problem document (RFC 9457), `Content-Type: application/problem+json`. Match on\n\
         `code`; it is stable. `type` is `urn:strongroom:error:` and the code: a name, nothing to fetch.\n\
         `detail` is for people and may change. `request_id` is also in the `X-Request-Id` header of every\n\
         answer. A document never repeats a rejected value.\n\n\
         `errors[].pointer` says where: a JSON pointer into the body (`/amount/currency`; empty means the\n\
         whole body), `?name` for a query parameter, `{name}` for a part of the path, `Name:` for a header.\n\n\
         Requests that are not HTTP (a broken request line, a header block that is too large) are answered\n\
         by the protocol layer with a bare status.\n\n\
         | code | status | meaning | what to do |\n|---|---|---|---|\n",
    );
    for code in codes::ALL {
        let status = status_of(code.kind).as_u16();
        text.push_str(&format!(
            "| `{}` | {status} | {} | {} |\n",
            code.name, code.title, code.action
        ));
    }
    text.push_str("\n## Codes of fields\n\n| code | meaning |\n|---|---|\n");
    for (code, meaning) in crate::extract::FIELD_CODES {
        text.push_str(&format!("| `{code}` | {meaning} |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_that_ask_to_wait_always_say_how_long() {
        for code in codes::ALL {
            let response = Problem::new(code, "x").render(&RequestId::next(), HeaderMap::new());
            let waits = matches!(code.kind, Kind::Throttled | Kind::Unavailable);
            assert_eq!(
                response.headers().contains_key(header::RETRY_AFTER),
                waits,
                "{}",
                code.name
            );
            let challenges = response.status() == StatusCode::UNAUTHORIZED;
            assert_eq!(
                response.headers().contains_key(header::WWW_AUTHENTICATE),
                challenges,
                "{}",
                code.name
            );
        }
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        let problem = Problem::new(&codes::OVERLOADED, "x").with_retry_after(Duration::from_millis(1100));
        assert_eq!(
            problem.render(&RequestId::next(), HeaderMap::new()).headers()[header::RETRY_AFTER],
            "2"
        );
    }

    #[test]
    fn the_cause_is_not_in_the_document() {
        let problem = Problem::internal("the disk says canary-1234");
        let document = serde_json::to_string(&problem.document(&RequestId::next())).unwrap();
        assert!(!document.contains("canary"), "{document}");
        assert!(problem.cause().unwrap().to_string().contains("canary-1234"));
    }

    #[test]
    fn the_reference_lists_every_code_once() {
        let text = error_reference();
        for code in codes::ALL {
            assert_eq!(
                text.matches(&format!(
                    "| `{}` | {} |",
                    code.name,
                    status_of(code.kind).as_u16()
                ))
                .count(),
                1
            );
        }
    }
}
