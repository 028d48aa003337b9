//! Our cookies: few, named, `__Host-` (RFC 6265bis: TLS, this host, every path, set by nobody else), never readable by
//! scripts.

use http::{HeaderMap, HeaderValue, header};

/// A cookie of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// A session.
    Session,
    /// The mark of a device that its owner logged in on.
    Device,
    /// A login that wants a second factor.
    Login,
    /// Somebody who was sent to an issuer.
    External,
    /// What the tokens of a browser's forms are made from.
    Form,
}

/// How long a browser keeps one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep {
    /// Until the browser ends; the server ends it earlier.
    Window,
    /// So many seconds.
    Seconds(i64),
    /// Not any more.
    Not,
}

impl Cookie {
    /// All of them.
    const ALL: [Self; 5] = [
        Self::Session,
        Self::Device,
        Self::Login,
        Self::External,
        Self::Form,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Session => "__Host-sid",
            Self::Device => "__Host-device",
            Self::Login => "__Host-login",
            Self::External => "__Host-oidc",
            Self::Form => "__Host-form",
        }
    }

    /// What comes back from an issuer comes from another site; nothing else does.
    const fn same_site(self) -> &'static str {
        match self {
            Self::External => "Lax",
            Self::Session | Self::Device | Self::Login | Self::Form => "Strict",
        }
    }

    /// The header that sets it. `None` for a value that no cookie can have.
    pub(crate) fn set(self, value: &str, keep: Keep) -> Option<HeaderValue> {
        let (name, same_site) = (self.name(), self.same_site());
        let age = match keep {
            Keep::Window => String::new(),
            Keep::Seconds(seconds) => format!("; Max-Age={seconds}"),
            Keep::Not => "; Max-Age=0".to_owned(),
        };
        let text = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite={same_site}{age}");
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

/// A cookie of a request; none where it is there twice: one of the two is not ours.
pub(crate) fn read_cookie(headers: &HeaderMap, cookie: Cookie) -> Option<&str> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == cookie.name())
        .map(|(_, value)| value);
    match (found.next(), found.next()) {
        (Some(value), None) if !value.is_empty() => Some(value),
        _ => None,
    }
}

/// The values of cookies that are not ours.
pub(crate) fn foreign_cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .map(|pair| pair.trim().split_once('=').unwrap_or((pair, pair)))
        .filter(|(name, _)| Cookie::ALL.iter().all(|own| own.name() != *name))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().fold(HeaderMap::new(), |mut all, value| {
            all.append(header::COOKIE, HeaderValue::from_static(value));
            all
        })
    }

    #[test]
    fn a_cookie_is_found_once_or_not_at_all() {
        let sid = |values: &[&'static str]| read_cookie(&headers(values), Cookie::Session).map(str::to_owned);
        assert_eq!(sid(&["a=b; __Host-sid=x; c=d"]).as_deref(), Some("x"));
        assert_eq!(sid(&["a=b", "__Host-sid=x"]).as_deref(), Some("x"));
        for none in [
            &[][..],
            &["__Host-sid=x; __Host-sid=y"],
            &["__Host-sid=x", "__Host-sid=x"],
            &["__Host-sid="],
            &["sid=x"],
            &["__host-sid=x"],
        ] {
            assert_eq!(sid(none), None, "{none:?}");
        }
    }

    #[test]
    fn no_script_and_no_other_site_gets_a_cookie() {
        for cookie in Cookie::ALL {
            let set = cookie.set("x", Keep::Window).unwrap();
            let set = set.to_str().unwrap();
            assert!(set.starts_with("__Host-"), "{set}");
            for part in ["Path=/;", "Secure", "HttpOnly", "SameSite="] {
                assert!(set.contains(part), "{set}");
            }
            assert!(!set.contains("Domain"), "{set}");
        }
        assert!(Cookie::Session.set("a\nb", Keep::Window).is_none());
    }
}
