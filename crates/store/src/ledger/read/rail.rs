//! Files to and statements of the bank's own bank, and what nobody could place: one query text for both engines.

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};
use strongroom_domain::{
    id::{ApprovalId, PaymentId, RailFileId, SuspenseItemId, TransactionId},
    money::Currency,
    outgoing::Outgoing,
    rail::{EntryTag, SuspenseItem},
    time::{Date, Timestamp},
};
use uuid::Uuid;

use super::{
    sending::{OutgoingSql, outgoing},
    sql::uuid,
};
use crate::{
    error::StoreError,
    ledger::rows::{SuspenseRow, currency_of, outgoing_columns},
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// What nobody could place, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuspenseView {
    /// The item.
    pub item: SuspenseItem,
    /// What the statement says, sealed by the ring.
    pub sealed: Vec<u8>,
    /// The request that it was taken from there by.
    pub approval: Option<ApprovalId>,
    /// When.
    pub resolved_at: Option<Timestamp>,
}

/// A released file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RailFile {
    /// Its id, which is the message's.
    pub id: RailFileId,
    /// The request that it was released by.
    pub approval: ApprovalId,
    /// Of which currency.
    pub currency: Currency,
    /// How many payments.
    pub payments: u64,
    /// Their sum in minor units.
    pub total: i64,
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
    /// Its bytes, sealed by the ring, until it is delivered.
    pub sealed: Option<Vec<u8>>,
    /// When it was released.
    pub released_at: Timestamp,
    /// When it lay where it is fetched.
    pub delivered_at: Option<Timestamp>,
}

/// A statement that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadStatement {
    /// Its id, which sorts by the time of reading.
    pub id: [u8; 16],
    /// Digest of the file and the place of the statement in it.
    pub digest: [u8; 32],
    /// The other bank's name of the message.
    pub message: String,
    /// Of which currency.
    pub currency: Currency,
    /// Balance before, minor units, as the other bank says it.
    pub opening: Option<i64>,
    /// Balance after.
    pub closing: Option<i64>,
    /// The day of the balance after.
    pub day: Option<Date>,
    /// How many entries.
    pub entries: u64,
    /// Their sum.
    pub moved: i64,
    /// When it was read.
    pub read_at: Timestamp,
}

/// What the books say of the account at the bank's own bank, all read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RailSums {
    /// Balance of the clearing account, minor units, positive for a credit.
    pub clearing: i64,
    /// Balance of the suspense account.
    pub suspense: i64,
    /// How many payments left, or wait to, of which the other bank has not said that it was debited.
    pub under_way: u64,
    /// Their sum.
    pub under_way_total: i64,
    /// How many items lie in suspense.
    pub open_items: u64,
}

#[derive(FromQueryResult)]
struct SuspenseSql {
    id: Uuid,
    direction: i64,
    amount: i64,
    currency: String,
    reason: i64,
    opened_at: i64,
    resolution: Option<Uuid>,
    sealed: Vec<u8>,
    approval_id: Option<Uuid>,
    resolved_at: Option<i64>,
}

impl TryFrom<SuspenseSql> for SuspenseView {
    type Error = StoreError;

    fn try_from(row: SuspenseSql) -> Result<Self, StoreError> {
        let facts = SuspenseRow {
            id: row.id.into_bytes(),
            direction: row.direction,
            amount: row.amount,
            currency: row.currency,
            reason: row.reason,
            opened_at: row.opened_at,
            resolution: row.resolution.map(Uuid::into_bytes),
        };
        Ok(Self {
            item: facts.try_into()?,
            sealed: row.sealed,
            approval: row.approval_id.map(|id| ApprovalId::from_bytes(id.into_bytes())),
            resolved_at: row.resolved_at.map(Timestamp::from_micros),
        })
    }
}

#[derive(FromQueryResult)]
struct FileSql {
    id: Uuid,
    approval_id: Uuid,
    currency: String,
    payments: i64,
    total: i64,
    digest: Vec<u8>,
    sealed: Option<Vec<u8>>,
    released_at: i64,
    delivered_at: Option<i64>,
}

