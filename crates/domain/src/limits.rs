//! Limits: how much a customer pays out at most, in one movement, in a day and in a month.
//!
//! What the bank's rules allow, what the customer allowed oneself, and after signs of a takeover a floor: the
//! strictest of them counts. What was paid is counted in one row of fixed size per customer and currency, which every
//! batch reads and writes with the accounts, so that however many movements are on their way at once, together they
//! never get more than one after the other would. Days and months are those of the bank's time zone.

mod accounts;
mod caps;
mod parts;
mod stored;

use std::collections::HashMap;

use self::parts::{Own, Period};
pub use self::{
    accounts::{LIMITED_ACCOUNTS_MAX, LimitsOfAccounts, TooManyAccounts},
    caps::{Caps, CapsRule, CapsRuleError},
};

use crate::{
    beneficiary::RampRules,
    money::Currency,
    time::{Date, Timestamp},
};

/// How long a raise waits until it counts, in seconds: a day.
pub const RAISE_WAIT_SECS: i64 = 86_400;
/// How long the floor holds after signs of a takeover, in seconds: three days.
pub const FLOOR_SECS: i64 = 3 * 86_400;

/// What a limit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitClass {
    /// Whatever leaves the customer.
    All,
    /// Transfers to others within the bank.
    Transfers,
    /// Payments to merchants.
    Payments,
    /// Payments to other banks.
    Outgoing,
    /// Money that is reserved.
    Holds,
    /// Whatever a program moves with an API key.
    Programs,
}

impl LimitClass {
    /// All classes, in the order in which they are stored.
    pub const ALL: [Self; 6] = [
        Self::All,
        Self::Transfers,
        Self::Payments,
        Self::Outgoing,
        Self::Holds,
        Self::Programs,
    ];

    /// The name in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Transfers => "transfers",
            Self::Payments => "payments",
            Self::Outgoing => "outgoing",
            Self::Holds => "holds",
            Self::Programs => "programs",
        }
    }
}

/// Which limit a movement breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitBroken {
    /// More than one movement may move.
    #[error("more than one movement may move")]
    PerTransfer,
    /// More than is left of the day's.
    #[error("more than is left for today")]
    Daily,
    /// More than is left of the month's.
    #[error("more than is left for this month")]
    Monthly,
}

/// What the bank allows at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitRules {
    /// By class; a class without a rule has no limit of its own.
    pub classes: HashMap<LimitClass, CapsRule>,
    /// After signs of a takeover.
    pub floor: CapsRule,
    /// To beneficiaries who are new.
    pub ramp: RampRules,
    /// What all customers together pay to others in a day; of the rule only what is said of days counts.
    pub bank_day: CapsRule,
    /// Above how many whole units of its currency cash over the counter takes two people; `None`: never.
    pub two_people_over: Option<i64>,
}

impl LimitRules {
    /// The bank's limits of a class in a currency, in minor units.
    pub fn caps(&self, class: LimitClass, currency: Currency) -> Caps {
        let rule = self.classes.get(&class);
        rule.map_or(Caps::NONE, |rule| rule.caps(currency))
    }

    /// What all customers together pay to others in a day, in minor units; `None` is no limit.
    pub fn bank_day(&self, currency: Currency) -> Option<i64> {
        self.bank_day.caps(currency).daily
    }

    /// Whether so much cash takes two people.
    pub fn takes_two(&self, amount: i64, currency: Currency) -> bool {
        let scale = 10_i64.saturating_pow(u32::from(currency.exponent()));
        self.two_people_over
            .is_some_and(|units| amount > units.saturating_mul(scale))
    }
}

/// What was paid out, minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Today.
    pub day: i64,
    /// This month.
    pub month: i64,
}

/// When a movement is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The moment.
    pub at: Timestamp,
    /// Its day in the bank's time zone.
    pub day: Date,
}

/// A raise that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raise {
    /// From when on it counts.
    pub at: Timestamp,
    /// What counts then.
    pub caps: Caps,
}

/// What a customer may pay beyond the bank's rules, for a time. What it does not name is as the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    /// Until when it counts.
    pub until: Timestamp,
    /// What counts where it is more, minor units.
    pub caps: Caps,
}

/// What the limits know of one customer in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CustomerLimits {
    own: Own,
    /// What operators allow this customer at most.
    allowed: Caps,
    exception: Option<Exception>,
    floor_until: Timestamp,
    period: Period,
    spent: [Spent; LimitClass::ALL.len()],
}

impl CustomerLimits {
    /// Of a customer of whom nothing was counted yet, held to the floor where that began before.
    pub fn held_until(floor: Option<Timestamp>) -> Self {
        let fresh = Self::default();
        Self {
            floor_until: floor.map_or(fresh.floor_until, |until| until.max(fresh.floor_until)),
            ..fresh
        }
    }

