//! One's own second factors: bound, replaced, taken away, recovered.
//!
//! A new authenticator waits until its first code arrives; until then the one before stays in use. Binding needs a
//! login of the last five minutes, or the ticket that a recovery code gave; taking away needs a factor proved again.
//! Whatever changes ends all other sessions and is told to the owner.

use std::sync::Arc;

use strongroom_crypto::{
    ExposeSecret, RecoveryCode, SecretString, recovery::CODES, token::fingerprint, totp,
};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{SessionId, UserId},
    principal::{Assurance, Principal},
};
use strongroom_store::{
    Revoked, Scope, WriteTx,
    identity::{FactorState, Ticket, TicketKind, UserState},
};

use crate::{
    audit::record::Entry,
    authority::authorize::{Permit, Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::{
        guess::Tried,
        login::{LoginAnswer, invalid_credentials, over},
        mfa::qr_svg,
        personal::{Client, totp_place},
        possession::{require_beginner, use_proof},
        step_up::{NEW_FACTOR_SECS, require_recent_login, require_recent_proof},
    },
    mail::MailKind,
};

/// Who binds a factor.
#[derive(Debug, Clone)]
pub enum Binder {
    /// Somebody who is logged in.
    Session(Box<Cx>),
    /// Somebody who used a recovery code, with the token that it gave.
    Recovered(Box<Cx>, SecretString),
}

/// What an authenticator needs.
#[derive(Debug)]
pub struct NewTotp {
    /// The secret, base 32, for typing.
    pub secret: SecretString,
    /// The same with names, for an app.
    pub otpauth_uri: SecretString,
    /// The same as a picture, SVG.
    pub qr_svg: SecretString,
}

/// What became of a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FactorChange {
    /// It counts from now on.
    Bound(&'static str),
    /// It counts no more.
    Removed(&'static str),
}

impl FactorChange {
    fn details(self) -> Details {
        let (credential, state) = match self {
            Self::Bound(credential) => (credential, "active"),
            Self::Removed(credential) => (credential, "removed"),
        };
        Details::json(&format!(r#"{{"credential":"{credential}","state":"{state}"}}"#))
    }
}

/// A binder who was looked at.
pub(crate) struct Binding {
    cx: Cx,
    permit: Permit,
    pub(crate) person: UserId,
    /// What is spent when the factor is bound.
    ticket: Option<Ticket>,
    /// The session that stays.
    keep: Option<SessionId>,
}

impl Bank {
    /// Begins to bind an authenticator; it counts from its first code on. One that is in use stays in use until then.
    ///
    /// # Errors
    /// `step_up_required` for a login older than five minutes; `forbidden` for integrations.
    pub async fn start_totp(self: &Arc<Self>, binder: &Binder) -> Result<NewTotp, Error> {
        let binder = binder.clone();
        self.detached(move |bank| async move {
            let binding = bank.binding(&binder).await?;
            let Binding {
                cx, permit, person, ..
            } = &binding;
            let enrolment = bank.new_factor(cx, *person, FactorState::Pending).await?;
            let mut tx = bank.store.write(Scope::System).await?;
            still_active(&tx, *person).await?;
            tx.put_totp(&enrolment.row).await?;
            let entry = entry_of(*person, r#"{"credential":"totp","state":"pending"}"#);
            bank.recorder.append(&mut tx, cx, permit, entry).await?;
            tx.commit().await?;
            Ok(NewTotp {
                qr_svg: qr_svg(&enrolment.uri)?,
                secret: enrolment.secret,
                otpauth_uri: enrolment.uri,
            })
        })
        .await
    }

    /// Puts the waiting authenticator into use, in place of one before, and gives a new set of recovery codes. All
    /// other sessions end.
    ///
    /// # Errors
    /// `invalid_credentials` for a code that does not fit, which counts as a try, or where nothing waits.
    pub async fn confirm_totp(
        self: &Arc<Self>,
        binder: &Binder,
        code: SecretString,
    ) -> Result<Vec<SecretString>, Error> {
        let binder = binder.clone();
        self.detached(move |bank| async move { bank.bind_totp(&binder, &code).await })
            .await
    }

    async fn bind_totp(&self, binder: &Binder, code: &SecretString) -> Result<Vec<SecretString>, Error> {
        let binding = self.binding(binder).await?;
        let (cx, person) = (&binding.cx, binding.person);
        let subject = match &binding.ticket {
            Some(ticket) => ticket.subject,
            None => self.guess_subject_of(person),
        };
        if !self
            .take_guess(subject, Tried::Person(person), cx.now())
            .await?
            .allowed
        {
            return Err(invalid_credentials());
        }
        let factors = self.store.totp_factors(person).await?;
        let waiting = factors
            .into_iter()
            .find(|factor| factor.state == FactorState::Pending && !over(factor.expires_at, cx.now()));
        let factor = waiting.ok_or_else(invalid_credentials)?;
        let key = self.people.key_of(person).await?;
        let secret = key
            .open(totp_place(&factor.id), &factor.sealed_secret)
            .map_err(Error::internal)?;
        let step = totp::verify(&secret, code.expose_secret(), cx.now().micros(), None)
            .ok_or_else(invalid_credentials)?;
        let tx = self.store.write(Scope::System).await?;
        still_active(&tx, person).await?;
        if let Some(ticket) = &binding.ticket
            && !tx.spend_ticket(&ticket.hash).await?
        {
            return Err(invalid_credentials());
        }
        // Of several at once, and of a start in between, one wins.
        if !tx.activate_totp(person, factor.id, cx.now()).await? || !tx.use_totp_step(factor.id, step).await?
        {
            return Err(invalid_credentials());
        }
        tx.clear_guesses(&subject).await?;
        let codes = self.write_recovery_codes(&tx, cx, person).await?;
        self.factor_changed(tx, &binding, FactorChange::Bound("totp"))
            .await?;
        Ok(codes)
    }

    /// Takes the caller's authenticator away. All other sessions end.
    ///
    /// # Errors
    /// `step_up_required`; `not_found` where there is none; `forbidden` for operators, who need one, and integrations.
    pub async fn remove_totp(self: &Arc<Self>, cx: &Cx) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let binding = bank.settings_change(&cx)?;
            if cx.rights.roles.iter().any(|role| role.is_operator()) {
                return Err(Error::forbidden());
            }
            let tx = bank.store.write(Scope::System).await?;
            still_active(&tx, binding.person).await?;
            if tx.delete_totp(binding.person).await? == 0 {
                return Err(Error::not_found());
            }
            if tx.factor_counts(binding.person).await?.passkeys == 0 {
                tx.put_recovery_codes(binding.person, &[], cx.now()).await?;
            }
            bank.factor_changed(tx, &binding, FactorChange::Removed("totp"))
                .await
        })
        .await
    }

    /// A new set of recovery codes; the ones before are worth nothing.
    ///
    /// # Errors
    /// `step_up_required`; `no_second_factor` where there is nothing to recover; `forbidden` for integrations.
    pub async fn renew_recovery_codes(self: &Arc<Self>, cx: &Cx) -> Result<Vec<SecretString>, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let binding = bank.settings_change(&cx)?;
            if !bank.store.has_factor(binding.person).await? {
                return Err(no_second_factor());
            }
            let mut tx = bank.store.write(Scope::System).await?;
            still_active(&tx, binding.person).await?;
            let codes = bank.write_recovery_codes(&tx, &cx, binding.person).await?;
            bank.mail_to_person(&mut tx, binding.person, MailKind::FactorChanged, "")
                .await?;
            let entry = entry_of(binding.person, r#"{"credential":"recovery_codes"}"#);
            bank.recorder.append(&mut tx, &cx, &binding.permit, entry).await?;
            tx.commit().await?;
            bank.identity.mail_waits.notify_one();
            Ok(codes)
        })
        .await
    }

    /// Continues a login with a recovery code: to the binding of a new factor, and nowhere else.
    ///
    /// # Errors
    /// `invalid_credentials` whatever is wrong.
    pub async fn login_by_recovery_code(
        self: &Arc<Self>,
        cx: &Cx,
        client: &Client,
        mfa_token: &str,
        code: SecretString,
    ) -> Result<LoginAnswer, Error> {
        let (cx, client, hash) = (cx.clone(), client.clone(), fingerprint(mfa_token));
        self.detached(move |bank| async move { bank.recover(&cx, &client, &hash, &code).await })
            .await
    }

    async fn recover(
        &self,
        cx: &Cx,
        client: &Client,
        hash: &[u8; 32],
        code: &SecretString,
    ) -> Result<LoginAnswer, Error> {
        let ticket = self.usable_ticket(cx, hash, &[TicketKind::Mfa]).await?;
        require_beginner(&ticket, client)?;
        let person = ticket.person;
        let tried = self
            .take_guess(ticket.subject, Tried::Person(person), cx.now())
            .await?;
        let code = RecoveryCode::parse(code.expose_secret()).filter(|_| tried.allowed);
        let Some(code) = code else {
            return Err(self.guessed_wrong(&tried).await);
        };
        let hashes = self.ring().recovery_hashes(*person.as_bytes(), &code);
        let roles = self.store.roles(person).await?;
        // Password and code are both proved; still the ticket that they give binds a factor only.
        let me = self.cx_as(cx, person, roles, Assurance::Aal2).await?;
        let permit = authorize(&me, Action::CredentialRecover, Resource::OwnedBy(person))?;
        let (next, token) = self.new_ticket(cx, person, ticket.subject, TicketKind::Rebind);
        let mut tx = self.store.write(Scope::System).await?;
        still_active(&tx, person).await?;
        if !tx.spend_ticket(&ticket.hash).await? || !tx.use_recovery_code(person, &hashes, cx.now()).await? {
            drop(tx);
            return Err(self.guessed_wrong(&tried).await);
        }
        self.no_failure(&tx, &tried).await?;
        if let Some(proof) = &client.proof {
            use_proof(&tx, cx, proof).await?;
        }
        tx.insert_ticket(&next).await?;
        self.mail_to_person(&mut tx, person, MailKind::RecoveryUsed, "")
            .await?;
        let entry = entry_of(person, r#"{"credential":"recovery_code"}"#);
        self.recorder.append(&mut tx, &me, &permit, entry).await?;
        tx.commit().await?;
        self.identity.mail_waits.notify_one();
        Ok(LoginAnswer::RebindRequired { rebind_token: token })
    }

    async fn binding(&self, binder: &Binder) -> Result<Binding, Error> {
        match binder {
            Binder::Session(cx) => {
                let binding = self.settings_binding(cx)?;
                require_recent_login(cx)?;
                Ok(binding)
            }
            Binder::Recovered(cx, token) => {
                let hash = fingerprint(token.expose_secret());
                let ticket = self.usable_ticket(cx, &hash, &[TicketKind::Rebind]).await?;
                let roles = self.store.roles(ticket.person).await?;
                let me = self.cx_as(cx, ticket.person, roles, Assurance::Aal2).await?;
                let permit = authorize(&me, Action::CredentialChange, Resource::OwnedBy(ticket.person))?;
                Ok(Binding {
                    cx: me,
                    permit,
                    person: ticket.person,
                    ticket: Some(ticket),
                    keep: None,
                })
            }
        }
    }

    pub(crate) fn settings_change(&self, cx: &Cx) -> Result<Binding, Error> {
        let binding = self.settings_binding(cx)?;
        require_recent_proof(cx)?;
        Ok(binding)
    }

    pub(crate) fn settings_binding(&self, cx: &Cx) -> Result<Binding, Error> {
        let Principal::User(person) = cx.caller.principal else {
            return Err(Error::forbidden());
        };
        Ok(Binding {
            permit: authorize(cx, Action::CredentialChange, Resource::OwnedBy(person))?,
            cx: cx.clone(),
            person,
            ticket: None,
            keep: cx.caller.session,
        })
    }

    async fn write_recovery_codes(
        &self,
        tx: &WriteTx,
        cx: &Cx,
        person: UserId,
    ) -> Result<Vec<SecretString>, Error> {
        let codes: Vec<_> = (0..CODES).map(|_| RecoveryCode::generate()).collect();
        let hashes: Vec<_> = codes
            .iter()
            .map(|code| self.ring().recovery_hash(*person.as_bytes(), code))
            .collect();
        tx.put_recovery_codes(person, &hashes, cx.now()).await?;
        Ok(codes.iter().map(RecoveryCode::text).collect())
    }

    /// Everything that a changed factor ends, in the transaction that changes it; commits.
    pub(crate) async fn factor_changed(
        &self,
        mut tx: WriteTx,
        binding: &Binding,
        change: FactorChange,
    ) -> Result<(), Error> {
        let (cx, person) = (&binding.cx, binding.person);
        tx.end_sessions(person, binding.keep, cx.now(), "factor_changed")
            .await?;
        tx.drop_tickets(person).await?;
        if binding.ticket.is_some() {
            // Whoever lost a factor may have lost the device with it.
            tx.forget_devices(person).await?;
        }
        self.mail_to_person(&mut tx, person, MailKind::FactorChanged, "")
            .await?;
        let entry = Entry {
            object: Object::User(person),
            outcome: "ok",
            details: change.details(),
        };
        self.recorder.append(&mut tx, cx, &binding.permit, entry).await?;
        tx.revoke(Revoked::User(person)).await?;
        if matches!(change, FactorChange::Bound(_)) && self.may_be_takeover(&tx, binding).await? {
            tx.hold_to_floor(person, cx.now()).await?;
        }
        tx.commit().await?;
        self.identity.mail_waits.notify_one();
        Ok(())
    }
}

impl Bank {
    /// Whether a factor that was bound may be a thief's: after a recovery, and on a login that is no longer new.
    async fn may_be_takeover(&self, tx: &WriteTx, binding: &Binding) -> Result<bool, Error> {
        let user = tx.user(binding.person).await?.ok_or_else(invalid_credentials)?;
        let age = binding.cx.now().seconds_since(user.created_at);
        Ok(binding.ticket.is_some() || age >= NEW_FACTOR_SECS)
    }
}

pub(crate) fn no_second_factor() -> Error {
    Error::new(
        Kind::Conflict,
        "no_second_factor",
        "There is no such second factor.",
    )
}

fn entry_of(person: UserId, details: &'static str) -> Entry {
    Entry {
        object: Object::User(person),
        outcome: "ok",
        details: Details::json(details),
    }
}

/// Inside the transaction: nobody stopped the person, and nobody else changes the person's factors meanwhile.
pub(crate) async fn still_active(tx: &WriteTx, person: UserId) -> Result<(), Error> {
    match tx.lock_user(person).await? {
        Some(user) if user.state == UserState::Active => Ok(()),
        _ => Err(invalid_credentials()),
    }
}
