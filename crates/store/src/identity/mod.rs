//! How people prove who they are and what they may do: sessions, credentials, grants, keys, and what leads to them.
//!
//! A file per noun, one query text for both engines. Everything readable is sealed by the application; tokens and
//! keys are known here by their hashes. On PostgreSQL every table of a person is behind row security: open the
//! transaction with the right [`Scope`](crate::Scope).

mod alerts;
mod api_keys;
mod approvals;
mod decided;
mod decisions;
mod devices;
mod external;
mod factors;
mod fraud_rules;
mod fraud_trials;
mod grants;
mod incident_actions;
mod leaving;
mod mails;
mod noticed;
mod notices;
mod passkeys;
mod policies;
mod portions;
mod recovery;
mod registrations;
mod replays;
mod security_events;
mod security_feed;
mod sessions;
mod step_ups;
mod tickets;
mod users;

pub use alerts::AlertRow;
pub use api_keys::{ApiKeyRow, KeySigning, NewApiKey};
pub use approvals::{ApprovalDecision, ApprovalRow, ApprovalState, NewApproval, SWEEP_ROWS_MAX};
pub use decided::SharedFacts;
pub use decisions::{DecisionRow, DecisionWithFacts};
pub use devices::{DEVICES_MAX, DeviceRow};
pub use external::{EXTERNAL_LOGINS_MAX, ExternalLoginRow, ExternalStart};
pub use factors::{FactorId, FactorKind, FactorState, TotpRow};
pub use fraud_rules::RuleSetRow;
pub use fraud_trials::{DifferenceRow, TrialRow, TrialTally};
pub use grants::GrantRow;
pub use incident_actions::{IncidentActionKind, IncidentActionRow};
pub use leaving::EmailChangeRow;
pub use mails::{MailCounts, MailRow, OverMail};
pub use noticed::Noticed;
pub(crate) use noticed::Owners;
pub use notices::{LapsedReview, NoticeRow, NoticeWish, Wishes};
pub use passkeys::{CeremonyKind, CeremonyRow, PASSKEYS_MAX, PasskeyRow};
pub use policies::{MembersRow, NewRevision, POLICIES_MAX, PolicyRow, RevisionRow};
pub use recovery::FactorCounts;
pub use registrations::RegistrationRow;
pub use security_events::{SecurityEventFilter, SecurityEventRow};
pub use security_feed::{FeedKept, FeedRow, FeedRows, NewFeedEvent};
pub use sessions::{NewSession, RefreshRow, SessionRow, SessionView};
pub use step_ups::NewStepUp;
pub use tickets::{Guesses, Ticket, TicketKind};
pub use users::{LoginRow, PasswordRow, UserRow};

use strongroom_domain::{
    id::{Id, UserId},
    principal::{Assurance, Role},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    error::StoreError,
    store::Store,
    tx::{ReadTx, Scope, WriteTx, rows},
};

/// Whether a login of this person counts at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserState {
    /// May log in.
    Active,
    /// Stopped for now by an operator.
    Locked,
    /// Stopped for good, until an administrator decides otherwise.
    Disabled,
    /// Gone: accounts closed, key destroyed.
    Closed,
}

impl UserState {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
            Self::Disabled => "disabled",
            Self::Closed => "closed",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, StoreError> {
        [Self::Active, Self::Locked, Self::Disabled, Self::Closed]
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or(StoreError::Corrupt("user state"))
    }
}

pub(crate) fn uuid<K>(id: Id<K>) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

pub(crate) fn id<K>(uuid: Uuid) -> Id<K> {
    Id::from_bytes(*uuid.as_bytes())
}

pub(crate) fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

pub(crate) fn assurance_of(number: i64) -> Result<Assurance, StoreError> {
    match number {
        1 => Ok(Assurance::Aal1),
        2 => Ok(Assurance::Aal2),
        _ => Err(StoreError::Corrupt("assurance level")),
    }
}

pub(crate) const fn assurance_number(assurance: Assurance) -> i64 {
    match assurance {
        Assurance::None => 0,
        Assurance::Aal1 => 1,
        Assurance::Aal2 => 2,
    }
}

pub(crate) fn hash32(bytes: &[u8]) -> Result<[u8; 32], StoreError> {
    bytes
        .try_into()
        .map_err(|_| StoreError::Corrupt("a hash of another length"))
}

#[derive(sea_orm::FromQueryResult)]
struct RoleSql {
    role: String,
}

pub(crate) async fn roles_of(
    on: &impl sea_orm::ConnectionTrait,
    person: UserId,
) -> Result<Vec<Role>, StoreError> {
    let found: Vec<RoleSql> = rows(
        on,
        "SELECT role FROM grants WHERE person = $1 ORDER BY role",
        vec![uuid(person).into()],
    )
    .await?;
    found
        .iter()
        .map(|row| Role::parse(&row.role).ok_or(StoreError::Corrupt("role")))
        .collect()
}

impl Store {
    /// A person's roles.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn roles(&self, person: UserId) -> Result<Vec<Role>, StoreError> {
        roles_of(&self.read(Scope::System).await?.tx, person).await
    }
}

impl ReadTx {
    /// A person's roles.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn roles(&self, person: UserId) -> Result<Vec<Role>, StoreError> {
        roles_of(&self.tx, person).await
    }
}

impl WriteTx {
    /// A person's roles, as this transaction sees them.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn roles(&self, person: UserId) -> Result<Vec<Role>, StoreError> {
        roles_of(&self.tx, person).await
    }
}
