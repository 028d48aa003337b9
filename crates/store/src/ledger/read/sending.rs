//! Beneficiaries and payments to them: one query text for both engines.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    beneficiary::Beneficiary,
    id::{AccountId, BeneficiaryId, PaymentId, UserId},
    outgoing::Outgoing,
    time::Timestamp,
};
use uuid::Uuid;

use super::sql::uuid;
use crate::{
    error::StoreError,
    ledger::rows::{BeneficiaryRow, OutgoingRow, outgoing_columns},
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// A beneficiary with what stands beside the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeneficiaryView {
    /// The beneficiary.
    pub beneficiary: Beneficiary,
    /// Name and number, sealed under the owner's key; absent once they were wiped.
    pub sealed: Option<Vec<u8>>,
}

#[derive(Debug, FromQueryResult)]
struct BeneficiarySql {
    id: Uuid,
    owner: Uuid,
    account_id: Option<Uuid>,
    currency: String,
    added_at: i64,
    removed_at: Option<i64>,
    paid: i64,
    last_payment: Option<Uuid>,
    last_amount: Option<i64>,
    last_at: Option<i64>,
    earlier: Vec<u8>,
    sealed: Option<Vec<u8>>,
}

impl TryFrom<BeneficiarySql> for BeneficiaryView {
    type Error = StoreError;

    fn try_from(row: BeneficiarySql) -> Result<Self, StoreError> {
        let last = row.last_payment.zip(row.last_amount).zip(row.last_at);
        let facts = BeneficiaryRow {
            id: row.id.into_bytes(),
            owner: row.owner.into_bytes(),
            account: row.account_id.map(Uuid::into_bytes),
            currency: row.currency,
            added_at: row.added_at,
            removed_at: row.removed_at,
            paid: row.paid,
            last: last.map(|((id, amount), at)| (id.into_bytes(), amount, at)),
            earlier: row.earlier,
        };
        Ok(Self {
            beneficiary: facts.try_into()?,
            sealed: row.sealed,
        })
    }
}

#[derive(Debug, FromQueryResult)]
pub(super) struct OutgoingSql {
    id: Uuid,
    beneficiary_id: Uuid,
    payer: Uuid,
    account_id: Uuid,
    to_account: Option<Uuid>,
    amount: i64,
    currency: String,
    state: i64,
    debited: bool,
    file_id: Option<Uuid>,
    paid_at: i64,
    closed_at: Option<i64>,
}

impl TryFrom<OutgoingSql> for Outgoing {
    type Error = StoreError;

    fn try_from(row: OutgoingSql) -> Result<Self, StoreError> {
        let row = OutgoingRow {
            id: row.id.into_bytes(),
            beneficiary: row.beneficiary_id.into_bytes(),
            payer: row.payer.into_bytes(),
            account: row.account_id.into_bytes(),
            to_account: row.to_account.map(Uuid::into_bytes),
            amount: row.amount,
            currency: row.currency,
            state: row.state,
            debited: row.debited,
            file: row.file_id.map(Uuid::into_bytes),
            paid_at: row.paid_at,
            closed_at: row.closed_at,
        };
        row.try_into()
    }
}

#[derive(FromQueryResult)]
struct CountSql {
    number: i64,
}

/// One query text for every way to select beneficiaries.
macro_rules! beneficiaries {
    ($rest:literal) => {
        concat!(
            "SELECT b.id, b.owner, b.account_id, b.currency, b.added_at, b.removed_at, b.paid, b.last_payment, \
             b.last_amount, b.last_at, b.earlier, d.sealed FROM beneficiaries b \
             LEFT JOIN beneficiary_details d ON d.beneficiary_id = b.id WHERE ",
            $rest
        )
    };
}
/// One query text for every way to select payments to beneficiaries.
macro_rules! outgoing {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            outgoing_columns!(),
            " FROM outgoing_payments o WHERE ",
            $rest
        )
    };
}
pub(super) use outgoing;

impl Store {
    /// One beneficiary of a person, also one that was taken off the list.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn beneficiary(
        &self,
        owner: UserId,
        id: BeneficiaryId,
    ) -> Result<Option<BeneficiaryView>, StoreError> {
        let read = self.read(Scope::Person(owner)).await?;
        let values = vec![uuid(id.as_bytes()).into(), uuid(owner.as_bytes()).into()];
        let sql = beneficiaries!("b.id = $1 AND b.owner = $2");
        let found: Vec<BeneficiarySql> = rows(&read.tx, sql, values).await?;
        found
            .into_iter()
            .next()
            .map(BeneficiaryView::try_from)
            .transpose()
    }

    /// The beneficiaries on a person's list, newest first, older than `before`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn beneficiaries(
        &self,
        owner: UserId,
        before: Option<BeneficiaryId>,
        limit: u32,
    ) -> Result<Vec<BeneficiaryView>, StoreError> {
        let read = self.read(Scope::Person(owner)).await?;
        let before = before.map_or([0xff; 16], |id| *id.as_bytes());
        let values = vec![
            uuid(owner.as_bytes()).into(),
            uuid(&before).into(),
            i64::from(limit).into(),
        ];
        let sql =
            beneficiaries!("b.owner = $1 AND b.removed_at IS NULL AND b.id < $2 ORDER BY b.id DESC LIMIT $3");
        let found: Vec<BeneficiarySql> = rows(&read.tx, sql, values).await?;
        found.into_iter().map(BeneficiaryView::try_from).collect()
    }

    /// One payment to a beneficiary.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn outgoing(&self, id: PaymentId) -> Result<Option<Outgoing>, StoreError> {
        let values = vec![uuid(id.as_bytes()).into()];
        let found: Vec<OutgoingSql> = rows(self.books(), outgoing!("o.id = $1"), values).await?;
        found.into_iter().next().map(Outgoing::try_from).transpose()
    }

    /// How many payments out of an account are neither settled nor back.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn pending_from(&self, account: AccountId) -> Result<u64, StoreError> {
        let found: Vec<CountSql> = rows(
            self.books(),
            "SELECT count(*) AS number FROM outgoing_payments WHERE account_id = $1 AND state = 0",
            vec![uuid(account.as_bytes()).into()],
        )
        .await?;
        Ok(found
            .first()
            .map_or(0, |row| u64::try_from(row.number).unwrap_or(0)))
    }

    /// What a person paid to beneficiaries, newest first, older than `before`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn outgoing_by(
        &self,
        payer: UserId,
        before: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<Outgoing>, StoreError> {
        let before = before.map_or([0xff; 16], |id| *id.as_bytes());
        let values = vec![
            uuid(payer.as_bytes()).into(),
            uuid(&before).into(),
            i64::from(limit).into(),
        ];
        let sql = outgoing!("o.payer = $1 AND o.id < $2 ORDER BY o.id DESC LIMIT $3");
        let found: Vec<OutgoingSql> = rows(self.books(), sql, values).await?;
        found.into_iter().map(Outgoing::try_from).collect()
    }
}

