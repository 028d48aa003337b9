//! Holds: reserving money, paying out of what is reserved, giving it back.
//!
//! Whoever places a hold approves the payment; both sides may then turn it into one or give it back. What a hold
//! reserves is in its account's `held` from its placing to its end, so that every other verb sees it.

use super::{
    Decision, Done, Effect, Signer, append_record, hold_object, may_touch,
    post::{append_entries, check_funds, check_own, check_payee, transaction_of},
};
use crate::{
    account::Account,
    action::Action,
    audit::{Details, Record},
    hold::{HOLDS_PER_ACCOUNT_MAX, Hold, HoldError, HoldState, Taken},
    id::{AccountId, HoldId, RequestId},
    ledger::{
        book::{Book, Captured, Changes},
        bounds::{self, Moved},
        command::{Capture, Command, HoldRef, NewHold, Posting},
        refusal::Refusal,
        scrutiny,
        spending::{self, Paid},
    },
    limits::LimitClass,
    principal::{Caller, Origin, Principal},
    transaction::{TransactionKind, entries_digest},
};

impl From<HoldError> for Refusal {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::NotOpen => Self::HoldNotOpen,
            HoldError::TooMuch => Self::ExceedsHold,
        }
    }
}

/// Before anything else: what is due by the time of this batch reserves nothing any more.
pub(super) fn release_due(book: &mut Book, changes: &mut Changes, signer: &dyn Signer) {
    let at = book.booked_at;
    let is_due = |account: &Account| account.hold_due.is_some_and(|due| due <= at);
    let accounts: Vec<AccountId> = book
        .accounts
        .values()
        .filter(|account| is_due(account))
        .map(|account| account.id)
        .collect();
    if accounts.is_empty() {
        return;
    }
    let of_these = |hold: &&Hold| accounts.contains(&hold.account);
    let mut due: Vec<HoldId> = book
        .holds
        .values()
        .filter(of_these)
        .filter(|hold| hold.is_due(at))
        .map(|hold| hold.id)
        .collect();
    due.sort_unstable();
    for id in due {
        expire(book, changes, id, signer);
    }
    // Every open hold of these accounts was read: the first end of those that are left is known exactly.
    for id in accounts {
        let open = |hold: &&Hold| hold.account == id && hold.state == HoldState::Open;
        let next = book.holds.values().filter(open).map(|hold| hold.expires_at).min();
        if let Some(account) = book.accounts.get_mut(&id) {
            account.hold_due = next;
            changes.touched.insert(id);
        }
    }
}

fn expire(book: &mut Book, changes: &mut Changes, id: HoldId, signer: &dyn Signer) {
    let Some(hold) = book.holds.remove(&id) else {
        return;
    };
    let released = hold.reserved();
    let hold = hold.expire(book.booked_at);
    spending::give_back(book, changes, &hold, released);
    let record = Record {
        id: book.next_record,
        at: book.booked_at,
        request: RequestId::from_bytes([0; 16]),
        caller: Caller {
            principal: Principal::Job,
            session: None,
            origin: Origin::Job,
        },
        action: Action::HoldExpire.name(),
        object: hold_object(id),
        outcome: "ok",
        policy: 0,
        details: Details::hold(&hold),
    };
    append_record(book, changes, record, signer);
    put(book, changes, hold, released);
}

/// Takes a changed hold back into the book, and what it no longer reserves off its account.
pub(super) fn put(book: &mut Book, changes: &mut Changes, hold: Hold, released: i64) {
    if let Some(account) = book.accounts.get_mut(&hold.account) {
        account.held = account.held.saturating_sub(released);
        if hold.state != HoldState::Open {
            account.holds = account.holds.saturating_sub(1);
        }
        if account.holds == 0 {
            account.hold_due = None;
        }
        changes.touched.insert(account.id);
    }
    if !changes.placed.contains(&hold.id) {
        changes.holds.insert(hold.id);
    }
    book.holds.insert(hold.id, hold);
}

pub(super) fn place(book: &mut Book, changes: &mut Changes, command: &Command, new: &NewHold) -> Decision {
    bounds::check(book, command, &Moved::held(new))?;
    let hold = check_place(book, command, new)?;
    scrutiny::admit(book, changes, command, new.id.cast(), &reserved(new), new.amount)?;
    if !command.dry_run {
        bounds::charge(book, changes, command, &Moved::held(new));
        spending::charge(book, changes, command, &reserved(new));
        if let Some(account) = book.accounts.get_mut(&hold.account) {
            account.held = account.held.saturating_add(hold.reserved());
            account.holds = account.holds.saturating_add(1);
            let due = account.hold_due.unwrap_or(hold.expires_at);
            account.hold_due = Some(due.min(hold.expires_at));
            changes.touched.insert(account.id);
        }
        changes.placed.insert(hold.id);
        book.holds.insert(hold.id, hold.clone());
    }
    Ok(Effect {
        resource: *hold.id.as_bytes(),
        details: Details::hold(&hold),
        done: Done::Held(hold),
    })
}

