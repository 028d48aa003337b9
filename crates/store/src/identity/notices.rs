//! What people are told of within the bank, what they wish to be told of, and how far the log was followed.

use std::{collections::HashMap, sync::Arc};

use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use strongroom_domain::{
    id::{NoticeId, TransactionId, UserId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{
    SWEEP_ROWS_MAX, at, id,
    portions::{places, portions},
    uuid,
};
use crate::{
    error::StoreError,
    sqlite::SqliteEngine,
    store::{Engines, Store},
    tx::{Scope, WriteTx, rows},
};

/// Unread notices that are counted, at most.
const UNREAD_MAX: i64 = 1_000;

/// Something that somebody is told of. Its words are made when it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    /// The id.
    pub id: NoticeId,
    /// Who is told.
    pub person: UserId,
    /// The event's name.
    pub event: String,
    /// For events of the login: what exactly, by the name of the mail that says it.
    pub about: String,
    /// What was moved, reserved or set; its type follows from the event.
    pub subject: Option<[u8; 16]>,
    /// Minor units and currency, where money moved or was reserved.
    pub money: Option<(i64, String)>,
    /// When it happened.
    pub at: Timestamp,
    /// When its reader took note.
    pub read_at: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct NoticeSql {
    id: Uuid,
    person: Uuid,
    event: String,
    about: String,
    subject: Option<Uuid>,
    amount: Option<i64>,
    currency: Option<String>,
    at: i64,
    read_at: Option<i64>,
}

impl From<NoticeSql> for NoticeRow {
    fn from(row: NoticeSql) -> Self {
        Self {
            id: id(row.id),
            person: id(row.person),
            event: row.event,
            about: row.about,
            subject: row.subject.map(Uuid::into_bytes),
            money: row.amount.zip(row.currency),
            at: at(row.at),
            read_at: row.read_at.map(at),
        }
    }
}

/// By which ways somebody wishes to be told of an event.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct NoticeWish {
    /// The event's name.
    pub event: String,
    /// In the list.
    pub app: bool,
    /// By mail.
    pub mail: bool,
}

/// What people wish to be told of.
pub type Wishes = HashMap<UserId, Vec<NoticeWish>>;

/// A transfer that waited for a look until its time was over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LapsedReview {
    /// The transfer.
    pub id: TransactionId,
    /// Who sent it.
    pub customer: UserId,
    /// Minor units.
    pub amount: i64,
    /// Of which currency.
    pub currency: String,
    /// Since when its money is free.
    pub expires_at: Timestamp,
}

#[derive(FromQueryResult)]
struct LapsedSql {
    id: Uuid,
    customer: Uuid,
    amount: i64,
    currency: String,
    expires_at: i64,
}

#[derive(FromQueryResult)]
pub(super) struct NumberSql {
    pub(super) number: i64,
}

#[derive(FromQueryResult)]
struct WishOfSql {
    person: Uuid,
    event: String,
    app: bool,
    mail: bool,
}

pub(super) const MOVE_CURSOR: &str =
    "UPDATE notice_cursor SET next_leaf = $1 WHERE id = 1 AND next_leaf = $2";
pub(super) const ADD: &str =
    "INSERT INTO notices (id, person, event, about, subject, amount, currency, at) VALUES ";

const COLUMNS: &str = "SELECT id, person, event, about, subject, amount, currency, at, read_at FROM notices";

impl Store {
    /// Transfers that waited for a look until before `until` and that nobody decided or was told of, the earliest
    /// end first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn lapsed_reviews(
        &self,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<LapsedReview>, StoreError> {
        const SQL: &str = "SELECT id, customer, amount, currency, expires_at FROM reviews \
            WHERE state = 0 AND lapse_told_at IS NULL AND expires_at < $1 ORDER BY expires_at LIMIT $2";
        let read = self.read(Scope::System).await?;
        let values = vec![until.micros().into(), i64::from(limit).into()];
        let found: Vec<LapsedSql> = rows(&read.tx, SQL, values).await?;
        let lapsed = found.into_iter().map(|row| LapsedReview {
            id: TransactionId::from_bytes(row.id.into_bytes()),
            customer: id(row.customer),
            amount: row.amount,
            currency: row.currency,
            expires_at: at(row.expires_at),
        });
        Ok(lapsed.collect())
    }

