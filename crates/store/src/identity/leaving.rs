//! Addresses that are about to change, and people who leave.

use sea_orm::FromQueryResult;
use strongroom_domain::{id::UserId, text::hex, time::Timestamp};
use uuid::Uuid;

use super::{at, id, mails::index16, uuid};
use crate::{
    audit::{LOGIN, login_digest},
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// An address about to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailChangeRow {
    /// Whose.
    pub person: UserId,
    /// Blind index of the new address.
    pub email_index: [u8; 16],
    /// The new address, sealed under the person's data key.
    pub sealed_email: Vec<u8>,
    /// Hash of what was mailed to the new address.
    pub new_token: [u8; 32],
    /// Hash of what was mailed to the old one.
    pub old_token: [u8; 32],
    /// When the new address was proved.
    pub new_proved_at: Option<Timestamp>,
    /// When the old one agreed.
    pub old_proved_at: Option<Timestamp>,
    /// From when on it is done whatever the old one says.
    pub effective_at: Option<Timestamp>,
    /// When.
    pub created_at: Timestamp,
    /// The end.
    pub expires_at: Timestamp,
}

#[derive(FromQueryResult)]
struct EmailChangeSql {
    person: Uuid,
    email_index: Vec<u8>,
    sealed_email: Vec<u8>,
    new_token: Vec<u8>,
    old_token: Vec<u8>,
    new_proved_at: Option<i64>,
    old_proved_at: Option<i64>,
    effective_at: Option<i64>,
    created_at: i64,
    expires_at: i64,
}

#[derive(FromQueryResult)]
struct PersonSql {
    person: Uuid,
}

#[derive(FromQueryResult)]
struct CountSql {
    number: i64,
}

const COLUMNS: &str = "SELECT person, email_index, sealed_email, new_token, old_token, new_proved_at, old_proved_at, \
    effective_at, created_at, expires_at FROM email_changes";

/// Everything by which somebody came in, and everything that is theirs to be forgotten. What books and log hold of a
/// person is ids and commitments; what is sealed elsewhere is noise without the key.
const FORGOTTEN: [&str; 16] = [
    "DELETE FROM data_keys WHERE person = $1",
    "DELETE FROM passwords WHERE person = $1",
    "DELETE FROM totp_factors WHERE person = $1",
    "DELETE FROM recovery_codes WHERE person = $1",
    "DELETE FROM passkeys WHERE person = $1",
    "DELETE FROM passkey_ceremonies WHERE person = $1",
    "DELETE FROM devices WHERE person = $1",
    "DELETE FROM tickets WHERE person = $1",
    "DELETE FROM external_logins WHERE person = $1",
    "DELETE FROM external_starts WHERE person = $1",
    "DELETE FROM email_changes WHERE person = $1",
    "DELETE FROM notices WHERE person = $1",
    "DELETE FROM notice_wishes WHERE person = $1",
    "DELETE FROM grants WHERE person = $1",
    "DELETE FROM beneficiary_details WHERE owner = $1",
    "UPDATE users SET state = 'closed', email_index = NULL, sealed_email = NULL, sealed_name = NULL, \
     sealed_reason = NULL WHERE id = $1",
];

impl TryFrom<EmailChangeSql> for EmailChangeRow {
    type Error = StoreError;

    fn try_from(row: EmailChangeSql) -> Result<Self, StoreError> {
        Ok(Self {
            person: id(row.person),
            email_index: index16(&row.email_index)?,
            sealed_email: row.sealed_email,
            new_token: super::hash32(&row.new_token)?,
            old_token: super::hash32(&row.old_token)?,
            new_proved_at: row.new_proved_at.map(at),
            old_proved_at: row.old_proved_at.map(at),
            effective_at: row.effective_at.map(at),
            created_at: at(row.created_at),
            expires_at: at(row.expires_at),
        })
    }
}

