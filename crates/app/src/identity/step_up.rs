//! Step-up: a factor proved again, inside a session.
//!
//! It does one of two things. For settings it replaces the session by one that counts as freshly proved for five
//! minutes ([`require_recent_proof`]). For money it approves one request: the challenge that the refused request was
//! answered with stands for this session, this verb and these fields, and the books spend the approval in the commit
//! that it approves. Neither does the other's work. A password counts only where there is no factor, and never for
//! money; a factor that is new on an old login approves none for a day. Five wrong proofs end the session.

use std::sync::Arc;

use strongroom_crypto::{
    Challenge, ExposeSecret, SecretString, StoredHash, random, token::fingerprint, totp,
};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{PasskeyId, SessionId, StepUpId, UserId},
    ledger::StepUpClaim,
    money::{Amount, Currency},
    principal::Principal,
    time::Timestamp,
};
use strongroom_store::{
    Revoked, Scope, WriteTx,
    identity::{FactorState, NewSession, NewStepUp, SessionRow, TotpRow, UserState},
};

use crate::{
    audit::record::Entry,
    authority::authorize::{Permit, Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::{
        auth_state::refused,
        guess::Tried,
        login::{invalid_credentials, still_good},
        passkeys::spend_passkey,
        personal::{Client, totp_place},
        token_set::{TokenSet, lifetime},
    },
    mail::MailKind,
};

/// How long a fresh proof counts, for settings and for the request that it approves, in seconds.
pub const STEP_UP_SECS: i64 = 5 * 60;
/// Wrong proofs that end a session.
pub const STEP_UP_FAILURES_MAX: i64 = 5;
/// How long a new factor of an old login approves no money, and how old an old login is, in seconds.
pub const NEW_FACTOR_SECS: i64 = 24 * 60 * 60;

/// What is shown as a proof.
#[derive(Debug)]
pub enum ShownFactor {
    /// The password: for settings, where there is no factor.
    Password(SecretString),
    /// A time-based code.
    Totp(SecretString),
    /// What an authenticator answered to options of this session.
    Passkey(serde_json::Value),
}

/// What a step-up comes to.
#[derive(Debug)]
pub enum SteppedUp {
    /// For settings: the session that replaces the one that asked.
    Settings(Box<TokenSet>),
    /// The request of the challenge is approved, once.
    Approved,
}

/// A proof that was found right, to be spent in the transaction that it counts in.
pub(crate) enum Proved {
    Password(String),
    Totp(TotpRow, u64),
    Passkey {
        id: PasskeyId,
        sealed: Vec<u8>,
        counter: u32,
    },
}

impl Proved {
    const fn name(&self) -> &'static str {
        match self {
            Self::Password(_) => "pwd",
            Self::Totp(..) => "otp",
            Self::Passkey { .. } => "passkey",
        }
    }
}

/// Allows a change of settings to whoever proved a factor again in the last five minutes, and to those who hold the
/// data directory. An integration's key cannot.
///
/// # Errors
/// `step_up_required`; `forbidden` for integrations.
pub fn require_recent_proof(cx: &Cx) -> Result<(), Error> {
    fresh(cx, cx.proofs.proved_at)
}

/// Allows what a login of the last five minutes is enough for, or a factor proved again: binding a factor.
///
/// # Errors
/// `step_up_required`; `forbidden` for integrations.
pub fn require_recent_login(cx: &Cx) -> Result<(), Error> {
    fresh(cx, cx.proofs.proved_at.max(cx.proofs.login_at))
}

fn fresh(cx: &Cx, proved_at: Option<Timestamp>) -> Result<(), Error> {
    match cx.caller.principal {
        Principal::Job | Principal::Cli(_) => Ok(()),
        Principal::User(_) if proved_at.is_some_and(|at| cx.now().seconds_since(at) < STEP_UP_SECS) => Ok(()),
        Principal::User(_) => Err(Error::step_up_required(None)),
        Principal::ApiKey { .. } => Err(Error::forbidden()),
        Principal::Anonymous => Err(Error::unauthenticated()),
    }
}

/// Whether a factor may approve money already: it is a day old, or was bound in the first day of its login.
pub(crate) fn approves_money(activated_at: Timestamp, user_created_at: Timestamp, now: Timestamp) -> bool {
    now.seconds_since(activated_at) >= NEW_FACTOR_SECS
        || activated_at.seconds_since(user_created_at) < NEW_FACTOR_SECS
}