impl WriteTx {
    /// How many beneficiaries are on a person's list. Whoever adds one locks the person before.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn count_beneficiaries(&self, owner: UserId) -> Result<u64, StoreError> {
        let found: Vec<CountSql> = rows(
            &self.tx,
            "SELECT count(*) AS number FROM beneficiaries WHERE owner = $1 AND removed_at IS NULL",
            vec![uuid(owner.as_bytes()).into()],
        )
        .await?;
        Ok(found
            .first()
            .map_or(0, |row| u64::try_from(row.number).unwrap_or(0)))
    }

    /// How many payments of a person have not left the bank. Asked after the person was revoked in this transaction,
    /// the answer holds until it ends.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn waiting_payments(&self, payer: UserId) -> Result<u64, StoreError> {
        let found: Vec<CountSql> = rows(
            &self.tx,
            "SELECT count(*) AS number FROM outgoing_payments WHERE payer = $1 AND state = 0 AND file_id IS NULL",
            vec![uuid(payer.as_bytes()).into()],
        )
        .await?;
        Ok(found
            .first()
            .map_or(0, |row| u64::try_from(row.number).unwrap_or(0)))
    }

    /// The newest beneficiary of a person with one of these indexes, on the list or taken off it.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn beneficiary_like(
        &self,
        owner: UserId,
        indexes: &[[u8; 16]],
    ) -> Result<Option<Beneficiary>, StoreError> {
        let mut newest: Option<Beneficiary> = None;
        for index in indexes {
            let sql = beneficiaries!(
                "d.owner = $1 AND d.target_index = $2 ORDER BY d.listed DESC, b.id DESC LIMIT 1"
            );
            let values = vec![uuid(owner.as_bytes()).into(), index.to_vec().into()];
            let found: Vec<BeneficiarySql> = rows(&self.tx, sql, values).await?;
            for row in found {
                let like = BeneficiaryView::try_from(row)?.beneficiary;
                let newer = newest
                    .as_ref()
                    .is_none_or(|newest| (!like.removed, like.id) > (!newest.removed, newest.id));
                if newer {
                    newest = Some(like);
                }
            }
        }
        Ok(newest)
    }

    /// Puts a beneficiary on its owner's list.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when there is one with this index.
    pub async fn insert_beneficiary(
        &self,
        new: &Beneficiary,
        index: &[u8; 16],
        sealed: &[u8],
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO beneficiaries (id, owner, account_id, currency, added_at, paid) \
             VALUES ($1, $2, $3, $4, $5, $6)",
            vec![
                uuid(new.id.as_bytes()).into(),
                uuid(new.owner.as_bytes()).into(),
                new.account.map(|account| uuid(account.as_bytes())).into(),
                new.currency.code().into(),
                new.added_at.micros().into(),
                new.paid.into(),
            ],
        )
        .await?;
        self.execute(
            "INSERT INTO beneficiary_details (beneficiary_id, owner, target_index, listed, sealed) \
             VALUES ($1, $2, $3, $5, $4)",
            vec![
                uuid(new.id.as_bytes()).into(),
                uuid(new.owner.as_bytes()).into(),
                index.to_vec().into(),
                sealed.to_vec().into(),
                true.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Takes a beneficiary off its owner's list; false when it is on none.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn remove_beneficiary(
        &self,
        owner: UserId,
        id: BeneficiaryId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let removed = self
            .execute(
                "UPDATE beneficiaries SET removed_at = $3 WHERE id = $1 AND owner = $2 AND removed_at IS NULL",
                vec![
                    uuid(id.as_bytes()).into(),
                    uuid(owner.as_bytes()).into(),
                    at.micros().into(),
                ],
            )
            .await?;
        self.execute(
            "UPDATE beneficiary_details SET listed = $3 WHERE beneficiary_id = $1 AND owner = $2",
            vec![
                uuid(id.as_bytes()).into(),
                uuid(owner.as_bytes()).into(),
                false.into(),
            ],
        )
        .await?;
        Ok(removed == 1)
    }
}
