//! Payments to beneficiaries: there at once within the bank, pending where the money leaves it.

use strongroom_crypto::random;
use strongroom_domain::{
    account::SystemAccount,
    action::Action,
    id::{AccountId, BeneficiaryId, PaymentId, TransactionId, UserId},
    ledger::{Answer, Cancel, Command, Done, Idempotency, NewSending, Posting, Refusal, StepUpClaim, Verb},
    money::{Amount, Currency},
    outgoing::{Outgoing, OutgoingState},
    transaction::TransactionKind,
};

use crate::{
    api_keys::signatures::require_signature,
    authority::authorize::{About, Resource, authorize, authorize_about},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    money::{
        accounts::{Once, refused},
        beneficiaries::Payee,
        idempotency::Fields,
        payments::PaymentDetails,
        transfers::{optional, seal_optional},
    },
};

/// Fields of `POST /payments` to a beneficiary in the order of its fingerprint.
pub const SENDING_FIELDS: Fields = Fields(&[
    "",
    "/from_account_id",
    "/beneficiary_id",
    "/amount/amount",
    "/amount/currency",
    "/reference",
]);
/// Fields of `POST /payments/{id}/cancel`.
pub const CANCEL_FIELDS: Fields = Fields(&[""]);

/// Input of [`Bank::pay_beneficiary`].
#[derive(Debug, Clone)]
pub struct PayBeneficiary {
    /// The account debited.
    pub from: AccountId,
    /// Who is paid.
    pub beneficiary: BeneficiaryId,
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

/// A payment to a beneficiary as its payer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendingDetails {
    /// The payment.
    pub payment: Outgoing,
    /// What it is for; absent where nothing was said, or its writer was erased.
    pub reference: Option<String>,
    /// Who is paid; absent once the payer was erased.
    pub payee: Option<Payee>,
    /// The movement by which it came back.
    pub returned_by: Option<TransactionId>,
}

/// A payment of either sort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyPayment {
    /// To a merchant.
    Merchant(PaymentDetails),
    /// To a beneficiary.
    Beneficiary(SendingDetails),
}

impl AnyPayment {
    /// Its id.
    pub const fn id(&self) -> PaymentId {
        match self {
            Self::Merchant(details) => details.payment.id,
            Self::Beneficiary(details) => details.payment.id,
        }
    }
}

/// A request about a payment to a beneficiary, as it is authorized and remembered.
struct Asked {
    action: Action,
    owner: UserId,
    idempotency: Option<Idempotency>,
    step_up: Option<StepUpClaim>,
    about: (Amount, Currency),
    verb: Verb,
}

impl Bank {
    /// Pays somebody on the caller's list out of an account of the caller's.
    ///
    /// # Errors
    /// `account_not_found` for a foreign source, `beneficiary_not_found`, `beneficiary_too_new`, `limit_exceeded`,
    /// `payee_unavailable`, `duplicate_suspected` with the earlier payment, every refusal of the books,
    /// `idempotency_key_reused`.
    pub async fn pay_beneficiary(
        &self,
        cx: &Cx,
        input: PayBeneficiary,
    ) -> Result<Once<SendingDetails>, Error> {
        require_signature(cx)?;
        let owner = self.paying_account(cx, input.from, Action::PaymentCreate).await?;
        let fields = sending_fields(&input);
        let idempotency = self.key_for(cx, input.idempotency_key.as_deref(), &fields, false)?;
        let step_up = self
            .step_up_for(cx, input.amount, input.currency, &fields)
            .await?;
        // The books look again, under their locks.
        let view = self.store.beneficiary(owner, input.beneficiary).await?;
        let account = view.and_then(|view| view.beneficiary.account);
        let (kind, to) = match account {
            Some(account) => (TransactionKind::Transfer, account),
            None => (
                TransactionKind::Payment,
                SystemAccount::Clearing.id(input.currency),
            ),
        };
        let id: TransactionId = cx.new_id();
        let asked = Asked {
            action: Action::PaymentCreate,
            owner,
            idempotency,
            step_up,
            about: (input.amount, input.currency),
            verb: Verb::Send(NewSending {
                posting: Posting {
                    id,
                    kind,
                    from: input.from,
                    to: Some(to),
                    amount: input.amount,
                    currency: input.currency,
                    value_date: None,
                    memo: seal_optional(self, owner, id, input.reference.as_deref()).await?,
                    salt: random::bytes(),
                },
                beneficiary: input.beneficiary,
                payer: owner,
                confirmed: input.confirmed,
            }),
        };
        match self.ask_about_sending(cx, &asked).await? {
            Answer::Done(done) => match *done {
                Done::Sent(payment) => Ok(Once {
                    value: SendingDetails {
                        payee: self.payee_of(payment.payer, payment.beneficiary).await?,
                        payment,
                        reference: input.reference,
                        returned_by: None,
                    },
                    replayed: false,
                }),
                _ => Err(Error::broken("another answer than asked for")),
            },
            Answer::Replayed {
                refusal: None,
                resource: Some(resource),
            } => {
                let mut value = self.sending_details(PaymentId::from_bytes(resource)).await?;
                // As it was answered then.
                if value.payment.to_account.is_none() {
                    value.payment.state = OutgoingState::Pending;
                }
                Ok(Once {
                    value,
                    replayed: true,
                })
            }
            Answer::StepUpNeeded => Err(self.challenge_for(cx, asked.step_up)),
            other => Err(refused(other, &SENDING_FIELDS)),
        }
    }

