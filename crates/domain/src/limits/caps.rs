//! Most that is moved, and the settings that say so.

use std::{fmt, str::FromStr};

use super::{LimitBroken, Spent};
use crate::money::Currency;

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

    /// The higher of each where the other names one; what is no limit stays none.
    #[must_use]
    pub fn looser(self, other: Self) -> Self {
        let higher = |one: Option<i64>, other: Option<i64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, _) => one,
        };
        Self {
            per_transfer: higher(self.per_transfer, other.per_transfer),
            daily: higher(self.daily, other.daily),
            monthly: higher(self.monthly, other.monthly),
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

    pub(super) fn allow(self, amount: i64, spent: Spent) -> Result<(), LimitBroken> {
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
