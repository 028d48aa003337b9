//! People: what they see of themselves, and what operators may do about logins.

use std::sync::Arc;

use strongroom_crypto::data_key;
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    department::Department,
    id::{SessionId, UserId},
    principal::Role,
    text::{MEMO_CHARS_MAX, NAME_CHARS_MAX, check_line},
};
pub use strongroom_store::identity::UserState;
use strongroom_store::{
    Revoked, Scope,
    identity::{FactorState, UserRow},
};

use crate::{
    audit::record::Entry,
    authority::{
        authorize::{Resource, authorize, authorize_somewhere},
        grants::keep_an_administrator,
    },
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::{
        email::Email,
        personal::{Profile, name_place, reason_place},
        sessions::SessionDetails,
    },
};

/// A person with what belongs to the login.
#[derive(Debug, Clone)]
pub struct UserDetails {
    /// Who.
    pub profile: Profile,
    /// Roles in force.
    pub roles: Vec<Role>,
    /// Where the person works or belongs.
    pub department: Option<Department>,
    /// Whether a second factor by time-based codes is in use.
    pub totp: bool,
    /// How many passkeys there are.
    pub passkeys: u64,
}

/// What an operator does about a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginChange {
    /// Stop it for now.
    Lock,
    /// Let it in again.
    Unlock,
    /// Stop it until an administrator decides otherwise.
    Disable,
    /// Take that back.
    Enable,
}

impl LoginChange {
    const fn name(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::Disable => "disable",
            Self::Enable => "enable",
        }
    }

    /// What a state becomes; `None` where the change does not fit.
    const fn applied_to(self, state: UserState) -> Option<UserState> {
        match (self, state) {
            (Self::Lock, UserState::Active | UserState::Locked) => Some(UserState::Locked),
            (Self::Unlock, UserState::Locked | UserState::Active) => Some(UserState::Active),
            (Self::Disable, UserState::Active | UserState::Locked | UserState::Disabled) => {
                Some(UserState::Disabled)
            }
            (Self::Enable, UserState::Disabled | UserState::Active) => Some(UserState::Active),
            _ => None,
        }
    }
}

impl Bank {
    /// The caller.
    ///
    /// # Errors
    /// `unauthenticated`, `forbidden` for integrations.
    pub async fn me(&self, cx: &Cx) -> Result<UserDetails, Error> {
        let me = cx.person()?;
        authorize(cx, Action::UserRead, Resource::OwnedBy(me))?;
        let row = self.store.user(me).await?.ok_or_else(Error::not_found)?;
        self.user_details(&row).await
    }

    /// Changes the caller's name.
    ///
    /// # Errors
    /// `validation_failed` for what is no name.
    pub async fn rename_me(self: &Arc<Self>, cx: &Cx, full_name: &str) -> Result<UserDetails, Error> {
        let (cx, full_name) = (cx.clone(), full_name.to_owned());
        self.detached(move |bank| async move {
            let me = cx.person()?;
            let permit = authorize(&cx, Action::UserRename, Resource::OwnedBy(me))?;
            check_line(&full_name, NAME_CHARS_MAX, true)
                .map_err(|error| Error::field("/full_name", "invalid_value", error.to_string()))?;
            let key = bank.people.key_of(me).await?;
            let sealed = key.seal(name_place(&me), full_name.as_bytes());
            let mut tx = bank.store.write(Scope::Person(me)).await?;
            tx.set_user_name(me, &sealed).await?;
            let entry = Entry {
                object: Object::User(me),
                outcome: "ok",
                details: Details::none(),
            };
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            tx.commit().await?;
            bank.me(&cx).await
        })
        .await
    }

    /// People, newest first, or the one with this address, for operators.
    ///
    /// # Errors
    /// `forbidden` for others.
    pub async fn users(
        &self,
        cx: &Cx,
        email: Option<&str>,
        before: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<UserDetails>, Error> {
        authorize_somewhere(cx, Action::UserRead)?;
        let rows = match email {
            Some(email) => {
                let found = self
                    .store
                    .login(&Email::lenient(email).indexes(&self.ring()))
                    .await?;
                match found {
                    Some(row) => {
                        // Whoever works everywhere has been asked already.
                        if !cx.rights.within.is_empty() {
                            let beside = self.beside(cx, row.id).await?;
                            authorize(&beside, Action::UserRead, Resource::OwnedBy(row.id))?;
                        }
                        self.store.user(row.id).await?.into_iter().collect()
                    }
                    None => Vec::new(),
                }
            }
            None => {
                if !cx.rights.within.is_empty() {
                    authorize(cx, Action::UserRead, Resource::Bank)?;
                }
                self.store.users(before, limit).await?
            }
        };
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            all.push(self.user_details(row).await?);
        }
        Ok(all)
    }

    /// One person, for operators.
    ///
    /// # Errors
    /// `forbidden` for others, and for whoever works for another department; `not_found`.
    pub async fn user_of(&self, cx: &Cx, user: UserId) -> Result<UserDetails, Error> {
        let row = self.read_about(cx, Action::UserRead, user).await?;
        self.user_details(&row).await
    }

