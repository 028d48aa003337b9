//! Limits of single accounts, which their owner sets besides those for everything.
//!
//! They lie in the customer's row, so that counting them costs no lock and no statement more.

use super::{
    Caps, LimitBroken, Moment, Raise, Spent,
    parts::{Own, Period},
    stored::{own_numbers, read_own},
};
use crate::{id::AccountId, time::Timestamp};

/// Accounts of one customer and currency with limits of their own, at most.
pub const LIMITED_ACCOUNTS_MAX: usize = 32;

/// As many accounts of the customer have limits of their own as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at most {LIMITED_ACCOUNTS_MAX} accounts have limits of their own")]
pub struct TooManyAccounts;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct AccountLimits {
    account: AccountId,
    own: Own,
    spent: Spent,
}

/// The limits of a customer's accounts in one currency. An account that is not named has none of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LimitsOfAccounts {
    period: Period,
    accounts: Vec<AccountLimits>,
}

impl LimitsOfAccounts {
    const FORM: u8 = 1;
    const HEAD_BYTES: usize = 1 + 2 * 8 + 2 * 4;
    const ACCOUNT_BYTES: usize = 16 + 7 * 8 + 2 * 8;
    /// Bytes of the stored form, at most.
    pub const BYTES_MAX: usize = Self::HEAD_BYTES + LIMITED_ACCOUNTS_MAX * Self::ACCOUNT_BYTES;

    fn of(&self, account: AccountId) -> Option<&AccountLimits> {
        self.accounts.iter().find(|limits| limits.account == account)
    }

    /// The accounts that are named, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> {
        self.accounts.iter().map(|limits| limits.account)
    }

    /// What the owner allows the account now.
    pub fn own(&self, account: AccountId, at: Timestamp) -> Caps {
        self.of(account).map_or(Caps::NONE, |limits| limits.own.at(at))
    }

    /// The raise that waits, if there is one.
    pub fn raise(&self, account: AccountId, at: Timestamp) -> Option<Raise> {
        self.of(account)?.own.waiting(at)
    }

    /// What was counted of the account, where it is counted.
    pub fn spent(&self, account: AccountId, moment: Moment) -> Option<Spent> {
        let mut spent = self.of(account)?.spent;
        let mut period = self.period;
        period.turn(moment, std::iter::once(&mut spent));
        Some(spent)
    }

    /// Whether these would raise something of the account.
    pub fn would_raise(&self, account: AccountId, caps: Caps, at: Timestamp) -> bool {
        self.of(account)
            .is_some_and(|limits| limits.own.would_raise(caps, at))
    }

    /// Whether so much may leave the account now.
    ///
    /// # Errors
    /// The first limit that it breaks.
    pub fn check(&self, account: AccountId, amount: i64, moment: Moment) -> Result<(), LimitBroken> {
        match self.spent(account, moment) {
            Some(spent) => self.own(account, moment.at).allow(amount, spent),
            None => Ok(()),
        }
    }

    /// Counts what leaves the account now, where it is counted.
    pub fn count(&mut self, account: AccountId, amount: i64, moment: Moment) {
        self.turn(moment);
        if let Some(limits) = self.of_mut(account) {
            limits.spent.add(amount);
        }
    }

    /// Takes back what was counted at an earlier moment, as far as its day and month are still being counted.
    pub fn give_back(&mut self, account: AccountId, amount: i64, counted_at: Timestamp, moment: Moment) {
        self.turn(moment);
        let still = self.period.still_counts(counted_at);
        if let Some(limits) = self.of_mut(account) {
            limits.spent.give_back(amount, still);
        }
    }

    /// Sets what the owner allows the account: what is lower counts at once, what is higher after a day. Where nothing
    /// of it was counted before, what the customer spent today and this month is taken to be the account's: it may be
    /// less, and is never more.
    ///
    /// # Errors
    /// [`TooManyAccounts`].
    pub fn set(
        &mut self,
        account: AccountId,
        caps: Caps,
        customer: Spent,
        moment: Moment,
    ) -> Result<(), TooManyAccounts> {
        self.turn(moment);
        // What has no limit any more needs no counting.
        self.accounts.retain(|limits| {
            let unlimited = limits.own.at(moment.at) == Caps::NONE && limits.own.waiting(moment.at).is_none();
            limits.account == account || !unlimited
        });
        if let Some(limits) = self.of_mut(account) {
            limits.own.set(caps, moment.at);
            return Ok(());
        }
        if caps == Caps::NONE {
            return Ok(());
        }
        if self.accounts.len() >= LIMITED_ACCOUNTS_MAX {
            return Err(TooManyAccounts);
        }
        self.accounts.push(AccountLimits {
            account,
            own: Own { caps, raise: None },
            spent: customer,
        });
        Ok(())
    }

    fn of_mut(&mut self, account: AccountId) -> Option<&mut AccountLimits> {
        self.accounts.iter_mut().find(|limits| limits.account == account)
    }

    fn turn(&mut self, moment: Moment) {
        let spent = self.accounts.iter_mut().map(|limits| &mut limits.spent);
        self.period.turn(moment, spent);
    }

    /// The stored form, big endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(
            Self::HEAD_BYTES.saturating_add(self.accounts.len().saturating_mul(Self::ACCOUNT_BYTES)),
        );
        bytes.push(Self::FORM);
        for at in [self.period.day_from, self.period.month_from] {
            bytes.extend_from_slice(&at.micros().to_be_bytes());
        }
        for number in [self.period.day, self.period.month] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        for limits in &self.accounts {
            bytes.extend_from_slice(limits.account.as_bytes());
            let mut numbers = own_numbers(&limits.own);
            numbers.extend([limits.spent.day, limits.spent.month]);
            for number in numbers {
                bytes.extend_from_slice(&number.to_be_bytes());
            }
        }
        bytes
    }

    /// Reads the stored form; `None` when it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (form, rest) = bytes.split_first()?;
        let (day_from, rest) = rest.split_first_chunk::<8>()?;
        let (month_from, rest) = rest.split_first_chunk::<8>()?;
        let (day, rest) = rest.split_first_chunk::<4>()?;
        let (month, rest) = rest.split_first_chunk::<4>()?;
        let entries = rest.chunks_exact(Self::ACCOUNT_BYTES);
        let whole = *form == Self::FORM && entries.remainder().is_empty();
        if !whole || bytes.len() > Self::BYTES_MAX {
            return None;
        }
        let read = |entry: &[u8]| {
            let (account, mut rest) = entry.split_first_chunk::<16>()?;
            let mut next = || {
                let (number, left) = rest.split_first_chunk::<8>()?;
                rest = left;
                Some(i64::from_be_bytes(*number))
            };
            Some(AccountLimits {
                account: AccountId::from_bytes(*account),
                own: read_own(&mut next)?,
                spent: Spent {
                    day: next()?,
                    month: next()?,
                },
            })
        };
        Some(Self {
            period: Period {
                day: i32::from_be_bytes(*day),
                month: i32::from_be_bytes(*month),
                day_from: Timestamp::from_micros(i64::from_be_bytes(*day_from)),
                month_from: Timestamp::from_micros(i64::from_be_bytes(*month_from)),
            },
            accounts: entries.map(read).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests;