/// As a transfer that would be made now, own side first.
fn check_place(book: &Book, command: &Command, new: &NewHold) -> Result<Hold, Refusal> {
    let own = book.accounts.get(&new.account).ok_or(Refusal::AccountNotFound)?;
    let allowed = command.authority.action == Action::HoldPlace
        && may_touch(command.authority.scope, own)
        && own.owner.is_some();
    if !allowed || book.holds.contains_key(&new.id) {
        return Err(Refusal::AccountNotFound);
    }
    if new.to == Some(new.account) {
        return Err(Refusal::SameAccount);
    }
    check_own(own, own.freezes.stops_debits(), new.currency)?;
    let amount = new.amount.minor();
    check_funds(own, amount)?;
    spending::check(book, command, &reserved(new))?;
    if own.holds >= HOLDS_PER_ACCOUNT_MAX {
        return Err(Refusal::TooManyHolds);
    }
    if new.expires_at <= book.booked_at {
        return Err(Refusal::HoldNotOpen);
    }
    let to = new.to.ok_or(Refusal::PayeeUnavailable)?;
    let payee = book.accounts.get(&to).ok_or(Refusal::PayeeUnavailable)?;
    check_payee(payee, new.currency, amount)?;
    Ok(Hold {
        id: new.id,
        account: own.id,
        to_account: to,
        amount: new.amount,
        currency: new.currency,
        captured: 0,
        state: HoldState::Open,
        placed_at: book.booked_at,
        expires_at: new.expires_at,
        closed_at: None,
        review: false,
    })
}

const fn reserved(new: &NewHold) -> Paid {
    Paid {
        from: new.account,
        to: new.to,
        amount: new.amount.minor(),
        class: LimitClass::Holds,
    }
}

/// The hold that is meant, for a caller on one of its two sides.
fn find<'a>(
    book: &'a Book,
    command: &Command,
    action: Action,
    asked: HoldRef,
) -> Result<(&'a Hold, &'a Account, &'a Account), Refusal> {
    let hold = book.holds.get(&asked.id).ok_or(Refusal::HoldNotFound)?;
    let own = book.accounts.get(&asked.account).ok_or(Refusal::HoldNotFound)?;
    let payee = book.accounts.get(&asked.to).ok_or(Refusal::HoldNotFound)?;
    let scope = command.authority.scope;
    // What waits for a look is moved by those who look.
    let meant = !hold.review && (hold.account, hold.to_account) == (asked.account, asked.to);
    let allowed = command.authority.action == action && (may_touch(scope, own) || may_touch(scope, payee));
    if meant && allowed {
        Ok((hold, own, payee))
    } else {
        Err(Refusal::HoldNotFound)
    }
}

pub(super) fn capture(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    asked: &Capture,
) -> Decision {
    let (posting, taken) = check_capture(book, command, asked)?;
    let Taken {
        hold,
        amount,
        released,
    } = taken;
    if command.dry_run {
        return Ok(Effect {
            resource: *asked.id.as_bytes(),
            details: Details::none(),
            done: Done::Captured(hold),
        });
    }
    let entries = append_entries(book, changes, hold.account, hold.to_account, amount.minor())?;
    let [first, last] = entries;
    let transaction = transaction_of(book, &posting, hold.to_account, first.id, last.id);
    let digest = transaction.digest(&entries_digest(&asked.salt, &entries));
    let details = Details::captured(&digest, &hold);
    changes.entries.extend(entries);
    scrutiny::learn(book, changes, command.authority.network, &transaction);
    changes.transactions.push(transaction);
    changes.captures.push(Captured {
        transaction: asked.id,
        hold: hold.id,
        captured: hold.captured,
        state: hold.state,
    });
    spending::give_back(book, changes, &hold, released.saturating_sub(amount.minor()));
    put(book, changes, hold.clone(), released);
    Ok(Effect {
        resource: *asked.id.as_bytes(),
        details,
        done: Done::Captured(hold),
    })
}

/// A freeze stops a capture, too: the hold stays, and may be captured once the freeze is lifted.
fn check_capture(book: &Book, command: &Command, asked: &Capture) -> Result<(Posting, Taken), Refusal> {
    let (hold, own, payee) = find(book, command, Action::HoldCapture, asked.hold)?;
    if asked.currency.is_some_and(|currency| currency != hold.currency) {
        return Err(Refusal::CurrencyMismatch);
    }
    let taken = hold.clone().capture(asked.take, book.booked_at)?;
    check_own(own, own.freezes.stops_debits(), hold.currency)?;
    let amount = taken.amount.minor();
    own.balance.checked_sub(amount).ok_or(Refusal::BalanceOverflow)?;
    check_payee(payee, hold.currency, amount)?;
    let posting = Posting {
        id: asked.id,
        kind: TransactionKind::Capture,
        from: own.id,
        to: Some(payee.id),
        amount: taken.amount,
        currency: hold.currency,
        value_date: None,
        memo: None,
        salt: asked.salt,
    };
    // What is reserved was charged to whoever reserved it.
    bounds::check_reserved(command, &Moved::of(&posting))?;
    Ok((posting, taken))
}

pub(super) fn void(book: &mut Book, changes: &mut Changes, command: &Command, asked: HoldRef) -> Decision {
    let (hold, ..) = find(book, command, Action::HoldVoid, asked)?;
    let released = hold.reserved();
    let hold = hold.clone().void(book.booked_at)?;
    if !command.dry_run {
        spending::give_back(book, changes, &hold, released);
        put(book, changes, hold.clone(), released);
    }
    Ok(Effect {
        resource: *hold.id.as_bytes(),
        details: Details::hold(&hold),
        done: Done::Held(hold),
    })
}
