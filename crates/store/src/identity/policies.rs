//! Policies of the bank's own: texts that are never changed, and the sets of them that were in force.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    id::{PolicyId, UserId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{at, hash32, id, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// Most policies that there may be at a time, those out of sight not counted.
pub const POLICIES_MAX: u32 = 500;

/// A policy as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRow {
    /// The id.
    pub id: PolicyId,
    /// What its author calls it; no two are called the same.
    pub name: String,
    /// When.
    pub created_at: Timestamp,
    /// Whether it is out of sight.
    pub deleted: bool,
    /// Number of its newest revision.
    pub newest: i64,
    /// Number of the revision in force, where one is.
    pub active: Option<i64>,
}

/// One text of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRow {
    /// Whose text.
    pub policy: PolicyId,
    /// What the policy is called.
    pub name: String,
    /// 1 for the first.
    pub number: i64,
    /// Cedar.
    pub text: String,
    /// Cases that have to come out as written (JSON).
    pub tests: String,
    /// SHA-256 of text and cases.
    pub digest: [u8; 32],
    /// Who wrote it; `None` for whoever holds the data directory.
    pub maker: Option<UserId>,
    /// When.
    pub created_at: Timestamp,
}

/// A text to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRevision {
    /// Cedar.
    pub text: String,
    /// Cases that have to come out as written (JSON).
    pub tests: String,
    /// SHA-256 of text and cases.
    pub digest: [u8; 32],
    /// Who wrote it; `None` for whoever holds the data directory.
    pub maker: Option<UserId>,
    /// When.
    pub created_at: Timestamp,
}

/// The revisions in force together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MembersRow {
    /// Number of the set; 1 when only the program's own policies are in force.
    pub version: i64,
    /// In the order of their ids.
    pub members: Vec<RevisionRow>,
}

/// The set of the program's own policies alone.
const FIRST_VERSION: i64 = 1;

#[derive(FromQueryResult)]
struct PolicySql {
    id: Uuid,
    name: String,
    created_at: i64,
    deleted_at: Option<i64>,
    newest: Option<i64>,
    active: Option<i64>,
}

#[derive(FromQueryResult)]
struct RevisionSql {
    policy: Uuid,
    name: String,
    number: i64,
    text: String,
    tests: String,
    digest: Vec<u8>,
    maker: Uuid,
    created_at: i64,
}

#[derive(FromQueryResult)]
struct NumberSql {
    number: Option<i64>,
}

impl From<PolicySql> for PolicyRow {
    fn from(row: PolicySql) -> Self {
        Self {
            id: id(row.id),
            name: row.name,
            created_at: at(row.created_at),
            deleted: row.deleted_at.is_some(),
            newest: row.newest.unwrap_or_default(),
            active: row.active,
        }
    }
}

impl TryFrom<RevisionSql> for RevisionRow {
    type Error = StoreError;

    fn try_from(row: RevisionSql) -> Result<Self, StoreError> {
        Ok(Self {
            policy: id(row.policy),
            name: row.name,
            number: row.number,
            text: row.text,
            tests: row.tests,
            digest: hash32(&row.digest)?,
            maker: (!row.maker.is_nil()).then(|| id(row.maker)),
            created_at: at(row.created_at),
        })
    }
}

macro_rules! select_policies {
    ($rest:literal) => {
        concat!(
            "SELECT p.id, p.name, p.created_at, p.deleted_at, \
             (SELECT max(r.number) FROM policy_revisions r WHERE r.policy = p.id) AS newest, \
             (SELECT m.number FROM policy_set_members m WHERE m.policy = p.id \
             AND m.version = (SELECT max(s.version) FROM policy_sets s)) AS active FROM policies p WHERE ",
            $rest
        )
    };
}

macro_rules! select_revisions {
    ($rest:literal) => {
        concat!(
            "SELECT r.policy, p.name, r.number, r.text, r.tests, r.digest, r.maker, r.created_at \
             FROM policy_revisions r JOIN policies p ON p.id = r.policy ",
            $rest
        )
    };
}

const NEWEST_SET: &str = "SELECT max(version) AS number FROM policy_sets";
const MEMBERS: &str = select_revisions!(
    "JOIN policy_set_members m ON m.policy = r.policy AND m.number = r.number WHERE m.version = $1 ORDER BY r.policy"
);
const REVISION: &str = select_revisions!("WHERE r.policy = $1 AND r.number = $2");
const POLICY: &str = select_policies!("p.id = $1");

async fn members_of(
    on: &impl sea_orm::ConnectionTrait,
    version: Option<i64>,
) -> Result<MembersRow, StoreError> {
    let version = match version {
        Some(version) => version,
        None => {
            let newest: Vec<NumberSql> = rows(on, NEWEST_SET, vec![]).await?;
            newest.first().and_then(|row| row.number).unwrap_or(FIRST_VERSION)
        }
    };
    let found: Vec<RevisionSql> = rows(on, MEMBERS, vec![version.into()]).await?;
    Ok(MembersRow {
        version,
        members: found
            .into_iter()
            .map(RevisionRow::try_from)
            .collect::<Result<_, _>>()?,
    })
}

