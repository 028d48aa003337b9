//! Payments to merchants, and what merchants give back.
//!
//! A payment that looks like one of a moment ago is asked about once: the caller says that it is meant by naming the
//! earlier payment. Of two that are sent at once the second meets the first in the books.

use strongroom_crypto::random;
use strongroom_domain::{
    action::Action,
    id::{AccountId, MerchantId, PaymentId, RefundId, TransactionId, UserId},
    ledger::{
        Answer, Command, Done, Idempotency, NewPayment, PaymentRef, Posting, Refund, Refunded, Refusal,
    },
    ledger::{StepUpClaim, Verb},
    money::{Amount, Currency},
    payment::{Payment, PaymentState},
    transaction::TransactionKind,
};

use crate::{
    api_keys::signatures::require_signature,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    money::{
        accounts::{Once, refused},
        idempotency::Fields,
        transfers::{optional, seal_optional},
    },
};

/// Fields of `POST /payments` in the order of its fingerprint.
pub const PAYMENT_FIELDS: Fields = Fields(&[
    "",
    "/from_account_id",
    "/merchant_id",
    "/amount/amount",
    "/amount/currency",
    "/reference",
]);
/// Fields of `POST /payments/{id}/refund` in the order of its fingerprint.
pub const REFUND_FIELDS: Fields = Fields(&["", "/amount/amount", "/amount/currency"]);

/// Input of [`Bank::create_payment`].
#[derive(Debug, Clone)]
pub struct CreatePayment {
    /// The account debited.
    pub from: AccountId,
    /// Who is paid.
    pub merchant: MerchantId,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// What it is for.
    pub reference: Option<String>,
    /// The earlier payment that looks like this one, where the caller was asked about it and means both.
    pub confirmed: Option<PaymentId>,
    /// The client's key.
    pub idempotency_key: Option<String>,
}

/// Input of [`Bank::refund_payment`].
#[derive(Debug, Clone)]
pub struct RefundPayment {
    /// Which payment.
    pub payment: PaymentId,
    /// How much of it; all that is left when absent.
    pub amount: Option<(Amount, Currency)>,
    /// The client's key.
    pub idempotency_key: Option<String>,
}

/// A payment as its two sides see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentDetails {
    /// The payment.
    pub payment: Payment,
    /// What it is for; absent where nothing was said, or its writer was erased.
    pub reference: Option<String>,
}

/// A refund, and the payment as it left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundDetails {
    /// The refund.
    pub refunded: Refunded,
    /// The payment.
    pub payment: Payment,
}

impl RefundDetails {
    /// Its id: that of its transaction.
    pub const fn id(&self) -> RefundId {
        self.refunded.transaction.cast()
    }
}

/// A request about a payment, as it is authorized and remembered.
struct Asked {
    action: Action,
    owner: UserId,
    idempotency: Option<Idempotency>,
    step_up: Option<StepUpClaim>,
    /// What the request is remembered by.
    fields: Vec<Vec<u8>>,
    currency: Currency,
    verb: Verb,
}

impl Bank {
    /// Pays a merchant out of an account of the caller's.
    ///
    /// # Errors
    /// `account_not_found` for a foreign source, `payee_unavailable` also for an unknown merchant,
    /// `duplicate_suspected` with the earlier payment, every refusal of the books, `idempotency_key_reused`.
    pub async fn create_payment(&self, cx: &Cx, input: CreatePayment) -> Result<Once<PaymentDetails>, Error> {
        require_signature(cx)?;
        let owner = self.paying_account(cx, input.from, Action::PaymentCreate).await?;
        let fields = payment_fields(&input);
        let idempotency = self.key_for(cx, input.idempotency_key.as_deref(), &fields, false)?;
        let step_up = self
            .step_up_for(cx, input.amount, input.currency, &fields)
            .await?;
        let to = self
            .store
            .merchant(input.merchant)
            .await?
            .map(|found| found.account);
        let id: TransactionId = cx.new_id();
        let reference = input.reference;
        let asked = Asked {
            action: Action::PaymentCreate,
            owner,
            idempotency,
            step_up,
            fields,
            currency: input.currency,
            verb: Verb::Pay(NewPayment {
                posting: Posting {
                    id,
                    kind: TransactionKind::Payment,
                    from: input.from,
                    to,
                    amount: input.amount,
                    currency: input.currency,
                    value_date: None,
                    memo: seal_optional(self, owner, id, reference.as_deref()).await?,
                    salt: random::bytes(),
                },
                merchant: input.merchant,
                payer: owner,
                confirmed: input.confirmed,
            }),
        };
        match self.ask_about_payment(cx, &asked).await? {
            Answer::Done(done) => match *done {
                Done::Paid(payment) => Ok(Once {
                    value: PaymentDetails { payment, reference },
                    replayed: false,
                }),
                _ => Err(Error::broken("another answer than asked for")),
            },
            Answer::Replayed {
                refusal: None,
                resource: Some(resource),
            } => {
                let mut value = self.payment_details(PaymentId::from_bytes(resource)).await?;
                // As it was answered then: nothing of it was given back yet.
                value.payment.refunded = 0;
                value.payment.state = PaymentState::Paid;
                Ok(Once {
                    value,
                    replayed: true,
                })
            }
            other => Err(refused(other, &PAYMENT_FIELDS)),
        }
    }