fn digest_of(bytes: Vec<u8>) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Corrupt("digest"))
}

impl TryFrom<FileSql> for RailFile {
    type Error = StoreError;

    fn try_from(row: FileSql) -> Result<Self, StoreError> {
        Ok(Self {
            id: RailFileId::from_bytes(row.id.into_bytes()),
            approval: ApprovalId::from_bytes(row.approval_id.into_bytes()),
            currency: currency_of(&row.currency)?,
            payments: u64::try_from(row.payments).map_err(|_| StoreError::Corrupt("payments of a file"))?,
            total: row.total,
            digest: digest_of(row.digest)?,
            sealed: row.sealed,
            released_at: Timestamp::from_micros(row.released_at),
            delivered_at: row.delivered_at.map(Timestamp::from_micros),
        })
    }
}

#[derive(FromQueryResult)]
struct StatementSql {
    id: Uuid,
    digest: Vec<u8>,
    message: String,
    currency: String,
    opening: Option<i64>,
    closing: Option<i64>,
    day: Option<i64>,
    entries: i64,
    moved: i64,
    read_at: i64,
}

impl TryFrom<StatementSql> for ReadStatement {
    type Error = StoreError;

    fn try_from(row: StatementSql) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into_bytes(),
            digest: digest_of(row.digest)?,
            message: row.message,
            currency: currency_of(&row.currency)?,
            opening: row.opening,
            closing: row.closing,
            day: row
                .day
                .map(|days| i32::try_from(days).map(Date::from_days))
                .transpose()
                .map_err(|_| StoreError::Corrupt("day of a statement"))?,
            entries: u64::try_from(row.entries).map_err(|_| StoreError::Corrupt("entries of a statement"))?,
            moved: row.moved,
            read_at: Timestamp::from_micros(row.read_at),
        })
    }
}

#[derive(FromQueryResult)]
struct SumsSql {
    clearing: Option<i64>,
    suspense: Option<i64>,
    under_way: i64,
    under_way_total: i64,
    open_items: i64,
}

#[derive(FromQueryResult)]
struct TagSql {
    tag: Uuid,
}

const SUSPENSE: &str = "SELECT id, direction, amount, currency, reason, opened_at, resolution, sealed, approval_id, resolved_at \
    FROM suspense_items WHERE ";
const FILES: &str = "SELECT id, approval_id, currency, payments, total, digest, sealed, released_at, delivered_at FROM rail_files WHERE ";
const STATEMENTS: &str = "SELECT id, digest, message, currency, opening, closing, day, entries, moved, read_at FROM rail_statements WHERE ";

