//! What the bank's own bank did: payments that went and came back, money for accounts, and what nobody can place.
//!
//! Whatever moved there is booked here, once: what cannot be placed goes to the suspense account, so that the clearing
//! account always says what the bank's own bank says.

use super::{
    Decision, Done, Effect,
    post::{book_posting, check_funds},
};
use crate::{
    account::{Account, AccountKind, SystemAccount},
    action::Action,
    audit::{Details, Stated},
    id::AccountId,
    ledger::{
        book::{Book, Changes},
        command::{Command, Posting},
        payments::Decided,
        rail::{ReadEntry, Resolve, StatementEntry},
        refusal::Refusal,
        spending,
    },
    outgoing::Outgoing,
    rail::{Direction, EntryOutcome, SuspenseItem, SuspenseReason},
    transaction::TransactionKind,
};

/// What an entry is about, as far as the books can tell.
enum Judged {
    Settled(Outgoing),
    Returned(Outgoing),
    Credited(AccountId),
    Suspended(SuspenseReason),
}

fn judge(book: &Book, entry: &StatementEntry) -> Judged {
    let named = entry
        .payment
        .and_then(|(id, account)| book.sending.outgoing.get(&id).zip(Some(account)));
    let payment = named
        .filter(|(payment, account)| payment.account == *account && payment.to_account.is_none())
        .map(|(payment, _)| payment.clone());
    let judged = match (entry.direction, entry.back, payment) {
        (Direction::Credit, false, _) => return credited(book, entry),
        // What takes back an incoming credit: whose money that is now is for people to say.
        (Direction::Debit, true, _) | (_, _, None) => Err(SuspenseReason::UnknownReference),
        (_, _, Some(payment)) if (payment.amount, payment.currency) != (entry.amount, entry.currency) => {
            Err(SuspenseReason::WrongAmount)
        }
        (Direction::Debit, false, Some(payment)) => {
            let settled = payment.settle(book.booked_at).map(Judged::Settled);
            settled.map_err(|_| SuspenseReason::Unexpected)
        }
        (Direction::Credit, true, Some(payment)) => returned(book, payment),
    };
    judged.unwrap_or_else(Judged::Suspended)
}

/// A freeze does not stop what comes back.
fn returned(book: &Book, payment: Outgoing) -> Result<Judged, SuspenseReason> {
    let own = book.accounts.get(&payment.account);
    let amount = payment.amount.minor();
    let payment = payment
        .come_back(book.booked_at)
        .map_err(|_| SuspenseReason::Unexpected)?;
    let has_room = own.is_some_and(|own| !own.closed && own.balance.checked_add(amount).is_some());
    if has_room {
        Ok(Judged::Returned(payment))
    } else {
        Err(SuspenseReason::AccountUnavailable)
    }
}

fn credited(book: &Book, entry: &StatementEntry) -> Judged {
    let account = entry.account.and_then(|id| book.accounts.get(&id));
    match account.filter(|account| account.owner.is_some()) {
        None => Judged::Suspended(SuspenseReason::UnknownAccount),
        Some(account) if is_ready(account, entry) => Judged::Credited(account.id),
        Some(_) => Judged::Suspended(SuspenseReason::AccountUnavailable),
    }
}

fn is_ready(account: &Account, entry: &StatementEntry) -> bool {
    !account.closed
        && !account.freezes.stops_credits()
        && account.currency == entry.currency
        && account.balance.checked_add(entry.amount.minor()).is_some()
}

/// Whether both of the bank's own accounts are there and have room for the amount.
fn has_room(book: &Book, entry: &StatementEntry) -> bool {
    let amount = entry.amount.minor();
    [SystemAccount::Clearing, SystemAccount::Suspense]
        .into_iter()
        .all(|system| {
            book.accounts
                .get(&system.id(entry.currency))
                .is_some_and(|account| {
                    account.balance.checked_add(amount).is_some()
                        && account.balance.checked_sub(amount).is_some()
                })
        })
}

pub(super) fn settle(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    entry: &StatementEntry,
) -> Decision {
    if command.authority.action != Action::RailSettle || command.dry_run {
        return Err(Refusal::AccountNotFound);
    }
    if book.rail.read.contains(&entry.tag) {
        return Err(Refusal::EntryKnown);
    }
    if !has_room(book, entry) {
        return Err(Refusal::BalanceOverflow);
    }
    let clearing = SystemAccount::Clearing.id(entry.currency);
    let suspense = SystemAccount::Suspense.id(entry.currency);
    let (mut reason, judged) = (None, judge(book, entry));
    let (outcome, kind, from, to, payment) = match judged {
        Judged::Settled(payment) => return Ok(settled(book, changes, entry, payment)),
        Judged::Returned(payment) => {
            let to = payment.account;
            let kind = TransactionKind::Refund;
            (EntryOutcome::Returned, kind, clearing, to, Some(payment))
        }
        Judged::Credited(account) => {
            let kind = TransactionKind::Deposit;
            (EntryOutcome::Credited, kind, clearing, account, None)
        }
        Judged::Suspended(why) => {
            reason = Some(why);
            let (kind, from, to) = match entry.direction {
                Direction::Credit => (TransactionKind::Deposit, clearing, suspense),
                Direction::Debit => (TransactionKind::Withdrawal, suspense, clearing),
            };
            let item = SuspenseItem {
                id: entry.id.cast(),
                direction: entry.direction,
                amount: entry.amount,
                currency: entry.currency,
                reason: why,
                opened_at: book.booked_at,
                resolution: None,
            };
            let suspended = (item, entry.tag, entry.sealed.clone());
            changes.rail.suspended.push(suspended);
            book.rail.items.insert(item.id, item);
            (EntryOutcome::Suspended, kind, from, to, None)
        }
    };
    let posting = Posting {
        id: entry.id,
        kind,
        from,
        to: Some(to),
        amount: entry.amount,
        currency: entry.currency,
        value_date: entry.value_date,
        memo: entry.memo.clone().filter(|_| outcome == EntryOutcome::Credited),
        salt: entry.salt,
    };
    let (transaction, digest) = book_posting(book, changes, command, &posting, from, to)?;
    let id = payment.as_ref().map(|payment| payment.id);
    let stated = stated(entry, outcome, reason, payment.clone());
    if let Some(payment) = payment {
        spending::take_back(book, changes, &payment);
        super::sending::put(book, changes, payment);
    }
    read(book, changes, entry, outcome, id, true);
    Ok(Effect {
        resource: *entry.id.as_bytes(),
        details: Details::stated(Some(&digest), &stated),
        done: Done::Posted(transaction),
    })
}