    /// Gives back some of a payment to who paid it, or all that is left.
    ///
    /// # Errors
    /// `payment_not_found` for everybody but the merchant's owner, `payment_closed`, `exceeds_payment`, every refusal
    /// of the books, `idempotency_key_reused`.
    pub async fn refund_payment(&self, cx: &Cx, input: RefundPayment) -> Result<Once<RefundDetails>, Error> {
        require_signature(cx)?;
        let payment = self.store.payment(input.payment).await?;
        let owner = self
            .side_of(cx, payment.as_ref(), Action::PaymentRefund, |payment| {
                [Some(payment.to_account), None]
            })
            .await?;
        let payment = payment.ok_or(Refusal::PaymentNotFound)?;
        let fields = refund_fields(&input);
        let idempotency = self.key_for(cx, input.idempotency_key.as_deref(), &fields, false)?;
        if input
            .amount
            .is_some_and(|(_, currency)| currency != payment.currency)
        {
            return Err(Refusal::CurrencyMismatch.into());
        }
        let amount = input.amount.map(|(amount, _)| amount);
        // At most the whole payment is given back: that is what a fresh factor is asked for.
        let step_up = self
            .step_up_for(cx, amount.unwrap_or(payment.amount), payment.currency, &fields)
            .await?;
        let asked = Asked {
            action: Action::PaymentRefund,
            owner,
            idempotency,
            step_up,
            fields,
            currency: payment.currency,
            verb: Verb::Refund(Refund {
                id: cx.new_id(),
                payment: PaymentRef {
                    id: payment.id,
                    account: payment.account,
                    to: payment.to_account,
                },
                amount,
                memo: None,
                salt: random::bytes(),
            }),
        };
        let (value, replayed) = match self.ask_about_payment(cx, &asked).await? {
            Answer::Done(done) => match *done {
                Done::Refunded(refunded, payment) => (RefundDetails { refunded, payment }, false),
                _ => return Err(Error::broken("another answer than asked for")),
            },
            Answer::Replayed {
                refusal: None,
                resource: Some(resource),
            } => {
                let found = self.store.refund(TransactionId::from_bytes(resource)).await?;
                let refunded = found.ok_or_else(|| Error::broken("a refund that was booked is gone"))?;
                // As it was answered then.
                let payment = Payment {
                    refunded: refunded.refunded,
                    state: PaymentState::Paid,
                    ..payment
                };
                (RefundDetails { refunded, payment }, true)
            }
            other => return Err(refused(other, &REFUND_FIELDS)),
        };
        Ok(Once { value, replayed })
    }

    /// A payment, for its two sides and for operators.
    ///
    /// # Errors
    /// `payment_not_found`.
    pub async fn payment(&self, cx: &Cx, id: PaymentId) -> Result<PaymentDetails, Error> {
        let payment = self.store.payment(id).await?;
        self.side_of(cx, payment.as_ref(), Action::PaymentRead, both)
            .await?;
        self.payment_details(id).await
    }

