//! Keys of integrations.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    id::{AccountId, ApiKeyId, UserId},
    ledger::{Budget, KeyBounds},
    money::{Amount, Currency},
    principal::Role,
    time::Timestamp,
};
use uuid::Uuid;

use super::{UserState, at, hash32, id, roles_of, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// How requests of a key may be signed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeySigning {
    /// Names of schemes, separated by spaces.
    pub schemes: String,
    /// The Ed25519 public key of the integration.
    pub public_key: Option<[u8; 32]>,
    /// The shared secret, sealed by the ring.
    pub sealed_secret: Option<Vec<u8>>,
}

/// A key to be stored.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The id, part of the key's text.
    pub id: ApiKeyId,
    /// Whose integration.
    pub owner: UserId,
    /// The name, sealed under the owner's key.
    pub sealed_name: Vec<u8>,
    /// What it may do at most, names separated by spaces.
    pub scopes: String,
    /// Keyed hash of the key.
    pub hash: [u8; 32],
    /// The ring's key that made the hash.
    pub hash_key: u32,
    /// When.
    pub created_at: Timestamp,
    /// The end, if there is one.
    pub expires_at: Option<Timestamp>,
    /// Networks that it may be used from, sealed under the owner's key.
    pub sealed_networks: Option<Vec<u8>>,
    /// The thumbprint of the certificate without which it is nothing.
    pub certificate: Option<[u8; 32]>,
    /// Caveats, and the integration that it is a key of.
    pub bounds: KeyBounds,
    /// How its requests may be signed.
    pub signing: KeySigning,
}

/// A key with what decides whether it still counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// The id.
    pub id: ApiKeyId,
    /// Whose integration.
    pub owner: UserId,
    /// Whether the owner may act.
    pub user: UserState,
    /// The owner's roles.
    pub roles: Vec<Role>,
    /// The name, sealed under the owner's key.
    pub sealed_name: Vec<u8>,
    /// What it may do at most.
    pub scopes: Vec<String>,
    /// Keyed hash of the key.
    pub hash: [u8; 32],
    /// The ring's key that made the hash.
    pub hash_key: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// The end, if there is one.
    pub expires_at: Option<Timestamp>,
    /// Whether it was taken away.
    pub revoked: bool,
    /// The key that takes its place, where it was replaced.
    pub replaced_by: Option<ApiKeyId>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// Networks that it may be used from, sealed under the owner's key.
    pub sealed_networks: Option<Vec<u8>>,
    /// The thumbprint of the certificate without which it is nothing.
    pub certificate: Option<[u8; 32]>,
    /// Caveats, and the integration that it is a key of.
    pub bounds: KeyBounds,
    /// How its requests may be signed.
    pub signing: KeySigning,
}

#[derive(FromQueryResult)]
struct KeySql {
    id: Uuid,
    owner: Uuid,
    state: String,
    integration: Uuid,
    sealed_name: Vec<u8>,
    scopes: String,
    hash: Vec<u8>,
    hash_key: i64,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    replaced_by: Option<Uuid>,
    last_used_at: Option<i64>,
    sealed_networks: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    max_amount: Option<i64>,
    max_currency: Option<String>,
    payees: Option<Vec<u8>>,
    budget_amount: Option<i64>,
    budget_currency: Option<String>,
    budget_window_secs: Option<i64>,
    schemes: String,
    public_key: Option<Vec<u8>>,
    sealed_secret: Option<Vec<u8>>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT k.id, k.owner, u.state, k.integration, k.sealed_name, k.scopes, k.hash, k.hash_key, k.created_at, \
             k.expires_at, k.revoked_at, k.replaced_by, k.last_used_at, k.sealed_networks, k.max_amount, \
             k.max_currency, k.payees, k.budget_amount, k.budget_currency, k.budget_window_secs, k.schemes, \
             k.public_key, k.sealed_secret, k.certificate FROM api_keys k JOIN users u ON u.id = k.owner ",
            $rest
        )
    };
}

#[derive(FromQueryResult)]
struct CountSql {
    number: i64,
}

