//! Login: from an address and a password to a session, or to the next question.
//!
//! Whoever calls hears one and the same refusal: unknown, locked, wrong and too often are the same bytes, the same
//! reads and writes and one password hash each. A device mark that this bank gave the person keeps the owner's
//! tries apart from a stranger's.

use std::{sync::Arc, time::Duration};

use strongroom_crypto::{
    DeviceMark, ExposeSecret, RefreshToken, SecretString, StoredHash, random, token::fingerprint,
};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{SessionId, UserId},
    principal::{Assurance, Caller, Principal, Role},
    time::Timestamp,
};
use strongroom_store::{
    Scope, WriteTx,
    identity::{FactorState, LoginRow, NewSession, Ticket, TicketKind, UserState},
};

use tokio::{sync::SemaphorePermit, time::timeout};

pub use crate::identity::token_set::TokenSet;
use crate::{
    audit::record::Entry,
    authority::authorize::{Permit, Resource, authorize},
    bank::Bank,
    cx::{Cx, Rights},
    error::{Error, Kind},
    identity::{
        SESSION_CUSTOMER_SECS, SESSION_OPERATOR_SECS,
        devices::sealed_agent,
        email::Email,
        guess::{Subject, Tried, Try},
        personal::Client,
        possession::{ShownProof, use_proof},
        registration::busy,
    },
    security::{catalogue::SecurityEventKind, stream::Whence},
};

/// How long a login may take from the password to the last factor, in seconds.
pub const TICKET_SECS: i64 = 5 * 60;
/// How long a login waits at the door before it is told to come back.
const DOOR_WAIT: Duration = Duration::from_secs(5);
/// How long the first login of a person is not told as one on a new device, in seconds.
const NEWCOMER_SECS: i64 = 24 * 60 * 60;
/// Methods of a login by password alone (RFC 8176).
pub(crate) const BY_PASSWORD: &[&str] = &["pwd"];
/// Methods of a login by password and one-time code (RFC 8176).
pub(crate) const BY_PASSWORD_AND_CODE: &[&str] = &["pwd", "otp", "mfa"];
/// Methods of a login by an issuer elsewhere (RFC 8176 has no name for it) and one-time code.
pub(crate) const BY_ISSUER_AND_CODE: &[&str] = &["fed", "otp", "mfa"];

/// What a login leads to.
#[derive(Debug)]
pub enum LoginAnswer {
    /// In.
    Session(Box<TokenSet>),
    /// A second factor is asked for.
    MfaRequired {
        /// Continues this login.
        mfa_token: SecretString,
        /// What would do.
        methods: Vec<&'static str>,
    },
    /// A recovery code was right: a new factor may be bound with this token, and nothing else done.
    RebindRequired {
        /// Binds a factor.
        rebind_token: SecretString,
    },
    /// An own password must be set in place of the printed one.
    PasswordChangeRequired {
        /// Continues this login.
        change_token: SecretString,
    },
    /// An own second factor must be set up in place of the printed one.
    TotpRequired {
        /// For the authenticator.
        otpauth_uri: SecretString,
        /// The same as a picture.
        qr_svg: SecretString,
        /// Continues this login with a code of the new device.
        mfa_token: SecretString,
    },
}

/// The one refusal of everything that proves who somebody is.
pub(crate) fn invalid_credentials() -> Error {
    Error::new(
        Kind::Unauthenticated,
        "invalid_credentials",
        "Authentication failed: the credentials are not valid.",
    )
}

/// A session about to be begun.
pub(crate) struct Opening {
    pub(crate) cx: Cx,
    permit: Permit,
    pub(crate) new: NewSession,
    pub(crate) refresh: RefreshToken,
    pub(crate) mark: Option<DeviceMark>,
    /// What the browser shows for it, where it lives in one.
    pub(crate) cookie: Option<SecretString>,
    /// Of the key that its tokens are bound to; used up in its commit.
    proof: Option<ShownProof>,
    subject: Subject,
    pub(crate) methods: &'static [&'static str],
    /// The address that it was opened from.
    address: String,
    /// What is kept of the device while it is a new one.
    sealed_device: Option<Vec<u8>>,
}

