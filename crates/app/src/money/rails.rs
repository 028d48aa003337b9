//! Rails: how payments leave the bank and what comes back of them.
//!
//! What leaves is released by two people as a file ([`files`]); what the bank's own bank says it did is read from its
//! statements and booked, once ([`statements`]); what nobody can place lies in suspense until two people say whose it
//! is ([`suspense`]). A [`Rail`] carries files and knows nothing of money.

pub mod camt;
pub mod files;
pub mod folder;
pub mod pain;
pub mod reconciliation;
pub mod statements;
pub mod suspense;

use std::{fmt::Debug, io, sync::Arc, time::Duration};

use strongroom_domain::{iban::Iban, money::Currency};

use crate::{
    bank::Bank,
    error::{Error, Kind},
};

/// A file that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Its name.
    pub name: String,
    /// Its bytes; more than a statement may have where it is too large.
    pub bytes: Vec<u8>,
    /// Whether it has lain there long enough to be whole.
    pub settled: bool,
}

/// What carries files between the bank and its own bank. Blocking: never called in a request.
pub trait Rail: Send + Sync + Debug {
    /// Lays a file where it is fetched, whole or not at all; the same name again is the same file.
    ///
    /// # Errors
    /// When it does not lie there for good.
    fn deliver(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// What has arrived and was not filed away, bounded.
    ///
    /// # Errors
    /// When that cannot be told.
    fn arrivals(&self) -> io::Result<Vec<Arrival>>;

    /// Takes a file out of what has arrived: it was read, or is no statement of ours.
    ///
    /// # Errors
    /// When it is still there.
    fn file_away(&self, name: &str, stamp: i64, read: bool) -> io::Result<()>;
}

/// The bank's account at its own bank, and what carries files there.
#[derive(Debug, Clone)]
pub struct RailSettings {
    /// What carries files.
    pub rail: Arc<dyn Rail>,
    /// The account's number.
    pub account: Iban,
    /// Its currency. Payments in others stay where they are.
    pub currency: Currency,
    /// The bank's name in payments.
    pub name: String,
    /// How often files are laid out and statements looked for.
    pub every: Duration,
}

impl Bank {
    /// Says how payments leave the bank. Once, before the jobs run; without it they wait.
    pub fn pay_by(&self, settings: RailSettings) {
        let _ = self.rail.set(settings);
    }

    fn rail(&self) -> Result<&RailSettings, Error> {
        self.rail.get().ok_or_else(|| {
            Error::new(
                Kind::Conflict,
                "rail_not_configured",
                "The bank has no account at another bank.",
            )
        })
    }
}
