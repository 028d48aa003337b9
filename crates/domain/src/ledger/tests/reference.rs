//! A bank as one would write it on paper: sums in `i128`, every rule spelled out once more and nothing shared with the
//! books but the types. Slow, and short enough to be believed.

mod limits;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    account::{AccountKind, FreezeScope, Side, SystemAccount},
    hold::{Hold, HoldState},
    iban::Iban,
    id::{AccountId, HoldId, UserId},
    ledger::{
        AccountChange, Answer, Book, Capture, Command, Done, HoldRef, NewAccount, NewHold, Owned, Posting,
        Refusal, Verb,
    },
    limits::{Caps, CustomerLimits, LimitClass, LimitRules, Moment},
    money::Currency,
    transaction::TransactionKind,
};

/// What an account is on paper.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sheet {
    owner: Option<UserId>,
    currency: Currency,
    is_till: bool,
    floor: Option<i128>,
    balance: i128,
    by_owner: Option<FreezeScope>,
    by_bank: Option<FreezeScope>,
    closed: bool,
    held: i128,
    holds: u32,
}

impl Sheet {
    fn stops_debits(&self) -> bool {
        self.by_owner.is_some() || self.by_bank.is_some()
    }

    fn stops_credits(&self) -> bool {
        self.by_owner == Some(FreezeScope::All) || self.by_bank == Some(FreezeScope::All)
    }
}

/// What a hold is on paper: who pays whom, how much was reserved, how much is left, whether it is open.
type Note = (AccountId, AccountId, Currency, i128, bool);

/// What a customer paid to others or reserved for them today, and allows oneself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Allowance {
    spent: i128,
    own: Caps,
    allowed: Caps,
}

/// What came of a key: its digests, the refusal or none, the resource or none.
type Outcome = (Vec<u8>, Option<Refusal>, Option<[u8; 16]>);

/// The paper bank.
#[derive(Debug, Clone)]
pub(super) struct Paper {
    sheets: BTreeMap<AccountId, Sheet>,
    numbers: BTreeSet<Iban>,
    holds: BTreeMap<HoldId, Note>,
    allowances: BTreeMap<(UserId, Currency), Allowance>,
    /// What accounts with limits of their own paid, and what their owner allows them.
    own_limits: BTreeMap<AccountId, (i128, Caps)>,
    bank_left: BTreeMap<Currency, i128>,
    bank: Arc<LimitRules>,
    keys: BTreeMap<[u8; 16], Outcome>,
    epoch: i64,
}

/// What is told to whoever asked, without what the books add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Done([u8; 16]),
    Refused(Refusal),
    Replayed(Option<Refusal>, Option<[u8; 16]>),
    Reused(usize, Option<[u8; 16]>),
    Stale,
    StepUpNeeded,
    DuplicateSuspected,
    NonceUsed,
}

impl From<&Answer> for Told {
    fn from(answer: &Answer) -> Self {
        match answer {
            Answer::Done(done) => Self::Done(match &**done {
                Done::Posted(transaction) => *transaction.id.as_bytes(),
                Done::Opened(account) | Done::Changed(account) => *account.id.as_bytes(),
                Done::Held(hold) | Done::Captured(hold) | Done::Reviewed(hold) => *hold.id.as_bytes(),
                // The answer names no account; the one that was asked for is in the command.
                Done::Limited(_) => [0; 16],
                Done::Paid(payment) => *payment.id.as_bytes(),
                Done::Refunded(refunded, _) => *refunded.transaction.as_bytes(),
                Done::Sent(payment) => *payment.id.as_bytes(),
            }),
            Answer::Refused(refusal) => Self::Refused(*refusal),
            Answer::Replayed { refusal, resource } => Self::Replayed(*refusal, *resource),
            Answer::KeyReused { field, resource } => Self::Reused(*field, *resource),
            Answer::Stale => Self::Stale,
            Answer::StepUpNeeded => Self::StepUpNeeded,
            Answer::DuplicateSuspected(_) => Self::DuplicateSuspected,
            Answer::NonceUsed => Self::NonceUsed,
        }
    }
}

