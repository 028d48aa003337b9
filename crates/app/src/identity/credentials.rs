//! Passwords: changed by who knows the old one, reset by who reads the mail. Either way other sessions and known
//! devices end.

use std::sync::Arc;

use strongroom_crypto::{ExposeSecret, Place, SecretString, StoredHash, random, token::fingerprint};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{MailId, SessionId, UserId},
    principal::Assurance,
};
use strongroom_store::{
    Revoked, Scope, WriteTx,
    identity::{Ticket, TicketKind, UserState},
};

use crate::{
    audit::record::Entry,
    authority::authorize::{Permit, Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::{
        email::Email,
        guess::Tried,
        login::{invalid_credentials, still_good},
        step_up::require_recent_proof,
    },
    mail::{MailKind, MailParams},
};

/// How long a forgotten password may be reset, in seconds.
pub const RESET_SECS: i64 = 30 * 60;

impl Bank {
    /// Changes the caller's password. All other sessions end, known devices are forgotten, the owner is told.
    ///
    /// # Errors
    /// `step_up_required` where there is a second factor that was not proved again; `invalid_credentials` for a wrong
    /// present password, which counts as a try; `validation_failed` for a new one that will not do.
    pub async fn change_password(
        self: &Arc<Self>,
        cx: &Cx,
        current: SecretString,
        new: SecretString,
    ) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move { bank.replace_password(&cx, current, new).await })
            .await
    }

    async fn replace_password(&self, cx: &Cx, current: SecretString, new: SecretString) -> Result<(), Error> {
        let me = cx.person()?;
        let permit = authorize(cx, Action::CredentialChange, Resource::OwnedBy(me))?;
        // Whoever read the password off somebody and holds a session still lacks the factor.
        if self.store.has_factor(me).await? {
            require_recent_proof(cx)?;
        }
        let subject = self.guess_subject_of(me);
        let tried = self.take_guess(subject, Tried::Person(me), cx.now()).await?;
        let stored = self.store.password(me).await?;
        let parsed = stored
            .as_ref()
            .filter(|_| tried.allowed)
            .and_then(|stored| StoredHash::parse(&stored.hash));
        let looked = self.identity.passwords.verify(current, parsed.as_ref()).await;
        let verified = self.counted(&tried, looked).await?;
        let Some(old) = stored.filter(|_| verified.matches) else {
            return Err(self.guessed_wrong(&tried).await);
        };
        let hash = self.new_password_hash(me, new).await?;
        let mut tx = self.store.write(Scope::System).await?;
        still_good(&tx, me, &old.hash).await?;
        tx.clear_guesses(&subject).await?;
        self.write_password(&mut tx, cx, &permit, me, &hash, cx.caller.session)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Everything that a new password ends, in its own transaction.
    async fn write_password(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        permit: &Permit,
        person: UserId,
        hash: &str,
        keep: Option<SessionId>,
    ) -> Result<(), Error> {
        tx.set_password(person, hash, cx.now(), None).await?;
        tx.end_sessions(person, keep, cx.now(), "password_changed")
            .await?;
        self.clear_guesses_of(tx, person).await?;
        tx.forget_devices(person).await?;
        tx.drop_tickets(person).await?;
        self.mail_to_person(tx, person, MailKind::PasswordChanged, "")
            .await?;
        let entry = Entry {
            object: Object::User(person),
            outcome: "ok",
            details: Details::json(r#"{"credential":"password"}"#),
        };
        self.recorder.append(tx, cx, permit, entry).await?;
        tx.revoke(Revoked::User(person)).await?;
        self.identity.mail_waits.notify_one();
        Ok(())
    }

    /// Takes a wish for a reset. The answer and the work are the same whether or not there is anybody.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_password(self: &Arc<Self>, cx: &Cx, email: &str) -> Result<(), Error> {
        let (cx, email) = (cx.clone(), Email::lenient(email));
        self.detached(move |bank| async move {
            let params = MailParams {
                to: email.bounded().to_owned(),
                ..MailParams::default()
            };
            let mut tx = bank.store.write(Scope::System).await?;
            let index = email.index(&bank.ring());
            bank.put_mail_at(&mut tx, index, MailKind::ResetWish, &params, cx.now())
                .await?;
            tx.commit().await?;
            bank.identity.mail_waits.notify_one();
            Ok(())
        })
        .await
    }

    /// Turns a wish for a reset into a mail with a token, or into nothing: for an address of nobody, a login that
    /// is stopped, and operators, whom only another operator can help. Part of the mail job.
    pub(crate) async fn answer_reset_wish(&self, mail: MailId, params: &MailParams) -> Result<(), Error> {
        let indexes = Email::lenient(&params.to).indexes(&self.ring());
        let row = self.store.login(&indexes).await?;
        let mut tx = self.store.write(Scope::System).await?;
        if let Some(row) = row.filter(|row| row.state == UserState::Active) {
            let operator = tx.roles(row.id).await?.iter().any(|role| role.is_operator());
            if !operator {
                let token = random::token();
                let now = self.clock.now();
                let ticket = Ticket {
                    hash: fingerprint(token.expose_secret()),
                    person: row.id,
                    subject: self.guess_subject(Tried::Person(row.id), None),
                    kind: TicketKind::Reset,
                    external: false,
                    holder: None,
                    created_at: now,
                    expires_at: now.plus_seconds(RESET_SECS),
                };
                tx.insert_ticket(&ticket).await?;
                self.mail_to_person(&mut tx, row.id, MailKind::PasswordReset, token.expose_secret())
                    .await?;
            }
        }
        tx.wipe_mail(mail).await?;
        Ok(tx.commit().await?)
    }

    /// Sets a new password with the token from the mail. All sessions end; second factors stay and are asked for at
    /// the next login.
    ///
    /// # Errors
    /// `invalid_credentials` for a token that does not count; `validation_failed` for a password that will not do,
    /// which does not spend the token.
    pub async fn reset_password(
        self: &Arc<Self>,
        cx: &Cx,
        token: &str,
        new: SecretString,
    ) -> Result<(), Error> {
        let (cx, hash) = (cx.clone(), fingerprint(token));
        self.detached(move |bank| async move {
            let ticket = bank.usable_ticket(&cx, &hash, &[TicketKind::Reset]).await?;
            let password = bank.new_password_hash(ticket.person, new).await?;
            let roles = bank.store.roles(ticket.person).await?;
            let me = bank.cx_as(&cx, ticket.person, roles, Assurance::Aal1).await?;
            let permit = authorize(&me, Action::CredentialChange, Resource::OwnedBy(ticket.person))?;
            let mut tx = bank.store.write(Scope::System).await?;
            let active = tx
                .lock_user(ticket.person)
                .await?
                .is_some_and(|user| user.state == UserState::Active);
            if !active || !tx.spend_ticket(&hash).await? {
                return Err(invalid_credentials());
            }
            bank.write_password(&mut tx, &me, &permit, ticket.person, &password, None)
                .await?;
            // Whoever reads the mails of a person may have done so.
            tx.hold_to_floor(ticket.person, cx.now()).await?;
            Ok(tx.commit().await?)
        })
        .await
    }
}

/// The place of a mail's parameters.
pub(crate) const fn mail_place(mail: &MailId) -> Place<'_> {
    Place {
        table: "mails",
        column: "sealed",
        row: mail.as_bytes(),
    }
}
