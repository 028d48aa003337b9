//! What customers may pay at most, and what they allow themselves.

use strongroom_domain::{
    action::Action,
    ledger::{Answer, Command, Done, NewLimits, Verb},
    limits::{Caps, CustomerLimits, Exception, LimitClass, Moment, Raise, Spent},
    money::Currency,
    time::Timestamp,
};

use crate::{
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::step_up::require_recent_proof,
    money::{accounts::refused, idempotency::Fields},
};

/// Fields of `PUT /limits`.
const LIMIT_FIELDS: Fields = Fields(&[""]);

/// A customer's limits in one currency, minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsDetails {
    /// Of which currency.
    pub currency: Currency,
    /// What counts now: the lowest of the bank's, the operators' and one's own, and the floor while it holds.
    pub caps: Caps,
    /// What the customer allows oneself.
    pub own: Caps,
    /// What operators allow the customer, where they have a word of their own.
    pub allowed: Caps,
    /// The raise that waits.
    pub raise: Option<Raise>,
    /// What goes beyond the bank's rules for a time.
    pub exception: Option<Exception>,
    /// What was paid to others.
    pub spent: Spent,
    /// Until when the floor holds.
    pub floor_until: Option<Timestamp>,
}

impl Bank {
    /// The caller's limits; without a currency those of the only one in which there are accounts, or the euro.
    ///
    /// # Errors
    /// `validation_failed` where there are several currencies and none is named.
    pub async fn limits(&self, cx: &Cx, currency: Option<Currency>) -> Result<LimitsDetails, Error> {
        let me = cx.person()?;
        authorize(cx, Action::LimitsRead, Resource::OwnedBy(me))?;
        let known = self.store.customer_limits(me).await?;
        let currency = match (currency, known.as_slice()) {
            (Some(currency), _) => currency,
            (None, [(only, _)]) => *only,
            (None, []) => Currency::EUR,
            (None, _) => {
                return Err(Error::field(
                    "?currency",
                    "required",
                    "name one of the currencies of your accounts",
                ));
            }
        };
        let limits = known.iter().find(|(of, _)| *of == currency);
        let limits = limits.map(|(_, limits)| *limits).unwrap_or_default();
        Ok(self.limits_details(&limits, currency))
    }

    /// Sets what the caller allows oneself: what is lower counts at once, what is higher with a fresh factor and after
    /// a day.
    ///
    /// # Errors
    /// `step_up_required` for a raise without a fresh factor; `account_not_found` without an account in the currency.
    pub async fn set_limits(&self, cx: &Cx, currency: Currency, caps: Caps) -> Result<LimitsDetails, Error> {
        let me = cx.person()?;
        let resource = Resource::OwnedBy(me);
        authorize(cx, Action::LimitsChange, resource)?;
        let account = self.store.account_in(me, currency).await?;
        let account = account.ok_or_else(Error::account_not_found)?;
        let may_raise = require_recent_proof(cx).is_ok();
        let answer = self
            .submit(cx, |cx| {
                let permit = authorize(cx, Action::LimitsChange, resource)?;
                Ok(Command::plain(
                    permit.authority(),
                    cx.request,
                    Verb::Limit(NewLimits {
                        account,
                        caps,
                        may_raise,
                        of_account: false,
                    }),
                ))
            })
            .await?;
        match answer {
            Answer::Done(done) => match *done {
                Done::Limited(limits) => Ok(self.limits_details(&limits, currency)),
                _ => Err(Error::broken("another answer than asked for")),
            },
            other => Err(refused(other, &LIMIT_FIELDS)),
        }
    }

    /// Now, and on which day of the bank's.
    pub(crate) fn moment(&self) -> Moment {
        let at = self.clock.now();
        Moment {
            at,
            day: at.date_in(&self.zone),
        }
    }

    pub(crate) fn limits_details(&self, limits: &CustomerLimits, currency: Currency) -> LimitsDetails {
        let moment = self.moment();
        let at = moment.at;
        LimitsDetails {
            currency,
            caps: limits.caps(&self.limits, LimitClass::All, currency, at),
            own: limits.own(at),
            allowed: limits.allowed(),
            raise: limits.raise(at),
            exception: limits.exception(at),
            spent: limits.spent(LimitClass::All, moment),
            floor_until: limits.floor_until(at),
        }
    }
}