impl KeySql {
    fn bounds(&self) -> Result<KeyBounds, StoreError> {
        let max_amount = money(self.max_amount, self.max_currency.as_deref())?;
        let budget = money(self.budget_amount, self.budget_currency.as_deref())?
            .zip(self.budget_window_secs)
            .map(|((amount, currency), window_secs)| Budget {
                amount,
                currency,
                window_secs,
            });
        let payees = self.payees.as_ref().map(|bytes| {
            let (ids, _) = bytes.as_chunks::<16>();
            ids.iter().map(|id| AccountId::from_bytes(*id)).collect()
        });
        Ok(KeyBounds {
            integration: id(self.integration),
            max_amount,
            payees,
            budget,
        })
    }

    fn row(self, roles: Vec<Role>) -> Result<ApiKeyRow, StoreError> {
        let bounds = self.bounds()?;
        let public_key = self.public_key.as_deref().map(hash32).transpose()?;
        Ok(ApiKeyRow {
            id: id(self.id),
            owner: id(self.owner),
            user: UserState::parse(&self.state)?,
            roles,
            sealed_name: self.sealed_name,
            scopes: self.scopes.split(' ').map(str::to_owned).collect(),
            hash: hash32(&self.hash)?,
            hash_key: u32::try_from(self.hash_key).map_err(|_| StoreError::Corrupt("key number"))?,
            created_at: at(self.created_at),
            expires_at: self.expires_at.map(at),
            revoked: self.revoked_at.is_some(),
            replaced_by: self.replaced_by.map(id),
            last_used_at: self.last_used_at.map(at),
            sealed_networks: self.sealed_networks,
            certificate: self.certificate.as_deref().map(hash32).transpose()?,
            bounds,
            signing: KeySigning {
                schemes: self.schemes,
                public_key,
                sealed_secret: self.sealed_secret,
            },
        })
    }
}

fn money(amount: Option<i64>, currency: Option<&str>) -> Result<Option<(Amount, Currency)>, StoreError> {
    let Some((amount, currency)) = amount.zip(currency) else {
        return Ok(None);
    };
    let amount = Amount::new(amount).map_err(|_| StoreError::Corrupt("a key's amount"))?;
    let currency = Currency::parse(currency).map_err(|_| StoreError::Corrupt("a key's currency"))?;
    Ok(Some((amount, currency)))
}

impl Store {
    /// A key by its id, whether or not it still counts.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn api_key(&self, key: ApiKeyId) -> Result<Option<ApiKeyRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<KeySql> = rows(&read.tx, select!("WHERE k.id = $1"), vec![uuid(key).into()]).await?;
        let Some(row) = found.into_iter().next() else {
            return Ok(None);
        };
        let roles = roles_of(&read.tx, id(row.owner)).await?;
        row.row(roles).map(Some)
    }

    /// A person's keys that were not taken away, newest first, below an id.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn api_keys(
        &self,
        owner: UserId,
        before: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKeyRow>, StoreError> {
        let read = self.read(Scope::Person(owner)).await?;
        let before = before.map_or(Uuid::max(), uuid);
        let found: Vec<KeySql> = rows(
            &read.tx,
            select!("WHERE k.owner = $1 AND k.id < $2 AND k.revoked_at IS NULL ORDER BY k.id DESC LIMIT $3"),
            vec![uuid(owner).into(), before.into(), i64::from(limit).into()],
        )
        .await?;
        found.into_iter().map(|row| row.row(Vec::new())).collect()
    }

    /// Keys of technical users that were not taken away, newest first, below an id: of whoever holds a role of the
    /// bank and has no address to log in with.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn technical_api_keys(
        &self,
        before: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKeyRow>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let before = before.map_or(Uuid::max(), uuid);
        // By those who hold a role, who are few, and not by all keys, of which customers have many.
        let found: Vec<KeySql> = rows(
            &read.tx,
            select!(
                "WHERE k.owner IN (SELECT g.person FROM grants g WHERE g.role IN ('support', 'teller', 'compliance', \
                 'auditor', 'admin')) AND u.sealed_email IS NULL AND k.id < $1 AND k.revoked_at IS NULL ORDER BY k.id DESC LIMIT $2"
            ),
            vec![before.into(), i64::from(limit).into()],
        )
        .await?;
        let mut all = Vec::with_capacity(found.len());
        for row in found {
            let roles = roles_of(&read.tx, id(row.owner)).await?;
            all.push(row.row(roles)?);
        }
        Ok(all)
    }

    /// Writes when keys were last used.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn touch_api_keys(&self, seen: &[(ApiKeyId, Timestamp)]) -> Result<(), StoreError> {
        let tx = self.write(Scope::System).await?;
        for (key, seen_at) in seen {
            tx.execute(
                "UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND coalesce(last_used_at, 0) < $2",
                vec![uuid(*key).into(), seen_at.micros().into()],
            )
            .await?;
        }
        tx.commit().await
    }
}

