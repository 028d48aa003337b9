//! What waits for a second person, and forgetting what is of no use any more.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    id::{ApprovalId, UserId},
    ledger::{Fingerprint, Idempotency, IdempotencyTag},
    time::Timestamp,
};
use uuid::Uuid;

use super::{at, hash32, id, uuid};
use crate::{
    audit::APPROVES_FROM,
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalState {
    /// Nobody has decided yet.
    Open,
    /// Done.
    Approved,
    /// Refused.
    Rejected,
    /// Nobody decided in time, or the maker lost the right to ask.
    Expired,
}

impl ApprovalState {
    const ALL: [Self; 4] = [Self::Open, Self::Approved, Self::Rejected, Self::Expired];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }

    /// Reads the stable name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A request that somebody else decides, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRow {
    /// The id.
    pub id: ApprovalId,
    /// What would be done.
    pub action: String,
    /// Number of the maker's kind of principal.
    pub maker_kind: u8,
    /// The maker within the kind.
    pub maker: [u8; 16],
    /// The person who asks, or for whom a key asks.
    pub person: Option<UserId>,
    /// The rule that it was asked under; empty where it was asked before rules were kept.
    pub rule: String,
    /// The client's key, where the request may be repeated.
    pub key: Option<Idempotency>,
    /// What exactly, sealed by the ring; empty once it is decided.
    pub sealed: Vec<u8>,
    /// Digest of what exactly.
    pub digest: [u8; 32],
    /// What became of it.
    pub state: ApprovalState,
    /// Who decided.
    pub checker: Option<UserId>,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// Why, sealed by the ring.
    pub sealed_reason: Option<Vec<u8>>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// The end.
    pub expires_at: Timestamp,
}

/// A decision about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalDecision {
    /// What it becomes.
    pub state: ApprovalState,
    /// By whom.
    pub checker: UserId,
    /// When.
    pub at: Timestamp,
    /// Why, sealed by the ring.
    pub sealed_reason: Option<Vec<u8>>,
}

#[derive(FromQueryResult)]
struct ApprovalSql {
    id: Uuid,
    action: String,
    maker_kind: i64,
    maker: Uuid,
    maker_person: Option<Uuid>,
    rule: String,
    tag: Option<Vec<u8>>,
    fingerprint: Option<Vec<u8>>,
    sealed: Vec<u8>,
    digest: Vec<u8>,
    state: String,
    checker: Option<Uuid>,
    decided_at: Option<i64>,
    sealed_reason: Option<Vec<u8>>,
    created_at: i64,
    expires_at: i64,
}

#[derive(FromQueryResult)]
struct FromSql {
    approves_from: i64,
}

impl TryFrom<ApprovalSql> for ApprovalRow {
    type Error = StoreError;

    fn try_from(row: ApprovalSql) -> Result<Self, StoreError> {
        Ok(Self {
            id: id(row.id),
            action: row.action,
            maker_kind: u8::try_from(row.maker_kind).map_err(|_| StoreError::Corrupt("a maker's kind"))?,
            maker: *row.maker.as_bytes(),
            person: row.maker_person.map(id),
            rule: row.rule,
            key: key_of(row.tag, row.fingerprint)?,
            sealed: row.sealed,
            digest: hash32(&row.digest)?,
            state: ApprovalState::parse(&row.state).ok_or(StoreError::Corrupt("approval state"))?,
            checker: row.checker.map(id),
            decided_at: row.decided_at.map(at),
            sealed_reason: row.sealed_reason,
            created_at: at(row.created_at),
            expires_at: at(row.expires_at),
        })
    }
}

fn key_of(tag: Option<Vec<u8>>, fingerprint: Option<Vec<u8>>) -> Result<Option<Idempotency>, StoreError> {
    let (Some(tag), Some(fingerprint)) = (tag, fingerprint) else {
        return Ok(None);
    };
    Ok(Some(Idempotency {
        tag: tag
            .try_into()
            .map_err(|_| StoreError::Corrupt("the key of a request"))?,
        fingerprint: Fingerprint::from_bytes(fingerprint),
    }))
}

