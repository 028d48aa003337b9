//! Sessions and their refresh tokens.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    id::{SessionId, UserId},
    principal::{Assurance, Role},
    time::Timestamp,
};
use uuid::Uuid;

use super::{UserState, assurance_number, assurance_of, at, hash32, id, roles_of, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// A session to be begun, with its first refresh token.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The id; also the family of its refresh tokens.
    pub id: SessionId,
    /// Whose.
    pub person: UserId,
    /// How sure we are.
    pub assurance: Assurance,
    /// How it was proved, RFC 8176 names separated by spaces.
    pub methods: String,
    /// When.
    pub created_at: Timestamp,
    /// The latest end.
    pub expires_at: Timestamp,
    /// The device mark, bound to the person.
    pub device_hash: Option<[u8; 32]>,
    /// User agent and address, sealed under the person's key.
    pub sealed_client: Vec<u8>,
    /// Hash of the first refresh token.
    pub refresh_hash: [u8; 32],
    /// When a factor was proved again for a change of settings.
    pub proved_at: Option<Timestamp>,
    /// The thumbprint of the key that its tokens are bound to.
    pub holder: Option<[u8; 32]>,
}

/// A session with what decides whether it still counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// The id.
    pub id: SessionId,
    /// Whose.
    pub person: UserId,
    /// Whether this person may be logged in.
    pub user: UserState,
    /// The person's roles.
    pub roles: Vec<Role>,
    /// How sure we are.
    pub assurance: Assurance,
    /// How it was proved.
    pub methods: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, as far as written.
    pub last_seen_at: Timestamp,
    /// The latest end.
    pub expires_at: Timestamp,
    /// Whether it was ended before.
    pub ended: bool,
    /// The device mark, bound to the person.
    pub device_hash: Option<Vec<u8>>,
    /// When a factor was proved again for a change of settings.
    pub proved_at: Option<Timestamp>,
    /// The thumbprint of the key that its tokens are bound to.
    pub holder: Option<[u8; 32]>,
}

/// A session as its owner sees it in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// The id.
    pub id: SessionId,
    /// How sure we are.
    pub assurance: Assurance,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, as far as written.
    pub last_seen_at: Timestamp,
    /// The latest end.
    pub expires_at: Timestamp,
    /// User agent and address, sealed.
    pub sealed_client: Vec<u8>,
    /// The device mark, bound to the person.
    pub device_hash: Option<Vec<u8>>,
}

/// A refresh token that was once given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshRow {
    /// Its family.
    pub session: SessionId,
    /// Its number in the family.
    pub generation: u32,
    /// When it was used.
    pub used_at: Option<Timestamp>,
    /// The hash of its child.
    pub child: Option<[u8; 32]>,
    /// Whether the child was used.
    pub child_used: bool,
}

#[derive(FromQueryResult)]
struct SessionSql {
    person: Uuid,
    state: String,
    assurance: i64,
    methods: String,
    created_at: i64,
    last_seen_at: i64,
    expires_at: i64,
    ended_at: Option<i64>,
    device_hash: Option<Vec<u8>>,
    proved_at: Option<i64>,
    holder: Option<Vec<u8>>,
}

const SESSION: &str = "SELECT s.person, u.state, s.assurance, s.methods, s.created_at, s.last_seen_at, s.expires_at, \
    s.ended_at, s.device_hash, s.proved_at, s.holder FROM sessions s JOIN users u ON u.id = s.person WHERE s.id = $1";

async fn session_of(
    on: &impl sea_orm::ConnectionTrait,
    session: SessionId,
) -> Result<Option<SessionRow>, StoreError> {
    let found: Vec<SessionSql> = rows(on, SESSION, vec![uuid(session).into()]).await?;
    let Some(row) = found.into_iter().next() else {
        return Ok(None);
    };
    let person = id(row.person);
    Ok(Some(SessionRow {
        id: session,
        person,
        user: UserState::parse(&row.state)?,
        roles: roles_of(on, person).await?,
        assurance: assurance_of(row.assurance)?,
        methods: row.methods,
        created_at: at(row.created_at),
        last_seen_at: at(row.last_seen_at),
        expires_at: at(row.expires_at),
        ended: row.ended_at.is_some(),
        device_hash: row.device_hash,
        proved_at: row.proved_at.map(at),
        holder: row.holder.as_deref().map(hash32).transpose()?,
    }))
}

