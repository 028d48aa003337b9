//! Where Redis is, and how it is spoken to.

use std::fmt;

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};

/// The address of a Redis with what it asks for. Its password is in no `Debug`.
#[derive(Clone)]
pub struct RedisPlace {
    info: ConnectionInfo,
    authorities: Option<Vec<u8>>,
}

impl fmt::Debug for RedisPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisPlace([redacted])")
    }
}

/// Why a text is no such address. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisPlaceError {
    /// It is none.
    Form,
    /// It asks not to look at certificates, or for something else behind its end.
    Fragment,
    /// The authorities are no certificates in PEM, or are named where nothing is encrypted.
    Authorities,
}

impl fmt::Display for RedisPlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "must be rediss://USER:PASSWORD@HOST:PORT, or redis:// without TLS",
            Self::Fragment => "must not have anything behind a #: certificates are always verified",
            Self::Authorities => "must hold certificates in PEM, and needs rediss://",
        })
    }
}

impl std::error::Error for RedisPlaceError {}

impl RedisPlace {
    /// Reads `rediss://USER:PASSWORD@HOST:PORT`. `authorities` (PEM) are the only ones that may vouch for the server;
    /// without them those that the system trusts.
    ///
    /// # Errors
    /// [`RedisPlaceError`].
    pub fn read(url: &str, authorities: Option<Vec<u8>>) -> Result<Self, RedisPlaceError> {
        if url.contains('#') {
            return Err(RedisPlaceError::Fragment);
        }
        let is_known = ["redis://", "rediss://"]
            .iter()
            .any(|scheme| url.starts_with(scheme));
        if !is_known {
            return Err(RedisPlaceError::Form);
        }
        let info = url.into_connection_info().map_err(|_| RedisPlaceError::Form)?;
        // The library would say who it is, which some rights do not cover and nobody needs.
        let settings = info.redis_settings().clone().set_skip_set_lib_name();
        let place = Self {
            info: info.set_redis_settings(settings),
            authorities,
        };
        place.client()?;
        Ok(place)
    }

    /// Whether it is spoken to by TLS, with its certificate verified.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.info.addr(), ConnectionAddr::TcpTls { insecure: false, .. })
    }

    /// Whether it is told a password.
    pub fn has_password(&self) -> bool {
        self.info
            .redis_settings()
            .password()
            .is_some_and(|password| !password.is_empty())
    }

    pub(crate) fn client(&self) -> Result<Client, RedisPlaceError> {
        match &self.authorities {
            None => Client::open(self.info.clone()).map_err(|_| RedisPlaceError::Form),
            Some(pem) => {
                // A file without any certificate is fine for the library, and would end every handshake.
                let has_some = pem.windows(MARK.len()).any(|part| part == MARK);
                let authorities = TlsCertificates {
                    client_tls: None,
                    root_cert: Some(pem.clone()),
                };
                has_some
                    .then(|| Client::build_with_tls(self.info.clone(), authorities).ok())
                    .flatten()
                    .ok_or(RedisPlaceError::Authorities)
            }
        }
    }
}

const MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_whether_it_is_encrypted_and_has_a_password() {
        for (url, encrypted, password) in [
            ("redis://localhost", false, false),
            ("redis://bank:canary@localhost:6380/1", false, true),
            ("rediss://localhost:6380", true, false),
            ("rediss://:canary@localhost", true, true),
            ("rediss://bank:@localhost", true, false),
        ] {
            let place = RedisPlace::read(url, None).unwrap();
            assert_eq!(
                (place.is_encrypted(), place.has_password()),
                (encrypted, password),
                "{url}"
            );
            assert!(!format!("{place:?}").contains("canary"));
        }
    }

    #[test]
    fn nobody_asks_not_to_be_looked_at() {
        for (url, error) in [
            ("rediss://localhost#insecure", RedisPlaceError::Fragment),
            ("rediss://localhost#", RedisPlaceError::Fragment),
            ("http://localhost", RedisPlaceError::Form),
            ("unix:///run/redis", RedisPlaceError::Form),
            ("rediss://", RedisPlaceError::Form),
            ("rediss://localhost/x", RedisPlaceError::Form),
            ("", RedisPlaceError::Form),
        ] {
            assert_eq!(RedisPlace::read(url, None).err(), Some(error), "{url}");
        }
        for pem in [&b""[..], b"canary", b"-----BEGIN CERTIFICATE-----\ncanary\n"] {
            let place = RedisPlace::read("rediss://localhost", Some(pem.to_vec()));
            assert_eq!(place.err(), Some(RedisPlaceError::Authorities));
        }
    }
}
