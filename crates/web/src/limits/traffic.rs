//! Which kind of traffic a route is, and by what somebody may be known there.
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

/// By what a route may know somebody besides a credential that its authenticator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// The route wants a credential, and its authenticator finds out first whose it is.
    Credential,
    /// The token of a session stands in the body, and the route verifies it before it does anything.
    Token,
    /// It is open to strangers, and done within a session, too.
    Session,
    /// Nobody is known there, whatever is shown.
    Nothing,
}

/// What a route is to the limits and to suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouteClass {
    pub(crate) traffic: Traffic,
    pub(crate) shows: Shows,
}

/// What is open to everybody, and what is an upload.
pub(crate) const OPEN: &[(Method, &str, Traffic, Shows)] = &[
    (
        Method::POST,
        "/api/v1/auth/register",
        Traffic::Anonymous,
        Shows::Nothing,
    ),
    (
        Method::POST,
        "/api/v1/auth/verify-email",
        Traffic::Guess,
        Shows::Nothing,
    ),
    (Method::POST, "/api/v1/auth/login", Traffic::Guess, Shows::Nothing),
    (
        Method::POST,
        "/api/v1/auth/login/mfa",
        Traffic::Guess,
        Shows::Nothing,
    ),
    (
        Method::POST,
        "/api/v1/auth/refresh",
        Traffic::Session,
        Shows::Token,
    ),
    (
        Method::POST,
        "/api/v1/auth/logout",
        Traffic::Session,
        Shows::Token,
    ),
    (
        Method::POST,
        "/api/v1/auth/password/forgot",
        Traffic::Anonymous,
        Shows::Nothing,
    ),
    (
        Method::POST,
        "/api/v1/auth/password/strength",
        Traffic::Session,
        Shows::Session,
    ),
    (
        Method::POST,
        "/api/v1/auth/password/generate",
        Traffic::Anonymous,
        Shows::Nothing,
    ),
    (
        Method::POST,
        "/api/v1/auth/password/reset",
        Traffic::Guess,
        Shows::Nothing,
    ),
    (
        Method::POST,
        "/api/v1/auth/password/change",
        Traffic::Guess,
        Shows::Session,
    ),
    (
        Method::POST,
        "/api/v1/auth/email/confirm",
        Traffic::Guess,
        Shows::Nothing,
    ),
    (
        Method::POST,
        "/api/v1/auth/email/stop",
        Traffic::Guess,
        Shows::Nothing,
    ),
    (
        Method::POST,
        "/api/v1/auth/passkey/options",
        Traffic::Session,
        Shows::Session,
    ),
    (
        Method::POST,
        "/api/v1/auth/passkey",
        Traffic::Guess,
        Shows::Nothing,
    ),
    (
        Method::GET,
        "/api/v1/auth/oidc/{provider}/start",
        Traffic::Session,
        Shows::Session,
    ),
    (
        Method::GET,
        "/api/v1/auth/oidc/{provider}/callback",
        Traffic::Session,
        Shows::Session,
    ),
    (
        Method::GET,
        "/api/v1/auth/session",
        Traffic::Session,
        Shows::Session,
    ),
    (
        Method::POST,
        "/api/v1/log/cosignatures",
        Traffic::Session,
        Shows::Session,
    ),
    (
        Method::GET,
        "/.well-known/jwks.json",
        Traffic::Document,
        Shows::Nothing,
    ),
    (
        Method::GET,
        "/.well-known/security.txt",
        Traffic::Document,
        Shows::Nothing,
    ),
    (Method::GET, "/livez", Traffic::Health, Shows::Nothing),
    (Method::GET, "/readyz", Traffic::Health, Shows::Nothing),
];

