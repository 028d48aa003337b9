//! The headers of every answer that keep a browser from doing more with it than we mean.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The content security policy of everything that is not a page: nothing may be loaded, run or framed.
pub const API_CSP: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// What browsers are told about plain HTTP (RFC 6797): never again, for two years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hsts {
    /// Nothing: neither this server nor a named proxy speaks TLS (section 7.2).
    #[default]
    Off,
    /// For this host and those below it.
    On,
    /// And from the first visit on, through the lists that browsers ship. A promise for a whole domain that is hard
    /// to take back.
    Preload,
}

impl Hsts {
    const fn value(self) -> Option<HeaderValue> {
        match self {
            Self::Off => None,
            Self::On => Some(HeaderValue::from_static("max-age=63072000; includeSubDomains")),
            Self::Preload => Some(HeaderValue::from_static(
                "max-age=63072000; includeSubDomains; preload",
            )),
        }
    }
}

/// What no page of ours may use, whatever runs in it.
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "accelerometer=(), autoplay=(), bluetooth=(), browsing-topics=(), camera=(), display-capture=(), \
     encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), local-fonts=(), \
     magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-create=(self), \
     publickey-credentials-get=(self), screen-wake-lock=(), serial=(), storage-access=(), usb=(), \
     window-management=(), xr-spatial-tracking=()",
);

/// How many headers an answer has, about.
const HEADERS_EXPECTED: usize = 24;

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const CROSS_ORIGIN_EMBEDDER_POLICY: HeaderName = HeaderName::from_static("cross-origin-embedder-policy");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// The headers, made once: an answer begins with a copy of them.
#[derive(Clone, Debug)]
pub(crate) struct SecurityHeaders(HeaderMap);

/// What a handler may say in another way: pages have a policy of their own, keys and hashed assets may be cached.
const NEGOTIABLE: [HeaderName; 2] = [header::CONTENT_SECURITY_POLICY, header::CACHE_CONTROL];

impl SecurityHeaders {
    pub(crate) fn new(hsts: Hsts) -> Self {
        let mut headers = HeaderMap::with_capacity(HEADERS_EXPECTED);
        fill(&mut headers, hsts);
        Self(headers)
    }

    /// Puts them around those of a handler, which may set its own `Content-Security-Policy` and `Cache-Control`; the
    /// rest is not negotiable.
    pub(crate) fn add(&self, headers: &mut HeaderMap) {
        let own = std::mem::replace(headers, self.0.clone());
        let mut repeated = None;
        for (name, value) in own {
            // A name is said once, with the first of its values.
            let first = name.is_some();
            let Some(name) = name.or_else(|| repeated.take()) else {
                continue;
            };
            repeated = Some(name.clone());
            if !self.0.contains_key(&name) || (!first && NEGOTIABLE.contains(&name)) {
                headers.append(name, value);
            } else if NEGOTIABLE.contains(&name) {
                headers.insert(name, value);
            }
        }
    }
}

fn fill(headers: &mut HeaderMap, hsts: Hsts) {
    for (name, value) in [
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        // For browsers that do not know `frame-ancestors`.
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        // The filter that this once switched on could itself be used against a page: off is the only safe value.
        (header::X_XSS_PROTECTION, HeaderValue::from_static("0")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (PERMISSIONS_POLICY, PERMISSIONS),
        (
            CROSS_ORIGIN_RESOURCE_POLICY,
            HeaderValue::from_static("same-origin"),
        ),
        (
            CROSS_ORIGIN_OPENER_POLICY,
            HeaderValue::from_static("same-origin"),
        ),
        (
            CROSS_ORIGIN_EMBEDDER_POLICY,
            HeaderValue::from_static("require-corp"),
        ),
    ] {
        headers.insert(name, value);
    }
    if let Some(value) = hsts.value() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(API_CSP));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_says_its_own_policy_and_caching_and_nothing_else_of_these() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", "one=1"),
            ("content-security-policy", "default-src 'self'"),
            ("x-frame-options", "ALLOWALL"),
            ("set-cookie", "two=2"),
            ("cache-control", "max-age=60"),
            ("cache-control", "immutable"),
            ("location", "/there"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        SecurityHeaders::new(Hsts::On).add(&mut headers);
        let all = |name: &str| -> Vec<&str> {
            let values = headers.get_all(name).iter();
            values.map(|value| value.to_str().unwrap()).collect()
        };
        assert_eq!(all("set-cookie"), ["one=1", "two=2"]);
        assert_eq!(all("content-security-policy"), ["default-src 'self'"]);
        assert_eq!(all("cache-control"), ["max-age=60", "immutable"]);
        assert_eq!(all("x-frame-options"), ["DENY"]);
        assert_eq!(all("location"), ["/there"]);
        assert_eq!(
            all("strict-transport-security"),
            ["max-age=63072000; includeSubDomains"]
        );
        assert_eq!(all("x-content-type-options"), ["nosniff"]);
    }

    #[test]
    fn an_answer_without_headers_may_load_nothing_and_is_kept_nowhere() {
        let mut headers = HeaderMap::new();
        SecurityHeaders::new(Hsts::Off).add(&mut headers);
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], API_CSP);
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
    }
}
