//! A lost factor, given back by two people of the bank: one asks, another decides.
//!
//! Who lost every factor and every recovery code proves to be that person as at the opening of the login; an
//! administrator asks for the reset and says why, another one carries it out. All factors, sessions, devices and half
//! logins of the person end. An operator gets a new printed password and a new printed code, as at the first login, and
//! decides about no requests for a day; a customer logs in by password and binds a new factor, which approves no money
//! for a day. The owner is told.

use std::sync::Arc;

use strongroom_crypto::{ExposeSecret, SecretString, random};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{ApprovalId, UserId},
    text::{MEMO_CHARS_MAX, check_line},
};
use strongroom_store::{
    Revoked, WriteTx,
    identity::{FactorState, UserState},
};

use crate::{
    audit::record::Entry,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::{
        mfa::{Enrolment, printed_until},
        operators::{NEW_CHECKER_SECS, OperatorAdded},
        registration::busy,
        step_up::require_recent_login,
    },
    mail::MailKind,
};

/// What somebody who asks for a reset says about it.
#[derive(serde::Serialize, serde::Deserialize)]
struct ResetRequest {
    user_id: String,
    reason: String,
}

/// A reset about to be carried out.
pub(crate) struct FactorReset {
    pub(crate) person: UserId,
    /// What an operator logs in with next.
    printed: Option<Printed>,
}

struct Printed {
    email: String,
    hash: String,
    shown: SecretString,
    factor: Enrolment,
}

impl FactorReset {
    /// What has to be handed over to an operator.
    pub(crate) fn ready(self) -> Option<OperatorAdded> {
        self.printed.map(|printed| OperatorAdded::Ready {
            id: self.person,
            email: printed.email,
            password: printed.shown,
            totp_uri: printed.factor.uri,
        })
    }
}

impl Bank {
    /// Asks for all factors of somebody to be taken away; another administrator decides.
    ///
    /// # Errors
    /// `not_found`; `forbidden` for others than administrators and about oneself; `validation_failed` for what is no
    /// reason; `step_up_required` without a fresh login.
    pub async fn ask_for_factor_reset(
        self: &Arc<Self>,
        cx: &Cx,
        user: UserId,
        reason: &str,
    ) -> Result<ApprovalId, Error> {
        let (cx, reason) = (cx.clone(), reason.to_owned());
        self.detached(move |bank| async move {
            authorize(&cx, Action::FactorReset, Resource::Bank)?;
            require_recent_login(&cx)?;
            check_line(&reason, MEMO_CHARS_MAX, true)
                .map_err(|error| Error::field("/reason", "invalid_value", error.to_string()))?;
            if cx.caller.principal.owner() == Some(user) {
                return Err(Error::forbidden());
            }
            bank.living(user).await?;
            let request = ResetRequest {
                user_id: user.to_string(),
                reason,
            };
            let text = serde_json::to_vec(&request).map_err(Error::internal)?;
            let details = Details::json(&format!(r#"{{"user":"{user}"}}"#));
            bank.request_approval(&cx, Action::FactorReset, &text, details)
                .await
        })
        .await
    }

    async fn living(&self, user: UserId) -> Result<(), Error> {
        match self.store.user(user).await? {
            Some(row) if row.state != UserState::Closed => Ok(()),
            _ => Err(Error::not_found()),
        }
    }

    /// What an approved reset needs before its transaction. Nobody carries out the own one.
    pub(crate) async fn prepare_reset(&self, cx: &Cx, text: &[u8]) -> Result<FactorReset, Error> {
        let request: ResetRequest = serde_json::from_slice(text).map_err(Error::internal)?;
        let person = UserId::parse(&request.user_id).map_err(Error::internal)?;
        if cx.caller.principal.owner() == Some(person) {
            return Err(Error::forbidden());
        }
        self.living(person).await?;
        let roles = self.store.roles(person).await?;
        let printed = if roles.iter().any(|role| role.is_operator()) {
            let row = self.store.user(person).await?.ok_or_else(Error::not_found)?;
            let email = self.people.profile(&row).await?.email.unwrap_or_default();
            let password = random::password();
            let shown = SecretString::from(password.expose_secret().to_owned());
            let hash = self.identity.passwords.hash(password).await.map_err(busy)?;
            Some(Printed {
                factor: self.new_factor(cx, person, FactorState::Printed).await?,
                hash: hash.to_text(),
                email,
                shown,
            })
        } else {
            None
        };
        Ok(FactorReset { person, printed })
    }

    /// Takes the factors away inside the transaction that approves the request. The person is locked.
    pub(crate) async fn reset_factors(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        reset: &FactorReset,
        approval: ApprovalId,
    ) -> Result<(), Error> {
        let permit = authorize(cx, Action::FactorReset, Resource::Bank)?;
        let person = reset.person;
        tx.delete_totp(person).await?;
        tx.delete_passkeys(person).await?;
        tx.put_recovery_codes(person, &[], cx.now()).await?;
        if let Some(printed) = &reset.printed {
            tx.set_password(person, &printed.hash, cx.now(), Some(printed_until(cx.now())))
                .await?;
            tx.put_totp(&printed.factor.row).await?;
            if !self.identity.settings.approvals_bootstrap {
                tx.set_approves_from(person, cx.now().plus_seconds(NEW_CHECKER_SECS))
                    .await?;
            }
        }
        tx.end_sessions(person, None, cx.now(), "factor_reset").await?;
        tx.drop_tickets(person).await?;
        tx.forget_devices(person).await?;
        self.clear_guesses_of(tx, person).await?;
        self.mail_to_person(tx, person, MailKind::FactorReset, "").await?;
        let entry = Entry {
            object: Object::User(person),
            outcome: "ok",
            details: Details::json(&format!(r#"{{"approval":"{approval}","factors":"reset"}}"#)),
        };
        self.recorder.append(tx, cx, &permit, entry).await?;
        tx.revoke(Revoked::User(person)).await?;
        tx.hold_to_floor(person, cx.now()).await?;
        Ok(())
    }
}
