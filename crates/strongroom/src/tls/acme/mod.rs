//! Certificates by ACME (RFC 8555): had from a directory, and renewed long before they end, while the server runs.
//!
//! Nothing of it can stop the bank: whatever the directory does, the certificate that is there is served on, and the
//! directory is asked again, later each time.

mod directory;
mod kept;
mod order;
mod proofs;
mod schedule;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use strongroom_app::Bank;

use self::kept::{Kept, KeptCertificate, Tries};
use super::{Certificates, TlsError, authority::now, provider, validity::Validity};
use crate::{config::AcmeConfig, data_dir::DataDir};

pub(crate) use directory::Directory;
pub(crate) use order::mac_key;
pub(crate) use proofs::NameProofs;

/// Longest conversation with a directory.
const ORDER_TIME_MAX: Duration = Duration::from_secs(300);
/// Longest sleep: clocks of machines are set, and machines sleep too.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// How far the clock of a directory may be ahead of ours, in seconds.
const CLOCKS_DIFFER_SECS: i64 = 60;
/// What an error of a directory may hold of the log, in characters.
const REASON_CHARS_MAX: usize = 600;
/// Orders that brought no certificate.
const FAILURES: &str = "strongroom_acme_failures_total";
/// Certificates that were had.
const ORDERED: &str = "strongroom_acme_certificates_total";

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcmeError {
    /// The directory refuses, or cannot be asked.
    #[error(transparent)]
    Directory(#[from] instant_acme::Error),
    /// The directory does what nobody expects.
    #[error("{0}")]
    Unexpected(&'static str),
    /// It takes too long.
    #[error("the directory did not finish in {} s", ORDER_TIME_MAX.as_secs())]
    Slow,
    /// The library does not get along with what the directory says; the panic hook has written the place down.
    #[error("a panic while asking the directory")]
    Panic,
    /// A key, a certificate or a file.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The key of the external account cannot be read.
    #[error("acme.eab_key is not base64url")]
    Binding,
    /// The authorities of the directory cannot be read.
    #[error("acme.ca_file: cannot use {path}: {reason}")]
    Authorities {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no client.
    #[error("cannot ask the certificate directory: {0}")]
    Client(reqwest::Error),
}

impl AcmeError {
    fn authorities(path: &Path, reason: impl fmt::Display) -> Self {
        Self::Authorities {
            path: path.display().to_string(),
            reason: reason.to_string(),
        }
    }
}

/// Whoever has certificates and renews them.
pub(crate) struct Acme {
    config: AcmeConfig,
    names: Vec<String>,
    directory: Directory,
    kept: Kept,
    certificates: Arc<Certificates>,
    proofs: Arc<NameProofs>,
    bank: Arc<Bank>,
    /// When the certificate that is served is renewed, in seconds since 1970.
    renewal: i64,
}

impl Acme {
    /// Serves what was kept for these names, if there is something; asks nobody.
    pub(crate) fn open(
        config: &AcmeConfig,
        directory: Directory,
        data: &DataDir,
        names: &[&str],
        certificates: &Arc<Certificates>,
        bank: &Arc<Bank>,
    ) -> Result<Self, AcmeError> {
        let mut own: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        own.dedup();
        let mut acme = Self {
            config: config.clone(),
            names: own,
            directory,
            kept: Kept::open(data, Arc::clone(bank))?,
            certificates: Arc::clone(certificates),
            proofs: Arc::default(),
            bank: Arc::clone(bank),
            renewal: i64::MIN,
        };
        let Some(known) = acme.kept.certificate() else {
            return Ok(acme);
        };
        match read(&known) {
            // For other names, or of another directory: better than none until the next one is there.
            Ok(_) if known.directory != acme.config.directory || known.names != acme.names => {
                acme.serve(&known)?;
                acme.renewal = i64::MIN;
            }
            Ok(_) => acme.serve(&known)?,
            Err(error) => {
                tracing::error!(target: "strongroom", %error, "the kept certificate cannot be used")
            }
        }
        Ok(acme)
    }

    /// What answers whoever asks for a proof.
    pub(crate) fn proofs(&self) -> Arc<NameProofs> {
        Arc::clone(&self.proofs)
    }

    /// Renews for ever.
    pub(crate) async fn run(mut self) {
        let mut tries = self.kept.tries();
        // A clock that was set back must not stop it.
        let started = now().as_second();
        let failed = self.wait_after(tries.failures, None);
        let mut patience = schedule::start_wait(failed, tries.not_before, started);
        let mut next = tries.at.min(started).saturating_add(patience);
        next = next.max(tries.not_before.min(started.saturating_add(patience)));
        loop {
            let moment = now().as_second();
            // Neither must one that is set back now.
            next = next.min(moment.saturating_add(patience));
            let due = self.renewal.max(next);
            if let Ok(left @ 1..) = u64::try_from(due.saturating_sub(moment)) {
                tokio::time::sleep(Duration::from_secs(left).min(LOOK_EVERY)).await;
                continue;
            }
            // Written before: whoever is killed while trying has tried.
            tries = Tries {
                failures: tries.failures.saturating_add(1),
                at: moment,
                not_before: 0,
            };
            self.keep_tries(tries);
            let renewed = caught(self.renew()).await;
            match renewed.unwrap_or(Err(AcmeError::Panic)) {
                Ok(()) => {
                    tries.failures = 0;
                    metrics::counter!(ORDERED).increment(1);
                }
                Err(error) => self.tell(&error, tries.failures),
            }
            let (asked, moment) = (self.directory.take_retry_after(), now().as_second());
            patience = seconds(self.wait_after(tries.failures, asked));
            next = moment.saturating_add(patience);
            if let Some(asked) = asked {
                let asked = seconds(asked.min(schedule::RETRY_AFTER_LONGEST));
                tries.not_before = moment.saturating_add(asked);
            }
            // Whoever starts next leaves the directory alone as long as this process would have.
            self.keep_tries(tries);
        }
    }

    fn wait_after(&self, failures: u32, asked: Option<Duration>) -> Duration {
        schedule::wait(failures, self.config.retry, asked)
    }

    fn keep_tries(&self, tries: Tries) {
        if let Err(error) = self.kept.keep_tries(tries) {
            tracing::warn!(target: "strongroom", %error, "it is not kept when the certificate directory was asked");
        }
    }

    fn tell(&self, error: &AcmeError, failures: u32) {
        let reason: String = error.to_string().chars().take(REASON_CHARS_MAX).collect();
        tracing::error!(target: "strongroom", reason, failures, "no new certificate from the directory");
        metrics::counter!(FAILURES).increment(1);
        self.bank.note_certificate_not_renewed();
        if let AcmeError::Directory(error) = error
            && order::is_of_unknown_account(error)
            && let Err(error) = self.kept.forget_account()
        {
            tracing::error!(target: "strongroom", %error, "an account that the directory does not know is kept");
        }
    }

    async fn renew(&mut self) -> Result<(), AcmeError> {
        let ordered = async {
            let account = order::account(&self.config, &self.directory, &self.kept).await?;
            order::certificate(&account, &self.config.directory, &self.names, &self.proofs).await
        };
        let made = tokio::time::timeout(ORDER_TIME_MAX, ordered)
            .await
            .map_err(|_| AcmeError::Slow)??;
        let moment = now().as_second();
        let validity = check(&made, moment)?;
        self.serve(&made)?;
        // Some directories date their certificates back by more than a part of their life.
        self.renewal = self.renewal.max(schedule::earliest(validity, moment));
        tracing::info!(target: "strongroom", names = ?self.names, "a new certificate of the directory is served");
        // It is served either way; the next start may have to ask again. The account is sealed anew with it, by the key
        // of the ring that is in force now.
        let account = self.kept.account();
        let kept = self.kept.keep_certificate(&made);
        if let Err(error) = kept.and_then(|()| account.map_or(Ok(()), |it| self.kept.keep_account(&it))) {
            tracing::error!(target: "strongroom", %error, "the new certificate is not kept");
        }
        Ok(())
    }

    fn serve(&mut self, made: &KeptCertificate) -> Result<(), TlsError> {
        let key = read(made)?;
        let leaf = key.cert.first();
        self.renewal = leaf
            .and_then(|leaf| Some(schedule::renewal(leaf, Validity::of(leaf)?)))
            .unwrap_or(i64::MIN);
        self.certificates.put(key);
        Ok(())
    }
}

fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX).max(1)
}

/// `None` where the future panicked.
async fn caught<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(
        |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        },
    )
    .await
}

