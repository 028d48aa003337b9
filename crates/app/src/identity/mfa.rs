//! The second half of a login: one-time codes, and the first login of an operator.
//!
//! An operator begins with a printed password and a printed code, both good for a day and for one thing: to set an
//! own password, then to set up an own authenticator. The printed ones die when the first code of the new one
//! arrives.

use std::sync::Arc;

use qrcode::{EcLevel, QrCode, render::svg};
use strongroom_crypto::{DataKey, ExposeSecret, SecretString, token::fingerprint, totp};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::UserId,
    principal::Assurance,
    time::Timestamp,
};
use strongroom_store::{
    Scope, WriteTx,
    identity::{FactorState, Ticket, TicketKind, TotpRow, UserState},
};

use crate::{
    audit::record::Entry,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::{
        guess::{Tried, Try},
        login::{BY_ISSUER_AND_CODE, BY_PASSWORD_AND_CODE, LoginAnswer, invalid_credentials, over},
        personal::{Client, totp_place},
        possession::{require_beginner, use_proof},
        registration::busy,
    },
    security::{catalogue::SecurityEventKind, stream::Whence},
};

/// Least size of the picture, in pixels.
const QR_PIXELS_MIN: u32 = 240;
/// How long a factor waits for its first code, in seconds.
const PENDING_SECS: i64 = 24 * 60 * 60;

/// A factor about to be stored, and what its owner puts into an authenticator.
pub(crate) struct Enrolment {
    pub(crate) row: TotpRow,
    pub(crate) secret: SecretString,
    pub(crate) uri: SecretString,
}

impl Bank {
    /// Completes a login with a one-time code.
    ///
    /// # Errors
    /// `invalid_credentials` whatever is wrong.
    pub async fn login_by_code(
        self: &Arc<Self>,
        cx: &Cx,
        client: &Client,
        mfa_token: &str,
        code: SecretString,
    ) -> Result<LoginAnswer, Error> {
        let (cx, client, hash) = (cx.clone(), client.clone(), fingerprint(mfa_token));
        self.detached(move |bank| async move {
            let outcome = bank.check_code(&cx, &client, &hash, &code).await;
            let whence = Whence::of(&cx, &client);
            bank.note_failure(SecurityEventKind::FactorFailed, &whence, None, &outcome);
            outcome
        })
        .await
    }

    async fn check_code(
        &self,
        cx: &Cx,
        client: &Client,
        hash: &[u8; 32],
        code: &SecretString,
    ) -> Result<LoginAnswer, Error> {
        let ticket = self
            .usable_ticket(cx, hash, &[TicketKind::Mfa, TicketKind::Enrol])
            .await?;
        require_beginner(&ticket, client)?;
        let whose = Tried::Person(ticket.person);
        let tried = self.take_guess(ticket.subject, whose, cx.now()).await?;
        let key = self.people.key_of(ticket.person).await?;
        let found = match tried.allowed {
            true => self.matching_factor(cx, &ticket, &key, code).await?,
            false => None,
        };
        let Some((factor, step)) = found else {
            return Err(self.guessed_wrong(&tried).await);
        };
        match (ticket.kind, factor.state) {
            (TicketKind::Mfa, FactorState::Printed) => {
                self.after_printed(cx, client, &ticket, &tried, &factor, step)
                    .await
            }
            _ => self.finish_login(cx, client, &ticket, &factor, step).await,
        }
    }

    /// A ticket that is there, of one of these kinds, in time, of somebody who may log in.
    pub(crate) async fn usable_ticket(
        &self,
        cx: &Cx,
        hash: &[u8; 32],
        kinds: &[TicketKind],
    ) -> Result<Ticket, Error> {
        let ticket = self
            .store
            .ticket(hash)
            .await?
            .filter(|ticket| kinds.contains(&ticket.kind) && cx.now() < ticket.expires_at)
            .ok_or_else(invalid_credentials)?;
        match self.store.user(ticket.person).await? {
            Some(user) if user.state == UserState::Active => Ok(ticket),
            _ => Err(invalid_credentials()),
        }
    }

