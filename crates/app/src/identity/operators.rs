//! Operators are made on the command line, and prove themselves anew at their first login.
//!
//! The first administrator works at once. Afterwards a new operator is a request that an administrator approves,
//! except in development, and with `break_glass`, which every administrator is told of.

use std::sync::Arc;

use strongroom_crypto::{ExposeSecret, SecretString, random};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{ApprovalId, UserId},
    principal::Role,
    text::{NAME_CHARS_MAX, check_line},
    time::Timestamp,
};
use strongroom_store::{NewUser, Revoked, Scope, StoreError, WriteTx, identity::FactorState};

use crate::{
    audit::record::Entry,
    authority::authorize::{Permit, Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::{
        email::Email,
        mfa::{Enrolment, printed_until},
        registration::{busy, wrong},
        step_up::require_recent_login,
    },
    mail::MailKind,
    security::catalogue::SecurityEventKind,
};

/// How long a new operator decides about no requests of others, in seconds.
pub const NEW_CHECKER_SECS: i64 = 24 * 60 * 60;
/// Administrators who are told of a broken glass.
const TOLD_MAX: u32 = 100;

/// Input of [`Bank::add_operator`].
#[derive(Debug, Clone)]
pub struct AddOperator {
    /// The address.
    pub email: String,
    /// The name.
    pub full_name: String,
    /// The role.
    pub role: Role,
    /// Do without the approval of another, and tell everybody.
    pub break_glass: bool,
}

/// What became of it.
#[derive(Debug)]
pub enum OperatorAdded {
    /// The operator may log in with these, once, within a day.
    Ready {
        /// The operator.
        id: UserId,
        /// The address.
        email: String,
        /// To be replaced at the first login.
        password: SecretString,
        /// To be replaced at the first login.
        totp_uri: SecretString,
    },
    /// Somebody else has to approve.
    Requested {
        /// The request.
        approval: ApprovalId,
    },
}

/// What somebody who asks for an operator says about it.
#[derive(serde::Serialize, serde::Deserialize)]
struct OperatorRequest {
    email: String,
    full_name: String,
    role: String,
}

impl Bank {
    /// Makes an operator, or asks for one.
    ///
    /// # Errors
    /// `validation_failed` for wrong fields and an address that is taken; `forbidden` for whom the rules do not
    /// allow it.
    pub async fn add_operator(self: &Arc<Self>, cx: &Cx, input: AddOperator) -> Result<OperatorAdded, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move { bank.make_operator(&cx, input).await })
            .await
    }

    async fn make_operator(&self, cx: &Cx, input: AddOperator) -> Result<OperatorAdded, Error> {
        let permit = authorize(cx, Action::UserCreate, Resource::Bank)?;
        let email = check_operator(&input)?;
        if self.store.login(&email.indexes(&self.ring())).await?.is_some() {
            return Err(taken());
        }
        let admins = self.store.holders(Role::Admin, TOLD_MAX).await?;
        let first = admins.is_empty() && input.role == Role::Admin;
        if first || self.identity.settings.operators_at_once {
            return self.write_operator(cx, &permit, &email, &input, &[]).await;
        }
        if input.break_glass {
            return self.write_operator(cx, &permit, &email, &input, &admins).await;
        }
        let approval = self.request_operator(cx, &email, &input).await?;
        Ok(OperatorAdded::Requested { approval })
    }

    async fn write_operator(
        &self,
        cx: &Cx,
        permit: &Permit,
        email: &Email,
        input: &AddOperator,
        tell: &[UserId],
    ) -> Result<OperatorAdded, Error> {
        let prepared = self
            .prepare_operator(cx, email, &input.full_name, input.role)
            .await?;
        let mut tx = self.store.write(Scope::Operator).await?;
        for admin in tell {
            self.mail_to_person(&mut tx, *admin, MailKind::BreakGlass, "")
                .await?;
        }
        let details = Details::json(&format!(
            r#"{{"break_glass":{},"role":"{}"}}"#,
            !tell.is_empty(),
            input.role.name()
        ));
        self.insert_operator(&mut tx, cx, permit, &prepared, details)
            .await?;
        let kind = if tell.is_empty() {
            SecurityEventKind::OperatorAdded
        } else {
            SecurityEventKind::OperatorForced
        };
        let id = prepared.new.id;
        self.raise_within(&mut tx, cx, kind, *id.as_bytes()).await?;
        tx.commit().await?;
        self.note(cx, kind, Some((id.to_string(), *id.as_bytes())));
        if !tell.is_empty() {
            self.identity.mail_waits.notify_one();
        }
        Ok(prepared.ready())
    }

    /// Everything that can be done before the transaction that makes an operator.
    async fn prepare_operator(
        &self,
        cx: &Cx,
        email: &Email,
        full_name: &str,
        role: Role,
    ) -> Result<NewOperator, Error> {
        let (new, key) = self.new_person(cx.new_id(), cx.now(), Some(email), full_name);
        let password = random::password();
        let shown = SecretString::from(password.expose_secret().to_owned());
        let hash = self.identity.passwords.hash(password).await.map_err(busy)?;
        let printed = self.enrol(cx, new.id, &key, email.as_str(), FactorState::Printed);
        // Whoever is the first has nobody who could wait for anything.
        let first = role == Role::Admin && self.store.holders(Role::Admin, 1).await?.is_empty();
        let waits = !first && !self.identity.settings.approvals_bootstrap;
        Ok(NewOperator {
            approves_from: waits.then(|| cx.now().plus_seconds(NEW_CHECKER_SECS)),
            email: email.as_str().to_owned(),
            hash: hash.to_text(),
            shown,
            printed,
            role,
            new,
        })
    }

    async fn insert_operator(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        permit: &Permit,
        prepared: &NewOperator,
        details: Details,
    ) -> Result<(), Error> {
        let id = prepared.new.id;
        match tx.insert_user(&prepared.new).await {
            Err(StoreError::Constraint(_)) => return Err(taken()),
            other => other?,
        }
        tx.set_password(id, &prepared.hash, cx.now(), Some(printed_until(cx.now())))
            .await?;
        tx.put_totp(&prepared.printed.row).await?;
        tx.insert_grant(cx.new_id(), id, prepared.role, cx.now()).await?;
        if let Some(from) = prepared.approves_from {
            tx.set_approves_from(id, from).await?;
        }
        let entry = Entry {
            object: Object::User(id),
            outcome: "ok",
            details,
        };
        self.recorder.append(tx, cx, permit, entry).await?;
        tx.revoke(Revoked::User(id)).await?;
        Ok(())
    }

    /// Asks for an operator, whoever else there is: another administrator decides.
    ///
    /// # Errors
    /// `validation_failed` for wrong fields and an address that is taken; `forbidden` for whom the rules do not
    /// allow it; `step_up_required` without a fresh login.
    pub async fn ask_for_operator(
        self: &Arc<Self>,
        cx: &Cx,
        input: AddOperator,
    ) -> Result<ApprovalId, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            authorize(&cx, Action::UserCreate, Resource::Bank)?;
            require_recent_login(&cx)?;
            let email = check_operator(&input)?;
            if bank.store.login(&email.indexes(&bank.ring())).await?.is_some() {
                return Err(taken());
            }
            bank.request_operator(&cx, &email, &input).await
        })
        .await
    }

    async fn request_operator(
        &self,
        cx: &Cx,
        email: &Email,
        input: &AddOperator,
    ) -> Result<ApprovalId, Error> {
        let request = OperatorRequest {
            email: email.as_str().to_owned(),
            full_name: input.full_name.clone(),
            role: input.role.name().to_owned(),
        };
        let text = serde_json::to_vec(&request).map_err(Error::internal)?;
        let details = Details::json(&format!(r#"{{"role":"{}"}}"#, input.role.name()));
        self.request_approval(cx, Action::UserCreate, &text, details)
            .await
    }

    /// What an approved request for an operator needs before its transaction.
    pub(crate) async fn prepare_requested(&self, cx: &Cx, text: &[u8]) -> Result<NewOperator, Error> {
        let request: OperatorRequest = serde_json::from_slice(text).map_err(Error::internal)?;
        let email = Email::parse(&request.email);
        let role = Role::parse(&request.role).filter(|role| role.is_operator());
        let (email, role) = email
            .zip(role)
            .ok_or_else(|| Error::broken("a request for an operator that cannot be one"))?;
        self.prepare_operator(cx, &email, &request.full_name, role).await
    }

    /// Makes the operator inside the transaction that approves the request.
    pub(crate) async fn insert_requested(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        prepared: &NewOperator,
        approval: ApprovalId,
    ) -> Result<(), Error> {
        let permit = authorize(cx, Action::UserCreate, Resource::Bank)?;
        let details = Details::json(&format!(
            r#"{{"approval":"{approval}","role":"{}"}}"#,
            prepared.role.name()
        ));
        self.insert_operator(tx, cx, &permit, prepared, details).await
    }
}

/// An operator about to be made.
pub(crate) struct NewOperator {
    new: NewUser,
    email: String,
    hash: String,
    shown: SecretString,
    printed: Enrolment,
    role: Role,
    approves_from: Option<Timestamp>,
}

impl NewOperator {
    /// Who it will be.
    pub(crate) const fn id(&self) -> UserId {
        self.new.id
    }

    /// What has to be handed over.
    pub(crate) fn ready(self) -> OperatorAdded {
        OperatorAdded::Ready {
            id: self.new.id,
            email: self.email,
            password: self.shown,
            totp_uri: self.printed.uri,
        }
    }
}

fn taken() -> Error {
    Error::field("/email", "taken", "belongs to somebody already")
}

fn check_operator(input: &AddOperator) -> Result<Email, Error> {
    let mut fields = Vec::new();
    let email = Email::parse(&input.email);
    if email.is_none() {
        fields.push(wrong("/email", "invalid_value", "must be an e-mail address"));
    }
    if let Err(error) = check_line(&input.full_name, NAME_CHARS_MAX, true) {
        fields.push(wrong("/name", "invalid_value", &error.to_string()));
    }
    if !input.role.is_operator() {
        fields.push(wrong("/role", "invalid_value", "must be an operator's role"));
    }
    email
        .filter(|_| fields.is_empty())
        .ok_or_else(|| Error::invalid(fields))
}
