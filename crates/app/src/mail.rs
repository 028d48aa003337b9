//! Mails: written in the transaction that they tell of, sent afterwards, forgotten when they are of no use any
//! more.
//!
//! Parameters are sealed until the mail is sent and wiped then. At most three of a kind go to one recipient in an
//! hour; security notices are never dropped. A mail is claimed by one node for one try; a try that fails is
//! repeated later.

use std::{fmt::Debug, sync::Arc};

use strongroom_domain::{
    id::{MailId, UserId},
    time::Timestamp,
};
use strongroom_store::{Scope, WriteTx, identity::MailRow};

pub use crate::outbox::MailDirectory;
use crate::{bank::Bank, credentials::mail_place, error::Error};

/// Mails of one kind to one recipient in an hour.
pub const MAILS_PER_HOUR_MAX: u64 = 3;
/// Mails that one run of the job looks at.
const JOB_ROWS_MAX: u32 = 100;
/// Wait after a try that failed, in seconds, times the number of tries.
const RETRY_SECS: i64 = 60;
const HOUR_SECS: i64 = 60 * 60;
/// How long a notice without a token is kept, in seconds.
const NOTICE_SECS: i64 = 7 * 24 * HOUR_SECS;

/// A mail as it leaves the bank.
#[derive(Clone)]
pub struct Mail {
    /// Its id.
    pub id: MailId,
    /// The recipient's address as stored.
    pub to: String,
    /// The sender's name.
    pub from_name: String,
    /// The subject.
    pub subject: &'static str,
    /// The plain-text body.
    pub text: String,
    /// When it was written.
    pub at: Timestamp,
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
    /// Sends one. Called off the asynchronous threads.
    ///
    /// # Errors
    /// [`MailError`]; the mail is tried again later.
    fn send(&self, mail: &Mail) -> Result<(), MailError>;

    /// Takes back what still lies here of a mail whose time is over, where that can be done.
    fn discard(&self, id: MailId);
}

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailKind {
    /// Prove this address.
    Verification,
    /// Somebody tried to register your address.
    AddressTaken,
    /// Somebody asked for a reset; not a mail yet.
    ResetWish,
    /// Reset your password.
    PasswordReset,
    /// Your password was changed.
    PasswordChanged,
    /// A session was ended because its token was used twice.
    SessionStolen,
    /// A session was ended because a factor was proved wrongly too often.
    StepUpFailures,
    /// A second factor or the recovery codes were changed.
    FactorChanged,
    /// A recovery code was used in place of a factor.
    RecoveryUsed,
    /// A key for an integration was made.
    ApiKeyMade,
    /// Somebody made an operator without the approval of another.
    BreakGlass,
}

impl MailKind {
    const ALL: [Self; 11] = [
        Self::Verification,
        Self::AddressTaken,
        Self::ResetWish,
        Self::PasswordReset,
        Self::PasswordChanged,
        Self::SessionStolen,
        Self::StepUpFailures,
        Self::FactorChanged,
        Self::RecoveryUsed,
        Self::ApiKeyMade,
        Self::BreakGlass,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Verification => "verification",
            Self::AddressTaken => "address_taken",
            Self::ResetWish => "reset_wish",
            Self::PasswordReset => "password_reset",
            Self::PasswordChanged => "password_changed",
            Self::SessionStolen => "session_stolen",
            Self::StepUpFailures => "step_up_failures",
            Self::FactorChanged => "factor_changed",
            Self::RecoveryUsed => "recovery_used",
            Self::ApiKeyMade => "api_key_made",
            Self::BreakGlass => "break_glass",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Never dropped, however many there are.
    const fn is_security_notice(self) -> bool {
        matches!(
            self,
            Self::PasswordChanged
                | Self::SessionStolen
                | Self::StepUpFailures
                | Self::FactorChanged
                | Self::RecoveryUsed
                | Self::ApiKeyMade
                | Self::BreakGlass
        )
    }

    const fn useful_secs(self) -> i64 {
        match self {
            Self::Verification => crate::registration::REGISTRATION_SECS,
            Self::PasswordReset | Self::ResetWish => crate::credentials::RESET_SECS,
            Self::AddressTaken
            | Self::PasswordChanged
            | Self::SessionStolen
            | Self::StepUpFailures
            | Self::FactorChanged
            | Self::RecoveryUsed
            | Self::ApiKeyMade
            | Self::BreakGlass => NOTICE_SECS,
        }
    }

    const fn subject(self) -> &'static str {
        match self {
            Self::Verification => "Confirm your e-mail address",
            Self::AddressTaken => "Somebody tried to register your address",
            Self::PasswordReset | Self::ResetWish => "Reset your password",
            Self::PasswordChanged => "Your password was changed",
            Self::SessionStolen => "A session of yours was ended",
            Self::StepUpFailures => "A session of yours was ended",
            Self::FactorChanged => "How you prove who you are was changed",
            Self::RecoveryUsed => "A recovery code was used",
            Self::ApiKeyMade => "A key for a program was made in your name",
            Self::BreakGlass => "An operator was added without approval",
        }
    }

