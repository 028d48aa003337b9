//! What outlives a restart, in `DATA/tls/acme/`: account and certificate with their keys, sealed by the bank, and how
//! often the directory was asked in vain.

use std::{fs, io, path::PathBuf, sync::Arc};

use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use strongroom_app::Bank;

use crate::{
    data_dir::{DataDir, write_private},
    tls::TlsError,
};

const ACCOUNT: &str = "acme/account";
const CERTIFICATE: &str = "acme/certificate";
const TRIES: &str = "tries";

/// An account at a directory.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptAccount {
    /// The directory that knows it.
    pub(super) directory: String,
    /// Whom it writes to.
    pub(super) contact: Option<String>,
    /// Its name there, and its key.
    pub(super) credentials: AccountCredentials,
}

/// A certificate with its key; one file, so that a crash leaves both or neither.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptCertificate {
    /// The directory that gave it.
    pub(super) directory: String,
    /// The names that it was ordered for.
    pub(super) names: Vec<String>,
    /// PEM, its own first.
    pub(super) chain: String,
    /// PEM.
    pub(super) key: String,
}

/// How often a directory was asked in vain, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tries {
    /// Failures in a row.
    pub(super) failures: u32,
    /// When the last try began, in seconds since 1970; 0 is never.
    pub(super) at: i64,
    /// Until when the directory wants to be left alone, in seconds since 1970; 0 where it did not say so.
    #[serde(default)]
    pub(super) not_before: i64,
}

/// The files.
pub(super) struct Kept {
    folder: PathBuf,
    bank: Arc<Bank>,
}

impl Kept {
    pub(super) fn open(data: &DataDir, bank: Arc<Bank>) -> Result<Self, TlsError> {
        data.directory("tls")?;
        let folder = data.directory("tls/acme")?;
        Ok(Self { folder, bank })
    }

    pub(super) fn account(&self) -> Option<KeptAccount> {
        self.sealed(ACCOUNT)
    }

    pub(super) fn keep_account(&self, account: &KeptAccount) -> Result<(), TlsError> {
        self.seal(ACCOUNT, account)
    }

    pub(super) fn forget_account(&self) -> Result<(), TlsError> {
        let path = self.path(ACCOUNT);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(file("remove", &path, source)),
            _ => Ok(()),
        }
    }

    pub(super) fn certificate(&self) -> Option<KeptCertificate> {
        self.sealed(CERTIFICATE)
    }

    pub(super) fn keep_certificate(&self, certificate: &KeptCertificate) -> Result<(), TlsError> {
        self.seal(CERTIFICATE, certificate)
    }

    pub(super) fn tries(&self) -> Tries {
        let text = fs::read(self.folder.join(TRIES)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    pub(super) fn keep_tries(&self, tries: Tries) -> Result<(), TlsError> {
        let path = self.folder.join(TRIES);
        let text = serde_json::to_vec(&tries).map_err(|error| file("write", &path, error.into()))?;
        write_private(&path, &text).map_err(|source| file("write", &path, source))
    }

    /// The file of a name that is sealed with its content.
    fn path(&self, name: &'static str) -> PathBuf {
        self.folder.join(name.trim_start_matches("acme/"))
    }

    /// What cannot be opened is not there: another account, another certificate can be had.
    fn sealed<T: DeserializeOwned>(&self, name: &'static str) -> Option<T> {
        let path = self.path(name);
        let sealed = match fs::read(&path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::error!(target: "strongroom", path = %path.display(), %error, "cannot read what was kept");
                return None;
            }
        };
        let opened = self.bank.open_file(name, &sealed).ok();
        let read = opened.and_then(|text| serde_json::from_slice(text.expose()).ok());
        if read.is_none() {
            tracing::error!(target: "strongroom", path = %path.display(), "what was kept is not whole, or not ours");
        }
        read
    }

    fn seal<T: Serialize>(&self, name: &'static str, content: &T) -> Result<(), TlsError> {
        let path = self.path(name);
        let text = serde_json::to_vec(content).map_err(|error| file("write", &path, error.into()))?;
        let sealed = self.bank.seal_file(name, &text);
        write_private(&path, &sealed).map_err(|source| file("write", &path, source))
    }
}

fn file(what: &'static str, path: &std::path::Path, source: io::Error) -> TlsError {
    TlsError::File {
        what,
        path: path.display().to_string(),
        source,
    }
}