fn allowance(limits: &CustomerLimits, book: &Book) -> Allowance {
    let moment = Moment {
        at: book.booked_at,
        day: book.today,
    };
    Allowance {
        spent: i128::from(limits.spent(LimitClass::All, moment).day),
        own: limits.own(book.booked_at),
        allowed: limits.allowed(),
    }
}

fn fits(balance: i128) -> bool {
    i64::try_from(balance).is_ok()
}

impl Paper {
    /// Copies what stands in the books.
    pub(super) fn of(book: &Book) -> Self {
        let sheet = |account: &crate::account::Account| Sheet {
            owner: account.owner,
            currency: account.currency,
            is_till: account.kind == AccountKind::System(SystemAccount::Cash),
            floor: account.floor.map(i128::from),
            balance: i128::from(account.balance),
            by_owner: account.freezes.by(Side::Owner),
            by_bank: account.freezes.by(Side::Bank),
            closed: account.closed,
            held: i128::from(account.held),
            holds: account.holds,
        };
        let note = |hold: &Hold| {
            let open = hold.state == HoldState::Open;
            let left = i128::from(hold.reserved());
            (hold.account, hold.to_account, hold.currency, left, open)
        };
        Self {
            holds: book.holds.iter().map(|(id, hold)| (*id, note(hold))).collect(),
            allowances: book
                .limits
                .iter()
                .map(|(key, limits)| (*key, allowance(limits, book)))
                .collect(),
            own_limits: limits::own_limits(book),
            bank_left: book
                .bank_left
                .iter()
                .map(|(currency, left)| (*currency, i128::from(*left)))
                .collect(),
            bank: book.rules.clone(),
            sheets: book
                .accounts
                .iter()
                .map(|(id, account)| (*id, sheet(account)))
                .collect(),
            numbers: book.taken_numbers.iter().cloned().collect(),
            keys: BTreeMap::new(),
            epoch: book.epoch,
        }
    }

    /// Whether the books say the same of every account and number.
    pub(super) fn agrees(&self, book: &Book) -> bool {
        let theirs = Self::of(book);
        self.sheets == theirs.sheets
            && self.numbers == theirs.numbers
            && self.holds == theirs.holds
            && self.allowances == theirs.allowances
            && self.own_limits == theirs.own_limits
            && self.bank_left == theirs.bank_left
    }

    /// Decides one command, and does what it says.
    pub(super) fn ask(&mut self, command: &Command) -> Told {
        if let Some(key) = &command.idempotency
            && let Some((digests, refusal, resource)) = self.keys.get(&key.tag)
        {
            let (old, new) = (digests.chunks(8), key.fingerprint.as_bytes().chunks(8));
            let longest = old.len().max(new.len());
            let (old, new): (Vec<_>, Vec<_>) = (old.collect(), new.collect());
            return match (0..longest).find(|at| old.get(*at) != new.get(*at)) {
                Some(field) => Told::Reused(field, *resource),
                None => Told::Replayed(*refusal, *resource),
            };
        }
        if command.authority.epoch != self.epoch {
            return Told::Stale;
        }
        let mut next = self.clone();
        let decision = match &command.verb {
            Verb::Post(posting) => next.post(command.authority.scope, posting),
            Verb::Open(new) => next.open(command.authority.scope, new),
            Verb::Change {
                account,
                side,
                change,
            } => next.change(command.authority.scope, *account, *side, *change),
            Verb::Hold(new) => next.place(command.authority.scope, new),
            Verb::Capture(asked) => next.capture(command.authority.scope, asked),
            Verb::Void(hold) => next.void(command.authority.scope, *hold),
            Verb::Limit(new) => next.limit(command.authority.scope, *new),
            Verb::Allow(new) => next.allow(command.authority.scope, new),
            Verb::Pay(_) | Verb::Send(_) | Verb::Cancel(_) | Verb::Refund(_) | Verb::Reverse(_) => {
                panic!("payments have tests of their own")
            }
            Verb::Review(_) => panic!("reviews have tests of their own"),
            Verb::Cash(_) | Verb::Except(_) => panic!("what takes two people has tests of its own"),
            Verb::Settle(_) | Verb::Resolve(_) => panic!("statements have tests of their own"),
        };
        if !command.dry_run {
            if decision.is_ok() {
                *self = next;
            }
            self.remember(command, decision);
        }
        match decision {
            Ok(_) if matches!(command.verb, Verb::Limit(_) | Verb::Allow(_)) => Told::Done([0; 16]),
            Ok(resource) => Told::Done(command.hold().map_or(resource, |hold| *hold.as_bytes())),
            Err(refusal) => Told::Refused(refusal),
        }
    }