macro_rules! select_approvals {
    ($rest:literal) => {
        concat!(
            "SELECT id, action, maker_kind, maker, maker_person, rule, tag, fingerprint, sealed, digest, state, checker, \
             decided_at, sealed_reason, created_at, expires_at FROM approvals WHERE ",
            $rest
        )
    };
}

/// Something that somebody else has to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApproval {
    /// The id.
    pub id: ApprovalId,
    /// What would be done.
    pub action: &'static str,
    /// Number of the maker's kind of principal.
    pub maker_kind: u8,
    /// The maker within the kind.
    pub maker: [u8; 16],
    /// The person who asks, or for whom a key asks.
    pub person: Option<UserId>,
    /// The rule that it is asked under.
    pub rule: String,
    /// The client's key, where the request may be repeated.
    pub key: Option<Idempotency>,
    /// What exactly, sealed by the ring.
    pub sealed: Vec<u8>,
    /// What the checker will see, as a digest: that and nothing else is executed.
    pub digest: [u8; 32],
    /// When.
    pub created_at: Timestamp,
    /// The end.
    pub expires_at: Timestamp,
}

/// Rows of one table that are forgotten at a time.
pub const SWEEP_ROWS_MAX: i64 = 500;

/// One query text for everything that is forgotten in portions. Tokens of a session go with it.
macro_rules! sweep {
    ($table:literal, $key:literal, $time:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE ",
            $key,
            " IN (SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE ",
            $time,
            " <= $1 ORDER BY ",
            $time,
            " LIMIT $2)"
        )
    };
}

impl Store {
    /// A request.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn approval(&self, approval: ApprovalId) -> Result<Option<ApprovalRow>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let found: Vec<ApprovalSql> = rows(
            &read.tx,
            select_approvals!("id = $1"),
            vec![uuid(approval).into()],
        )
        .await?;
        found.into_iter().next().map(TryInto::try_into).transpose()
    }

    /// The request that was filed under a client's key.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn approval_by_key(&self, tag: &IdempotencyTag) -> Result<Option<ApprovalRow>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let found: Vec<ApprovalSql> =
            rows(&read.tx, select_approvals!("tag = $1"), vec![tag.to_vec().into()]).await?;
        found.into_iter().next().map(TryInto::try_into).transpose()
    }

    /// Requests below an id, newest first, in one state or in all; about cash alone where that is wanted.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn approvals(
        &self,
        state: Option<ApprovalState>,
        cash_alone: bool,
        before: Option<ApprovalId>,
        limit: u32,
    ) -> Result<Vec<ApprovalRow>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let found: Vec<ApprovalSql> = rows(
            &read.tx,
            select_approvals!(
                "id < $1 AND ($2 = '' OR state = $2) AND ($4 = 0 OR action IN ('deposit.create', 'withdrawal.create')) \
                 ORDER BY id DESC LIMIT $3"
            ),
            vec![
                before.map_or(Uuid::max(), uuid).into(),
                state.map_or("", ApprovalState::name).into(),
                i64::from(limit).into(),
                i64::from(cash_alone).into(),
            ],
        )
        .await?;
        found.into_iter().map(TryInto::try_into).collect()
    }

    /// From when on a person may decide about requests of others.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn approves_from(&self, person: UserId) -> Result<Timestamp, StoreError> {
        let read = self.read(Scope::Person(person)).await?;
        let found: Vec<FromSql> = rows(
            &read.tx,
            "SELECT approves_from FROM users WHERE id = $1",
            vec![uuid(person).into()],
        )
        .await?;
        Ok(found
            .first()
            .map_or(Timestamp::default(), |row| at(row.approves_from)))
    }
}