impl Store {
    /// The change that one of these tokens is about, whether or not its time is over.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn email_change_of(&self, token: &[u8; 32]) -> Result<Option<EmailChangeRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let sql = format!("{COLUMNS} WHERE new_token = $1 OR old_token = $1");
        let found: Vec<EmailChangeSql> = rows(&read.tx, &sql, vec![token.to_vec().into()]).await?;
        found.into_iter().next().map(EmailChangeRow::try_from).transpose()
    }

    /// People whose address is to be changed by now, at most so many.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn due_email_changes(&self, now: Timestamp, limit: u32) -> Result<Vec<UserId>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<PersonSql> = rows(
            &read.tx,
            "SELECT person FROM email_changes WHERE effective_at <= $1 ORDER BY effective_at LIMIT $2",
            vec![now.micros().into(), i64::from(limit).into()],
        )
        .await?;
        Ok(found.into_iter().map(|row| id(row.person)).collect())
    }
}

impl WriteTx {
    /// A person's change, as this transaction sees it.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn email_change(&self, person: UserId) -> Result<Option<EmailChangeRow>, StoreError> {
        let sql = format!("{COLUMNS} WHERE person = $1");
        let found: Vec<EmailChangeSql> = rows(&self.tx, &sql, vec![uuid(person).into()]).await?;
        found.into_iter().next().map(EmailChangeRow::try_from).transpose()
    }

    /// Puts a change in the place of whatever the person wished before.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn put_email_change(&self, new: &EmailChangeRow) -> Result<(), StoreError> {
        self.drop_email_change(new.person).await?;
        self.execute(
            "INSERT INTO email_changes \
             (person, email_index, sealed_email, new_token, old_token, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            vec![
                uuid(new.person).into(),
                new.email_index.to_vec().into(),
                new.sealed_email.clone().into(),
                new.new_token.to_vec().into(),
                new.old_token.to_vec().into(),
                new.created_at.micros().into(),
                new.expires_at.micros().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Writes what is proved of a change by now.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn prove_email_change(&self, row: &EmailChangeRow) -> Result<(), StoreError> {
        let micros = |at: Option<Timestamp>| at.map(Timestamp::micros);
        self.execute(
            "UPDATE email_changes SET new_proved_at = $2, old_proved_at = $3, effective_at = $4 WHERE person = $1",
            vec![
                uuid(row.person).into(),
                micros(row.new_proved_at).into(),
                micros(row.old_proved_at).into(),
                micros(row.effective_at).into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Drops a person's change; false when there is none.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn drop_email_change(&self, person: UserId) -> Result<bool, StoreError> {
        let sql = "DELETE FROM email_changes WHERE person = $1";
        Ok(self.execute(sql, vec![uuid(person).into()]).await? == 1)
    }

    /// Gives a person another address.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when the address is somebody's; the transaction is of no use then.
    pub async fn set_user_email(
        &self,
        person: UserId,
        index: &[u8; 16],
        sealed: &[u8],
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE users SET email_index = $2, sealed_email = $3 WHERE id = $1",
            vec![uuid(person).into(), index.to_vec().into(), sealed.to_vec().into()],
        )
        .await?;
        let digest = login_digest(Some(&hex(index)), Some(&hex(sealed)));
        self.tell(person, LOGIN, Some(digest));
        Ok(())
    }

    /// How many accounts of a person are not closed. Asked after the person was revoked in this transaction, the
    /// answer holds until it ends: no batch of the books runs in between.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn open_accounts(&self, person: UserId) -> Result<u64, StoreError> {
        let found: Vec<CountSql> = rows(
            &self.tx,
            "SELECT count(*) AS number FROM accounts a JOIN account_states s ON s.account_id = a.id \
             WHERE a.owner = $1 AND NOT s.closed",
            vec![uuid(person).into()],
        )
        .await?;
        Ok(found
            .first()
            .map_or(0, |row| u64::try_from(row.number).unwrap_or(0)))
    }

    /// Erases a person: the key, every way in, the address. The id stays, for books and log. The caller ends the
    /// person's sessions and keys and revokes the person in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn erase_person(&self, person: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE api_keys SET revoked_at = $2 WHERE owner = $1 AND revoked_at IS NULL",
            vec![uuid(person).into(), now.micros().into()],
        )
        .await?;
        for sql in FORGOTTEN {
            self.execute(sql, vec![uuid(person).into()]).await?;
        }
        Ok(())
    }
}