    fn remember(&mut self, command: &Command, decision: Result<[u8; 16], Refusal>) {
        use Refusal::{
            AccountNotEmpty, AccountNotFound, HoldNotFound, HoldNotOpen, NotFrozenByYou, NumberTaken,
            RaiseNotApproved, SecondPersonNeeded,
        };
        let Some(key) = &command.idempotency else { return };
        let forgotten = [
            AccountNotEmpty,
            AccountNotFound,
            NotFrozenByYou,
            NumberTaken,
            HoldNotFound,
            HoldNotOpen,
            RaiseNotApproved,
            SecondPersonNeeded,
        ];
        if !decision.is_err_and(|refusal| forgotten.contains(&refusal)) {
            let digests = key.fingerprint.as_bytes().to_vec();
            self.keys
                .insert(key.tag, (digests, decision.err(), decision.ok()));
        }
    }

    fn is_own(&self, scope: Owned, id: AccountId) -> bool {
        match (scope, self.sheets.get(&id).and_then(|sheet| sheet.owner)) {
            (_, None) => false,
            (Owned::ByAnyone, Some(_)) => true,
            (Owned::By(user), Some(owner)) => user == owner,
        }
    }

    fn post(&mut self, scope: Owned, posting: &Posting) -> Result<[u8; 16], Refusal> {
        let amount = i128::from(posting.amount.minor());
        let is_deposit = posting.kind == TransactionKind::Deposit;
        let (own_id, other_id) = if is_deposit {
            (posting.to, Some(posting.from))
        } else {
            (Some(posting.from), posting.to)
        };
        let own_id = own_id
            .filter(|id| self.is_own(scope, *id))
            .ok_or(Refusal::AccountNotFound)?;
        let own = &self.sheets[&own_id];
        let sign = if is_deposit { amount } else { -amount };
        let floor = own.floor.unwrap_or(i128::MIN);
        let own_faults = [
            (other_id == Some(own_id), Refusal::SameAccount),
            (own.closed, Refusal::AccountClosed),
            (
                if is_deposit {
                    own.stops_credits()
                } else {
                    own.stops_debits()
                },
                Refusal::AccountFrozen,
            ),
            (own.currency != posting.currency, Refusal::CurrencyMismatch),
            (!fits(own.balance + sign), Refusal::BalanceOverflow),
            (
                !is_deposit && own.balance - own.held - amount < floor,
                Refusal::InsufficientFunds,
            ),
        ];
        if let Some((_, refusal)) = own_faults.into_iter().find(|(fault, _)| *fault) {
            return Err(refusal);
        }
        let counts = posting.kind == TransactionKind::Transfer && matches!(scope, Owned::By(_));
        let counted = self.others(own_id, other_id).filter(|_| counts);
        if let Some(key) = counted {
            self.fits_limits(key, own_id, amount)?;
        }
        let missing = if is_deposit {
            Refusal::AccountNotFound
        } else {
            Refusal::PayeeUnavailable
        };
        let other = other_id.and_then(|id| self.sheets.get(&id)).ok_or(missing)?;
        let takes_part = if posting.kind == TransactionKind::Transfer {
            other.owner.is_some()
        } else {
            other.is_till
        };
        let stopped = if is_deposit {
            other.stops_debits()
        } else {
            other.stops_credits()
        };
        if !takes_part
            || stopped
            || other.closed
            || other.currency != posting.currency
            || !fits(other.balance - sign)
        {
            return Err(Refusal::PayeeUnavailable);
        }
        self.count(counted, own_id, amount);
        for (id, change) in [(Some(own_id), sign), (other_id, -sign)] {
            if let Some(sheet) = id.and_then(|id| self.sheets.get_mut(&id)) {
                sheet.balance += change;
            }
        }
        Ok(*posting.id.as_bytes())
    }

