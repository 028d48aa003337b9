//! Passkeys: bound, listed, taken away, and shown: instead of a password, after one, or again inside a session.
//!
//! What the server remembers between options and answer is sealed in the database, bound to what it was asked for
//! (person, session, ticket, challenge), good for five minutes and taken out by the first answer, right or wrong. So
//! several nodes work, and nothing is shown twice.

mod kept;

use std::sync::Arc;

use serde_json::Value;
use strongroom_crypto::{
    Passkeys, SecretString,
    passkey::{StoredPasskey, credential_of, person_of},
    token::fingerprint,
};
use strongroom_domain::{
    id::{PasskeyId, SessionId, UserId},
    principal::{Assurance, Principal},
    text::check_line,
    time::Timestamp,
};
use strongroom_store::{
    Scope, WriteTx,
    identity::{CeremonyKind, PASSKEYS_MAX, PasskeyRow, TicketKind, UserState},
};

use self::kept::{Recalled, passkey_name_place, passkey_place};
use crate::{
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::{
        factors::{FactorChange, still_active},
        guess::Tried,
        login::{LoginAnswer, TokenSet, invalid_credentials},
        personal::Client,
        possession::require_beginner,
        step_up::{Proved, factor_too_new, require_recent_login},
    },
};

/// Longest name of a passkey, in characters.
pub const NAME_CHARS_MAX: usize = 60;
/// Methods of a login by passkey alone (RFC 8176).
const BY_PASSKEY: &[&str] = &["pop", "user", "mfa"];
/// Methods of a login by password and passkey (RFC 8176).
const BY_PASSWORD_AND_PASSKEY: &[&str] = &["pwd", "pop", "user", "mfa"];
/// Methods of a login by an issuer elsewhere (RFC 8176 has no name for it) and passkey.
const BY_ISSUER_AND_PASSKEY: &[&str] = &["fed", "pop", "user", "mfa"];
/// What a ceremony is bound to where there is nothing.
const UNBOUND: [u8; 32] = [0; 32];

/// A passkey as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyDetails {
    /// The id.
    pub id: PasskeyId,
    /// The owner's name for it.
    pub name: String,
    /// When it was bound.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

/// What a passkey is to be shown for.
#[derive(Debug, Clone)]
pub enum PasskeyUse {
    /// A login by passkey alone.
    Login,
    /// The second half of a login, with its ticket.
    Second(SecretString),
    /// A proof inside a session: for settings, or for the request of a challenge.
    StepUp(Box<Cx>, Option<String>),
}