    /// What was given back of a payment, in that order, after so much in total.
    ///
    /// # Errors
    /// `payment_not_found`.
    pub async fn refunds(
        &self,
        cx: &Cx,
        id: PaymentId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<RefundDetails>, Error> {
        let payment = self.store.payment(id).await?;
        self.side_of(cx, payment.as_ref(), Action::PaymentRead, both)
            .await?;
        let payment = payment.ok_or(Refusal::PaymentNotFound)?;
        let found = self.store.refunds(id, after, limit).await?;
        let details = |refunded: Refunded| RefundDetails {
            payment: Payment {
                refunded: refunded.refunded,
                state: PaymentState::Paid,
                ..payment.clone()
            },
            refunded,
        };
        Ok(found.into_iter().map(details).collect())
    }

    /// What the caller paid, newest first, older than `before`; or, named, what a merchant of the caller's was paid.
    ///
    /// # Errors
    /// `not_found` for a merchant of somebody else.
    pub async fn payments(
        &self,
        cx: &Cx,
        merchant: Option<MerchantId>,
        before: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<PaymentDetails>, Error> {
        let found = match merchant {
            Some(id) => {
                let owner = self.store.merchant(id).await?.map(|merchant| merchant.owner);
                let resource = owner.map_or(Resource::Bank, Resource::OwnedBy);
                let permit = authorize(cx, Action::PaymentRead, resource);
                match permit {
                    Err(error) if error.says_nothing_of_the_object() => return Err(error),
                    permit => permit.map_err(|_| Error::not_found())?,
                };
                owner.ok_or_else(Error::not_found)?;
                self.store.payments_to(id, before, limit).await?
            }
            None => {
                let me = cx.person()?;
                authorize(cx, Action::PaymentRead, Resource::OwnedBy(me))?;
                self.store.payments_by(me, before, limit).await?
            }
        };
        let mut all = Vec::with_capacity(found.len());
        for payment in found {
            all.push(self.with_reference(payment).await?);
        }
        Ok(all)
    }

    /// The owner of the first of these sides on which the caller may do this. To everybody else there is no such
    /// payment.
    async fn side_of(
        &self,
        cx: &Cx,
        payment: Option<&Payment>,
        action: Action,
        sides: impl Fn(&Payment) -> [Option<AccountId>; 2],
    ) -> Result<UserId, Error> {
        let mut owners = Vec::new();
        for side in payment.map(sides).into_iter().flatten().flatten() {
            owners.extend(self.owner_of(side).await?);
        }
        // Nobody learns from the kind of refusal whether there is a payment.
        if owners.is_empty() {
            owners.push(cx.person()?);
        }
        for owner in owners {
            let here = self.beside(cx, owner).await?;
            match authorize(&here, action, Resource::OwnedBy(owner)) {
                Ok(_) if payment.is_some() => return Ok(owner),
                Err(error) if payment.is_some() && error.says_nothing_of_the_object() => return Err(error),
                Err(error) if error.kind == Kind::Unauthenticated => return Err(error),
                _ => {}
            }
        }
        Err(Refusal::PaymentNotFound.into())
    }

    async fn payment_details(&self, id: PaymentId) -> Result<PaymentDetails, Error> {
        let payment = self.store.payment(id).await?;
        let payment = payment.ok_or_else(|| Error::broken("a payment that was booked is gone"))?;
        self.with_reference(payment).await
    }

    async fn with_reference(&self, payment: Payment) -> Result<PaymentDetails, Error> {
        let view = self.store.transaction(payment.id.cast()).await?;
        let view = view.ok_or_else(|| Error::broken("a payment without its transaction"))?;
        let reference = self.transfer_details(view).await?.description;
        Ok(PaymentDetails { payment, reference })
    }

    async fn ask_about_payment(&self, cx: &Cx, asked: &Asked) -> Result<Answer, Error> {
        self.submit_confirmed(cx, asked.step_up, &asked.fields, |cx, step_up| {
            let permit = authorize(cx, asked.action, Resource::OwnedBy(asked.owner))?;
            Ok(Command {
                authority: permit.authority(),
                request: cx.request,
                idempotency: asked.idempotency.clone(),
                dry_run: false,
                step_up,
                bounds: self.bounds_for(cx, asked.currency)?,
                nonce: None,
                verb: asked.verb.clone(),
            })
        })
        .await
    }
}

const fn both(payment: &Payment) -> [Option<AccountId>; 2] {
    [Some(payment.account), Some(payment.to_account)]
}

fn payment_fields(input: &CreatePayment) -> Vec<Vec<u8>> {
    vec![
        b"payment.create".to_vec(),
        input.from.as_bytes().to_vec(),
        input.merchant.as_bytes().to_vec(),
        input.amount.minor().to_be_bytes().to_vec(),
        input.currency.code().into(),
        optional(input.reference.as_deref()),
    ]
}

fn refund_fields(input: &RefundPayment) -> Vec<Vec<u8>> {
    let (amount, currency) = input.amount.map_or_else(Default::default, |(amount, currency)| {
        (amount.minor().to_be_bytes().to_vec(), currency.code().into())
    });
    vec![
        [b"payment.refund/".as_slice(), input.payment.as_bytes()].concat(),
        amount,
        currency,
    ]
}
