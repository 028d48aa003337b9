//! Mails: written in the transaction that they tell of, sent afterwards, forgotten when they are of no use any more.

use std::fmt::Debug;

use strongroom_domain::id::MailId;

/// A mail as it leaves the bank.
#[derive(Clone)]
pub struct Mail {
    /// Its id.
    pub id: MailId,
    /// The recipient's address as stored.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The plain-text body.
    pub text: String,
}

impl Debug for Mail {
    /// Addresses and tokens are nobody's business in a log.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Mail")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why a mail was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the mail was not sent: {0}")]
pub struct MailError(pub String);

/// Carries mails away.
pub trait MailSink: Send + Sync + Debug {
    /// Sends one. It may block for the time of a local file write.
    ///
    /// # Errors
    /// [`MailError`]; the mail is tried again later.
    fn send(&self, mail: &Mail) -> Result<(), MailError>;

    /// Takes back what still lies here of a mail whose time is over, where that can be done.
    fn discard(&self, id: MailId);
}