    /// The living sessions of a person, newest first, for administrators.
    ///
    /// # Errors
    /// `forbidden` for others; `not_found`.
    pub async fn sessions_of(
        &self,
        cx: &Cx,
        user: UserId,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionDetails>, Error> {
        self.read_about(cx, Action::SessionRead, user).await?;
        self.living_sessions(cx, user, before, limit).await
    }

    /// Somebody whom the caller may read about. Who may not learns nothing of who is there.
    async fn read_about(&self, cx: &Cx, action: Action, user: UserId) -> Result<UserRow, Error> {
        authorize_somewhere(cx, action)?;
        let Some(row) = self.store.user(user).await? else {
            // Whose role counts in one department is told the same of who is elsewhere and of who is nowhere.
            authorize(cx, action, Resource::Bank)?;
            return Err(Error::not_found());
        };
        let beside = self.beside(cx, user).await?;
        authorize(&beside, action, Resource::OwnedBy(user))?;
        Ok(row)
    }

    pub(crate) async fn user_details(&self, row: &UserRow) -> Result<UserDetails, Error> {
        let factors = self.store.totp_factors(row.id).await?;
        Ok(UserDetails {
            profile: self.people.profile(row).await?,
            roles: self.store.roles(row.id).await?,
            department: row.department,
            passkeys: self.store.factor_counts(row.id).await?.passkeys,
            totp: factors.iter().any(|factor| factor.state == FactorState::Active),
        })
    }

    /// Stops a login or lets it in again. Stopping ends every session before the answer.
    ///
    /// # Errors
    /// `not_found`; `forbidden` for others than administrators and about oneself; `user_state` where it does not
    /// fit.
    pub async fn change_login(
        self: &Arc<Self>,
        cx: &Cx,
        user: UserId,
        change: LoginChange,
        reason: &str,
    ) -> Result<UserDetails, Error> {
        let (cx, reason) = (cx.clone(), reason.to_owned());
        self.detached(move |bank| async move { bank.apply_change(&cx, user, change, &reason).await })
            .await
    }

    /// Ends all sessions of somebody, without stopping the login; how many there were.
    ///
    /// # Errors
    /// `not_found`; `forbidden` for others than administrators.
    pub async fn end_sessions_of(self: &Arc<Self>, cx: &Cx, user: UserId) -> Result<u64, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let permit = authorize(&cx, Action::UserLock, Resource::Bank)?;
            let mut tx = bank.store.write(Scope::Operator).await?;
            tx.lock_user(user).await?.ok_or_else(Error::not_found)?;
            let ended = tx.end_sessions(user, None, cx.now(), "ended_by_operator").await?;
            tx.drop_tickets(user).await?;
            let entry = Entry {
                object: Object::User(user),
                outcome: "ok",
                details: Details::json(&format!(r#"{{"sessions":{ended}}}"#)),
            };
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            tx.revoke(Revoked::User(user)).await?;
            tx.commit().await?;
            Ok(ended)
        })
        .await
    }

    async fn apply_change(
        &self,
        cx: &Cx,
        user: UserId,
        change: LoginChange,
        reason: &str,
    ) -> Result<UserDetails, Error> {
        let permit = authorize(cx, Action::UserLock, Resource::Bank)?;
        check_line(reason, MEMO_CHARS_MAX, true)
            .map_err(|error| Error::field("/reason", "invalid_value", error.to_string()))?;
        if cx.caller.principal.owner() == Some(user) {
            return Err(Error::forbidden());
        }
        if self.store.user(user).await?.is_none() {
            return Err(Error::not_found());
        }
        let key = self.people.key_of(user).await?;
        // The log keeps a commitment: the words are the person's, and can be erased.
        let salt = data_key::new_salt();
        let mut plain = salt.to_vec();
        plain.extend_from_slice(reason.as_bytes());
        let sealed = key.seal(reason_place(&user), &plain);
        let commitment = data_key::commitment(salt, reason.as_bytes());
        let mut tx = self.store.write(Scope::Operator).await?;
        let row = tx.lock_user(user).await?.ok_or_else(Error::not_found)?;
        let state = change.applied_to(row.state).ok_or_else(|| {
            Error::new(
                Kind::Conflict,
                "user_state",
                "The login is in a state that this does not fit.",
            )
        })?;
        // First: whoever revokes is alone, so that who administrates is counted as it is until the commit.
        tx.revoke(Revoked::User(user)).await?;
        if state != UserState::Active {
            keep_an_administrator(&tx, user).await?;
        }
        tx.set_user_state(user, state, &sealed).await?;
        if state == UserState::Active {
            self.clear_guesses_of(&tx, user).await?;
        } else {
            tx.end_sessions(user, None, cx.now(), change.name()).await?;
            tx.drop_tickets(user).await?;
        }
        let hex = strongroom_domain::text::hex(&commitment);
        let entry = Entry {
            object: Object::User(user),
            outcome: "ok",
            details: Details::json(&format!(
                r#"{{"change":"{}","reason_commitment":"{hex}","state":"{}"}}"#,
                change.name(),
                state.name()
            )),
        };
        self.recorder.append(&mut tx, cx, &permit, entry).await?;
        tx.commit().await?;
        let row = self.store.user(user).await?.ok_or_else(Error::not_found)?;
        self.user_details(&row).await
    }
}
