//! Beneficiaries: whom a customer pays by a name of the customer's own, and how little at first.
//!
//! Who takes a login over adds a payee and empties the account. So a beneficiary who is new is paid little for a while,
//! and nothing as long as signs of a takeover are fresh: the owner has time to be told and to stop it. What was paid
//! is counted on the beneficiary's own row, which the books read and write with the accounts.

use crate::{
    id::{AccountId, BeneficiaryId, PaymentId, UserId},
    limits::FLOOR_SECS,
    money::{Amount, Currency},
    payment::DUPLICATE_WINDOW_SECS,
    time::Timestamp,
};

/// Most beneficiaries of one customer.
pub const BENEFICIARIES_MAX: u32 = 200;

/// How little is paid to a beneficiary who is new. Amounts are whole units of whichever currency, and sums since the
/// beneficiary was added. The default knows no new ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RampRules {
    /// How long a beneficiary is very new, in seconds.
    pub cooling_secs: i64,
    /// Most that is paid meanwhile, in total; 0 is nothing at all.
    pub cooling_units: i64,
    /// How long a beneficiary is new, in seconds, from the same beginning.
    pub ramp_secs: i64,
    /// Most that is paid meanwhile, in total.
    pub ramp_units: i64,
}

/// Payments before the newest that are kept, for as long as one like them looks like a mistake.
pub const EARLIER_MAX: usize = 15;

/// A payment to a beneficiary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastPaid {
    /// The payment.
    pub id: PaymentId,
    /// How much.
    pub amount: Amount,
    /// When.
    pub at: Timestamp,
}

impl LastPaid {
    const BYTES: usize = 32;

    /// Whether one like it would look like a mistake now.
    fn is_lately(&self, at: Timestamp) -> bool {
        at < self.at.plus_seconds(DUPLICATE_WINDOW_SECS)
    }

    /// The stored form of several: 32 bytes each, big endian.
    pub fn to_bytes(several: &[Self]) -> Vec<u8> {
        let one = |paid: &Self| {
            let mut bytes = paid.id.as_bytes().to_vec();
            bytes.extend_from_slice(&paid.amount.minor().to_be_bytes());
            bytes.extend_from_slice(&paid.at.micros().to_be_bytes());
            bytes
        };
        several.iter().flat_map(one).collect()
    }

    /// Reads [`Self::to_bytes`]; `None` for what is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Vec<Self>> {
        let one = |bytes: &[u8]| {
            let (id, rest) = bytes.split_first_chunk::<16>()?;
            let (amount, at) = rest.split_first_chunk::<8>()?;
            Some(Self {
                id: PaymentId::from_bytes(*id),
                amount: Amount::new(i64::from_be_bytes(*amount)).ok()?,
                at: Timestamp::from_micros(i64::from_be_bytes(at.try_into().ok()?)),
            })
        };
        bytes.chunks(Self::BYTES).map(one).collect()
    }
}

/// Why a beneficiary is not paid now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BeneficiaryError {
    /// Nothing is paid yet.
    #[error("nothing is paid to a beneficiary who is that new")]
    TooNew,
    /// More than is paid to one who is new.
    #[error("more than is paid to a beneficiary who is new")]
    TooMuch,
}

/// A beneficiary, as far as the books know one. Name and number are sealed elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beneficiary {
    /// The id.
    pub id: BeneficiaryId,
    /// Whose list it is on.
    pub owner: UserId,
    /// The account, where it is one of this bank; else the money leaves by a rail.
    pub account: Option<AccountId>,
    /// In which currency it is paid.
    pub currency: Currency,
    /// Since when.
    pub added_at: Timestamp,
    /// Taken off the list: never paid again.
    pub removed: bool,
    /// Paid since it was added, minor units.
    pub paid: i64,
    /// The newest payment.
    pub last: Option<LastPaid>,
    /// Those of a moment before it, the newest first, at most [`EARLIER_MAX`].
    pub earlier: Vec<LastPaid>,
}

impl Beneficiary {
    /// Until when it is new; absent once that is over.
    pub fn new_until(&self, rules: &RampRules, at: Timestamp) -> Option<Timestamp> {
        let secs = rules.ramp_secs.max(rules.cooling_secs);
        Some(self.added_at.plus_seconds(secs)).filter(|until| at < *until)
    }