impl Store {
    /// What nobody could place, newest first, older than `before`; only what is open where that is asked for.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn suspense_items(
        &self,
        open: bool,
        before: Option<SuspenseItemId>,
        limit: u32,
    ) -> Result<Vec<SuspenseView>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let before = before.map_or([0xff; 16], |id| *id.as_bytes());
        let only = if open { " AND resolution IS NULL" } else { "" };
        let sql = format!("{SUSPENSE}id < $1{only} ORDER BY id DESC LIMIT $2");
        let values = vec![uuid(&before).into(), i64::from(limit).into()];
        let found: Vec<SuspenseSql> = rows(&read.tx, &sql, values).await?;
        found.into_iter().map(SuspenseView::try_from).collect()
    }

    /// One item that nobody could place.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn suspense_item(&self, id: SuspenseItemId) -> Result<Option<SuspenseView>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let sql = format!("{SUSPENSE}id = $1");
        let found: Vec<SuspenseSql> = rows(&read.tx, &sql, vec![uuid(id.as_bytes()).into()]).await?;
        found.into_iter().next().map(SuspenseView::try_from).transpose()
    }

    /// Released files, newest first, older than `before`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn rail_files(
        &self,
        before: Option<RailFileId>,
        limit: u32,
    ) -> Result<Vec<RailFile>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let before = before.map_or([0xff; 16], |id| *id.as_bytes());
        let sql = format!("{FILES}id < $1 ORDER BY id DESC LIMIT $2");
        let values = vec![uuid(&before).into(), i64::from(limit).into()];
        let found: Vec<FileSql> = rows(&read.tx, &sql, values).await?;
        found.into_iter().map(RailFile::try_from).collect()
    }

    /// The files that wait to be delivered, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn waiting_rail_files(&self, limit: u32) -> Result<Vec<RailFileId>, StoreError> {
        let read = self.read(Scope::System).await?;
        let sql = format!("{FILES}delivered_at IS NULL ORDER BY id LIMIT $1");
        let found: Vec<FileSql> = rows(&read.tx, &sql, vec![i64::from(limit).into()]).await?;
        Ok(found
            .into_iter()
            .map(|row| RailFileId::from_bytes(row.id.into_bytes()))
            .collect())
    }

    /// Payments of a currency that wait to leave, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn payments_to_release(
        &self,
        currency: Currency,
        limit: u32,
    ) -> Result<Vec<Outgoing>, StoreError> {
        let sql = outgoing!("o.currency = $1 AND o.state = 0 AND o.file_id IS NULL ORDER BY o.id LIMIT $2");
        let values = vec![currency.code().into(), i64::from(limit).into()];
        let found: Vec<OutgoingSql> = rows(self.books(), sql, values).await?;
        found.into_iter().map(Outgoing::try_from).collect()
    }

    /// Which of these entries were read.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn rail_entries_read(&self, tags: &[EntryTag]) -> Result<Vec<EntryTag>, StoreError> {
        if tags.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<String> = (1..=tags.len()).map(|number| format!("${number}")).collect();
        let sql = format!(
            "SELECT tag FROM rail_entries WHERE tag IN ({})",
            places.join(", ")
        );
        let values = tags.iter().map(|tag| uuid(tag).into()).collect();
        let found: Vec<TagSql> = rows(self.books(), &sql, values).await?;
        Ok(found.into_iter().map(|row| row.tag.into_bytes()).collect())
    }

    /// The transaction by which a payment came back.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn returned_by(&self, payment: PaymentId) -> Result<Option<TransactionId>, StoreError> {
        let found: Vec<TagSql> = rows(
            self.books(),
            "SELECT transaction_id AS tag FROM rail_entries WHERE payment_id = $1 AND outcome = 1",
            vec![uuid(payment.as_bytes()).into()],
        )
        .await?;
        Ok(found
            .first()
            .map(|row| TransactionId::from_bytes(row.tag.into_bytes())))
    }

    /// Statements of a currency by the day of their balance, the newest first; the first one ever at the end.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn rail_statements(
        &self,
        currency: Currency,
        limit: u32,
    ) -> Result<Vec<ReadStatement>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let newest = format!("{STATEMENTS}currency = $1 ORDER BY day DESC, id DESC LIMIT $2");
        let values = vec![currency.code().into(), i64::from(limit).into()];
        let mut found: Vec<StatementSql> = rows(&read.tx, &newest, values).await?;
        let oldest = format!("{STATEMENTS}currency = $1 ORDER BY day, id LIMIT 1");
        let first: Vec<StatementSql> = rows(&read.tx, &oldest, vec![currency.code().into()]).await?;
        let is_new = |first: &StatementSql| found.iter().all(|row| row.id != first.id);
        let first: Vec<StatementSql> = first.into_iter().filter(is_new).collect();
        found.extend(first);
        found.into_iter().map(ReadStatement::try_from).collect()
    }

    /// What the books say of the account at the bank's own bank, in one statement.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn rail_sums(
        &self,
        currency: Currency,
        clearing: [u8; 16],
        suspense: [u8; 16],
    ) -> Result<RailSums, StoreError> {
        let sql = "SELECT (SELECT balance FROM account_states WHERE account_id = $2) AS clearing, \
            (SELECT balance FROM account_states WHERE account_id = $3) AS suspense, \
            (SELECT count(*) FROM suspense_items WHERE currency = $1 AND resolution IS NULL) AS open_items, \
            u.number AS under_way, u.total AS under_way_total FROM (SELECT count(*) AS number, \
            CAST(coalesce(sum(amount), 0) AS bigint) AS total FROM outgoing_payments \
            WHERE currency = $1 AND debited = $4 AND to_account IS NULL AND state <> 3) u";
        let values = vec![
            currency.code().into(),
            uuid(&clearing).into(),
            uuid(&suspense).into(),
            false.into(),
        ];
        let found: Vec<SumsSql> = rows(self.books(), sql, values).await?;
        let row = found
            .into_iter()
            .next()
            .ok_or(StoreError::Corrupt("sums without a row"))?;
        let count = |number: i64| u64::try_from(number).map_err(|_| StoreError::Corrupt("a count"));
        Ok(RailSums {
            clearing: row.clearing.unwrap_or_default(),
            suspense: row.suspense.unwrap_or_default(),
            under_way: count(row.under_way)?,
            under_way_total: row.under_way_total,
            open_items: count(row.open_items)?,
        })
    }
}

