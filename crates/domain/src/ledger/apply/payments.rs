//! Paying merchants, giving back, and taking back for the bank.
//!
//! Everything that gives back of a payment locks both of its accounts first, so that what is left of it is counted by
//! one batch at a time; a payment locks its payee's account, so that of two that look alike the later one sees the
//! earlier.

use super::{
    Decision, Done, Effect, may_touch,
    post::{book_posting, check_funds, check_own, check_payee, check_post, paid},
};
use crate::{
    account::{Account, AccountKind, SystemAccount},
    action::Action,
    audit::Details,
    ledger::{
        book::{Book, Changes},
        bounds::{self, Moved},
        command::{Command, Posting},
        payments::{Decided, Earlier, NewPayment, NewReversal, Refund, Refunded, Reversal},
        refusal::Refusal,
        scrutiny, spending,
    },
    payment::{DUPLICATE_WINDOW_SECS, Payment, PaymentError},
    transaction::TransactionKind,
};

impl From<PaymentError> for Refusal {
    fn from(error: PaymentError) -> Self {
        match error {
            PaymentError::Closed => Self::PaymentClosed,
            PaymentError::TooMuch => Self::ExceedsPayment,
        }
    }
}

/// The payment of a moment ago that this one looks like, and that the caller did not say it knows of.
pub(super) fn duplicate_of(book: &Book, new: &NewPayment) -> Option<Earlier> {
    let earlier = book.payments.alike.get(&new.alike()?)?;
    let known = book.payments.payments.get(&earlier.id);
    let given_back = known.is_some_and(|payment| payment.left() == 0);
    let over = book.booked_at >= earlier.paid_at.plus_seconds(DUPLICATE_WINDOW_SECS);
    (!given_back && !over && new.confirmed != Some(earlier.id)).then_some(*earlier)
}

pub(super) fn pay(book: &mut Book, changes: &mut Changes, command: &Command, new: &NewPayment) -> Decision {
    let posting = &new.posting;
    bounds::check(book, command, &Moved::of(posting))?;
    if posting.kind != TransactionKind::Payment {
        return Err(Refusal::AccountNotFound);
    }
    let (from, to) = check_post(book, command, posting)?;
    let owner = book.accounts.get(&from).and_then(|account| account.owner);
    if owner != Some(new.payer) {
        return Err(Refusal::AccountNotFound);
    }
    if duplicate_of(book, new).is_some() {
        return Err(Refusal::DuplicateSuspected);
    }
    if let Some(paid) = paid(posting) {
        scrutiny::admit(book, changes, command, posting.id, &paid, posting.amount)?;
    }
    let payment = Payment::new(new, to, book.booked_at);
    let resource = *payment.id.as_bytes();
    if command.dry_run {
        return Ok(Effect {
            resource,
            details: Details::none(),
            done: Done::Paid(payment),
        });
    }
    bounds::charge(book, changes, command, &Moved::of(posting));
    if let Some(paid) = paid(posting) {
        spending::charge(book, changes, command, &paid);
    }
    let (_, digest) = book_posting(book, changes, command, posting, from, to)?;
    let earlier = Earlier {
        id: payment.id,
        paid_at: payment.paid_at,
    };
    book.payments
        .alike
        .extend(new.alike().map(|alike| (alike, earlier)));
    book.payments.payments.insert(payment.id, payment.clone());
    changes.payments.paid.insert(payment.id);
    Ok(Effect {
        resource,
        details: Details::paid(&digest, payment.amount.minor(), &payment),
        done: Done::Paid(payment),
    })
}

pub(super) fn refund(book: &mut Book, changes: &mut Changes, command: &Command, asked: &Refund) -> Decision {
    let (payment, posting) = check_refund(book, command, asked)?;
    bounds::check(book, command, &Moved::back(&posting))?;
    let refunded = Refunded {
        transaction: asked.id,
        payment: payment.id,
        amount: posting.amount,
        refunded: payment.refunded,
        at: book.booked_at,
    };
    let resource = *asked.id.as_bytes();
    if command.dry_run {
        return Ok(Effect {
            resource,
            details: Details::none(),
            done: Done::Refunded(refunded, payment),
        });
    }
    bounds::charge(book, changes, command, &Moved::back(&posting));
    let (_, digest) = book_posting(
        book,
        changes,
        command,
        &posting,
        payment.to_account,
        payment.account,
    )?;
    changes.payments.refunds.push(refunded);
    put(book, changes, payment.clone());
    Ok(Effect {
        resource,
        details: Details::paid(&digest, posting.amount.minor(), &payment),
        done: Done::Refunded(refunded, payment),
    })
}

