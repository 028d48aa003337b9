//! What people of the bank did against an incident, and what of it is in force.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    id::{IncidentActionId, SessionId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{at, id, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, one, rows},
};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncidentActionKind {
    /// No money moves.
    ReadOnly,
    /// Everybody logs in again.
    EndSessions,
    /// An account was frozen.
    FreezeAccount,
    /// A key of an integration was taken away.
    RevokeKey,
    /// A network is refused.
    BlockNetwork,
}

impl IncidentActionKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::ReadOnly,
        Self::EndSessions,
        Self::FreezeAccount,
        Self::RevokeKey,
        Self::BlockNetwork,
    ];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read_only",
            Self::EndSessions => "end_sessions",
            Self::FreezeAccount => "freeze_account",
            Self::RevokeKey => "revoke_key",
            Self::BlockNetwork => "block_network",
        }
    }

    /// Reads the stable name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Something that was done against an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentActionRow {
    /// The id.
    pub id: IncidentActionId,
    /// What.
    pub action: IncidentActionKind,
    /// The account or key, as its id is written.
    pub target: Option<String>,
    /// The network, sealed by the ring at the row's id.
    pub sealed_network: Option<Vec<u8>>,
    /// Why, sealed likewise.
    pub sealed_reason: Vec<u8>,
    /// When.
    pub taken_at: Timestamp,
    /// By whom, as logs name them.
    pub taken_by: String,
    /// When it ends by itself.
    pub ends_at: Option<Timestamp>,
    /// When it was lifted.
    pub lifted_at: Option<Timestamp>,
    /// By whom.
    pub lifted_by: Option<String>,
}

#[derive(FromQueryResult)]
struct ActionSql {
    id: Uuid,
    action: String,
    target: Option<String>,
    sealed_network: Option<Vec<u8>>,
    sealed_reason: Vec<u8>,
    taken_at: i64,
    taken_by: String,
    ends_at: Option<i64>,
    lifted_at: Option<i64>,
    lifted_by: Option<String>,
}

const COLUMNS: &str = "id, action, target, sealed_network, sealed_reason, taken_at, taken_by, ends_at, lifted_at, \
     lifted_by";

impl TryFrom<ActionSql> for IncidentActionRow {
    type Error = StoreError;

    fn try_from(row: ActionSql) -> Result<Self, StoreError> {
        Ok(Self {
            id: id(row.id),
            action: IncidentActionKind::parse(&row.action)
                .ok_or(StoreError::Corrupt("the name of an incident action"))?,
            target: row.target,
            sealed_network: row.sealed_network,
            sealed_reason: row.sealed_reason,
            taken_at: at(row.taken_at),
            taken_by: row.taken_by,
            ends_at: row.ends_at.map(at),
            lifted_at: row.lifted_at.map(at),
            lifted_by: row.lifted_by,
        })
    }
}

impl Store {
    /// Actions below an id, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn incident_actions(
        &self,
        before: Option<IncidentActionId>,
        limit: u32,
    ) -> Result<Vec<IncidentActionRow>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let found: Vec<ActionSql> = rows(
            &read.tx,
            &format!("SELECT {COLUMNS} FROM incident_actions WHERE id < $1 ORDER BY id DESC LIMIT $2"),
            vec![before.map_or(Uuid::max(), uuid).into(), i64::from(limit).into()],
        )
        .await?;
        found.into_iter().map(TryInto::try_into).collect()
    }

    /// One action.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn incident_action(
        &self,
        action: IncidentActionId,
    ) -> Result<Option<IncidentActionRow>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let found: Vec<ActionSql> = rows(
            &read.tx,
            &format!("SELECT {COLUMNS} FROM incident_actions WHERE id = $1"),
            vec![uuid(action).into()],
        )
        .await?;
        found.into_iter().next().map(TryInto::try_into).transpose()
    }

    /// Whether no money moves.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn is_read_only(&self) -> Result<bool, StoreError> {
        let read = self.read(Scope::System).await?;
        let found = one(
            &read.tx,
            "SELECT 1 FROM incident_actions WHERE action = 'read_only' AND lifted_at IS NULL",
            vec![],
        )
        .await?;
        Ok(found.is_some())
    }

    /// Networks that are refused at a moment, the one that ends last first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn blocked_networks(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<IncidentActionRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<ActionSql> = rows(
            &read.tx,
            &format!(
                "SELECT {COLUMNS} FROM incident_actions WHERE action = 'block_network' AND lifted_at IS NULL \
                 AND ends_at > $1 ORDER BY ends_at DESC LIMIT $2"
            ),
            vec![now.micros().into(), i64::from(limit).into()],
        )
        .await?;
        found.into_iter().map(TryInto::try_into).collect()
    }
}

impl WriteTx {
    /// Adds an action.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] where the bank is read-only already; [`StoreError`] when the database does not
    /// answer.
    pub async fn add_incident_action(&self, row: &IncidentActionRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO incident_actions \
             (id, action, target, sealed_network, sealed_reason, taken_at, taken_by, ends_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            vec![
                uuid(row.id).into(),
                row.action.name().into(),
                row.target.clone().into(),
                row.sealed_network.clone().into(),
                row.sealed_reason.clone().into(),
                row.taken_at.micros().into(),
                row.taken_by.clone().into(),
                row.ends_at.map(Timestamp::micros).into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Lifts an action that is in force; `false` where there is none.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn lift_incident_action(
        &self,
        action: IncidentActionId,
        by: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let lifted = self
            .execute(
                "UPDATE incident_actions SET lifted_at = $2, lifted_by = $3 WHERE id = $1 AND lifted_at IS NULL \
                 AND action IN ('read_only', 'block_network') AND (ends_at IS NULL OR ends_at > $2)",
                vec![uuid(action).into(), now.micros().into(), by.into()],
            )
            .await?;
        Ok(lifted == 1)
    }

    /// Ends everybody's sessions but one; how many. The caller revokes everybody in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn end_all_sessions(
        &self,
        except: Option<SessionId>,
        now: Timestamp,
        reason: &'static str,
    ) -> Result<u64, StoreError> {
        let except = except.map_or(Uuid::nil(), uuid);
        // Sessions before their tokens, as whoever refreshes takes them.
        let ended = self
            .execute(
                "UPDATE sessions SET ended_at = $2, end_reason = $3 WHERE id <> $1 AND ended_at IS NULL",
                vec![except.into(), now.micros().into(), reason.into()],
            )
            .await?;
        self.execute(
            "DELETE FROM refresh_tokens WHERE session IN (SELECT id FROM sessions WHERE id <> $1 AND ended_at IS NOT NULL)",
            vec![except.into()],
        )
        .await?;
        Ok(ended)
    }
}
