//! What operators allow one customer at most: less at once, by one of them; more by two.
//!
//! Never more than the bank allows everybody, or than an exception does; and nobody has a say about oneself.

use serde::{Deserialize, Serialize};
use strongroom_domain::{
    action::Action,
    audit::Details,
    id::{AccountId, ApprovalId, UserId},
    ledger::{Answer, Command, Consent, Done, NewAllowance, Refusal, Verb},
    limits::Caps,
    money::Currency,
    text::{MEMO_CHARS_MAX, check_line},
};

use crate::{
    authority::{
        approvals::{Carried, Checked, Decision},
        authorize::{Resource, authorize, department_of},
    },
    bank::Bank,
    cx::Cx,
    error::Error,
    money::{accounts::refused, customer_limits::LimitsDetails, idempotency::Fields},
};

/// Lowering has no fields that a key could differ in.
const ALLOWANCE_FIELDS: Fields = Fields(&[""]);

/// Input of [`Bank::allow_at_most`].
#[derive(Debug, Clone)]
pub struct AllowAtMost {
    /// One of the customer's accounts in the currency.
    pub account: AccountId,
    /// Of which currency the amounts are, where there is one; the account's.
    pub currency: Option<Currency>,
    /// What is allowed at most, minor units; what is `None` is as much as everybody may.
    pub caps: Caps,
    /// Why. Whoever approves sees it.
    pub reason: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// It counts.
    Set(Box<LimitsDetails>),
    /// It lets the customer pay more: somebody else decides.
    Asked(ApprovalId),
}

/// What the checker sees, in the order of the names; amounts in minor units.
#[derive(Debug, Serialize, Deserialize)]
struct AllowanceRequest {
    account_id: String,
    currency: String,
    customer_id: String,
    daily: Option<i64>,
    monthly: Option<i64>,
    /// What counts when it is asked for.
    now: AllowanceNow,
    per_transfer: Option<i64>,
    reason: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct AllowanceNow {
    daily: Option<i64>,
    monthly: Option<i64>,
    per_transfer: Option<i64>,
}

impl Bank {
    /// Sets what a customer is allowed at most in the currency of an account: at once where that is less, by another
    /// person's approval where something of it is more.
    ///
    /// # Errors
    /// `forbidden` for customers, support and auditors, `account_not_found`, `account_closed`, `maker_is_checker` about
    /// oneself, `validation_failed` for another currency or a reason that is none.
    pub async fn allow_at_most(&self, cx: &Cx, input: AllowAtMost) -> Result<Allowed, Error> {
        let view = self
            .readable_account(cx, input.account, Action::LimitsSet)
            .await?;
        let owner = view.account.owner.ok_or_else(Error::account_not_found)?;
        let currency = view.account.currency;
        let cx = &*self.beside(cx, owner).await?;
        check_line(&input.reason, MEMO_CHARS_MAX, true)
            .map_err(|error| Error::field("/reason", "invalid_value", error.to_string()))?;
        if input.currency.is_some_and(|named| named != currency) {
            let detail = "must be the currency of the account";
            return Err(Error::field("/currency", "currency_mismatch", detail));
        }
        if cx.caller.principal.owner() == Some(owner) {
            return Err(Refusal::ReviewNotYours.into());
        }
        let answer = self
            .submit(cx, |cx| {
                let permit = authorize(cx, Action::LimitsSet, Resource::OwnedBy(owner))?;
                Ok(Command::plain(
                    permit.authority(),
                    cx.request,
                    Verb::Allow(NewAllowance {
                        account: input.account,
                        caps: input.caps,
                        before: Caps::NONE,
                        consent: None,
                    }),
                ))
            })
            .await?;
        match answer {
            Answer::Done(done) => match *done {
                Done::Limited(limits) => Ok(Allowed::Set(Box::new(self.limits_details(&limits, currency)))),
                _ => Err(Error::broken("another answer than asked for")),
            },
            Answer::Refused(Refusal::SecondPersonNeeded) => {
                let asked = self.ask_for_allowance(cx, owner, currency, input).await?;
                Ok(Allowed::Asked(asked))
            }
            other => Err(refused(other, &ALLOWANCE_FIELDS)),
        }
    }

    async fn ask_for_allowance(
        &self,
        cx: &Cx,
        owner: UserId,
        currency: Currency,
        input: AllowAtMost,
    ) -> Result<ApprovalId, Error> {
        let now = self.known_limits(owner, currency).await?.allowed();
        let request = AllowanceRequest {
            account_id: input.account.to_string(),
            currency: currency.code().to_owned(),
            customer_id: owner.to_string(),
            daily: input.caps.daily,
            monthly: input.caps.monthly,
            now: AllowanceNow {
                daily: now.daily,
                monthly: now.monthly,
                per_transfer: now.per_transfer,
            },
            per_transfer: input.caps.per_transfer,
            reason: input.reason,
        };
        let text = serde_json::to_vec(&request).map_err(Error::internal)?;
        let details = Details::json(&format!(r#"{{"account":"{}"}}"#, input.account));
        let permit = authorize(cx, Action::LimitsSet, Resource::OwnedBy(owner))?;
        self.file_request(cx, &permit, Action::LimitsSet, &text, details)
            .await
    }

    /// Allows what was asked for, unless what counts changed meanwhile.
    pub(crate) async fn carry_out_allowance(
        &self,
        cx: &Cx,
        checked: &mut Checked,
        decision: &Decision,
    ) -> Result<(), Error> {
        let request: AllowanceRequest = serde_json::from_slice(&checked.text).map_err(Error::internal)?;
        let account = AccountId::parse(&request.account_id).map_err(Error::internal)?;
        let owner = UserId::parse(&request.customer_id).map_err(Error::internal)?;
        let caps = Caps {
            per_transfer: request.per_transfer,
            daily: request.daily,
            monthly: request.monthly,
        };
        let before = Caps {
            per_transfer: request.now.per_transfer,
            daily: request.now.daily,
            monthly: request.now.monthly,
        };
        let cx = &*self.beside(cx, owner).await?;
        checked.department = department_of(cx, Resource::OwnedBy(owner));
        let what = Carried::plain(Action::LimitsSet, Resource::OwnedBy(owner));
        let allow = |consent: Consent| {
            Verb::Allow(NewAllowance {
                account,
                caps,
                before,
                consent: Some(consent),
            })
        };
        match self.submit_approved(cx, checked, decision, what, allow).await? {
            Done::Limited(_) => Ok(()),
            _ => Err(Error::broken("another answer than asked for")),
        }
    }
}
