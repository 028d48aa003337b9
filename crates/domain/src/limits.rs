//! Limits: how much a customer pays out at most, in one movement, in a day and in a month.
//!
//! What the bank's rules allow, what the customer allowed oneself, and after signs of a takeover a floor: the
//! strictest of them counts. What was paid is counted in one row of fixed size per customer and currency, which every
//! batch reads and writes with the accounts, so that however many movements are on their way at once, together they
//! never get more than one after the other would. Days and months are those of the bank's time zone.

use std::{collections::HashMap, fmt, str::FromStr};

use crate::{
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

/// Most that is moved, in minor units; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Caps {
    /// By one movement.
    pub per_transfer: Option<i64>,
    /// In a day.
    pub daily: Option<i64>,
    /// In a calendar month.
    pub monthly: Option<i64>,
}

impl Caps {
    /// No limit.
    pub const NONE: Self = Self {
        per_transfer: None,
        daily: None,
        monthly: None,
    };

    /// The lower of each.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self {
            per_transfer: lower(self.per_transfer, other.per_transfer),
            daily: lower(self.daily, other.daily),
            monthly: lower(self.monthly, other.monthly),
        }
    }

    /// The same in minor units of a currency, where these are whole units of it; as much as fits.
    #[must_use]
    pub fn in_minor(self, currency: Currency) -> Self {
        let scale = 10_i64.saturating_pow(u32::from(currency.exponent()));
        let minor = |whole: Option<i64>| whole.map(|whole| whole.saturating_mul(scale));
        Self {
            per_transfer: minor(self.per_transfer),
            daily: minor(self.daily),
            monthly: minor(self.monthly),
        }
    }

    fn allow(self, amount: i64, spent: Spent) -> Result<(), LimitBroken> {
        let fits = |cap: Option<i64>, spent: i64| {
            let sum = spent.checked_add(amount);
            cap.is_none_or(|cap| sum.is_some_and(|sum| sum <= cap))
        };
        if !fits(self.per_transfer, 0) {
            Err(LimitBroken::PerTransfer)
        } else if !fits(self.daily, spent.day) {
            Err(LimitBroken::Daily)
        } else if !fits(self.monthly, spent.month) {
            Err(LimitBroken::Monthly)
        } else {
            Ok(())
        }
    }
}

fn lower(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
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

/// What the bank allows of one class, in whole units of whichever currency, or of named ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapsRule {
    any: Caps,
    of: Vec<(Currency, Caps)>,
}

/// Why a text is no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be most per movement, day and month, such as 1000/2000/10000 or 1000/-/-, JPY 100000/200000/-")]
pub struct CapsRuleError;

impl CapsRule {
    /// In minor units of a currency.
    pub fn caps(&self, currency: Currency) -> Caps {
        let named = self.of.iter().find(|(of, _)| *of == currency);
        named.map_or(self.any, |(_, caps)| *caps).in_minor(currency)
    }
}

impl FromStr for CapsRule {
    type Err = CapsRuleError;

    fn from_str(text: &str) -> Result<Self, CapsRuleError> {
        let mut rule = Self::default();
        for (at, part) in text.split(',').map(str::trim).enumerate() {
            match part.split_once(' ') {
                None if at == 0 => rule.any = caps_of(part)?,
                None => return Err(CapsRuleError),
                Some((code, caps)) => {
                    let currency = Currency::parse(code).map_err(|_| CapsRuleError)?;
                    if rule.of.iter().any(|(of, _)| *of == currency) {
                        return Err(CapsRuleError);
                    }
                    rule.of.push((currency, caps_of(caps)?));
                }
            }
        }
        Ok(rule)
    }
}