#[derive(FromQueryResult)]
struct SessionIdSql {
    #[expect(dead_code, reason = "that there is a row is the answer")]
    id: Uuid,
}

#[derive(FromQueryResult)]
struct ViewSql {
    id: Uuid,
    assurance: i64,
    created_at: i64,
    last_seen_at: i64,
    expires_at: i64,
    sealed_client: Vec<u8>,
    device_hash: Option<Vec<u8>>,
}

#[derive(FromQueryResult)]
struct RefreshSql {
    session: Uuid,
    generation: i64,
    used_at: Option<i64>,
    child_hash: Option<Vec<u8>>,
    child_used_at: Option<i64>,
}

impl Store {
    /// A session, whether or not it still counts.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn session(&self, session: SessionId) -> Result<Option<SessionRow>, StoreError> {
        session_of(&self.read(Scope::System).await?.tx, session).await
    }

    /// A person's living sessions, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn sessions(
        &self,
        person: UserId,
        before: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionView>, StoreError> {
        let read = self.read(Scope::Person(person)).await?;
        let before = before.map_or(Uuid::max(), uuid);
        let found: Vec<ViewSql> = rows(
            &read.tx,
            "SELECT id, assurance, created_at, last_seen_at, expires_at, sealed_client, device_hash FROM sessions \
             WHERE person = $1 AND id < $2 AND ended_at IS NULL AND expires_at > $3 ORDER BY id DESC LIMIT $4",
            vec![
                uuid(person).into(),
                before.into(),
                now.micros().into(),
                i64::from(limit).into(),
            ],
        )
        .await?;
        found
            .into_iter()
            .map(|row| {
                Ok(SessionView {
                    id: id(row.id),
                    assurance: assurance_of(row.assurance)?,
                    created_at: at(row.created_at),
                    last_seen_at: at(row.last_seen_at),
                    expires_at: at(row.expires_at),
                    sealed_client: row.sealed_client,
                    device_hash: row.device_hash,
                })
            })
            .collect()
    }

    /// Writes when sessions were last used, many in one commit. Never moves a time backwards.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer; then the times may be written again.
    pub async fn touch_sessions(&self, seen: &[(SessionId, Timestamp)]) -> Result<(), StoreError> {
        let tx = self.write(Scope::System).await?;
        for (session, seen_at) in seen {
            tx.execute(
                "UPDATE sessions SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2",
                vec![uuid(*session).into(), seen_at.micros().into()],
            )
            .await?;
        }
        tx.commit().await
    }
}