impl Bank {
    /// Logs in by password.
    ///
    /// # Errors
    /// `invalid_credentials` whatever is wrong; `overloaded` when too many passwords are being checked.
    pub async fn login(
        self: &Arc<Self>,
        cx: &Cx,
        client: &Client,
        email: &str,
        password: SecretString,
    ) -> Result<LoginAnswer, Error> {
        let (cx, client, email) = (cx.clone(), client.clone(), Email::lenient(email));
        self.detached(move |bank| async move {
            let outcome = bank.login_by_password(&cx, &client, &email, password).await;
            let what = SecurityEventKind::LoginFailed;
            bank.note_failure(what, &Whence::of(&cx, &client), Some(&email), &outcome);
            outcome
        })
        .await
    }

    async fn login_by_password(
        &self,
        cx: &Cx,
        client: &Client,
        email: &Email,
        password: SecretString,
    ) -> Result<LoginAnswer, Error> {
        // Whoever waits longer has gone; behind the door there are no more than passwords that wait to be looked at.
        let at_door = timeout(DOOR_WAIT, self.at_door())
            .await
            .map_err(|_| Error::overloaded())?;
        let row = self.store.login(&email.indexes(&self.ring())).await?;
        let person = row.as_ref().map_or(UserId::from_bytes([0; 16]), |row| row.id);
        let device = self.known_device(person, client).await?;
        if device.is_none() {
            self.require_work(cx, client, email).await?;
        }
        let whose = row
            .as_ref()
            .map_or(Tried::Address(email), |row| Tried::Person(row.id));
        let subject = self.guess_subject(whose, device.as_ref());
        let tried = self.take_guess(subject, Tried::Address(email), cx.now()).await?;
        drop(at_door);
        let usable = row
            .as_ref()
            .filter(|row| tried.allowed && may_log_in(row, cx.now()));
        let stored = usable
            .and_then(|row| row.password.as_ref())
            .and_then(|password| StoredHash::parse(&password.hash));
        let shown = SecretString::from(password.expose_secret().to_owned());
        let pool = &self.identity.passwords;
        let looked = match device {
            Some(_) => pool.verify_known(password, stored.as_ref()).await,
            None => pool.verify(password, stored.as_ref()).await,
        };
        let at_door = self.at_door().await;
        let verified = self.counted(&tried, looked).await?;
        let Some(row) = row.filter(|_| verified.matches) else {
            metrics::counter!("strongroom_logins_refused_total").increment(1);
            return Err(self.guessed_wrong(&tried).await);
        };
        drop(at_door);
        let new_hash = if verified.needs_rehash {
            Some(pool.hash(shown).await.map_err(busy)?)
        } else {
            None
        };
        let _at_door = self.at_door().await;
        self.after_password(cx, client, &row, &tried, new_hash).await
    }

