//! Transfers: money from one account here to another.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use strongroom_crypto::random;
use strongroom_domain::{
    action::Action,
    hold::{Hold, HoldState},
    iban::Iban,
    id::{AccountId, TransactionId, UserId},
    ledger::{Answer, Command, Done, Idempotency, Posting, ReviewState, SealedMemo, StepUpClaim, Verb},
    money::{Amount, Currency},
    time::{Date, Timestamp},
    transaction::{Transaction, TransactionKind},
};
use strongroom_store::ledger::TransactionView;

use crate::{
    api_keys::signatures::require_signature,
    authority::authorize::{About, Resource, authorize, authorize_about},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    money::{
        accounts::{Once, refused},
        idempotency::Fields,
    },
};

/// Fields of `POST /transfers` in the order of its fingerprint.
pub const TRANSFER_FIELDS: Fields = Fields(&[
    "",
    "/from_account_id",
    "/to_account_id",
    "/to_account_number",
    "/amount/amount",
    "/amount/currency",
    "/description",
]);

/// Who gets the money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payee {
    /// An account by id.
    Account(AccountId),
    /// An account by number.
    Number(Iban),
}

impl Payee {
    /// Id and number as fingerprints take them: one of them is empty.
    pub(crate) fn fields(&self) -> (Vec<u8>, Vec<u8>) {
        match self {
            Self::Account(id) => (id.as_bytes().to_vec(), Vec::new()),
            Self::Number(number) => (Vec::new(), number.as_str().into()),
        }
    }
}

/// Input of [`Bank::create_transfer`].
#[derive(Debug, Clone)]
pub struct CreateTransfer {
    /// The account debited.
    pub from: AccountId,
    /// The account credited.
    pub to: Payee,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// Free text.
    pub description: Option<String>,
    /// The client's key; none for a dry run.
    pub idempotency_key: Option<String>,
    /// Decide and post nothing.
    pub dry_run: bool,
    /// The day it counts for; the day of booking when absent.
    pub value_date: Option<Date>,
}

/// How a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferState {
    /// It is booked.
    Posted,
    /// Its money is reserved until somebody of the bank looked at it.
    PendingReview,
    /// Somebody of the bank said no.
    Rejected,
    /// Whoever sent it took it back.
    Cancelled,
    /// Nobody looked at it in time.
    Expired,
}

impl TransferState {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Posted => "posted",
            Self::PendingReview => "pending_review",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

/// A transaction as its parties see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferDetails {
    /// The facts; of what is not booked, as it would be.
    pub transaction: Transaction,
    /// The free text; absent where there was none, or its writer was erased.
    pub description: Option<String>,
    /// How it stands.
    pub state: TransferState,
}

impl Bank {
    /// Moves money from an account of the caller's to another.
    ///
    /// # Errors
    /// `account_not_found` for a foreign source, every refusal of the books, `idempotency_key_reused`.
    pub async fn create_transfer(
        &self,
        cx: &Cx,
        input: CreateTransfer,
    ) -> Result<Once<TransferDetails>, Error> {
        require_signature(cx)?;
        let outcome = self.transfer(cx, input).await;
        self.settled(cx, outcome).await
    }

    async fn transfer(&self, cx: &Cx, input: CreateTransfer) -> Result<Once<TransferDetails>, Error> {
        let owner = self
            .paying_account(cx, input.from, Action::TransferCreate)
            .await?;
        let fields = transfer_fields(&input);
        let idempotency = self.key_for(cx, input.idempotency_key.as_deref(), &fields, input.dry_run)?;
        let step_up = match input.dry_run {
            true => None,
            false => {
                self.step_up_for(cx, input.amount, input.currency, &fields)
                    .await?
            }
        };
        let to = self.payee(&input.to).await?;
        let id = cx.new_id();
        let memo = match &input.description {
            Some(text) if !input.dry_run => Some(self.people.seal_memo(owner, id, text).await?),
            _ => None,
        };
        let posting = Posting {
            id,
            kind: TransactionKind::Transfer,
            from: input.from,
            to,
            amount: input.amount,
            currency: input.currency,
            value_date: input.value_date,
            memo,
            salt: random::bytes(),
        };
        let resource = Resource::OwnedBy(owner);
        let asked = Asked {
            action: Action::TransferCreate,
            resource,
            idempotency,
            dry_run: input.dry_run,
            step_up,
            fields,
        };
        self.post(cx, asked, posting, input.description, &TRANSFER_FIELDS)
            .await
    }