    /// What the customer allows oneself now.
    pub fn own(&self, at: Timestamp) -> Caps {
        self.own.at(at)
    }

    /// What operators allow this customer at most, within what the bank allows everybody.
    pub const fn allowed(&self) -> Caps {
        self.allowed
    }

    /// Sets what operators allow this customer at most: from now on.
    pub const fn allow(&mut self, caps: Caps) {
        self.allowed = caps;
    }

    /// Whether these would allow something more.
    pub fn would_allow_more(&self, caps: Caps) -> bool {
        self.allowed.stricter(caps) != caps
    }

    /// The raise that waits, if there is one.
    pub fn raise(&self, at: Timestamp) -> Option<Raise> {
        self.own.waiting(at)
    }

    /// What goes beyond the bank's rules, while it does.
    pub fn exception(&self, at: Timestamp) -> Option<Exception> {
        self.exception.filter(|exception| exception.until > at)
    }

    /// Until when the floor holds, where it does.
    pub fn floor_until(&self, at: Timestamp) -> Option<Timestamp> {
        Some(self.floor_until).filter(|until| *until > at)
    }

    /// What counts now for a class: the bank's, or more where there is an exception; for everything also one's own, and
    /// the floor while it holds. Programs have no exceptions: what a key may move is not what a person asked for.
    pub fn caps(&self, rules: &LimitRules, class: LimitClass, currency: Currency, at: Timestamp) -> Caps {
        let bank = rules.caps(class, currency);
        let bank = match self.exception(at) {
            Some(exception) if class != LimitClass::Programs => bank.looser(exception.caps),
            _ => bank,
        };
        if class != LimitClass::All {
            return bank;
        }
        let caps = bank.stricter(self.allowed).stricter(self.own(at));
        match self.floor_until(at) {
            Some(_) => caps.stricter(rules.floor.caps(currency)),
            None => caps,
        }
    }

    /// What was spent of a class.
    pub fn spent(&self, class: LimitClass, moment: Moment) -> Spent {
        let mut now = *self;
        now.turn(moment);
        now.slot(class).map_or(Spent::default(), |slot| *slot)
    }

    /// Whether so much may be paid now.
    ///
    /// # Errors
    /// The first limit that it breaks.
    pub fn check(
        &self,
        rules: &LimitRules,
        classes: &[LimitClass],
        (amount, currency): (i64, Currency),
        moment: Moment,
    ) -> Result<(), LimitBroken> {
        classes.iter().try_for_each(|class| {
            self.caps(rules, *class, currency, moment.at)
                .allow(amount, self.spent(*class, moment))
        })
    }

    /// Counts what is paid now.
    pub fn count(&mut self, classes: &[LimitClass], amount: i64, moment: Moment) {
        self.turn(moment);
        for class in classes {
            if let Some(slot) = self.slot(*class) {
                slot.add(amount);
            }
        }
    }

    /// Takes back what was counted at an earlier moment, as far as its day and month are still being counted.
    pub fn give_back(&mut self, classes: &[LimitClass], amount: i64, counted_at: Timestamp, moment: Moment) {
        self.turn(moment);
        let still = self.period.still_counts(counted_at);
        for class in classes {
            if let Some(slot) = self.slot(*class) {
                slot.give_back(amount, still);
            }
        }
    }

    /// Sets what the customer allows oneself: what is lower counts at once, what is higher after [`RAISE_WAIT_SECS`].
    /// Gives back whether something is raised.
    pub fn set_own(&mut self, caps: Caps, at: Timestamp) -> bool {
        self.own.set(caps, at)
    }

    /// Sets or ends what goes beyond the bank's rules.
    pub const fn set_exception(&mut self, exception: Option<Exception>) {
        self.exception = exception;
    }

    /// Whether these would raise something.
    pub fn would_raise(&self, caps: Caps, at: Timestamp) -> bool {
        self.own.would_raise(caps, at)
    }

    /// From now on the floor holds, for [`FLOOR_SECS`].
    pub fn take_over_suspected(&mut self, at: Timestamp) {
        self.floor_until = self.floor_until.max(at.plus_seconds(FLOOR_SECS));
    }

    fn turn(&mut self, moment: Moment) {
        self.period.turn(moment, self.spent.iter_mut());
    }

    fn slot(&mut self, class: LimitClass) -> Option<&mut Spent> {
        let at = LimitClass::ALL.iter().position(|other| *other == class)?;
        self.spent.get_mut(at)
    }
}

#[cfg(test)]
mod tests;
