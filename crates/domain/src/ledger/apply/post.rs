//! Moving money between two accounts.

use super::{Decision, Done, Effect, may_touch, reviews::hold_back};
use crate::{
    account::{Account, AccountKind, SystemAccount},
    action::Action,
    audit::Details,
    fraud::Verdict,
    id::AccountId,
    ledger::{
        book::{Book, Changes, SealedText},
        bounds::{self, Moved},
        command::{ApprovedCash, Command, Posting},
        consent,
        refusal::Refusal,
        scrutiny,
        spending::{self, Paid},
    },
    limits::LimitClass,
    money::Currency,
    time::Timestamp,
    transaction::{Entry, Transaction, TransactionKind, entries_digest},
};

pub(super) fn post(book: &mut Book, changes: &mut Changes, command: &Command, posting: &Posting) -> Decision {
    bounds::check(book, command, &Moved::of(posting))?;
    // What belongs to a hold, a payment or an approval moves by its own verb only.
    if !matches!(
        posting.kind,
        TransactionKind::Transfer | TransactionKind::Deposit | TransactionKind::Withdrawal
    ) {
        return Err(Refusal::AccountNotFound);
    }
    let (from, to) = check_post(book, command, posting)?;
    let is_cash = posting.kind != TransactionKind::Transfer;
    if is_cash && book.rules.takes_two(posting.amount.minor(), posting.currency) {
        return Err(Refusal::SecondPersonNeeded);
    }
    if let Some(paid) = paid(posting) {
        let judged = scrutiny::judge(book, command, &paid, posting.amount);
        scrutiny::count(book, changes, command, posting.id, &judged);
        let verdict = scrutiny::verdict(book, command, &judged);
        scrutiny::note(
            book,
            changes,
            command,
            posting.id,
            &paid,
            posting.amount,
            &judged,
            verdict,
        );
        if let Some(refusal) = scrutiny::refusal_of(verdict) {
            return Err(refusal);
        }
        // A dry run tells what is in order, not what somebody would look at: that would be a way to try rules out.
        if verdict == Verdict::Review && !command.dry_run {
            return hold_back(book, changes, command, posting, (from, to), (&paid, &judged));
        }
    }
    let first_entry = book.next_entry;
    let last_entry = first_entry.checked_add(1).ok_or(Refusal::BalanceOverflow)?;
    if command.dry_run {
        // The transaction as it would have been, booked nowhere.
        let transaction = transaction_of(book, posting, to, first_entry, last_entry);
        return Ok(Effect {
            resource: *posting.id.as_bytes(),
            details: Details::none(),
            done: Done::Posted(transaction),
        });
    }
    bounds::charge(book, changes, command, &Moved::of(posting));
    if let Some(paid) = paid(posting) {
        spending::charge(book, changes, command, &paid);
    }
    let (transaction, digest) = book_posting(book, changes, command, posting, from, to)?;
    Ok(Effect {
        resource: *posting.id.as_bytes(),
        details: Details::transaction(&digest),
        done: Done::Posted(transaction),
    })
}

/// Books cash that somebody asked for and somebody else approves.
pub(super) fn cash(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    new: &ApprovedCash,
) -> Decision {
    let posting = &new.posting;
    let is_cash = matches!(
        posting.kind,
        TransactionKind::Deposit | TransactionKind::Withdrawal
    );
    if command.authority.action != Action::CashDecide || command.dry_run || !is_cash {
        return Err(Refusal::AccountNotFound);
    }
    bounds::check(book, command, &Moved::of(posting))?;
    consent::check(book, &new.consent)?;
    let (from, to) = check_sides(book, command, posting)?;
    bounds::charge(book, changes, command, &Moved::of(posting));
    let (transaction, digest) = book_posting(book, changes, command, posting, from, to)?;
    consent::spend(book, changes, &new.consent);
    Ok(Effect {
        resource: *posting.id.as_bytes(),
        details: Details::approved(&digest, new.consent.approval),
        done: Done::Posted(transaction),
    })
}

/// Books a movement that was checked, with its text. Tells the digest that the log binds it by.
pub(super) fn book_posting(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    posting: &Posting,
    from: AccountId,
    to: AccountId,
) -> Result<(Transaction, [u8; 32]), Refusal> {
    let entries = append_entries(book, changes, from, to, posting.amount.minor())?;
    let [first, last] = entries;
    let transaction = transaction_of(book, posting, to, first.id, last.id);
    let digest = transaction.digest(&entries_digest(&posting.salt, &entries));
    changes.entries.extend(entries);
    changes.transactions.push(transaction.clone());
    if let Some(memo) = &posting.memo {
        changes.memos.push(SealedText {
            transaction: posting.id,
            person: memo.person,
            sealed: memo.sealed.clone(),
        });
    }
    scrutiny::learn(book, changes, command.authority.network, &transaction);
    Ok((transaction, digest))
}

/// What limits count: cash does not, and what was reserved was counted then.
pub(super) fn paid(posting: &Posting) -> Option<Paid> {
    let class = match posting.kind {
        TransactionKind::Transfer => LimitClass::Transfers,
        TransactionKind::Payment => LimitClass::Payments,
        TransactionKind::Deposit
        | TransactionKind::Withdrawal
        | TransactionKind::Capture
        | TransactionKind::Refund
        | TransactionKind::Reversal => return None,
    };
    Some(Paid {
        from: posting.from,
        to: posting.to,
        amount: posting.amount.minor(),
        class,
    })
}