/// Who was paid gives back, to the account that paid, out of the account that was paid.
fn check_refund(book: &Book, command: &Command, asked: &Refund) -> Result<(Payment, Posting), Refusal> {
    let meant = asked.payment;
    let payments = &book.payments.payments;
    let payment = payments.get(&meant.id).ok_or(Refusal::PaymentNotFound)?;
    let merchant = book.accounts.get(&meant.to).ok_or(Refusal::PaymentNotFound)?;
    let payer = book
        .accounts
        .get(&meant.account)
        .ok_or(Refusal::PaymentNotFound)?;
    let allowed = command.authority.action == Action::PaymentRefund
        && (payment.account, payment.to_account) == (meant.account, meant.to)
        && may_touch(command.authority.scope, merchant)
        && merchant.owner.is_some();
    if !allowed {
        return Err(Refusal::PaymentNotFound);
    }
    let (payment, amount) = payment.clone().refund(asked.amount)?;
    check_own(merchant, merchant.freezes.stops_debits(), payment.currency)?;
    check_funds(merchant, amount.minor())?;
    check_payee(payer, payment.currency, amount.minor())?;
    let posting = Posting {
        id: asked.id,
        kind: TransactionKind::Refund,
        from: merchant.id,
        to: Some(payer.id),
        amount,
        currency: payment.currency,
        value_date: None,
        memo: asked.memo.clone(),
        salt: asked.salt,
    };
    Ok((payment, posting))
}

/// Takes a changed payment back into the book.
fn put(book: &mut Book, changes: &mut Changes, payment: Payment) {
    if !changes.payments.paid.contains(&payment.id) {
        changes.payments.changed.insert(payment.id);
    }
    book.payments.payments.insert(payment.id, payment);
}

pub(super) fn reverse(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    new: &NewReversal,
) -> Decision {
    let (payment, posting) = check_reversal(book, command, new)?;
    let reversal = Reversal {
        of: new.of,
        id: new.id,
        approval: new.approval,
    };
    let (transaction, digest) = book_posting(book, changes, command, &posting, new.from, new.to)?;
    let moved = posting.amount.minor();
    let details = Details::reversed(&digest, &reversal, moved, payment.as_ref());
    payment
        .into_iter()
        .for_each(|payment| put(book, changes, payment));
    book.payments.reversals.insert(new.of);
    book.payments.approvals.remove(&new.approval);
    changes.payments.reversals.push(reversal);
    changes.payments.decided.push(Decided {
        approval: new.approval,
        digest: new.digest,
        checker: new.checker,
        sealed_reason: new.sealed_reason.clone(),
    });
    Ok(Effect {
        resource: *new.id.as_bytes(),
        details,
        done: Done::Posted(transaction),
    })
}

/// The bank corrects what should not have been booked: a freeze does not stop it, on neither side. Closed accounts
/// stay closed, and nobody is brought below the floor: where the money is gone, there is nothing to take back.
fn check_reversal(
    book: &Book,
    command: &Command,
    new: &NewReversal,
) -> Result<(Option<Payment>, Posting), Refusal> {
    // Nothing is ever booked from an account to itself, so there is nothing to take back of that.
    if command.authority.action != Action::TransferReverse || command.dry_run || new.from == new.to {
        return Err(Refusal::NotReversible);
    }
    let approval = book.payments.approvals.get(&new.approval);
    let open = approval.is_some_and(|open| open.digest == new.digest && book.booked_at < open.expires_at);
    if !open {
        return Err(Refusal::ApprovalClosed);
    }
    if book.payments.reversals.contains(&new.of) {
        return Err(Refusal::AlreadyReversed);
    }
    let (payment, amount) = match (new.kind, new.payment()) {
        (TransactionKind::Refund | TransactionKind::Reversal, _) => return Err(Refusal::NotReversible),
        (_, Some(id)) => {
            let payment = book.payments.payments.get(&id).ok_or(Refusal::NotReversible)?;
            let (payment, left) = payment.clone().reverse()?;
            (Some(payment), left)
        }
        _ => (None, new.amount),
    };
    let from = book.accounts.get(&new.from).ok_or(Refusal::NotReversible)?;
    let to = book.accounts.get(&new.to).ok_or(Refusal::NotReversible)?;
    // What is on the clearing account is what the bank's own bank says.
    let cash_only = matches!(new.kind, TransactionKind::Deposit | TransactionKind::Withdrawal);
    let is_cash = |side: &Account| side.kind == AccountKind::System(SystemAccount::Cash);
    if cash_only && !is_cash(from) && !is_cash(to) {
        return Err(Refusal::NotReversible);
    }
    check_side(from, new)?;
    check_side(to, new)?;
    match from.kind {
        AccountKind::Customer(_) => check_funds(from, amount.minor())?,
        AccountKind::System(_) => {
            from.balance
                .checked_sub(amount.minor())
                .ok_or(Refusal::BalanceOverflow)?;
        }
    }
    to.balance
        .checked_add(amount.minor())
        .ok_or(Refusal::BalanceOverflow)?;
    let posting = Posting {
        id: new.id,
        kind: TransactionKind::Reversal,
        from: new.from,
        to: Some(new.to),
        amount,
        currency: new.currency,
        value_date: None,
        memo: None,
        salt: new.salt,
    };
    Ok((payment, posting))
}

fn check_side(side: &Account, new: &NewReversal) -> Result<(), Refusal> {
    if side.closed {
        Err(Refusal::AccountClosed)
    } else if side.currency == new.currency {
        Ok(())
    } else {
        Err(Refusal::NotReversible)
    }
}
