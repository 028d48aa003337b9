//! Many transfers in one [order](super::orders).

use strongroom_crypto::random;
use strongroom_domain::{
    action::Action,
    id::TransactionId,
    ledger::{Answer, Done, Posting, Verb},
    time::Timestamp,
    transaction::TransactionKind,
};

use crate::{
    api_keys::signatures::require_signature,
    authority::authorize::About,
    bank::Bank,
    cx::Cx,
    error::Error,
    money::{
        accounts::refused,
        idempotency::Fields,
        orders::{Item, OrderDetails},
        transfers::{
            CreateTransfer, TRANSFER_FIELDS, TransferDetails, TransferState, as_it_would_be, transfer_fields,
        },
    },
};

/// Fields of one item of `POST /transfers/batch` in the order of its fingerprint: the item's, then the batch's own.
pub const ITEM_FIELDS: Fields = Fields(&[
    "",
    "/from_account_id",
    "/to_account_id",
    "/to_account_number",
    "/amount/amount",
    "/amount/currency",
    "/description",
    "/mode",
    "/transfers",
]);

/// Input of [`Bank::create_batch`].
#[derive(Debug, Clone)]
pub struct CreateBatch {
    /// 1 to [`super::orders::ORDER_ITEMS_MAX`]; their own keys and dry runs are not looked at.
    pub transfers: Vec<CreateTransfer>,
    /// Whether one refusal refuses all.
    pub atomic: bool,
    /// The client's key for the whole.
    pub idempotency_key: Option<String>,
}

impl Bank {
    /// Moves money by many transfers of the caller's in one commit.
    ///
    /// # Errors
    /// `idempotency_key_missing`, `idempotency_key_reused`, `step_up_required` where one transfer, or all of a currency
    /// together, are above the bound. What is wrong with one transfer is in its result.
    pub async fn create_batch(
        &self,
        cx: &Cx,
        input: CreateBatch,
    ) -> Result<OrderDetails<TransferDetails>, Error> {
        require_signature(cx)?;
        let outcome = self.batch(cx, input).await;
        self.settled(cx, outcome).await
    }

    async fn batch(&self, cx: &Cx, input: CreateBatch) -> Result<OrderDetails<TransferDetails>, Error> {
        let key = input.idempotency_key.as_deref();
        let fields = input.transfers.iter().map(item_fields).collect();
        let asked = self.ask_for_order(
            cx,
            Action::TransferCreate,
            input.atomic,
            key,
            fields,
            &ITEM_FIELDS,
        )?;
        let mut items = Vec::with_capacity(input.transfers.len());
        for transfer in &input.transfers {
            items.push(self.transfer_item(cx, transfer).await?);
        }
        let decided = self.decide_order(cx, &asked, &items).await?;
        let mut results = Vec::with_capacity(decided.answers.len());
        for (answer, transfer) in decided.answers.into_iter().zip(input.transfers) {
            results.push(self.result(answer, transfer.description, cx.now()).await?);
        }
        Ok(OrderDetails {
            results,
            replayed: decided.replayed,
        })
    }

    async fn transfer_item(&self, cx: &Cx, transfer: &CreateTransfer) -> Result<Item, Error> {
        let id: TransactionId = cx.new_id();
        let memo = match &transfer.description {
            Some(text) => Some(self.people.seal_memo(cx.person()?, id, text).await?),
            None => None,
        };
        Ok(Item {
            about: About::money(transfer.amount, transfer.currency),
            moves: Some(transfer.amount),
            currency: transfer.currency,
            verb: Verb::Post(Posting {
                id,
                kind: TransactionKind::Transfer,
                from: transfer.from,
                to: self.payee(&transfer.to).await?,
                amount: transfer.amount,
                currency: transfer.currency,
                value_date: None,
                memo,
                salt: random::bytes(),
            }),
        })
    }

    async fn result(
        &self,
        answer: Answer,
        description: Option<String>,
        at: Timestamp,
    ) -> Result<Result<TransferDetails, Error>, Error> {
        Ok(match answer {
            Answer::Done(done) => match *done {
                Done::Posted(transaction) => Ok(TransferDetails {
                    transaction,
                    description,
                    state: TransferState::Posted,
                }),
                Done::Reviewed(hold) => Ok(TransferDetails {
                    transaction: as_it_would_be(&hold, self.zone()),
                    description,
                    state: TransferState::PendingReview,
                }),
                _ => return Err(Error::broken("another answer than asked for")),
            },
            Answer::Replayed {
                refusal: None,
                resource: Some(resource),
            } => {
                let id = TransactionId::from_bytes(resource);
                let found = self.transfer_by_id(id, at).await?;
                Ok(found.ok_or_else(|| Error::broken("a transaction that was posted is gone"))?)
            }
            other => Err(refused(other, &TRANSFER_FIELDS)),
        })
    }
}

/// The verb, which is not that of one transfer alone, and the item.
fn item_fields(transfer: &CreateTransfer) -> Vec<Vec<u8>> {
    let mut fields = transfer_fields(transfer);
    if let Some(verb) = fields.first_mut() {
        *verb = b"transfer.batch".to_vec();
    }
    fields
}
