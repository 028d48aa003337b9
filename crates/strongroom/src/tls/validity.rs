//! From when until when a certificate counts.

use rustls::pki_types::CertificateDer;

/// The two ends of a certificate's life, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: i64,
    pub(super) until: i64,
}

impl Validity {
    /// What the certificate says (RFC 5280, section 4.1.2.5); `None` where it cannot be read.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate.as_ref()).ok()?;
        let validity = parsed.validity();
        Some(Self {
            from: validity.not_before.timestamp(),
            until: validity.not_after.timestamp(),
        })
    }

    /// Whether that moment is in it.
    pub(super) fn contains(&self, now: i64) -> bool {
        (self.from..=self.until).contains(&now)
    }
}