/// Pages and files that are no part of the contract.
const OUTSIDE: &[(&str, Traffic, Shows)] = &[
    ("/openapi.json", Traffic::Document, Shows::Nothing),
    ("/docs", Traffic::Document, Shows::Nothing),
    ("/docs/style.css", Traffic::Asset, Shows::Nothing),
    ("/", Traffic::Session, Shows::Session),
    ("/login", Traffic::Guess, Shows::Nothing),
    ("/login/passkey", Traffic::Session, Shows::Session),
    ("/login/passkey/answer", Traffic::Guess, Shows::Nothing),
    ("/login/second", Traffic::Guess, Shows::Nothing),
    ("/login/second/passkey", Traffic::Session, Shows::Session),
    ("/login/second/passkey/answer", Traffic::Guess, Shows::Nothing),
    ("/login/rebind", Traffic::Session, Shows::Session),
    ("/login/rebind/confirm", Traffic::Guess, Shows::Nothing),
    ("/login/first", Traffic::Session, Shows::Session),
    ("/login/first/code", Traffic::Guess, Shows::Nothing),
    ("/passkeys", Traffic::Session, Shows::Session),
    ("/passkeys/new", Traffic::Session, Shows::Session),
    ("/passkeys/remove", Traffic::Session, Shows::Session),
    ("/register", Traffic::Anonymous, Shows::Nothing),
    ("/verify-email", Traffic::Guess, Shows::Nothing),
    ("/email-change", Traffic::Guess, Shows::Nothing),
    ("/forgot-password", Traffic::Anonymous, Shows::Nothing),
    ("/reset-password", Traffic::Guess, Shows::Nothing),
    ("/step-up", Traffic::Session, Shows::Session),
    ("/session/stay", Traffic::Session, Shows::Session),
    ("/logout", Traffic::Session, Shows::Session),
    ("/assets/pages.css", Traffic::Asset, Shows::Nothing),
    ("/assets/pages.js", Traffic::Asset, Shows::Nothing),
];

impl RouteClass {
    /// Of the route with that template. Routes without parameters are found by the path of a request as well, before it
    /// is known whether there is such a route.
    pub(crate) fn of(method: &Method, template: &str) -> Self {
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let class = |traffic, shows| Self { traffic, shows };
        let open = OPEN
            .iter()
            .find(|(known, path, ..)| known == method && *path == template)
            .map(|(_, _, traffic, shows)| class(*traffic, *shows));
        let outside = || {
            let row = OUTSIDE.iter().find(|(path, ..)| *path == template);
            row.map(|(_, traffic, shows)| class(*traffic, *shows))
        };
        open.or_else(outside)
            .unwrap_or_else(|| class(Traffic::Principal, Shows::Credential))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::v1;

    /// Every operation that the contract lets in without a credential.
    fn open_operations() -> BTreeSet<(String, String)> {
        let document = crate::document(v1::describe, "https://bank.example");
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
            .filter(|(_, _, traffic, _)| *traffic != Traffic::Upload)
            .map(|(method, path, ..)| (method.to_string(), (*path).to_owned()))
            .collect();
        assert_eq!(
            open_operations(),
            named,
            "name it in `OPEN`, with the traffic that it is, or let it want a credential"
        );
    }

    #[test]
    fn what_is_not_named_wants_a_principal() {
        let of = |method, path| RouteClass::of(method, path).traffic;
        assert_eq!(of(&Method::GET, "/api/v1/accounts"), Traffic::Principal);
        assert_eq!(of(&Method::HEAD, "/livez"), Traffic::Health);
        assert_eq!(of(&Method::POST, "/livez"), Traffic::Principal);
        let unknown = RouteClass::of(&Method::GET, "/nowhere").shows;
        assert_eq!(unknown, Shows::Credential);
    }

    #[test]
    fn what_has_a_token_in_its_body_is_known_by_its_path_before_the_router_is_asked() {
        let of_token: Vec<_> = OPEN
            .iter()
            .filter(|(.., shows)| *shows == Shows::Token)
            .map(|(_, path, ..)| *path)
            .collect();
        assert_eq!(of_token, ["/api/v1/auth/refresh", "/api/v1/auth/logout"]);
        assert!(of_token.iter().all(|path| !path.contains('{')));
    }
}
