//! Customers that the bank itself brings in: over the counter, or with the sample bank.

use std::sync::Arc;

use strongroom_crypto::{ExposeSecret, SecretString, StoredHash};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::UserId,
    principal::Role,
    text::{NAME_CHARS_MAX, check_line},
};
use strongroom_store::{Scope, StoreError};

use crate::{
    audit::record::Entry,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::{
        email::Email,
        registration::{busy, wrong},
    },
};

/// Input of [`Bank::add_customer`].
#[derive(Debug)]
pub struct AddCustomer {
    /// The address to log in with; the caller vouches that it is the customer's.
    pub email: String,
    /// The name.
    pub full_name: String,
    /// The first password.
    pub password: FirstPassword,
}

/// What a customer who is brought in logs in with.
#[derive(Debug)]
pub enum FirstPassword {
    /// One that was chosen here.
    Chosen(SecretString),
    /// The hash that another system kept (bcrypt). The first login replaces it by one of ours.
    Imported(SecretString),
}

impl Bank {
    /// Makes a customer without the detour of a mail.
    ///
    /// # Errors
    /// `forbidden` for everybody but administrators and the command line, `validation_failed`, `email_taken`.
    pub async fn add_customer(self: &Arc<Self>, cx: &Cx, input: AddCustomer) -> Result<UserId, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move { bank.make_customer_of(&cx, input).await })
            .await
    }

    async fn make_customer_of(&self, cx: &Cx, input: AddCustomer) -> Result<UserId, Error> {
        let permit = authorize(cx, Action::UserCreate, Resource::Bank)?;
        let mut fields = Vec::new();
        let email = Email::parse(&input.email);
        if email.is_none() {
            fields.push(wrong("/email", "invalid_value", "must be an e-mail address"));
        }
        if let Err(error) = check_line(&input.full_name, NAME_CHARS_MAX, true) {
            fields.push(wrong("/full_name", "invalid_value", &error.to_string()));
        }
        let words = vec![input.email, input.full_name.clone()];
        let (chosen, imported) = match input.password {
            FirstPassword::Chosen(password) => {
                let (password, violations) = self.check_password(password, words, "/password").await?;
                fields.extend(violations);
                (Some(password), None)
            }
            FirstPassword::Imported(hash) => (None, StoredHash::import(hash.expose_secret())),
        };
        if chosen.is_none() && imported.is_none() {
            fields.push(wrong(
                "/password_hash",
                "invalid_value",
                "must be a bcrypt hash of 2^4 to 2^14 rounds",
            ));
        }
        let (Some(email), true) = (email, fields.is_empty()) else {
            return Err(Error::invalid(fields));
        };
        let taken = || {
            Error::new(
                Kind::Conflict,
                "email_taken",
                "Somebody has this address already.",
            )
        };
        if self.store.login(&email.indexes(&self.ring())).await?.is_some() {
            return Err(taken());
        }
        let hash = match (imported, chosen) {
            (Some(hash), _) => hash,
            (None, Some(password)) => self.identity.passwords.hash(password).await.map_err(busy)?,
            (None, None) => return Err(Error::broken("a customer without a password")),
        };
        let (new, _) = self.new_person(cx.new_id(), cx.now(), Some(&email), &input.full_name);
        let mut tx = self.store.write(Scope::System).await?;
        match tx.insert_user(&new).await {
            Err(StoreError::Constraint(_)) => return Err(taken()),
            other => other?,
        }
        tx.set_password(new.id, &hash.to_text(), cx.now(), None).await?;
        tx.insert_grant(cx.new_id(), new.id, Role::Customer, cx.now())
            .await?;
        let entry = Entry {
            object: Object::User(new.id),
            outcome: "ok",
            details: Details::json(r#"{"role":"customer"}"#),
        };
        self.recorder.append(&mut tx, cx, &permit, entry).await?;
        tx.commit().await?;
        Ok(new.id)
    }
}