    async fn matching_factor(
        &self,
        cx: &Cx,
        ticket: &Ticket,
        key: &DataKey,
        code: &SecretString,
    ) -> Result<Option<(TotpRow, u64)>, Error> {
        for factor in self.store.totp_factors(ticket.person).await? {
            let wanted = match ticket.kind {
                TicketKind::Enrol => factor.state == FactorState::Pending,
                // Once there is an own factor, the printed one is gone from the table.
                _ => factor.state != FactorState::Pending,
            };
            if !wanted || over(factor.expires_at, cx.now()) {
                continue;
            }
            let secret = key
                .open(totp_place(&factor.id), &factor.sealed_secret)
                .map_err(Error::internal)?;
            let last = (factor.last_step > 0).then_some(factor.last_step);
            let step = totp::verify(&secret, code.expose_secret(), cx.now().micros(), last);
            if let Some(step) = step {
                return Ok(Some((factor, step)));
            }
        }
        Ok(None)
    }

    /// Inside the transaction: one of several uses of this ticket and this code goes on.
    async fn spend(&self, tx: &WriteTx, ticket: &Ticket, factor: &TotpRow, step: u64) -> Result<(), Error> {
        let active = tx
            .lock_user(ticket.person)
            .await?
            .is_some_and(|user| user.state == UserState::Active);
        if active && tx.spend_ticket(&ticket.hash).await? && tx.use_totp_step(factor.id, step).await? {
            Ok(())
        } else {
            Err(invalid_credentials())
        }
    }

    async fn finish_login(
        &self,
        cx: &Cx,
        client: &Client,
        ticket: &Ticket,
        factor: &TotpRow,
        step: u64,
    ) -> Result<LoginAnswer, Error> {
        let roles = self.store.roles(ticket.person).await?;
        let opening = self
            .open_session(
                cx,
                client,
                ticket.person,
                roles,
                Assurance::Aal2,
                if ticket.external {
                    BY_ISSUER_AND_CODE
                } else {
                    BY_PASSWORD_AND_CODE
                },
                ticket.subject,
            )
            .await?;
        let mut tx = self.store.write(Scope::System).await?;
        self.spend(&tx, ticket, factor, step).await?;
        if ticket.kind == TicketKind::Enrol && !tx.activate_totp(ticket.person, factor.id, cx.now()).await? {
            return Err(invalid_credentials());
        }
        self.write_session(&mut tx, &opening).await?;
        tx.commit().await?;
        Ok(LoginAnswer::Session(Box::new(self.token_set(opening))))
    }

    /// The printed code was right: on to an own password, or, if that is set, to an own authenticator.
    async fn after_printed(
        &self,
        cx: &Cx,
        client: &Client,
        ticket: &Ticket,
        tried: &Try<'_>,
        factor: &TotpRow,
        step: u64,
    ) -> Result<LoginAnswer, Error> {
        let printed = self
            .store
            .password(ticket.person)
            .await?
            .is_some_and(|password| password.initial_until.is_some());
        if printed {
            let (mut next, token) = self.new_ticket(cx, ticket.person, ticket.subject, TicketKind::Change);
            next.holder = ticket.holder;
            let tx = self.store.write(Scope::System).await?;
            self.spend(&tx, ticket, factor, step).await?;
            use_beginners(&tx, cx, client).await?;
            self.no_failure(&tx, tried).await?;
            tx.insert_ticket(&next).await?;
            tx.commit().await?;
            return Ok(LoginAnswer::PasswordChangeRequired { change_token: token });
        }
        let enrolment = self.new_factor(cx, ticket.person, FactorState::Pending).await?;
        let (mut next, token) = self.new_ticket(cx, ticket.person, ticket.subject, TicketKind::Enrol);
        next.holder = ticket.holder;
        let tx = self.store.write(Scope::System).await?;
        self.spend(&tx, ticket, factor, step).await?;
        use_beginners(&tx, cx, client).await?;
        self.no_failure(&tx, tried).await?;
        tx.put_totp(&enrolment.row).await?;
        tx.insert_ticket(&next).await?;
        tx.commit().await?;
        totp_required(enrolment.uri, token)
    }

    /// Sets an own password in place of the printed one, and goes on to an own authenticator.
    ///
    /// # Errors
    /// `invalid_credentials` for a token that does not count; `validation_failed` for a password that will not do,
    /// which does not spend the token.
    pub async fn set_first_password(
        self: &Arc<Self>,
        cx: &Cx,
        client: &Client,
        change_token: &str,
        new_password: SecretString,
    ) -> Result<LoginAnswer, Error> {
        let (cx, client, hash) = (cx.clone(), client.clone(), fingerprint(change_token));
        self.detached(
            move |bank| async move { bank.replace_printed(&cx, &client, &hash, new_password).await },
        )
        .await
    }

