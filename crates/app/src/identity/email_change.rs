//! Another address for a login.
//!
//! Asked for with a fresh factor, proved by the token that goes to the new address. The old address gets a token of its
//! own: whoever reads it agrees, and the change is done, or stops it. Where nobody says anything there, because the
//! mailbox is lost or because a thief hopes so, the change waits for a day after the new address was proved. When it is
//! done all sessions end, and both addresses are told.

use std::sync::Arc;

use strongroom_crypto::{ExposeSecret, SecretString, random, token::fingerprint};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::UserId,
    principal::Assurance,
    time::Timestamp,
};
use strongroom_store::{
    Revoked, Scope, StoreError, WriteTx,
    identity::{EmailChangeRow, UserState},
};

use crate::{
    audit::record::Entry,
    authority::authorize::{Permit, Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::{
        email::Email, factors::still_active, login::invalid_credentials, personal::email_place,
        step_up::require_recent_proof,
    },
    mail::{MailKind, MailParams},
};

/// How long a change may be proved, in seconds.
pub const EMAIL_CHANGE_SECS: i64 = 3 * 24 * 60 * 60;
/// How long a change that was proved at the new address waits for the old one, in seconds.
pub const EMAIL_WAIT_SECS: i64 = 24 * 60 * 60;
/// Changes that one run of the job makes.
const JOB_ROWS_MAX: u32 = 100;

/// What a proof of one of the addresses led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailProved {
    /// The login has the new address.
    Changed,
    /// The other address has not said anything yet.
    Waiting {
        /// From when on it need not; `None` while the new address is not proved.
        effective_at: Option<Timestamp>,
    },
}

impl Bank {
    /// Asks for another address. The answer is the same for one that is taken; its owner is told.
    ///
    /// # Errors
    /// `step_up_required` without a fresh proof; `validation_failed` for what is no address, or the present one;
    /// `forbidden` for operators and integrations.
    pub async fn ask_email_change(self: &Arc<Self>, cx: &Cx, new_email: &str) -> Result<(), Error> {
        let (cx, new_email) = (cx.clone(), new_email.to_owned());
        self.detached(move |bank| async move { bank.put_email_wish(&cx, &new_email).await })
            .await
    }

    async fn put_email_wish(&self, cx: &Cx, new_email: &str) -> Result<(), Error> {
        let (me, permit) = own_login(cx, Action::EmailChange)?;
        require_recent_proof(cx)?;
        let Some(email) = Email::parse(new_email) else {
            return Err(Error::field(
                "/new_email",
                "invalid_value",
                "must be an e-mail address",
            ));
        };
        let owner = self.store.login(&email.indexes(&self.ring())).await?;
        if owner.as_ref().is_some_and(|row| row.id == me) {
            return Err(Error::field("/new_email", "same", "is the present address"));
        }
        let key = self.people.key_of(me).await?;
        let (new_token, old_token) = (random::token(), random::token());
        let row = EmailChangeRow {
            person: me,
            email_index: email.index(&self.ring()),
            sealed_email: key.seal(email_place(&me), email.as_str().as_bytes()),
            new_token: fingerprint(new_token.expose_secret()),
            old_token: fingerprint(old_token.expose_secret()),
            new_proved_at: None,
            old_proved_at: None,
            effective_at: None,
            created_at: cx.now(),
            expires_at: cx.now().plus_seconds(EMAIL_CHANGE_SECS),
        };
        let mut tx = self.store.write(Scope::System).await?;
        still_active(&tx, me).await?;
        tx.put_email_change(&row).await?;
        match owner {
            // The token of the new address goes nowhere then: nobody can prove it.
            Some(owner) => {
                self.mail_to_person(&mut tx, owner.id, MailKind::AddressTaken, "")
                    .await?
            }
            None => {
                let params = MailParams {
                    to: email.as_str().to_owned(),
                    token: new_token.expose_secret().to_owned(),
                    ..MailParams::default()
                };
                self.put_mail(&mut tx, row.email_index, MailKind::EmailProof, &params)
                    .await?;
            }
        }
        self.mail_to_person(&mut tx, me, MailKind::EmailWish, old_token.expose_secret())
            .await?;
        self.record_email(&mut tx, cx, &permit, me, "asked").await?;
        tx.commit().await?;
        self.identity.mail_waits.notify_one();
        Ok(())
    }

