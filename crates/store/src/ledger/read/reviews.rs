//! Reading transfers that wait for a look, and what rules found about others.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    fraud::Verdict,
    hold::Hold,
    id::{AccountId, TransactionId, UserId},
    ledger::ReviewState,
    money::{Amount, Currency},
    time::{Date, Timestamp},
};
use uuid::Uuid;

use super::{holds::HoldSql, sql::uuid};
use crate::{
    error::StoreError,
    identity::SWEEP_ROWS_MAX,
    ledger::rows::{currency_of, hold_columns},
    store::Store,
    tx::{WriteTx, rows},
};

/// A transfer whose money is, or was, reserved until somebody looked at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingTransfer {
    /// What reserves its money.
    pub hold: Hold,
    /// How its review stands.
    pub state: ReviewState,
    /// Its text: whose key seals it, and the sealed bytes.
    pub memo: Option<(UserId, Vec<u8>)>,
}

/// A review as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewView {
    /// Of which transfer.
    pub id: TransactionId,
    /// Who sent it.
    pub customer: UserId,
    /// The account debited.
    pub account: AccountId,
    /// The account credited.
    pub to_account: AccountId,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// What followed.
    pub verdict: Verdict,
    /// Sum of the scores of the rules that were met.
    pub score: u32,
    /// The rules that were met.
    pub rules: String,
    /// Number of the set of rules that it was held against.
    pub revision: i64,
    /// When.
    pub at: Timestamp,
    /// Until when it waits; `None` where nothing waits.
    pub expires_at: Option<Timestamp>,
    /// Commitment to its text.
    pub memo: Option<[u8; 32]>,
    /// The day it counts for, where it named one.
    pub value_date: Option<Date>,
    /// How it stands.
    pub state: ReviewState,
    /// Who released it first, where it takes two.
    pub first_by: Option<UserId>,
    /// Who decided.
    pub decided_by: Option<UserId>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// When it was forgotten what rules found and what was written about it.
    pub forgotten_at: Option<Timestamp>,
}

#[derive(Debug, FromQueryResult)]
struct WaitingSql {
    review_state: i64,
    person: Option<Uuid>,
    sealed: Option<Vec<u8>>,
    #[sea_orm(nested)]
    hold: HoldSql,
}

#[derive(Debug, FromQueryResult)]
struct ReviewSql {
    id: Uuid,
    customer: Uuid,
    account_id: Uuid,
    to_account: Uuid,
    amount: i64,
    currency: String,
    verdict: i64,
    score: i64,
    rules: String,
    revision: i64,
    at: i64,
    expires_at: Option<i64>,
    memo: Option<Vec<u8>>,
    value_date: Option<i64>,
    state: i64,
    first_by: Option<Uuid>,
    decided_by: Option<Uuid>,
    decided_at: Option<i64>,
    forgotten_at: Option<i64>,
}

impl TryFrom<ReviewSql> for ReviewView {
    type Error = StoreError;

    fn try_from(row: ReviewSql) -> Result<Self, StoreError> {
        let person = |id: Uuid| UserId::from_bytes(id.into_bytes());
        Ok(Self {
            id: TransactionId::from_bytes(row.id.into_bytes()),
            customer: person(row.customer),
            account: AccountId::from_bytes(row.account_id.into_bytes()),
            to_account: AccountId::from_bytes(row.to_account.into_bytes()),
            amount: Amount::new(row.amount).map_err(|_| StoreError::Corrupt("amount"))?,
            currency: currency_of(&row.currency)?,
            verdict: Verdict::from_number(row.verdict).ok_or(StoreError::Corrupt("a review's verdict"))?,
            score: u32::try_from(row.score).map_err(|_| StoreError::Corrupt("a review's score"))?,
            rules: row.rules,
            revision: row.revision,
            at: Timestamp::from_micros(row.at),
            expires_at: row.expires_at.map(Timestamp::from_micros),
            memo: row
                .memo
                .map(<[u8; 32]>::try_from)
                .transpose()
                .map_err(|_| StoreError::Corrupt("memo"))?,
            value_date: row
                .value_date
                .map(|days| i32::try_from(days).map(Date::from_days))
                .transpose()
                .map_err(|_| StoreError::Corrupt("value date"))?,
            state: state_of(row.state)?,
            first_by: row.first_by.map(person),
            decided_by: row.decided_by.map(person),
            decided_at: row.decided_at.map(Timestamp::from_micros),
            forgotten_at: row.forgotten_at.map(Timestamp::from_micros),
        })
    }
}

