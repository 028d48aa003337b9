//! What a customer may pay at most: what oneself, operators and two people say.

use super::{Decision, Done, Effect, may_touch};
use crate::{
    account::Account,
    action::Action,
    audit::Details,
    id::{AccountId, ApprovalId, UserId},
    ledger::{
        book::{Book, Changes},
        command::{Command, NewAllowance, NewException, NewLimits, Owned},
        consent::{self, Consent},
        refusal::Refusal,
        spending::{mark, moment},
    },
    limits::{Caps, CustomerLimits, Exception, LimitClass, Raise, TooManyAccounts},
    money::Currency,
};

/// What a customer allows oneself: lower at once, higher with a fresh factor and after a while.
pub(super) fn limit(book: &mut Book, changes: &mut Changes, command: &Command, new: NewLimits) -> Decision {
    let account = book
        .accounts
        .get(&new.account)
        .filter(|account| {
            command.authority.action == Action::LimitsChange && may_touch(command.authority.scope, account)
        })
        .ok_or(Refusal::AccountNotFound)?;
    let owner = account.owner.ok_or(Refusal::AccountNotFound)?;
    if account.closed {
        return Err(Refusal::AccountClosed);
    }
    let (key, now) = ((owner, account.currency), moment(book));
    let known = book.limits.get(&key).ok_or(Refusal::AccountNotFound)?;
    if new.of_account {
        let known = *known;
        return limit_account(book, changes, command, new, key, known);
    }
    if !new.may_raise && known.would_raise(new.caps, now.at) {
        return Err(Refusal::RaiseNotApproved);
    }
    let mut next = *known;
    next.set_own(new.caps, now.at);
    if !command.dry_run {
        book.limits.insert(key, next);
        mark(changes, key);
    }
    Ok(Effect {
        resource: *new.account.as_bytes(),
        details: Details::json(&limits_json("", next.own(now.at), next.raise(now.at), key)),
        done: Done::Limited(Box::new(next)),
    })
}

/// What an owner allows one account, in the same way.
fn limit_account(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    new: NewLimits,
    key: (UserId, Currency),
    customer: CustomerLimits,
) -> Decision {
    let now = moment(book);
    let mut next = book.account_limits.get(&key).cloned().unwrap_or_default();
    if !new.may_raise && next.would_raise(new.account, new.caps, now.at) {
        return Err(Refusal::RaiseNotApproved);
    }
    let spent = customer.spent(LimitClass::All, now);
    next.set(new.account, new.caps, spent, now)
        .map_err(|TooManyAccounts| Refusal::TooManyLimits)?;
    let own = next.own(new.account, now.at);
    let raise = next.raise(new.account, now.at);
    if !command.dry_run {
        book.account_limits.insert(key, next);
        mark(changes, key);
    }
    Ok(Effect {
        resource: *new.account.as_bytes(),
        details: Details::json(&limits_json("account", own, raise, key)),
        done: Done::Limited(Box::new(customer)),
    })
}

/// A customer's account that an operator decides about, and whose limits in which currency that is.
fn of_customer<'a>(
    book: &'a Book,
    command: &Command,
    action: Action,
    account: AccountId,
) -> Result<(&'a Account, (UserId, Currency)), Refusal> {
    let authority = &command.authority;
    if authority.action != action || authority.scope != Owned::ByAnyone {
        return Err(Refusal::AccountNotFound);
    }
    let account = book.accounts.get(&account).ok_or(Refusal::AccountNotFound)?;
    let owner = account.owner.ok_or(Refusal::AccountNotFound)?;
    Ok((account, (owner, account.currency)))
}

/// Lets a customer pay more than the bank's rules do until a moment, by two people; ends that by one.
pub(super) fn except(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    new: &NewException,
) -> Decision {
    if command.dry_run {
        return Err(Refusal::AccountNotFound);
    }
    let (account, key) = of_customer(book, command, Action::LimitsExcept, new.account)?;
    if account.closed && new.exception.is_some() {
        return Err(Refusal::AccountClosed);
    }
    let now = moment(book);
    let known = book.limits.get(&key).ok_or(Refusal::AccountNotFound)?;
    match (&new.exception, &new.consent) {
        (None, None) => {}
        (Some(exception), Some(consent)) => {
            consent::check(book, consent)?;
            if known.exception(now.at) != new.before || exception.until <= now.at {
                return Err(Refusal::ApprovalStale);
            }
        }
        // More takes two people; less takes one.
        _ => return Err(Refusal::ApprovalClosed),
    }
    let mut next = *known;
    next.set_exception(new.exception);
    book.limits.insert(key, next);
    mark(changes, key);
    let approval = spent(book, changes, new.consent.as_ref());
    Ok(Effect {
        resource: *new.account.as_bytes(),
        details: Details::json(&exception_json(new.exception, approval, key)),
        done: Done::Limited(Box::new(next)),
    })
}

