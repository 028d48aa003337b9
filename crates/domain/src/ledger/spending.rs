//! Limits within a batch: which movements count, against which of them, and what is given back.
//!
//! What all customers together pay in a day is counted against what this writer leased of the bank's limit. It is not
//! given back: what was leased is spent, or lost with the process.
//!
//! What customers and their programs pay to others counts, from the moment in which it is reserved. What they move
//! between accounts of their own does not, nor what the bank's people do at the counter: they have limits of their own.

use crate::{
    account::Account,
    hold::Hold,
    id::{AccountId, UserId},
    ledger::{
        book::{Book, Changes},
        command::{Command, Owned},
        refusal::Refusal,
    },
    limits::{LimitBroken, LimitClass, Moment},
    money::Currency,
    outgoing::Outgoing,
    principal::Principal,
};

impl From<LimitBroken> for Refusal {
    fn from(broken: LimitBroken) -> Self {
        match broken {
            LimitBroken::PerTransfer => Self::OverTransferLimit,
            LimitBroken::Daily => Self::OverDailyLimit,
            LimitBroken::Monthly => Self::OverMonthlyLimit,
        }
    }
}

/// What is paid, as far as limits look at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paid {
    pub(super) from: AccountId,
    pub(super) to: Option<AccountId>,
    pub(super) amount: i64,
    pub(super) class: LimitClass,
}

pub(super) const fn moment(book: &Book) -> Moment {
    Moment {
        at: book.booked_at,
        day: book.today,
    }
}

fn classes(command: &Command, class: LimitClass) -> Vec<LimitClass> {
    let mut classes = vec![LimitClass::All, class];
    if matches!(command.authority.caller.principal, Principal::ApiKey { .. }) {
        classes.push(LimitClass::Programs);
    }
    classes
}

/// The payer's account, where the movement counts.
pub(super) fn counted<'a>(book: &'a Book, command: &Command, paid: &Paid) -> Option<&'a Account> {
    let own = book.accounts.get(&paid.from)?;
    let payee = paid.to.and_then(|to| book.accounts.get(&to));
    let to_oneself = payee.is_some_and(|payee| payee.owner == own.owner);
    // Whoever reserves: what is given back was counted before.
    let by_oneself = matches!(command.authority.scope, Owned::By(_)) || paid.class == LimitClass::Holds;
    (by_oneself && own.owner.is_some() && !to_oneself).then_some(own)
}

/// Looked at before the payee is: whoever may not pay that much learns nothing about others. A customer of whom the
/// books know no limits pays nothing.
pub(super) fn check(book: &Book, command: &Command, paid: &Paid) -> Result<(), Refusal> {
    let Some(own) = counted(book, command, paid) else {
        return Ok(());
    };
    let owner = own.owner.ok_or(Refusal::LimitExceeded)?;
    let (key, now) = ((owner, own.currency), moment(book));
    let limits = book.limits.get(&key).ok_or(Refusal::LimitExceeded)?;
    let classes = classes(command, paid.class);
    limits.check(&book.rules, &classes, (paid.amount, own.currency), now)?;
    if let Some(accounts) = book.account_limits.get(&key) {
        accounts.check(paid.from, paid.amount, now)?;
    }
    // What was not leased is not there.
    let left = book.bank_left.get(&own.currency).copied().unwrap_or_default();
    match book.rules.bank_day(own.currency) {
        Some(_) if paid.amount > left => Err(Refusal::OverBankLimit),
        _ => Ok(()),
    }
}

/// Counts a movement that was decided.
pub(super) fn charge(book: &mut Book, changes: &mut Changes, command: &Command, paid: &Paid) {
    let Some(own) = counted(book, command, paid) else {
        return;
    };
    let Some(key) = own.owner.map(|owner| (owner, own.currency)) else {
        return;
    };
    let (classes, now) = (classes(command, paid.class), moment(book));
    if let Some(limits) = book.limits.get_mut(&key) {
        limits.count(&classes, paid.amount, now);
        mark(changes, key);
    }
    if let Some(accounts) = book.account_limits.get_mut(&key) {
        accounts.count(paid.from, paid.amount, now);
    }
    if let Some(left) = book.bank_left.get_mut(&key.1) {
        *left = left.saturating_sub(paid.amount).max(0);
    }
}

/// What is written of this customer: the row is new, or another one than before.
pub(super) fn mark(changes: &mut Changes, key: (UserId, Currency)) {
    if !changes.customers.contains(&key) {
        changes.limits.insert(key);
    }
}

/// What did not leave after all may be paid again on the day on which it was counted.
pub(super) fn take_back(book: &mut Book, changes: &mut Changes, payment: &Outgoing) {
    let (key, now) = ((payment.payer, payment.currency), moment(book));
    if let Some(limits) = book.limits.get_mut(&key) {
        let classes = [LimitClass::All, LimitClass::Outgoing];
        limits.give_back(&classes, payment.amount.minor(), payment.paid_at, now);
        mark(changes, key);
    }
    if let Some(accounts) = book.account_limits.get_mut(&key) {
        accounts.give_back(payment.account, payment.amount.minor(), payment.paid_at, now);
    }
}

/// What a hold no longer reserves may be paid again on the day on which it was reserved. What a program reserved stays
/// counted for programs: the hold does not tell who placed it.
pub(super) fn give_back(book: &mut Book, changes: &mut Changes, hold: &Hold, released: i64) {
    let side = |id| book.accounts.get(&id).and_then(|account| account.owner);
    let (from, to) = (side(hold.account), side(hold.to_account));
    let Some(owner) = from.filter(|_| from != to && released > 0) else {
        return;
    };
    let (key, now) = ((owner, hold.currency), moment(book));
    if let Some(limits) = book.limits.get_mut(&key) {
        let class = if hold.review {
            LimitClass::Transfers
        } else {
            LimitClass::Holds
        };
        let classes = [LimitClass::All, class];
        limits.give_back(&classes, released, hold.placed_at, now);
        mark(changes, key);
    }
    if let Some(accounts) = book.account_limits.get_mut(&key) {
        accounts.give_back(hold.account, released, hold.placed_at, now);
    }
}
