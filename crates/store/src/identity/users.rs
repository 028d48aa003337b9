//! People as logins: found by address or id, listed, stopped and let in again; their passwords and roles.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    department::Department,
    id::{GrantId, UserId},
    principal::Role,
    time::Timestamp,
};
use uuid::Uuid;

use super::{UserState, at, grants::department_of, id, uuid};
use crate::{
    audit::Standing,
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// A person as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// The id.
    pub id: UserId,
    /// Whether this person may be logged in.
    pub state: UserState,
    /// Blind index of the folded address; none for a technical user.
    pub email_index: Option<Vec<u8>>,
    /// The address, sealed.
    pub sealed_email: Option<Vec<u8>>,
    /// The name, sealed.
    pub sealed_name: Option<Vec<u8>>,
    /// Where the person works or belongs.
    pub department: Option<Department>,
    /// When.
    pub created_at: Timestamp,
}

/// A password as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordRow {
    /// The hash with its cost, salt and pepper's number.
    pub hash: String,
    /// When it was set.
    pub changed_at: Timestamp,
    /// Set for a password that was printed: good until then, and only to set an own one.
    pub initial_until: Option<Timestamp>,
}

/// What a login needs to know about an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRow {
    /// Whose address.
    pub id: UserId,
    /// Whether this person may be logged in.
    pub state: UserState,
    /// The password, where there is one.
    pub password: Option<PasswordRow>,
}

#[derive(FromQueryResult)]
struct UserSql {
    id: Uuid,
    state: String,
    email_index: Option<Vec<u8>>,
    sealed_email: Option<Vec<u8>>,
    sealed_name: Option<Vec<u8>>,
    department: Option<String>,
    created_at: i64,
}

impl TryFrom<UserSql> for UserRow {
    type Error = StoreError;

    fn try_from(row: UserSql) -> Result<Self, StoreError> {
        Ok(Self {
            id: id(row.id),
            state: UserState::parse(&row.state)?,
            email_index: row.email_index,
            sealed_email: row.sealed_email,
            sealed_name: row.sealed_name,
            department: department_of(row.department.as_deref())?,
            created_at: at(row.created_at),
        })
    }
}

#[derive(FromQueryResult)]
struct LoginSql {
    id: Uuid,
    state: String,
    hash: Option<String>,
    changed_at: Option<i64>,
    initial_until: Option<i64>,
}

#[derive(FromQueryResult)]
struct IdSql {
    id: Uuid,
}

const USER: &str = "SELECT id, state, email_index, sealed_email, sealed_name, department, created_at FROM users WHERE id = $1";

impl Store {
    /// What a login needs to know about an address, under any of these indexes (one for each key of the ring). Asks
    /// the same whether or not there is anybody.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn login(&self, email_indexes: &[[u8; 16]]) -> Result<Option<LoginRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let mut found = None;
        for index in email_indexes {
            let rows: Vec<LoginSql> = rows(
                &read.tx,
                "SELECT u.id, u.state, p.hash, p.changed_at, p.initial_until FROM users u \
                 LEFT JOIN passwords p ON p.person = u.id WHERE u.email_index = $1",
                vec![index.to_vec().into()],
            )
            .await?;
            found = found.or(rows.into_iter().next());
        }
        let Some(row) = found else { return Ok(None) };
        let password = match (row.hash, row.changed_at) {
            (Some(hash), Some(changed_at)) => Some(PasswordRow {
                hash,
                changed_at: at(changed_at),
                initial_until: row.initial_until.map(at),
            }),
            _ => None,
        };
        Ok(Some(LoginRow {
            id: id(row.id),
            state: UserState::parse(&row.state)?,
            password,
        }))
    }

    /// A person.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn user(&self, person: UserId) -> Result<Option<UserRow>, StoreError> {
        let read = self.read(Scope::Person(person)).await?;
        let found: Vec<UserSql> = rows(&read.tx, USER, vec![uuid(person).into()]).await?;
        found.into_iter().next().map(UserRow::try_from).transpose()
    }

    /// Where a person works or belongs; nowhere for who is not there.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn department(&self, person: UserId) -> Result<Option<Department>, StoreError> {
        #[derive(FromQueryResult)]
        struct DepartmentSql {
            department: Option<String>,
        }
        let read = self.read(Scope::System).await?;
        let found: Vec<DepartmentSql> = rows(
            &read.tx,
            "SELECT department FROM users WHERE id = $1",
            vec![uuid(person).into()],
        )
        .await?;
        let name = found.into_iter().next().and_then(|row| row.department);
        department_of(name.as_deref())
    }

    /// A person's password.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn password(&self, person: UserId) -> Result<Option<PasswordRow>, StoreError> {
        #[derive(FromQueryResult)]
        struct PasswordSql {
            hash: String,
            changed_at: i64,
            initial_until: Option<i64>,
        }
        let read = self.read(Scope::Person(person)).await?;
        let found: Vec<PasswordSql> = rows(
            &read.tx,
            "SELECT hash, changed_at, initial_until FROM passwords WHERE person = $1",
            vec![uuid(person).into()],
        )
        .await?;
        Ok(found.into_iter().next().map(|row| PasswordRow {
            hash: row.hash,
            changed_at: at(row.changed_at),
            initial_until: row.initial_until.map(at),
        }))
    }

    /// People, newest first, for operators.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn users(&self, before: Option<UserId>, limit: u32) -> Result<Vec<UserRow>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let before = before.map_or(Uuid::max(), uuid);
        let found: Vec<UserSql> = rows(
            &read.tx,
            "SELECT id, state, email_index, sealed_email, sealed_name, department, created_at FROM users WHERE id < $1 \
             ORDER BY id DESC LIMIT $2",
            vec![before.into(), i64::from(limit).into()],
        )
        .await?;
        found.into_iter().map(UserRow::try_from).collect()
    }

    /// Everybody who holds a role and may be logged in, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn holders(&self, role: Role, limit: u32) -> Result<Vec<UserId>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<IdSql> = rows(
            &read.tx,
            "SELECT u.id FROM grants g JOIN users u ON u.id = g.person WHERE g.role = $1 AND u.state = 'active' \
             ORDER BY u.id LIMIT $2",
            vec![role.name().into(), i64::from(limit).into()],
        )
        .await?;
        Ok(found.into_iter().map(|row| id(row.id)).collect())
    }
}