impl Bank {
    /// Begins to bind a passkey to the caller.
    ///
    /// # Errors
    /// `step_up_required` for a login older than five minutes; `passkeys_full`; `forbidden` for integrations;
    /// `not_found` where the server has no host name.
    pub async fn start_passkey(self: &Arc<Self>, cx: &Cx) -> Result<Value, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let binding = bank.settings_binding(&cx)?;
            require_recent_login(&cx)?;
            let me = binding.person;
            let known = bank.opened_passkeys(me).await?;
            if known.len() >= PASSKEYS_MAX {
                return Err(full());
            }
            let user = bank.store.user(me).await?.ok_or_else(invalid_credentials)?;
            let profile = bank.people.profile(&user).await?;
            let email = profile.email.unwrap_or_default();
            let ceremony = bank
                .relying_party()?
                .start_registration(*me.as_bytes(), &email, &profile.full_name, &known)
                .map_err(Error::internal)?;
            bank.remember(&cx, ceremony, CeremonyKind::Register, Some(me), UNBOUND)
                .await
        })
        .await
    }

    /// Binds the passkey that an authenticator made. All other sessions end.
    ///
    /// # Errors
    /// `validation_failed` for an answer that any step of the standard refuses, and for what is no name;
    /// `step_up_required`; `passkeys_full`; `forbidden`.
    pub async fn bind_passkey(
        self: &Arc<Self>,
        cx: &Cx,
        credential: Value,
        name: &str,
    ) -> Result<PasskeyDetails, Error> {
        let (cx, name) = (cx.clone(), name.to_owned());
        self.detached(move |bank| async move {
            let binding = bank.settings_binding(&cx)?;
            require_recent_login(&cx)?;
            check_line(&name, NAME_CHARS_MAX, true)
                .map_err(|error| Error::field("/name", "invalid_value", error.to_string()))?;
            let me = binding.person;
            let recalled = bank
                .recall(&cx, CeremonyKind::Register, &credential)
                .await?
                .filter(|it| it.row.person == Some(me) && it.row.session == cx.caller.session)
                .ok_or_else(refused_credential)?;
            let made = bank
                .relying_party()?
                .finish_registration(&credential, &recalled.state)
                .map_err(|error| {
                    tracing::info!(%error, "a passkey was not bound");
                    refused_credential()
                })?;
            let key = bank.people.key_of(me).await?;
            let id: PasskeyId = cx.new_id();
            let row = PasskeyRow {
                id,
                person: me,
                credential: made.credential,
                sealed: key.seal(passkey_place(&id), &made.bytes),
                sealed_name: key.seal(passkey_name_place(&id), name.as_bytes()),
                counter: made.counter,
                created_at: cx.now(),
                last_used_at: None,
            };
            let tx = bank.store.write(Scope::System).await?;
            still_active(&tx, me).await?;
            let many = tx.factor_counts(me).await?.passkeys;
            if usize::try_from(many).map_or(true, |many| many >= PASSKEYS_MAX) {
                return Err(full());
            }
            if !tx.insert_passkey(&row).await? {
                return Err(refused_credential());
            }
            bank.factor_changed(tx, &binding, FactorChange::Bound("passkey"))
                .await?;
            Ok(PasskeyDetails {
                id,
                name,
                created_at: row.created_at,
                last_used_at: None,
            })
        })
        .await
    }

    /// The caller's passkeys, oldest first.
    ///
    /// # Errors
    /// `forbidden` for integrations.
    pub async fn own_passkeys(&self, cx: &Cx) -> Result<Vec<PasskeyDetails>, Error> {
        let me = self.settings_binding(cx)?.person;
        let key = self.people.key_of(me).await?;
        let rows = self.store.passkeys(me).await?;
        rows.into_iter()
            .map(|row| {
                let name = key
                    .open(passkey_name_place(&row.id), &row.sealed_name)
                    .map_err(Error::internal)?;
                Ok(PasskeyDetails {
                    id: row.id,
                    name: name.expose_str().unwrap_or_default().to_owned(),
                    created_at: row.created_at,
                    last_used_at: row.last_used_at,
                })
            })
            .collect()
    }

    /// Takes one of the caller's passkeys away. All other sessions end.
    ///
    /// # Errors
    /// `step_up_required`; `not_found` where there is none, or it is somebody else's; `forbidden` for integrations.
    pub async fn remove_passkey(self: &Arc<Self>, cx: &Cx, passkey: PasskeyId) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let binding = bank.settings_change(&cx)?;
            let tx = bank.store.write(Scope::System).await?;
            still_active(&tx, binding.person).await?;
            if !tx.delete_passkey(binding.person, passkey).await? {
                return Err(Error::not_found());
            }
            let left = tx.factor_counts(binding.person).await?;
            if left.passkeys == 0 && left.totp == 0 {
                tx.put_recovery_codes(binding.person, &[], cx.now()).await?;
            }
            bank.factor_changed(tx, &binding, FactorChange::Removed("passkey"))
                .await
        })
        .await
    }

    /// What an authenticator is asked, to show a passkey for something.
    ///
    /// # Errors
    /// `invalid_credentials` for a ticket that does not count or of somebody without a passkey; `validation_failed` for
    /// a challenge of another session; `no_second_factor`; `not_found` where the server has no host name.
    pub async fn ask_for_passkey(self: &Arc<Self>, cx: &Cx, wanted: &PasskeyUse) -> Result<Value, Error> {
        let (cx, wanted) = (cx.clone(), wanted.clone());
        self.detached(move |bank| async move {
            let party = bank.relying_party()?;
            match wanted {
                PasskeyUse::Login => {
                    let ceremony = party.start_anybody().map_err(Error::internal)?;
                    bank.remember(&cx, ceremony, CeremonyKind::Login, None, UNBOUND)
                        .await
                }
                PasskeyUse::Second(token) => {
                    let hash = fingerprint(strongroom_crypto::ExposeSecret::expose_secret(&token));
                    let ticket = bank.usable_ticket(&cx, &hash, &[TicketKind::Mfa]).await?;
                    let known = bank.opened_passkeys(ticket.person).await?;
                    if known.is_empty() {
                        return Err(invalid_credentials());
                    }
                    let ceremony = party.start_known(&known).map_err(Error::internal)?;
                    bank.remember(&cx, ceremony, CeremonyKind::Second, Some(ticket.person), hash)
                        .await
                }
                PasskeyUse::StepUp(me_cx, challenge) => {
                    let (Principal::User(me), Some(session)) = (me_cx.caller.principal, me_cx.caller.session)
                    else {
                        return Err(Error::forbidden());
                    };
                    if let Some(text) = &challenge {
                        bank.open_challenge(&me_cx, session, text)?;
                    }
                    let known = bank.opened_passkeys(me).await?;
                    if known.is_empty() {
                        return Err(crate::identity::factors::no_second_factor());
                    }
                    let ceremony = party.start_known(&known).map_err(Error::internal)?;
                    let bound = bound_to(challenge.as_deref());
                    bank.remember(&me_cx, ceremony, CeremonyKind::StepUp, Some(me), bound)
                        .await
                }
            }
        })
        .await
    }

    /// Logs in by passkey alone.
    ///
    /// # Errors
    /// `invalid_credentials` whatever is wrong.
    pub async fn login_by_passkey(
        self: &Arc<Self>,
        cx: &Cx,
        client: &Client,
        credential: Value,
    ) -> Result<TokenSet, Error> {
        let (cx, client) = (cx.clone(), client.clone());
        self.detached(move |bank| async move {
            let recalled = bank.recall(&cx, CeremonyKind::Login, &credential).await?;
            let recalled = recalled.ok_or_else(invalid_credentials)?;
            let row = bank.shown_passkey(&credential).await?;
            // Who the authenticator says it is of must be who has it.
            let row = row
                .filter(|row| person_of(&credential) == Some(*row.person.as_bytes()))
                .ok_or_else(invalid_credentials)?;
            let stored = bank.opened(&row).await?;
            let shown = bank
                .relying_party()?
                .finish_anybody(&credential, &recalled.state, &stored)
                .map_err(not_shown)?;
            let roles = bank.store.roles(row.person).await?;
            let device = bank.known_device(row.person, &client).await?;
            let subject = bank.guess_subject(Tried::Person(row.person), device.as_ref());
            let opening = bank
                .open_session(
                    &cx,
                    &client,
                    row.person,
                    roles,
                    Assurance::Aal2,
                    BY_PASSKEY,
                    subject,
                )
                .await?;
            let sealed = bank.resealed(&row, &shown).await?;
            let mut tx = bank.store.write(Scope::System).await?;
            if !spend_passkey(&tx, &cx, row.person, row.id, &sealed, shown.counter).await? {
                return Err(invalid_credentials());
            }
            bank.write_session(&mut tx, &opening).await?;
            tx.commit().await?;
            Ok(bank.token_set(opening))
        })
        .await
    }

    /// Completes a login with a passkey as its second factor.
    ///
    /// # Errors
    /// `invalid_credentials` whatever is wrong.
    pub async fn login_by_second_passkey(
        self: &Arc<Self>,
        cx: &Cx,
        client: &Client,
        mfa_token: &str,
        credential: Value,
    ) -> Result<LoginAnswer, Error> {
        let (cx, client, hash) = (cx.clone(), client.clone(), fingerprint(mfa_token));
        self.detached(move |bank| async move {
            let ticket = bank.usable_ticket(&cx, &hash, &[TicketKind::Mfa]).await?;
            require_beginner(&ticket, &client)?;
            let whose = Tried::Person(ticket.person);
            if !bank.take_guess(ticket.subject, whose, cx.now()).await?.allowed {
                return Err(invalid_credentials());
            }
            let recalled = bank
                .recall(&cx, CeremonyKind::Second, &credential)
                .await?
                .filter(|it| it.row.person == Some(ticket.person) && it.bound == hash)
                .ok_or_else(invalid_credentials)?;
            let (row, shown) = bank
                .known_passkey(ticket.person, &credential, &recalled)
                .await?
                .ok_or_else(invalid_credentials)?;
            let roles = bank.store.roles(ticket.person).await?;
            let opening = bank
                .open_session(
                    &cx,
                    &client,
                    ticket.person,
                    roles,
                    Assurance::Aal2,
                    if ticket.external {
                        BY_ISSUER_AND_PASSKEY
                    } else {
                        BY_PASSWORD_AND_PASSKEY
                    },
                    ticket.subject,
                )
                .await?;
            let sealed = bank.resealed(&row, &shown).await?;
            let mut tx = bank.store.write(Scope::System).await?;
            if !spend_passkey(&tx, &cx, row.person, row.id, &sealed, shown.counter).await?
                || !tx.spend_ticket(&hash).await?
            {
                return Err(invalid_credentials());
            }
            bank.write_session(&mut tx, &opening).await?;
            tx.commit().await?;
            Ok(LoginAnswer::Session(Box::new(bank.token_set(opening))))
        })
        .await
    }

    /// A passkey shown as a proof inside a session; `None` for one that does not count.
    pub(crate) async fn prove_passkey(
        &self,
        cx: &Cx,
        me: UserId,
        session: SessionId,
        credential: &Value,
        challenge: Option<&str>,
    ) -> Result<Option<Proved>, Error> {
        let recalled = self.recall(cx, CeremonyKind::StepUp, credential).await?;
        let recalled = recalled.filter(|it| {
            it.row.person == Some(me) && it.row.session == Some(session) && it.bound == bound_to(challenge)
        });
        let Some(recalled) = recalled else { return Ok(None) };
        let Some((row, shown)) = self.known_passkey(me, credential, &recalled).await? else {
            return Ok(None);
        };
        let sealed = self.resealed(&row, &shown).await?;
        Ok(Some(Proved::Passkey {
            id: row.id,
            sealed,
            counter: shown.counter,
        }))
    }

    /// Refuses a passkey that is too new to approve money; one that nobody has is refused later.
    pub(crate) async fn check_passkey_age(
        &self,
        cx: &Cx,
        me: UserId,
        credential: &Value,
        user_created_at: Timestamp,
    ) -> Result<(), Error> {
        match self.shown_passkey(credential).await? {
            Some(row)
                if row.person == me
                    && !crate::identity::step_up::approves_money(
                        row.created_at,
                        user_created_at,
                        cx.now(),
                    ) =>
            {
                Err(factor_too_new())
            }
            _ => Ok(()),
        }
    }

    fn relying_party(&self) -> Result<&Passkeys, Error> {
        self.identity.passkeys.as_ref().ok_or_else(Error::not_found)
    }

    async fn shown_passkey(&self, credential: &Value) -> Result<Option<PasskeyRow>, Error> {
        match credential_of(credential) {
            Some(hash) => Ok(self.store.passkey(&hash).await?),
            None => Ok(None),
        }
    }

    /// One of a person's own passkeys, if it answers what was asked.
    async fn known_passkey(
        &self,
        person: UserId,
        credential: &Value,
        recalled: &Recalled,
    ) -> Result<Option<(PasskeyRow, StoredPasskey)>, Error> {
        let row = self.shown_passkey(credential).await?;
        // An authenticator that says of whom it is must say the same.
        let says = person_of(credential).is_none_or(|of| of == *person.as_bytes());
        let Some(row) = row.filter(|row| row.person == person && says) else {
            return Ok(None);
        };
        let stored = self.opened(&row).await?;
        match self
            .relying_party()?
            .finish_known(credential, &recalled.state, &stored)
        {
            Ok(shown) => Ok(Some((row, shown))),
            Err(error) => {
                tracing::info!(%error, "a passkey was refused");
                Ok(None)
            }
        }
    }
}

/// Inside the transaction: the person may log in, and the passkey has not counted as far before.
pub(crate) async fn spend_passkey(
    tx: &WriteTx,
    cx: &Cx,
    person: UserId,
    passkey: PasskeyId,
    sealed: &[u8],
    counter: u32,
) -> Result<bool, Error> {
    let active = tx
        .lock_user(person)
        .await?
        .is_some_and(|user| user.state == UserState::Active);
    Ok(active
        && tx
            .use_passkey(person, passkey, (sealed, counter), cx.now())
            .await?)
}

/// What a proof inside a session is bound to: the challenge that it answers.
fn bound_to(challenge: Option<&str>) -> [u8; 32] {
    challenge.map_or(UNBOUND, fingerprint)
}

fn full() -> Error {
    Error::new(
        Kind::Conflict,
        "passkeys_full",
        "There are as many passkeys as one person can have.",
    )
}

fn refused_credential() -> Error {
    Error::field(
        "/credential",
        "invalid_value",
        "must be the answer to options of this session, not older than five minutes and not used before",
    )
}

fn not_shown(error: strongroom_crypto::passkey::PasskeyError) -> Error {
    tracing::info!(%error, "a passkey was refused");
    invalid_credentials()
}
