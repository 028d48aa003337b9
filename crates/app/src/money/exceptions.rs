//! Limits beyond the bank's rules: asked for by one operator for one customer and a time, given by another, ended by
//! either at once.
//!
//! What the customer allows oneself and the floor after signs of a takeover hold besides: whoever took a login over
//! gains nothing by having the bank asked.

use serde::{Deserialize, Serialize};
use strongroom_domain::{
    action::Action,
    audit::Details,
    id::{AccountId, ApprovalId, UserId},
    ledger::{Answer, Command, Done, NewException, Refusal, Verb},
    limits::{Caps, CustomerLimits, Exception},
    money::Currency,
    text::{MEMO_CHARS_MAX, check_line},
    time::Timestamp,
};

use crate::{
    authority::{
        approvals::{Carried, Checked, Decision},
        authorize::{Resource, authorize, department_of},
    },
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::step_up::require_recent_login,
    money::{accounts::refused, customer_limits::LimitsDetails, idempotency::Fields},
};

/// The longest that an exception lasts, in seconds: a year.
pub const EXCEPTION_SECS_MAX: i64 = 366 * 86_400;
/// Ending one has no fields that a key could differ in.
const EXCEPTION_FIELDS: Fields = Fields(&[""]);

/// Input of [`Bank::ask_for_exception`].
#[derive(Debug, Clone)]
pub struct AskForException {
    /// One of the customer's accounts in the currency.
    pub account: AccountId,
    /// Of which currency the amounts are; the account's.
    pub currency: Currency,
    /// What is to count where it is more than the rules say, minor units; one at least.
    pub caps: Caps,
    /// Until when, at most [`EXCEPTION_SECS_MAX`] from now.
    pub until: Timestamp,
    /// Why. The checker sees it.
    pub reason: String,
}

/// What the checker sees, in the order of the names.
#[derive(Debug, Serialize, Deserialize)]
struct ExceptionRequest {
    account_id: String,
    currency: String,
    customer_id: String,
    daily: Option<i64>,
    monthly: Option<i64>,
    /// What counts when it is asked for.
    now: Option<ExceptionNow>,
    per_transfer: Option<i64>,
    reason: String,
    until: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct ExceptionNow {
    daily: Option<i64>,
    monthly: Option<i64>,
    per_transfer: Option<i64>,
    until: String,
}

impl ExceptionNow {
    fn of(exception: Exception) -> Self {
        Self {
            daily: exception.caps.daily,
            monthly: exception.caps.monthly,
            per_transfer: exception.caps.per_transfer,
            until: exception.until.to_string(),
        }
    }

    fn read(self) -> Result<Exception, Error> {
        Ok(Exception {
            until: Timestamp::parse(&self.until).map_err(Error::internal)?,
            caps: Caps {
                per_transfer: self.per_transfer,
                daily: self.daily,
                monthly: self.monthly,
            },
        })
    }
}

impl Bank {
    /// A customer's limits in the currency of an account, for operators.
    ///
    /// # Errors
    /// `forbidden`, `account_not_found`.
    pub async fn limits_of(&self, cx: &Cx, account: AccountId) -> Result<LimitsDetails, Error> {
        let view = self.readable_account(cx, account, Action::LimitsRead).await?;
        let owner = view.account.owner.ok_or_else(Error::account_not_found)?;
        let currency = view.account.currency;
        let limits = self.known_limits(owner, currency).await?;
        Ok(self.limits_details(&limits, currency))
    }

    pub(crate) async fn known_limits(
        &self,
        owner: UserId,
        currency: Currency,
    ) -> Result<CustomerLimits, Error> {
        let known = self.store.customer_limits(owner).await?;
        let found = known.into_iter().find(|(of, _)| *of == currency);
        Ok(found.map(|(_, limits)| limits).unwrap_or_default())
    }