/// What operators allow a customer: less at once, more by two people, and nobody lets oneself have more.
pub(super) fn allow(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    new: &NewAllowance,
) -> Decision {
    if command.dry_run && new.consent.is_some() {
        return Err(Refusal::AccountNotFound);
    }
    let (account, key) = of_customer(book, command, Action::LimitsSet, new.account)?;
    if account.closed {
        return Err(Refusal::AccountClosed);
    }
    let known = book.limits.get(&key).ok_or(Refusal::AccountNotFound)?;
    match &new.consent {
        Some(consent) => {
            consent::check(book, consent)?;
            if consent.checker == key.0 {
                return Err(Refusal::ReviewNotYours);
            }
            if known.allowed() != new.before {
                return Err(Refusal::ApprovalStale);
            }
        }
        None if known.would_allow_more(new.caps) => return Err(Refusal::SecondPersonNeeded),
        None => {}
    }
    let mut next = *known;
    next.allow(new.caps);
    if !command.dry_run {
        book.limits.insert(key, next);
        mark(changes, key);
    }
    let approval = spent(book, changes, new.consent.as_ref());
    Ok(Effect {
        resource: *new.account.as_bytes(),
        details: Details::json(&allowed_json(new.caps, approval, key)),
        done: Done::Limited(Box::new(next)),
    })
}

/// The approval of two people, which this deed uses up.
fn spent(book: &mut Book, changes: &mut Changes, consent: Option<&Consent>) -> Option<ApprovalId> {
    let consent = consent?;
    consent::spend(book, changes, consent);
    Some(consent.approval)
}

/// Canonical JSON: keys sorted, no spaces.
fn allowed_json(
    caps: Caps,
    approval: Option<ApprovalId>,
    (customer, currency): (UserId, Currency),
) -> String {
    let approval = approval.map_or_else(|| "null".to_owned(), |id| format!(r#""{id}""#));
    format!(
        r#"{{"allowed":{},"approval":{approval},"currency":"{}","customer":"{customer}"}}"#,
        caps_json(caps),
        currency.code()
    )
}

/// Canonical JSON: keys sorted, no spaces.
fn exception_json(
    exception: Option<Exception>,
    approval: Option<ApprovalId>,
    (customer, currency): (UserId, Currency),
) -> String {
    let approval = approval.map_or_else(|| "null".to_owned(), |id| format!(r#""{id}""#));
    let exception = exception.map_or_else(
        || "null".to_owned(),
        |exception| {
            format!(
                r#"{{"limits":{},"until":{}}}"#,
                caps_json(exception.caps),
                exception.until.micros()
            )
        },
    );
    format!(
        r#"{{"approval":{approval},"currency":"{}","customer":"{customer}","exception":{exception}}}"#,
        currency.code()
    )
}

fn caps_json(caps: Caps) -> String {
    let number = |cap: Option<i64>| cap.map_or_else(|| "null".to_owned(), |cap| cap.to_string());
    format!(
        r#"{{"daily":{},"monthly":{},"per_transfer":{}}}"#,
        number(caps.daily),
        number(caps.monthly),
        number(caps.per_transfer)
    )
}

/// Canonical JSON: keys sorted, no spaces.
fn limits_json(
    of: &str,
    own: Caps,
    raise: Option<Raise>,
    (customer, currency): (UserId, Currency),
) -> String {
    let raise = raise.map_or_else(
        || "null".to_owned(),
        |raise| {
            format!(
                r#"{{"at":{},"limits":{}}}"#,
                raise.at.micros(),
                caps_json(raise.caps)
            )
        },
    );
    let of = match of {
        "" => String::new(),
        of => format!(r#","of":"{of}""#),
    };
    format!(
        r#"{{"currency":"{}","customer":"{customer}","limits":{}{of},"raise":{raise}}}"#,
        currency.code(),
        caps_json(own)
    )
}
