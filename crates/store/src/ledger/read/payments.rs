//! Reading merchants and payments: not hot, one query text for both engines.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    id::{AccountId, MerchantId, PaymentId, TransactionId, UserId},
    ledger::Refunded,
    money::Amount,
    payment::Payment,
    time::Timestamp,
};
use uuid::Uuid;

use super::sql::uuid;
use crate::{
    error::StoreError,
    ledger::rows::{PaymentRow, payment_columns},
    store::Store,
    tx::{WriteTx, rows},
};

/// Somebody who is paid by customers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerchantView {
    /// The id.
    pub id: MerchantId,
    /// The account that is paid.
    pub account: AccountId,
    /// Whose it is.
    pub owner: UserId,
    /// The name, sealed under the owner's key; absent once it was wiped.
    pub sealed_name: Option<Vec<u8>>,
    /// Since when.
    pub created_at: Timestamp,
}

#[derive(Debug, FromQueryResult)]
struct MerchantSql {
    id: Uuid,
    account_id: Uuid,
    owner: Uuid,
    created_at: i64,
    sealed: Option<Vec<u8>>,
}

impl From<MerchantSql> for MerchantView {
    fn from(row: MerchantSql) -> Self {
        Self {
            id: MerchantId::from_bytes(row.id.into_bytes()),
            account: AccountId::from_bytes(row.account_id.into_bytes()),
            owner: UserId::from_bytes(row.owner.into_bytes()),
            sealed_name: row.sealed,
            created_at: Timestamp::from_micros(row.created_at),
        }
    }
}

#[derive(Debug, FromQueryResult)]
struct PaymentSql {
    id: Uuid,
    merchant_id: Uuid,
    payer: Uuid,
    account_id: Uuid,
    to_account: Uuid,
    amount: i64,
    currency: String,
    refunded: i64,
    state: i64,
    paid_at: i64,
}

impl TryFrom<PaymentSql> for Payment {
    type Error = StoreError;

    fn try_from(row: PaymentSql) -> Result<Self, StoreError> {
        let row = PaymentRow {
            id: row.id.into_bytes(),
            merchant: row.merchant_id.into_bytes(),
            payer: row.payer.into_bytes(),
            account: row.account_id.into_bytes(),
            to_account: row.to_account.into_bytes(),
            amount: row.amount,
            currency: row.currency,
            refunded: row.refunded,
            state: row.state,
            paid_at: row.paid_at,
        };
        row.try_into()
    }
}

/// What took a transaction back, and what it takes back itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReversalsAbout {
    /// The contra transaction.
    pub reversed_by: Option<TransactionId>,
    /// The transaction that this one takes back.
    pub reverses: Option<TransactionId>,
}

#[derive(Debug, FromQueryResult)]
struct ReversalSql {
    transaction_id: Uuid,
    reversal_id: Uuid,
}

#[derive(Debug, FromQueryResult)]
struct RefundSql {
    transaction_id: Uuid,
    payment_id: Uuid,
    amount: i64,
    refunded: i64,
    at: i64,
}

impl TryFrom<RefundSql> for Refunded {
    type Error = StoreError;

    fn try_from(row: RefundSql) -> Result<Self, StoreError> {
        Ok(Self {
            transaction: TransactionId::from_bytes(row.transaction_id.into_bytes()),
            payment: PaymentId::from_bytes(row.payment_id.into_bytes()),
            amount: Amount::new(row.amount).map_err(|_| StoreError::Corrupt("amount"))?,
            refunded: row.refunded,
            at: Timestamp::from_micros(row.at),
        })
    }
}

/// One query text for every way to select merchants.
macro_rules! merchants {
    ($rest:literal) => {
        concat!(
            "SELECT m.id, m.account_id, m.owner, m.created_at, n.sealed FROM merchants m \
             LEFT JOIN merchant_names n ON n.merchant_id = m.id WHERE ",
            $rest
        )
    };
}
/// One query text for every way to select payments.
macro_rules! payments {
    ($rest:literal) => {
        concat!("SELECT ", payment_columns!(), " FROM payments p WHERE ", $rest)
    };
}
const REFUNDS: &str = "SELECT transaction_id, payment_id, amount, refunded, at FROM refunds WHERE ";