/// Whether an amount is above a bound in whole units of its currency.
pub(crate) fn is_above(amount: Amount, currency: Currency, units: u64) -> bool {
    u128::from(amount.minor().unsigned_abs()) > units_in(currency, units)
}

/// Whole units of a currency in minor units.
pub(crate) fn units_in(currency: Currency, units: u64) -> u128 {
    10_u128
        .checked_pow(u32::from(currency.exponent()))
        .and_then(|minor| minor.checked_mul(u128::from(units)))
        .unwrap_or(u128::MAX)
}

impl Bank {
    /// Whether a movement needs a fresh factor, and the approval that there is for it.
    pub(crate) async fn step_up_for(
        &self,
        cx: &Cx,
        amount: Amount,
        currency: Currency,
        fields: &[Vec<u8>],
    ) -> Result<Option<StepUpClaim>, Error> {
        let settings = &self.identity.settings;
        let Principal::User(me) = cx.caller.principal else {
            return Ok(None);
        };
        if !is_above(amount, currency, settings.step_up_transfer_over) || !self.confirms(me).await? {
            return Ok(None);
        }
        self.claim_of(cx, fields).await
    }

    /// Whether the caller has a factor to confirm with, or has to have one.
    pub(crate) async fn can_confirm(&self, cx: &Cx) -> Result<bool, Error> {
        match cx.caller.principal {
            Principal::User(me) => self.confirms(me).await,
            _ => Ok(false),
        }
    }

    async fn confirms(&self, person: UserId) -> Result<bool, Error> {
        Ok(self.identity.settings.customer_mfa_required || self.store.has_factor(person).await?)
    }

    /// What approves this request, and the approval that there is. Integrations have no factor: their keys carry bounds
    /// of their own.
    pub(crate) async fn claim_of(&self, cx: &Cx, fields: &[Vec<u8>]) -> Result<Option<StepUpClaim>, Error> {
        let (Principal::User(_), Some(session)) = (cx.caller.principal, cx.caller.session) else {
            return Ok(None);
        };
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        let request = self.keyed.request_digest(*session.as_bytes(), &fields);
        let approval = self.store.step_up(session, &request, cx.now()).await?;
        Ok(Some(StepUpClaim {
            request,
            approval,
            asked_at: cx.now(),
            no_factor: false,
        }))
    }

    /// The answer to a request that no fresh factor approved.
    pub(crate) fn challenge_for(&self, cx: &Cx, claim: Option<StepUpClaim>) -> Error {
        let (Some(session), Some(claim)) = (cx.caller.session, claim) else {
            return Error::broken("a challenge without a session or a request");
        };
        let end = cx.now().plus_seconds(STEP_UP_SECS);
        let challenge = Challenge::new(claim.request, end.micros());
        Error::step_up_required(Some(self.ring().seal_challenge(*session.as_bytes(), &challenge)))
    }

    /// Proves a factor again: without a challenge for settings, with one for the request that it stands for.
    ///
    /// # Errors
    /// `invalid_credentials` for a wrong proof, which counts as a try and ends the session at the fifth;
    /// `validation_failed` for a challenge that is not this session's or over, or a password where it does not count;
    /// `factor_too_new`; `forbidden` for integrations.
    pub async fn step_up(
        self: &Arc<Self>,
        cx: &Cx,
        client: &Client,
        shown: ShownFactor,
        challenge: Option<&str>,
    ) -> Result<SteppedUp, Error> {
        let (cx, client, challenge) = (cx.clone(), client.clone(), challenge.map(str::to_owned));
        self.detached(
            move |bank| async move { bank.prove_again(&cx, &client, shown, challenge.as_deref()).await },
        )
        .await
    }

