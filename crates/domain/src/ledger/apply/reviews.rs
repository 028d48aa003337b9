//! Transfers that wait for a look: their money is reserved, and goes, or stays, by one decision.

use super::{
    Decision, Done, Effect,
    holds::put,
    may_touch,
    post::{append_entries, check_own, check_payee, transaction_of},
};
use crate::{
    action::Action,
    audit::Details,
    fraud::{Judgement, Verdict},
    hold::{HOLDS_PER_ACCOUNT_MAX, Hold, HoldState, Take},
    id::{AccountId, HoldId},
    ledger::{
        book::{Book, Changes, SealedText},
        bounds::{self, Moved},
        command::{Command, Posting},
        refusal::Refusal,
        reviews::{DecideReview, DecidedReview, REVIEW_SECS, ReviewVerb},
        scrutiny,
        spending::{self, Paid},
    },
    transaction::{TransactionKind, entries_digest},
};

/// Reserves a transfer's money until somebody looked at it.
pub(super) fn hold_back(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    posting: &Posting,
    (from, to): (AccountId, AccountId),
    (paid, judged): (&Paid, &Judgement),
) -> Decision {
    let own = book.accounts.get(&from).ok_or(Refusal::AccountNotFound)?;
    if own.holds >= HOLDS_PER_ACCOUNT_MAX {
        return Err(Refusal::TooManyHolds);
    }
    let hold = Hold {
        id: posting.id.cast(),
        account: from,
        to_account: to,
        amount: posting.amount,
        currency: posting.currency,
        captured: 0,
        state: HoldState::Open,
        placed_at: book.booked_at,
        expires_at: book.booked_at.plus_seconds(REVIEW_SECS),
        closed_at: None,
        review: true,
    };
    let effect = Effect {
        resource: *posting.id.as_bytes(),
        details: Details::hold(&hold),
        done: Done::Reviewed(hold.clone()),
    };
    if command.dry_run {
        return Ok(effect);
    }
    bounds::charge(book, changes, command, &Moved::of(posting));
    spending::charge(book, changes, command, paid);
    if let Some(account) = book.accounts.get_mut(&from) {
        account.held = account.held.saturating_add(hold.reserved());
        account.holds = account.holds.saturating_add(1);
        let due = account.hold_due.unwrap_or(hold.expires_at);
        account.hold_due = Some(due.min(hold.expires_at));
        changes.touched.insert(from);
    }
    let sides = (from, Some(to));
    if let Some(mut review) =
        scrutiny::found(book, posting.id, sides, posting.amount, judged, Verdict::Review)
    {
        review.expires_at = Some(hold.expires_at);
        review.memo = posting.memo.as_ref().map(|memo| memo.commitment);
        review.value_date = posting.value_date;
        changes.fraud.filed.push(review);
    }
    if let Some(memo) = &posting.memo {
        changes.memos.push(SealedText {
            transaction: posting.id,
            person: memo.person,
            sealed: memo.sealed.clone(),
        });
    }
    changes.placed.insert(hold.id);
    book.holds.insert(hold.id, hold);
    Ok(effect)
}

/// Releases, rejects or cancels.
pub(super) fn decide_review(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    asked: &DecideReview,
) -> Decision {
    let id: HoldId = asked.id.cast();
    let hold = find(book, command, asked)?.clone();
    let decided = DecidedReview {
        id: asked.id,
        state: asked.verb.state(),
        by: asked.by,
        at: book.booked_at,
        sealed_reason: asked.sealed_reason.clone(),
    };
    if asked.verb != ReviewVerb::Release {
        let released = hold.reserved();
        let hold = hold.void(book.booked_at).map_err(|_| Refusal::ReviewClosed)?;
        spending::give_back(book, changes, &hold, released);
        put(book, changes, hold.clone(), released);
        changes.fraud.decided.push(decided);
        return Ok(Effect {
            resource: *id.as_bytes(),
            details: Details::hold(&hold),
            done: Done::Reviewed(hold),
        });
    }
    let take = Take {
        amount: None,
        last: true,
    };
    let taken = hold
        .capture(take, book.booked_at)
        .map_err(|_| Refusal::ReviewClosed)?;
    let own = book.accounts.get(&asked.account).ok_or(Refusal::ReviewNotFound)?;
    let payee = book.accounts.get(&asked.to).ok_or(Refusal::ReviewNotFound)?;
    check_own(own, own.freezes.stops_debits(), taken.hold.currency)?;
    let amount = taken.amount.minor();
    own.balance.checked_sub(amount).ok_or(Refusal::BalanceOverflow)?;
    check_payee(payee, taken.hold.currency, amount)?;
    let posting = Posting {
        id: asked.id,
        kind: TransactionKind::Transfer,
        from: asked.account,
        to: Some(asked.to),
        amount: taken.amount,
        currency: taken.hold.currency,
        value_date: asked.value_date,
        memo: None,
        salt: asked.salt,
    };
    let entries = append_entries(book, changes, asked.account, asked.to, amount)?;
    let [first, last] = entries;
    let mut transaction = transaction_of(book, &posting, asked.to, first.id, last.id);
    transaction.memo = asked.memo;
    let digest = transaction.digest(&entries_digest(&asked.salt, &entries));
    let details = Details::captured(&digest, &taken.hold);
    changes.entries.extend(entries);
    changes.transactions.push(transaction.clone());
    put(book, changes, taken.hold, taken.released);
    // Where the request came from was the customer's affair: an operator's network says nothing of theirs.
    scrutiny::learn(book, changes, None, &transaction);
    changes.fraud.decided.push(decided);
    Ok(Effect {
        resource: *asked.id.as_bytes(),
        details,
        done: Done::Posted(transaction),
    })
}

/// The hold that is meant, for whoever may decide about it: who sent it cancels, and nobody else; whoever releases or
/// rejects is neither who sent it nor who is paid, and of two the second.
fn find<'a>(book: &'a Book, command: &Command, asked: &DecideReview) -> Result<&'a Hold, Refusal> {
    let hold = book.holds.get(&asked.id.cast()).ok_or(Refusal::ReviewNotFound)?;
    let own = book.accounts.get(&asked.account).ok_or(Refusal::ReviewNotFound)?;
    let payee = book.accounts.get(&asked.to).ok_or(Refusal::ReviewNotFound)?;
    let action = match asked.verb {
        ReviewVerb::Cancel => Action::TransferCancel,
        ReviewVerb::Release | ReviewVerb::Reject => Action::ReviewDecide,
    };
    let meant = hold.review && (hold.account, hold.to_account) == (asked.account, asked.to);
    let allowed = command.authority.action == action
        && may_touch(command.authority.scope, own)
        && command.authority.caller.principal.owner() == Some(asked.by)
        && !command.dry_run;
    if !meant || !allowed {
        return Err(Refusal::ReviewNotFound);
    }
    let sides = [own.owner, payee.owner];
    let yours = sides.contains(&Some(asked.by)) || asked.first == Some(asked.by);
    if asked.verb != ReviewVerb::Cancel && yours {
        return Err(Refusal::ReviewNotYours);
    }
    Ok(hold)
}