    /// A transfer, deposit or withdrawal, for those who are a party of it.
    ///
    /// # Errors
    /// `not_found` when there is none, or the caller is no party of it.
    pub async fn transaction(&self, cx: &Cx, id: TransactionId) -> Result<TransferDetails, Error> {
        may_read_transfers(cx)?;
        let found = self.transfer_by_id(id, cx.now()).await?;
        let details = found.ok_or_else(Error::not_found)?;
        let transaction = &details.transaction;
        let parties = [transaction.from_account, transaction.to_account];
        // What waits is the sender's affair alone: the payee learns of it when it comes.
        let seen = match details.state {
            TransferState::Posted => &parties[..],
            _ => &parties[..1],
        };
        self.check_parties(cx, seen).await?;
        Ok(details)
    }

    /// A transfer that is booked, or was to be and waits for a look, or waited for one in vain.
    pub(crate) async fn transfer_by_id(
        &self,
        id: TransactionId,
        at: Timestamp,
    ) -> Result<Option<TransferDetails>, Error> {
        if let Some(view) = self.store.transaction(id).await? {
            return self.transfer_details(view).await.map(Some);
        }
        let Some(waiting) = self.store.waiting_transfer(id).await? else {
            return Ok(None);
        };
        let description = match &waiting.memo {
            Some((person, sealed)) => self.people.open_memo(*person, id, sealed).await?,
            None => None,
        };
        let expired = waiting.hold.is_due(at) || waiting.hold.state == HoldState::Expired;
        let state = match waiting.state {
            ReviewState::Rejected => TransferState::Rejected,
            ReviewState::Cancelled => TransferState::Cancelled,
            _ if expired => TransferState::Expired,
            _ => TransferState::PendingReview,
        };
        Ok(Some(TransferDetails {
            transaction: as_it_would_be(&waiting.hold, self.zone()),
            description,
            state,
        }))
    }

    /// What became of an idempotency key of the caller's: the transaction it posted, if it did.
    ///
    /// # Errors
    /// `not_found` when the key is unknown or posted nothing.
    pub async fn transaction_by_key(&self, cx: &Cx, key: &str) -> Result<TransferDetails, Error> {
        may_read_transfers(cx)?;
        let tag = self.bind_key(cx, key, &[])?.tag;
        let outcome = self.store.outcome(&tag).await?.ok_or_else(Error::not_found)?;
        let resource = outcome.resource.ok_or_else(Error::not_found)?;
        self.transaction(cx, TransactionId::from_bytes(resource)).await
    }

    /// Refuses everybody who is no party of a transaction and has no right to read others'.
    pub(crate) async fn check_party(&self, cx: &Cx, transaction: &Transaction) -> Result<(), Error> {
        self.check_parties(cx, &[transaction.from_account, transaction.to_account])
            .await
    }

    async fn check_parties(&self, cx: &Cx, accounts: &[AccountId]) -> Result<(), Error> {
        for id in accounts.iter().copied() {
            let owner = self.owner_of(id).await?;
            let resource = owner.map_or(Resource::Bank, Resource::OwnedBy);
            let beside = match owner {
                Some(owner) => self.beside(cx, owner).await?,
                None => Cow::Borrowed(cx),
            };
            match authorize(&beside, Action::TransferRead, resource) {
                Ok(_) => return Ok(()),
                Err(error) if error.says_nothing_of_the_object() => return Err(error),
                Err(_) => {}
            }
        }
        Err(Error::not_found())
    }

    pub(crate) async fn payee(&self, payee: &Payee) -> Result<Option<AccountId>, Error> {
        Ok(match payee {
            Payee::Account(id) => Some(*id),
            Payee::Number(number) => match self.numbers.get(number) {
                Some(id) => Some(id),
                None => {
                    let found = self.store.account_by_number(number).await?.map(|(id, _)| id);
                    if let Some(id) = found {
                        self.numbers.insert(number.clone(), id);
                    }
                    found
                }
            },
        })
    }

    /// The key of a money verb: needed, unless nothing will be posted.
    pub(crate) fn key_for(
        &self,
        cx: &Cx,
        text: Option<&str>,
        fields: &[Vec<u8>],
        dry_run: bool,
    ) -> Result<Option<Idempotency>, Error> {
        match (text, dry_run) {
            (_, true) => Ok(None),
            (Some(text), false) => self.bind_key(cx, text, fields).map(Some),
            (None, false) => Err(Error::new(
                Kind::Invalid,
                "idempotency_key_missing",
                "This needs an Idempotency-Key header.",
            )),
        }
    }