    fn text(self, params: &MailParams, public_url: &str) -> String {
        let MailParams { name, token, .. } = params;
        let body = match self {
            Self::Verification => format!(
                "please confirm that this address is yours. You need the password that you chose.\n\n\
                 Token: {token}\n\n{public_url}/verify-email#token={token}\n\n\
                 If you did not register, ignore this mail: nothing happens."
            ),
            Self::AddressTaken => "somebody tried to open a login with this address, which has one already. If that was you: log \
                in, or reset your password if you forgot it. If it was not you, nothing has happened."
                .to_owned(),
            Self::PasswordReset | Self::ResetWish => format!(
                "a new password was asked for.\n\nToken: {token}\n\n{public_url}/reset-password#token={token}\n\n\
                 It is good for half an hour, once. If you did not ask, ignore this mail: nothing happens."
            ),
            Self::PasswordChanged => "your password was changed and all other sessions were ended. If that was not you, reset your \
                password at once and tell us."
                .to_owned(),
            Self::SessionStolen => "a token of one of your sessions was used twice, as a thief would. The session was ended. Log in \
                again; if you see anything that you did not do, tell us at once."
                .to_owned(),
            Self::StepUpFailures => "in one of your sessions somebody tried to prove to be you and failed five times. The session was \
                ended. If that was not you, change your password at once and tell us."
                .to_owned(),
            Self::FactorChanged => "the second factor of your login, or the codes for the day it is lost, were changed just now. For a \
                day a new factor approves no large payment. If that was not you, tell us at once."
                .to_owned(),
            Self::RecoveryUsed => "one of your recovery codes was used in place of your second factor. It lets somebody bind a new factor \
                and nothing else. If that was not you, change your password at once and tell us."
                .to_owned(),
            Self::ApiKeyMade => "a key was made just now with which a program can act in your name, within the bounds that it was made \
                with. If that was not you, take the key away, change your password and tell us."
                .to_owned(),
            Self::BreakGlass => "an operator was added on the command line without the approval of another operator. If you do \
                not know why, act now."
                .to_owned(),
        };
        format!("Hello {name},\n\n{body}\n")
    }
}

/// What goes into a mail.
#[derive(Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct MailParams {
    /// The address, where it is not a person's yet.
    pub(crate) to: String,
    /// The name, likewise.
    pub(crate) name: String,
    /// The person whose address and name are put in when the mail is sent.
    pub(crate) person: Option<String>,
    pub(crate) token: String,
}

impl Bank {
    /// Says where mails go. Once, before the job runs; without it they wait.
    pub fn send_mail_by(&self, sink: Arc<dyn MailSink>) {
        let _ = self.identity.mail.set(sink);
        self.identity.mail_waits.notify_one();
    }

    /// Writes a mail into the transaction that it tells of.
    pub(crate) async fn put_mail(
        &self,
        tx: &mut WriteTx,
        recipient: [u8; 16],
        kind: MailKind,
        params: &MailParams,
    ) -> Result<(), Error> {
        self.put_mail_at(tx, recipient, kind, params, self.clock.now())
            .await
    }

    pub(crate) async fn put_mail_at(
        &self,
        tx: &mut WriteTx,
        recipient: [u8; 16],
        kind: MailKind,
        params: &MailParams,
        now: Timestamp,
    ) -> Result<(), Error> {
        let since = now.plus_seconds(-HOUR_SECS);
        let lately = tx.count_mails(&recipient, kind.name(), since).await?;
        if !kind.is_security_notice() && lately >= MAILS_PER_HOUR_MAX {
            metrics::counter!("strongroom_mails_dropped_total").increment(1);
            return Ok(());
        }
        let id = MailId::from_bytes(strongroom_crypto::random::uuid_v7(now.micros()));
        let text = serde_json::to_vec(params).map_err(Error::internal)?;
        let row = MailRow {
            id,
            kind: kind.name().to_owned(),
            recipient,
            sealed: self.ring.seal(mail_place(&id), &text),
            attempts: 0,
            created_at: now,
            expires_at: now.plus_seconds(kind.useful_secs()),
        };
        Ok(tx.insert_mail(&row).await?)
    }

