//! Logins by an issuer elsewhere: whose an identity is, and what is remembered while somebody is at the issuer.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    id::{ExternalLoginId, SessionId, UserId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{at, hash32, id, uuid};
use crate::{
    audit::Standing,
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// Most issuers that one login can have.
pub const EXTERNAL_LOGINS_MAX: usize = 10;

/// An identity of an issuer, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalLoginRow {
    /// The id.
    pub id: ExternalLoginId,
    /// Whose.
    pub person: UserId,
    /// The issuer's name in the configuration when it was added.
    pub provider: String,
    /// Keyed index of issuer and subject.
    pub subject_index: [u8; 16],
    /// What its owner is shown of it, sealed.
    pub sealed: Vec<u8>,
    /// When.
    pub created_at: Timestamp,
    /// When it was last used to log in.
    pub last_used_at: Option<Timestamp>,
}

/// Somebody who is at an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalStart {
    /// Digest of the state that comes back.
    pub hash: [u8; 32],
    /// The issuer's name in the configuration.
    pub provider: String,
    /// Digest of the cookie of the browser that was sent there.
    pub browser: [u8; 32],
    /// Who adds the issuer to an own login, in which session; none where somebody logs in.
    pub adds_to: Option<(UserId, SessionId)>,
    /// Nonce and verifier, sealed.
    pub sealed: Vec<u8>,
    /// When.
    pub created_at: Timestamp,
    /// The end.
    pub expires_at: Timestamp,
}

#[derive(FromQueryResult)]
struct ExternalSql {
    id: Uuid,
    person: Uuid,
    provider: String,
    subject_index: Vec<u8>,
    sealed: Vec<u8>,
    created_at: i64,
    last_used_at: Option<i64>,
}

impl TryFrom<ExternalSql> for ExternalLoginRow {
    type Error = StoreError;

    fn try_from(row: ExternalSql) -> Result<Self, StoreError> {
        Ok(Self {
            id: id(row.id),
            person: id(row.person),
            provider: row.provider,
            subject_index: row
                .subject_index
                .as_slice()
                .try_into()
                .map_err(|_| StoreError::Corrupt("subject index"))?,
            sealed: row.sealed,
            created_at: at(row.created_at),
            last_used_at: row.last_used_at.map(at),
        })
    }
}

#[derive(FromQueryResult)]
struct StartSql {
    provider: String,
    browser: Vec<u8>,
    person: Option<Uuid>,
    session: Option<Uuid>,
    sealed: Vec<u8>,
    created_at: i64,
    expires_at: i64,
}

impl Store {
    /// Whose an identity is, under any of these indexes (one for each key of the ring).
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn external_login(&self, indexes: &[[u8; 16]]) -> Result<Option<ExternalLoginRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        for index in indexes {
            let found: Vec<ExternalSql> = rows(
                &read.tx,
                "SELECT id, person, provider, subject_index, sealed, created_at, last_used_at FROM external_logins \
                 WHERE subject_index = $1",
                vec![index.to_vec().into()],
            )
            .await?;
            if let Some(row) = found.into_iter().next() {
                return row.try_into().map(Some);
            }
        }
        Ok(None)
    }

    /// A person's logins by issuers, oldest first; at most [`EXTERNAL_LOGINS_MAX`].
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn external_logins(&self, person: UserId) -> Result<Vec<ExternalLoginRow>, StoreError> {
        let read = self.read(Scope::Person(person)).await?;
        let found: Vec<ExternalSql> = rows(
            &read.tx,
            "SELECT id, person, provider, subject_index, sealed, created_at, last_used_at FROM external_logins \
             WHERE person = $1 ORDER BY id",
            vec![uuid(person).into()],
        )
        .await?;
        found.into_iter().map(ExternalLoginRow::try_from).collect()
    }

    /// The session that lives in a browser under this cookie, whether or not it still counts.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn browser_session(&self, hash: &[u8; 32]) -> Result<Option<SessionId>, StoreError> {
        #[derive(FromQueryResult)]
        struct SessionSql {
            session: Uuid,
        }
        let read = self.read(Scope::System).await?;
        let found: Vec<SessionSql> = rows(
            &read.tx,
            "SELECT session FROM browser_sessions WHERE hash = $1",
            vec![hash.to_vec().into()],
        )
        .await?;
        Ok(found.into_iter().next().map(|row| id(row.session)))
    }
}

