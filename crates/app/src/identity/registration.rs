//! Registration: an address is proved before it is anybody's.
//!
//! Every attempt is a record of its own with its own password and token, so nobody can plant a password on
//! another's address: whoever opens the mail must also know the password of that very attempt. The caller hears the
//! same and causes the same work whether or not the address is taken; what differs is done later, by a job.

use std::sync::Arc;

use strongroom_crypto::{
    DataKey, ExposeSecret, Place, SecretString, StoredHash, password, random, token::fingerprint,
};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{RegistrationId, UserId},
    principal::{Assurance, Role},
    text::{NAME_CHARS_MAX, check_line},
    time::Timestamp,
};
use strongroom_store::{NewUser, Scope, StoreError, WriteTx, identity::RegistrationRow};

use crate::{
    audit::record::Entry,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::{Error, FieldError},
    identity::{
        email::Email,
        login::invalid_credentials,
        personal::{email_place, name_place},
    },
    mail::{MailKind, MailParams},
};

/// How long the address may be proved, in seconds.
pub const REGISTRATION_SECS: i64 = 24 * 60 * 60;
/// Tries at the password of one registration.
const TRIES_MAX: u32 = 5;
/// Registrations that one run of the job looks at.
const JOB_ROWS_MAX: u32 = 100;

/// Input of [`Bank::register`].
#[derive(Debug)]
pub struct Register {
    /// The address as typed.
    pub email: String,
    /// The password.
    pub password: SecretString,
    /// The name.
    pub full_name: String,
}

/// Address and name of a registration, before there is a person with a key.
#[derive(serde::Serialize, serde::Deserialize)]
struct Applicant {
    email: String,
    full_name: String,
}

const fn applicant_place(registration: &RegistrationId) -> Place<'_> {
    Place {
        table: "registrations",
        column: "sealed",
        row: registration.as_bytes(),
    }
}

