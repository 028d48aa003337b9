//! Limits on paper.

use std::collections::BTreeMap;

use super::Paper;
use crate::{
    id::{AccountId, UserId},
    ledger::{Book, NewAllowance, NewLimits, Owned, Refusal},
    limits::{Caps, LimitClass, Moment},
    money::Currency,
};

/// What the books say of accounts with limits of their own.
pub(super) fn own_limits(book: &Book) -> BTreeMap<AccountId, (i128, Caps)> {
    let moment = Moment {
        at: book.booked_at,
        day: book.today,
    };
    let all = book.accounts.keys().filter_map(|id| {
        let key = (book.accounts[id].owner?, book.accounts[id].currency);
        let known = book.account_limits.get(&key)?;
        let spent = known.spent(*id, moment)?;
        Some((*id, (i128::from(spent.day), known.own(*id, book.booked_at))))
    });
    all.collect()
}

impl Paper {
    pub(super) fn fits_limits(
        &self,
        key: (UserId, Currency),
        account: AccountId,
        amount: i128,
    ) -> Result<(), Refusal> {
        let allowance = self.allowances[&key];
        let sum = allowance.spent + amount;
        let bank = self.bank.caps(LimitClass::All, key.1);
        let caps = [bank, allowance.own, allowance.allowed];
        let over = |cap: fn(&Caps) -> Option<i64>, asked: i128| {
            caps.iter().filter_map(cap).any(|cap| asked > i128::from(cap))
        };
        let faults = [
            (over(|caps| caps.per_transfer, amount), Refusal::OverTransferLimit),
            (over(|caps| caps.daily, sum), Refusal::OverDailyLimit),
            (over(|caps| caps.monthly, sum), Refusal::OverMonthlyLimit),
        ];
        let fault = faults.into_iter().find(|(fault, _)| *fault);
        fault.map_or(Ok(()), |(_, refusal)| Err(refusal))?;
        if let Some((spent, own)) = self.own_limits.get(&account) {
            let over = |cap: Option<i64>, asked: i128| cap.is_some_and(|cap| asked > i128::from(cap));
            if over(own.per_transfer, amount) {
                return Err(Refusal::OverTransferLimit);
            }
            if over(own.daily, spent + amount) {
                return Err(Refusal::OverDailyLimit);
            }
            if over(own.monthly, spent + amount) {
                return Err(Refusal::OverMonthlyLimit);
            }
        }
        match self.bank.bank_day.caps(key.1).daily {
            Some(_) if amount > self.bank_left.get(&key.1).copied().unwrap_or(0) => {
                Err(Refusal::OverBankLimit)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn count(&mut self, key: Option<(UserId, Currency)>, account: AccountId, amount: i128) {
        let Some(key) = key else { return };
        if let Some(allowance) = self.allowances.get_mut(&key) {
            allowance.spent += amount;
        }
        if let Some((spent, _)) = self.own_limits.get_mut(&account) {
            *spent += amount;
        }
        if let Some(left) = self.bank_left.get_mut(&key.1) {
            *left -= amount;
        }
    }

    pub(super) fn limit(&mut self, scope: Owned, new: NewLimits) -> Result<[u8; 16], Refusal> {
        if !self.is_own(scope, new.account) {
            return Err(Refusal::AccountNotFound);
        }
        let sheet = &self.sheets[&new.account];
        if sheet.closed {
            return Err(Refusal::AccountClosed);
        }
        let owner = sheet.owner.ok_or(Refusal::AccountNotFound)?;
        let allowance = self.allowances.get_mut(&(owner, sheet.currency));
        let allowance = allowance.ok_or(Refusal::AccountNotFound)?;
        let spent = allowance.spent;
        let own = match self.own_limits.get_mut(&new.account) {
            _ if !new.of_account => &mut allowance.own,
            Some((_, own)) => own,
            // What has no limit yet is limited from now on, and raises nothing.
            None => {
                if new.caps != Caps::NONE {
                    self.own_limits.insert(new.account, (spent, new.caps));
                }
                return Ok(*new.account.as_bytes());
            }
        };
        let pairs = [
            (&mut own.per_transfer, new.caps.per_transfer),
            (&mut own.daily, new.caps.daily),
            (&mut own.monthly, new.caps.monthly),
        ];
        let raises = |(now, asked): &(&mut Option<i64>, Option<i64>)| {
            now.is_some_and(|now| asked.is_none_or(|asked| asked > now))
        };
        if !new.may_raise && pairs.iter().any(raises) {
            return Err(Refusal::RaiseNotApproved);
        }
        // Whatever is raised waits longer than these histories last.
        for (now, asked) in pairs {
            let lower = now.is_none_or(|now| asked.is_some_and(|asked| asked < now));
            if lower {
                *now = asked;
            }
        }
        Ok(*new.account.as_bytes())
    }

    /// Without a second person operators allow less, and nothing more.
    pub(super) fn allow(&mut self, scope: Owned, new: &NewAllowance) -> Result<[u8; 16], Refusal> {
        let sheet = self.sheets.get(&new.account);
        let sheet = sheet.filter(|sheet| scope == Owned::ByAnyone && sheet.owner.is_some());
        let sheet = sheet.ok_or(Refusal::AccountNotFound)?;
        if sheet.closed {
            return Err(Refusal::AccountClosed);
        }
        let owner = sheet.owner.ok_or(Refusal::AccountNotFound)?;
        let allowance = self.allowances.get_mut(&(owner, sheet.currency));
        let allowance = allowance.ok_or(Refusal::AccountNotFound)?;
        let more = |now: Option<i64>, asked: Option<i64>| {
            now.is_some_and(|now| asked.is_none_or(|asked| asked > now))
        };
        let (now, asked) = (allowance.allowed, new.caps);
        if more(now.per_transfer, asked.per_transfer)
            || more(now.daily, asked.daily)
            || more(now.monthly, asked.monthly)
        {
            return Err(Refusal::SecondPersonNeeded);
        }
        allowance.allowed = asked;
        Ok(*new.account.as_bytes())
    }
}
