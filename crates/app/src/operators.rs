//! Operators are made on the command line, and prove themselves anew at their first login.
//!
//! The first administrator works at once. Afterwards a new operator is a request that an administrator approves,
//! except in development, and with `break_glass`, which every administrator is told of.

use std::sync::Arc;

use strongroom_crypto::{ExposeSecret, Place, SecretString, data_key, random};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{ApprovalId, UserId},
    principal::Role,
    text::{NAME_CHARS_MAX, check_line},
};
use strongroom_store::{
    Revoked, Scope, StoreError,
    identity::{FactorState, NewApproval},
};

use crate::{
    authorize::{Permit, Resource, authorize},
    bank::Bank,
    cx::Cx,
    email::Email,
    error::Error,
    mail::MailKind,
    mfa::printed_until,
    record::Entry,
    registration::{busy, wrong},
};

/// How long a request for an operator may be approved, in seconds.
pub const REQUEST_SECS: i64 = 7 * 24 * 60 * 60;
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

const fn approval_place(approval: &ApprovalId) -> Place<'_> {
    Place {
        table: "approvals",
        column: "sealed",
        row: approval.as_bytes(),
    }
}

#[derive(serde::Serialize)]
struct OperatorRequest<'a> {
    email: &'a str,
    full_name: &'a str,
    role: &'static str,
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
        if self.store.login(&email.indexes(&self.ring)).await?.is_some() {
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
        self.request_operator(cx, &email, &input).await
    }

    async fn write_operator(
        &self,
        cx: &Cx,
        permit: &Permit,
        email: &Email,
        input: &AddOperator,
        tell: &[UserId],
    ) -> Result<OperatorAdded, Error> {
        let (new, key) = self.new_person(cx.new_id(), cx.now(), Some(email), &input.full_name);
        let password = random::password();
        let shown = SecretString::from(password.expose_secret().to_owned());
        let hash = self.identity.passwords.hash(password).await.map_err(busy)?;
        let printed = self.enrol(cx, new.id, &key, email.as_str(), FactorState::Printed);
        let mut tx = self.store.write(Scope::Operator).await?;
        match tx.insert_user(&new).await {
            Err(StoreError::Constraint(_)) => return Err(taken()),
            other => other?,
        }
        tx.set_password(new.id, &hash.to_text(), cx.now(), Some(printed_until(cx.now())))
            .await?;
        tx.put_totp(&printed.row).await?;
        tx.insert_grant(cx.new_id(), new.id, input.role, cx.now()).await?;
        for admin in tell {
            self.mail_to_person(&mut tx, *admin, MailKind::BreakGlass, "")
                .await?;
        }
        let entry = Entry {
            object: Object::User(new.id),
            outcome: "ok",
            details: Details::json(&format!(
                r#"{{"break_glass":{},"role":"{}"}}"#,
                !tell.is_empty(),
                input.role.name()
            )),
        };
        self.recorder.append(&mut tx, cx, permit, entry).await?;
        tx.revoke(Revoked::User(new.id)).await?;
        tx.commit().await?;
        if !tell.is_empty() {
            self.identity.mail_waits.notify_one();
            tracing::warn!(operator = %new.id, role = input.role.name(), "an operator was made without approval");
        }
        Ok(OperatorAdded::Ready {
            id: new.id,
            email: email.as_str().to_owned(),
            password: shown,
            totp_uri: printed.uri,
        })
    }

    async fn request_operator(
        &self,
        cx: &Cx,
        email: &Email,
        input: &AddOperator,
    ) -> Result<OperatorAdded, Error> {
        let permit = authorize(cx, Action::ApprovalRequest, Resource::Bank)?;
        let id: ApprovalId = cx.new_id();
        let request = OperatorRequest {
            email: email.as_str(),
            full_name: &input.full_name,
            role: input.role.name(),
        };
        let text = serde_json::to_vec(&request).map_err(Error::internal)?;
        let salt = data_key::new_salt();
        let mut plain = salt.to_vec();
        plain.extend_from_slice(&text);
        let approval = NewApproval {
            id,
            action: Action::UserCreate.name(),
            maker_kind: cx.caller.principal.tag(),
            maker: cx.caller.principal.id_bytes(),
            sealed: self.ring.seal(approval_place(&id), &plain),
            digest: data_key::commitment(salt, &text),
            created_at: cx.now(),
            expires_at: cx.now().plus_seconds(REQUEST_SECS),
        };
        let mut tx = self.store.write(Scope::Operator).await?;
        tx.insert_approval(&approval).await?;
        let entry = Entry {
            object: Object::Other("approval", *id.as_bytes()),
            outcome: "ok",
            details: Details::json(&format!(r#"{{"role":"{}"}}"#, input.role.name())),
        };
        self.recorder.append(&mut tx, cx, &permit, entry).await?;
        tx.commit().await?;
        Ok(OperatorAdded::Requested { approval: id })
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