impl WriteTx {
    /// Begins a session.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_session(&self, new: &NewSession) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO sessions (id, person, assurance, methods, created_at, last_seen_at, expires_at, device_hash, \
             sealed_client, proved_at, holder) VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9, $10)",
            vec![
                uuid(new.id).into(),
                uuid(new.person).into(),
                assurance_number(new.assurance).into(),
                new.methods.clone().into(),
                new.created_at.micros().into(),
                new.expires_at.micros().into(),
                new.device_hash.map(|hash| hash.to_vec()).into(),
                new.sealed_client.clone().into(),
                new.proved_at.map(Timestamp::micros).into(),
                new.holder.map(|holder| holder.to_vec()).into(),
            ],
        )
        .await?;
        self.insert_refresh_token(new.id, 0, &new.refresh_hash).await
    }

    /// Adds a refresh token to its family.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when the family has a token of this generation.
    pub async fn insert_refresh_token(
        &self,
        session: SessionId,
        generation: u32,
        hash: &[u8; 32],
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO refresh_tokens (hash, session, generation) VALUES ($1, $2, $3)",
            vec![
                hash.to_vec().into(),
                uuid(session).into(),
                i64::from(generation).into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Whether a person has any session that is remembered, over or not.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn has_session(&self, person: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT id FROM sessions WHERE person = $1 LIMIT 1";
        let found: Vec<SessionIdSql> = rows(&self.tx, sql, vec![uuid(person).into()]).await?;
        Ok(!found.is_empty())
    }

    /// Locks a session until this transaction ends and reads it as it is then. Whoever decides about a session's
    /// life does this first: of several at once each sees what the one before did.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn lock_session(&self, session: SessionId) -> Result<Option<SessionRow>, StoreError> {
        // Writing the row to itself locks it on both engines.
        let locked = self
            .execute(
                "UPDATE sessions SET id = id WHERE id = $1",
                vec![uuid(session).into()],
            )
            .await?;
        if locked == 0 {
            return Ok(None);
        }
        session_of(&self.tx, session).await
    }

    /// A refresh token by its hash, with the state of its child.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn refresh_token(&self, hash: &[u8; 32]) -> Result<Option<RefreshRow>, StoreError> {
        let found: Vec<RefreshSql> = rows(
            &self.tx,
            "SELECT r.session, r.generation, r.used_at, r.child_hash, c.used_at AS child_used_at FROM refresh_tokens r \
             LEFT JOIN refresh_tokens c ON c.hash = r.child_hash WHERE r.hash = $1",
            vec![hash.to_vec().into()],
        )
        .await?;
        let Some(row) = found.into_iter().next() else {
            return Ok(None);
        };
        Ok(Some(RefreshRow {
            session: id(row.session),
            generation: u32::try_from(row.generation)
                .map_err(|_| StoreError::Corrupt("refresh generation"))?,
            used_at: row.used_at.map(at),
            child: row.child_hash.as_deref().map(hash32).transpose()?,
            child_used: row.child_used_at.is_some(),
        }))
    }

    /// Marks a refresh token as used for this child. False when it was used before.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn use_refresh_token(
        &self,
        hash: &[u8; 32],
        child: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let used = self
            .execute(
                "UPDATE refresh_tokens SET used_at = $2, child_hash = $3 WHERE hash = $1 AND used_at IS NULL",
                vec![hash.to_vec().into(), now.micros().into(), child.to_vec().into()],
            )
            .await?;
        Ok(used == 1)
    }

    /// Writes that a session is used now.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn touch_session(&self, session: SessionId, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sessions SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2",
            vec![uuid(session).into(), now.micros().into()],
        )
        .await?;
        Ok(())
    }

    /// Ends a session; false when there is no living one. The caller revokes it in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn end_session(
        &self,
        session: SessionId,
        now: Timestamp,
        reason: &'static str,
    ) -> Result<bool, StoreError> {
        let ended = self
            .execute(
                "UPDATE sessions SET ended_at = $2, end_reason = $3 WHERE id = $1 AND ended_at IS NULL",
                vec![uuid(session).into(), now.micros().into(), reason.into()],
            )
            .await?;
        self.execute(
            "DELETE FROM refresh_tokens WHERE session = $1",
            vec![uuid(session).into()],
        )
        .await?;
        Ok(ended == 1)
    }

    /// Ends all of a person's sessions but one; how many. The caller revokes the person in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn end_sessions(
        &self,
        person: UserId,
        except: Option<SessionId>,
        now: Timestamp,
        reason: &'static str,
    ) -> Result<u64, StoreError> {
        let except = except.map_or(Uuid::nil(), uuid);
        // Sessions before their tokens, as whoever refreshes takes them.
        let ended = self
            .execute(
                "UPDATE sessions SET ended_at = $3, end_reason = $4 WHERE person = $1 AND id <> $2 AND ended_at IS NULL",
                vec![
                    uuid(person).into(),
                    except.into(),
                    now.micros().into(),
                    reason.into(),
                ],
            )
            .await?;
        self.execute(
            "DELETE FROM refresh_tokens WHERE session IN \
             (SELECT id FROM sessions WHERE person = $1 AND id <> $2 AND ended_at IS NOT NULL)",
            vec![uuid(person).into(), except.into()],
        )
        .await?;
        Ok(ended)
    }

    /// Ends the sessions of a person that began on a device; returns how many.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn end_sessions_of_device(
        &self,
        person: UserId,
        device: &[u8; 32],
        now: Timestamp,
        reason: &'static str,
    ) -> Result<u64, StoreError> {
        let ended = self
            .execute(
                "UPDATE sessions SET ended_at = $3, end_reason = $4 \
                 WHERE person = $1 AND device_hash = $2 AND ended_at IS NULL",
                vec![
                    uuid(person).into(),
                    device.to_vec().into(),
                    now.micros().into(),
                    reason.into(),
                ],
            )
            .await?;
        self.execute(
            "DELETE FROM refresh_tokens WHERE session IN \
             (SELECT id FROM sessions WHERE person = $1 AND device_hash = $2 AND ended_at IS NOT NULL)",
            vec![uuid(person).into(), device.to_vec().into()],
        )
        .await?;
        Ok(ended)
    }
}