impl Store {
    /// One merchant.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn merchant(&self, id: MerchantId) -> Result<Option<MerchantView>, StoreError> {
        let values = vec![uuid(id.as_bytes()).into()];
        let found: Vec<MerchantSql> = rows(self.books(), merchants!("m.id = $1"), values).await?;
        Ok(found.into_iter().next().map(Into::into))
    }

    /// Merchants older than `before`, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn merchants(
        &self,
        before: Option<MerchantId>,
        limit: u32,
    ) -> Result<Vec<MerchantView>, StoreError> {
        let before = before.map_or([0xff; 16], |id| *id.as_bytes());
        let values = vec![uuid(&before).into(), i64::from(limit).into()];
        let sql = merchants!("m.id < $1 ORDER BY m.id DESC LIMIT $2");
        let found: Vec<MerchantSql> = rows(self.books(), sql, values).await?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    /// One payment.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn payment(&self, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        let values = vec![uuid(id.as_bytes()).into()];
        let found: Vec<PaymentSql> = rows(self.books(), payments!("p.id = $1"), values).await?;
        found.into_iter().next().map(Payment::try_from).transpose()
    }

    /// What a person paid, newest first, older than `before`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn payments_by(
        &self,
        payer: UserId,
        before: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<Payment>, StoreError> {
        let sql = payments!("p.payer = $1 AND p.id < $2 ORDER BY p.id DESC LIMIT $3");
        self.page_of_payments(sql, payer.as_bytes(), before, limit).await
    }

    /// What a merchant was paid, newest first, older than `before`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn payments_to(
        &self,
        merchant: MerchantId,
        before: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<Payment>, StoreError> {
        let sql = payments!("p.merchant_id = $1 AND p.id < $2 ORDER BY p.id DESC LIMIT $3");
        self.page_of_payments(sql, merchant.as_bytes(), before, limit)
            .await
    }

    async fn page_of_payments(
        &self,
        sql: &str,
        whose: &[u8; 16],
        before: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<Payment>, StoreError> {
        let before = before.map_or([0xff; 16], |id| *id.as_bytes());
        let values = vec![uuid(whose).into(), uuid(&before).into(), i64::from(limit).into()];
        let found: Vec<PaymentSql> = rows(self.books(), sql, values).await?;
        found.into_iter().map(Payment::try_from).collect()
    }

    /// One refund, by its transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn refund(&self, transaction: TransactionId) -> Result<Option<Refunded>, StoreError> {
        let sql = format!("{REFUNDS}transaction_id = $1");
        let values = vec![uuid(transaction.as_bytes()).into()];
        let found: Vec<RefundSql> = rows(self.books(), &sql, values).await?;
        found.into_iter().next().map(Refunded::try_from).transpose()
    }

    /// What took a transaction back, and what it takes back itself.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn reversals_about(&self, transaction: TransactionId) -> Result<ReversalsAbout, StoreError> {
        let sql =
            "SELECT transaction_id, reversal_id FROM reversals WHERE transaction_id = $1 OR reversal_id = $1";
        let values = vec![uuid(transaction.as_bytes()).into()];
        let found: Vec<ReversalSql> = rows(self.books(), sql, values).await?;
        let mut about = ReversalsAbout::default();
        for row in found {
            let of = TransactionId::from_bytes(row.transaction_id.into_bytes());
            let by = TransactionId::from_bytes(row.reversal_id.into_bytes());
            if of == transaction {
                about.reversed_by = Some(by);
            } else {
                about.reverses = Some(of);
            }
        }
        Ok(about)
    }

    /// What was given back of a payment in the order in which it was, after so much in total.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn refunds(
        &self,
        payment: PaymentId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Refunded>, StoreError> {
        let sql = format!("{REFUNDS}payment_id = $1 AND refunded > $2 ORDER BY refunded LIMIT $3");
        let values = vec![
            uuid(payment.as_bytes()).into(),
            after.into(),
            i64::from(limit).into(),
        ];
        let found: Vec<RefundSql> = rows(self.books(), &sql, values).await?;
        found.into_iter().map(Refunded::try_from).collect()
    }
}

impl WriteTx {
    /// Makes the owner of an account a merchant who is paid on it.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when the account is a merchant's.
    pub async fn insert_merchant(&self, new: &MerchantView) -> Result<(), StoreError> {
        let id = uuid(new.id.as_bytes());
        self.execute(
            "INSERT INTO merchants (id, account_id, owner, created_at) VALUES ($1, $2, $3, $4)",
            vec![
                id.into(),
                uuid(new.account.as_bytes()).into(),
                uuid(new.owner.as_bytes()).into(),
                new.created_at.micros().into(),
            ],
        )
        .await?;
        if let Some(sealed) = &new.sealed_name {
            self.execute(
                "INSERT INTO merchant_names (merchant_id, sealed) VALUES ($1, $2)",
                vec![id.into(), sealed.clone().into()],
            )
            .await?;
        }
        Ok(())
    }
}