fn state_of(number: i64) -> Result<ReviewState, StoreError> {
    ReviewState::from_number(number).ok_or(StoreError::Corrupt("a review's state"))
}

const WAITING: &str = concat!(
    "SELECT r.state AS review_state, m.person, m.sealed, ",
    hold_columns!(),
    " FROM holds h JOIN reviews r ON r.id = h.id AND r.verdict = 2 LEFT JOIN memos m ON m.transaction_id = h.id \
     WHERE h.id = $1 AND h.review"
);

macro_rules! reviews {
    ($after:literal) => {
        concat!(
            "SELECT id, customer, account_id, to_account, amount, currency, verdict, score, rules, revision, at, expires_at, memo, \
             value_date, state, first_by, decided_by, decided_at, forgotten_at FROM reviews ",
            $after
        )
    };
}
const REVIEW: &str = reviews!("WHERE id = $1 AND verdict = 2");
const REVIEWS: &str = reviews!("WHERE id < $1 ORDER BY id DESC, verdict DESC LIMIT $2");
const REVIEWS_OPEN: &str = reviews!("WHERE id < $1 AND state = 0 ORDER BY id DESC LIMIT $2");

impl Store {
    /// A transfer that waits for a look, or waited and was not booked.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn waiting_transfer(&self, id: TransactionId) -> Result<Option<WaitingTransfer>, StoreError> {
        let found: Vec<WaitingSql> = rows(self.books(), WAITING, vec![uuid(id.as_bytes()).into()]).await?;
        let Some(row) = found.into_iter().next() else {
            return Ok(None);
        };
        Ok(Some(WaitingTransfer {
            hold: row.hold.try_into()?,
            state: state_of(row.review_state)?,
            memo: row
                .person
                .zip(row.sealed)
                .map(|(person, sealed)| (UserId::from_bytes(person.into_bytes()), sealed)),
        }))
    }

    /// One review.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn review(&self, id: TransactionId) -> Result<Option<ReviewView>, StoreError> {
        let found: Vec<ReviewSql> = rows(self.books(), REVIEW, vec![uuid(id.as_bytes()).into()]).await?;
        found.into_iter().next().map(ReviewView::try_from).transpose()
    }

    /// Reviews, newest first, older than `before`: all, or those that nobody decided.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn reviews(
        &self,
        open: bool,
        before: Option<TransactionId>,
        limit: u32,
    ) -> Result<Vec<ReviewView>, StoreError> {
        let before = before.map_or([0xff; 16], |id| *id.as_bytes());
        let values = vec![uuid(&before).into(), i64::from(limit).into()];
        let sql = if open { REVIEWS_OPEN } else { REVIEWS };
        let found: Vec<ReviewSql> = rows(self.books(), sql, values).await?;
        found.into_iter().map(ReviewView::try_from).collect()
    }
}

impl WriteTx {
    /// Writes down who releases a transfer first. Tells whether nobody had.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn release_first(
        &self,
        id: TransactionId,
        by: UserId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE reviews SET first_by = $2, first_at = $3 WHERE id = $1 AND verdict = 2 AND state = 0 AND first_by IS NULL";
        let values = vec![
            uuid(id.as_bytes()).into(),
            uuid(by.as_bytes()).into(),
            at.micros().into(),
        ];
        Ok(self.execute(SQL, values).await? == 1)
    }

    /// Wipes why movements before a moment were stopped and what was written about it, where nothing waits any more;
    /// the oldest first, at most [`SWEEP_ROWS_MAX`]. Tells of how many.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn forget_reviews(&self, before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "UPDATE reviews SET rules = '', score = 0, memo = NULL, sealed_reason = NULL, \
            forgotten_at = $2 WHERE (id, verdict) IN (SELECT id, verdict FROM reviews WHERE forgotten_at IS NULL \
            AND at < $1 AND (state <> 0 OR expires_at < $1) ORDER BY at LIMIT $3)";
        let values = vec![before.micros().into(), now.micros().into(), SWEEP_ROWS_MAX.into()];
        self.execute(SQL, values).await
    }
}
