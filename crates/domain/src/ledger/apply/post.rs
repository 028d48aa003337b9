//! Moving money between two accounts.

use super::{Decision, Done, Effect, may_touch};
use crate::{
    account::{Account, AccountKind, SystemAccount},
    action::Action,
    audit::Details,
    id::AccountId,
    ledger::{
        book::{Book, Changes, SealedText},
        command::{Command, Posting},
        refusal::Refusal,
    },
    time::Timestamp,
    transaction::{Entry, Transaction, TransactionKind, entries_digest},
};

pub(super) fn post(book: &mut Book, changes: &mut Changes, command: &Command, posting: &Posting) -> Decision {
    let (from, to) = check_post(book, command, posting)?;
    let amount = posting.amount.minor();
    let first_entry = book.next_entry;
    let last_entry = first_entry.checked_add(1).ok_or(Refusal::BalanceOverflow)?;
    let lines = [
        (from, amount.saturating_neg(), first_entry),
        (to, amount, last_entry),
    ];
    if command.dry_run {
        // The transaction as it would have been, booked nowhere.
        let transaction = transaction_of(book, posting, to, first_entry, last_entry);
        return Ok(Effect {
            resource: *posting.id.as_bytes(),
            details: Details::none(),
            done: Done::Posted(transaction),
        });
    }
    let booked_at = book.booked_at;
    let mut entries = Vec::with_capacity(2);
    for (id, signed_amount, entry_id) in lines {
        let account = book.accounts.get_mut(&id).ok_or(Refusal::AccountNotFound)?;
        entries.push(append_entry(
            account,
            entry_id,
            last_entry,
            signed_amount,
            booked_at,
        ));
        changes.touched.insert(id);
    }
    assert!(
        entries.iter().map(|entry| i128::from(entry.amount)).sum::<i128>() == 0,
        "a transaction must sum to zero"
    );
    book.next_entry = last_entry.saturating_add(1);
    let transaction = transaction_of(book, posting, to, first_entry, last_entry);
    let details = Details::transaction(&transaction.digest(&entries_digest(&posting.salt, &entries)));
    changes.entries.extend(entries);
    changes.transactions.push(transaction.clone());
    if let Some(memo) = &posting.memo {
        changes.memos.push(SealedText {
            transaction: posting.id,
            person: memo.person,
            sealed: memo.sealed.clone(),
        });
    }
    Ok(Effect {
        resource: *posting.id.as_bytes(),
        details,
        done: Done::Posted(transaction),
    })
}

fn transaction_of(
    book: &Book,
    posting: &Posting,
    to: AccountId,
    first_entry: i64,
    last_entry: i64,
) -> Transaction {
    Transaction {
        id: posting.id,
        first_entry,
        last_entry,
        kind: posting.kind,
        from_account: posting.from,
        to_account: to,
        amount: posting.amount,
        currency: posting.currency,
        booked_at: book.booked_at,
        value_date: posting.value_date.unwrap_or(book.today),
        memo: posting.memo.as_ref().map(|memo| memo.commitment),
        salt: posting.salt,
        record: book.next_record,
    }
}

/// The customer's account that the caller acts on: the payer, or who brings cash.
pub(super) fn own_side(posting: &Posting) -> Option<AccountId> {
    match posting.kind {
        TransactionKind::Transfer | TransactionKind::Withdrawal => Some(posting.from),
        TransactionKind::Deposit => posting.to,
    }
}

const fn action_of(kind: TransactionKind) -> Action {
    match kind {
        TransactionKind::Transfer => Action::TransferCreate,
        TransactionKind::Deposit => Action::DepositCreate,
        TransactionKind::Withdrawal => Action::WithdrawalCreate,
    }
}