impl WriteTx {
    /// Closes an open request whose time is not over and that says exactly this; false when it is none any more. What
    /// exactly was asked for is wiped. Of several at once one wins.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn decide_approval(
        &self,
        approval: ApprovalId,
        digest: &[u8; 32],
        decision: &ApprovalDecision,
    ) -> Result<bool, StoreError> {
        let decided = self
            .execute(
                "UPDATE approvals SET state = $3, checker = $4, decided_at = $5, sealed_reason = $6, sealed = $7 \
                 WHERE id = $1 AND digest = $2 AND state = 'open' AND expires_at > $5",
                vec![
                    uuid(approval).into(),
                    digest.to_vec().into(),
                    decision.state.name().into(),
                    uuid(decision.checker).into(),
                    decision.at.micros().into(),
                    decision.sealed_reason.clone().into(),
                    Vec::<u8>::new().into(),
                ],
            )
            .await?;
        Ok(decided == 1)
    }

    /// Closes all requests whose time is over.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn expire_approvals(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.execute(
            "UPDATE approvals SET state = 'expired', decided_at = expires_at, sealed = $2 \
             WHERE state = 'open' AND expires_at <= $1",
            vec![now.micros().into(), Vec::<u8>::new().into()],
        )
        .await
    }

    /// Lets a person decide about requests of others from a moment on.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn set_approves_from(&self, person: UserId, from: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE users SET approves_from = $2 WHERE id = $1",
            vec![uuid(person).into(), from.micros().into()],
        )
        .await?;
        self.tell(person, APPROVES_FROM, Some(from.micros().to_string()));
        Ok(())
    }

    /// Asks for somebody else's decision; false where the client's key was used for another request before.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_approval(&self, new: &NewApproval) -> Result<bool, StoreError> {
        let key = new.key.as_ref();
        let inserted = self
            .execute(
            "INSERT INTO approvals (id, action, maker_kind, maker, sealed, digest, state, created_at, expires_at, \
             maker_person, rule, tag, fingerprint) VALUES ($1, $2, $3, $4, $5, $6, 'open', $7, $8, $9, $10, $11, $12) \
             ON CONFLICT (tag) DO NOTHING",
            vec![
                uuid(new.id).into(),
                new.action.into(),
                i64::from(new.maker_kind).into(),
                Uuid::from_bytes(new.maker).into(),
                new.sealed.clone().into(),
                new.digest.to_vec().into(),
                new.created_at.micros().into(),
                new.expires_at.micros().into(),
                new.person.map(uuid).into(),
                new.rule.clone().into(),
                key.map(|key| key.tag.to_vec()).into(),
                key.map(|key| key.fingerprint.as_bytes().to_vec()).into(),
            ],
        )
        .await?;
        Ok(inserted == 1)
    }

    /// Forgets one portion of what is of no use any more: registrations, tickets, factors and counts of tries whose
    /// time is over, sessions that ended before `ended`. How much it was; a whole portion of [`SWEEP_ROWS_MAX`] of
    /// something means that there may be more.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn sweep_identity(&self, now: Timestamp, ended: Timestamp) -> Result<u64, StoreError> {
        let mut most = 0;
        for (sql, bound) in [
            (sweep!("registrations", "id", "expires_at"), now),
            (sweep!("tickets", "hash", "expires_at"), now),
            (sweep!("totp_factors", "id", "expires_at"), now),
            (sweep!("step_ups", "id", "expires_at"), now),
            (sweep!("passkey_ceremonies", "hash", "expires_at"), now),
            (sweep!("external_starts", "hash", "expires_at"), now),
            (sweep!("email_changes", "person", "expires_at"), now),
            (sweep!("guesses", "subject", "expires_at"), now),
            (sweep!("sessions", "id", "expires_at"), ended),
        ] {
            let swept = self
                .execute(sql, vec![bound.micros().into(), SWEEP_ROWS_MAX.into()])
                .await?;
            most = most.max(swept);
        }
        Ok(most)
    }
}
