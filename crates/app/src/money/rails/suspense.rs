//! The work list of what nobody could place: read by operators, and given to whom it belongs by two of them.

use serde::{Deserialize, Serialize};
use strongroom_crypto::random;
use strongroom_domain::{
    account::{AccountKind, SystemAccount},
    action::Action,
    audit::Details,
    id::{AccountId, ApprovalId, SuspenseItemId},
    ledger::{Done, Refusal, Resolve, Verb},
    text::{MEMO_CHARS_MAX, check_line},
    transaction::Transaction,
};
use strongroom_store::ledger::SuspenseView;

use super::statements::{Told, place};
use crate::{
    authority::{
        approvals::{Carried, Checked, Decision, user_maker},
        authorize::{Resource, authorize},
    },
    bank::Bank,
    cx::Cx,
    error::Error,
};

/// An item of the work list, with what the statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuspenseDetails {
    /// The item as it is stored.
    pub view: SuspenseView,
    /// The other bank's name of the entry.
    pub reference: String,
    /// The name from end to end that it brings.
    pub end_to_end: Option<String>,
    /// The number that it is for.
    pub account: Option<String>,
    /// Who sends.
    pub name: Option<String>,
    /// What the sender says.
    pub remittance: Option<String>,
}

/// What the checker sees, in the order of the names.
#[derive(Debug, Serialize, Deserialize)]
struct ResolveRequest {
    account_id: Option<String>,
    amount: i64,
    currency: String,
    direction: String,
    item_id: String,
    reason: String,
}

impl Bank {
    /// What nobody could place, newest first, older than `before`.
    ///
    /// # Errors
    /// `forbidden` for others than tellers, compliance, auditors and administrators.
    pub async fn suspense_items(
        &self,
        cx: &Cx,
        open: bool,
        before: Option<SuspenseItemId>,
        limit: u32,
    ) -> Result<Vec<SuspenseDetails>, Error> {
        authorize(cx, Action::RailRead, Resource::Bank)?;
        let found = self.store.suspense_items(open, before, limit).await?;
        found
            .into_iter()
            .map(|view| self.suspense_details(view))
            .collect()
    }

    fn suspense_details(&self, view: SuspenseView) -> Result<SuspenseDetails, Error> {
        let id = view.item.id.cast();
        let plain = self
            .ring()
            .open(place(&id), &view.sealed)
            .map_err(Error::internal)?;
        let told: Told = serde_json::from_slice(plain.expose()).map_err(Error::internal)?;
        Ok(SuspenseDetails {
            view,
            reference: told.reference,
            end_to_end: told.end_to_end,
            account: told.account,
            name: told.name,
            remittance: told.remittance,
        })
    }

    /// Asks that an item be booked to an account, or, without one, to the bank's own money. What came is credited,
    /// what went is debited. Somebody else decides.
    ///
    /// # Errors
    /// `forbidden` for everybody but tellers and administrators, `suspense_item_not_found`, `suspense_item_closed`,
    /// `maker_is_checker` for one's own account, `validation_failed` for an account that is no customer's or a reason
    /// that is none.
    pub async fn ask_to_resolve(
        &self,
        cx: &Cx,
        id: SuspenseItemId,
        account: Option<AccountId>,
        reason: &str,
    ) -> Result<ApprovalId, Error> {
        let permit = authorize(cx, Action::SuspenseResolve, Resource::Bank)?;
        check_line(reason, MEMO_CHARS_MAX, true)
            .map_err(|error| Error::field("/reason", "invalid_value", error.to_string()))?;
        let view = self.store.suspense_item(id).await?;
        let item = view.ok_or(Refusal::SuspenseNotFound)?.item;
        if item.resolution.is_some() {
            return Err(Refusal::SuspenseClosed.into());
        }
        if let Some(account) = account {
            let view = self.store.account(account, cx.now()).await?;
            let fits = view.as_ref().is_some_and(|view| {
                matches!(view.account.kind, AccountKind::Customer(_))
                    && view.account.currency == item.currency
            });
            if !fits {
                let words = "is no customer's account in the currency";
                return Err(Error::field("/account_id", "invalid_value", words));
            }
            if self.owner_of(account).await? == Some(cx.person()?) {
                return Err(Refusal::ReviewNotYours.into());
            }
        }
        let request = ResolveRequest {
            account_id: account.map(|account| account.to_string()),
            amount: item.amount.minor(),
            currency: item.currency.code().to_owned(),
            direction: item.direction.name().to_owned(),
            item_id: id.to_string(),
            reason: reason.to_owned(),
        };
        let text = serde_json::to_vec(&request).map_err(Error::internal)?;
        let details = Details::json(&format!(r#"{{"item":"{id}"}}"#));
        self.file_request(cx, &permit, Action::SuspenseResolve, &text, details)
            .await
    }

    /// Does what an approved request says. The request is closed with the deed; where the deed is refused it stays
    /// open.
    pub(crate) async fn carry_out_resolution(
        &self,
        cx: &Cx,
        checked: &Checked,
        decision: &Decision,
    ) -> Result<Transaction, Error> {
        let request: ResolveRequest = serde_json::from_slice(&checked.text).map_err(Error::internal)?;
        let id = SuspenseItemId::parse(&request.item_id).map_err(Error::internal)?;
        let view = self.store.suspense_item(id).await?;
        let item = view.ok_or(Refusal::SuspenseNotFound)?.item;
        let account = match &request.account_id {
            Some(text) => AccountId::parse(text).map_err(Error::internal)?,
            None => SystemAccount::Equity.id(item.currency),
        };
        let maker = user_maker(&checked.row);
        let (resolution, salt) = (cx.new_id(), random::bytes());
        let what = Carried::plain(Action::SuspenseResolve, Resource::Bank);
        let done = self
            .submit_approved(cx, checked, decision, what, |consent| {
                Verb::Resolve(Resolve {
                    id: resolution,
                    item: id,
                    account,
                    currency: item.currency,
                    approval: consent.approval,
                    digest: consent.digest,
                    sealed_reason: consent.sealed_reason,
                    maker,
                    checker: consent.checker,
                    salt,
                })
            })
            .await?;
        match done {
            Done::Posted(transaction) => Ok(transaction),
            _ => Err(Error::broken("another answer than asked for")),
        }
    }
}
