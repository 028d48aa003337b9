//! Registrations that wait for their address to be proved, mails that wait to be sent, and what waits for a second
//! person.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    id::{ApprovalId, MailId, RegistrationId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{at, id, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// One attempt to register an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationRow {
    /// The id.
    pub id: RegistrationId,
    /// Blind index of the folded address.
    pub email_index: [u8; 16],
    /// Address and name, sealed by the ring: there is no person yet.
    pub sealed: Vec<u8>,
    /// The hash of this attempt's own password.
    pub password_hash: String,
    /// Wrong passwords shown for its token.
    pub failures: u32,
    /// When.
    pub created_at: Timestamp,
    /// The end.
    pub expires_at: Timestamp,
}

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
    /// When.
    pub created_at: Timestamp,
    /// Of no use from then on.
    pub expires_at: Timestamp,
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

#[derive(FromQueryResult)]
struct RegistrationSql {
    id: Uuid,
    email_index: Vec<u8>,
    sealed: Vec<u8>,
    password_hash: String,
    failures: i64,
    created_at: i64,
    expires_at: i64,
}

impl TryFrom<RegistrationSql> for RegistrationRow {
    type Error = StoreError;

    fn try_from(row: RegistrationSql) -> Result<Self, StoreError> {
        Ok(Self {
            id: id(row.id),
            email_index: index16(&row.email_index)?,
            sealed: row.sealed,
            password_hash: row.password_hash,
            failures: u32::try_from(row.failures).map_err(|_| StoreError::Corrupt("failures"))?,
            created_at: at(row.created_at),
            expires_at: at(row.expires_at),
        })
    }
}

fn index16(bytes: &[u8]) -> Result<[u8; 16], StoreError> {
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
    created_at: i64,
    expires_at: i64,
}

#[derive(FromQueryResult)]
struct IdSql {
    id: Uuid,
}

#[derive(FromQueryResult)]
struct CountSql {
    number: i64,
}

/// One query text for every way to select registrations.
macro_rules! registrations {
    ($rest:literal) => {
        concat!(
            "SELECT id, email_index, sealed, password_hash, failures, created_at, expires_at FROM registrations ",
            $rest
        )
    };
}

impl Store {
    /// Registrations that have no token and no mail yet, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn waiting_registrations(&self, limit: u32) -> Result<Vec<RegistrationRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<RegistrationSql> = rows(
            &read.tx,
            registrations!("WHERE token_hash IS NULL ORDER BY created_at LIMIT $1"),
            vec![i64::from(limit).into()],
        )
        .await?;
        found.into_iter().map(RegistrationRow::try_from).collect()
    }

    /// A registration by the hash of its token.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn registration(&self, token_hash: &[u8; 32]) -> Result<Option<RegistrationRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<RegistrationSql> = rows(
            &read.tx,
            registrations!("WHERE token_hash = $1"),
            vec![token_hash.to_vec().into()],
        )
        .await?;
        found
            .into_iter()
            .next()
            .map(RegistrationRow::try_from)
            .transpose()
    }

    /// Mails that may be tried now, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn waiting_mails(&self, now: Timestamp, limit: u32) -> Result<Vec<MailRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<MailSql> = rows(
            &read.tx,
            "SELECT id, kind, recipient, sealed, attempts, created_at, expires_at FROM mails \
             WHERE sealed IS NOT NULL AND next_attempt_at <= $1 ORDER BY next_attempt_at LIMIT $2",
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
    pub async fn expired_mails(&self, now: Timestamp, limit: u32) -> Result<Vec<MailId>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<IdSql> = rows(
            &read.tx,
            "SELECT id FROM mails WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2",
            vec![now.micros().into(), i64::from(limit).into()],
        )
        .await?;
        Ok(found.into_iter().map(|row| id(row.id)).collect())
    }
}

impl WriteTx {
    /// Adds a registration without a token.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_registration(&self, new: &RegistrationRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO registrations (id, email_index, sealed, password_hash, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
            vec![
                uuid(new.id).into(),
                new.email_index.to_vec().into(),
                new.sealed.clone().into(),
                new.password_hash.clone().into(),
                new.created_at.micros().into(),
                new.expires_at.micros().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Gives a registration its token; false when somebody else did.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn arm_registration(
        &self,
        registration: RegistrationId,
        token_hash: &[u8; 32],
    ) -> Result<bool, StoreError> {
        let armed = self
            .execute(
                "UPDATE registrations SET token_hash = $2 WHERE id = $1 AND token_hash IS NULL",
                vec![uuid(registration).into(), token_hash.to_vec().into()],
            )
            .await?;
        Ok(armed == 1)
    }

    /// Takes a registration away; false when it was gone. Of several at once one wins.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn delete_registration(&self, registration: RegistrationId) -> Result<bool, StoreError> {
        let gone = self
            .execute(
                "DELETE FROM registrations WHERE id = $1",
                vec![uuid(registration).into()],
            )
            .await?;
        Ok(gone == 1)
    }

    /// Takes all registrations of an address away.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn delete_registrations(&self, email_index: &[u8; 16]) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM registrations WHERE email_index = $1",
            vec![email_index.to_vec().into()],
        )
        .await?;
        Ok(())
    }

    /// Counts a try at a registration's password before it is made; false when there were too many or it is gone.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn try_registration(
        &self,
        registration: RegistrationId,
        tries_max: u32,
    ) -> Result<bool, StoreError> {
        let counted = self
            .execute(
                "UPDATE registrations SET failures = failures + 1 WHERE id = $1 AND failures < $2",
                vec![uuid(registration).into(), i64::from(tries_max).into()],
            )
            .await?;
        Ok(counted == 1)
    }

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

    /// Asks for somebody else's decision.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_approval(&self, new: &NewApproval) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO approvals (id, action, maker_kind, maker, sealed, digest, state, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, 'open', $7, $8)",
            vec![
                uuid(new.id).into(),
                new.action.into(),
                i64::from(new.maker_kind).into(),
                Uuid::from_bytes(new.maker).into(),
                new.sealed.clone().into(),
                new.digest.to_vec().into(),
                new.created_at.micros().into(),
                new.expires_at.micros().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Forgets one portion of what is of no use any more: registrations, tickets and factors whose time is over,
    /// counts of tries that nothing was added to since `quiet`, sessions that ended before `ended`. How much it
    /// was; a whole portion of [`SWEEP_ROWS_MAX`] of something means that there may be more.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn sweep_identity(
        &self,
        now: Timestamp,
        quiet: Timestamp,
        ended: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut most = 0;
        for (sql, bound) in [
            (sweep!("registrations", "id", "expires_at"), now),
            (sweep!("tickets", "hash", "expires_at"), now),
            (sweep!("totp_factors", "id", "expires_at"), now),
            (sweep!("guesses", "subject", "updated_at"), quiet),
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
