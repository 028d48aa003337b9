//! Keys of integrations: shown once, kept as a keyed hash, bounded by their scopes and by their owner's roles.

use std::sync::Arc;

use strongroom_crypto::{ApiKey, Place, SecretString};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{ApiKeyId, UserId},
    principal::Role,
    text::{NAME_CHARS_MAX, check_line},
    time::Timestamp,
};
use strongroom_store::{Revoked, Scope, identity::NewApiKey};

use crate::{
    authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    record::Entry,
    registration::wrong,
};

/// Every scope that a key can have.
pub const SCOPES: &[&str] = &[
    "accounts:read",
    "accounts:write",
    "transfers:read",
    "transfers:write",
    "deposits:write",
    "payments:write",
    "cards:authorize",
    "webhooks:manage",
    "statements:read",
];

/// Whose integration a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOwner {
    /// A person who is there.
    User(UserId),
    /// A new technical user with this role, which nobody can log in as.
    Technical(Role),
}

/// Input of [`Bank::add_api_key`].
#[derive(Debug, Clone)]
pub struct AddApiKey {
    /// Whose.
    pub owner: KeyOwner,
    /// What for, in words.
    pub name: String,
    /// What it may do at most.
    pub scopes: Vec<String>,
    /// The end, if there is one.
    pub expires_at: Option<Timestamp>,
}

/// A key that was made.
#[derive(Debug)]
pub struct ApiKeyAdded {
    /// The id.
    pub id: ApiKeyId,
    /// Whose.
    pub owner: UserId,
    /// The key itself, shown this once.
    pub key: SecretString,
}

const fn key_name_place(key: &ApiKeyId) -> Place<'_> {
    Place {
        table: "api_keys",
        column: "sealed_name",
        row: key.as_bytes(),
    }
}

impl Bank {
    /// Makes a key.
    ///
    /// # Errors
    /// `validation_failed`; `not_found` for an owner who is not there; `forbidden` for whom the rules do not allow
    /// it.
    pub async fn add_api_key(self: &Arc<Self>, cx: &Cx, input: AddApiKey) -> Result<ApiKeyAdded, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move { bank.make_key(&cx, &input).await })
            .await
    }

    async fn make_key(&self, cx: &Cx, input: &AddApiKey) -> Result<ApiKeyAdded, Error> {
        let permit = authorize(cx, Action::ApiKeyCreate, Resource::Bank)?;
        check_key(input, cx.now())?;
        let id: ApiKeyId = cx.new_id();
        let technical = match input.owner {
            KeyOwner::Technical(role) => {
                Some((role, self.new_person(cx.new_id(), cx.now(), None, &input.name)))
            }
            KeyOwner::User(_) => None,
        };
        let (owner, sealed_name) = match (&technical, input.owner) {
            (Some((_, (new, key))), _) => (new.id, key.seal(key_name_place(&id), input.name.as_bytes())),
            (None, KeyOwner::User(owner)) => {
                let key = self.people.key(owner).await?.ok_or_else(Error::not_found)?;
                (owner, key.seal(key_name_place(&id), input.name.as_bytes()))
            }
            (None, KeyOwner::Technical(_)) => {
                return Err(Error::broken("a technical user that was not made"));
            }
        };
        let key = ApiKey::generate(self.identity.settings.key_environment, *id.as_bytes());
        let hash = self.ring.api_key_hash(&key);
        let new = NewApiKey {
            id,
            owner,
            sealed_name,
            scopes: input.scopes.join(" "),
            hash: hash.hash,
            hash_key: hash.kid,
            created_at: cx.now(),
            expires_at: input.expires_at,
        };
        let mut tx = self.store.write(Scope::Operator).await?;
        if let Some((role, (person, _))) = &technical {
            tx.insert_user(person).await?;
            tx.insert_grant(cx.new_id(), person.id, *role, cx.now()).await?;
        }
        tx.insert_api_key(&new).await?;
        let entry = Entry {
            object: Object::Other("api_key", *id.as_bytes()),
            outcome: "ok",
            details: Details::json(&format!(r#"{{"owner":"{owner}","scopes":"{}"}}"#, new.scopes)),
        };
        self.recorder.append(&mut tx, cx, &permit, entry).await?;
        tx.commit().await?;
        Ok(ApiKeyAdded {
            id,
            owner,
            key: key.text(),
        })
    }

    /// Takes a key away; from the answer on it opens nothing.
    ///
    /// # Errors
    /// `not_found` when there is none; `forbidden` for whom the rules do not allow it.
    pub async fn revoke_api_key(self: &Arc<Self>, cx: &Cx, key: ApiKeyId) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let permit = authorize(&cx, Action::ApiKeyRevoke, Resource::Bank)?;
            let mut tx = bank.store.write(Scope::Operator).await?;
            if !tx.end_api_key(key, cx.now()).await? {
                return Err(Error::not_found());
            }
            let entry = Entry {
                object: Object::Other("api_key", *key.as_bytes()),
                outcome: "ok",
                details: Details::none(),
            };
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            tx.revoke(Revoked::ApiKey(key)).await?;
            Ok(tx.commit().await?)
        })
        .await
    }
}

fn check_key(input: &AddApiKey, now: Timestamp) -> Result<(), Error> {
    let mut fields = Vec::new();
    if let Err(error) = check_line(&input.name, NAME_CHARS_MAX, true) {
        fields.push(wrong("/name", "invalid_value", &error.to_string()));
    }
    if input.scopes.is_empty() {
        fields.push(wrong("/scopes", "required", "must name at least one scope"));
    }
    for (index, scope) in input.scopes.iter().enumerate() {
        if !SCOPES.contains(&scope.as_str()) || input.scopes.iter().take(index).any(|other| other == scope) {
            fields.push(wrong(
                &format!("/scopes/{index}"),
                "invalid_value",
                "must be a known scope, named once",
            ));
        }
    }
    if input.expires_at.is_some_and(|end| end <= now) {
        fields.push(wrong("/expires_at", "invalid_value", "must be in the future"));
    }
    if fields.is_empty() {
        Ok(())
    } else {
        Err(Error::invalid(fields))
    }
}