fn caps_of(text: &str) -> Result<Caps, CapsRuleError> {
    let parts: Vec<&str> = text.split('/').collect();
    let cap = |part: &str| match part {
        "-" => Ok(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map(Some).map_err(|_| CapsRuleError)
        }
        _ => Err(CapsRuleError),
    };
    match parts.as_slice() {
        [per_transfer, daily, monthly] => Ok(Caps {
            per_transfer: cap(per_transfer)?,
            daily: cap(daily)?,
            monthly: cap(monthly)?,
        }),
        _ => Err(CapsRuleError),
    }
}

impl fmt::Display for Caps {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cap = |cap: Option<i64>| cap.map_or_else(|| "-".to_owned(), |cap| cap.to_string());
        write!(
            formatter,
            "{}/{}/{}",
            cap(self.per_transfer),
            cap(self.daily),
            cap(self.monthly)
        )
    }
}

impl fmt::Display for CapsRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.any)?;
        self.of
            .iter()
            .try_for_each(|(currency, caps)| write!(formatter, ", {} {caps}", currency.code()))
    }
}

/// What the bank allows at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitRules {
    /// By class; a class without a rule has no limit of its own.
    pub classes: HashMap<LimitClass, CapsRule>,
    /// After signs of a takeover.
    pub floor: CapsRule,
}

impl LimitRules {
    /// The bank's limits of a class in a currency, in minor units.
    pub fn caps(&self, class: LimitClass, currency: Currency) -> Caps {
        let rule = self.classes.get(&class);
        rule.map_or(Caps::NONE, |rule| rule.caps(currency))
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

/// What the limits know of one customer in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CustomerLimits {
    own: Caps,
    raise: Option<Raise>,
    floor_until: Timestamp,
    /// The day and the month of what was spent, and when each was first counted in.
    day: i32,
    month: i32,
    day_from: Timestamp,
    month_from: Timestamp,
    spent: [Spent; LimitClass::ALL.len()],
}

impl CustomerLimits {
    /// Bytes of the stored form.
    pub const BYTES: usize = 1 + 3 * 8 + 4 * 8 + 8 + 2 * 4 + 2 * 8 + 2 * 8 * LimitClass::ALL.len();
    const FORM: u8 = 1;

    /// What the customer allows oneself now.
    pub fn own(&self, at: Timestamp) -> Caps {
        match self.raise {
            Some(raise) if raise.at <= at => raise.caps,
            _ => self.own,
        }
    }

    /// The raise that waits, if there is one.
    pub fn raise(&self, at: Timestamp) -> Option<Raise> {
        self.raise.filter(|raise| raise.at > at)
    }

    /// Until when the floor holds, where it does.
    pub fn floor_until(&self, at: Timestamp) -> Option<Timestamp> {
        Some(self.floor_until).filter(|until| *until > at)
    }

