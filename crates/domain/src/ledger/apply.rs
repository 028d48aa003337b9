//! Deciding a batch: checks first, then effects, nothing in between.

use crate::{
    account::{Account, AccountKind, FreezeScope, Freezes, Side, SkipPath, SystemAccount},
    action::Action,
    audit::{Details, Object, Record, SignedRecord},
    id::{AccountId, StepUpId},
    ledger::{
        book::{Book, Changes, OpenedAccount, SealedText, StoredOutcome},
        bounds,
        command::{AccountChange, Command, Idempotency, NewAccount, Owned, Posting, StepUpClaim, Verb},
        refusal::Refusal,
    },
    money::Currency,
    time::Timestamp,
    transaction::{Entry, Transaction, TransactionKind, entries_digest},
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
    let answers = commands
        .iter()
        .map(|command| decide_once(book, &mut changes, command, signer))
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
    if approved.is_some_and(|claim| !is_approved(book, &claim)) {
        return Answer::StepUpNeeded;
    }
    let decision = match &command.verb {
        Verb::Post(posting) => post(book, changes, command, posting),
        Verb::Open(new) => open(book, changes, command, new),
        Verb::Change {
            account,
            side,
            change,
        } => change_state(book, changes, command, *account, *side, *change),
    };
    if command.dry_run {
        return match decision {
            Ok(effect) => Answer::Done(Box::new(effect.done)),
            Err(refusal) => Answer::Refused(refusal),
        };
    }
    record(book, changes, command, &decision, signer);
    // A refused request may be tried again as long as its approval lasts: nothing was done with it.
    if let (Ok(_), Some(approval)) = (&decision, approved.and_then(|claim| claim.approval)) {
        spend(book, changes, approval);
    }
    if let Some(key) = &command.idempotency {
        remember(book, changes, key, &decision);
    }
    match decision {
        Ok(effect) => Answer::Done(Box::new(effect.done)),
        Err(refusal) => Answer::Refused(refusal),
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
        Verb::Open(new) => Object::Account(new.id),
        Verb::Change { account, .. } => Object::Account(*account),
    }
}

fn record(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    decision: &Decision,
    signer: &dyn Signer,
) {
    let record = Record {
        id: book.next_record,
        at: book.booked_at,
        request: command.request,
        caller: command.authority.caller,
        action: command.authority.action.name(),
        // A refused movement has no transaction: the record is about the customer's account that was asked for.
        object: match (&command.verb, decision) {
            (Verb::Post(posting), Err(_)) => Object::Account(own_side(posting).unwrap_or(posting.from)),
            (verb, _) => object_of(verb),
        },
        outcome: decision.as_ref().err().map_or("ok", |refusal| refusal.code()),
        policy: command.authority.policy,
        details: decision
            .as_ref()
            .map_or_else(|_| Details::none(), |effect| effect.details.clone()),
    };
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

fn may_touch(scope: Owned, account: &Account) -> bool {
    match scope {
        Owned::ByAnyone => true,
        Owned::By(user) => account.owner == Some(user),
    }
}

fn post(book: &mut Book, changes: &mut Changes, command: &Command, posting: &Posting) -> Decision {
    bounds::check(book, command, posting)?;
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
    bounds::charge(book, changes, command, posting);
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
fn own_side(posting: &Posting) -> Option<AccountId> {
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

fn open(book: &mut Book, changes: &mut Changes, command: &Command, new: &NewAccount) -> Decision {
    if let Owned::By(user) = command.authority.scope
        && user != new.owner
    {
        return Err(Refusal::AccountNotFound);
    }
    if book.taken_numbers.contains(&new.number) || book.accounts.contains_key(&new.id) {
        return Err(Refusal::NumberTaken);
    }
    let account = blank(
        new.id,
        AccountKind::Customer(new.kind),
        new.currency,
        book.booked_at,
    );
    let account = Account {
        owner: Some(new.owner),
        // A negative overdraft is no overdraft: a wrong sign must not lend money.
        floor: Some(new.overdraft.max(0).saturating_neg()),
        ..account
    };
    let details = Details::opened(&account, new.number.as_str());
    if !command.dry_run {
        open_chart(book, changes, new.currency);
        book.taken_numbers.insert(new.number.clone());
        book.accounts.insert(new.id, account.clone());
        changes.touched.insert(new.id);
        changes.opened.push(OpenedAccount {
            id: new.id,
            number: Some(new.number.clone()),
            sealed_name: Some(new.sealed_name.clone()),
            at: book.booked_at,
        });
    }
    Ok(Effect {
        resource: *new.id.as_bytes(),
        details,
        done: Done::Opened(account),
    })
}

/// The first account in a currency brings the bank's own accounts in it along.
fn open_chart(book: &mut Book, changes: &mut Changes, currency: Currency) {
    for system in SystemAccount::ALL {
        let id = system.id(currency);
        if !book.accounts.contains_key(&id) {
            book.accounts.insert(
                id,
                blank(id, AccountKind::System(system), currency, book.booked_at),
            );
            changes.touched.insert(id);
            changes.opened.push(OpenedAccount {
                id,
                number: None,
                sealed_name: None,
                at: book.booked_at,
            });
        }
    }
}

fn blank(id: AccountId, kind: AccountKind, currency: Currency, at: Timestamp) -> Account {
    Account {
        id,
        owner: None,
        kind,
        currency,
        floor: None,
        freezes: Freezes::NONE,
        closed: false,
        balance: 0,
        held: 0,
        entries: 0,
        last_booked_at: at,
        path: SkipPath::default(),
    }
}

fn change_state(
    book: &mut Book,
    changes: &mut Changes,
    command: &Command,
    id: AccountId,
    side: Side,
    change: AccountChange,
) -> Decision {
    // Whoever may touch only own accounts never acts for the bank.
    if side == Side::Bank && command.authority.scope != Owned::ByAnyone {
        return Err(Refusal::AccountNotFound);
    }
    let account = book.accounts.get_mut(&id).ok_or(Refusal::AccountNotFound)?;
    if !may_touch(command.authority.scope, account) || account.owner.is_none() {
        return Err(Refusal::AccountNotFound);
    }
    if account.closed {
        return Err(Refusal::AccountClosed);
    }
    let mut next = account.clone();
    match change {
        AccountChange::Freeze(scope) => {
            next.freezes = next
                .freezes
                .with(side, Some(stricter(next.freezes.by(side), scope)))
        }
        AccountChange::Unfreeze => {
            if next.freezes.by(side).is_none() {
                return Err(Refusal::NotFrozenByYou);
            }
            next.freezes = next.freezes.with(side, None);
        }
        AccountChange::Close => {
            if next.balance != 0 || next.held != 0 {
                return Err(Refusal::AccountNotEmpty);
            }
            // A freeze by the bank is not escaped by closing.
            if side == Side::Owner && next.freezes.by(Side::Bank).is_some() {
                return Err(Refusal::AccountFrozen);
            }
            next.closed = true;
        }
    }
    let details = Details::account(next.freezes.bits(), next.closed, next.floor);
    if !command.dry_run {
        *account = next.clone();
        changes.touched.insert(id);
    }
    Ok(Effect {
        resource: *id.as_bytes(),
        details,
        done: Done::Changed(next),
    })
}

/// Freezing again never loosens a freeze.
const fn stricter(now: Option<FreezeScope>, asked: FreezeScope) -> FreezeScope {
    match (now, asked) {
        (Some(FreezeScope::All), _) | (_, FreezeScope::All) => FreezeScope::All,
        _ => FreezeScope::Debits,
    }
}
