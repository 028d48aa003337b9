//! What all customers together may still pay today, leased in slices.
//!
//! One row per currency and day counts what was leased, and only ever grows; a lane keeps the rest of its slice in
//! memory and asks for more when a batch may need more, so that neither nodes nor batches wait for that row. What a
//! lane had left when it ended counts as spent: the limit is never passed, and a crash loses the rest of a slice.

use std::collections::{BTreeMap, HashMap};

use strongroom_domain::{
    account::Account,
    id::AccountId,
    limits::{CapsRule, LimitRules},
    money::Currency,
    time::Date,
};

/// The bank's limit of a day is leased in slices of one part of so many.
const SLICES_PER_DAY: i64 = 64;

macro_rules! lease {
    ($least:literal, $greatest:literal, $currency:literal, $day:literal, $amount:literal, $limit:literal) => {
        concat!(
            "INSERT INTO bank_leases (currency, day, leased, granted) VALUES (",
            $currency,
            ", ",
            $day,
            ", ",
            $least,
            "(",
            $amount,
            ", ",
            $limit,
            "), ",
            $least,
            "(",
            $amount,
            ", ",
            $limit,
            ")) \
             ON CONFLICT (currency, day) DO UPDATE SET \
             leased = bank_leases.leased + ",
            $least,
            "(",
            $amount,
            ", ",
            $greatest,
            "(",
            $limit,
            " - bank_leases.leased, 0)), \
             granted = ",
            $least,
            "(",
            $amount,
            ", ",
            $greatest,
            "(",
            $limit,
            " - bank_leases.leased, 0)) RETURNING granted"
        )
    };
}

/// Currency, day, how much at most, the limit of the day: gives back what was granted.
pub(super) const LEASE_SQLITE: &str = lease!("min", "max", "?1", "?2", "?3", "?4");
/// The same.
pub(super) const LEASE_POSTGRES: &str = lease!(
    "least",
    "greatest",
    "$1::text",
    "$2::bigint",
    "$3::bigint",
    "$4::bigint"
);

/// What a lane asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) currency: Currency,
    pub(super) day: Date,
    /// Minor units.
    pub(super) amount: i64,
    pub(super) limit: i64,
}

/// What a lane has left of its slices, by currency.
#[derive(Debug, Clone, Default)]
pub(super) struct Slices(HashMap<Currency, (Date, i64)>);

impl Slices {
    /// What is left of a day.
    pub(super) fn left(&self, currency: Currency, today: Date) -> i64 {
        let known = self.0.get(&currency).filter(|(day, _)| *day == today);
        known.map_or(0, |(_, left)| *left)
    }

    /// What a batch leaves, once it is committed.
    pub(super) fn keep(&mut self, left: &HashMap<Currency, i64>, today: Date) {
        let left = left.iter().map(|(currency, left)| (*currency, (today, *left)));
        self.0.extend(left);
    }

    /// What is asked for so that the batch's payments fit, where the bank has limits and what is left may be too
    /// little. Nobody makes a lane lease more than there is money for it.
    pub(super) fn asks(
        &self,
        rules: &LimitRules,
        pays: &BTreeMap<AccountId, i64>,
        accounts: &HashMap<AccountId, Account>,
        today: Date,
    ) -> Vec<Ask> {
        if rules.bank_day == CapsRule::default() {
            return Vec::new();
        }
        let mut needed: BTreeMap<Currency, i64> = BTreeMap::new();
        let payers = pays
            .iter()
            .filter_map(|(id, amount)| Some((accounts.get(id)?, *amount)));
        for (payer, amount) in payers.filter(|(payer, _)| payer.owner.is_some()) {
            let there = payer.balance.saturating_sub(payer.held);
            let there = there.saturating_sub(payer.floor.unwrap_or_default()).max(0);
            let sum = needed.entry(payer.currency).or_default();
            *sum = sum.saturating_add(amount.min(there));
        }
        let ask = |(currency, needed): (Currency, i64)| {
            let limit = rules.bank_day(currency)?;
            let missing = needed.saturating_sub(self.left(currency, today));
            (missing > 0).then(|| Ask {
                currency,
                day: today,
                amount: missing.max(limit / SLICES_PER_DAY),
                limit,
            })
        };
        needed.into_iter().filter_map(ask).collect()
    }

    /// What the batch may let customers pay: what is left and what was granted, of each currency with a limit.
    pub(super) fn of_batch(
        &self,
        rules: &LimitRules,
        accounts: &HashMap<AccountId, Account>,
        granted: &HashMap<Currency, i64>,
        today: Date,
    ) -> HashMap<Currency, i64> {
        let currencies = accounts.values().map(|account| account.currency);
        currencies
            .filter(|currency| rules.bank_day(*currency).is_some())
            .map(|currency| {
                let more = granted.get(&currency).copied().unwrap_or_default();
                (currency, self.left(currency, today).saturating_add(more))
            })
            .collect()
    }
}