    /// What counts now for a class: the bank's, for everything also one's own, and the floor while it holds.
    pub fn caps(&self, rules: &LimitRules, class: LimitClass, currency: Currency, at: Timestamp) -> Caps {
        let bank = rules.caps(class, currency);
        if class != LimitClass::All {
            return bank;
        }
        let caps = bank.stricter(self.own(at));
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
                slot.day = slot.day.saturating_add(amount);
                slot.month = slot.month.saturating_add(amount);
            }
        }
    }

    /// Takes back what was counted at an earlier moment, as far as its day and month are still being counted.
    pub fn give_back(&mut self, classes: &[LimitClass], amount: i64, counted_at: Timestamp, moment: Moment) {
        self.turn(moment);
        let (today, this_month) = (counted_at >= self.day_from, counted_at >= self.month_from);
        for class in classes {
            if let Some(slot) = self.slot(*class) {
                if today {
                    slot.day = slot.day.saturating_sub(amount).max(0);
                }
                if this_month {
                    slot.month = slot.month.saturating_sub(amount).max(0);
                }
            }
        }
    }

    /// Sets what the customer allows oneself: what is lower counts at once, what is higher after [`RAISE_WAIT_SECS`].
    /// Gives back whether something is raised.
    pub fn set_own(&mut self, caps: Caps, at: Timestamp) -> bool {
        let now = self.own(at);
        self.own = now.stricter(caps);
        let raises = self.own != caps;
        self.raise = raises.then(|| Raise {
            at: at.plus_seconds(RAISE_WAIT_SECS),
            caps,
        });
        raises
    }

    /// Whether these would raise something.
    pub fn would_raise(&self, caps: Caps, at: Timestamp) -> bool {
        let now = self.own(at);
        now.stricter(caps) != caps
    }

    /// From now on the floor holds, for [`FLOOR_SECS`].
    pub fn take_over_suspected(&mut self, at: Timestamp) {
        self.floor_until = self.floor_until.max(at.plus_seconds(FLOOR_SECS));
    }

    /// A new day or month begins at nothing.
    fn turn(&mut self, moment: Moment) {
        let (day, month) = (moment.day.days(), moment.day.month_number());
        if month != self.month {
            self.month = month;
            self.month_from = moment.at;
            self.spent.iter_mut().for_each(|spent| spent.month = 0);
        }
        if day != self.day {
            self.day = day;
            self.day_from = moment.at;
            self.spent.iter_mut().for_each(|spent| spent.day = 0);
        }
    }

    fn slot(&mut self, class: LimitClass) -> Option<&mut Spent> {
        let at = LimitClass::ALL.iter().position(|other| *other == class)?;
        self.spent.get_mut(at)
    }

    /// The stored form: fixed size, big endian, -1 for no limit, 0 for no raise and no floor.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.push(Self::FORM);
        let mut put = |number: i64| bytes.extend_from_slice(&number.to_be_bytes());
        let caps = |caps: Caps| [caps.per_transfer, caps.daily, caps.monthly].map(|cap| cap.unwrap_or(-1));
        caps(self.own).into_iter().for_each(&mut put);
        put(self.raise.map_or(0, |raise| raise.at.micros()));
        let next = self.raise.map_or(Caps::NONE, |raise| raise.caps);
        caps(next).into_iter().for_each(&mut put);
        put(self.floor_until.micros());
        put(self.day_from.micros());
        put(self.month_from.micros());
        for spent in &self.spent {
            put(spent.day);
            put(spent.month);
        }
        bytes.extend_from_slice(&self.day.to_be_bytes());
        bytes.extend_from_slice(&self.month.to_be_bytes());
        bytes
    }

    /// Reads the stored form; `None` when it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (form, mut rest) = bytes.split_first()?;
        if *form != Self::FORM || bytes.len() != Self::BYTES {
            return None;
        }
        let mut next = || {
            let (number, left) = rest.split_first_chunk::<8>()?;
            rest = left;
            Some(i64::from_be_bytes(*number))
        };
        let own = read_caps(&mut next)?;
        let raise_at = Timestamp::from_micros(next()?);
        let raised = read_caps(&mut next)?;
        let floor_until = Timestamp::from_micros(next()?);
        let day_from = Timestamp::from_micros(next()?);
        let month_from = Timestamp::from_micros(next()?);
        let mut spent = [Spent::default(); LimitClass::ALL.len()];
        for slot in &mut spent {
            *slot = Spent {
                day: next()?,
                month: next()?,
            };
        }
        let (day, month) = rest.split_first_chunk::<4>()?;
        Some(Self {
            own,
            raise: (raise_at != Timestamp::default()).then_some(Raise {
                at: raise_at,
                caps: raised,
            }),
            floor_until,
            day: i32::from_be_bytes(*day),
            month: i32::from_be_bytes(month.try_into().ok()?),
            day_from,
            month_from,
            spent,
        })
    }
}

fn read_caps(mut next: impl FnMut() -> Option<i64>) -> Option<Caps> {
    let mut cap = || next().map(|number| Some(number).filter(|number| *number >= 0));
    Some(Caps {
        per_transfer: cap()?,
        daily: cap()?,
        monthly: cap()?,
    })
}

#[cfg(test)]
mod tests;