/// Chain and key; also checks that they belong together.
fn read(made: &KeptCertificate) -> Result<CertifiedKey, TlsError> {
    let broken = || rustls::Error::General("the directory's certificate cannot be read".to_owned());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(made.chain.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| broken())?;
    if chain.is_empty() {
        return Err(broken().into());
    }
    let private = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).map_err(|_| broken())?;
    Ok(CertifiedKey::from_der(chain, private, &provider())?)
}

/// Whether what a directory gave is what was ordered, for each of the names and valid now; and from when until when.
fn check(made: &KeptCertificate, now: i64) -> Result<Validity, AcmeError> {
    let key = read(made)?;
    let leaf = key.cert.first().ok_or(AcmeError::Unexpected("an empty chain"))?;
    let parsed = ParsedCertificate::try_from(leaf).map_err(TlsError::from)?;
    for name in &made.names {
        let name =
            ServerName::try_from(name.as_str()).map_err(|_| AcmeError::Unexpected("a name that is none"))?;
        verify_server_name(&parsed, &name)
            .map_err(|_| AcmeError::Unexpected("the certificate is not for the names that were ordered"))?;
    }
    let validity = Validity::of(leaf).ok_or(AcmeError::Unexpected("a certificate without a validity"))?;
    if validity.contains(now) || validity.contains(now.saturating_add(CLOCKS_DIFFER_SECS)) {
        Ok(validity)
    } else {
        Err(AcmeError::Unexpected(
            "the certificate is not valid now: is the clock right?",
        ))
    }
}
