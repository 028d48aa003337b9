//! Keys of integrations: shown once, kept as a keyed hash, bounded by their scopes, their caveats and their owner's
//! roles.
//!
//! A person makes keys for the own integrations, with a factor proved just now; the bank makes keys for technical users
//! that nobody can log in as. A key never makes, replaces or lists keys. Replacing gives a new key beside the old one,
//! which counts for a while longer; both are of one integration and share its budget and its idempotency keys.

pub(crate) mod bounds;
pub mod input;
pub mod networks;
pub mod signatures;
pub mod technical;
pub(crate) mod wrong;

use std::sync::Arc;

use strongroom_crypto::{ApiKey, DataKey, Place, SecretString};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object, facts_digest},
    id::{ApiKeyId, ApprovalId, UserId},
    ledger::KeyBounds,
    principal::Role,
    text::hex,
    time::Timestamp,
};
use strongroom_store::{
    NewUser, Revoked, Scope, WriteTx,
    audit::api_key_facts,
    identity::{ApiKeyRow, KeySigning, NewApiKey},
};

pub use crate::api_keys::input::{AddApiKey, Caveats, KeyOwner, RotateApiKey, SCOPES, Scheme};
use crate::{
    api_keys::{input::check_key, networks::Networks},
    audit::record::Entry,
    authority::authorize::{Permit, Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::step_up::require_recent_proof,
    mail::MailKind,
};

/// Most keys of a person that count at a time.
pub const KEYS_PER_OWNER_MAX: u64 = 50;

/// A key that was made.
#[derive(Debug)]
pub struct ApiKeyAdded {
    /// The id.
    pub id: ApiKeyId,
    /// Whose.
    pub owner: UserId,
    /// The key itself, shown this once.
    pub key: SecretString,
    /// The secret that requests are signed with, shown this once; none where they are signed with a key pair alone.
    pub signing_secret: Option<SecretString>,
}

/// A key as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyDetails {
    /// The id.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: String,
    /// What it may do at most.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The end, if there is one.
    pub expires_at: Option<Timestamp>,
    /// To about a minute.
    pub last_used_at: Option<Timestamp>,
    /// Where it may be used; everywhere when absent.
    pub networks: Option<Networks>,
    /// The thumbprint of the certificate without which it is nothing.
    pub certificate: Option<[u8; 32]>,
    /// Its caveats.
    pub bounds: KeyBounds,
    /// How its requests may be signed.
    pub schemes: Vec<Scheme>,
    /// The public key of its requests.
    pub public_key: Option<[u8; 32]>,
    /// The key that takes its place.
    pub replaced_by: Option<ApiKeyId>,
}

const fn key_name_place(key: &ApiKeyId) -> Place<'_> {
    Place {
        table: "api_keys",
        column: "sealed_name",
        row: key.as_bytes(),
    }
}

/// Secrets of a key that was just made.
struct Secrets {
    key: SecretString,
    signing: Option<SecretString>,
}

/// A key about to be made.
pub(crate) struct PreparedKey {
    new: NewApiKey,
    /// The technical user it is for, who is made with it.
    technical: Option<(Role, NewUser)>,
    secrets: Secrets,
}

impl PreparedKey {
    /// Whose it will be.
    pub(crate) const fn owner(&self) -> UserId {
        self.new.owner
    }

    /// What has to be handed over, once it is written.
    pub(crate) fn added(self) -> ApiKeyAdded {
        ApiKeyAdded {
            id: self.new.id,
            owner: self.new.owner,
            key: self.secrets.key,
            signing_secret: self.secrets.signing,
        }
    }
}

