//! Deciding a batch: checks first, then effects, nothing in between.

mod accounts;
mod batch;
mod holds;
mod limits;
mod payments;
mod post;
mod rail;
mod reviews;
mod sending;

use self::{
    accounts::{change_state, open},
    batch::batch,
    holds::{capture, place, release_due, void},
    limits::{allow, except, limit},
    payments::{duplicate_of, pay, refund, reverse},
    post::{cash, own_side, post},
    rail::{resolve, settle},
    reviews::decide_review,
    sending::{cancel, send},
};
use crate::{
    account::Account,
    audit::{Details, Object, Record, SignedRecord},
    fraud::FraudMode,
    hold::Hold,
    id::{HoldId, PaymentId, StepUpId},
    ledger::{
        book::{Book, Changes, StoredOutcome},
        bounds,
        command::{Command, Idempotency, Owned, StepUpClaim, Verb},
        order::Order,
        payments::Refunded,
        refusal::Refusal,
    },
    limits::CustomerLimits,
    outgoing::Outgoing,
    payment::Payment,
    transaction::Transaction,
};

/// Signs audit records with the node's key. The keys stay where they belong.
pub trait Signer {
    /// Key id and HMAC over the canonical bytes.
    fn sign(&self, canonical: &[u8]) -> (i64, [u8; 32]);
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Money moved.
    Posted(Transaction),
    /// An account was opened.
    Opened(Account),
    /// An account's state changed (or already was as asked).
    Changed(Account),
    /// Money was reserved, or given back.
    Held(Hold),
    /// Money moved out of a hold: the hold afterwards.
    Captured(Hold),
    /// A transfer waits for a look, or waited and was taken back: what reserves its money.
    Reviewed(Hold),
    /// What a customer allows oneself, or is allowed, from now on.
    Limited(Box<CustomerLimits>),
    /// A merchant was paid.
    Paid(Payment),
    /// Something of a payment was given back: the payment afterwards.
    Refunded(Refunded, Payment),
    /// A beneficiary was paid, or a payment to one taken back: the payment afterwards.
    Sent(Outgoing),
}

/// What a command's sender is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Done(Box<Done>),
    /// Refused, and remembered as such where it had a key.
    Refused(Refusal),
    /// The key was used before with the same request: this is what became of it then.
    Replayed {
        /// The refusal, if it was one.
        refusal: Option<Refusal>,
        /// The transaction or account.
        resource: Option<[u8; 16]>,
    },
    /// The key was used before with another request.
    KeyReused {
        /// Position of the first field that differs.
        field: usize,
        /// What came of the earlier request.
        resource: Option<[u8; 16]>,
    },
    /// Rights changed since the permit was given: authorize again.
    Stale,
    /// A fresh factor must approve this request first, and none has, or its approval is spent or over. No outcome: the
    /// same key may be used again.
    StepUpNeeded,
    /// It looks like this payment of a moment ago. No outcome: the same key may be used again, with the word that it is
    /// meant.
    DuplicateSuspected(PaymentId),
    /// The signature's nonce was used by another request.
    NonceUsed,
}

/// Decides the commands in order against the book. Afterwards the book holds the new state and the changes what to
/// write.
///
/// # Panics
/// When the book breaks what the store promises: an account booked after `booked_at`, entry ids that do not ascend. The
/// book is then half decided, and the batch must be thrown away with it.
pub fn decide(book: &mut Book, commands: &[Command], signer: &dyn Signer) -> (Changes, Vec<Answer>) {
    let mut changes = Changes::default();
    release_due(book, &mut changes, signer);
    let answers = commands
        .iter()
        .map(|command| decide_once(book, &mut changes, command, signer))
        .collect();
    (changes, answers)
}

/// As [`decide`], for orders: the answers of each in the order of its commands.
///
/// # Panics
/// As [`decide`].
pub fn decide_orders(book: &mut Book, orders: &[Order], signer: &dyn Signer) -> (Changes, Vec<Vec<Answer>>) {
    let mut changes = Changes::default();
    release_due(book, &mut changes, signer);
    let answers = orders
        .iter()
        .map(|order| match order.commands.as_slice() {
            [command] if order.step_up.is_none() => vec![decide_once(book, &mut changes, command, signer)],
            _ => batch(book, &mut changes, order, signer),
        })
        .collect();
    (changes, answers)
}

/// A signed request is decided once. Rights that changed are no decision: the same request comes again.
fn decide_once(book: &mut Book, changes: &mut Changes, command: &Command, signer: &dyn Signer) -> Answer {
    if bounds::was_used(book, command) {
        return Answer::NonceUsed;
    }
    let answer = decide_one(book, changes, command, signer);
    if answer != Answer::Stale {
        bounds::use_up(book, changes, command);
    }
    answer
}

