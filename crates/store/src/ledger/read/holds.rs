//! Reading holds: not hot, one query text for both engines.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    hold::Hold,
    id::{AccountId, HoldId, TransactionId},
    ledger::Captured,
};
use uuid::Uuid;

use super::sql::uuid;
use crate::{
    error::StoreError,
    ledger::rows::{HoldRow, hold_columns, hold_state},
    store::Store,
    tx::rows,
};

#[derive(Debug, FromQueryResult)]
pub(super) struct HoldSql {
    id: Uuid,
    account_id: Uuid,
    to_account: Uuid,
    amount: i64,
    currency: String,
    captured: i64,
    state: i64,
    placed_at: i64,
    expires_at: i64,
    closed_at: Option<i64>,
    review: bool,
}

impl TryFrom<HoldSql> for Hold {
    type Error = StoreError;

    fn try_from(row: HoldSql) -> Result<Self, StoreError> {
        let row = HoldRow {
            id: row.id.into_bytes(),
            account: row.account_id.into_bytes(),
            to_account: row.to_account.into_bytes(),
            amount: row.amount,
            currency: row.currency,
            captured: row.captured,
            state: row.state,
            placed_at: row.placed_at,
            expires_at: row.expires_at,
            closed_at: row.closed_at,
            review: row.review,
        };
        row.try_into()
    }
}

#[derive(Debug, FromQueryResult)]
struct CaptureSql {
    hold_id: Uuid,
    captured: i64,
    state: i64,
}

const HOLD: &str = concat!("SELECT ", hold_columns!(), " FROM holds h WHERE h.id = $1");
/// Holds that one statement reads.
const PORTION: usize = 25;
const SOME_HOLDS: &str = concat!(
    "SELECT ",
    hold_columns!(),
    " FROM holds h WHERE h.id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
     $20, $21, $22, $23, $24, $25)"
);
const HOLDS_OF: &str = concat!(
    "SELECT ",
    hold_columns!(),
    " FROM holds h WHERE h.account_id = $1 AND h.state = 0 AND NOT h.review AND h.id < $2 ORDER BY h.id DESC LIMIT $3"
);
const CAPTURE: &str = "SELECT hold_id, captured, state FROM hold_captures WHERE transaction_id = $1";

impl Store {
    /// One hold by id.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        let found: Vec<HoldSql> = rows(self.books(), HOLD, vec![uuid(id.as_bytes()).into()]).await?;
        found.into_iter().next().map(Hold::try_from).transpose()
    }

    /// Holds by their ids, in no order; what is not there is missing.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn holds_by_id(&self, ids: &[HoldId]) -> Result<Vec<Hold>, StoreError> {
        let mut all = Vec::with_capacity(ids.len());
        for portion in ids.chunks(PORTION) {
            // One text for any number: the last one is asked for again.
            let padded = portion
                .iter()
                .chain(std::iter::repeat_n(&portion[portion.len() - 1], PORTION));
            let values = padded
                .take(PORTION)
                .map(|id| uuid(id.as_bytes()).into())
                .collect();
            let found: Vec<HoldSql> = rows(self.books(), SOME_HOLDS, values).await?;
            for row in found {
                all.push(Hold::try_from(row)?);
            }
        }
        Ok(all)
    }

    /// The holds on an account that no batch has ended, newest first, older than `before`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn open_holds(
        &self,
        account: AccountId,
        before: Option<HoldId>,
        limit: u32,
    ) -> Result<Vec<Hold>, StoreError> {
        let before = before.map_or([0xff; 16], |id| *id.as_bytes());
        let values = vec![
            uuid(account.as_bytes()).into(),
            uuid(&before).into(),
            i64::from(limit).into(),
        ];
        let found: Vec<HoldSql> = rows(self.books(), HOLDS_OF, values).await?;
        found.into_iter().map(Hold::try_from).collect()
    }

    /// What a payment out of a hold left of it.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn capture(&self, transaction: TransactionId) -> Result<Option<Captured>, StoreError> {
        let values = vec![uuid(transaction.as_bytes()).into()];
        let found: Vec<CaptureSql> = rows(self.books(), CAPTURE, values).await?;
        let Some(row) = found.into_iter().next() else {
            return Ok(None);
        };
        Ok(Some(Captured {
            transaction,
            hold: HoldId::from_bytes(row.hold_id.into_bytes()),
            captured: row.captured,
            state: hold_state(row.state)?,
        }))
    }
}
