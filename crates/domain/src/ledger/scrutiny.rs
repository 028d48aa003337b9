//! Fraud within a batch: which movements are measured, what follows, and what is learned from what was booked.
//!
//! Measured is what customers and their programs pay to others, as limits count it. What they move between accounts of
//! their own is not, nor what the bank's people do at the counter.

use super::{
    book::{Book, Changes},
    command::Command,
    refusal::Refusal,
    reviews::{Review, ReviewState, Tried},
    spending::{self, Paid},
};
use crate::{
    fraud::{Flow, FraudMode, Judgement, RuleName, Scene, Verdict, tag_of},
    id::{AccountId, TransactionId},
    limits::LimitClass,
    money::Amount,
    principal::Principal,
    transaction::{Transaction, TransactionKind},
};

/// Measures a movement that is otherwise in order, and holds it against the rules.
pub(super) fn judge(book: &Book, command: &Command, paid: &Paid, amount: Amount) -> Judgement {
    let fraud = &book.fraud;
    if fraud.rules.mode == FraudMode::Off {
        return Judgement::default();
    }
    let (Some(own), Some(to)) = (spending::counted(book, command, paid), paid.to) else {
        return Judgement::default();
    };
    // Many pay a merchant on the first day: the bank knows who that is.
    let payee = book
        .accounts
        .get(&to)
        .filter(|_| paid.class != LimitClass::Payments);
    let payee = payee.and_then(|payee| payee.owner);
    let row = |owner| fraud.rows.get(&(owner, own.currency));
    let limits = own
        .owner
        .and_then(|owner| book.limits.get(&(owner, own.currency)));
    let scene = Scene {
        at: book.booked_at,
        hour: fraud.hour,
        amount,
        currency: own.currency,
        payer: own.owner.and_then(row),
        payee: payee.and_then(row),
        to: tag_of(to.as_bytes()),
        spendable: own.spendable(),
        floor: limits.is_some_and(|limits| limits.floor_until(book.booked_at).is_some()),
        program: matches!(command.authority.caller.principal, Principal::ApiKey { .. }),
        network: command.authority.network,
    };
    fraud.rules.judge(&scene)
}

/// What follows for this command: who cannot be asked for a factor is looked at instead, and what a factor approved
/// needs no other.
pub(super) fn verdict(book: &Book, command: &Command, judged: &Judgement) -> Verdict {
    if judged.verdict != Verdict::StepUp {
        return judged.verdict;
    }
    let approved = command.step_up.is_some_and(|claim| claim.approval.is_some());
    let asked = match book.fraud.many {
        Some(approved) => approved.then_some(Verdict::Allow),
        None if approved => Some(Verdict::Allow),
        None => None,
    };
    let alone = book.fraud.many.is_none();
    asked.unwrap_or(if can_confirm(command) && alone {
        Verdict::StepUp
    } else {
        Verdict::Review
    })
}

/// Whether whoever asks could show a factor.
fn can_confirm(command: &Command) -> bool {
    matches!(command.authority.caller.principal, Principal::User(_))
        && !command.step_up.is_some_and(|claim| claim.no_factor)
}

/// Refuses what a movement that cannot wait would have to wait for.
pub(super) fn admit(
    book: &Book,
    changes: &mut Changes,
    command: &Command,
    id: TransactionId,
    paid: &Paid,
    amount: Amount,
) -> Result<(), Refusal> {
    let judged = judge(book, command, paid, amount);
    count(book, changes, command, id, &judged);
    // A payment or a hold has somebody who waits at the other end: a factor decides, or nothing does. Of many nobody is
    // asked about one: what approved them all decides.
    let approved = command.step_up.is_some_and(|claim| claim.approval.is_some());
    let alone = book.fraud.many.is_none();
    let verdict = match verdict(book, command, &judged) {
        Verdict::Review if approved || book.fraud.many == Some(true) => Verdict::Allow,
        Verdict::Review if alone && can_confirm(command) => Verdict::StepUp,
        Verdict::Review => Verdict::Refuse,
        other => other,
    };
    note(book, changes, command, id, paid, amount, &judged, verdict);
    refusal_of(verdict).map_or(Ok(()), Err)
}

