//! The headers of every answer that keep a browser from doing more with it than we mean.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The content security policy of everything that is not a page: nothing may be loaded, run or framed.
pub const API_CSP: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Two years. `preload` is a promise for a whole domain that is hard to take back, so it is not made here.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Adds the headers. A handler may set its own `Content-Security-Policy` (pages) and `Cache-Control` (keys,
/// hashed assets); the rest is not negotiable. HSTS belongs on TLS only (RFC 6797, section 7.2).
pub(crate) fn add(headers: &mut HeaderMap, tls: bool) {
    headers.reserve(8);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        CROSS_ORIGIN_RESOURCE_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(
        CROSS_ORIGIN_OPENER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    if tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(API_CSP));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}