    /// A person's notices below an id, newest first; those alone that are unread, if so wanted.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn notices(
        &self,
        person: UserId,
        unread: bool,
        before: Option<NoticeId>,
        limit: u32,
    ) -> Result<Vec<NoticeRow>, StoreError> {
        let read = self.read(Scope::Person(person)).await?;
        let page = |of: &str| {
            format!(
                "SELECT * FROM ({COLUMNS} WHERE person = $1 AND id < $2 AND {of} ORDER BY id DESC LIMIT $3) AS found"
            )
        };
        // Each of the two has an index of its own, of which a page is read at most.
        let sql = if unread {
            page("read_at IS NULL")
        } else {
            format!(
                "{} UNION ALL {}",
                page("read_at IS NULL"),
                page("read_at IS NOT NULL")
            )
        };
        let sql = format!("{sql} ORDER BY id DESC LIMIT $3");
        let values = vec![
            uuid(person).into(),
            before.map_or(Uuid::max(), uuid).into(),
            i64::from(limit).into(),
        ];
        let found: Vec<NoticeSql> = rows(&read.tx, &sql, values).await?;
        Ok(found.into_iter().map(NoticeRow::from).collect())
    }

    /// How many a person has not taken note of; counted up to a thousand.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn unread_notices(&self, person: UserId) -> Result<u32, StoreError> {
        let read = self.read(Scope::Person(person)).await?;
        let sql = "SELECT count(*) AS number FROM \
            (SELECT 1 FROM notices WHERE person = $1 AND read_at IS NULL LIMIT $2) AS unread";
        let found: Vec<NumberSql> = rows(&read.tx, sql, vec![uuid(person).into(), UNREAD_MAX.into()]).await?;
        let number = found.first().map_or(0, |row| row.number);
        u32::try_from(number).map_err(|_| StoreError::Corrupt("a number of notices"))
    }

    /// What a person wishes to be told of, where it was said.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn notice_wishes(&self, person: UserId) -> Result<Vec<NoticeWish>, StoreError> {
        let read = self.read(Scope::Person(person)).await?;
        wishes(&read.tx, person).await
    }

    /// What these people wish to be told of; those who said nothing are absent.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn notice_wishes_of(&self, people: Vec<UserId>) -> Result<Wishes, StoreError> {
        if let Engines::Sqlite(engine) = &self.engines {
            let engine = Arc::clone(engine);
            let reading = tokio::task::spawn_blocking(move || wishes_on_sqlite(&engine, &people));
            let read = reading.await;
            return read.map_err(|_| StoreError::Unavailable("reading stopped".to_owned()))?;
        }
        let read = self.read(Scope::System).await?;
        let mut known = Wishes::new();
        for portion in portions(&people) {
            let sql = format!(
                "SELECT person, event, app, mail FROM notice_wishes WHERE person IN {}",
                places(read.tx.get_database_backend(), 1, portion.len())
            );
            let values = portion.iter().map(|person| uuid(*person).into());
            let found: Vec<WishOfSql> = rows(&read.tx, &sql, values.collect()).await?;
            for WishOfSql {
                person,
                event,
                app,
                mail,
            } in found
            {
                let wish = NoticeWish { event, app, mail };
                known.entry(id(person)).or_default().push(wish);
            }
        }
        Ok(known)
    }
}

/// Asked for everybody who is told of anything: through a prepared statement.
fn wishes_on_sqlite(engine: &SqliteEngine, people: &[UserId]) -> Result<Wishes, StoreError> {
    let connection = engine.hot()?;
    let mut asked =
        connection.prepare_cached("SELECT event, app, mail FROM notice_wishes WHERE person = ?1")?;
    let mut known = Wishes::new();
    for person in people {
        let wishes = asked.query_map([person.as_bytes()], |row| {
            Ok(NoticeWish {
                event: row.get(0)?,
                app: row.get(1)?,
                mail: row.get(2)?,
            })
        })?;
        let wishes: Vec<_> = wishes.collect::<Result<_, _>>()?;
        if !wishes.is_empty() {
            known.insert(*person, wishes);
        }
    }
    Ok(known)
}

