//! The counter: cash in and out, by a teller; above a bound by two people.
//!
//! What takes two is filed under its idempotency key and booked under it when it is approved: sent again it is the same
//! request, and after the approval the same movement. Whose account it is neither asks nor decides.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_crypto::random;
use strongroom_domain::{
    account::SystemAccount,
    action::Action,
    audit::Details,
    id::{AccountId, ApprovalId, UserId},
    ledger::{Answer, ApprovedCash, Done, Idempotency, KeyBounds, Posting, Refusal, Verb},
    money::{Amount, Currency},
    time::Date,
    transaction::{Transaction, TransactionKind},
};
use strongroom_store::identity::ApiKeyRow;

use crate::{
    api_keys::signatures::require_signature,
    authority::{
        approvals::{Carried, Checked, Decision, Filed, NewRequest},
        authorize::{About, Resource, authorize, authorize_about, authorize_somewhere, department_of},
    },
    bank::Bank,
    cx::Cx,
    error::Error,
    money::{
        accounts::{Once, refused},
        idempotency::Fields,
        transfers::{Asked, TransferDetails, optional, seal_optional},
    },
};

/// Fields of `POST /deposits` and `POST /withdrawals` in the order of their fingerprint.
pub const CASH_FIELDS: Fields = Fields(&[
    "",
    "/account_id",
    "/amount/amount",
    "/amount/currency",
    "/reference",
    "/value_date",
]);

/// Input of [`Bank::deposit`] and [`Bank::withdraw`].
#[derive(Debug, Clone)]
pub struct MoveCash {
    /// The customer's account.
    pub account: AccountId,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// What the slip says.
    pub reference: Option<String>,
    /// The day it counts for; the day of booking when absent.
    pub value_date: Option<Date>,
    /// The client's key.
    pub idempotency_key: Option<String>,
}

/// What came of cash at the counter.
#[derive(Debug, Clone)]
pub enum Cash {
    /// It is booked.
    Booked(Box<Once<TransferDetails>>),
    /// It waits for a second person.
    Asked(ApprovalId),
}

/// What the checker sees, in the order of the names.
#[derive(Debug, Serialize, Deserialize)]
struct CashRequest {
    account_id: String,
    amount: i64,
    currency: String,
    reference: Option<String>,
    value_date: Option<String>,
}

/// A way over the counter: what it takes, and how it is booked.
#[derive(Debug, Clone, Copy)]
struct Way {
    action: Action,
    kind: TransactionKind,
}

const IN: Way = Way {
    action: Action::DepositCreate,
    kind: TransactionKind::Deposit,
};
const OUT: Way = Way {
    action: Action::WithdrawalCreate,
    kind: TransactionKind::Withdrawal,
};

impl Way {
    /// Debited and credited.
    fn sides(self, account: AccountId, currency: Currency) -> (AccountId, AccountId) {
        let till = SystemAccount::Cash.id(currency);
        match self.kind {
            TransactionKind::Withdrawal => (account, till),
            _ => (till, account),
        }
    }
}

impl Bank {
    /// Books cash into an account, or asks for a second person.
    ///
    /// # Errors
    /// `forbidden` for everybody but tellers, and for the account's owner; `account_not_found`, every refusal of the
    /// books.
    pub async fn deposit(&self, cx: &Cx, input: MoveCash) -> Result<Cash, Error> {
        self.move_cash(cx, input, IN).await
    }

    /// Books cash out of an account, or asks for a second person.
    ///
    /// # Errors
    /// As [`Bank::deposit`].
    pub async fn withdraw(&self, cx: &Cx, input: MoveCash) -> Result<Cash, Error> {
        self.move_cash(cx, input, OUT).await
    }

    async fn move_cash(&self, cx: &Cx, input: MoveCash, way: Way) -> Result<Cash, Error> {
        require_signature(cx)?;
        let outcome = self.move_cash_once(cx, input, way).await;
        self.settled(cx, outcome).await
    }

    async fn move_cash_once(&self, cx: &Cx, input: MoveCash, way: Way) -> Result<Cash, Error> {
        let Way { action, kind } = way;
        // The right to stand at the counter first: who lacks it learns nothing about accounts.
        authorize_somewhere(cx, action)?;
        let fields = cash_fields(&input, action);
        let idempotency = self.key_for(cx, input.idempotency_key.as_deref(), &fields, false)?;
        let Some(owner) = self.owner_of(input.account).await? else {
            // Whose role counts in one department is told the same of an account elsewhere and of none.
            authorize(cx, action, Resource::Bank)?;
            return Err(Error::account_not_found());
        };
        if cx.caller.principal.owner() == Some(owner) {
            return Err(Error::forbidden());
        }
        let cx = &*self.beside(cx, owner).await?;
        if self.limits.takes_two(input.amount.minor(), input.currency)
            && let Some(key) = &idempotency
            && self.store.outcome(&key.tag).await?.is_none()
        {
            return self.ask_for_cash(cx, &input, (action, owner), key.clone()).await;
        }
        let id = cx.new_id();
        let (from, to) = way.sides(input.account, input.currency);
        let posting = Posting {
            id,
            kind,
            from,
            to: Some(to),
            amount: input.amount,
            currency: input.currency,
            value_date: input.value_date,
            memo: seal_optional(self, owner, id, input.reference.as_deref()).await?,
            salt: random::bytes(),
        };
        let asked = Asked {
            action,
            resource: Resource::OwnedBy(owner),
            idempotency,
            dry_run: false,
            step_up: None,
            fields,
        };
        let once = self
            .post(cx, asked, posting, input.reference, &CASH_FIELDS)
            .await?;
        Ok(Cash::Booked(Box::new(once)))
    }

