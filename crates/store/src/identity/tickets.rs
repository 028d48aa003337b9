//! Tickets of logins that are not complete, and the count of tries.

use sea_orm::FromQueryResult;
use strongroom_domain::{id::UserId, time::Timestamp};
use uuid::Uuid;

use super::{at, id, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// What a ticket continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketKind {
    /// A login that wants a second factor.
    Mfa,
    /// A first login that wants an own password.
    Change,
    /// A first login that wants an own second factor.
    Enrol,
    /// A forgotten password.
    Reset,
    /// A lost second factor: a new one may be bound.
    Rebind,
}

impl TicketKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Mfa => "mfa",
            Self::Change => "change",
            Self::Enrol => "enrol",
            Self::Reset => "reset",
            Self::Rebind => "rebind",
        }
    }

    fn parse(name: &str) -> Result<Self, StoreError> {
        [Self::Mfa, Self::Change, Self::Enrol, Self::Reset, Self::Rebind]
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or(StoreError::Corrupt("ticket kind"))
    }
}

/// A login that is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Hash of the token that its holder shows.
    pub hash: [u8; 32],
    /// Whose.
    pub person: UserId,
    /// Which count its tries add to.
    pub subject: [u8; 16],
    /// What it continues.
    pub kind: TicketKind,
    /// Whether the first half was an issuer elsewhere, not a password.
    pub external: bool,
    /// The thumbprint of the key that its holder showed at the first step, and must show at the next.
    pub holder: Option<[u8; 32]>,
    /// When.
    pub created_at: Timestamp,
    /// The end.
    pub expires_at: Timestamp,
}

/// How often a secret was guessed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guesses {
    /// Tries since the last success or quiet day.
    pub failures: u32,
    /// Tries since the last success, which no quiet day forgets.
    pub total: u32,
    /// No try before this moment.
    pub blocked_until: Timestamp,
    /// The last try.
    pub updated_at: Timestamp,
    /// When the owner was told.
    pub told_at: Timestamp,
    /// When the count is forgotten.
    pub expires_at: Timestamp,
}

#[derive(FromQueryResult)]
struct TicketSql {
    person: Uuid,
    subject: Vec<u8>,
    kind: String,
    external: i64,
    holder: Option<Vec<u8>>,
    created_at: i64,
    expires_at: i64,
}

#[derive(FromQueryResult)]
struct GuessSql {
    failures: i64,
    total: i64,
    blocked_until: i64,
    updated_at: i64,
    told_at: i64,
    expires_at: i64,
}

impl Store {
    /// A ticket by the hash of its token, whether or not its time is over.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn ticket(&self, hash: &[u8; 32]) -> Result<Option<Ticket>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<TicketSql> = rows(
            &read.tx,
            "SELECT person, subject, kind, external, holder, created_at, expires_at FROM tickets WHERE hash = $1",
            vec![hash.to_vec().into()],
        )
        .await?;
        let Some(row) = found.into_iter().next() else {
            return Ok(None);
        };
        Ok(Some(Ticket {
            hash: *hash,
            person: id(row.person),
            subject: row
                .subject
                .as_slice()
                .try_into()
                .map_err(|_| StoreError::Corrupt("subject"))?,
            kind: TicketKind::parse(&row.kind)?,
            external: row.external != 0,
            holder: row
                .holder
                .map(|holder| holder.as_slice().try_into())
                .transpose()
                .map_err(|_| StoreError::Corrupt("holder"))?,
            created_at: at(row.created_at),
            expires_at: at(row.expires_at),
        }))
    }
}

impl WriteTx {
    /// Adds a ticket.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_ticket(&self, ticket: &Ticket) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO tickets (hash, person, subject, kind, external, created_at, expires_at, holder) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            vec![
                ticket.hash.to_vec().into(),
                uuid(ticket.person).into(),
                ticket.subject.to_vec().into(),
                ticket.kind.name().into(),
                i64::from(ticket.external).into(),
                ticket.created_at.micros().into(),
                ticket.expires_at.micros().into(),
                ticket.holder.map(|holder| holder.to_vec()).into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Spends a ticket; false when it was spent before. Of several at once one wins.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn spend_ticket(&self, hash: &[u8; 32]) -> Result<bool, StoreError> {
        let spent = self
            .execute("DELETE FROM tickets WHERE hash = $1", vec![hash.to_vec().into()])
            .await?;
        Ok(spent == 1)
    }

    /// Makes all tickets of a person worthless.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn drop_tickets(&self, person: UserId) -> Result<(), StoreError> {
        self.execute("DELETE FROM tickets WHERE person = $1", vec![uuid(person).into()])
            .await?;
        Ok(())
    }

    /// Locks a count of tries until this transaction ends and reads it as it is then.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn lock_guesses(&self, subject: &[u8; 16], now: Timestamp) -> Result<Guesses, StoreError> {
        // The upsert that changes nothing locks the row whether or not it was there.
        let found: Vec<GuessSql> = rows(
            &self.tx,
            "INSERT INTO guesses (subject, failures, blocked_until, updated_at, expires_at) VALUES ($1, 0, 0, $2, $2) \
             ON CONFLICT (subject) DO UPDATE SET subject = excluded.subject \
             RETURNING failures, total, blocked_until, updated_at, told_at, expires_at",
            vec![subject.to_vec().into(), now.micros().into()],
        )
        .await?;
        let row = found.first().ok_or(StoreError::Corrupt("a count that is gone"))?;
        Ok(Guesses {
            failures: u32::try_from(row.failures).map_err(|_| StoreError::Corrupt("failures"))?,
            total: u32::try_from(row.total).map_err(|_| StoreError::Corrupt("failures"))?,
            blocked_until: at(row.blocked_until),
            updated_at: at(row.updated_at),
            told_at: at(row.told_at),
            expires_at: at(row.expires_at),
        })
    }

    /// Writes a count of tries.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn set_guesses(&self, subject: &[u8; 16], guesses: Guesses) -> Result<(), StoreError> {
        self.execute(
            "UPDATE guesses SET failures = $2, total = $3, blocked_until = $4, updated_at = $5, told_at = $6, \
             expires_at = $7 WHERE subject = $1",
            vec![
                subject.to_vec().into(),
                i64::from(guesses.failures).into(),
                i64::from(guesses.total).into(),
                guesses.blocked_until.micros().into(),
                guesses.updated_at.micros().into(),
                guesses.told_at.micros().into(),
                guesses.expires_at.micros().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Begins a count anew.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn clear_guesses(&self, subject: &[u8; 16]) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM guesses WHERE subject = $1",
            vec![subject.to_vec().into()],
        )
        .await?;
        Ok(())
    }
}