impl Bank {
    /// Takes an attempt to register. The answer is the same for an address that is taken.
    ///
    /// # Errors
    /// `validation_failed` with every wrong field; `overloaded` when too many passwords are being hashed.
    pub async fn register(self: &Arc<Self>, cx: &Cx, input: Register) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move { bank.take_registration(&cx, input).await })
            .await
    }

    async fn take_registration(&self, cx: &Cx, input: Register) -> Result<(), Error> {
        let mut fields = Vec::new();
        let email = Email::parse(&input.email);
        if email.is_none() {
            fields.push(wrong("/email", "invalid_value", "must be an e-mail address"));
        }
        if let Err(error) = check_line(&input.full_name, NAME_CHARS_MAX, true) {
            fields.push(wrong("/full_name", "invalid_value", &error.to_string()));
        }
        let words = vec![input.email, input.full_name.clone()];
        let (password, violations) = self.check_password(input.password, words, "/password").await?;
        fields.extend(violations);
        let (Some(email), true) = (email, fields.is_empty()) else {
            return Err(Error::invalid(fields));
        };
        let hash = self.identity.passwords.hash(password).await.map_err(busy)?;
        let id: RegistrationId = cx.new_id();
        let applicant = Applicant {
            email: email.as_str().to_owned(),
            full_name: input.full_name,
        };
        let text = serde_json::to_vec(&applicant).map_err(Error::internal)?;
        let row = RegistrationRow {
            id,
            email_index: email.index(&self.ring()),
            sealed: self.ring().seal(applicant_place(&id), &text),
            password_hash: hash.to_text(),
            failures: 0,
            created_at: cx.now(),
            expires_at: cx.now().plus_seconds(REGISTRATION_SECS),
        };
        let tx = self.store.write(Scope::System).await?;
        tx.insert_registration(&row).await?;
        tx.commit().await?;
        self.identity.mail_waits.notify_one();
        Ok(())
    }

    /// Makes a registration a person: the token from the mail and the password of that registration.
    ///
    /// # Errors
    /// `invalid_credentials` whatever is wrong.
    pub async fn verify_email(
        self: &Arc<Self>,
        cx: &Cx,
        token: SecretString,
        password: SecretString,
    ) -> Result<UserId, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move { bank.prove_address(&cx, &token, password).await })
            .await
    }

    async fn prove_address(
        &self,
        cx: &Cx,
        token: &SecretString,
        password: SecretString,
    ) -> Result<UserId, Error> {
        let row = self
            .store
            .registration(&fingerprint(token.expose_secret()))
            .await?
            .filter(|row| cx.now() < row.expires_at);
        let counted = RegistrationId::from_bytes(row.as_ref().map_or([0; 16], |row| *row.id.as_bytes()));
        let tx = self.store.write(Scope::System).await?;
        let allowed = tx.try_registration(counted, TRIES_MAX).await?;
        tx.commit().await?;
        let stored = row
            .as_ref()
            .filter(|_| allowed)
            .and_then(|row| StoredHash::parse(&row.password_hash));
        let verified = self
            .identity
            .passwords
            .verify(password, stored.as_ref())
            .await
            .map_err(busy)?;
        match row.filter(|_| verified.matches) {
            Some(row) => self.make_customer(cx, row).await,
            None => Err(invalid_credentials()),
        }
    }

    async fn make_customer(&self, cx: &Cx, row: RegistrationRow) -> Result<UserId, Error> {
        let plain = self
            .ring()
            .open(applicant_place(&row.id), &row.sealed)
            .map_err(Error::internal)?;
        let applicant: Applicant = serde_json::from_slice(plain.expose()).map_err(Error::internal)?;
        let email = Email::lenient(&applicant.email);
        // Under an older key of the index, too; under the present one the table itself refuses a second person.
        let taken = self.store.login(&email.indexes(&self.ring())).await?.is_some();
        let (new, _) = self.new_person(cx.new_id(), cx.now(), Some(&email), &applicant.full_name);
        let me = self
            .cx_as(cx, new.id, vec![Role::Customer], Assurance::Aal1)
            .await?;
        let permit = authorize(&me, Action::UserRegister, Resource::OwnedBy(new.id))?;
        let mut tx = self.store.write(Scope::System).await?;
        // Of several at once one takes the record away and goes on.
        if !tx.delete_registration(row.id).await? || taken {
            return Err(invalid_credentials());
        }
        match tx.insert_user(&new).await {
            Err(StoreError::Constraint(_)) => return Err(invalid_credentials()),
            other => other?,
        }
        tx.set_password(new.id, &row.password_hash, cx.now(), None)
            .await?;
        tx.insert_grant(cx.new_id(), new.id, Role::Customer, cx.now())
            .await?;
        tx.delete_registrations(&row.email_index).await?;
        let entry = Entry {
            object: Object::User(new.id),
            outcome: "ok",
            details: Details::json(r#"{"role":"customer"}"#),
        };
        self.recorder.append(&mut tx, &me, &permit, entry).await?;
        tx.commit().await?;
        Ok(new.id)
    }

    /// A person to be stored, with a key of its own.
    pub(crate) fn new_person(
        &self,
        id: UserId,
        now: Timestamp,
        email: Option<&Email>,
        full_name: &str,
    ) -> (NewUser, DataKey) {
        let (key, wrapped_key) = self.people.new_key(id);
        let new = NewUser {
            id,
            email_index: email.map(|email| email.index(&self.ring())),
            sealed_email: email.map(|email| key.seal(email_place(&id), email.as_str().as_bytes())),
            sealed_name: Some(key.seal(name_place(&id), full_name.as_bytes())),
            wrapped_key,
            created_at: now,
        };
        (new, key)
    }

    /// Gives waiting registrations their token and mail, or tells the owner of a taken address. Part of the mail
    /// job.
    pub(crate) async fn answer_registrations(&self) -> Result<usize, Error> {
        let rows = self.store.waiting_registrations(JOB_ROWS_MAX).await?;
        for row in &rows {
            let plain = self
                .ring()
                .open(applicant_place(&row.id), &row.sealed)
                .map_err(Error::internal)?;
            let applicant: Applicant = serde_json::from_slice(plain.expose()).map_err(Error::internal)?;
            let indexes = Email::lenient(&applicant.email).indexes(&self.ring());
            let owner = self.store.login(&indexes).await?;
            let mut tx = self.store.write(Scope::System).await?;
            let params = MailParams {
                to: applicant.email,
                name: applicant.full_name,
                ..MailParams::default()
            };
            if let Some(owner) = owner {
                if tx.delete_registration(row.id).await? {
                    // To the address as its owner wrote it, by the owner's name.
                    self.mail_to_person(&mut tx, owner.id, MailKind::AddressTaken, "")
                        .await?;
                    tx.commit().await?;
                }
            } else {
                self.arm(&mut tx, row, params).await?;
                tx.commit().await?;
            }
        }
        Ok(rows.len())
    }

    async fn arm(&self, tx: &mut WriteTx, row: &RegistrationRow, params: MailParams) -> Result<(), Error> {
        let token = random::token();
        let hash = fingerprint(token.expose_secret());
        if tx.arm_registration(row.id, &hash).await? {
            let params = MailParams {
                token: token.expose_secret().to_owned(),
                ..params
            };
            self.put_mail(tx, row.email_index, MailKind::Verification, &params)
                .await?;
        }
        Ok(())
    }
}

pub(crate) fn wrong(pointer: &str, code: &'static str, detail: &str) -> FieldError {
    FieldError {
        pointer: pointer.to_owned(),
        code,
        detail: detail.to_owned(),
    }
}

/// The pool refused: try again in a moment.
pub(crate) fn busy(error: password::PasswordError) -> Error {
    match error {
        password::PasswordError::Overloaded => Error::overloaded(),
        // The policy was asked before; a longer password than it allows does not come here.
        password::PasswordError::Stopped | password::PasswordError::TooLong => Error::internal(error),
    }
}
