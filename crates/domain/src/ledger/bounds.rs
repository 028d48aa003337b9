//! What an integration's key may move at most, and what makes a signed request good once: caveats, budgets, nonces.
//!
//! All of it is decided with the money, on rows that the store holds locked, so that however many requests of a key
//! are on their way at once, together they never get more than one after the other would.

use crate::{
    id::{AccountId, ApiKeyId},
    ledger::{
        book::{Book, Changes},
        command::{Command, NewHold, Posting},
        refusal::Refusal,
    },
    money::{Amount, Currency},
    time::Timestamp,
};

/// Shortest window of a budget, in seconds.
pub const BUDGET_WINDOW_SECS_MIN: i64 = 60;
/// Longest window of a budget, in seconds.
pub const BUDGET_WINDOW_SECS_MAX: i64 = 31 * 24 * 60 * 60;
/// Most accounts that a key's caveats can name.
pub const KEY_PAYEES_MAX: usize = 50;

/// How much the keys of an integration may move in each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How much.
    pub amount: Amount,
    /// Of which currency; nothing else can be moved.
    pub currency: Currency,
    /// Length of a window in seconds; the first movement after the end of one opens the next.
    pub window_secs: i64,
}

/// The caveats of a key. They never change: another key has others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyBounds {
    /// The first key of the integration: those that replace it share its budget.
    pub integration: ApiKeyId,
    /// Most that one movement may move.
    pub max_amount: Option<(Amount, Currency)>,
    /// The only accounts that may be credited.
    pub payees: Option<Vec<AccountId>>,
    /// Most that all movements of a window may move together.
    pub budget: Option<Budget>,
}

/// What was spent of a budget, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BudgetState {
    /// When the window began.
    pub opened_at: Timestamp,
    /// Spent in it, minor units.
    pub spent: i64,
}

/// What makes a signed request good once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce {
    /// When the request was made, in periods of [`Nonce::PERIOD_SECS`]; old periods are forgotten as a whole.
    pub period: i64,
    /// Digest of who signed and the nonce.
    pub digest: [u8; 16],
}

impl Nonce {
    /// Length of a period in seconds: at least two windows of the longest lived signature.
    pub const PERIOD_SECS: i64 = 600;

    /// The nonce of a request that says that it was made at this moment.
    pub const fn new(digest: [u8; 16], made_at: Timestamp) -> Self {
        Self {
            period: made_at.micros().div_euclid(Self::PERIOD_SECS * 1_000_000),
            digest,
        }
    }
}

/// What a command would move, as far as bounds look at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved {
    to: Option<AccountId>,
    amount: Amount,
    currency: Currency,
    /// Whether it goes back to where it came from: then nobody chose the payee.
    back: bool,
}

impl Moved {
    /// What is given back of a payment.
    pub(super) const fn back(posting: &Posting) -> Self {
        Self {
            back: true,
            ..Self::of(posting)
        }
    }

    pub(super) const fn of(posting: &Posting) -> Self {
        Self {
            to: posting.to,
            amount: posting.amount,
            currency: posting.currency,
            back: false,
        }
    }

    /// What is reserved counts as moved, from then on.
    pub(super) const fn held(new: &NewHold) -> Self {
        Self {
            to: new.to,
            amount: new.amount,
            currency: new.currency,
            back: false,
        }
    }
}

/// Whether another request came with this command's nonce before.
pub(super) fn was_used(book: &Book, command: &Command) -> bool {
    command
        .nonce
        .and_then(|nonce| book.nonces.get(&nonce.digest))
        .is_some_and(|request| *request != command.request)
}

/// Uses the nonce up, whatever the answer to its command was.
pub(super) fn use_up(book: &mut Book, changes: &mut Changes, command: &Command) {
    if let Some(nonce) = command.nonce
        && book.nonces.insert(nonce.digest, command.request).is_none()
    {
        changes.nonces.push((nonce, command.request));
    }
}

/// What the key allows, looked at before the accounts: the answer depends on the command and the key alone.
pub(super) fn check(book: &Book, command: &Command, moved: &Moved) -> Result<(), Refusal> {
    let Some(bounds) = command.bounds.as_deref() else {
        return Ok(());
    };
    allows(bounds, moved)?;
    spent_after(book, bounds, moved).map(drop)
}

fn allows(bounds: &KeyBounds, moved: &Moved) -> Result<(), Refusal> {
    if let Some((most, currency)) = bounds.max_amount
        && (currency != moved.currency || moved.amount > most)
    {
        return Err(Refusal::LimitExceeded);
    }
    if let Some(payees) = &bounds.payees
        && !moved.back
        && !moved.to.is_some_and(|to| payees.contains(&to))
    {
        return Err(Refusal::PayeeNotAllowed);
    }
    Ok(())
}

/// As [`check`], for what was charged when it was reserved.
pub(super) fn check_reserved(command: &Command, moved: &Moved) -> Result<(), Refusal> {
    command
        .bounds
        .as_deref()
        .map_or(Ok(()), |bounds| allows(bounds, moved))
}

/// Writes a movement that was decided against the budget.
pub(super) fn charge(book: &mut Book, changes: &mut Changes, command: &Command, moved: &Moved) {
    let Some(bounds) = command.bounds.as_deref() else {
        return;
    };
    if let Ok(Some(state)) = spent_after(book, bounds, moved) {
        book.budgets.insert(bounds.integration, state);
        changes.budgets.insert(bounds.integration);
    }
}

/// The budget's state after a movement; `None` where there is no budget. A budget that the store does not know of is
/// used up.
fn spent_after(book: &Book, bounds: &KeyBounds, moved: &Moved) -> Result<Option<BudgetState>, Refusal> {
    let Some(budget) = bounds.budget else {
        return Ok(None);
    };
    let stored = book
        .budgets
        .get(&bounds.integration)
        .ok_or(Refusal::LimitExceeded)?;
    let over = book.booked_at >= stored.opened_at.plus_seconds(budget.window_secs);
    let state = match over {
        true => BudgetState {
            opened_at: book.booked_at,
            spent: 0,
        },
        false => *stored,
    };
    let spent = state
        .spent
        .checked_add(moved.amount.minor())
        .filter(|spent| *spent <= budget.amount.minor() && budget.currency == moved.currency)
        .ok_or(Refusal::LimitExceeded)?;
    Ok(Some(BudgetState { spent, ..state }))
}