    async fn prove_again(
        &self,
        cx: &Cx,
        client: &Client,
        shown: ShownFactor,
        challenge: Option<&str>,
    ) -> Result<SteppedUp, Error> {
        let (Principal::User(me), Some(session)) = (cx.caller.principal, cx.caller.session) else {
            return Err(Error::forbidden());
        };
        let permit = authorize(cx, Action::StepUp, Resource::OwnedBy(me))?;
        let shown_for = challenge;
        let challenge = match challenge {
            Some(text) => Some(self.open_challenge(cx, session, text)?),
            None => None,
        };
        self.check_kind(cx, me, &shown, challenge.is_some()).await?;
        let subject = self.guess_subject_of(me);
        let tried = self.take_guess(subject, Tried::Person(me), cx.now()).await?;
        let proved = match shown {
            ShownFactor::Totp(code) => self.prove_totp(cx, me, &code, tried.allowed).await?,
            ShownFactor::Passkey(_) if !tried.allowed => None,
            ShownFactor::Passkey(credential) => {
                self.prove_passkey(cx, me, session, &credential, shown_for)
                    .await?
            }
            ShownFactor::Password(password) => {
                let stored = self.store.password(me).await?.filter(|_| tried.allowed);
                let parsed = stored.as_ref().and_then(|stored| StoredHash::parse(&stored.hash));
                let looked = self.identity.passwords.verify(password, parsed.as_ref()).await;
                let verified = self.counted(&tried, looked).await?;
                stored
                    .filter(|_| verified.matches)
                    .map(|stored| Proved::Password(stored.hash))
            }
        };
        let Some(proved) = proved else {
            return self.wrong_proof(cx, &permit, me, session).await;
        };
        let tx = self.store.write(Scope::System).await?;
        if !spend_proof(&tx, cx, me, &proved).await? {
            // Somebody else was faster with the same code: it counts like a wrong one.
            drop(tx);
            return self.wrong_proof(cx, &permit, me, session).await;
        }
        let old = tx.lock_session(session).await?.filter(|row| !row.ended);
        let old = old.ok_or_else(refused)?;
        tx.clear_guesses(&subject).await?;
        match challenge {
            Some(challenge) => self.approve(tx, cx, &permit, session, &challenge, &proved).await,
            None => self.replace_session(tx, cx, client, &permit, &old, &proved).await,
        }
    }

    pub(crate) fn open_challenge(&self, cx: &Cx, session: SessionId, text: &str) -> Result<Challenge, Error> {
        self.ring()
            .open_challenge(*session.as_bytes(), text)
            .filter(|challenge| cx.now().micros() < challenge.expires_at)
            .ok_or_else(|| {
                Error::field(
                    "/challenge",
                    "invalid_value",
                    "must be the challenge of a request of this session, not older than five minutes",
                )
            })
    }

    /// What counts for what, before anything is tried.
    async fn check_kind(&self, cx: &Cx, me: UserId, shown: &ShownFactor, money: bool) -> Result<(), Error> {
        match shown {
            ShownFactor::Password(_) if money || self.store.has_factor(me).await? => Err(Error::field(
                "/method",
                "not_allowed",
                "a password approves no money, and counts for nothing where there is a second factor",
            )),
            ShownFactor::Totp(_) if money => {
                let user = self.store.user(me).await?.ok_or_else(refused)?;
                let ready = |at| approves_money(at, user.created_at, cx.now());
                // A code proves presence, not content: whoever has a passkey approves money with it.
                let passkeys = self.store.passkeys(me).await?;
                if passkeys.iter().any(|passkey| ready(passkey.created_at)) {
                    return Err(Error::field(
                        "/method",
                        "not_allowed",
                        "whoever has a passkey approves money with it",
                    ));
                }
                let factors = self.store.totp_factors(me).await?;
                match factors.iter().find_map(|factor| factor.activated_at) {
                    Some(activated) if !ready(activated) => Err(factor_too_new()),
                    _ => Ok(()),
                }
            }
            ShownFactor::Passkey(credential) if money => {
                let user = self.store.user(me).await?.ok_or_else(refused)?;
                self.check_passkey_age(cx, me, credential, user.created_at).await
            }
            _ => Ok(()),
        }
    }

    async fn prove_totp(
        &self,
        cx: &Cx,
        me: UserId,
        code: &SecretString,
        allowed: bool,
    ) -> Result<Option<Proved>, Error> {
        let factors = self.store.totp_factors(me).await?;
        let active = factors
            .into_iter()
            .find(|factor| allowed && factor.state == FactorState::Active);
        let Some(factor) = active else { return Ok(None) };
        let key = self.people.key_of(me).await?;
        let secret = key
            .open(totp_place(&factor.id), &factor.sealed_secret)
            .map_err(Error::internal)?;
        let last = (factor.last_step > 0).then_some(factor.last_step);
        let step = totp::verify(&secret, code.expose_secret(), cx.now().micros(), last);
        Ok(step.map(|step| Proved::Totp(factor, step)))
    }