    /// A place among the logins that read or write; whoever looks at a password gives it back first.
    async fn at_door(&self) -> Option<SemaphorePermit<'_>> {
        // None only where the bank is gone.
        self.identity.door.acquire().await.ok()
    }

    async fn after_password(
        &self,
        cx: &Cx,
        client: &Client,
        row: &LoginRow,
        tried: &Try<'_>,
        new_hash: Option<StoredHash>,
    ) -> Result<LoginAnswer, Error> {
        let roles = self.store.roles(row.id).await?;
        let methods = self.factor_methods(row.id, cx.now()).await?;
        let operator = roles.iter().any(|role| role.is_operator());
        let hash = row
            .password
            .as_ref()
            .map_or("", |password| password.hash.as_str());
        if !methods.is_empty() {
            let (mut ticket, token) = self.new_ticket(cx, row.id, tried.subject, TicketKind::Mfa);
            ticket.holder = client.proof.as_ref().map(|proof| proof.holder);
            let mut tx = self.store.write(Scope::System).await?;
            still_good(&tx, row.id, hash).await?;
            if new_hash.is_some() {
                rehash(&tx, row.id, hash, new_hash).await?;
                self.note_rehash(&mut tx, cx, row.id, roles).await?;
            }
            self.no_failure(&tx, tried).await?;
            if let Some(proof) = &client.proof {
                use_proof(&tx, cx, proof).await?;
            }
            tx.insert_ticket(&ticket).await?;
            tx.commit().await?;
            return Ok(LoginAnswer::MfaRequired {
                mfa_token: token,
                methods,
            });
        }
        // An operator without a factor, and a printed password, lead nowhere on their own.
        let printed = row
            .password
            .as_ref()
            .is_some_and(|password| password.initial_until.is_some());
        if operator || printed {
            return Err(invalid_credentials());
        }
        let opening = self
            .open_session(
                cx,
                client,
                row.id,
                roles,
                Assurance::Aal1,
                BY_PASSWORD,
                tried.subject,
            )
            .await?;
        let mut tx = self.store.write(Scope::System).await?;
        still_good(&tx, row.id, hash).await?;
        still_without_factor(&tx, row.id).await?;
        rehash(&tx, row.id, hash, new_hash).await?;
        self.write_session(&mut tx, &opening).await?;
        tx.commit().await?;
        Ok(LoginAnswer::Session(Box::new(self.token_set(opening))))
    }

    /// The record of a password's hash that was made anew where no session begins yet.
    async fn note_rehash(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        person: UserId,
        roles: Vec<Role>,
    ) -> Result<(), Error> {
        let me = self.cx_as(cx, person, roles, Assurance::Aal1).await?;
        let permit = authorize(&me, Action::CredentialChange, Resource::OwnedBy(person))?;
        let entry = Entry {
            object: Object::User(person),
            outcome: "ok",
            details: Details::json(r#"{"credential":"password","hash":"renewed"}"#),
        };
        self.recorder.append(tx, &me, &permit, entry).await
    }

    /// What would do as a second factor; nothing where there is none.
    pub(crate) async fn factor_methods(
        &self,
        person: UserId,
        now: Timestamp,
    ) -> Result<Vec<&'static str>, Error> {
        let factors = self.store.totp_factors(person).await?;
        let counts = self.store.factor_counts(person).await?;
        let totp = factors
            .iter()
            .any(|factor| factor.state != FactorState::Pending && !over(factor.expires_at, now));
        let bound = totp || counts.passkeys > 0;
        let offered = [
            ("totp", totp),
            ("passkey", counts.passkeys > 0),
            ("recovery_code", bound && counts.recovery_codes > 0),
        ];
        Ok(offered
            .into_iter()
            .filter_map(|(method, offered)| offered.then_some(method))
            .collect())
    }

    /// The shown device mark, if this bank gave it to this person. Asks the same for nobody.
    pub(crate) async fn known_device(
        &self,
        person: UserId,
        client: &Client,
    ) -> Result<Option<[u8; 32]>, Error> {
        let mark = client
            .device
            .as_deref()
            .and_then(|text| self.ring().read_device_mark(text));
        let hash = mark
            .as_ref()
            .map_or([0; 32], |mark| mark.bound_to(*person.as_bytes()));
        let known = self.store.is_device_of(person, &hash).await?;
        Ok((known && mark.is_some()).then_some(hash))
    }

    /// A ticket to be stored, and the token that its holder shows.
    pub(crate) fn new_ticket(
        &self,
        cx: &Cx,
        person: UserId,
        subject: Subject,
        kind: TicketKind,
    ) -> (Ticket, SecretString) {
        let token = random::token();
        let ticket = Ticket {
            hash: fingerprint(token.expose_secret()),
            person,
            subject,
            kind,
            external: false,
            holder: None,
            created_at: cx.now(),
            expires_at: cx.now().plus_seconds(TICKET_SECS),
        };
        (ticket, token)
    }

    /// The call in the name of somebody who has just proved to be that person.
    pub(crate) async fn cx_as(
        &self,
        cx: &Cx,
        person: UserId,
        roles: Vec<Role>,
        assurance: Assurance,
    ) -> Result<Cx, Error> {
        let caller = Caller {
            principal: Principal::User(person),
            session: None,
            origin: cx.caller.origin,
        };
        let rights = Arc::new(Rights {
            roles,
            ..Rights::default()
        });
        let epoch = self.caught_up().await?;
        Ok(Cx::new(caller, rights, assurance, cx.request, cx.now(), epoch)
            .at_address(cx.address, cx.network)
            .by_agent_of(cx)
            .under(self.policies.current()))
    }

    /// Prepares a session: everything that can be done before the transaction.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is something else, and the callers have them apart"
    )]
    pub(crate) async fn open_session(
        &self,
        cx: &Cx,
        client: &Client,
        person: UserId,
        roles: Vec<Role>,
        assurance: Assurance,
        methods: &'static [&'static str],
        subject: Subject,
    ) -> Result<Opening, Error> {
        let operator = roles.iter().any(|role| role.is_operator());
        let lifetime = if operator {
            SESSION_OPERATOR_SECS
        } else {
            SESSION_CUSTOMER_SECS
        };
        let id: SessionId = cx.new_id();
        let mut me = self.cx_as(cx, person, roles, assurance).await?;
        me.caller.session = Some(id);
        let permit = authorize(&me, Action::SessionCreate, Resource::OwnedBy(person))?;
        let refresh = self.ring().refresh_first(*id.as_bytes());
        let known = self.known_device(person, client).await?;
        let mark = known.is_none().then(|| self.ring().issue_device_mark());
        let device_hash = known.or_else(|| mark.as_ref().map(|mark| mark.bound_to(*person.as_bytes())));
        let key = self.people.key_of(person).await?;
        let sealed_device = device_hash.map(|hash| sealed_agent(&key, &hash, &client.user_agent));
        let new = NewSession {
            id,
            person,
            assurance,
            methods: methods.join(" "),
            created_at: cx.now(),
            expires_at: cx.now().plus_seconds(lifetime),
            device_hash,
            sealed_client: client.seal(&key, &id),
            refresh_hash: refresh.hash(),
            proved_at: None,
            holder: client.proof.as_ref().map(|proof| proof.holder),
        };
        Ok(Opening {
            cx: me,
            permit,
            new,
            refresh,
            mark,
            cookie: client.browser.then(random::token),
            proof: client.proof.clone(),
            subject,
            methods,
            address: client.address.clone(),
            sealed_device,
        })
    }

    /// Writes a session with its record; the count of tries begins anew, for all factors were right.
    pub(crate) async fn write_session(&self, tx: &mut WriteTx, opening: &Opening) -> Result<(), Error> {
        let Opening { new, .. } = opening;
        if opening.mark.is_some() && self.has_logged_in(tx, new).await? {
            self.mail_new_device(tx, new.person, &opening.address, new.created_at)
                .await?;
        }
        if let Some(proof) = &opening.proof {
            use_proof(tx, &opening.cx, proof).await?;
        }
        tx.insert_session(new).await?;
        if let Some(cookie) = &opening.cookie {
            tx.insert_browser_session(&fingerprint(cookie.expose_secret()), new.id)
                .await?;
        }
        match (&opening.mark, &new.device_hash, &opening.sealed_device) {
            (Some(_), Some(hash), Some(sealed)) => {
                tx.insert_device(new.person, hash, sealed, new.created_at).await?;
            }
            (None, Some(hash), _) => tx.touch_device(new.person, hash, new.created_at).await?,
            _ => {}
        }
        tx.clear_guesses(&opening.subject).await?;
        let entry = Entry {
            object: Object::Other("session", *new.id.as_bytes()),
            outcome: "ok",
            details: Details::json(&format!(r#"{{"methods":"{}"}}"#, new.methods)),
        };
        self.recorder
            .append(tx, &opening.cx, &opening.permit, entry)
            .await
    }
}

impl Bank {
    /// Whether this is not the first login of somebody who has just come: then a device that nobody knows is news.
    async fn has_logged_in(&self, tx: &WriteTx, new: &NewSession) -> Result<bool, Error> {
        let since = new.created_at.plus_seconds(-NEWCOMER_SECS);
        let newcomer = tx
            .user(new.person)
            .await?
            .is_some_and(|row| row.created_at > since);
        Ok(!newcomer || tx.has_session(new.person).await?)
    }
}

/// Whether the time of something that may have an end is over.
pub(crate) fn over(end: Option<Timestamp>, now: Timestamp) -> bool {
    end.is_some_and(|end| now >= end)
}

fn may_log_in(row: &LoginRow, now: Timestamp) -> bool {
    let printed = row.password.as_ref().and_then(|password| password.initial_until);
    row.state == UserState::Active && !over(printed, now)
}

/// Inside the transaction: nobody stopped the person or changed the password since it was read.
pub(crate) async fn still_good(tx: &WriteTx, person: UserId, hash: &str) -> Result<(), Error> {
    let active = tx
        .lock_user(person)
        .await?
        .is_some_and(|user| user.state == UserState::Active);
    if active && tx.has_password(person, hash).await? {
        Ok(())
    } else {
        Err(invalid_credentials())
    }
}

/// Inside the transaction, after [`still_good`] or its like has locked the person: no factor was bound since it was
/// looked for. What is bound ends the sessions that there are; one that began beside it would live on without it.
pub(crate) async fn still_without_factor(tx: &WriteTx, person: UserId) -> Result<(), Error> {
    let counts = tx.factor_counts(person).await?;
    if counts.totp == 0 && counts.passkeys == 0 {
        Ok(())
    } else {
        Err(invalid_credentials())
    }
}

async fn rehash(tx: &WriteTx, person: UserId, old: &str, new: Option<StoredHash>) -> Result<(), Error> {
    if let Some(new) = new {
        tx.refresh_password(person, old, &new.to_text()).await?;
    }
    Ok(())
}
