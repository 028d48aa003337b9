//! Many transfers in one request and one commit.

use strongroom_crypto::random;
use strongroom_domain::{
    action::Action,
    id::TransactionId,
    ledger::{Answer, Command, Done, Idempotency, Order, Posting, Verb},
    money::{AMOUNT_MAX, Amount, Currency},
    time::Timestamp,
    transaction::TransactionKind,
};

use crate::{
    api_keys::signatures::require_signature,
    authority::authorize::{About, Resource, authorize, authorize_about},
    bank::Bank,
    cx::Cx,
    error::Error,
    money::{
        accounts::{refused, replayed},
        idempotency::Fields,
        transfers::{
            CreateTransfer, TRANSFER_FIELDS, TransferDetails, TransferState, as_it_would_be, transfer_fields,
        },
    },
};

/// Most transfers in one batch.
pub const BATCH_ITEMS_MAX: usize = 1_000;

/// Fields of one item of `POST /transfers/batch` in the order of its fingerprint: the batch's own, then the item's.
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
    /// 1 to [`BATCH_ITEMS_MAX`]; their own keys and dry runs are not looked at.
    pub transfers: Vec<CreateTransfer>,
    /// Whether one refusal refuses all.
    pub atomic: bool,
    /// The client's key for the whole.
    pub idempotency_key: Option<String>,
}

/// What became of a batch.
#[derive(Debug)]
pub struct BatchDetails {
    /// An answer for each transfer, in their order.
    pub results: Vec<Result<TransferDetails, Error>>,
    /// Whether this is a repetition of an earlier answer.
    pub replayed: bool,
}

impl Bank {
    /// Moves money by many transfers of the caller's in one commit.
    ///
    /// # Errors
    /// `idempotency_key_missing`, `idempotency_key_reused`, `step_up_required` where one transfer, or all of a currency
    /// together, are above the bound. What is wrong with one transfer is in its result.
    pub async fn create_batch(&self, cx: &Cx, input: CreateBatch) -> Result<BatchDetails, Error> {
        require_signature(cx)?;
        let outcome = self.batch(cx, input).await;
        self.settled(cx, outcome).await
    }

    async fn batch(&self, cx: &Cx, input: CreateBatch) -> Result<BatchDetails, Error> {
        let owner = cx.person()?;
        let resource = Resource::OwnedBy(owner);
        authorize(cx, Action::TransferCreate, resource)?;
        let batch = [
            vec![u8::from(input.atomic)],
            input.transfers.len().to_be_bytes().to_vec(),
        ];
        let fields: Vec<Vec<Vec<u8>>> = input
            .transfers
            .iter()
            .map(|transfer| item_fields(transfer, &batch))
            .collect();
        let keys = self.item_keys(cx, input.idempotency_key.as_deref(), &fields)?;
        let all: Vec<Vec<u8>> = fields.concat();
        let step_up = match largest(input.transfers.iter().map(|one| (one.amount, one.currency))) {
            Some((amount, currency)) => self.step_up_for(cx, amount, currency, &all).await?,
            None => None,
        };
        let mut postings = Vec::with_capacity(input.transfers.len());
        for transfer in &input.transfers {
            let id: TransactionId = cx.new_id();
            let memo = match &transfer.description {
                Some(text) => Some(self.people.seal_memo(owner, id, text).await?),
                None => None,
            };
            postings.push(Posting {
                id,
                kind: TransactionKind::Transfer,
                from: transfer.from,
                to: self.payee(&transfer.to).await?,
                amount: transfer.amount,
                currency: transfer.currency,
                value_date: None,
                memo,
                salt: random::bytes(),
            });
        }
        let nonce = cx.nonce.as_deref();
        let answers = self
            .submit_order(cx, |cx| {
                let mut commands = Vec::with_capacity(postings.len());
                for (posting, key) in postings.iter().zip(&keys) {
                    let about = About::money(posting.amount, posting.currency);
                    let permit = authorize_about(cx, Action::TransferCreate, resource, about)?;
                    commands.push(Command {
                        authority: permit.authority(),
                        request: cx.request,
                        idempotency: Some(key.clone()),
                        dry_run: false,
                        step_up: None,
                        bounds: self.bounds_for(cx, posting.currency)?,
                        nonce: nonce.map(|open| open.nonce),
                        verb: Verb::Post(posting.clone()),
                    });
                }
                Ok(Order {
                    commands,
                    all_or_none: input.atomic,
                    step_up,
                })
            })
            .await?;
        // Whatever the books answered, they have seen the nonce.
        nonce.inspect(|open| open.give());
        if answers.contains(&Answer::NonceUsed) {
            return Err(replayed());
        }
        if answers.contains(&Answer::StepUpNeeded) {
            return Err(self.challenge_for(cx, step_up));
        }
        let replayed = answers
            .iter()
            .all(|answer| matches!(answer, Answer::Replayed { .. }));
        let mut results = Vec::with_capacity(answers.len());
        for (answer, transfer) in answers.into_iter().zip(input.transfers) {
            // A key that stands for something else stands for nothing of this batch.
            if matches!(answer, Answer::KeyReused { .. }) {
                return Err(refused(answer, &ITEM_FIELDS));
            }
            results.push(self.result(answer, transfer.description, cx.now()).await?);
        }
        Ok(BatchDetails { results, replayed })
    }

    /// The first item has the client's key, so that it cannot stand for another request as well; the others have keys
    /// that no client can send.
    pub(super) fn item_keys(
        &self,
        cx: &Cx,
        text: Option<&str>,
        fields: &[Vec<Vec<u8>>],
    ) -> Result<Vec<Idempotency>, Error> {
        let first = fields.first().map_or(&[][..], Vec::as_slice);
        let first = self
            .key_for(cx, text, first, false)?
            .ok_or_else(Error::not_found)?;
        let mut keys = vec![first];
        for (number, fields) in fields.iter().enumerate().skip(1) {
            keys.push(self.bind_item_key(cx, text.unwrap_or_default(), number, fields)?);
        }
        Ok(keys)
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

/// The verb, the item, and what it is a part of: a batch of another length or mode is another batch.
fn item_fields(transfer: &CreateTransfer, batch: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut fields = transfer_fields(transfer);
    if let Some(verb) = fields.first_mut() {
        *verb = b"transfer.batch".to_vec();
    }
    fields.extend_from_slice(batch);
    fields
}

/// What the bound for a fresh factor is held against: the largest sum of a currency. Many small transfers are one
/// large.
pub(super) fn largest(amounts: impl IntoIterator<Item = (Amount, Currency)>) -> Option<(Amount, Currency)> {
    let mut sums: Vec<(Currency, i64)> = Vec::new();
    for (amount, currency) in amounts {
        let minor = amount.minor();
        match sums.iter_mut().find(|sum| sum.0 == currency) {
            Some(sum) => sum.1 = sum.1.saturating_add(minor),
            None => sums.push((currency, minor)),
        }
    }
    let weighed = sums.into_iter().max_by_key(|(currency, minor)| {
        let scale = 10_i64.saturating_pow(4_u32.saturating_sub(u32::from(currency.exponent())));
        minor.saturating_mul(scale)
    });
    let (currency, minor) = weighed?;
    Amount::new(minor.min(AMOUNT_MAX))
        .ok()
        .map(|amount| (amount, currency))
}