    /// Sends a posting to the books and tells what came of it.
    pub(crate) async fn post(
        &self,
        cx: &Cx,
        asked: Asked,
        posting: Posting,
        description: Option<String>,
        fields: &Fields,
    ) -> Result<Once<TransferDetails>, Error> {
        let nonce = cx.nonce.as_deref();
        let answer = self
            .submit_confirmed(cx, asked.step_up, &asked.fields, |cx, step_up| {
                let about = About::money(posting.amount, posting.currency);
                let permit = authorize_about(cx, asked.action, asked.resource, about)?;
                Ok(Command {
                    authority: permit.authority(),
                    request: cx.request,
                    idempotency: asked.idempotency.clone(),
                    dry_run: asked.dry_run,
                    step_up,
                    bounds: self.bounds_for(cx, posting.currency)?,
                    nonce: nonce.map(|open| open.nonce),
                    verb: Verb::Post(posting.clone()),
                })
            })
            .await?;
        match answer {
            Answer::Done(done) => match *done {
                Done::Posted(transaction) => Ok(Once {
                    value: TransferDetails {
                        transaction,
                        description,
                        state: TransferState::Posted,
                    },
                    replayed: false,
                }),
                Done::Reviewed(hold) => Ok(Once {
                    value: TransferDetails {
                        transaction: as_it_would_be(&hold, self.zone()),
                        description,
                        state: TransferState::PendingReview,
                    },
                    replayed: false,
                }),
                _ => Err(Error::broken("another answer than asked for")),
            },
            Answer::Replayed {
                refusal: None,
                resource: Some(resource),
            } => {
                let found = self
                    .transfer_by_id(TransactionId::from_bytes(resource), cx.now())
                    .await?;
                let value = found.ok_or_else(|| Error::broken("a transaction that was posted is gone"))?;
                Ok(Once {
                    value,
                    replayed: true,
                })
            }
            other => {
                let reused = match &other {
                    Answer::KeyReused { resource, .. } => resource.map(TransactionId::from_bytes),
                    _ => None,
                };
                let mut error = refused(other, fields);
                error.resource = reused.map(|id| id.to_string().into());
                Err(error)
            }
        }
    }

    pub(crate) async fn transfer_details(&self, view: TransactionView) -> Result<TransferDetails, Error> {
        let description = match &view.memo {
            Some((person, sealed)) => {
                self.people
                    .open_memo(*person, view.transaction.id, sealed)
                    .await?
            }
            None => None,
        };
        Ok(TransferDetails {
            transaction: view.transaction,
            description,
            state: TransferState::Posted,
        })
    }
}

/// What a posting is authorized and remembered as.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) action: Action,
    pub(crate) resource: Resource,
    pub(crate) idempotency: Option<Idempotency>,
    pub(crate) dry_run: bool,
    pub(crate) step_up: Option<StepUpClaim>,
    /// What the request is remembered by.
    pub(crate) fields: Vec<Vec<u8>>,
}

/// Whether the caller may read any transfer at all, asked before one is looked for: who lacks the right is refused
/// alike whether or not it exists.
pub(crate) fn may_read_transfers(cx: &Cx) -> Result<(), Error> {
    let any = cx
        .caller
        .principal
        .owner()
        .map_or(Resource::Bank, Resource::OwnedBy);
    authorize(cx, Action::TransferRead, any).map(drop)
}

/// What a transfer that waits would be, at the moment at which it was sent.
pub(crate) fn as_it_would_be(hold: &Hold, zone: &TimeZone) -> Transaction {
    Transaction {
        id: hold.id.cast(),
        first_entry: 0,
        last_entry: 0,
        kind: TransactionKind::Transfer,
        from_account: hold.account,
        to_account: hold.to_account,
        amount: hold.amount,
        currency: hold.currency,
        booked_at: hold.placed_at,
        value_date: hold.placed_at.date_in(zone),
        memo: None,
        salt: [0; 16],
        record: 0,
    }
}

pub(crate) fn transfer_fields(input: &CreateTransfer) -> Vec<Vec<u8>> {
    let (id, number) = input.to.fields();
    vec![
        b"transfer.create".to_vec(),
        input.from.as_bytes().to_vec(),
        id,
        number,
        input.amount.minor().to_be_bytes().to_vec(),
        input.currency.code().into(),
        optional(input.description.as_deref()),
    ]
}

/// Absent and empty are not the same.
pub(crate) fn optional(text: Option<&str>) -> Vec<u8> {
    text.map_or_else(Vec::new, |text| [&[1], text.as_bytes()].concat())
}

/// A memo that is sealed under the account owner's key, where there is text.
pub(crate) async fn seal_optional(
    bank: &Bank,
    owner: UserId,
    id: TransactionId,
    text: Option<&str>,
) -> Result<Option<SealedMemo>, Error> {
    match text {
        Some(text) => Ok(Some(bank.people.seal_memo(owner, id, text).await?)),
        None => Ok(None),
    }
}