    /// Proves one of the two addresses with the token that was mailed there.
    ///
    /// # Errors
    /// `invalid_credentials` for a token that does not count.
    pub async fn prove_email(self: &Arc<Self>, cx: &Cx, token: SecretString) -> Result<EmailProved, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move { bank.take_email_proof(&cx, &token).await })
            .await
    }

    async fn take_email_proof(&self, cx: &Cx, token: &SecretString) -> Result<EmailProved, Error> {
        let hash = fingerprint(token.expose_secret());
        let (me, permit, person) = self.email_token_cx(cx, &hash).await?;
        let mut tx = self.store.write(Scope::System).await?;
        let mut row = locked(&tx, person, &hash, cx.now()).await?;
        if row.new_token == hash {
            row.new_proved_at.get_or_insert(cx.now());
            row.effective_at
                .get_or_insert(cx.now().plus_seconds(EMAIL_WAIT_SECS));
        } else {
            row.old_proved_at.get_or_insert(cx.now());
        }
        if row.new_proved_at.is_some() && row.old_proved_at.is_some() {
            self.change_email(tx, &me, &permit, &row).await?;
            return Ok(EmailProved::Changed);
        }
        tx.prove_email_change(&row).await?;
        self.record_email(&mut tx, &me, &permit, person, "proved").await?;
        tx.commit().await?;
        Ok(EmailProved::Waiting {
            effective_at: row.effective_at,
        })
    }

    /// Stops a change with the token that went to the old address. The one of the new address stops nothing.
    ///
    /// # Errors
    /// `invalid_credentials` for a token that does not count.
    pub async fn stop_email_change(self: &Arc<Self>, cx: &Cx, token: SecretString) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let hash = fingerprint(token.expose_secret());
            let (me, permit, person) = bank.email_token_cx(&cx, &hash).await?;
            let mut tx = bank.store.write(Scope::System).await?;
            let row = locked(&tx, person, &hash, cx.now()).await?;
            if row.old_token != hash {
                return Err(invalid_credentials());
            }
            tx.drop_email_change(person).await?;
            bank.record_email(&mut tx, &me, &permit, person, "stopped")
                .await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Stops the caller's own change.
    ///
    /// # Errors
    /// `not_found` where there is none; `forbidden` for operators and integrations.
    pub async fn drop_email_wish(self: &Arc<Self>, cx: &Cx) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let (me, permit) = own_login(&cx, Action::EmailChange)?;
            let mut tx = bank.store.write(Scope::System).await?;
            still_active(&tx, me).await?;
            if !tx.drop_email_change(me).await? {
                return Err(Error::not_found());
            }
            bank.record_email(&mut tx, &cx, &permit, me, "stopped").await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Makes the changes whose wait is over. A job calls it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn change_due_emails(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let mut changed = 0;
        for person in self.store.due_email_changes(now, JOB_ROWS_MAX).await? {
            let cx = self.cx_job().await?;
            let permit = authorize(&cx, Action::EmailChange, Resource::OwnedBy(person))?;
            let tx = self.store.write(Scope::System).await?;
            let active = tx
                .lock_user(person)
                .await?
                .is_some_and(|user| user.state == UserState::Active);
            let row = tx.email_change(person).await?;
            match row.filter(|row| row.effective_at.is_some_and(|at| at <= now)) {
                Some(row) if active => match self.change_email(tx, &cx, &permit, &row).await {
                    Ok(()) => changed += 1,
                    // Somebody else has the address by now.
                    Err(error) if error.code == "invalid_credentials" => self.forget_wish(person).await?,
                    Err(error) => return Err(error),
                },
                // A login that was stopped meanwhile keeps its address.
                Some(_) => {
                    drop(tx);
                    self.forget_wish(person).await?;
                }
                None => {}
            }
        }
        Ok(changed)
    }

    async fn forget_wish(&self, person: UserId) -> Result<(), Error> {
        let tx = self.store.write(Scope::System).await?;
        tx.drop_email_change(person).await?;
        Ok(tx.commit().await?)
    }

    /// Everything that another address comes with, in its own transaction.
    async fn change_email(
        &self,
        mut tx: WriteTx,
        cx: &Cx,
        permit: &Permit,
        row: &EmailChangeRow,
    ) -> Result<(), Error> {
        let person = row.person;
        // Told first, at the address that it still has.
        let user = tx.user(person).await?.ok_or_else(invalid_credentials)?;
        let old = self.people.profile(&user).await?;
        let index = user.email_index.and_then(|index| index.try_into().ok());
        if let (Some(index), Some(to)) = (index, old.email) {
            let params = MailParams {
                to,
                name: old.full_name,
                ..MailParams::default()
            };
            self.put_mail(&mut tx, index, MailKind::EmailChanged, &params)
                .await?;
        }
        match tx
            .set_user_email(person, &row.email_index, &row.sealed_email)
            .await
        {
            Err(StoreError::Constraint(_)) => return Err(invalid_credentials()),
            other => other?,
        }
        self.mail_to_person(&mut tx, person, MailKind::EmailChanged, "")
            .await?;
        tx.drop_email_change(person).await?;
        tx.end_sessions(person, None, cx.now(), "email_changed").await?;
        // A reset that waits was mailed to the old address.
        tx.drop_tickets(person).await?;
        self.record_email(&mut tx, cx, permit, person, "changed").await?;
        tx.revoke(Revoked::User(person)).await?;
        // Whoever has the new address may have taken the login over.
        tx.hold_to_floor(person, cx.now()).await?;
        tx.commit().await?;
        self.identity.mail_waits.notify_one();
        Ok(())
    }

    /// In whose name a mailed token speaks.
    async fn email_token_cx(&self, cx: &Cx, hash: &[u8; 32]) -> Result<(Cx, Permit, UserId), Error> {
        let row = self.store.email_change_of(hash).await?;
        let person = row.ok_or_else(invalid_credentials)?.person;
        let roles = self.store.roles(person).await?;
        let me = self.cx_as(cx, person, roles, Assurance::Aal1).await?;
        let permit = authorize(&me, Action::EmailChange, Resource::OwnedBy(person))?;
        Ok((me, permit, person))
    }

    async fn record_email(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        permit: &Permit,
        person: UserId,
        what: &'static str,
    ) -> Result<(), Error> {
        let entry = Entry {
            object: Object::User(person),
            outcome: "ok",
            details: Details::json(&format!(r#"{{"email":"{what}"}}"#)),
        };
        self.recorder.append(tx, cx, permit, entry).await
    }
}

/// The caller's own login, where it is a customer's: those of operators are the bank's.
pub(crate) fn own_login(cx: &Cx, action: Action) -> Result<(UserId, Permit), Error> {
    let me = cx.person()?;
    let permit = authorize(cx, action, Resource::OwnedBy(me))?;
    if cx.rights.roles.iter().any(|role| role.is_operator()) {
        return Err(Error::forbidden());
    }
    Ok((me, permit))
}

/// Inside the transaction: the change that this token is still about.
async fn locked(
    tx: &WriteTx,
    person: UserId,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<EmailChangeRow, Error> {
    still_active(tx, person).await?;
    tx.email_change(person)
        .await?
        .filter(|row| now < row.expires_at && (row.new_token == *hash || row.old_token == *hash))
        .ok_or_else(invalid_credentials)
}