fn decide_one(book: &mut Book, changes: &mut Changes, command: &Command, signer: &dyn Signer) -> Answer {
    if let Some(key) = &command.idempotency
        && let Some(answer) = known(book, key)
    {
        return answer;
    }
    if command.authority.epoch != book.epoch {
        return Answer::Stale;
    }
    let approved = command.step_up.filter(|_| !command.dry_run);
    if approved.is_some_and(|claim| !claim.no_factor && !is_approved(book, &claim)) {
        return Answer::StepUpNeeded;
    }
    let decision = match &command.verb {
        Verb::Post(posting) => post(book, changes, command, posting),
        Verb::Cash(new) => cash(book, changes, command, new),
        Verb::Open(new) => open(book, changes, command, new),
        Verb::Change {
            account,
            side,
            change,
        } => change_state(book, changes, command, *account, *side, *change),
        Verb::Hold(new) => place(book, changes, command, new),
        Verb::Capture(asked) => capture(book, changes, command, asked),
        Verb::Void(hold) => void(book, changes, command, *hold),
        Verb::Limit(new) => limit(book, changes, command, *new),
        Verb::Except(new) => except(book, changes, command, new),
        Verb::Allow(new) => allow(book, changes, command, new),
        Verb::Pay(new) => pay(book, changes, command, new),
        Verb::Send(new) => send(book, changes, command, new),
        Verb::Cancel(asked) => cancel(book, changes, command, asked),
        Verb::Refund(asked) => refund(book, changes, command, asked),
        Verb::Reverse(new) => reverse(book, changes, command, new),
        Verb::Review(asked) => decide_review(book, changes, command, asked),
        Verb::Settle(entry) => settle(book, changes, command, entry),
        Verb::Resolve(asked) => resolve(book, changes, command, asked),
    };
    if command.dry_run {
        return told(book, command, decision);
    }
    record(book, changes, command, &decision, signer);
    // A refused request may be tried again as long as its approval lasts: nothing was done with it.
    if let (Ok(_), Some(approval)) = (&decision, approved.and_then(|claim| claim.approval)) {
        spend(book, changes, approval);
    }
    // What somebody approved and the books refused may be approved again: the request stays open.
    let may_come_again = decision.is_err() && matches!(command.verb, Verb::Cash(_));
    if let Some(key) = command.idempotency.as_ref().filter(|_| !may_come_again) {
        remember(book, changes, key, &decision);
    }
    told(book, command, decision)
}

fn told(book: &Book, command: &Command, decision: Decision) -> Answer {
    match (decision, &command.verb) {
        (Ok(effect), _) => Answer::Done(Box::new(effect.done)),
        (Err(Refusal::DuplicateSuspected), Verb::Pay(new)) => duplicate_of(book, new)
            .map_or(Answer::Refused(Refusal::DuplicateSuspected), |earlier| {
                Answer::DuplicateSuspected(earlier.id)
            }),
        (Err(Refusal::DuplicateSuspected), Verb::Send(new)) => sending::duplicate_of(book, new).map_or(
            Answer::Refused(Refusal::DuplicateSuspected),
            Answer::DuplicateSuspected,
        ),
        (Err(Refusal::ConfirmationNeeded), _) => Answer::StepUpNeeded,
        (Err(refusal), _) => Answer::Refused(refusal),
    }
}

/// What a decision leaves behind for the log and the idempotency table.
struct Effect {
    done: Done,
    resource: [u8; 16],
    details: Details,
}

type Decision = Result<Effect, Refusal>;

fn is_approved(book: &Book, claim: &StepUpClaim) -> bool {
    let stored = claim.approval.and_then(|approval| book.step_ups.get(&approval));
    stored.is_some_and(|stored| {
        !stored.spent && stored.request == claim.request && claim.asked_at < stored.expires_at
    })
}

fn spend(book: &mut Book, changes: &mut Changes, approval: StepUpId) {
    if let Some(stored) = book.step_ups.get_mut(&approval) {
        stored.spent = true;
        changes.step_ups.push(approval);
    }
}

fn known(book: &Book, key: &Idempotency) -> Option<Answer> {
    let stored = book.outcomes.get(&key.tag)?;
    Some(match stored.fingerprint.first_difference(&key.fingerprint) {
        Some(field) => Answer::KeyReused {
            field,
            resource: stored.resource,
        },
        None => Answer::Replayed {
            refusal: Refusal::from_number(stored.code),
            resource: stored.resource,
        },
    })
}

fn remember(book: &mut Book, changes: &mut Changes, key: &Idempotency, decision: &Decision) {
    let (code, resource) = match decision {
        Ok(effect) => (0, Some(effect.resource)),
        Err(refusal) if refusal.is_frozen() => (refusal.number(), None),
        Err(_) => return,
    };
    let outcome = StoredOutcome {
        tag: key.tag,
        fingerprint: key.fingerprint.clone(),
        code,
        resource,
        at: book.booked_at,
    };
    book.outcomes.insert(key.tag, outcome.clone());
    changes.outcomes.push(outcome);
}