/// The checks of a movement, own side first: whoever cannot pay learns nothing about the payee.
fn check_post(book: &Book, command: &Command, posting: &Posting) -> Result<(AccountId, AccountId), Refusal> {
    // A permit for one kind of movement moves nothing of another kind.
    if command.authority.action != action_of(posting.kind) {
        return Err(Refusal::AccountNotFound);
    }
    let own_is_from = posting.kind != TransactionKind::Deposit;
    let own_id = own_side(posting).ok_or(Refusal::AccountNotFound)?;
    let own = book.accounts.get(&own_id).ok_or(Refusal::AccountNotFound)?;
    if !may_touch(command.authority.scope, own) || own.owner.is_none() {
        return Err(Refusal::AccountNotFound);
    }
    if posting.to == Some(posting.from) {
        return Err(Refusal::SameAccount);
    }
    if own.closed {
        return Err(Refusal::AccountClosed);
    }
    let frozen = if own_is_from {
        own.freezes.stops_debits()
    } else {
        own.freezes.stops_credits()
    };
    if frozen {
        return Err(Refusal::AccountFrozen);
    }
    if own.currency != posting.currency {
        return Err(Refusal::CurrencyMismatch);
    }
    let amount = posting.amount.minor();
    let (other_id, absent) = if own_is_from {
        check_funds(own, amount)?;
        (posting.to, Refusal::PayeeUnavailable)
    } else {
        own.balance.checked_add(amount).ok_or(Refusal::BalanceOverflow)?;
        (Some(posting.from), Refusal::AccountNotFound)
    };
    let other_id = other_id.ok_or(absent)?;
    let other = book.accounts.get(&other_id).ok_or(absent)?;
    check_other_side(other, posting, own_is_from)?;
    // The keys under which both were found, so that booking finds both again: a half-booked movement cannot be.
    if own_is_from {
        Ok((own_id, other_id))
    } else {
        Ok((other_id, own_id))
    }
}

fn check_funds(account: &Account, amount: i64) -> Result<(), Refusal> {
    account
        .balance
        .checked_sub(amount)
        .ok_or(Refusal::BalanceOverflow)?;
    match account.spendable() {
        Some(spendable) if spendable < amount => Err(Refusal::InsufficientFunds),
        _ => Ok(()),
    }
}

fn check_other_side(other: &Account, posting: &Posting, credited: bool) -> Result<(), Refusal> {
    let amount = posting.amount.minor();
    let stopped = if credited {
        other.freezes.stops_credits()
    } else {
        other.freezes.stops_debits()
    };
    let room = if credited {
        other.balance.checked_add(amount)
    } else {
        other.balance.checked_sub(amount)
    };
    if other.closed || stopped || other.currency != posting.currency || room.is_none() {
        return Err(Refusal::PayeeUnavailable);
    }
    // A transfer pays a customer; cash moves between a customer and a till.
    let wanted = match posting.kind {
        TransactionKind::Transfer => other.owner.is_some(),
        TransactionKind::Deposit | TransactionKind::Withdrawal => {
            other.kind == AccountKind::System(SystemAccount::Cash)
        }
    };
    if wanted {
        Ok(())
    } else {
        Err(Refusal::PayeeUnavailable)
    }
}

fn append_entry(
    account: &mut Account,
    id: i64,
    transaction: i64,
    amount: i64,
    booked_at: Timestamp,
) -> Entry {
    // Room was checked before; saturating keeps release builds from wrapping, the assertion from going on.
    let balance = account.balance.saturating_add(amount);
    assert!(
        balance.saturating_sub(amount) == account.balance,
        "a checked balance cannot overflow"
    );
    assert!(
        booked_at >= account.last_booked_at,
        "time never goes back in an account"
    );
    let links = account.path.push(id);
    account.balance = balance;
    account.entries = account.entries.saturating_add(1);
    account.last_booked_at = booked_at;
    Entry {
        id,
        transaction,
        account: account.id,
        sequence: account.entries,
        amount,
        currency: account.currency,
        balance_after: balance,
        booked_at,
        prev: links.prev,
        jump: links.jump,
    }
}
