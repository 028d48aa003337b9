//! `/.well-known/security.txt`: whom to tell about a weakness (RFC 9116).

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use strongroom_domain::time::Timestamp;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Where it is, below what clients call the server.
const SECURITY_TXT_PATH: &str = "/.well-known/security.txt";
/// How long it counts from the start of the server, in days: less than a year, as section 2.5.5 wants it.
const EXPIRES_DAYS: i64 = 180;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// The text of one server, fixed when it starts: whoever runs a server for longer than it counts should look whether it
/// is still true.
#[derive(Clone, Debug, Default)]
pub struct SecurityTxt(Arc<str>);

impl SecurityTxt {
    /// With these contacts (`mailto:` or `https:`), the preferred one first, and the address of a policy; of the server
    /// that clients call `public_url` (without a slash at its end) and that started at `now`.
    pub fn new(contacts: &[String], policy: Option<&str>, public_url: &str, now: Timestamp) -> Self {
        let whole_days = now.seconds() / DAY_SECONDS + EXPIRES_DAYS;
        let expires = Timestamp::from_micros(whole_days * DAY_SECONDS * 1_000_000);
        let mut lines: Vec<String> = contacts
            .iter()
            .map(|contact| format!("Contact: {contact}"))
            .collect();
        lines.push(format!("Expires: {expires}"));
        lines.extend(policy.map(|policy| format!("Policy: {policy}")));
        lines.push("Preferred-Languages: en".to_owned());
        lines.push(format!("Canonical: {public_url}{SECURITY_TXT_PATH}"));
        let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        Self(text.into())
    }
}

/// Whom to tell about a weakness (RFC 9116).
#[utoipa::path(get, path = "/.well-known/security.txt", tag = "health", security(()),
    responses((status = 200, description = "Contacts, and until when they count.", body = String, content_type = "text/plain")))]
async fn security_txt(State(text): State<SecurityTxt>) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        ),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=86400"),
        ),
    ];
    (headers, text.0.to_string()).into_response()
}

/// The route.
pub(crate) fn routes(text: SecurityTxt) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(security_txt))
        .with_state(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_what_is_needed_and_ends_within_a_year() {
        let now = Timestamp::parse("2026-02-03T04:05:06Z").unwrap();
        let contacts = ["https://bank.example/report", "mailto:security@bank.example"].map(str::to_owned);
        let text = SecurityTxt::new(
            &contacts,
            Some("https://bank.example/policy"),
            "https://bank.example",
            now,
        );
        assert_eq!(
            &*text.0,
            "Contact: https://bank.example/report\r\nContact: mailto:security@bank.example\r\n\
             Expires: 2026-08-02T00:00:00.000000Z\r\nPolicy: https://bank.example/policy\r\n\
             Preferred-Languages: en\r\nCanonical: https://bank.example/.well-known/security.txt\r\n"
        );
    }
}