fn object_of(verb: &Verb) -> Object {
    match verb {
        Verb::Post(posting) => Object::Transaction(posting.id),
        Verb::Cash(new) => Object::Transaction(new.posting.id),
        Verb::Open(new) => Object::Account(new.id),
        Verb::Change { account, .. } => Object::Account(*account),
        Verb::Hold(new) => hold_object(new.id),
        Verb::Capture(asked) => Object::Transaction(asked.id),
        Verb::Void(hold) => hold_object(hold.id),
        Verb::Limit(new) => Object::Account(new.account),
        Verb::Except(new) => Object::Account(new.account),
        Verb::Allow(new) => Object::Account(new.account),
        Verb::Pay(new) => Object::Transaction(new.posting.id),
        Verb::Send(new) => Object::Transaction(new.posting.id),
        Verb::Cancel(asked) => Object::Transaction(asked.id),
        Verb::Refund(asked) => Object::Transaction(asked.id),
        Verb::Reverse(new) => Object::Transaction(new.id),
        Verb::Review(asked) => Object::Transaction(asked.id),
        Verb::Settle(entry) => Object::Transaction(entry.id),
        Verb::Resolve(asked) => Object::Transaction(asked.id),
    }
}

fn record(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    decision: &Decision,
    signer: &dyn Signer,
) {
    let details = decision
        .as_ref()
        .map_or_else(|_| Details::none(), |effect| effect.details.clone());
    // Which rules about fraud decided can be told for as long as the log is kept; those of the program are not named.
    let judged = std::mem::take(&mut changes.fraud.judged) && book.fraud.rules.mode != FraudMode::Off;
    let rules = u32::try_from(book.fraud.rules.revision).unwrap_or(u32::MAX);
    let record = Record {
        id: book.next_record,
        at: book.booked_at,
        request: command.request,
        caller: command.authority.caller,
        action: command.authority.action.name(),
        // A refused movement has no transaction: the record is about the customer's account that was asked for.
        object: match (&command.verb, decision) {
            (Verb::Post(posting), Err(_)) => Object::Account(own_side(posting).unwrap_or(posting.from)),
            (Verb::Hold(new), Err(_)) => Object::Account(new.account),
            (Verb::Capture(asked), Err(_)) => hold_object(asked.hold.id),
            (Verb::Pay(new), Err(_)) => Object::Account(new.posting.from),
            (Verb::Send(new), Err(_)) => Object::Account(new.posting.from),
            (Verb::Cancel(asked), Err(_)) => Object::Other("payment", *asked.payment.as_bytes()),
            (Verb::Refund(asked), Err(_)) => Object::Other("payment", *asked.payment.id.as_bytes()),
            // The transaction that was to be reversed is there, and has a record of its own.
            (Verb::Reverse(new), Err(_)) => Object::Other("approval", *new.approval.as_bytes()),
            (Verb::Cash(new), Err(_)) => Object::Other("approval", *new.consent.approval.as_bytes()),
            // What waits for a look is no transaction yet, and may never be one.
            (_, Ok(effect)) if matches!(effect.done, Done::Reviewed(_)) => {
                Object::Other("review", effect.resource)
            }
            // Where nothing moves the record is about the payment.
            (Verb::Settle(_), Ok(effect)) if matches!(effect.done, Done::Sent(_)) => {
                Object::Other("payment", effect.resource)
            }
            (Verb::Settle(_), Err(_)) => Object::Bank,
            (Verb::Resolve(asked), Err(_)) => Object::Other("approval", *asked.approval.as_bytes()),
            (Verb::Review(asked), Err(_)) => Object::Other("review", *asked.id.as_bytes()),
            (verb, _) => object_of(verb),
        },
        outcome: decision.as_ref().err().map_or("ok", |refusal| refusal.code()),
        policy: command.authority.policy,
        details: if judged { details.judged_by(rules) } else { details },
    };
    append_record(book, changes, record, signer);
}

fn append_record(book: &mut Book, changes: &mut Changes, record: Record, signer: &dyn Signer) {
    let canonical = record.canonical();
    let (key, mac) = signer.sign(&canonical);
    let signed = SignedRecord::new(record, key, mac);
    if let Some(log) = &mut book.log {
        let hash = signed.leaf_of(canonical);
        changes.leaves.push((log.size(), signed.id, hash));
        log.append(hash, |node| changes.nodes.push(node));
    }
    book.next_record = book.next_record.saturating_add(1);
    changes.records.push(signed);
}

const fn hold_object(id: HoldId) -> Object {
    Object::Other("hold", *id.as_bytes())
}

fn may_touch(scope: Owned, account: &Account) -> bool {
    match scope {
        Owned::ByAnyone => true,
        Owned::By(user) => account.owner == Some(user),
    }
}
