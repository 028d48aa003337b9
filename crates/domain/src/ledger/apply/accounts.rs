//! Opening accounts, and changing their state.

use std::collections::hash_map::Entry;

use super::{Decision, Done, Effect, may_touch};
use crate::{
    account::{Account, AccountKind, FreezeScope, Freezes, Side, SkipPath, SystemAccount},
    audit::Details,
    fraud::Features,
    id::AccountId,
    ledger::{
        book::{Book, Changes, OpenedAccount},
        command::{AccountChange, Command, NewAccount, Owned},
        refusal::Refusal,
    },
    limits::CustomerLimits,
    money::Currency,
    time::Timestamp,
};

pub(super) fn open(book: &mut Book, changes: &mut Changes, command: &Command, new: &NewAccount) -> Decision {
    if let Owned::By(user) = command.authority.scope
        && user != new.owner
    {
        return Err(Refusal::AccountNotFound);
    }
    if book.taken_numbers.contains(&new.number) || book.accounts.contains_key(&new.id) {
        return Err(Refusal::NumberTaken);
    }
    let account = blank(
        new.id,
        AccountKind::Customer(new.kind),
        new.currency,
        book.booked_at,
    );
    let account = Account {
        owner: Some(new.owner),
        // A negative overdraft is no overdraft: a wrong sign must not lend money.
        floor: Some(new.overdraft.max(0).saturating_neg()),
        ..account
    };
    let details = Details::opened(&account, new.number.as_str());
    if !command.dry_run {
        open_chart(book, changes, new.currency);
        book.taken_numbers.insert(new.number.clone());
        book.accounts.insert(new.id, account.clone());
        let customer = (new.owner, new.currency);
        if let Entry::Vacant(vacant) = book.limits.entry(customer) {
            vacant.insert(CustomerLimits::held_until(new.held_to_floor));
            changes.customers.insert(customer);
            book.fraud.rows.insert(customer, Features::default());
        }
        changes.touched.insert(new.id);
        changes.opened.push(OpenedAccount {
            id: new.id,
            number: Some(new.number.clone()),
            sealed_name: Some(new.sealed_name.clone()),
            at: book.booked_at,
        });
    }
    Ok(Effect {
        resource: *new.id.as_bytes(),
        details,
        done: Done::Opened(account),
    })
}

/// The first account in a currency brings the bank's own accounts in it along.
fn open_chart(book: &mut Book, changes: &mut Changes, currency: Currency) {
    for system in SystemAccount::ALL {
        let id = system.id(currency);
        if !book.accounts.contains_key(&id) {
            book.accounts.insert(
                id,
                blank(id, AccountKind::System(system), currency, book.booked_at),
            );
            changes.touched.insert(id);
            changes.opened.push(OpenedAccount {
                id,
                number: None,
                sealed_name: None,
                at: book.booked_at,
            });
        }
    }
}

fn blank(id: AccountId, kind: AccountKind, currency: Currency, at: Timestamp) -> Account {
    Account {
        id,
        owner: None,
        kind,
        currency,
        floor: None,
        freezes: Freezes::NONE,
        closed: false,
        balance: 0,
        held: 0,
        holds: 0,
        hold_due: None,
        entries: 0,
        last_booked_at: at,
        path: SkipPath::default(),
    }
}

pub(super) fn change_state(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    id: AccountId,
    side: Side,
    change: AccountChange,
) -> Decision {
    // Whoever may touch only own accounts never acts for the bank.
    if side == Side::Bank && command.authority.scope != Owned::ByAnyone {
        return Err(Refusal::AccountNotFound);
    }
    let account = book.accounts.get_mut(&id).ok_or(Refusal::AccountNotFound)?;
    if !may_touch(command.authority.scope, account) || account.owner.is_none() {
        return Err(Refusal::AccountNotFound);
    }
    if account.closed {
        return Err(Refusal::AccountClosed);
    }
    let mut next = account.clone();
    match change {
        AccountChange::Freeze(scope) => {
            next.freezes = next
                .freezes
                .with(side, Some(stricter(next.freezes.by(side), scope)))
        }
        AccountChange::Unfreeze => {
            if next.freezes.by(side).is_none() {
                return Err(Refusal::NotFrozenByYou);
            }
            next.freezes = next.freezes.with(side, None);
        }
        AccountChange::Close => {
            if next.balance != 0 || next.held != 0 {
                return Err(Refusal::AccountNotEmpty);
            }
            // A freeze by the bank is not escaped by closing.
            if side == Side::Owner && next.freezes.by(Side::Bank).is_some() {
                return Err(Refusal::AccountFrozen);
            }
            next.closed = true;
        }
    }
    let details = Details::account(next.freezes.bits(), next.closed, next.floor);
    if !command.dry_run {
        *account = next.clone();
        changes.touched.insert(id);
    }
    Ok(Effect {
        resource: *id.as_bytes(),
        details,
        done: Done::Changed(next),
    })
}

/// Freezing again never loosens a freeze.
const fn stricter(now: Option<FreezeScope>, asked: FreezeScope) -> FreezeScope {
    match (now, asked) {
        (Some(FreezeScope::All), _) | (_, FreezeScope::All) => FreezeScope::All,
        _ => FreezeScope::Debits,
    }
}