pub(super) const fn refusal_of(verdict: Verdict) -> Option<Refusal> {
    match verdict {
        Verdict::Allow | Verdict::Review => None,
        Verdict::StepUp => Some(Refusal::ConfirmationNeeded),
        Verdict::Refuse => Some(Refusal::Declined),
    }
}

/// Counts the rules that were met, and keeps what a draft would have asked for.
pub(super) fn count(
    book: &Book,
    changes: &mut Changes,
    command: &Command,
    id: TransactionId,
    judged: &Judgement,
) {
    if !command.dry_run {
        changes.fraud.judged = true;
        let met = |rules: &[RuleName], counts| {
            let rules: Vec<_> = rules.iter().map(|rule| (rule.clone(), counts)).collect();
            rules
        };
        changes.fraud.met.extend(met(&judged.reasons, true));
        changes.fraud.met.extend(met(&judged.would, false));
        if let Some(compared) = &judged.trial {
            changes.fraud.tried.push(Tried {
                id,
                at: book.booked_at,
                compared: (**compared).clone(),
            });
        }
    }
}

/// Writes down, for operators, why a movement was not done.
#[expect(
    clippy::too_many_arguments,
    reason = "the movement as its verb names it, and what was found"
)]
pub(super) fn note(
    book: &Book,
    changes: &mut Changes,
    command: &Command,
    id: TransactionId,
    paid: &Paid,
    amount: Amount,
    judged: &Judgement,
    verdict: Verdict,
) {
    if command.dry_run || refusal_of(verdict).is_none() {
        return;
    }
    if let Some(review) = found(book, id, (paid.from, paid.to), amount, judged, verdict) {
        changes.fraud.filed.push(review);
    }
}

/// What rules found of a movement.
pub(super) fn found(
    book: &Book,
    id: TransactionId,
    (from, to): (AccountId, Option<AccountId>),
    amount: Amount,
    judged: &Judgement,
    verdict: Verdict,
) -> Option<Review> {
    let own = book.accounts.get(&from)?;
    let names: Vec<String> = judged
        .reasons
        .iter()
        .map(|(rule, version)| format!("{rule}/{version}"))
        .collect();
    Some(Review {
        id,
        customer: own.owner?,
        account: own.id,
        to_account: to?,
        amount,
        currency: own.currency,
        verdict,
        score: judged.score,
        rules: names.join(","),
        revision: book.fraud.rules.revision,
        at: book.booked_at,
        expires_at: None,
        memo: None,
        value_date: None,
    })
}

impl Review {
    /// How it stands when it is filed.
    pub fn state(&self) -> ReviewState {
        match self.expires_at {
            Some(_) => ReviewState::Open,
            None => ReviewState::Noted,
        }
    }
}

/// Learns from a movement that was booked, on both sides. A row that could not be read begins anew: what came before
/// it was looked at.
pub(super) fn learn(book: &mut Book, changes: &mut Changes, network: Option<u32>, booked: &Transaction) {
    if book.fraud.rules.mode == FraudMode::Off || booked.kind == TransactionKind::Reversal {
        return;
    }
    let side = |id| book.accounts.get(&id).and_then(|account| account.owner);
    let (from, to) = (side(booked.from_account), side(booked.to_account));
    if from == to {
        return;
    }
    let flow = |other: AccountId, network| Flow {
        at: booked.booked_at,
        hour: book.fraud.hour,
        kind: booked.kind,
        amount: booked.amount,
        currency: booked.currency,
        other: tag_of(other.as_bytes()),
        network,
    };
    let (out, into) = (flow(booked.to_account, network), flow(booked.from_account, None));
    // What a merchant gives back is no payment of the merchant's.
    if let Some(owner) = from.filter(|_| booked.kind != TransactionKind::Refund) {
        let key = (owner, booked.currency);
        book.fraud.rows.entry(key).or_default().paid_out(&out);
        changed(book, changes, key);
    }
    if let Some(owner) = to {
        let key = (owner, booked.currency);
        book.fraud.rows.entry(key).or_default().took_in(&into);
        changed(book, changes, key);
    }
}

/// The row is written with what the limits know of the customer, in which it lies.
fn changed(book: &Book, changes: &mut Changes, key: (crate::id::UserId, crate::money::Currency)) {
    if book.limits.contains_key(&key) {
        spending::mark(changes, key);
    }
}