impl WriteTx {
    /// Sets or replaces a password.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn set_password(
        &self,
        person: UserId,
        hash: &str,
        now: Timestamp,
        initial_until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO passwords (person, hash, changed_at, initial_until) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (person) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at, \
             initial_until = excluded.initial_until",
            vec![
                uuid(person).into(),
                hash.into(),
                now.micros().into(),
                initial_until.map(Timestamp::micros).into(),
            ],
        )
        .await?;
        self.tell_credentials(person, Standing::Passwords).await
    }

    /// Replaces a hash by one of the same password under the present pepper and cost; not if the password changed
    /// meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn refresh_password(&self, person: UserId, old: &str, new: &str) -> Result<(), StoreError> {
        self.execute(
            "UPDATE passwords SET hash = $3 WHERE person = $1 AND hash = $2",
            vec![uuid(person).into(), old.into(), new.into()],
        )
        .await?;
        self.tell_credentials(person, Standing::Passwords).await
    }

    /// Gives a role; no harm when it is there.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_grant(
        &self,
        grant: GrantId,
        person: UserId,
        role: Role,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO grants (id, person, role, granted_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (person, role) DO NOTHING",
            vec![
                uuid(grant).into(),
                uuid(person).into(),
                role.name().into(),
                now.micros().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Locks a person until this transaction ends and reads the row as it is then.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn lock_user(&self, person: UserId) -> Result<Option<UserRow>, StoreError> {
        self.execute(
            "UPDATE users SET id = id WHERE id = $1",
            vec![uuid(person).into()],
        )
        .await?;
        let found: Vec<UserSql> = rows(&self.tx, USER, vec![uuid(person).into()]).await?;
        found.into_iter().next().map(UserRow::try_from).transpose()
    }

    /// A person, as this transaction sees the row.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn user(&self, person: UserId) -> Result<Option<UserRow>, StoreError> {
        let found: Vec<UserSql> = rows(&self.tx, USER, vec![uuid(person).into()]).await?;
        found.into_iter().next().map(UserRow::try_from).transpose()
    }

    /// Stops a login or lets it in again. The caller revokes the person in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn set_user_state(
        &self,
        person: UserId,
        state: UserState,
        sealed_reason: &[u8],
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE users SET state = $2, sealed_reason = $3 WHERE id = $1",
            vec![
                uuid(person).into(),
                state.name().into(),
                sealed_reason.to_vec().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Says where a person works or belongs. The caller revokes the person in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn set_department(
        &self,
        person: UserId,
        department: Option<Department>,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE users SET department = $2 WHERE id = $1",
            vec![
                uuid(person).into(),
                department.map(|department| department.to_string()).into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Changes a person's name.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn set_user_name(&self, person: UserId, sealed_name: &[u8]) -> Result<(), StoreError> {
        self.execute(
            "UPDATE users SET sealed_name = $2 WHERE id = $1",
            vec![uuid(person).into(), sealed_name.to_vec().into()],
        )
        .await?;
        Ok(())
    }
}

impl WriteTx {
    /// Whether this is still the person's password, as this transaction sees it.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn has_password(&self, person: UserId, hash: &str) -> Result<bool, StoreError> {
        let found: Vec<IdSql> = rows(
            &self.tx,
            "SELECT person AS id FROM passwords WHERE person = $1 AND hash = $2",
            vec![uuid(person).into(), hash.into()],
        )
        .await?;
        Ok(!found.is_empty())
    }
}
