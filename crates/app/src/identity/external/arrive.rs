//! Somebody comes back from an issuer.

use std::sync::Arc;

use strongroom_crypto::{
    oidc::{Claimed, OidcError},
    token::fingerprint,
};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::UserId,
    principal::{Assurance, Role},
    text::{NAME_CHARS_MAX, check_line},
};
use strongroom_store::{
    Scope, StoreError,
    identity::{ExternalLoginRow, ExternalStart, TicketKind, UserState},
};

use super::{ANSWER_BYTES_MAX, login_place, read_kept, start_place};
use crate::{
    audit::record::Entry,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::{
        email::Email,
        guess::{Subject, Tried},
        login::{LoginAnswer, invalid_credentials, still_without_factor},
        personal::Client,
    },
    security::{catalogue::SecurityEventKind, stream::Whence},
};

/// Name of the keyed index of identities.
const INDEX: &str = "external_logins.subject";
/// Methods of a login by an issuer alone. RFC 8176 has no name for it; this one is in common use.
const BY_ISSUER: &[&str] = &["fed"];

/// What came back with somebody.
#[derive(Clone, Default)]
pub struct Returned {
    /// The state that the person was sent away with.
    pub state: Option<String>,
    /// What can be redeemed.
    pub code: Option<String>,
    /// The issuer that says so (RFC 9207).
    pub iss: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// The cookie of the browser that was sent away.
    pub browser: Option<String>,
}

impl std::fmt::Debug for Returned {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Returned([redacted])")
    }
}

/// What coming back leads to.
#[derive(Debug)]
pub enum Arrived {
    /// In, or on to the second factor.
    Login(LoginAnswer),
    /// The issuer is a way into the login that asked for it.
    Added,
}

/// What a login by an issuer may be refused for, without a word about why.
fn does_not_count() -> Error {
    Error::new(
        Kind::Unauthenticated,
        "external_login_refused",
        "Authentication failed: the login elsewhere does not count here.",
    )
}

impl Bank {
    /// Takes what somebody comes back with from an issuer.
    ///
    /// # Errors
    /// `external_login_refused` whatever is wrong with it; `link_required` where the address is somebody's who has not
    /// added this issuer; `address_unverified` where the issuer vouches for none; `external_login_taken`;
    /// `rate_limited` after too many refusals from one address; `unavailable` where the issuer does not answer.
    pub async fn finish_external(
        self: &Arc<Self>,
        cx: &Cx,
        client: &Client,
        provider: &str,
        returned: Returned,
    ) -> Result<Arrived, Error> {
        let (cx, client, provider) = (cx.clone(), client.clone(), provider.to_owned());
        self.detached(move |bank| async move {
            let outcome = bank.take_back(&cx, &client, &provider, &returned).await;
            let whence = Whence::of(&cx, &client);
            bank.note_failure(SecurityEventKind::LoginFailed, &whence, None, &outcome);
            outcome
        })
        .await
    }

    async fn take_back(
        &self,
        cx: &Cx,
        client: &Client,
        provider: &str,
        returned: &Returned,
    ) -> Result<Arrived, Error> {
        self.identity.external.find(provider)?;
        // What is wrong here was tried by nobody in particular: it is charged to the address it comes from.
        let subject = self.guess_subject_of_address(&client.address);
        let tried = self.take_guess(subject, Tried::Network, cx.now()).await?;
        if !tried.allowed {
            return Err(too_many());
        }
        let looked = self.look_at(cx, provider, returned).await;
        if !matches!(&looked, Err(error) if error.code == "external_login_refused") {
            self.return_guess(&tried).await?;
        }
        let Some((start, claimed)) = looked? else {
            return Err(does_not_count());
        };
        let indexes = self
            .ring()
            .blind_indexes(INDEX, &name_of(&claimed.issuer, &claimed.subject));
        let known = self.store.external_login(&indexes).await?;
        match (start.adds_to, known) {
            (Some((person, session)), known) => {
                let free = known.as_ref().is_none_or(|row| row.person == person);
                if !free {
                    return Err(taken());
                }
                let row = known.is_none().then_some((provider, claimed));
                self.add_claimed(cx, person, session, row).await?;
                Ok(Arrived::Added)
            }
            (None, Some(row)) => self.let_in(cx, client, &row).await.map(Arrived::Login),
            (None, None) => self
                .welcome(cx, client, provider, claimed)
                .await
                .map(Arrived::Login),
        }
    }