    /// Most that is paid in total now, minor units; `None` once it is not new any more.
    pub fn most(&self, rules: &RampRules, at: Timestamp) -> Option<i64> {
        let within = |secs: i64| at < self.added_at.plus_seconds(secs);
        let units = if within(rules.cooling_secs) {
            rules.cooling_units
        } else if within(rules.ramp_secs) {
            rules.ramp_units
        } else {
            return None;
        };
        let scale = 10_i64.saturating_pow(u32::from(self.currency.exponent()));
        Some(units.saturating_mul(scale))
    }

    /// What may still be paid now, minor units; `None` where the customer's limits alone count.
    pub fn left(&self, rules: &RampRules, at: Timestamp) -> Option<i64> {
        self.most(rules, at)
            .map(|most| most.saturating_sub(self.paid).max(0))
    }

    /// Whether so much may be paid now. `floor_until` is the end of what follows signs of a takeover, while it lasts:
    /// who is new then, or was added since, waits.
    ///
    /// # Errors
    /// [`BeneficiaryError`].
    pub fn check(
        &self,
        rules: &RampRules,
        amount: Amount,
        floor_until: Option<Timestamp>,
        at: Timestamp,
    ) -> Result<(), BeneficiaryError> {
        if let Some(until) = floor_until {
            let since = until.plus_seconds(FLOOR_SECS.saturating_neg());
            if self.added_at >= since || self.new_until(rules, since).is_some() {
                return Err(BeneficiaryError::TooNew);
            }
        }
        match (self.most(rules, at), self.left(rules, at)) {
            (Some(0), _) => Err(BeneficiaryError::TooNew),
            (_, Some(left)) if amount.minor() > left => Err(BeneficiaryError::TooMuch),
            _ => Ok(()),
        }
    }

    /// The payment of a moment ago that one of this amount looks like.
    pub fn alike(&self, amount: Amount, at: Timestamp) -> Option<PaymentId> {
        let mut lately = self.last.iter().chain(&self.earlier);
        let alike = |paid: &&LastPaid| paid.amount == amount && paid.is_lately(at);
        lately.find(alike).map(|paid| paid.id)
    }