impl Store {
    /// The revisions in force: those of the newest set, or of an earlier one.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn policy_set(&self, version: Option<i64>) -> Result<MembersRow, StoreError> {
        let read = self.read(Scope::System).await?;
        members_of(&read.tx, version).await
    }

    /// Policies below an id, newest first, without those out of sight.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn policies(&self, before: Option<PolicyId>, limit: u32) -> Result<Vec<PolicyRow>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let found: Vec<PolicySql> = rows(
            &read.tx,
            select_policies!("p.id < $1 AND p.deleted_at IS NULL ORDER BY p.id DESC LIMIT $2"),
            vec![before.map_or(Uuid::max(), uuid).into(), i64::from(limit).into()],
        )
        .await?;
        Ok(found.into_iter().map(PolicyRow::from).collect())
    }

    /// A policy.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn policy(&self, policy: PolicyId) -> Result<Option<PolicyRow>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let found: Vec<PolicySql> = rows(&read.tx, POLICY, vec![uuid(policy).into()]).await?;
        Ok(found.into_iter().next().map(PolicyRow::from))
    }

    /// The newest texts of a policy, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn policy_revisions(
        &self,
        policy: PolicyId,
        limit: u32,
    ) -> Result<Vec<RevisionRow>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let found: Vec<RevisionSql> = rows(
            &read.tx,
            select_revisions!("WHERE r.policy = $1 ORDER BY r.number DESC LIMIT $2"),
            vec![uuid(policy).into(), i64::from(limit).into()],
        )
        .await?;
        found.into_iter().map(RevisionRow::try_from).collect()
    }
}

impl Store {
    /// One text of a policy.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn policy_revision(
        &self,
        policy: PolicyId,
        number: i64,
    ) -> Result<Option<RevisionRow>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let found: Vec<RevisionSql> =
            rows(&read.tx, REVISION, vec![uuid(policy).into(), number.into()]).await?;
        found.into_iter().next().map(RevisionRow::try_from).transpose()
    }
}

impl WriteTx {
    /// The revisions in force, as this transaction sees them. Whoever puts others in force has revoked before, and so
    /// is alone.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn policy_set(&self) -> Result<MembersRow, StoreError> {
        members_of(&self.tx, None).await
    }

    /// Locks a policy until this transaction ends and reads it as it is then.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn lock_policy(&self, policy: PolicyId) -> Result<Option<PolicyRow>, StoreError> {
        self.execute(
            "UPDATE policies SET deleted_at = deleted_at WHERE id = $1",
            vec![uuid(policy).into()],
        )
        .await?;
        let found: Vec<PolicySql> = rows(&self.tx, POLICY, vec![uuid(policy).into()]).await?;
        Ok(found.into_iter().next().map(PolicyRow::from))
    }

    /// How many policies there are, those out of sight not counted.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn policies_count(&self) -> Result<i64, StoreError> {
        let row = self
            .one("SELECT count(*) FROM policies WHERE deleted_at IS NULL", vec![])
            .await?;
        Ok(row.try_get_by_index(0)?)
    }

    /// A new policy with its first text.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] where another one is called the same.
    pub async fn insert_policy(
        &self,
        policy: PolicyId,
        name: &str,
        first: &NewRevision,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO policies (id, name, created_at) VALUES ($1, $2, $3)",
            vec![uuid(policy).into(), name.into(), first.created_at.micros().into()],
        )
        .await?;
        self.insert_policy_revision(policy, 1, first).await
    }

    /// A further text. Of two at once with the same number one is refused.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] where there is a text with this number.
    pub async fn insert_policy_revision(
        &self,
        policy: PolicyId,
        number: i64,
        new: &NewRevision,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO policy_revisions (policy, number, text, tests, digest, maker, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            vec![
                uuid(policy).into(),
                number.into(),
                new.text.as_str().into(),
                new.tests.as_str().into(),
                new.digest.to_vec().into(),
                new.maker.map_or(Uuid::nil(), uuid).into(),
                new.created_at.micros().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Takes a policy out of sight; the texts stay.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn delete_policy(&self, policy: PolicyId, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE policies SET deleted_at = $2 WHERE id = $1",
            vec![uuid(policy).into(), now.micros().into()],
        )
        .await?;
        Ok(())
    }

    /// Puts these revisions in force, and no others.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] where there is a set of this version.
    pub async fn insert_policy_set(
        &self,
        version: i64,
        builtin: &[u8; 32],
        members: &[(PolicyId, i64)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO policy_sets (version, at, builtin) VALUES ($1, $2, $3)",
            vec![version.into(), now.micros().into(), builtin.to_vec().into()],
        )
        .await?;
        for (policy, number) in members {
            self.execute(
                "INSERT INTO policy_set_members (version, policy, number) VALUES ($1, $2, $3)",
                vec![version.into(), uuid(*policy).into(), (*number).into()],
            )
            .await?;
        }
        Ok(())
    }
}