impl WriteTx {
    /// Adds a key, and the budget of its integration where it begins one.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_api_key(&self, new: &NewApiKey) -> Result<(), StoreError> {
        let bounds = &new.bounds;
        let payees = bounds
            .payees
            .as_ref()
            .map(|ids| ids.iter().flat_map(|id| *id.as_bytes()).collect::<Vec<u8>>());
        self.execute(
            "INSERT INTO api_keys (id, owner, integration, sealed_name, scopes, hash, hash_key, created_at, expires_at, \
             sealed_networks, max_amount, max_currency, payees, budget_amount, budget_currency, budget_window_secs, \
             schemes, public_key, sealed_secret, certificate) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
            vec![
                uuid(new.id).into(),
                uuid(new.owner).into(),
                uuid(bounds.integration).into(),
                new.sealed_name.clone().into(),
                new.scopes.clone().into(),
                new.hash.to_vec().into(),
                i64::from(new.hash_key).into(),
                new.created_at.micros().into(),
                new.expires_at.map(Timestamp::micros).into(),
                new.sealed_networks.clone().into(),
                bounds.max_amount.map(|(amount, _)| amount.minor()).into(),
                bounds.max_amount.map(|(_, currency)| currency.code()).into(),
                payees.into(),
                bounds.budget.map(|budget| budget.amount.minor()).into(),
                bounds.budget.map(|budget| budget.currency.code()).into(),
                bounds.budget.map(|budget| budget.window_secs).into(),
                new.signing.schemes.clone().into(),
                new.signing.public_key.map(|key| key.to_vec()).into(),
                new.signing.sealed_secret.clone().into(),
                new.certificate.map(|thumbprint| thumbprint.to_vec()).into(),
            ],
        )
        .await?;
        if bounds.budget.is_some() {
            self.execute(
                "INSERT INTO key_budgets (integration) VALUES ($1) ON CONFLICT (integration) DO NOTHING",
                vec![uuid(bounds.integration).into()],
            )
            .await?;
        }
        Ok(())
    }

    /// How many keys of a person count. The caller holds the person's row, so that no other is being made.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn count_api_keys(&self, owner: UserId, now: Timestamp) -> Result<u64, StoreError> {
        let found: Vec<CountSql> = rows(
            &self.tx,
            "SELECT count(*) AS number FROM api_keys WHERE owner = $1 AND revoked_at IS NULL \
             AND (expires_at IS NULL OR expires_at > $2)",
            vec![uuid(owner).into(), now.micros().into()],
        )
        .await?;
        Ok(found
            .first()
            .map_or(0, |row| u64::try_from(row.number).unwrap_or_default()))
    }

    /// Says which key takes a key's place, and until when the old one counts; false when it was replaced or taken away
    /// before.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn replace_api_key(
        &self,
        old: ApiKeyId,
        new: ApiKeyId,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let replaced = self
            .execute(
                "UPDATE api_keys SET replaced_by = $2, \
                 expires_at = CASE WHEN expires_at < $3 THEN expires_at ELSE $3 END \
                 WHERE id = $1 AND replaced_by IS NULL AND revoked_at IS NULL",
                vec![uuid(old).into(), uuid(new).into(), until.micros().into()],
            )
            .await?;
        Ok(replaced == 1)
    }

    /// Takes a key away; false when it was gone. The caller revokes it in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn end_api_key(&self, key: ApiKeyId, now: Timestamp) -> Result<bool, StoreError> {
        let ended = self
            .execute(
                "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
                vec![uuid(key).into(), now.micros().into()],
            )
            .await?;
        Ok(ended == 1)
    }
}
