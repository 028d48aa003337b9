//! Which kind of traffic a route is.
//!
//! A route that wants a credential needs no row: its requests are counted against the principal, and against
//! the address where the credential is missing or fails. What is open to everybody is named here, and a test
//! compares the table with the contract in both directions.

use http::Method;

/// How the requests of a route are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Against the principal.
    Principal,
    /// Against the principal, as an upload.
    Upload,
    /// Against the address.
    Anonymous,
    /// Against the address, as a step of a session that somebody has or is about to have.
    Session,
    /// Against the address, and if what was shown is wrong against its guesses too.
    Guess,
    /// Health.
    Health,
    /// Public keys and documents.
    Document,
    /// Files of the web app.
    Asset,
}

/// What is open to everybody, and what is an upload.
pub(crate) const OPEN: &[(Method, &str, Traffic)] = &[
    (Method::POST, "/api/v1/auth/register", Traffic::Anonymous),
    (Method::POST, "/api/v1/auth/verify-email", Traffic::Guess),
    (Method::POST, "/api/v1/auth/login", Traffic::Guess),
    (Method::POST, "/api/v1/auth/login/mfa", Traffic::Guess),
    (Method::POST, "/api/v1/auth/refresh", Traffic::Session),
    (Method::POST, "/api/v1/auth/logout", Traffic::Session),
    (Method::POST, "/api/v1/auth/password/forgot", Traffic::Anonymous),
    (Method::POST, "/api/v1/auth/password/strength", Traffic::Session),
    (Method::POST, "/api/v1/auth/password/generate", Traffic::Anonymous),
    (Method::POST, "/api/v1/auth/password/reset", Traffic::Guess),
    (Method::POST, "/api/v1/auth/password/change", Traffic::Guess),
    (Method::POST, "/api/v1/auth/email/confirm", Traffic::Guess),
    (Method::POST, "/api/v1/auth/email/stop", Traffic::Guess),
    (Method::POST, "/api/v1/auth/passkey/options", Traffic::Session),
    (Method::POST, "/api/v1/auth/passkey", Traffic::Guess),
    (
        Method::GET,
        "/api/v1/auth/oidc/{provider}/start",
        Traffic::Session,
    ),
    (
        Method::GET,
        "/api/v1/auth/oidc/{provider}/callback",
        Traffic::Session,
    ),
    (Method::GET, "/api/v1/auth/session", Traffic::Session),
    (Method::POST, "/api/v1/log/cosignatures", Traffic::Session),
    (Method::GET, "/.well-known/jwks.json", Traffic::Document),
    (Method::GET, "/.well-known/security.txt", Traffic::Document),
    (Method::GET, "/livez", Traffic::Health),
    (Method::GET, "/readyz", Traffic::Health),
];

/// Pages and files that are no part of the contract.
const OUTSIDE: &[(&str, Traffic)] = &[
    ("/openapi.json", Traffic::Document),
    ("/docs", Traffic::Document),
    ("/docs/style.css", Traffic::Asset),
    ("/", Traffic::Session),
    ("/login", Traffic::Guess),
    ("/login/passkey", Traffic::Session),
    ("/login/passkey/answer", Traffic::Guess),
    ("/login/second", Traffic::Guess),
    ("/login/second/passkey", Traffic::Session),
    ("/login/second/passkey/answer", Traffic::Guess),
    ("/login/rebind", Traffic::Session),
    ("/login/rebind/confirm", Traffic::Guess),
    ("/login/first", Traffic::Session),
    ("/login/first/code", Traffic::Guess),
    ("/passkeys", Traffic::Session),
    ("/passkeys/new", Traffic::Session),
    ("/passkeys/remove", Traffic::Session),
    ("/register", Traffic::Anonymous),
    ("/verify-email", Traffic::Guess),
    ("/email-change", Traffic::Guess),
    ("/forgot-password", Traffic::Anonymous),
    ("/reset-password", Traffic::Guess),
    ("/step-up", Traffic::Session),
    ("/session/stay", Traffic::Session),
    ("/logout", Traffic::Session),
    ("/assets/pages.css", Traffic::Asset),
    ("/assets/pages.js", Traffic::Asset),
];

impl Traffic {
    /// Of the route with that template.
    pub(crate) fn of(method: &Method, template: &str) -> Self {
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let open = OPEN
            .iter()
            .find(|(known, path, _)| known == method && *path == template)
            .map(|(_, _, traffic)| *traffic);
        let outside = || {
            let row = OUTSIDE.iter().find(|(path, _)| *path == template);
            row.map(|(_, traffic)| *traffic)
        };
        open.or_else(outside).unwrap_or(Self::Principal)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::{health::Readiness, v1};

    /// Every operation that the contract lets in without a credential.
    fn open_operations() -> BTreeSet<(String, String)> {
        let routes = utoipa_axum::router::OpenApiRouter::with_openapi(v1::routes().into_openapi());
        let document = crate::document(routes, Readiness::new(Vec::new()), "https://bank.example");
        let document = serde_json::to_value(document).unwrap();
        let mut found = BTreeSet::new();
        for (path, verbs) in document["paths"].as_object().unwrap() {
            for (verb, operation) in verbs.as_object().unwrap() {
                let is_open = |needs: &Value| needs.as_object().is_some_and(serde_json::Map::is_empty);
                if let Some(security) = operation["security"].as_array()
                    && (security.is_empty() || security.iter().any(is_open))
                {
                    found.insert((verb.to_uppercase(), path.clone()));
                }
            }
        }
        assert!(found.len() > 5, "{found:?}");
        found
    }

    #[test]
    fn every_route_that_is_open_to_everybody_has_a_class_and_every_class_a_route() {
        let named: BTreeSet<_> = OPEN
            .iter()
            .filter(|(_, _, traffic)| *traffic != Traffic::Upload)
            .map(|(method, path, _)| (method.to_string(), (*path).to_owned()))
            .collect();
        assert_eq!(
            open_operations(),
            named,
            "name it in `OPEN`, with the traffic that it is, or let it want a credential"
        );
    }

    #[test]
    fn what_is_not_named_wants_a_principal() {
        assert_eq!(Traffic::of(&Method::GET, "/api/v1/accounts"), Traffic::Principal);
        assert_eq!(Traffic::of(&Method::HEAD, "/livez"), Traffic::Health);
        assert_eq!(Traffic::of(&Method::POST, "/livez"), Traffic::Principal);
    }
}
