//! Mails by SMTP: TLS always and verified, everything bounded in time, connections kept for the next mail.
//!
//! What the other side says is not repeated: it may hold the recipient's address.

use std::{fs, io, time::Duration};

use lettre::{
    SmtpTransport, Transport,
    transport::smtp::{
        Error, PoolConfig,
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
        extension::ClientId,
    },
};
use secrecy::ExposeSecret;
use strongroom_app::mail::{Encoding, Mail, MailError, MailSink};
use strongroom_domain::id::MailId;

use crate::config::SmtpConfig;

/// Connections that are kept.
const CONNECTIONS_MAX: u32 = 2;
/// How long a connection is kept for the next mail.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// What a server answers when it wants TLS or another login (RFC 4954, section 6): nothing that is wrong with a mail.
const NOT_US: [u16; 4] = [530, 534, 535, 538];
/// What a server answers when it goes away (RFC 5321, section 3.8).
const GOING_AWAY: u16 = 421;

/// Why mails cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SmtpError {
    /// The authorities cannot be read.
    #[error("cannot read {path} (smtp.ca_file): {source}")]
    Read {
        /// The file.
        path: String,
        /// The reason.
        source: io::Error,
    },
    /// The file holds none.
    #[error("{0} (smtp.ca_file) holds no certificate in PEM")]
    NoAuthority(String),
    /// The library refuses.
    #[error("cannot set up TLS for SMTP: {0}")]
    Setup(#[from] Error),
}

/// Sends mails to one server.
#[derive(Debug)]
pub(crate) struct Smtp {
    transport: SmtpTransport,
    from: String,
}

impl Smtp {
    /// To this server, from this address, introducing ourselves as this host. Opens no connection yet.
    pub(crate) fn open(settings: &SmtpConfig, from: &str, host: &str) -> Result<Self, SmtpError> {
        let mut tls = TlsParameters::builder(settings.host.clone());
        if let Some(path) = &settings.ca {
            let shown = path.display().to_string();
            let pem = fs::read(path).map_err(|source| SmtpError::Read {
                path: shown.clone(),
                source,
            })?;
            // A file without any certificate is fine for the library, and would end every handshake.
            let authority = Certificate::from_pem(&pem)
                .ok()
                .filter(|_| pem.windows(MARK.len()).any(|part| part == MARK))
                .ok_or(SmtpError::NoAuthority(shown))?;
            tls = tls
                .certificate_store(CertificateStore::None)
                .add_root_certificate(authority);
        }
        let tls = tls.build()?;
        let tls = if settings.implicit {
            Tls::Wrapper(tls)
        } else {
            Tls::Required(tls)
        };
        let pool = PoolConfig::new().max_size(CONNECTIONS_MAX).idle_timeout(IDLE_MAX);
        // "Dangerous" is only its default of no TLS, which is replaced here.
        let mut builder = SmtpTransport::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls)
            .hello_name(ClientId::Domain(host.to_owned()))
            .timeout(Some(settings.time_max))
            .pool_config(pool);
        if let Some((name, password)) = &settings.login {
            let (name, password) = (
                name.expose_secret().to_owned(),
                password.expose_secret().to_owned(),
            );
            builder = builder.credentials(Credentials::new(name, password));
        }
        Ok(Self {
            transport: builder.build(),
            from: from.to_owned(),
        })
    }
}

const MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";

impl MailSink for Smtp {
    fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = mail.message(&self.from, Encoding::Safe)?;
        self.transport
            .send(&message)
            .map(drop)
            .map_err(|error| cause(&error))
    }

    fn discard(&self, _: MailId) {
        // It is the recipient's now.
    }
}

fn cause(error: &Error) -> MailError {
    let Some(status) = error.status().map(u16::from) else {
        let what = if error.is_tls() || is_handshake(error) {
            "no TLS that can be trusted"
        } else if error.is_timeout() {
            "no answer in time"
        } else if error.is_client() {
            // Also where it does not speak what this one mail needs.
            return MailError::Later("the server does not offer what is needed".to_owned());
        } else if error.is_response() {
            "an answer that is not SMTP"
        } else {
            "no connection"
        };
        return MailError::Away(what.to_owned());
    };
    let text = format!("status {status}");
    match status {
        GOING_AWAY => MailError::Away(text),
        status if NOT_US.contains(&status) => MailError::Away(text),
        _ if error.is_permanent() => MailError::Refused(text),
        _ => MailError::Later(text),
    }
}

/// A handshake that fails comes as an error of the connection, with the reason inside.
fn is_handshake(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if cause.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        source = cause.source();
    }
    false
}
