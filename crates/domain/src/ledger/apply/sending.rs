//! Paying beneficiaries, and taking back what has not left.

use super::{
    Decision, Done, Effect, may_touch,
    post::{book_posting, check_funds, check_own, check_payee},
};
use crate::{
    account::{Account, AccountKind, SystemAccount},
    action::Action,
    audit::Details,
    beneficiary::{Beneficiary, BeneficiaryError, LastPaid},
    id::{AccountId, PaymentId},
    ledger::{
        book::{Book, Changes},
        bounds::{self, Moved},
        command::{Command, Posting},
        refusal::Refusal,
        scrutiny,
        sending::{Cancel, NewSending},
        spending::{self, Paid},
    },
    limits::LimitClass,
    outgoing::{Outgoing, OutgoingError},
    transaction::TransactionKind,
};

impl From<BeneficiaryError> for Refusal {
    fn from(error: BeneficiaryError) -> Self {
        match error {
            BeneficiaryError::TooNew => Self::BeneficiaryTooNew,
            BeneficiaryError::TooMuch => Self::OverBeneficiaryLimit,
        }
    }
}

impl From<OutgoingError> for Refusal {
    fn from(_: OutgoingError) -> Self {
        Self::PaymentLeft
    }
}

/// The payment of a moment ago that this one looks like, and that the caller did not say it knows of.
pub(super) fn duplicate_of(book: &Book, new: &NewSending) -> Option<PaymentId> {
    let known = book.sending.beneficiaries.get(&new.beneficiary)?;
    known
        .alike(new.posting.amount, book.booked_at)
        .filter(|earlier| new.confirmed != Some(*earlier))
}

pub(super) fn send(book: &mut Book, changes: &mut Changes, command: &Command, new: &NewSending) -> Decision {
    let posting = &new.posting;
    bounds::check(book, command, &Moved::of(posting))?;
    let (beneficiary, to, paid) = check_sending(book, command, new)?;
    if duplicate_of(book, new).is_some() {
        return Err(Refusal::DuplicateSuspected);
    }
    scrutiny::admit(book, changes, command, posting.id, &paid, posting.amount)?;
    let payment = Outgoing::new(new, beneficiary.account, book.booked_at);
    let resource = *payment.id.as_bytes();
    if command.dry_run {
        return Ok(Effect {
            resource,
            details: Details::none(),
            done: Done::Sent(payment),
        });
    }
    bounds::charge(book, changes, command, &Moved::of(posting));
    spending::charge(book, changes, command, &paid);
    let (_, digest) = book_posting(book, changes, command, posting, posting.from, to)?;
    let last = LastPaid {
        id: payment.id,
        amount: payment.amount,
        at: book.booked_at,
    };
    let known = &mut book.sending;
    known.beneficiaries.insert(beneficiary.id, beneficiary.pay(last));
    known.outgoing.insert(payment.id, payment.clone());
    changes.sending.beneficiaries.insert(payment.beneficiary);
    changes.sending.sent.insert(payment.id);
    Ok(Effect {
        resource,
        details: Details::sent(&digest, &payment),
        done: Done::Sent(payment),
    })
}