    /// As it is once this was paid.
    #[must_use]
    pub fn pay(self, last: LastPaid) -> Self {
        let before = self.last.into_iter().chain(self.earlier);
        let lately = before.filter(|paid| paid.is_lately(last.at));
        Self {
            earlier: lately.take(EARLIER_MAX).collect(),
            paid: self.paid.saturating_add(last.amount.minor()),
            last: Some(last),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    const RULES: RampRules = RampRules {
        cooling_secs: DAY,
        cooling_units: 100,
        ramp_secs: 7 * DAY,
        ramp_units: 1_000,
    };
    const ADDED: Timestamp = Timestamp::from_micros(1_000_000_000_000_000);

    fn one() -> Beneficiary {
        Beneficiary {
            id: BeneficiaryId::from_bytes([1; 16]),
            owner: UserId::from_bytes([2; 16]),
            account: None,
            currency: Currency::EUR,
            added_at: ADDED,
            removed: false,
            paid: 0,
            last: None,
            earlier: Vec::new(),
        }
    }

    fn paid(minor: i64, at: Timestamp) -> LastPaid {
        LastPaid {
            id: PaymentId::from_bytes([3; 16]),
            amount: Amount::new(minor).unwrap(),
            at,
        }
    }

    fn check(one: &Beneficiary, minor: i64, after_secs: i64) -> Result<(), BeneficiaryError> {
        one.check(
            &RULES,
            Amount::new(minor).unwrap(),
            None,
            ADDED.plus_seconds(after_secs),
        )
    }

    #[test]
    fn little_on_the_first_day_more_in_the_first_week_and_then_what_the_customer_may() {
        for (after, most) in [
            (0, Some(10_000)),
            (DAY - 1, Some(10_000)),
            (DAY, Some(100_000)),
            (7 * DAY - 1, Some(100_000)),
            (7 * DAY, None),
        ] {
            assert_eq!(one().most(&RULES, ADDED.plus_seconds(after)), most, "{after}");
            let most = most.unwrap_or(1_000_000_000);
            assert_eq!(check(&one(), most, after), Ok(()));
        }
        assert_eq!(check(&one(), 10_001, 0), Err(BeneficiaryError::TooMuch));
        assert_eq!(check(&one(), 100_001, DAY), Err(BeneficiaryError::TooMuch));
    }

    #[test]
    fn what_was_paid_before_counts_until_it_is_over() {
        let one = one().pay(paid(9_999, ADDED)).pay(paid(1, ADDED));
        assert_eq!(check(&one, 1, 0), Err(BeneficiaryError::TooMuch));
        assert_eq!(check(&one, 90_000, DAY), Ok(()));
        assert_eq!(check(&one, 90_001, DAY), Err(BeneficiaryError::TooMuch));
        assert_eq!(check(&one, 90_001, 7 * DAY), Ok(()));
    }

    #[test]
    fn where_nothing_is_paid_at_first_the_first_unit_waits() {
        let rules = RampRules {
            cooling_units: 0,
            ..RULES
        };
        let amount = Amount::new(1).unwrap();
        let told = one().check(&rules, amount, None, ADDED.plus_seconds(DAY - 1));
        assert_eq!(told, Err(BeneficiaryError::TooNew));
        assert_eq!(one().check(&rules, amount, None, ADDED.plus_seconds(DAY)), Ok(()));
        assert_eq!(
            one().check(&RampRules::default(), amount, None, ADDED),
            Ok(()),
            "no rule, no wait"
        );
    }

    #[test]
    fn after_signs_of_a_takeover_who_is_new_waits_as_long_as_the_floor_holds() {
        let amount = Amount::new(1).unwrap();
        let ask = |rules: &RampRules, signs_after: i64| {
            let signs = ADDED.plus_seconds(signs_after);
            let until = signs.plus_seconds(FLOOR_SECS);
            one().check(rules, amount, Some(until), signs.plus_seconds(FLOOR_SECS - 1))
        };
        // Added after the signs, or new when they came, whatever the rules say of new ones.
        assert_eq!(ask(&RULES, -1), Err(BeneficiaryError::TooNew));
        assert_eq!(ask(&RampRules::default(), -1), Err(BeneficiaryError::TooNew));
        assert_eq!(ask(&RULES, 7 * DAY - 1), Err(BeneficiaryError::TooNew));
        assert_eq!(ask(&RULES, 7 * DAY), Ok(()), "an old acquaintance");
    }

    #[test]
    fn the_same_amount_within_a_moment_looks_like_a_mistake() {
        let one = one().pay(paid(700, ADDED));
        let ask = |minor: i64, after: i64| one.alike(Amount::new(minor).unwrap(), ADDED.plus_seconds(after));
        assert_eq!(ask(700, DUPLICATE_WINDOW_SECS - 1), one.last.map(|last| last.id));
        assert_eq!(ask(700, DUPLICATE_WINDOW_SECS), None);
        assert_eq!(ask(701, 0), None);
    }

    #[test]
    fn another_payment_in_between_hides_no_mistake() {
        let pay = |one: Beneficiary, number: u8, minor: i64, after: i64| {
            let id = PaymentId::from_bytes([number; 16]);
            let at = ADDED.plus_seconds(after);
            let amount = Amount::new(minor).unwrap();
            one.pay(LastPaid { id, amount, at })
        };
        let one = pay(pay(one(), 1, 700, 0), 2, 701, 60);
        let ask = |one: &Beneficiary, minor: i64, after: i64| {
            let alike = one.alike(Amount::new(minor).unwrap(), ADDED.plus_seconds(after));
            alike.map(|id| id.as_bytes()[0])
        };
        assert_eq!((ask(&one, 700, 119), ask(&one, 701, 119)), (Some(1), Some(2)));
        assert_eq!((ask(&one, 700, 120), ask(&one, 701, 179)), (None, Some(2)));
        // Of two alike the newer one is meant.
        let one = pay(one, 3, 700, 90);
        assert_eq!(ask(&one, 700, 100), Some(3));
        assert_eq!(
            LastPaid::from_bytes(&LastPaid::to_bytes(&one.earlier)),
            Some(one.earlier.clone())
        );
        // What is over is forgotten, and more than so many are.
        let later = pay(one.clone(), 4, 5, 185);
        assert_eq!(later.earlier.len(), 1);
        let many = (0..40).fold(one, |one, number| {
            pay(one, 100 + number, 1_000 + i64::from(number), 90)
        });
        assert_eq!(many.earlier.len(), EARLIER_MAX);
        assert_eq!(LastPaid::from_bytes(&[0; 31]), None);
    }
}
