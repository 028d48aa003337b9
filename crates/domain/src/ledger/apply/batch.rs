//! Several commands of one request: each on its own, or all or none.

use super::{Answer, Signer, decide_one, is_approved, known, record, remember, spend};
use crate::ledger::{
    book::{Book, Changes},
    bounds,
    command::Command,
    order::Order,
    refusal::Refusal,
};

/// Decides an order of several commands. Their approval is one, looked at once and spent once.
pub(super) fn batch(
    book: &mut Book,
    changes: &mut Changes,
    order: &Order,
    signer: &dyn Signer,
) -> Vec<Answer> {
    if order.step_up.is_some_and(|claim| !is_approved(book, &claim)) {
        let told = |command: &Command| {
            let again = command.idempotency.as_ref().and_then(|key| known(book, key));
            again.unwrap_or(Answer::StepUpNeeded)
        };
        return order.commands.iter().map(told).collect();
    }
    if order
        .commands
        .iter()
        .any(|command| bounds::was_used(book, command))
    {
        return order.commands.iter().map(|_| Answer::NonceUsed).collect();
    }
    book.fraud.many = Some(order.step_up.is_some());
    let answers = if order.all_or_none {
        all_or_none(book, changes, order, signer)
    } else {
        let each = |command| decide_one(book, changes, command, signer);
        order.commands.iter().map(each).collect()
    };
    book.fraud.many = None;
    // The commands of an order came with one request, so they share its nonce.
    if !answers.contains(&Answer::Stale) {
        let signed = order.commands.iter().find(|command| command.nonce.is_some());
        signed
            .into_iter()
            .for_each(|command| bounds::use_up(book, changes, command));
    }
    let is_done = answers.iter().any(|answer| matches!(answer, Answer::Done(_)));
    if let Some(approval) = order.step_up.and_then(|claim| claim.approval).filter(|_| is_done) {
        spend(book, changes, approval);
    }
    answers
}

/// Up to the first refusal; then everything is as it was, and each command is refused for the record.
fn all_or_none(book: &mut Book, changes: &mut Changes, order: &Order, signer: &dyn Signer) -> Vec<Answer> {
    let (book_before, changes_before) = (book.clone(), changes.clone());
    let mut answers = Vec::with_capacity(order.commands.len());
    for command in &order.commands {
        let answer = decide_one(book, changes, command, signer);
        let refused = matches!(answer, Answer::Refused(_));
        answers.push(answer);
        if refused {
            break;
        }
    }
    let Some(Answer::Refused(refusal)) = answers.last() else {
        return answers;
    };
    let (refusal, culprit) = (*refusal, answers.len().saturating_sub(1));
    (*book, *changes) = (book_before, changes_before);
    let refuse = |(at, command): (usize, &Command)| {
        let refusal = if at == culprit {
            refusal
        } else {
            Refusal::BatchRefused
        };
        refuse(book, changes, command, refusal, signer)
    };
    order.commands.iter().enumerate().map(refuse).collect()
}

/// What a command is told that would have been done in other company.
fn refuse(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    refusal: Refusal,
    signer: &dyn Signer,
) -> Answer {
    if let Some(answer) = command.idempotency.as_ref().and_then(|key| known(book, key)) {
        return answer;
    }
    if command.authority.epoch != book.epoch {
        return Answer::Stale;
    }
    if !command.dry_run {
        let decision = Err(refusal);
        record(book, changes, command, &decision, signer);
        if let Some(key) = &command.idempotency {
            remember(book, changes, key, &decision);
        }
    }
    Answer::Refused(refusal)
}