/// What the record of an entry tells.
fn stated(
    entry: &StatementEntry,
    outcome: EntryOutcome,
    reason: Option<SuspenseReason>,
    payment: Option<Outgoing>,
) -> Stated {
    Stated {
        tag: entry.tag,
        outcome,
        direction: entry.direction,
        reason,
        amount: entry.amount,
        currency: entry.currency,
        payment,
    }
}

/// Nothing moves: the payer was debited when it was sent.
fn settled(book: &mut Book, changes: &mut Changes, entry: &StatementEntry, payment: Outgoing) -> Effect {
    let id = payment.id;
    super::sending::put(book, changes, payment.clone());
    read(book, changes, entry, EntryOutcome::Settled, Some(id), false);
    Effect {
        resource: *id.as_bytes(),
        details: Details::stated(
            None,
            &stated(entry, EntryOutcome::Settled, None, Some(payment.clone())),
        ),
        done: Done::Sent(payment),
    }
}

fn read(
    book: &mut Book,
    changes: &mut Changes,
    entry: &StatementEntry,
    outcome: EntryOutcome,
    payment: Option<crate::id::PaymentId>,
    booked: bool,
) {
    book.rail.read.insert(entry.tag);
    changes.rail.read.push(ReadEntry {
        tag: entry.tag,
        outcome,
        payment,
        transaction: booked.then_some(entry.id),
        at: book.booked_at,
    });
}

/// Takes money from suspense, as two people agreed. As where the bank takes something back, a freeze does not stop it,
/// and nobody is brought below the floor.
pub(super) fn resolve(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    asked: &Resolve,
) -> Decision {
    if command.authority.action != Action::SuspenseResolve || command.dry_run {
        return Err(Refusal::SuspenseNotFound);
    }
    let approval = book.payments.approvals.get(&asked.approval);
    let open = approval.is_some_and(|open| open.digest == asked.digest && book.booked_at < open.expires_at);
    if !open {
        return Err(Refusal::ApprovalClosed);
    }
    let item = book
        .rail
        .items
        .get(&asked.item)
        .filter(|item| item.currency == asked.currency)
        .ok_or(Refusal::SuspenseNotFound)?;
    let item = item
        .resolve(asked.id)
        .map_err(|crate::rail::Resolved| Refusal::SuspenseClosed)?;
    let suspense = SystemAccount::Suspense.id(item.currency);
    let amount = item.amount.minor();
    let own = check_target(book, asked, &item)?;
    let bank = book.accounts.get(&suspense).ok_or(Refusal::AccountNotFound)?;
    let (kind, from, to) = match item.direction {
        Direction::Credit => {
            own.balance.checked_add(amount).ok_or(Refusal::BalanceOverflow)?;
            bank.balance.checked_sub(amount).ok_or(Refusal::BalanceOverflow)?;
            (TransactionKind::Deposit, suspense, asked.account)
        }
        Direction::Debit => {
            check_funds(own, amount)?;
            bank.balance.checked_add(amount).ok_or(Refusal::BalanceOverflow)?;
            (TransactionKind::Withdrawal, asked.account, suspense)
        }
    };
    let posting = Posting {
        id: asked.id,
        kind,
        from,
        to: Some(to),
        amount: item.amount,
        currency: item.currency,
        value_date: None,
        memo: None,
        salt: asked.salt,
    };
    let (transaction, digest) = book_posting(book, changes, command, &posting, from, to)?;
    book.rail.items.insert(item.id, item);
    book.payments.approvals.remove(&asked.approval);
    let resolved = (asked.id, asked.approval);
    changes.rail.resolved.insert(item.id, resolved);
    changes.payments.decided.push(Decided {
        approval: asked.approval,
        digest: asked.digest,
        checker: asked.checker,
        sealed_reason: asked.sealed_reason.clone(),
    });
    Ok(Effect {
        resource: *asked.id.as_bytes(),
        details: Details::resolved(&digest, asked.approval, asked.item),
        done: Done::Posted(transaction),
    })
}

/// A customer's account, never of one of the two who agreed, or the bank's own money.
fn check_target<'a>(book: &'a Book, asked: &Resolve, item: &SuspenseItem) -> Result<&'a Account, Refusal> {
    let own = book
        .accounts
        .get(&asked.account)
        .ok_or(Refusal::AccountNotFound)?;
    match own.kind {
        AccountKind::Customer(_) | AccountKind::System(SystemAccount::Equity) => {}
        AccountKind::System(_) => return Err(Refusal::AccountNotFound),
    }
    if own.owner.is_some() && [Some(asked.checker), asked.maker].contains(&own.owner) {
        return Err(Refusal::ReviewNotYours);
    }
    if own.closed {
        return Err(Refusal::AccountClosed);
    }
    if own.currency != item.currency {
        return Err(Refusal::CurrencyMismatch);
    }
    Ok(own)
}