async fn wishes(on: &impl sea_orm::ConnectionTrait, person: UserId) -> Result<Vec<NoticeWish>, StoreError> {
    let sql = "SELECT event, app, mail FROM notice_wishes WHERE person = $1 ORDER BY event";
    rows(on, sql, vec![uuid(person).into()]).await
}

impl WriteTx {
    /// Moves on how far the log was followed; `false` where another node did.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn move_notice_cursor(&self, from: i64, to: i64) -> Result<bool, StoreError> {
        Ok(self.execute(MOVE_CURSOR, vec![to.into(), from.into()]).await? == 1)
    }

    /// Writes down that somebody is told of the end of a transfer that waited; `false` where that was before, or where
    /// somebody decided.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn take_lapsed(&self, review: TransactionId, now: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE reviews SET lapse_told_at = $2 \
            WHERE id = $1 AND verdict = 2 AND state = 0 AND lapse_told_at IS NULL";
        let values = vec![Uuid::from_bytes(*review.as_bytes()).into(), now.micros().into()];
        Ok(self.execute(SQL, values).await? == 1)
    }

    /// Adds notices.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn add_notices(&self, notices: &[NoticeRow]) -> Result<(), StoreError> {
        let on = self.tx.get_database_backend();
        for portion in portions(notices) {
            let sql = format!("{ADD}{}", places(on, portion.len(), 8));
            let values = portion.iter().flat_map(|row| -> [Value; 8] {
                [
                    uuid(row.id).into(),
                    uuid(row.person).into(),
                    row.event.as_str().into(),
                    row.about.as_str().into(),
                    row.subject.map(Uuid::from_bytes).into(),
                    row.money.as_ref().map(|(amount, _)| *amount).into(),
                    row.money.as_ref().map(|(_, currency)| currency.as_str()).into(),
                    row.at.micros().into(),
                ]
            });
            self.execute(&sql, values.collect()).await?;
        }
        Ok(())
    }

    /// A person takes note; `None` where there is no such notice, `Some(false)` where that was before.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn take_note(
        &self,
        person: UserId,
        notice: NoticeId,
        now: Timestamp,
    ) -> Result<Option<bool>, StoreError> {
        let sql = format!("{COLUMNS} WHERE id = $1 AND person = $2");
        let found: Vec<NoticeSql> =
            rows(&self.tx, &sql, vec![uuid(notice).into(), uuid(person).into()]).await?;
        if found.is_empty() {
            return Ok(None);
        }
        let sql = "UPDATE notices SET read_at = $3 WHERE id = $1 AND person = $2 AND read_at IS NULL";
        let values = vec![uuid(notice).into(), uuid(person).into(), now.micros().into()];
        Ok(Some(self.execute(sql, values).await? == 1))
    }

    /// What a person wishes to be told of, where it was said.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn notice_wishes(&self, person: UserId) -> Result<Vec<NoticeWish>, StoreError> {
        wishes(&self.tx, person).await
    }

    /// Keeps what a person wishes.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn wish_notices(&self, person: UserId, wish: &NoticeWish) -> Result<(), StoreError> {
        let sql = "INSERT INTO notice_wishes (person, event, app, mail) VALUES ($1, $2, $3, $4) \
            ON CONFLICT (person, event) DO UPDATE SET app = excluded.app, mail = excluded.mail";
        let values = vec![
            uuid(person).into(),
            wish.event.clone().into(),
            wish.app.into(),
            wish.mail.into(),
        ];
        self.execute(sql, values).await.map(drop)
    }

    /// Forgets notices below an id, a bounded number; how many.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn forget_notices(&self, below: NoticeId) -> Result<u64, StoreError> {
        let sql =
            "DELETE FROM notices WHERE id IN (SELECT id FROM notices WHERE id < $1 ORDER BY id LIMIT $2)";
        self.execute(sql, vec![uuid(below).into(), SWEEP_ROWS_MAX.into()])
            .await
    }
}