impl WriteTx {
    /// Puts those of the payments that still wait into a file, and gives them back. They are locked in the order of
    /// their ids, as batches do: who takes one back waits, or was first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn release_payments(
        &self,
        file: RailFileId,
        payments: &[PaymentId],
    ) -> Result<Vec<PaymentId>, StoreError> {
        let mut released = Vec::new();
        let mut sorted = payments.to_vec();
        sorted.sort_unstable();
        for payment in sorted {
            let done = self
                .execute(
                    "UPDATE outgoing_payments SET file_id = $2 WHERE id = $1 AND state = 0 AND file_id IS NULL",
                    vec![uuid(payment.as_bytes()).into(), uuid(file.as_bytes()).into()],
                )
                .await?;
            if done == 1 {
                released.push(payment);
            }
        }
        Ok(released)
    }

    /// Writes a released file down.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn insert_rail_file(&self, file: &RailFile) -> Result<(), StoreError> {
        let payments = i64::try_from(file.payments).map_err(|_| StoreError::Corrupt("payments of a file"))?;
        self.execute(
            "INSERT INTO rail_files (id, approval_id, currency, payments, total, digest, sealed, released_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            vec![
                uuid(file.id.as_bytes()).into(),
                uuid(file.approval.as_bytes()).into(),
                file.currency.code().into(),
                payments.into(),
                file.total.into(),
                file.digest.to_vec().into(),
                file.sealed.clone().into(),
                file.released_at.micros().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Says that a file is being delivered and gives it back; `None` where another node has delivered it. The row
    /// stays locked until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn deliver_rail_file(
        &self,
        id: RailFileId,
        at: Timestamp,
    ) -> Result<Option<RailFile>, StoreError> {
        let lock = match self.tx.get_database_backend() {
            DbBackend::Postgres => " FOR UPDATE",
            _ => "",
        };
        let sql = format!("{FILES}id = $1 AND delivered_at IS NULL{lock}");
        let found: Vec<FileSql> = rows(&self.tx, &sql, vec![uuid(id.as_bytes()).into()]).await?;
        let Some(file) = found.into_iter().next() else {
            return Ok(None);
        };
        self.execute(
            "UPDATE rail_files SET sealed = NULL, delivered_at = $2 WHERE id = $1",
            vec![uuid(id.as_bytes()).into(), at.micros().into()],
        )
        .await?;
        file.try_into().map(Some)
    }

    /// Writes down that a statement was read; false where it was before.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn insert_rail_statement(&self, statement: &ReadStatement) -> Result<bool, StoreError> {
        let entries =
            i64::try_from(statement.entries).map_err(|_| StoreError::Corrupt("entries of a statement"))?;
        let written = self
            .execute(
                "INSERT INTO rail_statements (id, digest, message, currency, opening, closing, day, entries, moved, read_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (digest) DO NOTHING",
                vec![
                    uuid(&statement.id).into(),
                    statement.digest.to_vec().into(),
                    statement.message.clone().into(),
                    statement.currency.code().into(),
                    statement.opening.into(),
                    statement.closing.into(),
                    statement.day.map(|day| i64::from(day.days())).into(),
                    entries.into(),
                    statement.moved.into(),
                    statement.read_at.micros().into(),
                ],
            )
            .await?;
        Ok(written == 1)
    }
}
