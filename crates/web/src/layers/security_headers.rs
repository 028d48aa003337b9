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

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const CROSS_ORIGIN_EMBEDDER_POLICY: HeaderName = HeaderName::from_static("cross-origin-embedder-policy");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Adds the headers. A handler may set its own `Content-Security-Policy` (pages) and `Cache-Control` (keys,
/// hashed assets); the rest is not negotiable.
pub(crate) fn add(headers: &mut HeaderMap, hsts: Hsts) {
    headers.reserve(16);
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
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(API_CSP));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}