impl WriteTx {
    /// Gives a session its place in a browser.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_browser_session(
        &self,
        hash: &[u8; 32],
        session: SessionId,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO browser_sessions (hash, session) VALUES ($1, $2)",
            vec![hash.to_vec().into(), uuid(session).into()],
        )
        .await?;
        Ok(())
    }

    /// Gives an identity to a person; false when somebody has it already.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_external_login(&self, new: &ExternalLoginRow) -> Result<bool, StoreError> {
        let inserted = self
            .execute(
                "INSERT INTO external_logins (id, person, provider, subject_index, sealed, created_at, last_used_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (subject_index) DO NOTHING",
                vec![
                    uuid(new.id).into(),
                    uuid(new.person).into(),
                    new.provider.clone().into(),
                    new.subject_index.to_vec().into(),
                    new.sealed.clone().into(),
                    new.created_at.micros().into(),
                    new.last_used_at.map(Timestamp::micros).into(),
                ],
            )
            .await?;
        if inserted == 1 {
            self.tell_credentials(new.person, Standing::ExternalLogins)
                .await?;
        }
        Ok(inserted == 1)
    }

    /// Writes that an identity was used; false when it is not this person's any more.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn use_external_login(
        &self,
        login: ExternalLoginId,
        person: UserId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let used = self
            .execute(
                "UPDATE external_logins SET last_used_at = $3 WHERE id = $1 AND person = $2",
                vec![uuid(login).into(), uuid(person).into(), now.micros().into()],
            )
            .await?;
        Ok(used == 1)
    }

    /// Takes a person's identity away; false when there is none.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn delete_external_login(
        &self,
        person: UserId,
        login: ExternalLoginId,
    ) -> Result<bool, StoreError> {
        let gone = self
            .execute(
                "DELETE FROM external_logins WHERE id = $1 AND person = $2",
                vec![uuid(login).into(), uuid(person).into()],
            )
            .await?;
        if gone == 1 {
            self.tell_credentials(person, Standing::ExternalLogins).await?;
        }
        Ok(gone == 1)
    }

    /// How many identities a person has, as this transaction sees them.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn count_external_logins(&self, person: UserId) -> Result<i64, StoreError> {
        #[derive(FromQueryResult)]
        struct CountSql {
            many: i64,
        }
        let found: Vec<CountSql> = rows(
            &self.tx,
            "SELECT count(*) AS many FROM external_logins WHERE person = $1",
            vec![uuid(person).into()],
        )
        .await?;
        Ok(found.first().map_or(0, |row| row.many))
    }

    /// Remembers somebody who is sent to an issuer.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_external_start(&self, new: &ExternalStart) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO external_starts (hash, provider, browser, person, session, sealed, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            vec![
                new.hash.to_vec().into(),
                new.provider.clone().into(),
                new.browser.to_vec().into(),
                new.adds_to.map(|(person, _)| uuid(person)).into(),
                new.adds_to.map(|(_, session)| uuid(session)).into(),
                new.sealed.clone().into(),
                new.created_at.micros().into(),
                new.expires_at.micros().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Takes out what was remembered under a state: of several uses one gets it, and nobody after.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn take_external_start(&self, hash: &[u8; 32]) -> Result<Option<ExternalStart>, StoreError> {
        let found: Vec<StartSql> = rows(
            &self.tx,
            "DELETE FROM external_starts WHERE hash = $1 \
             RETURNING provider, browser, person, session, sealed, created_at, expires_at",
            vec![hash.to_vec().into()],
        )
        .await?;
        let Some(row) = found.into_iter().next() else {
            return Ok(None);
        };
        Ok(Some(ExternalStart {
            hash: *hash,
            provider: row.provider,
            browser: hash32(&row.browser)?,
            adds_to: row.person.map(id).zip(row.session.map(id)),
            sealed: row.sealed,
            created_at: at(row.created_at),
            expires_at: at(row.expires_at),
        }))
    }
}