    /// Whom the issuer says it is; `None` where the person did not want to after all.
    async fn look_at(
        &self,
        cx: &Cx,
        provider: &str,
        returned: &Returned,
    ) -> Result<Option<(ExternalStart, Claimed)>, Error> {
        let too_long = |text: &Option<String>| {
            text.as_ref()
                .is_some_and(|text| text.is_empty() || text.len() > ANSWER_BYTES_MAX)
        };
        if [&returned.state, &returned.code, &returned.iss, &returned.browser]
            .into_iter()
            .any(too_long)
        {
            return Err(refuse("a part of another length"));
        }
        let (Some(state), Some(browser)) = (&returned.state, &returned.browser) else {
            return Err(refuse("no state, or another browser"));
        };
        let hash = fingerprint(state);
        let tx = self.store.write(Scope::System).await?;
        let start = tx.take_external_start(&hash).await?;
        tx.commit().await?;
        let start = start
            .filter(|start| start.provider == provider && cx.now() < start.expires_at)
            .filter(|start| start.browser == fingerprint(browser))
            .ok_or_else(|| refuse("no such state, of another issuer, or another browser"))?;
        let external = &self.identity.external;
        let (found, fetch) = (external.find(provider)?, external.fetch()?);
        let issuer = found.issuer(fetch, cx.now()).await?;
        if !issuer.is_named_by(returned.iss.as_deref()) {
            return Err(refuse("the answer of another issuer"));
        }
        let Some(code) = returned.code.as_deref().filter(|_| returned.error.is_none()) else {
            return Ok(None);
        };
        let plain = self
            .ring()
            .open(start_place(&hash), &start.sealed)
            .map_err(Error::internal)?;
        let kept = plain.expose_str().and_then(read_kept);
        let kept = kept.ok_or_else(|| Error::broken("a start without its nonce"))?;
        let now = cx.now().micros();
        let tokens = issuer.redeem(fetch, code, &kept, now).await.map_err(refused_by)?;
        let claimed = match issuer.verify(fetch, &tokens).await {
            Err(OidcError::UnknownKey) => {
                let again = found.issuer_again(fetch, cx.now()).await?;
                again.verify(fetch, &tokens).await
            }
            looked => looked,
        };
        Ok(Some((start, claimed.map_err(refused_by)?)))
    }

    /// Logs in whose identity it is.
    async fn let_in(&self, cx: &Cx, client: &Client, row: &ExternalLoginRow) -> Result<LoginAnswer, Error> {
        let user = self.store.user(row.person).await?;
        let user = user
            .filter(|user| user.state == UserState::Active)
            .ok_or_else(invalid_credentials)?;
        let roles = self.store.roles(user.id).await?;
        let methods = self.factor_methods(user.id, cx.now()).await?;
        // The tries at the second factor are counted with those after a password.
        let device = self.known_device(user.id, client).await?;
        let subject = self.guess_subject(Tried::Person(user.id), device.as_ref());
        if methods.is_empty() {
            // An operator without a factor is let in by nobody.
            if roles.iter().any(|role| role.is_operator()) {
                return Err(invalid_credentials());
            }
            return self.open_external(cx, client, row, roles, subject).await;
        }
        let (mut ticket, token) = self.new_ticket(cx, user.id, subject, TicketKind::Mfa);
        ticket.external = true;
        let tx = self.store.write(Scope::System).await?;
        still_whose(&tx, row, cx).await?;
        tx.insert_ticket(&ticket).await?;
        tx.commit().await?;
        Ok(LoginAnswer::MfaRequired {
            mfa_token: token,
            methods,
        })
    }

    async fn open_external(
        &self,
        cx: &Cx,
        client: &Client,
        row: &ExternalLoginRow,
        roles: Vec<Role>,
        subject: Subject,
    ) -> Result<LoginAnswer, Error> {
        let opening = self
            .open_session(cx, client, row.person, roles, Assurance::Aal1, BY_ISSUER, subject)
            .await?;
        let mut tx = self.store.write(Scope::System).await?;
        still_whose(&tx, row, cx).await?;
        still_without_factor(&tx, row.person).await?;
        self.write_session(&mut tx, &opening).await?;
        tx.commit().await?;
        Ok(LoginAnswer::Session(Box::new(self.token_set(opening))))
    }