    fn open(&mut self, scope: Owned, new: &NewAccount) -> Result<[u8; 16], Refusal> {
        if matches!(scope, Owned::By(user) if user != new.owner) {
            return Err(Refusal::AccountNotFound);
        }
        if self.sheets.contains_key(&new.id) || !self.numbers.insert(new.number.clone()) {
            return Err(Refusal::NumberTaken);
        }
        let blank = Sheet {
            owner: None,
            currency: new.currency,
            is_till: false,
            floor: None,
            balance: 0,
            by_owner: None,
            by_bank: None,
            closed: false,
            held: 0,
            holds: 0,
        };
        for system in SystemAccount::ALL {
            self.sheets
                .entry(system.id(new.currency))
                .or_insert_with(|| Sheet {
                    is_till: system == SystemAccount::Cash,
                    ..blank.clone()
                });
        }
        let sheet = Sheet {
            owner: Some(new.owner),
            floor: Some(-i128::from(new.overdraft)),
            ..blank
        };
        self.sheets.insert(new.id, sheet);
        self.allowances.entry((new.owner, new.currency)).or_default();
        Ok(*new.id.as_bytes())
    }

    /// Whose allowance a payment takes from; none between accounts of one customer.
    fn others(&self, from: AccountId, to: Option<AccountId>) -> Option<(UserId, Currency)> {
        let own = self.sheets.get(&from)?;
        let payee = to.and_then(|to| self.sheets.get(&to));
        let owner = own.owner?;
        (payee.is_none_or(|payee| payee.owner != Some(owner))).then_some((owner, own.currency))
    }

    fn change(
        &mut self,
        scope: Owned,
        id: AccountId,
        side: Side,
        change: AccountChange,
    ) -> Result<[u8; 16], Refusal> {
        if !self.is_own(scope, id) {
            return Err(Refusal::AccountNotFound);
        }
        let sheet = self.sheets.get_mut(&id).ok_or(Refusal::AccountNotFound)?;
        if sheet.closed {
            return Err(Refusal::AccountClosed);
        }
        let bank_froze = sheet.by_bank.is_some();
        let freeze = match side {
            Side::Owner => &mut sheet.by_owner,
            Side::Bank => &mut sheet.by_bank,
        };
        match change {
            AccountChange::Freeze(FreezeScope::All) => *freeze = Some(FreezeScope::All),
            AccountChange::Freeze(FreezeScope::Debits) => {
                freeze.get_or_insert(FreezeScope::Debits);
            }
            AccountChange::Unfreeze => {
                freeze.take().ok_or(Refusal::NotFrozenByYou)?;
            }
            AccountChange::Close if sheet.balance != 0 || sheet.held != 0 => {
                return Err(Refusal::AccountNotEmpty);
            }
            AccountChange::Close if side == Side::Owner && bank_froze => return Err(Refusal::AccountFrozen),
            AccountChange::Close => sheet.closed = true,
        }
        Ok(*id.as_bytes())
    }

    /// A payee who can take it: the books tell no more.
    fn is_payee(&self, id: Option<AccountId>, currency: Currency, amount: i128) -> Option<AccountId> {
        let id = id?;
        let sheet = self.sheets.get(&id)?;
        let ready = sheet.owner.is_some() && !sheet.closed && !sheet.stops_credits();
        (ready && sheet.currency == currency && fits(sheet.balance + amount)).then_some(id)
    }