    async fn ask_for_cash(
        &self,
        cx: &Cx,
        input: &MoveCash,
        (action, owner): (Action, UserId),
        key: Idempotency,
    ) -> Result<Cash, Error> {
        let about = About::money(input.amount, input.currency);
        let permit = authorize_about(cx, action, Resource::OwnedBy(owner), about)?;
        let request = CashRequest {
            account_id: input.account.to_string(),
            amount: input.amount.minor(),
            currency: input.currency.code().to_owned(),
            reference: input.reference.clone(),
            value_date: input.value_date.map(|day| day.to_string()),
        };
        let text = serde_json::to_vec(&request).map_err(Error::internal)?;
        let new = NewRequest {
            action,
            text: &text,
            details: Details::json(&format!(r#"{{"account":"{}"}}"#, input.account)),
            over: self.limits.two_people_over,
            key: Some(key),
        };
        match self.file_once(cx, &permit, new).await? {
            Filed::As(id) => Ok(Cash::Asked(id)),
            Filed::KeyReused(field) => Err(refused(
                Answer::KeyReused {
                    field,
                    resource: None,
                },
                &CASH_FIELDS,
            )),
        }
    }

    /// Books what an approved request says, under the key that it was asked with.
    pub(crate) async fn carry_out_cash(
        &self,
        cx: &Cx,
        checked: &mut Checked,
        decision: &Decision,
    ) -> Result<Transaction, Error> {
        let way = match checked.row.action.as_str() {
            action if action == Action::DepositCreate.name() => IN,
            _ => OUT,
        };
        let request: CashRequest = serde_json::from_slice(&checked.text).map_err(Error::internal)?;
        let account = AccountId::parse(&request.account_id).map_err(Error::internal)?;
        let currency = Currency::parse(&request.currency).map_err(Error::internal)?;
        let owner = self
            .owner_of(account)
            .await?
            .ok_or_else(Error::account_not_found)?;
        if cx.caller.principal.owner() == Some(owner) {
            return Err(Error::forbidden());
        }
        let cx = &*self.beside(cx, owner).await?;
        checked.department = department_of(cx, Resource::OwnedBy(owner));
        let id = cx.new_id();
        let (from, to) = way.sides(account, currency);
        let value_date = request.value_date.as_deref().map(Date::parse).transpose();
        let posting = Posting {
            id,
            kind: way.kind,
            from,
            to: Some(to),
            amount: Amount::new(request.amount).map_err(Error::internal)?,
            currency,
            value_date: value_date.map_err(Error::internal)?,
            memo: seal_optional(self, owner, id, request.reference.as_deref()).await?,
            salt: random::bytes(),
        };
        let what = Carried {
            action: Action::CashDecide,
            resource: Resource::OwnedBy(owner),
            key: checked.row.key.clone(),
            bounds: self.bounds_of_maker(cx, checked).await?,
        };
        let done = self
            .submit_approved(cx, checked, decision, what, |consent| {
                Verb::Cash(ApprovedCash {
                    posting: posting.clone(),
                    consent,
                })
            })
            .await?;
        match done {
            Done::Posted(transaction) => Ok(transaction),
            _ => Err(Error::broken("another answer than asked for")),
        }
    }

    /// What the key that asked may move at most; nothing any more where it was taken away meanwhile.
    async fn bounds_of_maker(&self, cx: &Cx, checked: &Checked) -> Result<Option<Arc<KeyBounds>>, Error> {
        let Some(id) = checked.maker_key() else {
            return Ok(None);
        };
        let key = self.store.api_key(id).await?;
        let counts = |key: &ApiKeyRow| !key.revoked && key.expires_at.is_none_or(|end| cx.now() < end);
        let key = key.filter(counts).ok_or(Refusal::ApprovalStale)?;
        Ok(Some(Arc::new(key.bounds)))
    }
}

fn cash_fields(input: &MoveCash, action: Action) -> Vec<Vec<u8>> {
    vec![
        action.name().into(),
        input.account.as_bytes().to_vec(),
        input.amount.minor().to_be_bytes().to_vec(),
        input.currency.code().into(),
        optional(input.reference.as_deref()),
        input
            .value_date
            .map(|day| day.days().to_be_bytes().to_vec())
            .unwrap_or_default(),
    ]
}