    /// Takes back a payment of the caller's that has not left the bank.
    ///
    /// # Errors
    /// `payment_not_found` for everybody but the payer, `payment_left`, `account_closed`, `idempotency_key_reused`.
    pub async fn cancel_payment(
        &self,
        cx: &Cx,
        id: PaymentId,
        idempotency_key: Option<String>,
    ) -> Result<Once<SendingDetails>, Error> {
        require_signature(cx)?;
        let found = self.store.outgoing(id).await?;
        let payment = self.own_sending(cx, found, Action::PaymentCancel)?;
        let fields = vec![[b"payment.cancel/".as_slice(), id.as_bytes()].concat()];
        let asked = Asked {
            action: Action::PaymentCancel,
            owner: payment.payer,
            idempotency: self.key_for(cx, idempotency_key.as_deref(), &fields, false)?,
            step_up: None,
            about: (payment.amount, payment.currency),
            verb: Verb::Cancel(Cancel {
                id: cx.new_id(),
                payment: id,
                account: payment.account,
                clearing: SystemAccount::Clearing.id(payment.currency),
                salt: random::bytes(),
            }),
        };
        let replayed = match self.ask_about_sending(cx, &asked).await? {
            Answer::Done(_) => false,
            Answer::Replayed { refusal: None, .. } => true,
            other => return Err(refused(other, &CANCEL_FIELDS)),
        };
        Ok(Once {
            value: self.sending_details(id).await?,
            replayed,
        })
    }

    /// A payment of either sort, for its sides and for operators.
    ///
    /// # Errors
    /// `payment_not_found`.
    pub async fn any_payment(&self, cx: &Cx, id: PaymentId) -> Result<AnyPayment, Error> {
        match self.store.outgoing(id).await? {
            Some(found) => {
                let payment = self.own_sending(cx, Some(found), Action::PaymentRead)?;
                Ok(AnyPayment::Beneficiary(self.with_payee(payment).await?))
            }
            None => Ok(AnyPayment::Merchant(self.payment(cx, id).await?)),
        }
    }

    /// What the caller paid to whomever, newest first, older than `before`.
    ///
    /// # Errors
    /// `forbidden` for integrations without the scope.
    pub async fn any_payments(
        &self,
        cx: &Cx,
        before: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<AnyPayment>, Error> {
        let me = cx.person()?;
        let to_merchants = self.payments(cx, None, before, limit).await?;
        let mut all: Vec<AnyPayment> = to_merchants.into_iter().map(AnyPayment::Merchant).collect();
        for payment in self.store.outgoing_by(me, before, limit).await? {
            all.push(AnyPayment::Beneficiary(self.with_payee(payment).await?));
        }
        all.sort_unstable_by_key(|payment| std::cmp::Reverse(payment.id()));
        all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(all)
    }

    /// Nobody learns from the kind of refusal whether there is a payment.
    fn own_sending(&self, cx: &Cx, found: Option<Outgoing>, action: Action) -> Result<Outgoing, Error> {
        let owner = match &found {
            Some(payment) => payment.payer,
            None => cx.person()?,
        };
        match authorize(cx, action, Resource::OwnedBy(owner)) {
            Err(error) if error.kind == Kind::Unauthenticated => Err(error),
            Ok(_) if found.is_some() => found.ok_or_else(|| Refusal::PaymentNotFound.into()),
            _ => Err(Refusal::PaymentNotFound.into()),
        }
    }

    async fn sending_details(&self, id: PaymentId) -> Result<SendingDetails, Error> {
        let payment = self.store.outgoing(id).await?;
        let payment = payment.ok_or_else(|| Error::broken("a payment that was booked is gone"))?;
        self.with_payee(payment).await
    }

    /// The payment with whom it is for.
    pub(crate) async fn sending_of(&self, payment: Outgoing) -> Result<SendingDetails, Error> {
        self.with_payee(payment).await
    }

    async fn with_payee(&self, payment: Outgoing) -> Result<SendingDetails, Error> {
        let view = self.store.transaction(payment.id.cast()).await?;
        let view = view.ok_or_else(|| Error::broken("a payment without its transaction"))?;
        Ok(SendingDetails {
            reference: self.transfer_details(view).await?.description,
            payee: self.payee_of(payment.payer, payment.beneficiary).await?,
            returned_by: match payment.state {
                OutgoingState::Returned => self.store.returned_by(payment.id).await?,
                _ => None,
            },
            payment,
        })
    }

    async fn ask_about_sending(&self, cx: &Cx, asked: &Asked) -> Result<Answer, Error> {
        let (amount, currency) = asked.about;
        self.submit(cx, |cx| {
            let about = About::money(amount, currency);
            let permit = authorize_about(cx, asked.action, Resource::OwnedBy(asked.owner), about)?;
            Ok(Command {
                authority: permit.authority(),
                request: cx.request,
                idempotency: asked.idempotency.clone(),
                dry_run: false,
                step_up: asked.step_up,
                bounds: self.bounds_for(cx, currency)?,
                nonce: None,
                verb: asked.verb.clone(),
            })
        })
        .await
    }
}

fn sending_fields(input: &PayBeneficiary) -> Vec<Vec<u8>> {
    vec![
        b"payment.send".to_vec(),
        input.from.as_bytes().to_vec(),
        input.beneficiary.as_bytes().to_vec(),
        input.amount.minor().to_be_bytes().to_vec(),
        input.currency.code().into(),
        optional(input.reference.as_deref()),
    ]
}