    fn place(&mut self, scope: Owned, new: &NewHold) -> Result<[u8; 16], Refusal> {
        let amount = i128::from(new.amount.minor());
        if !self.is_own(scope, new.account) || self.holds.contains_key(&new.id) {
            return Err(Refusal::AccountNotFound);
        }
        let own = &self.sheets[&new.account];
        let faults = [
            (new.to == Some(new.account), Refusal::SameAccount),
            (own.closed, Refusal::AccountClosed),
            (own.stops_debits(), Refusal::AccountFrozen),
            (own.currency != new.currency, Refusal::CurrencyMismatch),
            (!fits(own.balance - amount), Refusal::BalanceOverflow),
            (
                own.balance - own.held - amount < own.floor.unwrap_or(i128::MIN),
                Refusal::InsufficientFunds,
            ),
        ];
        if let Some((_, refusal)) = faults.into_iter().find(|(fault, _)| *fault) {
            return Err(refusal);
        }
        let counted = self.others(new.account, new.to);
        if let Some(key) = counted {
            self.fits_limits(key, new.account, amount)?;
        }
        if self.sheets[&new.account].holds >= 1_000 {
            return Err(Refusal::TooManyHolds);
        }
        let to = self.is_payee(new.to, new.currency, amount);
        let to = to.ok_or(Refusal::PayeeUnavailable)?;
        if let Some(own) = self.sheets.get_mut(&new.account) {
            own.held += amount;
            own.holds += 1;
        }
        self.count(counted, new.account, amount);
        let note = (new.account, to, new.currency, amount, true);
        self.holds.insert(new.id, note);
        Ok(*new.id.as_bytes())
    }

    fn note(&self, scope: Owned, asked: HoldRef) -> Result<Note, Refusal> {
        let note = self.holds.get(&asked.id).copied();
        note.filter(|note| (note.0, note.1) == (asked.account, asked.to))
            .filter(|note| self.is_own(scope, note.0) || self.is_own(scope, note.1))
            .ok_or(Refusal::HoldNotFound)
    }

    fn release(&mut self, id: HoldId, amount: i128, ends: bool) {
        let Some(note) = self.holds.get_mut(&id) else {
            return;
        };
        note.3 -= amount;
        note.4 = !ends;
        if let Some(own) = self.sheets.get_mut(&note.0) {
            own.held -= amount;
            own.holds -= u32::from(ends);
        }
    }

    fn capture(&mut self, scope: Owned, asked: &Capture) -> Result<[u8; 16], Refusal> {
        let (from, to, currency, left, open) = self.note(scope, asked.hold)?;
        let amount = asked
            .take
            .amount
            .map_or(left, |amount| i128::from(amount.minor()));
        let own = &self.sheets[&from];
        let faults = [
            (!open, Refusal::HoldNotOpen),
            (amount > left, Refusal::ExceedsHold),
            (own.stops_debits(), Refusal::AccountFrozen),
            (
                self.is_payee(Some(to), currency, amount).is_none(),
                Refusal::PayeeUnavailable,
            ),
        ];
        if let Some((_, refusal)) = faults.into_iter().find(|(fault, _)| *fault) {
            return Err(refusal);
        }
        let ends = asked.take.last || amount == left;
        self.release(asked.hold.id, if ends { left } else { amount }, ends);
        if ends {
            self.give_back(asked.hold, left - amount);
        }
        for (id, change) in [(from, -amount), (to, amount)] {
            if let Some(sheet) = self.sheets.get_mut(&id) {
                sheet.balance += change;
            }
        }
        Ok(*asked.id.as_bytes())
    }

    fn give_back(&mut self, hold: HoldRef, amount: i128) {
        let counted = self.others(hold.account, Some(hold.to));
        if let Some(allowance) = counted.and_then(|key| self.allowances.get_mut(&key)) {
            allowance.spent -= amount;
            if let Some((spent, _)) = self.own_limits.get_mut(&hold.account) {
                *spent -= amount;
            }
        }
    }

    fn void(&mut self, scope: Owned, asked: HoldRef) -> Result<[u8; 16], Refusal> {
        let (_, _, _, left, open) = self.note(scope, asked)?;
        if !open {
            return Err(Refusal::HoldNotOpen);
        }
        self.release(asked.id, left, true);
        self.give_back(asked, left);
        Ok(*asked.id.as_bytes())
    }
}
