//! Passkeys, and what is remembered while one is made or shown.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    id::{PasskeyId, SessionId, UserId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{at, id, uuid};
use crate::{
    audit::Standing,
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// Most passkeys that a person has.
pub const PASSKEYS_MAX: usize = 20;

/// A passkey as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyRow {
    /// The id.
    pub id: PasskeyId,
    /// Whose.
    pub person: UserId,
    /// SHA-256 of the credential's id.
    pub credential: [u8; 32],
    /// Public key, flags and counter, sealed under the person's key.
    pub sealed: Vec<u8>,
    /// The owner's name for it, sealed.
    pub sealed_name: Vec<u8>,
    /// How often it signed, as far as it says.
    pub counter: u32,
    /// When it was bound.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

/// What a ceremony is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CeremonyKind {
    /// Binding a passkey.
    Register,
    /// A login by passkey alone.
    Login,
    /// The second factor of a login.
    Second,
    /// A proof inside a session.
    StepUp,
}

impl CeremonyKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Login => "login",
            Self::Second => "second",
            Self::StepUp => "step_up",
        }
    }
}

/// What is remembered between options and answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CeremonyRow {
    /// Digest of the challenge.
    pub hash: [u8; 32],
    /// What for.
    pub kind: CeremonyKind,
    /// Of whom, where that is known.
    pub person: Option<UserId>,
    /// In which session.
    pub session: Option<SessionId>,
    /// The state and what it is bound to, sealed.
    pub sealed: Vec<u8>,
    /// When.
    pub created_at: Timestamp,
    /// The end.
    pub expires_at: Timestamp,
}

#[derive(FromQueryResult)]
struct PasskeySql {
    id: Uuid,
    person: Uuid,
    credential: Vec<u8>,
    sealed: Vec<u8>,
    sealed_name: Vec<u8>,
    counter: i64,
    created_at: i64,
    last_used_at: Option<i64>,
}

impl TryFrom<PasskeySql> for PasskeyRow {
    type Error = StoreError;

    fn try_from(row: PasskeySql) -> Result<Self, StoreError> {
        Ok(Self {
            id: id(row.id),
            person: id(row.person),
            credential: super::hash32(&row.credential)?,
            sealed: row.sealed,
            sealed_name: row.sealed_name,
            counter: u32::try_from(row.counter).map_err(|_| StoreError::Corrupt("passkey counter"))?,
            created_at: at(row.created_at),
            last_used_at: row.last_used_at.map(at),
        })
    }
}

#[derive(FromQueryResult)]
struct CeremonySql {
    person: Option<Uuid>,
    session: Option<Uuid>,
    sealed: Vec<u8>,
    created_at: i64,
    expires_at: i64,
}

impl Store {
    /// A person's passkeys, oldest first; at most [`PASSKEYS_MAX`].
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn passkeys(&self, person: UserId) -> Result<Vec<PasskeyRow>, StoreError> {
        let read = self.read(Scope::Person(person)).await?;
        let found: Vec<PasskeySql> = rows(
            &read.tx,
            "SELECT id, person, credential, sealed, sealed_name, counter, created_at, last_used_at FROM passkeys \
             WHERE person = $1 ORDER BY id",
            vec![uuid(person).into()],
        )
        .await?;
        found.into_iter().map(PasskeyRow::try_from).collect()
    }

    /// The passkey of a credential, whoever has it.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn passkey(&self, credential: &[u8; 32]) -> Result<Option<PasskeyRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<PasskeySql> = rows(
            &read.tx,
            "SELECT id, person, credential, sealed, sealed_name, counter, created_at, last_used_at FROM passkeys \
             WHERE credential = $1",
            vec![credential.to_vec().into()],
        )
        .await?;
        found.into_iter().next().map(PasskeyRow::try_from).transpose()
    }
}

impl WriteTx {
    /// Takes all of a person's passkeys away.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn delete_passkeys(&self, person: UserId) -> Result<(), StoreError> {
        let sql = "DELETE FROM passkeys WHERE person = $1";
        self.execute(sql, vec![uuid(person).into()]).await?;
        self.tell_credentials(person, Standing::Passkeys).await
    }

    /// Adds a passkey; false when somebody has it already.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_passkey(&self, new: &PasskeyRow) -> Result<bool, StoreError> {
        let inserted = self
            .execute(
                "INSERT INTO passkeys (id, person, credential, sealed, sealed_name, counter, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (credential) DO NOTHING",
                vec![
                    uuid(new.id).into(),
                    uuid(new.person).into(),
                    new.credential.to_vec().into(),
                    new.sealed.clone().into(),
                    new.sealed_name.clone().into(),
                    i64::from(new.counter).into(),
                    new.created_at.micros().into(),
                ],
            )
            .await?;
        if inserted == 1 {
            self.tell_credentials(new.person, Standing::Passkeys).await?;
        }
        Ok(inserted == 1)
    }

    /// Writes that a person's passkey was used and how far it has counted; false when it is gone, or has counted as far
    /// before: two hold the key. One that does not count stays at 0.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn use_passkey(
        &self,
        person: UserId,
        passkey: PasskeyId,
        (sealed, counter): (&[u8], u32),
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let used = self
            .execute(
                "UPDATE passkeys SET sealed = $2, counter = $3, last_used_at = $4 \
                 WHERE id = $1 AND person = $5 AND (counter < $3 OR (counter = 0 AND $3 = 0))",
                vec![
                    uuid(passkey).into(),
                    sealed.to_vec().into(),
                    i64::from(counter).into(),
                    now.micros().into(),
                    uuid(person).into(),
                ],
            )
            .await?;
        if used == 1 {
            self.tell_credentials(person, Standing::Passkeys).await?;
        }
        Ok(used == 1)
    }

    /// Takes a person's passkey away; false when there is none.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn delete_passkey(&self, person: UserId, passkey: PasskeyId) -> Result<bool, StoreError> {
        let gone = self
            .execute(
                "DELETE FROM passkeys WHERE id = $1 AND person = $2",
                vec![uuid(passkey).into(), uuid(person).into()],
            )
            .await?;
        if gone == 1 {
            self.tell_credentials(person, Standing::Passkeys).await?;
        }
        Ok(gone == 1)
    }

    /// Remembers a ceremony.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_ceremony(&self, new: &CeremonyRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO passkey_ceremonies (hash, kind, person, session, sealed, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            vec![
                new.hash.to_vec().into(),
                new.kind.name().into(),
                new.person.map(uuid).into(),
                new.session.map(uuid).into(),
                new.sealed.clone().into(),
                new.created_at.micros().into(),
                new.expires_at.micros().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Takes a ceremony of this kind out: of several uses one gets it, and nobody after.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn take_ceremony(
        &self,
        hash: &[u8; 32],
        kind: CeremonyKind,
    ) -> Result<Option<CeremonyRow>, StoreError> {
        let found: Vec<CeremonySql> = rows(
            &self.tx,
            "DELETE FROM passkey_ceremonies WHERE hash = $1 AND kind = $2 \
             RETURNING person, session, sealed, created_at, expires_at",
            vec![hash.to_vec().into(), kind.name().into()],
        )
        .await?;
        Ok(found.into_iter().next().map(|row| CeremonyRow {
            hash: *hash,
            kind,
            person: row.person.map(id),
            session: row.session.map(id),
            sealed: row.sealed,
            created_at: at(row.created_at),
            expires_at: at(row.expires_at),
        }))
    }
}