/// The own side first, then who is paid, as everywhere. Gives back who is paid, the account credited, and what limits
/// count.
fn check_sending(
    book: &Book,
    command: &Command,
    new: &NewSending,
) -> Result<(Beneficiary, AccountId, Paid), Refusal> {
    let posting = &new.posting;
    let own = book
        .accounts
        .get(&posting.from)
        .filter(|own| {
            command.authority.action == Action::PaymentCreate
                && may_touch(command.authority.scope, own)
                && own.owner == Some(new.payer)
        })
        .ok_or(Refusal::AccountNotFound)?;
    let known = book.sending.beneficiaries.get(&new.beneficiary);
    let beneficiary = known
        .filter(|known| known.owner == new.payer && !known.removed)
        .ok_or(Refusal::BeneficiaryNotFound)?;
    if posting.to == Some(posting.from) {
        return Err(Refusal::SameAccount);
    }
    check_own(own, own.freezes.stops_debits(), posting.currency)?;
    let amount = posting.amount.minor();
    check_funds(own, amount)?;
    if beneficiary.currency != posting.currency {
        return Err(Refusal::CurrencyMismatch);
    }
    let (class, kind, meant) = match beneficiary.account {
        Some(account) => (LimitClass::Transfers, TransactionKind::Transfer, account),
        None => {
            let clearing = SystemAccount::Clearing.id(posting.currency);
            (LimitClass::Outgoing, TransactionKind::Payment, clearing)
        }
    };
    let paid = Paid {
        from: posting.from,
        to: Some(meant),
        amount,
        class,
    };
    spending::check(book, command, &paid)?;
    let limits = book.limits.get(&(new.payer, posting.currency));
    let floor = limits.and_then(|limits| limits.floor_until(book.booked_at));
    beneficiary.check(&book.rules.ramp, posting.amount, floor, book.booked_at)?;
    if (posting.kind, posting.to) != (kind, Some(meant)) {
        return Err(Refusal::PayeeUnavailable);
    }
    let other = book.accounts.get(&meant).ok_or(Refusal::PayeeUnavailable)?;
    match beneficiary.account {
        Some(_) => check_payee(other, posting.currency, amount)?,
        None => check_clearing(other, posting, amount)?,
    }
    Ok((beneficiary.clone(), meant, paid))
}

fn check_clearing(other: &Account, posting: &Posting, amount: i64) -> Result<(), Refusal> {
    let fits = other.kind == AccountKind::System(SystemAccount::Clearing)
        && other.currency == posting.currency
        && other.balance.checked_add(amount).is_some();
    fits.then_some(()).ok_or(Refusal::PayeeUnavailable)
}

/// Gives the payer back what has not left. A freeze does not stop it: nothing leaves.
pub(super) fn cancel(book: &mut Book, changes: &mut Changes, command: &Command, asked: &Cancel) -> Decision {
    let own = book.accounts.get(&asked.account);
    let payment = book.sending.outgoing.get(&asked.payment);
    let (own, payment) = own
        .zip(payment)
        .filter(|(own, payment)| {
            command.authority.action == Action::PaymentCancel
                && may_touch(command.authority.scope, own)
                && payment.account == own.id
                && payment.to_account.is_none()
                && asked.clearing == SystemAccount::Clearing.id(payment.currency)
        })
        .ok_or(Refusal::PaymentNotFound)?;
    let payment = payment.clone().cancel(book.booked_at)?;
    let amount = payment.amount.minor();
    let clearing = book
        .accounts
        .get(&asked.clearing)
        .ok_or(Refusal::PaymentNotFound)?;
    if own.closed {
        return Err(Refusal::AccountClosed);
    }
    own.balance.checked_add(amount).ok_or(Refusal::BalanceOverflow)?;
    clearing
        .balance
        .checked_sub(amount)
        .ok_or(Refusal::BalanceOverflow)?;
    let resource = *payment.id.as_bytes();
    if command.dry_run {
        return Ok(Effect {
            resource,
            details: Details::none(),
            done: Done::Sent(payment),
        });
    }
    let posting = Posting {
        id: asked.id,
        kind: TransactionKind::Refund,
        from: asked.clearing,
        to: Some(asked.account),
        amount: payment.amount,
        currency: payment.currency,
        value_date: None,
        memo: None,
        salt: asked.salt,
    };
    let (_, digest) = book_posting(book, changes, command, &posting, asked.clearing, asked.account)?;
    spending::take_back(book, changes, &payment);
    put(book, changes, payment.clone());
    Ok(Effect {
        resource,
        details: Details::sent(&digest, &payment),
        done: Done::Sent(payment),
    })
}

/// Takes a changed payment back into the book.
pub(super) fn put(book: &mut Book, changes: &mut Changes, payment: Outgoing) {
    if !changes.sending.sent.contains(&payment.id) {
        changes.sending.changed.insert(payment.id);
    }
    book.sending.outgoing.insert(payment.id, payment);
}
