//! Money: whole minor units of an ISO 4217 currency. No floats, no silent rounding, no mixing.

use std::fmt;

use iso_currency::Currency as Iso;

/// Largest amount of one movement, in minor units: 10¹⁵, so that sums over a book stay far from `i64`'s end.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// An ISO 4217 currency that people pay with: no funds, metals, test codes or superseded ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(Iso);

/// Not the code of a currency that accounts can be held in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the code of a currency that accounts can be held in")]
pub struct CurrencyError;

impl Currency {
    /// The euro, for examples and tests.
    pub const EUR: Self = Self(Iso::EUR);

    /// Reads a three-letter upper-case code.
    ///
    /// # Errors
    /// [`CurrencyError`] for an unknown code, a fund, a metal, a test code or a superseded currency.
    pub fn parse(code: &str) -> Result<Self, CurrencyError> {
        let iso = Iso::from_code(code).ok_or(CurrencyError)?;
        if iso.exponent().is_none() || !iso.flags().is_empty() {
            return Err(CurrencyError);
        }
        Ok(Self(iso))
    }

    /// The three-letter code.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// The three bytes of the code, as canonical encodings use them.
    pub fn code_bytes(self) -> [u8; 3] {
        self.code().as_bytes().try_into().unwrap_or(*b"XXX")
    }

    /// How many decimal places one major unit has, 0 to 4.
    pub fn exponent(self) -> u16 {
        self.0.exponent().unwrap_or_default()
    }
}

impl Ord for Currency {
    /// By code.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.code().cmp(other.code())
    }
}

impl PartialOrd for Currency {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code())
    }
}

/// A signed number of minor units with its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// Minor units: cents for EUR, whole yen for JPY.
    pub amount: i64,
    /// The currency they are of.
    pub currency: Currency,
}

impl Money {
    /// Puts amount and currency together.
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }
}

/// An amount that can be moved: 1 to [`AMOUNT_MAX`] minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i64);

/// Not between 1 and [`AMOUNT_MAX`] minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount lies between 1 and {AMOUNT_MAX} minor units")]
pub struct AmountError;

impl Amount {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`AmountError`] outside 1 to [`AMOUNT_MAX`].
    pub const fn new(minor: i64) -> Result<Self, AmountError> {
        if minor >= 1 && minor <= AMOUNT_MAX {
            Ok(Self(minor))
        } else {
            Err(AmountError)
        }
    }

    /// Minor units.
    pub const fn minor(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_people_pay_with_are_known_with_their_exponent() {
        for (code, exponent) in [("EUR", 2), ("JPY", 0), ("BHD", 3), ("CZK", 2), ("USD", 2)] {
            assert_eq!(Currency::parse(code).unwrap().exponent(), exponent, "{code}");
        }
        for bad in ["", "eur", "EURO", "XAU", "XTS", "XXX", "ABC", "DEM", "CHW"] {
            assert!(Currency::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_stay_within_their_bounds() {
        assert!(Amount::new(1).is_ok() && Amount::new(AMOUNT_MAX).is_ok());
        for bad in [0, -1, AMOUNT_MAX + 1, i64::MIN, i64::MAX] {
            assert!(Amount::new(bad).is_err(), "{bad}");
        }
    }
}
