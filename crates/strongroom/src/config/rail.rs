//! The bank's account at its own bank.

use std::{path::PathBuf, time::Duration};

use strongroom_domain::{iban::Iban, money::Currency};

use super::Reader;

/// The bank's account at its own bank, and the folders of files to and from there.
#[derive(Clone, Debug)]
pub(crate) struct RailConfig {
    /// The account's number.
    pub account: Iban,
    /// Its currency.
    pub currency: Currency,
    /// The bank's name in payments.
    pub name: String,
    /// Where files of payments are laid.
    pub outbox: PathBuf,
    /// Where statements are found.
    pub inbox: PathBuf,
    /// How often.
    pub every: Duration,
}

impl Reader<'_> {
    /// Whole, or not at all: the rules say what is missing.
    pub(super) fn rail(&self) -> Option<RailConfig> {
        let (account, currency) = (self.text("rail.account"), self.text("rail.currency"));
        let (name, every) = (self.text("rail.name"), self.seconds("rail.seconds"));
        let (outbox, inbox) = (self.path("rail.outbox"), self.path("rail.inbox"));
        Some(RailConfig {
            account: Iban::parse(&account?).ok()?,
            currency: Currency::parse(&currency?).ok()?,
            name: name?,
            outbox: outbox?,
            inbox: inbox?,
            every,
        })
    }
}
