//! The counter: cash in and out, by a teller.

use strongroom_crypto::random;
use strongroom_domain::{
    account::SystemAccount,
    action::Action,
    id::AccountId,
    ledger::Posting,
    money::{Amount, Currency},
    time::Date,
    transaction::TransactionKind,
};

use crate::{
    accounts::Once,
    authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    idempotency::Fields,
    signatures::require_signature,
    transfers::{Asked, TransferDetails, optional, seal_optional},
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

impl Bank {
    /// Books cash into an account.
    ///
    /// # Errors
    /// `forbidden` for everybody but tellers, `account_not_found`, every refusal of the books.
    pub async fn deposit(&self, cx: &Cx, input: MoveCash) -> Result<Once<TransferDetails>, Error> {
        let till = SystemAccount::Cash.id(input.currency);
        let account = input.account;
        self.move_cash(
            cx,
            input,
            (Action::DepositCreate, TransactionKind::Deposit),
            (till, account),
        )
        .await
    }

    /// Books cash out of an account.
    ///
    /// # Errors
    /// `forbidden` for everybody but tellers, `account_not_found`, every refusal of the books.
    pub async fn withdraw(&self, cx: &Cx, input: MoveCash) -> Result<Once<TransferDetails>, Error> {
        let till = SystemAccount::Cash.id(input.currency);
        let account = input.account;
        self.move_cash(
            cx,
            input,
            (Action::WithdrawalCreate, TransactionKind::Withdrawal),
            (account, till),
        )
        .await
    }

    async fn move_cash(
        &self,
        cx: &Cx,
        input: MoveCash,
        (action, kind): (Action, TransactionKind),
        (from, to): (AccountId, AccountId),
    ) -> Result<Once<TransferDetails>, Error> {
        require_signature(cx)?;
        let outcome = self.move_cash_once(cx, input, (action, kind), (from, to)).await;
        self.settled(cx, outcome).await
    }

    async fn move_cash_once(
        &self,
        cx: &Cx,
        input: MoveCash,
        (action, kind): (Action, TransactionKind),
        (from, to): (AccountId, AccountId),
    ) -> Result<Once<TransferDetails>, Error> {
        // The right to stand at the counter first: who lacks it learns nothing about accounts.
        authorize(cx, action, Resource::Bank)?;
        let fields = cash_fields(&input, action);
        let idempotency = self.key_for(cx, input.idempotency_key.as_deref(), &fields, false)?;
        let owner = self
            .owner_of(input.account)
            .await?
            .ok_or_else(Error::account_not_found)?;
        let id = cx.new_id();
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
            resource: Resource::Bank,
            idempotency,
            dry_run: false,
            step_up: None,
        };
        self.post(cx, asked, posting, input.reference, &CASH_FIELDS).await
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
