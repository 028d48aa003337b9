//! Mails that wait to be sent.

use sea_orm::FromQueryResult;
use strongroom_domain::{id::MailId, time::Timestamp};
use uuid::Uuid;

use super::{at, id, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// A mail that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailRow {
    /// The id.
    pub id: MailId,
    /// What it is about.
    pub kind: String,
    /// Keyed name of the recipient.
    pub recipient: [u8; 16],
    /// Its parameters, sealed by the ring.
    pub sealed: Vec<u8>,
    /// How often it was tried.
    pub attempts: u32,
    /// How often the other side refused it for good.
    pub refusals: u32,
    /// When.
    pub created_at: Timestamp,
    /// Of no use from then on.
    pub expires_at: Timestamp,
}

pub(super) fn index16(bytes: &[u8]) -> Result<[u8; 16], StoreError> {
    bytes
        .try_into()
        .map_err(|_| StoreError::Corrupt("an index of another length"))
}

#[derive(FromQueryResult)]
struct MailSql {
    id: Uuid,
    kind: String,
    recipient: Vec<u8>,
    sealed: Vec<u8>,
    attempts: i64,
    refusals: i64,
    created_at: i64,
    expires_at: i64,
}

/// A mail whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverMail {
    /// The id.
    pub id: MailId,
    /// Whether it was sent, or not to be sent.
    pub sent: bool,
}

/// How many mails are not sent yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailCounts {
    /// They wait for their next try.
    pub waiting: u32,
    /// They are tried no more.
    pub aside: u32,
}

#[derive(FromQueryResult)]
struct OverSql {
    id: Uuid,
    sent: bool,
}

#[derive(FromQueryResult)]
struct CountsSql {
    unsent: i64,
    aside: i64,
}

#[derive(FromQueryResult)]
struct CountSql {
    number: i64,
}

impl Store {
    /// Mails that may be tried now, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn waiting_mails(&self, now: Timestamp, limit: u32) -> Result<Vec<MailRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<MailSql> = rows(
            &read.tx,
            "SELECT id, kind, recipient, sealed, attempts, refusals, created_at, expires_at FROM mails \
             WHERE sealed IS NOT NULL AND set_aside_at IS NULL AND next_attempt_at <= $1 AND expires_at > $1 \
             ORDER BY next_attempt_at LIMIT $2",
            vec![now.micros().into(), i64::from(limit).into()],
        )
        .await?;
        found
            .into_iter()
            .map(|row| {
                Ok(MailRow {
                    id: id(row.id),
                    kind: row.kind,
                    recipient: index16(&row.recipient)?,
                    sealed: row.sealed,
                    attempts: u32::try_from(row.attempts).map_err(|_| StoreError::Corrupt("attempts"))?,
                    refusals: u32::try_from(row.refusals).map_err(|_| StoreError::Corrupt("refusals"))?,
                    created_at: at(row.created_at),
                    expires_at: at(row.expires_at),
                })
            })
            .collect()
    }

    /// Mails whose time is over.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn expired_mails(&self, now: Timestamp, limit: u32) -> Result<Vec<OverMail>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<OverSql> = rows(
            &read.tx,
            "SELECT id, sealed IS NULL AS sent FROM mails WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2",
            vec![now.micros().into(), i64::from(limit).into()],
        )
        .await?;
        let over = found.into_iter().map(|row| OverMail {
            id: id(row.id),
            sent: row.sent,
        });
        Ok(over.collect())
    }

    /// How many mails are not sent yet.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn mail_counts(&self) -> Result<MailCounts, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<CountsSql> = rows(
            &read.tx,
            "SELECT count(*) AS unsent, count(set_aside_at) AS aside FROM mails WHERE sealed IS NOT NULL",
            Vec::new(),
        )
        .await?;
        let (unsent, aside) = found.first().map_or((0, 0), |row| (row.unsent, row.aside));
        let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(MailCounts {
            waiting: count(unsent - aside),
            aside: count(aside),
        })
    }
}

impl WriteTx {
    /// Adds a mail.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_mail(&self, new: &MailRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO mails (id, kind, recipient, sealed, next_attempt_at, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $5, $6)",
            vec![
                uuid(new.id).into(),
                new.kind.clone().into(),
                new.recipient.to_vec().into(),
                new.sealed.clone().into(),
                new.created_at.micros().into(),
                new.expires_at.micros().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// How many mails of a kind this recipient got since.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn count_mails(
        &self,
        recipient: &[u8; 16],
        kind: &str,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        let found: Vec<CountSql> = rows(
            &self.tx,
            "SELECT count(*) AS number FROM mails WHERE recipient = $1 AND kind = $2 AND created_at > $3",
            vec![recipient.to_vec().into(), kind.into(), since.micros().into()],
        )
        .await?;
        Ok(found
            .first()
            .map_or(0, |row| u64::try_from(row.number).unwrap_or(0)))
    }

    /// Claims a mail for one try and says when the next may be; false when another node was faster.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn claim_mail(
        &self,
        mail: MailId,
        attempts: u32,
        next_attempt_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let claimed = self
            .execute(
                "UPDATE mails SET attempts = attempts + 1, next_attempt_at = $3 \
                 WHERE id = $1 AND attempts = $2 AND sealed IS NOT NULL",
                vec![
                    uuid(mail).into(),
                    i64::from(attempts).into(),
                    next_attempt_at.micros().into(),
                ],
            )
            .await?;
        Ok(claimed == 1)
    }

    /// Counts that the other side refused a mail for good.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn refuse_mail(&self, mail: MailId) -> Result<(), StoreError> {
        let sql = "UPDATE mails SET refusals = refusals + 1 WHERE id = $1";
        self.execute(sql, vec![uuid(mail).into()]).await?;
        Ok(())
    }

    /// Tries a mail no more.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn set_mail_aside(&self, mail: MailId, now: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE mails SET set_aside_at = $2 WHERE id = $1";
        self.execute(sql, vec![uuid(mail).into(), now.micros().into()])
            .await?;
        Ok(())
    }

    /// Wipes a mail's parameters: it is sent, or nobody is to get it.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn wipe_mail(&self, mail: MailId) -> Result<(), StoreError> {
        self.execute(
            "UPDATE mails SET sealed = NULL WHERE id = $1",
            vec![uuid(mail).into()],
        )
        .await?;
        Ok(())
    }

    /// Forgets a mail.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn delete_mail(&self, mail: MailId) -> Result<(), StoreError> {
        self.execute("DELETE FROM mails WHERE id = $1", vec![uuid(mail).into()])
            .await?;
        Ok(())
    }
}