    /// Makes a customer of somebody whom nobody here knows, and logs the customer in.
    async fn welcome(
        &self,
        cx: &Cx,
        client: &Client,
        provider: &str,
        claimed: Claimed,
    ) -> Result<LoginAnswer, Error> {
        let email = claimed.email.as_deref().and_then(Email::parse);
        let email = email
            .filter(|_| claimed.email_verified)
            .ok_or_else(address_unverified)?;
        if self.store.login(&email.indexes(&self.ring())).await?.is_some() {
            return Err(link_required());
        }
        let name = claimed
            .name
            .as_deref()
            .filter(|name| check_line(name, NAME_CHARS_MAX, true).is_ok())
            .unwrap_or(email.as_str());
        let (new, key) = self.new_person(cx.new_id(), cx.now(), Some(&email), name);
        let roles = vec![Role::Customer];
        let me = self.cx_as(cx, new.id, roles.clone(), Assurance::Aal1).await?;
        let permit = authorize(&me, Action::UserRegister, Resource::OwnedBy(new.id))?;
        let email_index = email.index(&self.ring());
        let mut row = self.external_row(cx, new.id, provider, &claimed, |place, text| {
            key.seal(place, text)
        });
        row.last_used_at = Some(cx.now());
        {
            let mut tx = self.store.write(Scope::System).await?;
            match tx.insert_user(&new).await {
                Err(StoreError::Constraint(_)) => return Err(link_required()),
                other => other?,
            }
            tx.insert_grant(cx.new_id(), new.id, Role::Customer, cx.now())
                .await?;
            // Of several at once one has the identity.
            if !tx.insert_external_login(&row).await? {
                return Err(taken());
            }
            tx.delete_registrations(&email_index).await?;
            let entry = Entry {
                object: Object::User(new.id),
                outcome: "ok",
                details: Details::json(r#"{"role":"customer","by":"external"}"#),
            };
            self.recorder.append(&mut tx, &me, &permit, entry).await?;
            tx.commit().await?;
        }
        let subject = self.guess_subject(Tried::Person(new.id), None);
        self.open_external(cx, client, &row, roles, subject).await
    }

    /// An identity to be stored, sealed by whoever has its owner's key.
    pub(super) fn external_row(
        &self,
        cx: &Cx,
        person: UserId,
        provider: &str,
        claimed: &Claimed,
        seal: impl FnOnce(strongroom_crypto::Place<'_>, &[u8]) -> Vec<u8>,
    ) -> ExternalLoginRow {
        let id = cx.new_id();
        let shown = serde_json::json!({
            "issuer": claimed.issuer, "subject": claimed.subject, "email": claimed.email,
        });
        ExternalLoginRow {
            id,
            person,
            provider: provider.to_owned(),
            subject_index: self
                .ring()
                .blind_index(INDEX, &name_of(&claimed.issuer, &claimed.subject)),
            sealed: seal(login_place(&id), shown.to_string().as_bytes()),
            created_at: cx.now(),
            last_used_at: None,
        }
    }
}

/// Issuer and subject as one name: no URL holds a line break.
fn name_of(issuer: &str, subject: &str) -> Vec<u8> {
    format!("{issuer}\n{subject}").into_bytes()
}

/// Inside the transaction: the person may log in, and the identity is still the person's.
async fn still_whose(tx: &strongroom_store::WriteTx, row: &ExternalLoginRow, cx: &Cx) -> Result<(), Error> {
    let active = tx
        .lock_user(row.person)
        .await?
        .is_some_and(|user| user.state == UserState::Active);
    if active && tx.use_external_login(row.id, row.person, cx.now()).await? {
        Ok(())
    } else {
        Err(invalid_credentials())
    }
}

fn refuse(why: &'static str) -> Error {
    tracing::info!(why, "a login by an issuer was refused");
    metrics::counter!("strongroom_logins_refused_total").increment(1);
    does_not_count()
}

fn refused_by(error: OidcError) -> Error {
    match error {
        OidcError::Refused(why) => refuse(why),
        OidcError::UnknownKey => refuse("signed with an unknown key"),
        OidcError::Unavailable(_) => {
            tracing::warn!(%error, "an issuer of logins does not answer");
            super::away()
        }
    }
}

fn too_many() -> Error {
    Error::new(
        Kind::Throttled,
        "rate_limited",
        "There were too many logins from here that did not count.",
    )
    .retry_after(std::time::Duration::from_secs(
        crate::identity::guess::WAIT_SECS.unsigned_abs(),
    ))
}

fn link_required() -> Error {
    Error::new(
        Kind::Conflict,
        "link_required",
        "There is a login with this address: log in to it, then add the issuer.",
    )
}

fn address_unverified() -> Error {
    Error::new(
        Kind::Rejected,
        "address_unverified",
        "The issuer does not vouch for an address.",
    )
}

pub(super) fn taken() -> Error {
    Error::new(
        Kind::Conflict,
        "external_login_taken",
        "This identity is a way into another login.",
    )
}