impl Bank {
    /// Makes a key for a technical user, or one for a person on the bank's behalf, by one word: for the process itself.
    /// People ask for one ([`Bank::ask_for_api_key`]).
    ///
    /// # Errors
    /// `validation_failed`; `not_found` for an owner who is not there; `forbidden` for whom the rules do not allow
    /// it.
    pub async fn add_api_key(self: &Arc<Self>, cx: &Cx, input: AddApiKey) -> Result<ApiKeyAdded, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let permit = authorize(&cx, Action::ApiKeyCreate, Resource::Bank)?;
            bank.make_key(&cx, &permit, &input).await
        })
        .await
    }

    /// Makes a key for an integration of the caller's own.
    ///
    /// # Errors
    /// `validation_failed`; `step_up_required` without a fresh factor; `forbidden` for everybody but customers;
    /// `too_many_api_keys`; for a key that moves more at once than its owner may without a factor also
    /// `no_second_factor` and `factor_too_new`.
    pub async fn add_own_api_key(self: &Arc<Self>, cx: &Cx, input: AddApiKey) -> Result<ApiKeyAdded, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let me = cx.person()?;
            let permit = own(&cx, Action::ApiKeyCreate, me)?;
            require_recent_proof(&cx)?;
            if let Some((amount, currency)) = input.caveats.max_amount {
                bank.require_money_factor(&cx, me, amount, currency).await?;
            }
            let input = AddApiKey {
                owner: KeyOwner::User(me),
                ..input
            };
            bank.make_key(&cx, &permit, &input).await
        })
        .await
    }

    async fn make_key(&self, cx: &Cx, permit: &Permit, input: &AddApiKey) -> Result<ApiKeyAdded, Error> {
        let prepared = self.prepare_key(cx, input).await?;
        let scope = match input.owner {
            KeyOwner::User(owner) if cx.caller.principal.owner() == Some(owner) => Scope::Person(owner),
            _ => Scope::Operator,
        };
        let mut tx = self.store.write(scope).await?;
        self.insert_key(&mut tx, cx, permit, &prepared, None).await?;
        tx.commit().await?;
        self.identity.mail_waits.notify_one();
        Ok(prepared.added())
    }

    /// Everything of a key, and of the technical user it may be for, before its transaction.
    async fn prepare_key(&self, cx: &Cx, input: &AddApiKey) -> Result<PreparedKey, Error> {
        check_key(input, cx.now())?;
        let id: ApiKeyId = cx.new_id();
        let technical = match input.owner {
            KeyOwner::Technical(role) => {
                Some((role, self.new_person(cx.new_id(), cx.now(), None, &input.name)))
            }
            KeyOwner::User(_) => None,
        };
        let stored = match input.owner {
            KeyOwner::User(owner) => Some(self.people.key(owner).await?.ok_or_else(Error::not_found)?),
            KeyOwner::Technical(_) => None,
        };
        let (owner, data_key) = match (&technical, input.owner, &stored) {
            (Some((_, (new, key))), ..) => (new.id, key),
            (None, KeyOwner::User(owner), Some(key)) => (owner, key.as_ref()),
            _ => return Err(Error::broken("a technical user that was not made")),
        };
        let (secrets, hash, signing) = self.new_secrets(&id, input.public_key, &input.schemes);
        let new = NewApiKey {
            id,
            owner,
            sealed_name: data_key.seal(key_name_place(&id), input.name.as_bytes()),
            scopes: input.scopes.join(" "),
            hash: hash.hash,
            hash_key: hash.kid,
            created_at: cx.now(),
            expires_at: input.expires_at,
            sealed_networks: input
                .networks
                .as_ref()
                .map(|networks| networks.seal(data_key, &id)),
            certificate: input.certificate,
            bounds: input.caveats.bounds(id),
            signing,
        };
        Ok(PreparedKey {
            technical: technical.map(|(role, (person, _))| (role, person)),
            new,
            secrets,
        })
    }

    /// Writes a key, and the technical user it is for; its record tells what the key is bound to.
    async fn insert_key(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        permit: &Permit,
        prepared: &PreparedKey,
        approval: Option<ApprovalId>,
    ) -> Result<(), Error> {
        let new = &prepared.new;
        if let Some((role, person)) = &prepared.technical {
            tx.insert_user(person).await?;
            tx.insert_grant(cx.new_id(), person.id, *role, cx.now()).await?;
        } else {
            tx.lock_user(new.owner).await?.ok_or_else(Error::not_found)?;
            if tx.count_api_keys(new.owner, cx.now()).await? >= KEYS_PER_OWNER_MAX {
                return Err(too_many());
            }
        }
        tx.insert_api_key(new).await?;
        let asked = approval.map_or_else(String::new, |approval| format!(r#""approval":"{approval}","#));
        let role = prepared
            .technical
            .as_ref()
            .map_or_else(String::new, |(role, _)| format!(r#""role":"{}","#, role.name()));
        let details = format!(
            r#"{{{asked}"expires_at":{},"facts":"{}","owner":"{}",{role}"scopes":"{}"}}"#,
            end_json(new.expires_at),
            facts_of_key(&api_key_facts(new)),
            new.owner,
            new.scopes
        );
        self.finish_key(tx, cx, permit, new.id, new.owner, &details).await
    }

    /// A key, what is stored of it, and how its requests are signed.
    fn new_secrets(
        &self,
        id: &ApiKeyId,
        public_key: Option<[u8; 32]>,
        schemes: &[Scheme],
    ) -> (Secrets, strongroom_crypto::ApiKeyHash, KeySigning) {
        let key = ApiKey::generate(self.identity.settings.key_environment, *id.as_bytes());
        let hash = self.ring().api_key_hash(&key);
        let shared = public_key.is_none() || schemes.contains(&Scheme::Plain);
        let (signing, sealed_secret) = match shared {
            true => {
                let (text, sealed) = self.ring().new_signing_secret(id.as_bytes());
                (Some(text), Some(sealed))
            }
            false => (None, None),
        };
        let stored = KeySigning {
            schemes: Scheme::join(schemes),
            public_key,
            sealed_secret,
        };
        let secrets = Secrets {
            key: key.text(),
            signing,
        };
        (secrets, hash, stored)
    }

    /// The record of a key that was made, and the notice to its owner.
    async fn finish_key(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        permit: &Permit,
        id: ApiKeyId,
        owner: UserId,
        details: &str,
    ) -> Result<(), Error> {
        let entry = Entry {
            object: Object::Other("api_key", *id.as_bytes()),
            outcome: "ok",
            details: Details::json(details),
        };
        self.recorder.append(tx, cx, permit, entry).await?;
        self.mail_to_person(tx, owner, MailKind::ApiKeyMade, "").await
    }

    /// The caller's keys that were not taken away, newest first, below an id.
    ///
    /// # Errors
    /// `forbidden` for everybody but customers.
    pub async fn own_api_keys(
        &self,
        cx: &Cx,
        before: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKeyDetails>, Error> {
        let me = cx.person()?;
        own(cx, Action::ApiKeyRead, me)?;
        let data_key = self.people.key_of(me).await?;
        let found = self.store.api_keys(me, before, limit).await?;
        found
            .into_iter()
            .map(|row| self.key_details(&data_key, row))
            .collect()
    }

    /// A key in clear, for its owner's eyes or, of a technical user, an administrator's.
    fn key_details(&self, data_key: &DataKey, row: ApiKeyRow) -> Result<ApiKeyDetails, Error> {
        let name = data_key
            .open(key_name_place(&row.id), &row.sealed_name)
            .map_err(Error::internal)?;
        let networks = row.sealed_networks.as_deref();
        Ok(ApiKeyDetails {
            id: row.id,
            name: String::from_utf8(name.expose().to_vec()).map_err(Error::internal)?,
            networks: networks
                .map(|sealed| Networks::open(data_key, &row.id, sealed))
                .transpose()?,
            last_used_at: self.identity.state.key_seen(row.id).max(row.last_used_at),
            schemes: Scheme::split(&row.signing.schemes),
            public_key: row.signing.public_key,
            certificate: row.certificate,
            scopes: row.scopes,
            created_at: row.created_at,
            expires_at: row.expires_at,
            bounds: row.bounds,
            replaced_by: row.replaced_by,
        })
    }

    /// Makes a key that takes the place of one of the caller's. The old one counts for a while longer.
    ///
    /// # Errors
    /// `not_found`; `step_up_required` without a fresh factor; `api_key_replaced` when another took its place before;
    /// `too_many_api_keys`; for a key that moves more at once than its owner may without a factor also
    /// `no_second_factor` and `factor_too_new`.
    pub async fn rotate_api_key(
        self: &Arc<Self>,
        cx: &Cx,
        key: ApiKeyId,
        input: RotateApiKey,
    ) -> Result<ApiKeyAdded, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let me = cx.person()?;
            let permit = own(&cx, Action::ApiKeyRotate, me)?;
            require_recent_proof(&cx)?;
            let found = bank.store.api_key(key).await?;
            let counts = |row: &ApiKeyRow| {
                row.owner == me && !row.revoked && row.expires_at.is_none_or(|end| cx.now() < end)
            };
            let old = found.filter(counts).ok_or_else(Error::not_found)?;
            // Its largest amount was allowed with a factor, which may be another by now.
            if let Some((amount, currency)) = old.bounds.max_amount {
                bank.require_money_factor(&cx, me, amount, currency).await?;
            }
            bank.replace_key(&cx, &permit, &old, input).await
        })
        .await
    }

    async fn replace_key(
        &self,
        cx: &Cx,
        permit: &Permit,
        old: &ApiKeyRow,
        input: RotateApiKey,
    ) -> Result<ApiKeyAdded, Error> {
        let id: ApiKeyId = cx.new_id();
        let data_key = self.people.key_of(old.owner).await?;
        let name = data_key
            .open(key_name_place(&old.id), &old.sealed_name)
            .map_err(Error::internal)?;
        let networks = old.sealed_networks.as_deref();
        let networks = networks
            .map(|sealed| Networks::open(&data_key, &old.id, sealed))
            .transpose()?;
        let schemes = Scheme::split(&old.signing.schemes);
        let public_key = input.public_key.or(old.signing.public_key);
        let (secrets, hash, signing) = self.new_secrets(&id, public_key, &schemes);
        let new = NewApiKey {
            id,
            owner: old.owner,
            sealed_name: data_key.seal(key_name_place(&id), name.expose()),
            scopes: old.scopes.join(" "),
            hash: hash.hash,
            hash_key: hash.kid,
            created_at: cx.now(),
            // It lives as long as the one before was made for.
            expires_at: old
                .expires_at
                .map(|end| cx.now().plus_seconds(end.seconds_since(old.created_at))),
            sealed_networks: networks.map(|networks| networks.seal(&data_key, &id)),
            certificate: input.certificate.or(old.certificate),
            bounds: old.bounds.clone(),
            signing,
        };
        let mut tx = self.store.write(Scope::Person(old.owner)).await?;
        tx.lock_user(old.owner).await?.ok_or_else(Error::not_found)?;
        if tx.count_api_keys(old.owner, cx.now()).await? >= KEYS_PER_OWNER_MAX {
            return Err(too_many());
        }
        if !tx
            .replace_api_key(old.id, id, cx.now().plus_seconds(input.overlap_secs))
            .await?
        {
            return Err(Error::new(
                Kind::Conflict,
                "api_key_replaced",
                "Another key took the place of this one.",
            ));
        }
        tx.insert_api_key(&new).await?;
        let until = cx.now().plus_seconds(input.overlap_secs);
        let details = format!(
            r#"{{"expires_at":{},"facts":"{}","owner":"{}","replaces":"{}","until":{}}}"#,
            end_json(new.expires_at),
            facts_of_key(&api_key_facts(&new)),
            old.owner,
            old.id,
            old.expires_at.map_or(until, |end| end.min(until)).micros()
        );
        self.finish_key(&mut tx, cx, permit, id, old.owner, &details)
            .await?;
        // Its end has moved: whoever remembers the old one reads it again.
        tx.revoke(Revoked::ApiKey(old.id)).await?;
        tx.commit().await?;
        self.identity.mail_waits.notify_one();
        Ok(ApiKeyAdded {
            id,
            owner: old.owner,
            key: secrets.key,
            signing_secret: secrets.signing,
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
            bank.end_key(&cx, &permit, key, Scope::Operator).await
        })
        .await
    }

    /// Takes a key of the caller's own away; from the answer on it opens nothing.
    ///
    /// # Errors
    /// `not_found` when there is none, or it is somebody else's; `forbidden` for everybody but customers.
    pub async fn revoke_own_api_key(self: &Arc<Self>, cx: &Cx, key: ApiKeyId) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let me = cx.person()?;
            let permit = own(&cx, Action::ApiKeyRevoke, me)?;
            let found = bank.store.api_key(key).await?;
            found.filter(|row| row.owner == me).ok_or_else(Error::not_found)?;
            bank.end_key(&cx, &permit, key, Scope::Person(me)).await
        })
        .await
    }

    async fn end_key(&self, cx: &Cx, permit: &Permit, key: ApiKeyId, scope: Scope) -> Result<(), Error> {
        let mut tx = self.store.write(scope).await?;
        if !tx.end_api_key(key, cx.now()).await? {
            return Err(Error::not_found());
        }
        let entry = Entry {
            object: Object::Other("api_key", *key.as_bytes()),
            outcome: "ok",
            details: Details::none(),
        };
        self.recorder.append(&mut tx, cx, permit, entry).await?;
        tx.revoke(Revoked::ApiKey(key)).await?;
        Ok(tx.commit().await?)
    }
}

/// Digest of what never changes of a key, as its record binds it and verification computes it of the row.
pub(crate) fn facts_of_key(facts: &[Option<String>]) -> String {
    hex(&facts_digest("api_key", facts))
}

fn end_json(end: Option<Timestamp>) -> String {
    end.map_or_else(|| "null".to_owned(), |end| end.micros().to_string())
}

/// Keys of one's own are a customer's: operators act in person.
fn own(cx: &Cx, action: Action, me: UserId) -> Result<Permit, Error> {
    let permit = authorize(cx, action, Resource::OwnedBy(me))?;
    if cx.rights.has(Role::Customer) {
        Ok(permit)
    } else {
        Err(Error::forbidden())
    }
}

fn too_many() -> Error {
    Error::new(
        Kind::Conflict,
        "too_many_api_keys",
        "There are as many keys as there can be: take one away first.",
    )
}
