//! What a request must be before any route is asked: addressed to this server, and of a bounded length.
//!
//! A server that answers to any name lets the network choose what links and caches say (ASVS 5.0, 4.1); one that is
//! reached by a foreign name through a rebound domain lets a foreign page read the answers.

use http::{HeaderMap, Request, Uri, header};
use strongroom_api::{FieldError, codes};

use crate::Problem;

/// The longest target of a request (path and query), in bytes.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
/// What balancers ask by address instead of by name.
const BY_ANY_NAME: [&str; 2] = ["/livez", "/readyz"];

/// The names that a listener answers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Option<Vec<String>>);

impl Hosts {
    /// Any name: for a listener that is not public.
    pub const fn any() -> Self {
        Self(None)
    }

    /// These names or addresses and no others, whatever the port; IPv6 without brackets.
    pub fn only(names: impl IntoIterator<Item = String>) -> Self {
        Self(Some(
            names.into_iter().map(|name| name.to_ascii_lowercase()).collect(),
        ))
    }

    fn has(&self, authority: &str) -> bool {
        let Some(names) = &self.0 else { return true };
        host_of(authority).is_some_and(|host| names.iter().any(|name| name.eq_ignore_ascii_case(host)))
    }
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`; `None` for anything else.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (
                host,
                if port.is_empty() {
                    None
                } else {
                    Some(port.strip_prefix(':')?)
                },
            )
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let right = port.is_none_or(|port| port.parse::<u16>().is_ok());
    (right && !host.is_empty()).then_some(host)
}

/// Refuses what is not for this server or too long to be anything but an attempt.
pub(super) fn check<B>(request: &Request<B>, hosts: &Hosts) -> Result<(), Problem> {
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > TARGET_BYTES_MAX {
        return Err(Problem::new(
            &codes::TARGET_TOO_LONG,
            "The address of the request is longer than any of this server.",
        ));
    }
    let authority = authority(request.uri(), request.headers())?;
    if hosts.has(authority) || BY_ANY_NAME.contains(&request.uri().path()) {
        Ok(())
    } else {
        Err(Problem::new(
            &codes::MISDIRECTED,
            "This server does not answer to that name.",
        ))
    }
}

/// The one name that the request is addressed to: HTTP/2 has it in its target, HTTP/1.1 in `Host`, exactly once (RFC
/// 9112, section 3.2); where both are there they agree.
fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<&'a str, Problem> {
    let mut shown = headers.get_all(header::HOST).iter();
    let named = match (shown.next(), shown.next()) {
        (None, _) => None,
        (Some(host), None) => Some(host.to_str().map_err(|_| wrong())?),
        (Some(_), Some(_)) => return Err(wrong()),
    };
    match (uri.authority().map(http::uri::Authority::as_str), named) {
        (Some(target), Some(named)) if !target.eq_ignore_ascii_case(named) => Err(wrong()),
        (Some(authority), _) | (None, Some(authority)) => Ok(authority),
        (None, None) => Err(wrong()),
    }
}

fn wrong() -> Problem {
    Problem::invalid(vec![FieldError {
        pointer: "Host:".to_owned(),
        code: "required".to_owned(),
        detail: "is needed exactly once".to_owned(),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_without_port_and_case() {
        let hosts = Hosts::only(["Bank.Example".to_owned(), "::1".to_owned()]);
        for (authority, known) in [
            ("bank.example", true),
            ("BANK.EXAMPLE:8443", true),
            ("[::1]", true),
            ("[::1]:8443", true),
            ("::1", false),
            ("bank.example.", false),
            ("bank.example.evil.example", false),
            ("evil.example", false),
            ("bank.example:evil", false),
            ("bank.example:99999", false),
            ("user@bank.example", false),
            ("", false),
            (":8443", false),
        ] {
            assert_eq!(hosts.has(authority), known, "{authority}");
        }
        assert!(Hosts::any().has("evil.example"));
    }
}
