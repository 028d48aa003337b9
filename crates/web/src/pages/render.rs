//! How a page becomes an answer.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use strongroom_app::{Error, Kind};

use super::visitor::Visitor;
use crate::{Problem, ShownAsPage};

/// Own files only; nothing inline, nothing framed, forms to ourselves only.
const PAGE_CSP: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// The same as `frame-ancestors`, for browsers that do not know it.
const FRAME_OPTIONS: HeaderName = HeaderName::from_static("x-frame-options");

/// A page in place of the one that was asked for. One pointer, so that an `Ok` is not paid for with its size.
#[derive(Debug)]
pub(super) struct Refused(Box<Response>);

impl From<Response> for Refused {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        let status = problem.status();
        let text = match status {
            StatusCode::NOT_FOUND => "There is nothing here.",
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                "We cannot do this at the moment. Please try again a little later."
            }
            StatusCode::INTERNAL_SERVER_ERROR => "Something went wrong on our side. Please try again.",
            _ => "This is not possible.",
        };
        let mut response = message(status, "Not possible", text);
        // The front writes the cause into the log.
        response.extensions_mut().insert(ShownAsPage(problem));
        Self(Box::new(response))
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error.kind {
            Kind::Unauthenticated => Self(Box::new(see_other("/login?refused=session_ended"))),
            Kind::StepUp => Self(Box::new(see_other("/step-up"))),
            _ => Problem::from(error).into(),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// What a handler of a page answers.
pub(super) type Answer = Result<Response, Refused>;

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    title: &'a str,
    text: &'a str,
}

/// A page with a heading and a sentence.
pub(super) fn message(status: StatusCode, title: &str, text: &str) -> Response {
    html(status, &Message { title, text })
}

/// A page of a visitor: with the cookie that its forms need.
pub(super) fn page(visitor: &Visitor, status: StatusCode, template: &impl Template) -> Response {
    let mut response = html(status, template);
    if let Some(cookie) = visitor.form_cookie() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn html(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => {
            let headers = [
                (
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("text/html; charset=utf-8"),
                ),
                (
                    header::CONTENT_SECURITY_POLICY,
                    HeaderValue::from_static(PAGE_CSP),
                ),
                (FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            ];
            (status, headers, text).into_response()
        }
        Err(error) => Problem::internal(error).into_response(),
    }
}

/// On to another page of ours: always 303, so that no form with a password is sent on.
pub(super) fn see_other(to: &'static str) -> Response {
    let headers = [(header::LOCATION, HeaderValue::from_static(to))];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// What to say to somebody who was sent to the login with a code. Text from the address is never shown.
pub(super) fn told(code: &str) -> &'static str {
    match code {
        "session_ended" | "token_invalid" => {
            "You are not logged in, or your session has ended. Please log in."
        }
        "external_login_refused" => "Logging in elsewhere did not work. Please try again.",
        "link_required" => {
            "There is a login with this e-mail address already. Log in with your password; then you can add the other \
             way to log in."
        }
        "address_unverified" => {
            "The other side does not confirm an e-mail address of yours. Please register here."
        }
        "external_login_taken" => "This identity belongs to another login.",
        "rate_limited" => "There were too many attempts from your network. Please wait a little.",
        "unavailable" | "overloaded" => "We cannot do this at the moment. Please try again a little later.",
        "" => "",
        _ => "Logging in did not work. Please try again.",
    }
}

/// What to say to somebody after something went well.
pub(super) fn noted(code: &str) -> &'static str {
    match code {
        "verified" => "Thank you, your address is confirmed. You can log in now.",
        "password_set" => "Your new password is set and all sessions were ended. Please log in.",
        "logged_out" => "You are logged out.",
        "rebound" => "Your new second factor is in use. Please log in with it.",
        _ => "",
    }
}
