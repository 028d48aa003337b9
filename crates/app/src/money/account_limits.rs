//! What owners allow single accounts of theirs, within what they may pay from all of them.

use strongroom_domain::{
    action::Action,
    id::{AccountId, UserId},
    ledger::{Answer, Command, NewLimits, Verb},
    limits::{Caps, Raise, Spent},
    money::Currency,
};

use crate::{
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::step_up::require_recent_proof,
    money::{accounts::refused, idempotency::Fields},
};

/// Fields of `PUT /accounts/{id}/limits`.
const LIMIT_FIELDS: Fields = Fields(&[""]);

/// Limits of one account, minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLimitsDetails {
    /// Of which currency.
    pub currency: Currency,
    /// What the owner allows the account now.
    pub own: Caps,
    /// The raise that waits.
    pub raise: Option<Raise>,
    /// What left the account to others, where it has a limit: without one it is not counted.
    pub spent: Option<Spent>,
}

impl Bank {
    /// The limits of one of the caller's accounts.
    ///
    /// # Errors
    /// `account_not_found` for anything but an account that the caller may look at.
    pub async fn account_limits(&self, cx: &Cx, account: AccountId) -> Result<AccountLimitsDetails, Error> {
        let (owner, currency) = self.limited_account(cx, account, Action::LimitsRead).await?;
        self.known_account_limits(account, owner, currency).await
    }

    /// Sets what the caller allows one account: what is lower counts at once, what is higher with a fresh factor and
    /// after a day.
    ///
    /// # Errors
    /// `account_not_found` for anything but an open account of the caller's, `account_closed`, `too_many_limits`,
    /// `step_up_required` for a raise without a fresh factor, `validation_failed` for another currency.
    pub async fn limit_account(
        &self,
        cx: &Cx,
        account: AccountId,
        currency: Option<Currency>,
        caps: Caps,
    ) -> Result<AccountLimitsDetails, Error> {
        let (owner, of) = self.limited_account(cx, account, Action::LimitsChange).await?;
        if currency.is_some_and(|named| named != of) {
            let detail = "must be the currency of the account";
            return Err(Error::field("/currency", "currency_mismatch", detail));
        }
        let may_raise = require_recent_proof(cx).is_ok();
        let answer = self
            .submit(cx, |cx| {
                let permit = authorize(cx, Action::LimitsChange, Resource::OwnedBy(owner))?;
                Ok(Command::plain(
                    permit.authority(),
                    cx.request,
                    Verb::Limit(NewLimits {
                        account,
                        caps,
                        may_raise,
                        of_account: true,
                    }),
                ))
            })
            .await?;
        match answer {
            Answer::Done(_) => self.known_account_limits(account, owner, of).await,
            other => Err(refused(other, &LIMIT_FIELDS)),
        }
    }

    async fn limited_account(
        &self,
        cx: &Cx,
        account: AccountId,
        action: Action,
    ) -> Result<(UserId, Currency), Error> {
        let view = self.readable_account(cx, account, action).await?;
        let owner = view.account.owner.ok_or_else(Error::account_not_found)?;
        Ok((owner, view.account.currency))
    }

    async fn known_account_limits(
        &self,
        account: AccountId,
        owner: UserId,
        currency: Currency,
    ) -> Result<AccountLimitsDetails, Error> {
        let known = self.store.limits_of_accounts(owner, currency).await?;
        let accounts = known.map(|(_, accounts)| accounts).unwrap_or_default();
        let moment = self.moment();
        let at = moment.at;
        Ok(AccountLimitsDetails {
            currency,
            own: accounts.own(account, at),
            raise: accounts.raise(account, at),
            spent: accounts.spent(account, moment),
        })
    }
}