/// Books one amount out of one account into another: two entries, the debit first. Both must be there and have room.
pub(super) fn append_entries(
    book: &mut Book,
    changes: &mut Changes,
    from: AccountId,
    to: AccountId,
    amount: i64,
) -> Result<[Entry; 2], Refusal> {
    let first = book.next_entry;
    let last = first.checked_add(1).ok_or(Refusal::BalanceOverflow)?;
    let booked_at = book.booked_at;
    let mut append = |id, entry, amount: i64| {
        let account = book.accounts.get_mut(&id).ok_or(Refusal::AccountNotFound)?;
        changes.touched.insert(id);
        Ok::<Entry, Refusal>(append_entry(account, entry, last, amount, booked_at))
    };
    let entries = [
        append(from, first, amount.saturating_neg())?,
        append(to, last, amount)?,
    ];
    assert!(
        entries.iter().map(|entry| i128::from(entry.amount)).sum::<i128>() == 0,
        "a transaction must sum to zero"
    );
    book.next_entry = last.saturating_add(1);
    Ok(entries)
}

pub(super) fn transaction_of(
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
        TransactionKind::Deposit => posting.to,
        _ => Some(posting.from),
    }
}

const fn action_of(kind: TransactionKind) -> Action {
    match kind {
        TransactionKind::Transfer => Action::TransferCreate,
        TransactionKind::Deposit => Action::DepositCreate,
        TransactionKind::Withdrawal => Action::WithdrawalCreate,
        TransactionKind::Capture => Action::HoldCapture,
        TransactionKind::Payment => Action::PaymentCreate,
        TransactionKind::Refund => Action::PaymentRefund,
        TransactionKind::Reversal => Action::TransferReverse,
    }
}

/// The checks of a movement, own side first: whoever cannot pay learns nothing about the payee.
pub(super) fn check_post(
    book: &Book,
    command: &Command,
    posting: &Posting,
) -> Result<(AccountId, AccountId), Refusal> {
    // A permit for one kind of movement moves nothing of another kind.
    if command.authority.action != action_of(posting.kind) {
        return Err(Refusal::AccountNotFound);
    }
    check_sides(book, command, posting)
}

fn check_sides(book: &Book, command: &Command, posting: &Posting) -> Result<(AccountId, AccountId), Refusal> {
    let own_is_from = posting.kind != TransactionKind::Deposit;
    let own_id = own_side(posting).ok_or(Refusal::AccountNotFound)?;
    let own = book.accounts.get(&own_id).ok_or(Refusal::AccountNotFound)?;
    if !may_touch(command.authority.scope, own) || own.owner.is_none() {
        return Err(Refusal::AccountNotFound);
    }
    if posting.to == Some(posting.from) {
        return Err(Refusal::SameAccount);
    }
    let stopped = if own_is_from {
        own.freezes.stops_debits()
    } else {
        own.freezes.stops_credits()
    };
    check_own(own, stopped, posting.currency)?;
    let amount = posting.amount.minor();
    let (other_id, absent) = if own_is_from {
        check_funds(own, amount)?;
        paid(posting).map_or(Ok(()), |paid| spending::check(book, command, &paid))?;
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

/// The account of the caller's side.
pub(super) fn check_own(own: &Account, stopped: bool, currency: Currency) -> Result<(), Refusal> {
    if own.closed {
        Err(Refusal::AccountClosed)
    } else if stopped {
        Err(Refusal::AccountFrozen)
    } else if own.currency != currency {
        Err(Refusal::CurrencyMismatch)
    } else {
        Ok(())
    }
}

/// A customer's account that is to be paid.
pub(super) fn check_payee(payee: &Account, currency: Currency, amount: i64) -> Result<(), Refusal> {
    let ready = payee.owner.is_some()
        && !payee.closed
        && !payee.freezes.stops_credits()
        && payee.currency == currency
        && payee.balance.checked_add(amount).is_some();
    if ready {
        Ok(())
    } else {
        Err(Refusal::PayeeUnavailable)
    }
}

pub(super) fn check_funds(account: &Account, amount: i64) -> Result<(), Refusal> {
    account
        .balance
        .checked_sub(amount)
        .ok_or(Refusal::BalanceOverflow)?;
    match account.spendable() {
        Some(spendable) if spendable < amount => Err(Refusal::InsufficientFunds),
        _ => Ok(()),
    }
}

/// A transfer or payment pays a customer; cash moves between a customer and a till.
fn check_other_side(other: &Account, posting: &Posting, credited: bool) -> Result<(), Refusal> {
    let amount = posting.amount.minor();
    if matches!(posting.kind, TransactionKind::Transfer | TransactionKind::Payment) {
        return check_payee(other, posting.currency, amount);
    }
    let (stopped, room) = if credited {
        (other.freezes.stops_credits(), other.balance.checked_add(amount))
    } else {
        (other.freezes.stops_debits(), other.balance.checked_sub(amount))
    };
    let is_till = other.kind == AccountKind::System(SystemAccount::Cash);
    if is_till && !other.closed && !stopped && other.currency == posting.currency && room.is_some() {
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