    /// Asks for more than the bank's rules allow; somebody else decides.
    ///
    /// # Errors
    /// `forbidden` for everybody but tellers and administrators, `account_not_found`, `step_up_required` without a
    /// fresh login, `validation_failed` for a time that is over or too far, another currency, nothing, or a reason
    /// that is none.
    pub async fn ask_for_exception(&self, cx: &Cx, input: AskForException) -> Result<ApprovalId, Error> {
        let view = self
            .readable_account(cx, input.account, Action::LimitsExcept)
            .await?;
        let owner = view.account.owner.ok_or_else(Error::account_not_found)?;
        let cx = &*self.beside(cx, owner).await?;
        let permit = authorize(cx, Action::LimitsExcept, Resource::OwnedBy(owner))?;
        require_recent_login(cx)?;
        check_line(&input.reason, MEMO_CHARS_MAX, true)
            .map_err(|error| Error::field("/reason", "invalid_value", error.to_string()))?;
        if input.currency != view.account.currency {
            let detail = "must be the currency of the account";
            return Err(Error::field("/currency", "currency_mismatch", detail));
        }
        if !(1..=EXCEPTION_SECS_MAX).contains(&input.until.seconds_since(cx.now())) {
            return Err(Error::field(
                "/until",
                "out_of_range",
                "must lie in the future, within a year",
            ));
        }
        if input.caps == Caps::NONE {
            return Err(Error::field("", "required", "name one limit at least"));
        }
        let known = self.known_limits(owner, input.currency).await?;
        let request = ExceptionRequest {
            account_id: input.account.to_string(),
            currency: input.currency.code().to_owned(),
            customer_id: owner.to_string(),
            daily: input.caps.daily,
            monthly: input.caps.monthly,
            now: known.exception(self.clock.now()).map(ExceptionNow::of),
            per_transfer: input.caps.per_transfer,
            reason: input.reason,
            until: input.until.to_string(),
        };
        let text = serde_json::to_vec(&request).map_err(Error::internal)?;
        let details = Details::json(&format!(r#"{{"account":"{}"}}"#, input.account));
        self.file_request(cx, &permit, Action::LimitsExcept, &text, details)
            .await
    }

    /// Gives what was asked for, unless what counts changed meanwhile.
    pub(crate) async fn carry_out_exception(
        &self,
        cx: &Cx,
        checked: &mut Checked,
        decision: &Decision,
    ) -> Result<(), Error> {
        let request: ExceptionRequest = serde_json::from_slice(&checked.text).map_err(Error::internal)?;
        let account = AccountId::parse(&request.account_id).map_err(Error::internal)?;
        let owner = UserId::parse(&request.customer_id).map_err(Error::internal)?;
        let exception = Exception {
            until: Timestamp::parse(&request.until).map_err(Error::internal)?,
            caps: Caps {
                per_transfer: request.per_transfer,
                daily: request.daily,
                monthly: request.monthly,
            },
        };
        let cx = &*self.beside(cx, owner).await?;
        checked.department = department_of(cx, Resource::OwnedBy(owner));
        let before = request.now.map(ExceptionNow::read).transpose()?;
        let what = Carried::plain(Action::LimitsExcept, Resource::OwnedBy(owner));
        let done = self
            .submit_approved(cx, checked, decision, what, |consent| {
                Verb::Except(NewException {
                    account,
                    exception: Some(exception),
                    before,
                    consent: Some(consent),
                })
            })
            .await?;
        match done {
            Done::Limited(_) => Ok(()),
            _ => Err(Error::broken("another answer than asked for")),
        }
    }

    /// Ends what goes beyond the rules at once; no harm where there is nothing.
    ///
    /// # Errors
    /// `forbidden` for everybody but tellers and administrators, `account_not_found`.
    pub async fn end_exception(&self, cx: &Cx, account: AccountId) -> Result<(), Error> {
        let owner = self.customer_account(cx, account, Action::LimitsExcept).await?;
        let cx = &*self.beside(cx, owner).await?;
        let answer = self
            .submit(cx, |cx| {
                let permit = authorize(cx, Action::LimitsExcept, Resource::OwnedBy(owner))?;
                Ok(Command::plain(
                    permit.authority(),
                    cx.request,
                    Verb::Except(NewException {
                        account,
                        exception: None,
                        before: None,
                        consent: None,
                    }),
                ))
            })
            .await?;
        match answer {
            Answer::Done(_) => Ok(()),
            Answer::Refused(Refusal::AccountNotFound) => Err(Error::account_not_found()),
            other => Err(refused(other, &EXCEPTION_FIELDS)),
        }
    }
}