    async fn replace_printed(
        &self,
        cx: &Cx,
        client: &Client,
        hash: &[u8; 32],
        new_password: SecretString,
    ) -> Result<LoginAnswer, Error> {
        let ticket = self.usable_ticket(cx, hash, &[TicketKind::Change]).await?;
        require_beginner(&ticket, client)?;
        let new_hash = self.new_password_hash(ticket.person, new_password).await?;
        let enrolment = self.new_factor(cx, ticket.person, FactorState::Pending).await?;
        let (mut next, token) = self.new_ticket(cx, ticket.person, ticket.subject, TicketKind::Enrol);
        next.holder = ticket.holder;
        let roles = self.store.roles(ticket.person).await?;
        let me = self.cx_as(cx, ticket.person, roles, Assurance::Aal2).await?;
        let permit = authorize(&me, Action::CredentialChange, Resource::OwnedBy(ticket.person))?;
        let mut tx = self.store.write(Scope::System).await?;
        if !tx.spend_ticket(&ticket.hash).await? {
            return Err(invalid_credentials());
        }
        use_beginners(&tx, cx, client).await?;
        tx.set_password(ticket.person, &new_hash, cx.now(), None).await?;
        tx.put_totp(&enrolment.row).await?;
        tx.insert_ticket(&next).await?;
        let entry = Entry {
            object: Object::User(ticket.person),
            outcome: "ok",
            details: Details::json(r#"{"credential":"password","first":true}"#),
        };
        self.recorder.append(&mut tx, &me, &permit, entry).await?;
        tx.commit().await?;
        totp_required(enrolment.uri, token)
    }

    /// The hash of a new password that the policy allows.
    pub(crate) async fn new_password_hash(
        &self,
        person: UserId,
        password: SecretString,
    ) -> Result<String, Error> {
        let words = match self.store.user(person).await? {
            Some(row) => {
                let profile = self.people.profile(&row).await?;
                vec![profile.email.unwrap_or_default(), profile.full_name]
            }
            None => Vec::new(),
        };
        let (password, violations) = self.check_password(password, words, "/new_password").await?;
        if !violations.is_empty() {
            return Err(Error::invalid(violations));
        }
        let hash = self.identity.passwords.hash(password).await.map_err(busy)?;
        Ok(hash.to_text())
    }

    /// A new authenticator for a person.
    pub(crate) async fn new_factor(
        &self,
        cx: &Cx,
        person: UserId,
        state: FactorState,
    ) -> Result<Enrolment, Error> {
        let row = self.store.user(person).await?;
        let row = row.ok_or_else(|| Error::broken("a ticket of nobody"))?;
        let email = self.people.profile(&row).await?.email.unwrap_or_default();
        let key = self.people.key_of(person).await?;
        Ok(self.enrol(cx, person, &key, &email, state))
    }

    pub(crate) fn enrol(
        &self,
        cx: &Cx,
        person: UserId,
        key: &DataKey,
        email: &str,
        state: FactorState,
    ) -> Enrolment {
        let secret = totp::new_secret();
        let id = cx.new_id();
        let row = TotpRow {
            id,
            person,
            sealed_secret: key.seal(totp_place(&id), secret.expose()),
            state,
            last_step: 0,
            created_at: cx.now(),
            expires_at: Some(cx.now().plus_seconds(PENDING_SECS)),
            activated_at: None,
        };
        let uri = totp::uri(&self.identity.settings.bank_name, email, &secret);
        Enrolment {
            row,
            secret: totp::secret_text(&secret),
            uri,
        }
    }
}

/// Uses up the proof that came with a step which gives no tokens yet.
async fn use_beginners(tx: &WriteTx, cx: &Cx, client: &Client) -> Result<(), Error> {
    match &client.proof {
        Some(proof) => use_proof(tx, cx, proof).await,
        None => Ok(()),
    }
}

/// The address of a factor as a picture, SVG.
pub(crate) fn qr_svg(uri: &SecretString) -> Result<SecretString, Error> {
    let code =
        QrCode::with_error_correction_level(uri.expose_secret(), EcLevel::M).map_err(Error::internal)?;
    let picture = code
        .render::<svg::Color<'_>>()
        .min_dimensions(QR_PIXELS_MIN, QR_PIXELS_MIN)
        .build();
    Ok(SecretString::from(picture))
}

fn totp_required(uri: SecretString, mfa_token: SecretString) -> Result<LoginAnswer, Error> {
    Ok(LoginAnswer::TotpRequired {
        qr_svg: qr_svg(&uri)?,
        otpauth_uri: uri,
        mfa_token,
    })
}

/// The end of what is printed for somebody.
pub(crate) const fn printed_until(now: Timestamp) -> Timestamp {
    now.plus_seconds(PENDING_SECS)
}
