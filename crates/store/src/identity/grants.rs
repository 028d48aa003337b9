//! Roles given to people, for good or for a time.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    department::Department,
    id::{GrantId, UserId},
    principal::Role,
    time::Timestamp,
};
use uuid::Uuid;

use super::{at, id, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// A role given to a person, whether or not its time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantRow {
    /// The id.
    pub id: GrantId,
    /// Which role.
    pub role: Role,
    /// When it was given.
    pub granted_at: Timestamp,
    /// The end; `None` for good.
    pub expires_at: Option<Timestamp>,
    /// The only department that it counts in; `None` where it counts everywhere.
    pub department: Option<Department>,
    /// Who asked for it; `None` where nobody did in particular.
    pub granted_by: Option<UserId>,
}

#[derive(FromQueryResult)]
struct GrantSql {
    id: Uuid,
    role: String,
    granted_at: i64,
    expires_at: Option<i64>,
    department: Option<String>,
    granted_by: Option<Uuid>,
}

impl TryFrom<GrantSql> for GrantRow {
    type Error = StoreError;

    fn try_from(row: GrantSql) -> Result<Self, StoreError> {
        Ok(Self {
            id: id(row.id),
            role: Role::parse(&row.role).ok_or(StoreError::Corrupt("role"))?,
            granted_at: at(row.granted_at),
            expires_at: row.expires_at.map(at),
            department: department_of(row.department.as_deref())?,
            granted_by: row.granted_by.filter(|by| !by.is_nil()).map(id),
        })
    }
}

/// Reads a stored name.
pub(crate) fn department_of(name: Option<&str>) -> Result<Option<Department>, StoreError> {
    name.map(|name| Department::parse(name).ok_or(StoreError::Corrupt("department")))
        .transpose()
}

async fn grants_of(on: &impl sea_orm::ConnectionTrait, person: UserId) -> Result<Vec<GrantRow>, StoreError> {
    let found: Vec<GrantSql> = rows(
        on,
        "SELECT id, role, granted_at, expires_at, department, granted_by FROM grants WHERE person = $1 ORDER BY role",
        vec![uuid(person).into()],
    )
    .await?;
    found.into_iter().map(GrantRow::try_from).collect()
}

impl Store {
    /// A person's grants.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn grants(&self, person: UserId) -> Result<Vec<GrantRow>, StoreError> {
        grants_of(&self.read(Scope::System).await?.tx, person).await
    }
}

impl WriteTx {
    /// A person's grants, as this transaction sees them.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn grants(&self, person: UserId) -> Result<Vec<GrantRow>, StoreError> {
        grants_of(&self.tx, person).await
    }

    /// Gives a role, or gives it anew until another end. The caller revokes the person in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn put_grant(&self, person: UserId, grant: &GrantRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO grants (id, person, role, granted_at, expires_at, granted_by, department) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (person, role) DO UPDATE SET id = excluded.id, \
             granted_at = excluded.granted_at, expires_at = excluded.expires_at, granted_by = excluded.granted_by, \
             department = excluded.department",
            vec![
                uuid(grant.id).into(),
                uuid(person).into(),
                grant.role.name().into(),
                grant.granted_at.micros().into(),
                grant.expires_at.map(Timestamp::micros).into(),
                grant.granted_by.map(uuid).into(),
                grant.department.map(|department| department.to_string()).into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Takes a role away. The caller revokes the person in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn delete_grant(&self, person: UserId, grant: GrantId) -> Result<bool, StoreError> {
        let gone = self
            .execute(
                "DELETE FROM grants WHERE person = $1 AND id = $2",
                vec![uuid(person).into(), uuid(grant).into()],
            )
            .await?;
        Ok(gone == 1)
    }

    /// How many people besides this one may be logged in and administrate for good. Whoever asks has revoked before,
    /// and so is alone.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn administrators_besides(&self, person: UserId) -> Result<i64, StoreError> {
        let row = self
            .one(
                "SELECT count(*) FROM grants g JOIN users u ON u.id = g.person WHERE g.role = 'admin' AND g.department IS NULL \
                 AND g.expires_at IS NULL AND u.state = 'active' AND u.id <> $1",
                vec![uuid(person).into()],
            )
            .await?;
        Ok(row.try_get_by_index(0)?)
    }
}