    /// Counts a wrong proof against its session, and ends the session at the last one.
    async fn wrong_proof(
        &self,
        cx: &Cx,
        permit: &Permit,
        me: UserId,
        session: SessionId,
    ) -> Result<SteppedUp, Error> {
        let mut tx = self.store.write(Scope::System).await?;
        let failures = tx.count_wrong_step_up(session).await?.ok_or_else(refused)?;
        let object = Object::Other("session", *session.as_bytes());
        if failures < STEP_UP_FAILURES_MAX {
            let entry = Entry {
                object,
                outcome: "invalid_credentials",
                details: Details::json(&format!(r#"{{"failures":{failures}}}"#)),
            };
            self.recorder.append(&mut tx, cx, permit, entry).await?;
        } else {
            let permit = authorize(cx, Action::SessionEnd, Resource::OwnedBy(me))?;
            tx.end_session(session, cx.now(), "step_up_failures").await?;
            self.mail_to_person(&mut tx, me, MailKind::StepUpFailures, "")
                .await?;
            let entry = Entry {
                object,
                outcome: "ok",
                details: Details::json(r#"{"reason":"step_up_failures"}"#),
            };
            self.recorder.append(&mut tx, cx, &permit, entry).await?;
            tx.revoke(Revoked::Session(session)).await?;
        }
        tx.commit().await?;
        self.identity.mail_waits.notify_one();
        metrics::counter!("strongroom_step_ups_refused_total").increment(1);
        Err(invalid_credentials())
    }

    async fn approve(
        &self,
        mut tx: WriteTx,
        cx: &Cx,
        permit: &Permit,
        session: SessionId,
        challenge: &Challenge,
        proved: &Proved,
    ) -> Result<SteppedUp, Error> {
        let new = NewStepUp {
            id: StepUpId::from_bytes(challenge.name),
            session,
            request: challenge.request,
            approved_at: cx.now(),
            expires_at: Timestamp::from_micros(challenge.expires_at),
        };
        if !tx.insert_step_up(&new).await? {
            return Err(Error::field("/challenge", "invalid_value", "was used before"));
        }
        let entry = Entry {
            object: Object::Other("step_up", challenge.name),
            outcome: "ok",
            details: Details::json(&format!(r#"{{"method":"{}"}}"#, proved.name())),
        };
        self.recorder.append(&mut tx, cx, permit, entry).await?;
        tx.commit().await?;
        Ok(SteppedUp::Approved)
    }

    /// The session goes on under a new name: whoever else held a token of it is out.
    async fn replace_session(
        &self,
        mut tx: WriteTx,
        cx: &Cx,
        client: &Client,
        permit: &Permit,
        old: &SessionRow,
        proved: &Proved,
    ) -> Result<SteppedUp, Error> {
        let id: SessionId = cx.new_id();
        let refresh = self.ring().refresh_first(*id.as_bytes());
        let cookie = client.browser.then(random::token);
        let key = self.people.key_of(old.person).await?;
        let device_hash = old.device_hash.as_deref().and_then(|hash| hash.try_into().ok());
        let new = NewSession {
            id,
            person: old.person,
            assurance: old.assurance,
            methods: old.methods.clone(),
            created_at: cx.now(),
            // A fresh proof makes no session longer.
            expires_at: old.expires_at,
            device_hash,
            sealed_client: client.seal(&key, &id),
            refresh_hash: refresh.hash(),
            proved_at: Some(cx.now()),
            holder: old.holder,
        };
        tx.end_session(old.id, cx.now(), "step_up").await?;
        tx.insert_session(&new).await?;
        if let Some(cookie) = &cookie {
            tx.insert_browser_session(&fingerprint(cookie.expose_secret()), id)
                .await?;
        }
        let entry = Entry {
            object: Object::Other("session", *id.as_bytes()),
            outcome: "ok",
            details: Details::json(&format!(
                r#"{{"method":"{}","replaces":"{}"}}"#,
                proved.name(),
                old.id
            )),
        };
        self.recorder.append(&mut tx, cx, permit, entry).await?;
        tx.revoke(Revoked::Session(old.id)).await?;
        tx.commit().await?;
        let methods: Vec<&str> = new.methods.split(' ').collect();
        Ok(SteppedUp::Settings(Box::new(TokenSet {
            access_token: self.access_token(
                new.person,
                id,
                &methods,
                new.assurance,
                cx.now(),
                new.expires_at,
                new.holder,
            ),
            bound: new.holder.is_some(),
            expires_in: lifetime(cx.now(), new.expires_at),
            refresh_token: refresh.text(),
            session: id,
            device: None,
            cookie,
        })))
    }
}

/// Inside the transaction: of several uses of one proof, one counts.
async fn spend_proof(tx: &WriteTx, cx: &Cx, me: UserId, proved: &Proved) -> Result<bool, Error> {
    match proved {
        Proved::Password(hash) => {
            still_good(tx, me, hash).await?;
            Ok(true)
        }
        Proved::Totp(factor, step) => {
            let active = tx
                .lock_user(me)
                .await?
                .is_some_and(|user| user.state == UserState::Active);
            Ok(active && tx.use_totp_step(factor.id, *step).await?)
        }
        Proved::Passkey { id, sealed, counter } => spend_passkey(tx, cx, me, *id, sealed, *counter).await,
    }
}

pub(crate) fn factor_too_new() -> Error {
    Error::new(
        Kind::Forbidden,
        "factor_too_new",
        "This factor was bound less than a day ago: it approves no money yet.",
    )
}

#[cfg(test)]
mod tests {
    use strongroom_domain::{
        id::RequestId,
        principal::{Assurance, Caller, Origin},
    };

    use super::*;
    use crate::cx::Proofs;

    const DAY: i64 = NEW_FACTOR_SECS;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).plus_seconds(seconds)
    }

    fn cx(principal: Principal, proofs: Proofs, now: i64) -> Cx {
        let caller = Caller {
            principal,
            session: None,
            origin: Origin::Api,
        };
        let request = RequestId::from_bytes([1; 16]);
        Cx::new(caller, Arc::default(), Assurance::Aal1, request, at(now), 0).with_proofs(proofs)
    }

    #[test]
    fn a_proof_counts_for_five_minutes_and_a_login_only_where_a_login_will_do() {
        let me = Principal::User(UserId::from_bytes([1; 16]));
        let (login, proved) = (
            Proofs {
                login_at: Some(at(0)),
                proved_at: None,
            },
            Proofs {
                login_at: Some(at(-DAY)),
                proved_at: Some(at(0)),
            },
        );
        for (proofs, now, for_settings, for_binding) in [
            (login, 0, false, true),
            (login, STEP_UP_SECS - 1, false, true),
            (login, STEP_UP_SECS, false, false),
            (proved, STEP_UP_SECS - 1, true, true),
            (proved, STEP_UP_SECS, false, false),
            (Proofs::default(), 0, false, false),
        ] {
            let cx = cx(me, proofs, now);
            assert_eq!(
                require_recent_proof(&cx).is_ok(),
                for_settings,
                "{proofs:?} {now}"
            );
            assert_eq!(require_recent_login(&cx).is_ok(), for_binding, "{proofs:?} {now}");
        }
        let key = Principal::ApiKey {
            key: strongroom_domain::id::ApiKeyId::from_bytes([2; 16]),
            owner: UserId::from_bytes([1; 16]),
        };
        assert_eq!(
            require_recent_proof(&cx(key, proved, 0)).unwrap_err().code,
            "forbidden"
        );
        assert!(require_recent_proof(&cx(Principal::Cli(0), Proofs::default(), 0)).is_ok());
        assert!(require_recent_proof(&cx(Principal::Anonymous, proved, 0)).is_err());
    }

    #[test]
    fn a_new_factor_of_an_old_login_approves_no_money_for_a_day() {
        for (activated, now, may) in [
            (0, 0, true),
            (DAY - 1, DAY - 1, true),
            (DAY, DAY, false),
            (DAY, DAY * 2 - 1, false),
            (DAY, DAY * 2, true),
        ] {
            assert_eq!(
                approves_money(at(activated), at(0), at(now)),
                may,
                "{activated} {now}"
            );
        }
    }

    #[test]
    fn the_bound_is_in_whole_units_whatever_the_currency() {
        let amount = |minor| Amount::new(minor).unwrap();
        for (code, at_bound) in [("EUR", 1_000_000), ("JPY", 10_000), ("BHD", 10_000_000)] {
            let currency = Currency::parse(code).unwrap();
            assert!(!is_above(amount(at_bound), currency, 10_000), "{code}");
            assert!(is_above(amount(at_bound + 1), currency, 10_000), "{code}");
        }
        assert!(is_above(amount(1), Currency::EUR, 0));
        assert!(!is_above(
            amount(strongroom_domain::money::AMOUNT_MAX),
            Currency::EUR,
            u64::MAX
        ));
    }
}