    /// Writes a mail to a person's own address; nothing for a person without one.
    pub(crate) async fn mail_to_person(
        &self,
        tx: &mut WriteTx,
        person: UserId,
        kind: MailKind,
        token: &str,
    ) -> Result<(), Error> {
        let index = tx.user(person).await?.and_then(|row| row.email_index);
        let Some(index) = index.and_then(|index| index.try_into().ok()) else {
            return Ok(());
        };
        let params = MailParams {
            person: Some(person.to_string()),
            token: token.to_owned(),
            ..MailParams::default()
        };
        self.put_mail(tx, index, kind, &params).await
    }

    /// Sends what waits; how many were sent. A job calls it.
    ///
    /// # Errors
    /// When the database does not answer. A mail that the carrier refuses is no error: it waits for its next try.
    pub async fn send_mails(&self) -> Result<usize, Error> {
        self.answer_registrations().await?;
        let Some(sink) = self.identity.mail.get() else {
            return Ok(0);
        };
        let mut sent = 0;
        // A wish for a reset becomes a mail in the first round and is sent in the second.
        for _ in 0..2 {
            for row in self.store.waiting_mails(self.clock.now(), JOB_ROWS_MAX).await? {
                sent += usize::from(self.send_one(sink, &row).await?);
            }
        }
        Ok(sent)
    }

    async fn send_one(&self, sink: &Arc<dyn MailSink>, row: &MailRow) -> Result<bool, Error> {
        let now = self.clock.now();
        let wait = RETRY_SECS.saturating_mul(i64::from(row.attempts.saturating_add(1)));
        let tx = self.store.write(Scope::System).await?;
        let claimed = tx
            .claim_mail(row.id, row.attempts, now.plus_seconds(wait))
            .await?;
        tx.commit().await?;
        let kind = MailKind::parse(&row.kind).ok_or_else(|| Error::broken("a mail of an unknown kind"))?;
        if !claimed {
            return Ok(false);
        }
        let plain = self
            .ring
            .open(mail_place(&row.id), &row.sealed)
            .map_err(Error::internal)?;
        let mut params: MailParams = serde_json::from_slice(plain.expose()).map_err(Error::internal)?;
        if kind == MailKind::ResetWish {
            self.answer_reset_wish(row.id, &params).await?;
            return Ok(false);
        }
        if let Some(person) = params.person.as_deref().map(UserId::parse) {
            let row = self.store.user(person.map_err(Error::internal)?).await?;
            let row = row.ok_or_else(|| Error::broken("a mail to nobody"))?;
            let profile = self.people.profile(&row).await?;
            // Erased meanwhile: nobody reads it.
            params.to = profile.email.unwrap_or_default();
            params.name = profile.full_name;
        }
        if params.to.is_empty() {
            let tx = self.store.write(Scope::System).await?;
            tx.wipe_mail(row.id).await?;
            tx.commit().await?;
            return Ok(false);
        }
        let settings = &self.identity.settings;
        let mail = Mail {
            id: row.id,
            text: kind.text(&params, &settings.public_url),
            to: params.to,
            from_name: settings.bank_name.clone(),
            subject: kind.subject(),
            at: row.created_at,
        };
        let sink = sink.clone();
        let sent = tokio::task::spawn_blocking(move || sink.send(&mail))
            .await
            .map_err(Error::internal)?;
        match sent {
            Ok(()) => {
                let tx = self.store.write(Scope::System).await?;
                tx.wipe_mail(row.id).await?;
                tx.commit().await?;
                Ok(true)
            }
            Err(error) => {
                tracing::warn!(mail = %row.id, attempts = row.attempts + 1, %error, "a mail waits for its next try");
                Ok(false)
            }
        }
    }

    /// Forgets mails whose time is over. A job calls it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn forget_mails(&self) -> Result<(), Error> {
        let over = self.store.expired_mails(self.clock.now(), JOB_ROWS_MAX).await?;
        if over.is_empty() {
            return Ok(());
        }
        if let Some(sink) = self.identity.mail.get().cloned() {
            let ids = over.clone();
            tokio::task::spawn_blocking(move || ids.into_iter().for_each(|id| sink.discard(id)))
                .await
                .map_err(Error::internal)?;
        }
        let tx = self.store.write(Scope::System).await?;
        for id in over {
            tx.delete_mail(id).await?;
        }
        Ok(tx.commit().await?)
    }
}
